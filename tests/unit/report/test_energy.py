"""Energy in every format of a report, and the curve over power limits; no GPU was used."""

import json

import pytest
from msgspec.structs import replace

from kit.bundle.bag import Bundle
from kit.bundle.telemetry import Telemetry
from kit.figures.summary import Summary, summarise
from kit.report import document, markdown, page, pictures, terminal
from tests.factory import Settings, draft

GPU = Settings(topology="tp2-pcie", model="moe")


def capped(telemetry: Telemetry, limit_w: float) -> Telemetry:
    """Return telemetry of boards that take as much as they may, with a counter."""
    gpus = tuple(replace(gpu, power_limit_w=limit_w) for gpu in telemetry.header.inventory.gpus)
    inventory = replace(telemetry.header.inventory, gpus=gpus)
    samples = tuple(
        replace(
            sample,
            gpus=tuple(
                replace(one, power_w=limit_w, energy_mj=int(1000 * limit_w * sample.t_s))
                for one in sample.gpus
            ),
        )
        for sample in telemetry.samples
    )
    header = replace(telemetry.header, inventory=inventory)
    return replace(telemetry, header=header, samples=samples)


def bundle(number: int, limit_w: float | None) -> Bundle:
    made = draft(replace_seed(number))
    assert made.telemetry is not None
    telemetry = made.telemetry
    if limit_w is None:
        telemetry = replace(telemetry, samples=telemetry.samples[:2])
    else:
        telemetry = capped(telemetry, limit_w)
    records = tuple(made.records)
    return Bundle(id=f"{number:064x}", document=made.document, records=records, telemetry=telemetry)


def replace_seed(seed: int) -> Settings:
    return Settings(topology=GPU.topology, model=GPU.model, seed=seed)


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise([bundle(1, 350.0), bundle(2, 250.0), bundle(3, None)])


def test_joules_are_what_the_boards_took(summary: Summary) -> None:
    rows = json.loads(document.render(summary))["cells"]
    energy = rows[0]["energy"]
    by_hand_j = 2 * 350.0 * energy["seconds"]
    assert energy["counted_j"] == pytest.approx(by_hand_j, rel=1e-3)
    assert energy["integrated_j"] == pytest.approx(by_hand_j, rel=1e-3)
    assert energy["joules_per_token"] == pytest.approx(by_hand_j / energy["tokens"], rel=1e-3)
    assert "absent" in rows[2]["energy"]


def test_every_format_shows_it_or_the_reason(summary: Summary) -> None:
    html = page.files([bundle(1, 350.0), bundle(3, None)], [])["index.html"].decode()
    for text in (terminal.render(summary), markdown.render(summary), html):
        assert "J a token" in text
        assert "power was read over" in text


def test_cells_under_two_limits_are_drawn_as_a_curve(summary: Summary) -> None:
    names = {one.name for one in pictures.draw(summary)}
    assert {"energy", "power-limits"} <= names
    one = summarise([bundle(1, 350.0)])
    assert "power-limits" not in {drawn.name for drawn in pictures.draw(one)}
