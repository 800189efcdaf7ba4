"""NCCL's debug log, in every form that its releases write. No GPU was seen: see the fixtures."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.parse import nccl_log
from kit.parse.nccl_log import Channel, Via

LOGS = Path(__file__).parents[2] / "logs"


def log(name: str) -> bytes:
    return (LOGS / f"{name}.log").read_bytes()


def line(wording: str, ranks: str = "0[0] -> 1[1]", channel: str = "Channel 00/0 : ") -> bytes:
    return f"node:4:4 [0] NCCL INFO {channel}{ranks} via {wording}\n".encode()


@pytest.mark.parametrize(
    ("name", "via", "wordings"),
    [
        ("nccl-p2p", Via.P2P, {"P2P/CUMEM", "P2P/CUMEM/read"}),
        ("nccl-p2p-graph", Via.P2P, {"P2P/IPC"}),
        ("nccl-shm", Via.SHM, {"SHM/direct/direct"}),
        ("nccl-socket", Via.SOCKET, {"NET/Socket/0"}),
    ],
)
def test_a_log_of_each_transport(name: str, via: Via, wordings: set[str]) -> None:
    found = nccl_log.read(log(name))
    assert found.versions == ("2.27.5+cuda12.9",)
    assert {channel.via for channel in found.channels} == {via}
    assert {channel.wording for channel in found.channels} == wordings
    assert {(channel.source_rank, channel.target_rank) for channel in found.channels} == {
        (0, 1),
        (1, 0),
    }
    assert {channel.number for channel in found.channels} == {0, 1}
    assert not found.is_cut


def test_forms_of_older_releases_and_other_transports() -> None:
    found = [(one.number, one.wording, one.via) for one in nccl_log.read(log("nccl-old")).channels]
    assert found == [
        (0, "P2P/IPC", Via.P2P),
        (1, "direct shared memory", Via.SHM),
        (2, "P2P/direct pointer", Via.P2P),
        (3, "SHM/CE/direct", Via.SHM),
        (4, "NET/IB/0/GDRDMA/Shared", Via.OTHER),
        (5, "P2P/indirect/2[2]", Via.OTHER),
    ]


def test_a_channel_that_is_told_twice_is_one() -> None:
    assert len(nccl_log.read(line("P2P/IPC") * 3).channels) == 1


@pytest.mark.parametrize("wording", ["NET/Socketry", "SHM", "P2P/", "NVLS", "CXL/direct", "via"])
def test_a_transport_that_is_not_known_is_never_left_out(wording: str) -> None:
    (channel,) = nccl_log.read(line(wording)).channels
    assert channel.via is Via.OTHER


@pytest.mark.parametrize(
    "text",
    [b"Channel 00/0 : 0[0] -> 1[1] via P2P/IPC", b"node NCCL INFO Channel 00/02 :    0   1\n", b""],
)
def test_what_is_not_a_channels_line(text: bytes) -> None:
    assert nccl_log.read(text).channels == ()


def test_the_environment_with_a_full_stop_or_without() -> None:
    assert nccl_log.read(log("nccl-socket")).environment == (
        ("NCCL_NET", "Socket"),
        ("NCCL_P2P_DISABLE", "1"),
        ("NCCL_SHM_DISABLE", "1"),
    )
    assert nccl_log.read(log("nccl-p2p")).environment == ()


def test_the_bandwidth_of_nvlink_where_the_graph_is_told() -> None:
    assert nccl_log.read(log("nccl-p2p-graph")).nvlink_gb_s == (48.0,)
    assert nccl_log.read(log("nccl-p2p")).nvlink_gb_s == ()


def test_the_processes_that_wrote() -> None:
    for name in ("nccl-p2p", "nccl-shm", "nccl-socket"):
        assert nccl_log.read(log(name)).pids == (41, 42)
    assert nccl_log.read(b"a-host:7:9 [-1] NCCL INFO Bootstrap: Using lo\n").pids == (7,)
    assert nccl_log.read(b"NCCL INFO Bootstrap: Using eth0:127.0.0.1<0>\n").pids == ()


def test_carriage_returns_do_no_harm() -> None:
    (channel,) = nccl_log.read(line("SHM/direct/direct").replace(b"\n", b"\r\n")).channels
    assert channel.wording == "SHM/direct/direct"


def test_more_than_is_looked_at_is_said() -> None:
    many = b"".join(line(f"NET/Socket/{n}") for n in range(nccl_log.DISTINCT_LIMIT + 1))
    found = nccl_log.read(many)
    assert (len(found.channels), found.is_cut) == (nccl_log.DISTINCT_LIMIT, True)
    exactly = b"".join(line(f"NET/Socket/{n}") for n in range(nccl_log.DISTINCT_LIMIT))
    assert not nccl_log.read(exactly + exactly).is_cut
    assert nccl_log.read(b" " * (nccl_log.LOG_LIMIT_BYTES + 1)).is_cut


ranks = st.integers(0, 99999)
brackets = st.sampled_from(["", "[0]", "[e000]", "[21000]"])
wordings = st.sampled_from(
    ["P2P/CUMEM", "P2P/IPC/read", "SHM/direct/direct", "NET/Socket/0", "NET/IB/1/GDRDMA"]
)


@given(
    number=st.integers(0, 99),
    ranks=st.tuples(ranks, ranks),
    brackets=st.tuples(brackets, brackets),
    suffix=st.sampled_from(["", "/0", "/1"]),
    direction=st.sampled_from(["", " [send]", " [receive]"]),
    wording=wordings,
)
def test_every_form_of_a_line_is_read_back(
    *,
    number: int,
    ranks: tuple[int, int],
    brackets: tuple[str, str],
    suffix: str,
    direction: str,
    wording: str,
) -> None:
    between = f"{ranks[0]}{brackets[0]} -> {ranks[1]}{brackets[1]}{direction}"
    (channel,) = nccl_log.read(line(wording, between, f"Channel {number:02d}{suffix} : ")).channels
    assert channel == Channel(
        number=number,
        source_rank=ranks[0],
        target_rank=ranks[1],
        via=nccl_log.read(line(wording)).channels[0].via,
        wording=wording,
    )


@given(st.binary(max_size=500))
def test_any_bytes_can_be_read(text: bytes) -> None:
    found = nccl_log.read(log("nccl-shm") + text)
    assert len(found.channels) >= 4


@pytest.mark.parametrize(
    "piece",
    [
        b"NCCL INFO ",
        b"NVL[",
        b"NVL[1.",
        b"\n",
        b"N",
        b"NCCL version 1.",
        b"NCCL INFO Channel 00 : 0[0] -> ",
        b"NCCL INFO NCCL_A set by environment to ",
    ],
)
def test_hostile_text_takes_linear_time(piece: bytes) -> None:
    began = time.process_time()
    nccl_log.read(piece * (2**20 // len(piece)))
    assert time.process_time() - began < 5
