"""Cases that tamper with the plan. All but the first renew the plan's digest."""

from msgspec.structs import replace

from kit.plan.plan import CachePolicy, Connection, Deviation, Dialect
from kit.plan.schedule import requests
from kit.plan.suite import Prompt
from tests.cases.case import edit, forged, group
from tests.cases.runs import ARTICLE, CPU, ENDPOINT, OPENAI
from tests.catalog import ENGINE
from tests.edits.document import set_document, set_plan
from tests.factory import Draft, change_plan, change_record


def add_flag(draft: Draft, flag: str) -> None:
    """Add a flag to the planned server command."""
    engine = draft.document.plan.engine
    assert engine is not None
    set_plan(draft, "engine.command", (*engine.command, flag))


def replace_first_prompt(draft: Draft, text: str) -> None:
    """Give the first prompt another text."""
    first, *rest = draft.document.plan.prompts
    set_plan(draft, "prompts", (Prompt(id=first.id, text=text), *rest))


def reverse_prompts(draft: Draft) -> None:
    """Plan the prompts in reverse order."""
    set_plan(draft, "prompts", draft.document.plan.prompts[::-1])


def repeat_first_prompt(draft: Draft) -> None:
    """Plan the first prompt again at the end."""
    prompts = draft.document.plan.prompts
    set_plan(draft, "prompts", (*prompts, prompts[0]))


def add_pass(draft: Draft) -> None:
    """Plan one measured pass more than was measured."""
    set_plan(draft, "measured_passes", draft.document.plan.measured_passes + 1)


def plan_without_end(draft: Draft) -> None:
    """Plan thirty million requests."""
    change_plan(draft, measured_passes=9999, prompts=draft.document.plan.prompts * 1000)


def call_model(draft: Draft, model: str) -> None:
    """Call a twin's run one of the model that it is shaped after."""
    cell = replace(draft.document.plan.cell, model=model)
    change_plan(draft, cell=cell, twin_of=None, deviations=())


def reseed(draft: Draft, seed: int) -> None:
    """Plan another seed, and let every request have the seed that follows from it."""
    set_plan(draft, "seed", seed)
    for position, request in enumerate(requests(draft.document.plan)):
        change_record(draft, position, seed=request.seed)


PLAN = group(
    "The plan",
    forged("The timeout is changed, and the plan's digest is not", "integrity-plan-digest",
           edit(set_document, "plan.timeout_s", 1.0)),
    forged("A prompt has another text", "protocol-plan", edit(replace_first_prompt, "Say yes.")),
    forged("Prompts are in reverse order", "protocol-plan", reverse_prompts),
    forged("A prompt is planned twice", "protocol-plan", repeat_first_prompt),
    forged("The system message has another text", "protocol-plan",
           edit(set_plan, "system", "Count to a thousand.")),
    forged("The temperature is 0, not 0.7", "protocol-plan",
           edit(set_plan, "sampling.temperature", 0.0)),
    forged("`max_tokens` is 64, not 8", "protocol-plan",
           edit(set_plan, "sampling.max_tokens", 64)),
    forged("The published `max_tokens` is 8, not 4096", "protocol-plan",
           edit(set_plan, "published_max_tokens", 8), runs=(ENDPOINT,)),
    forged("The twin is declared a twin of another model", "protocol-plan",
           edit(set_plan, "twin_of", "dense")),
    forged("The article's protocol reuses connections", "protocol-plan",
           edit(set_plan, "connection", Connection.KEPT), runs=(ARTICLE,)),
    forged("The kit's protocol has no warm-up", "protocol-plan",
           edit(set_plan, "warmup_passes", 0)),
    forged("The article's protocol has one pass more than was measured", "protocol-requests",
           add_pass, runs=(ARTICLE,)),
    forged("An endpoint is planned with the engine of a CPU topology", "protocol-runtime",
           edit(set_plan, "engine", ENGINE), runs=(ENDPOINT,)),
    forged("An engine that the kit started is missing from the plan", "protocol-runtime",
           edit(set_plan, "engine", None)),
    forged("An endpoint is declared `tp2-nvlink`", "protocol-runtime",
           edit(set_plan, "cell.topology", "tp2-nvlink"), runs=(ENDPOINT,)),
    forged("A twin's run is declared one of the model that it is shaped after", "protocol-plan",
           edit(call_model, "moe")),
    forged("A run on CPU is declared `tp2-nvlink`", "protocol-plan",
           edit(set_plan, "cell.topology", "tp2-nvlink")),
    forged("The suite is declared another one", "protocol-plan",
           edit(set_plan, "cell.suite", "article")),
    forged("The server command has one more flag", "protocol-plan",
           edit(add_flag, "--enforce-eager")),
    forged("The list of deviations is empty", "protocol-plan",
           edit(set_plan, "deviations", ()), runs=(CPU, ENDPOINT)),
    forged("The plan's seed is another one, and the seeds of all requests follow from it",
           "protocol-plan",
           edit(reseed, 1)),
    forged("The dialect of an engine that the kit started is that of any OpenAI endpoint",
           "protocol-plan",
           edit(set_plan, "dialect", Dialect.OPENAI)),
    forged("An OpenAI endpoint, which takes no salt, is planned with a cold cache", "protocol-plan",
           edit(set_plan, "cache", CachePolicy.COLD), edit(set_document, "run_salt", "5a" * 16),
           runs=(OPENAI,)),
    forged("The plan has thirty million requests, more than a bundle may hold", "schema-limits",
           plan_without_end),
    forged("The plan lists 101 deviations", "schema-shape",
           edit(set_plan, "deviations", (Deviation(what="a", why="b"),) * 101)),
)  # fmt: skip
