"""Cells as a matrix of topologies."""

from kit.bundle.bag import Bundle
from kit.figures.summary import summarise
from kit.report import page
from tests.factory import Settings, draft


def bundle(number: int, topology: str, agents: int | None = None) -> Bundle:
    suite = "small" if agents is None else "agents"
    made = draft(Settings(topology=topology, seed=number, agents=agents, suite=suite))
    return Bundle(id=f"{number:064x}", document=made.document, records=tuple(made.records))


BUNDLES = [
    bundle(1, "cpu-tp1"),
    bundle(2, "cpu-tp1"),
    bundle(3, "cpu-tp2"),
    bundle(4, "cpu-tp1", 2),
]


def test_a_place_has_every_start_and_may_be_empty() -> None:
    grid = summarise(BUNDLES).grid
    assert grid is not None
    assert grid.topologies == ("cpu-tp1", "cpu-tp2")
    alone, agents = grid.columns
    assert [len(grid.at(topology, alone)) for topology in grid.topologies] == [2, 1]
    assert [len(grid.at(topology, agents)) for topology in grid.topologies] == [1, 0]


def test_of_one_topology_there_is_none() -> None:
    assert summarise(BUNDLES[:2]).grid is None


def test_the_page_links_each_cell_to_its_evidence() -> None:
    html = page.files(BUNDLES, [])["index.html"].decode()
    for one in BUNDLES:
        assert f'<a href="#bundle-{one.id[:16]}">' in html
        assert f'<h3 id="bundle-{one.id[:16]}">' in html
