"""The topology tier's look at which model was served, by the server's own log.

The folder that it was loaded from, the class that vLLM resolved, and the memory that it takes.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from kit.bundle.bag import SERVER_LOG
from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.check.topology import cache_config, memory
from kit.check.topology.options import planned_options
from kit.check.topology.settings import unread
from kit.parse.vllm_log import ServerLog
from kit.plan.models import Model
from kit.plan.plan import Engine
from kit.roofline import model as roofline

_CLASSES = {roofline.MOE: "Qwen3MoeForCausalLM", roofline.DENSE: "Qwen2ForCausalLM"}
"""The class of transformers, and of vLLM, for a `model_type`."""


def check(evidence: Evidence, engine: Engine, catalog: Catalog) -> Iterator[Finding]:
    """Yield whether the log names the plan's model."""
    model = catalog.models.get(evidence.document.plan.cell.model)
    found = _model(evidence, engine, model)
    yield from findings(Code.TOPOLOGY_MODEL, found)


def _model(evidence: Evidence, engine: Engine, model: Model | None) -> Iterator[Problem]:
    log = evidence.observed.server_log
    if (reason := unread(log)) is not None or log is None:
        yield unchecked(SERVER_LOG, reason or "no server log", Code.TOPOLOGY_MODEL.holds)
        return
    yield from _folder(evidence, engine, log)
    yield from cache_config.name(evidence, planned_options(engine.command))
    yield from cache_config.cache_tokens(evidence, log)
    if model is not None:
        yield from _class(model, log)
        yield from memory.check(evidence, engine, model, log)


def _folder(evidence: Evidence, engine: Engine, log: ServerLog) -> Iterator[Problem]:
    """Hold the name of the model's folder: what is above it is the machine's, and redacted."""
    wanted = _served(engine) or evidence.document.plan.cell.model
    arguments = dict((log.arguments or (None,))[0] or ())
    given = (arguments[name].strip('"') for name in ("model", "model_tag") if name in arguments)
    told = {PurePosixPath(folder).name for folder in (*log.models, *given)} - {""}
    for name in sorted(told):
        if "<" in name:
            yield unchecked(SERVER_LOG, clip(f"a redacted name, {name}"), clip(wanted))
        elif name != wanted:
            yield fail(SERVER_LOG, clip(f"model {name}"), clip(wanted))
    if not told:
        yield unchecked(SERVER_LOG, "the log names no model", clip(wanted))


def _served(engine: Engine) -> str | None:
    """Return the name of the folder that the command serves."""
    words = engine.command
    if "serve" not in words[:-1] or (word := words[words.index("serve") + 1]).startswith("--"):
        return None
    return PurePosixPath(word).name


def _class(model: Model, log: ServerLog) -> Iterator[Problem]:
    """Hold the architecture; a rehearsal's twin has its model's."""
    wanted = _CLASSES.get(str(model.config.get("model_type")))
    for told in log.architectures if wanted else ():
        if told != wanted:
            yield fail(SERVER_LOG, f"architecture {clip(told)}", wanted or "")
    if wanted and not log.architectures:
        yield unchecked(SERVER_LOG, "the log resolves no architecture", wanted)
