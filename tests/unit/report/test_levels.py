"""Levels of agents in every format of a report."""

import json

import pytest

from kit.bundle.bag import Bundle
from kit.figures.goodput import parse
from kit.figures.summary import Summary, summarise
from kit.plan.plan import ProtocolName
from kit.report import document, markdown, page, pictures, terminal
from tests.factory import Settings, draft

AGENTS = (1, 2, 4)


def level(agents: int) -> Bundle:
    made = draft(Settings(suite="agents", agents=agents, seed=agents))
    return Bundle(id=f"{agents:064x}", document=made.document, records=tuple(made.records))


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise([level(agents) for agents in AGENTS], objectives=parse("ttft=1s,tpot=100ms"))


def test_levels_stand_beside_each_other_with_their_speed_up(summary: Summary) -> None:
    (shown,) = summary.levels
    assert [cell.swarm.agents for cell in shown.cells if cell.swarm] == list(AGENTS)
    values = [speed_up.value for speed_up in shown.speed_ups if speed_up]
    assert values == [1.0, pytest.approx(2, rel=0.05), pytest.approx(4, rel=0.05)]
    assert all(speed_up.interval for speed_up in shown.speed_ups if speed_up)


def test_the_published_way_stands_beside_it(summary: Summary) -> None:
    (shown,) = summary.levels
    one, *more = shown.published_speed_ups
    assert one == 1.0
    assert all(speed_up and speed_up > 1.5 for speed_up in more)
    for text in (markdown.render(summary), terminal.render(summary)):
        assert "Computed as published" in text


def test_a_run_for_a_time_says_whether_its_rate_held() -> None:
    made = draft(Settings(suite="agents", agents=2, passes=4, duration_s=5.0))
    bundle = Bundle(id="ab" * 32, document=made.document, records=tuple(made.records))
    assert "% of the first" in terminal.render(summarise([bundle]))


@pytest.mark.parametrize("agents", [(4, 8), (8,)])
def test_published_levels_have_a_report_though_little_lies_in_a_window(
    agents: tuple[int, ...],
) -> None:
    protocol = ProtocolName.ARTICLE
    drafts = [
        draft(Settings(suite="agents", agents=one, protocol=protocol, passes=None))
        for one in agents
    ]
    bundles = [
        Bundle(id=f"{number:064x}", document=made.document, records=tuple(made.records))
        for number, made in enumerate(drafts)
    ]
    summary = summarise(bundles)
    assert "Computed as published" in terminal.render(summary)
    assert ("agents" in {one.name for one in pictures.draw(summary)}) is (4 in agents)
    assert "Computed as published" in page.files(bundles, [])["index.html"].decode()


def test_a_level_has_no_columns_of_prompts(summary: Summary) -> None:
    assert summary.by_prompts() == {}


def test_the_terminal_has_a_row_for_each_level() -> None:
    text = terminal.render(summarise([level(agents) for agents in AGENTS]))
    rows = text.split("\n\n")[0].splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["1", "2", "4"]
    assert max(map(len, text.splitlines())) <= 100


def test_markdown_has_a_table_and_the_most_agents_within_the_objectives(summary: Summary) -> None:
    text = markdown.render(summary)
    assert "| Agents | tok/s | 95 % interval |" in text
    assert "up to 4 agents with 95 % of requests within ttft=1s,tpot=100ms" in text


def test_the_page_shows_levels_windows_and_how_they_are_computed(summary: Summary) -> None:
    drawn = pictures.draw(summary)
    assert {"agents", "requests-in-flight"} <= {picture.name for picture in drawn}
    text = page.render(summary, drawn, [])
    assert "Agents at once" in text
    assert "Effective throughput of agents" in text


def test_json_has_the_windows(summary: Summary) -> None:
    figures = json.loads(document.render(summary))
    for cell, agents in zip(figures["cells"], AGENTS, strict=True):
        assert cell["agents"]["agents"] == agents
        assert len(cell["agents"]["windows"]) == 3
        assert cell["goodput"]["share"] == 1.0
