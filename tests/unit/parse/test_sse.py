"""Server-sent events, clause by clause (WHATWG HTML, "Interpreting an event stream")."""

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.parse.sse import EventParser, EventTooLarge

LINE_ENDS = (b"\n", b"\r", b"\r\n")
PARTS = (*LINE_ENDS, b"data", b":", b" ", b"x", b"id", b"\0", b"data: x", b"data:x\n\n")
BYTES = (b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xc3", b"\xa9")
STREAMS = st.lists(st.sampled_from(PARTS + BYTES), max_size=30).map(b"".join)


def events(*chunks: bytes, limit_bytes: int = 1000) -> list[str]:
    parser = EventParser(limit_bytes)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def events_until_too_large(chunks: Iterable[bytes], limit_bytes: int) -> tuple[list[str], bool]:
    parser = EventParser(limit_bytes)
    seen: list[str] = []
    try:
        for chunk in chunks:
            for event in parser.feed(chunk):
                seen.append(event)  # one by one: what came before an error counts
    except EventTooLarge:
        return seen, True
    return seen, False


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def by_the_letter(stream: bytes) -> list[str]:
    """Follow the standard's text, on a stream that is all there."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    found: list[str] = []
    data = ""
    for line in lines:
        field, _, value = line.partition(":")
        if not line:
            found += [data[:-1]] if data else []
            data = ""
        elif field == "data":
            data += value.removeprefix(" ") + "\n"
    return found


@given(STREAMS)
def test_a_stream_reads_as_the_standard_says(stream: bytes) -> None:
    assert events(stream) == by_the_letter(stream)


@given(STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_the_borders_of_chunks_do_not_show(stream: bytes, cuts: list[int]) -> None:
    assert events(*split(stream, cuts)) == events(stream)


@given(STREAMS)
def test_nor_when_every_byte_is_a_chunk(stream: bytes) -> None:
    assert events(*(bytes([byte]) for byte in stream)) == events(stream)


@given(STREAMS, st.lists(st.integers(0, 200), max_size=8), st.integers(1, 12))
def test_nor_when_something_is_too_large(stream: bytes, cuts: list[int], limit: int) -> None:
    whole = events_until_too_large([stream], limit)
    assert events_until_too_large(split(stream, cuts), limit) == whole


@given(st.binary(max_size=200))
def test_garbage_never_raises(stream: bytes) -> None:
    assert events(stream) == by_the_letter(stream)


@pytest.mark.parametrize("end", LINE_ENDS)
def test_lines_may_end_in_three_ways(end: bytes) -> None:
    assert events(b"data: a" + end + b"data: b" + end + end) == ["a\nb"]


def test_line_ends_may_be_mixed() -> None:
    assert events(b"data: a\rdata: b\ndata: c\r\n\r\ndata: d\n\r") == ["a\nb\nc", "d"]


def test_a_carriage_return_ends_an_event_at_once() -> None:
    parser = EventParser()
    assert list(parser.feed(b"data: a\r\r")) == ["a"]
    assert list(parser.feed(b"\ndata: b\r")) == []
    assert list(parser.feed(b"\n\r")) == ["b"]
    assert list(parser.feed(b"\n")) == []


def test_an_empty_chunk_between_the_two_halves_of_a_line_end() -> None:
    assert events(b"data: a\r", b"", b"\n", b"data: b\n\n") == ["a\nb"]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a \n\n", [" a "]),
        (b"data:\ta\n\n", ["\ta"]),
        (b"data: a:b\n\n", ["a:b"]),
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data: \n\n", [""]),
        (b"data\ndata\n\n", ["\n"]),
        (b"data: a\n\n\n\n", ["a"]),
        (b"\n\n\n", []),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"data: a\n\ndata: b\n", ["a"]),
        (b": comment\ndata: a\n: data: b\n\n", ["a"]),
        (b":\n\n", []),
        (b"event: x\nid: 1\nretry: 5\n\n", []),
        (b"event: x\ndata: a\nid\n\n", ["a"]),
        (b"Data: a\n\n", []),
        (b" data: a\n\n", []),
        (b"data : a\n\n", []),
        (b"datax: a\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"\xef\xbbdata: a\n\n", []),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        (b"data: \xef\xbb\xbfa\n\n", ["\ufeffa"]),
        (b"data: \xff\xc3\n\n", ["\ufffd\ufffd"]),
        (b"data: \xc3\ndata: \xa9\n\n", ["\ufffd\n\ufffd"]),
        ("data: é\u2028b\x85\x0b\n\n".encode(), ["é\u2028b\x85\x0b"]),
        # The two examples of the standard.
        (b"data\n\ndata\ndata\n\ndata:\n", ["", "\n"]),
        (b"data:test\n\ndata: test\n\n", ["test", "test"]),
    ],
)
def test_one_stream(stream: bytes, expected: list[str]) -> None:
    assert events(stream) == expected


def test_a_character_may_be_cut_by_a_chunk() -> None:
    assert events(b"data: \xc3", b"\xa9\n", b"\n") == ["é"]


@pytest.mark.parametrize("prefix", [b"data: ", b": ", b"x"])
def test_a_line_above_the_limit_is_refused(prefix: bytes) -> None:
    longest = prefix + b"a" * (20 - len(prefix))
    assert events(longest + b"\n", b"data: b\n\n", limit_bytes=20)[0].endswith("b")
    for chunks in ([longest + b"a"], [longest, b"a"], [longest + b"a\n\n"]):
        with pytest.raises(EventTooLarge, match="a line of more than 20 bytes"):
            events(*chunks, limit_bytes=20)


def test_an_event_above_the_limit_is_refused() -> None:
    with pytest.raises(EventTooLarge, match="the data of an event of more than 20 bytes"):
        events(b"data: 0123456789\n" * 2, limit_bytes=20)
    with pytest.raises(EventTooLarge):
        events(b"data\n" * 21, limit_bytes=20)


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    assert events(b"data: 0123456789\n\n" * 50, limit_bytes=20) == ["0123456789"] * 50


def test_what_came_before_an_event_that_is_too_large_was_read() -> None:
    assert events_until_too_large([b"data: a\n\n:" + b"x" * 30], 20) == (["a"], True)


def test_small_chunks_of_a_long_line_take_linear_time() -> None:
    """8 MB in 64-byte chunks: a quarter of a second; copying the line for each, minutes."""
    parser = EventParser()
    start_s = time.process_time()
    count = 2**17
    seen = [event for _ in range(count) for event in parser.feed(b"x" * 64)]
    seen += parser.feed(b"\ndata: a\n\n")
    assert seen == ["a"]
    assert time.process_time() - start_s < 10
