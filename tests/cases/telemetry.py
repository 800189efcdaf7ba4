"""Cases that tamper with the telemetry. No GPU was used: see `tests/fake_telemetry.py`."""

from msgspec.structs import replace

from kit.bundle.telemetry import ClockReason, Reading
from tests.cases.case import edit, forged, group, suspected
from tests.cases.runs import DENSE_TP1, NVLINK, PCIE, TP1
from tests.edits.telemetry import (
    each_card,
    each_reading,
    each_sample,
    set_one_reading,
    set_readings,
    telemetry_in,
    with_cards,
    with_samples,
)
from tests.factory import Draft
from tests.fake_telemetry import telemetry_of

SLOWED_BY_HEAT = (ClockReason.SW_POWER_CAP, ClockReason.SW_THERMAL_SLOWDOWN)
SLOWED_BY_BOARD = (ClockReason.HW_SLOWDOWN, ClockReason.HW_POWER_BRAKE_SLOWDOWN)
AN_HOUR_BEFORE = "2026-03-06T11:00:00.000000Z"


def drop_telemetry(draft: Draft) -> None:
    """Remove the telemetry."""
    draft.telemetry = None


def drop_end(draft: Draft) -> None:
    """Remove the last line."""
    draft.telemetry = replace(telemetry_in(draft), end=None)


def measure_another_run(draft: Draft, start_utc: str) -> None:
    """Replace the telemetry by that of a run at another time."""
    draft.telemetry = telemetry_of(start_utc, draft.document.clock.end_s)


def sample_after_the_end(draft: Draft) -> None:
    """Add a sample from a minute after the last."""
    with_samples(draft, lambda samples: (*samples, replace(samples[-1], t_s=samples[-1].t_s + 60)))


def list_first_card_only(draft: Draft) -> None:
    """List one card of two."""
    with_cards(draft, telemetry_in(draft).header.inventory.gpus[0])


def list_first_card_twice(draft: Draft) -> None:
    """List the first card in place of both, and read it alone."""
    first = telemetry_in(draft).header.inventory.gpus[0]
    with_cards(draft, first, first)
    each_sample(draft, lambda sample: replace(sample, gpus=sample.gpus[:1]))


def read_first_card_twice(draft: Draft) -> None:
    """Read the first card in place of both."""
    each_sample(draft, lambda sample: replace(sample, gpus=(sample.gpus[0], sample.gpus[0])))


def set_card(gpu: Reading, index: int, **values: object) -> Reading:
    """Return the reading with other values, if it is of this card."""
    return replace(gpu, **values) if gpu.index == index else gpu


def count_nvlink(draft: Draft, start_bytes: int, received: int, sent: int) -> None:
    """Let the counters of NVLink move by these bytes from sample to sample."""
    each_reading(
        draft,
        lambda number, gpu: replace(
            gpu,
            nvlink_received_bytes=start_bytes + received * number,
            nvlink_sent_bytes=start_bytes + sent * number,
        ),
    )


SAMPLES = group(
    "Telemetry: samples, cards and readings",
    forged("Telemetry is missing, and not declared absent", "protocol-evidence",
           drop_telemetry, runs=(TP1,)),
    forged("Telemetry has no end line", "topology-telemetry", drop_end, runs=(PCIE,)),
    forged("Samples end in the middle of the run", "topology-telemetry",
           edit(with_samples, lambda samples: samples[: len(samples) // 2]), runs=(PCIE,)),
    forged("Samples begin two seconds late", "topology-telemetry",
           edit(with_samples, lambda samples: samples[20:]), runs=(PCIE,)),
    forged("Samples are in reverse order", "topology-telemetry",
           edit(with_samples, lambda samples: samples[::-1]), runs=(PCIE,)),
    forged("A sample is from a minute after the end", "topology-telemetry",
           sample_after_the_end, runs=(PCIE,)),
    forged("Telemetry is of a run an hour before", "topology-telemetry",
           edit(measure_another_run, AN_HOUR_BEFORE), runs=(PCIE,)),
    forged("One card of two is listed", "topology-telemetry", list_first_card_only, runs=(PCIE,)),
    forged("One card is listed twice, and read once", "topology-telemetry",
           list_first_card_twice, runs=(NVLINK,)),
    forged("One card is read twice, and the other never", "topology-telemetry",
           read_first_card_twice, runs=(NVLINK,)),
    forged("Readings are of cards that are not listed", "topology-telemetry",
           edit(each_reading, lambda _, gpu: replace(gpu, index=gpu.index + 7)), runs=(NVLINK,)),
)  # fmt: skip

READINGS = group(
    "Telemetry: limits, slowdowns, memory, power, NVLink",
    suspected("The memory clock is far above its maximum once", "physics-memory-clock",
           edit(each_card, memory_clock_max_mhz=9751),
           edit(set_one_reading, memory_clock_mhz=99_999), runs=(TP1,)),
    forged("The cards have an A10's clocks and power limits, and the name of an RTX 3090",
           "physics-power",
           edit(each_card, memory_clock_max_mhz=6251, power_limit_w=150.0,
                power_default_limit_w=150.0), runs=(PCIE,)),
    forged("The clock reasons are thermal slowdowns", "topology-slowdown",
           edit(set_readings, clock_reasons=SLOWED_BY_HEAT), runs=(NVLINK,)),
    forged("The clock reasons are hardware slowdown and power brake", "topology-slowdown",
           edit(set_readings, clock_reasons=SLOWED_BY_BOARD), runs=(TP1,)),
    forged("Utilization is 0 % and the clock reason is idle, on both cards", "physics-power",
           edit(set_readings, utilization_percent=0, clock_reasons=(ClockReason.GPU_IDLE,)),
           runs=(NVLINK,)),
    forged("Utilization is 0 % on one card of two", "physics-power",
           edit(each_reading, lambda _, gpu: set_card(gpu, 1, utilization_percent=0)),
           runs=(PCIE,)),
    forged("The cards draw 9 W, too little energy for the tokens", "physics-power",
           edit(set_readings, power_w=9.0), runs=(DENSE_TP1,)),
    forged("The card draws 700 W, twice its limit", "physics-power",
           edit(set_readings, power_w=700.0), runs=(TP1,)),
    forged("No NVLink link is up", "topology-nvlink",
           edit(each_card, nvlink_links_active=0), runs=(NVLINK,)),
)  # fmt: skip
