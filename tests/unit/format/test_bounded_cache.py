"""What is kept and what is worked out again."""

from kit.format.bounded_cache import kept


def test_short_arguments_are_worked_out_once_and_long_ones_each_time() -> None:
    seen: list[bytes] = []

    @kept(entries=2, longest=3)
    def upper(text: bytes, suffix: bytes = b"") -> bytes:
        """Say it loud."""
        seen.append(text)
        return text.upper() + suffix

    assert [upper(b"abc"), upper(b"abc"), upper(b"abc", b"!")] == [b"ABC", b"ABC", b"ABC!"]
    assert seen == [b"abc", b"abc"]
    assert [upper(b"abcd"), upper(b"abcd")] == [b"ABCD", b"ABCD"]
    assert seen == [b"abc", b"abc", b"abcd", b"abcd"]
    assert upper.__doc__ == "Say it loud."


def test_of_more_than_it_keeps_the_oldest_goes() -> None:
    seen: list[bytes] = []

    @kept(entries=2, longest=3)
    def same(text: bytes) -> bytes:
        seen.append(text)
        return text

    for text in (b"a", b"b", b"c", b"c", b"a"):
        assert same(text) == text
    assert seen == [b"a", b"b", b"c", b"a"]
