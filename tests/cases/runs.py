"""The simulated runs that the cases begin from."""

from dataclasses import dataclass

from kit.bundle.document import Runtime
from kit.plan.plan import CachePolicy, Dialect, ProtocolName
from tests.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One kind of run, by the name that the page gives it."""

    name: str
    settings: Settings


CPU = Run(name="cpu-tp1", settings=Settings())
CPU_TWO_RANKS = Run(name="cpu-tp2", settings=Settings(topology="cpu-tp2"))
CPU_IN_CONTAINERS = Run(name="cpu-tp1 in containers", settings=Settings(runtime=Runtime.DOCKER))
MANY_PASSES = Run(name="cpu-tp1, 30 passes", settings=Settings(passes=30))
COLD = Run(name="cpu-tp1, cold cache", settings=Settings(cache=CachePolicy.COLD))
ARTICLE = Run(name="cpu-tp1, article's protocol", settings=Settings(protocol=ProtocolName.ARTICLE))
PARTIAL = Run(name="cpu-tp1, stopped early", settings=Settings(stop_after=5))

ENDPOINT = Run(name="vLLM endpoint", settings=Settings(runtime=Runtime.ENDPOINT))
OPENAI = Run(
    name="OpenAI endpoint",
    settings=Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False),
)

TP1 = Run(name="moe on tp1", settings=Settings(topology="tp1", model="moe"))
NVLINK = Run(name="moe on tp2-nvlink", settings=Settings(topology="tp2-nvlink", model="moe"))
PCIE = Run(name="moe on tp2-pcie", settings=Settings(topology="tp2-pcie", model="moe"))
COLD_NVLINK = Run(
    name="moe on tp2-nvlink, cold cache",
    settings=Settings(topology="tp2-nvlink", model="moe", cache=CachePolicy.COLD),
)
FP8 = Run(name="moe-fp8 on tp2-nvlink", settings=Settings(topology="tp2-nvlink", model="moe-fp8"))
DENSE_TP1 = Run(name="dense on tp1", settings=Settings(topology="tp1", model="dense"))
DENSE_PCIE = Run(name="dense on tp2-pcie", settings=Settings(topology="tp2-pcie", model="dense"))

SWARM = Run(name="4 agents on cpu-tp1", settings=Settings(suite="agents", agents=4))
SWARM_ALONE = Run(name="1 agent on cpu-tp1", settings=Settings(suite="agents", agents=1))
SWARM_PUBLISHED = Run(
    name="8 agents on cpu-tp1, article's protocol",
    settings=Settings(suite="agents", agents=8, protocol=ProtocolName.ARTICLE, passes=None),
)
