"""Redaction: nothing private is left, what is harmless stays, and twice is once."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.bundle.redact import redact

PRIVATE = {
    "/home/anna/src/kit": "checkout",
    "/home/anna": "home",
    "/tmp/scratch": "tmp",
    "node-17.lab.example.org": "host",
    "node-17": "host",
    "anna": "user",
    "søren": "user",
}
UUID = "8f6c2d1e-0b4a-4c3d-9e8f-001122334455"

NAMES = ("anna", "node-17", "/srv/x", "home", "user", "host", "x.y", "ipv4", "<", "é")
SHAPED = ("10.0.0.5", "127.0.0.1", "fe80::1", "00:11:22:aa:bb:cc", UUID, "12:34:56", "/home/")
SIGNS = (">", ":", " ", ".", "a", "1", "\n")
PRIVATES = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["host", "user", "home", "checkout"]), max_size=4
)
TEXTS = st.lists(st.sampled_from(NAMES + SHAPED + SIGNS), max_size=12).map("".join)


def cleaned(text: str) -> str:
    return redact(text.encode(), PRIVATE).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on node-17 now", "on <host> now"),
        ("node-17.lab.example.org:8000", "<host>:8000"),
        ("user=anna", "user=<user>"),
        ("anna@node-17:~$", "<user>@<host>:~$"),
        ("hannah and annabel", "hannah and annabel"),
        ("anna_1 and node-170", "anna_1 and node-170"),
        ("Anna", "Anna"),
        ("(søren)", "(<user>)"),
        ("/home/anna/src/kit/kit/run.py", "<checkout>/kit/run.py"),
        ("/home/anna/src/kitten", "<home>/src/kitten"),
        ("/home/anna/.cache", "<home>/.cache"),
        ("-I/home/anna/include -L/tmp/scratch/lib", "-I<home>/include -L<tmp>/lib"),
        ("file:///home/anna/x", "file://<home>/x"),
        ("'/home/bob/x'", "'<home>/x'"),
        ("cwd=/Users/bob: no", "cwd=<home>: no"),
        ("/mnt/home/bob/x", "/mnt<home>/x"),
        ("/home/ is empty", "/home/ is empty"),
    ],
)
def test_names_and_folders(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3", "<ipv4>"),
        ("at 192.168.0.17.", "at <ipv4>."),
        ("tcp://10.1.2.3:29500", "tcp://<ipv4>:29500"),
        ("eth0:10.1.2.3<0>", "eth0:<ipv4><0>"),
        ("v1.2.3.4 and torch==12.8.4.1", "v<ipv4> and torch==<ipv4>"),
        ("127.0.0.1:8000 127.1.2.3 0.0.0.0:80", "127.0.0.1:8000 127.1.2.3 0.0.0.0:80"),
        ("2.10.0 and 1.2.3.4.5 and 535.104.5.1", "2.10.0 and 1.2.3.4.5 and 535.104.5.1"),
        ("10.1.2.256 10.1.2.3.", "10.1.2.256 <ipv4>."),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "<ipv6>"),
        ("[2001:db8::1]:8000", "[<ipv6>]:8000"),
        ("eth0:fe80::42:acff:fe11:2%eth0<0>", "eth0:<ipv6>%eth0<0>"),
        ("FD00::A, 2a02:1:2:3::/64", "<ipv6>, <ipv6>/64"),
        ("2001:db8::10.1.2.3", "<ipv6>"),
        ("::ffff:10.1.2.3", "::ffff:<ipv4>"),
        ("::1 :: [::]:8000", "::1 :: [::]:8000"),
        ("c10::Error std::abort fed::x fe80::z", "c10::Error std::abort fed::x fe80::z"),
        ("02:42:ac:11:00:02", "<mac>"),
        ("eth0:02:42:AC:11:00:02.", "eth0:<mac>."),
        (f"GPU-{UUID}, x_{UUID.upper()}", "GPU-<uuid>, x_<uuid>"),
        ("12:34:56 11-23 23:25:23.808000", "12:34:56 11-23 23:25:23.808000"),
        ("2026-03-06T12:34:56Z 2026:03:06 12:34:56", "2026-03-06T12:34:56Z 2026:03:06 12:34:56"),
        ("00000000:3B:00.0 0000:3b:00.0", "00000000:3B:00.0 0000:3b:00.0"),
        ("sha256:" + "ab" * 32, "sha256:" + "ab" * 32),
    ],
)
def test_shapes(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    "rest",
    [
        ":123:456 [0] NCCL INFO Channel 00/0 : 0[e000] -> 1[1] via P2P/IPC",
        ":123:456 [0] NCCL INFO NCCL version 2.27.5+cuda12.9",
        ":123:456 [1] NCCL INFO NET/Socket : Using [0]lo:127.0.0.1<0>",
        ":123:456 [1] NCCL INFO Bootstrap: comm 0x55d0 rank 1 nranks 2 busId 3b000",
    ],
)
def test_a_line_of_nccl_loses_the_host_only(rest: str) -> None:
    assert cleaned("node-17" + rest) == "<host>" + rest


def test_a_line_of_metrics_stays_as_it_is() -> None:
    line = 'vllm:generation_tokens_total{engine="0",model_name="moe-mini"} 1.7954764458876543e+09'
    assert cleaned(line) == line


def test_the_longest_name_wins_whatever_the_order() -> None:
    backwards = dict(reversed(PRIVATE.items()))
    text = b"/home/anna/src/kit/x node-17.lab.example.org"
    assert redact(text, backwards) == redact(text, PRIVATE) == b"<checkout>/x <host>"


def test_a_name_like_a_stand_in_does_not_break_the_stand_ins() -> None:
    private = {"/srv/user": "home", "host": "user", "user": "host"}
    assert redact(b"host user /srv/user/x", private) == b"<user> <host> <home>/x"


def test_signs_with_a_meaning_in_patterns_are_plain_in_names() -> None:
    private = {"a.c": "host", "(x|y)*": "user", "back\\slash": "home"}
    assert redact(b"abc a.c (x|y)* back\\slash", private) == b"abc <host> <user> <home>"


def test_nothing_private_is_nothing_changed() -> None:
    assert redact(b"plain \xff\x00 text\r\n", {"": "user"}) == b"plain \xff\x00 text\r\n"


@given(TEXTS, PRIVATES)
def test_twice_is_once(text: str, private: dict[str, str]) -> None:
    once = redact(text.encode(), private)
    assert redact(once, private) == once


@given(TEXTS, PRIVATES)
def test_no_name_is_left(text: str, private: dict[str, str]) -> None:
    left = re.sub(rb"<[a-z0-9]+>", b"\0", redact(text.encode(), private))
    for name in private:
        edge = r"[A-Za-z0-9_]"
        before = f"(?<!{edge})" if re.match(edge, name) else ""
        after = f"(?!{edge})" if re.match(edge, name[-1]) else ""
        assert not re.search((before + re.escape(name) + after).encode(), left)


@given(st.binary(max_size=100))
def test_garbage_never_raises(garbage: bytes) -> None:
    once = redact(garbage, PRIVATE)
    assert redact(once, PRIVATE) == once


@given(st.ip_addresses(v=4).filter(lambda address: not address.is_loopback and int(address)))
def test_no_ipv4_address_is_left(address: object) -> None:
    assert cleaned(f"peer {address}.") == "peer <ipv4>."


@given(st.ip_addresses(v=6, network="2000::/3") | st.ip_addresses(v=6, network="fe80::/10"))
def test_no_ipv6_address_is_left(address: object) -> None:
    assert cleaned(f"peer [{address}]") == "peer [<ipv6>]"
    assert cleaned(f"{getattr(address, 'exploded')}") == "<ipv6>"  # noqa: B009


@pytest.mark.parametrize(
    "line",
    [
        "(EngineCore pid=1) INFO 11-23 23:25:23 [importing.py:68] Channel 00/0 : 0[e000] -> 1[1]\n",
        "a:" * 50,
        "2001:" * 20,
        "1." * 50,
        "ab" * 50,
        "abcdef01-" * 12,
        "/home" * 20,
        "<" * 100,
        " " * 100,
    ],
)
def test_time_is_linear_in_the_text(line: str) -> None:
    """A second a megabyte; a pattern that backtracks over the rest of the text would take hours."""
    text = (line * (2**20 // len(line))).encode()
    start_s = time.process_time()
    assert len(redact(text, PRIVATE)) > 0
    assert time.process_time() - start_s < 30
