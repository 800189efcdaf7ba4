"""All tables of tampering, and the page that lists them."""

from tests.cases.agents import AGENTS
from tests.cases.answers import ANSWERS
from tests.cases.bag_files import BAG_FILES
from tests.cases.case import Case
from tests.cases.chunks import CHUNKS
from tests.cases.document import DOCUMENT
from tests.cases.host_facts import HOST_FACTS
from tests.cases.json_text import JSON_TEXT
from tests.cases.metrics import METRICS
from tests.cases.nccl_log import NCCL_LOG
from tests.cases.plan import PLAN
from tests.cases.prompts import PROMPTS
from tests.cases.requests import REQUESTS
from tests.cases.server_log import SERVER_LOG_SETTINGS, SERVER_LOG_TIMES
from tests.cases.speed import SPEED
from tests.cases.telemetry import READINGS, SAMPLES
from tests.cases.times import TIMES
from tests.cases.unseen import UNSEEN

GROUPS = (
    REQUESTS,
    PROMPTS,
    ANSWERS,
    TIMES,
    CHUNKS,
    AGENTS,
    SPEED,
    PLAN,
    DOCUMENT,
    METRICS,
    SERVER_LOG_TIMES,
    SERVER_LOG_SETTINGS,
    NCCL_LOG,
    SAMPLES,
    READINGS,
    HOST_FACTS,
    BAG_FILES,
    JSON_TEXT,
    UNSEEN,
)
CASES = tuple(case for group in GROUPS for case in group.cases)


def page() -> str:
    """Return `tests/cases/README.md`: every kind of tampering, with the codes that must name it."""
    tables = "\n".join(
        f"## {group.title}\n\n| What is changed | Run | Codes |\n| --- | --- | --- |\n"
        + "".join(map(_row, group.cases))
        for group in GROUPS
    )
    return (
        f"# Tampering\n\n{len(CASES)} ways to tamper with a valid bundle, and the codes of the "
        "checks that must fail for each; in\nthe last table, warn. Most edit a bundle before it is "
        "sealed, so that every hash is right; the rest\nchange sealed files. Each table is a "
        "module of this folder; `make pages` renders this page.\n\n"
        f"{tables}"
    )


def _row(case: Case) -> str:
    runs = "; ".join(run.name for run in case.runs)
    codes = " ".join(f"`{code}`" for code in case.codes)
    return f"| {case.what} | {runs} | {codes} |\n"
