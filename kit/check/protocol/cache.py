"""The prefix cache did what the plan says, by the responses and by the server's counter."""

from collections.abc import Iterator

from kit.bundle.document import Status
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, Pass, counted_before, subject_of
from kit.parse import vllm_metrics
from kit.plan.plan import CachePolicy
from kit.plan.schedule import Phase

LARGEST_BLOCK_TOKENS = 128
"""vLLM 0.17's block of the prefix cache on CPU; a GPU's blocks are smaller."""


def _cache(evidence: Evidence) -> Iterator[Problem]:
    yield from _whole_prompts(evidence)
    options = evidence.document.plan.options
    if options is not None and options.enable_prefix_caching is False:
        yield from _no_hits(evidence)
    elif evidence.document.plan.cache is CachePolicy.COLD:
        yield from _cold(evidence)
    else:
        yield from _warm(evidence)


def _whole_prompts(evidence: Evidence) -> Iterator[Problem]:
    """At least a prompt's last token must be computed: the first of the answer follows from it.

    Of a prompt of n tokens vLLM takes n - 1 from the cache at most (`get_computed_blocks` in
    vllm/v1/core/kv_cache_manager.py). Another server may count otherwise.
    """
    problem = fail if evidence.is_own_engine else warn
    for record in evidence.answered:
        cached, prompt = record.cached_tokens or 0, record.prompt_tokens
        if prompt is not None and cached > 0 and cached >= prompt:
            observed = f"{cached} of {prompt} prompt tokens cached"
            yield problem(subject_of(record), observed, "one less than all, or fewer")


def _cold(evidence: Evidence) -> Iterator[Problem]:
    if evidence.document.run_salt is None:
        expected = "a salt that keeps this run from the cache of an earlier one"
        yield fail(BUNDLE, "no run_salt", expected)
    yield from _no_hits(evidence)


def _no_hits(evidence: Evidence) -> Iterator[Problem]:
    for record in evidence.answered:
        if record.cached_tokens:
            yield fail(subject_of(record), f"{record.cached_tokens} prompt tokens cached", "none")
    problem = fail if evidence.is_own_engine else unchecked
    for pass_ in evidence.passes:
        hits = pass_.moved(vllm_metrics.PREFIX_CACHE_HITS)
        if hits is None:
            yield from _uncounted(evidence, pass_)
        elif hits != 0:
            yield problem(pass_.name, f"{hits:.0f} prompt tokens from the cache", "none")


def _warm(evidence: Evidence) -> Iterator[Problem]:
    """An endpoint that reports cached tokens omits a count of 0; the kit's own engine does not."""
    reported = any(record.cached_tokens is not None for record in evidence.answered)
    problem = fail if evidence.is_own_engine else unchecked
    for pass_ in evidence.passes:
        hits = pass_.moved(vllm_metrics.PREFIX_CACHE_HITS)
        cached = sum(record.cached_tokens or 0 for record in pass_.records)
        if hits is None:
            yield from _uncounted(evidence, pass_)
        elif hits != cached and not (reported or evidence.is_own_engine):
            observed = "no response reports its cached tokens"
            yield unchecked(pass_.name, observed, f"{hits:.0f} in all")
        elif hits != cached:
            observed = f"{vllm_metrics.PREFIX_CACHE_HITS} moved by {hits:.0f}"
            yield problem(pass_.name, observed, f"{cached}, the sum of cached_tokens")
        elif hits == 0 and evidence.is_own_engine and _must_hit(pass_):
            yield fail(pass_.name, "nothing came from the cache", "hits: all were sent before")


def _must_hit(pass_: Pass) -> bool:
    """Tell whether a pass repeats prompts that fill at least one block of the cache."""
    longest = max((record.prompt_tokens or 0 for record in pass_.records), default=0)
    return pass_.phase is not Phase.WARMUP and longest > LARGEST_BLOCK_TOKENS


def _uncounted(evidence: Evidence, pass_: Pass) -> Iterator[Problem]:
    if evidence.document.status is Status.COMPLETE:
        yield unchecked(pass_.name, "no count of cache hits", vllm_metrics.PREFIX_CACHE_HITS)


def _fresh_engine(evidence: Evidence) -> Iterator[Problem]:
    """An engine counts from 0, and counts no token of its own start-up.

    A warning: with containers that were started by hand, other requests may have been sent
    first. What they left in the cache is in no record, so that the figures are not reportable.
    """
    if not evidence.passes:
        return
    first, counters = evidence.passes[0], counted_before(evidence)
    if not counters:
        yield unchecked(first.name, "no counters before it", "counters at 0")
    for name, value in counters.items():
        if value != 0:
            yield warn(first.name, f"{name} at {value:g} before it", "counters at 0")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-cache",
        holds="the prefix cache did what the plan's policy says",
        hint="measure again; with --cache cold the server must understand cache_salt",
        look=_cache,
    ),
    Check(
        id="protocol-fresh-engine",
        holds="the kit's own engine had counted nothing before the warm-up",
        hint="start the engine anew and measure again: earlier requests may be in its cache",
        look=_fresh_engine,
        applies=lambda evidence: evidence.is_own_engine,
        for_figures=ForFigures.PASSED,
    ),
)
