"""Published figures against each other: averages, claims, bounds, and other runs of a cell."""

import math
from collections.abc import Iterator, Mapping

from kit.claims import formula
from kit.claims import noise as published_noise
from kit.claims.audit.finding import AuditFinding, Rule
from kit.claims.claim import Claim, Measure, Relation
from kit.claims.estimate import Estimate, Repetitions, sampled, sensitivity
from kit.claims.formula import Quantity, Undefined
from kit.claims.noise import Noise
from kit.claims.reference import PublishedFigures, Reference
from kit.claims.rounding import Range, exactly, printed

References = Mapping[str, Reference]
"""All references by id, the audited one included."""


class Unpublished(LookupError):
    """A figure in a formula that was not published."""


def findings(
    reference: Reference, references: References, noise: Noise | None
) -> Iterator[AuditFinding]:
    """Yield the findings on a reference's figures and claims."""
    if reference.protocol.measured_passes is not None:
        yield _repeats(reference.protocol.measured_passes, noise)
    for key, figures in reference.cells.items():
        if figures.rate is not None:
            yield from _averages(key, figures.rate, figures)
    for claim in reference.claims:
        if claim.measure is not None:
            yield from _claim(claim, claim.measure, reference, references)
            yield from _noise(claim, claim.measure, reference, references, noise)
    for other in references.values():
        if other.id != reference.id:
            yield from _other_run(reference, other, noise)


def _repeats(passes: int, noise: Noise | None) -> AuditFinding:
    runs = ""
    if noise is not None:
        cells = ", ".join(map(str, noise.cells))
        runs = f"; the author's own runs of {cells} scatter by {noise.deviation:.1%}"
    return Rule.REPEATS.finding(
        True if passes > 1 else None,
        "all cells",
        said=f"{passes} measured pass(es) a cell",
        found=("no error bar can be had" if passes == 1 else "repeated") + runs,
        evidence="protocol and repeats of the reference",
    )


def _averages(key: str, rate: str, figures: PublishedFigures) -> Iterator[AuditFinding]:
    """Yield which of two averages the published one is: pooled, or the mean of its row."""
    average, said = printed(rate), f"average {rate} tok/s"
    is_pooled = False
    if figures.tokens is not None and figures.seconds is not None:
        pooled = exactly(figures.tokens) / printed(figures.seconds)
        is_pooled = pooled.overlaps(average)
        yield Rule.POOLED.finding(
            is_pooled,
            key,
            said=said,
            found=f"{figures.tokens} tokens / {figures.seconds} s = {pooled} tok/s",
            evidence="tokens and seconds of the cell",
        )
    if figures.prompts:
        rates = [printed(prompt_rate) for prompt_rate in figures.prompts.values()]
        mean = sum(rates[1:], rates[0]) / exactly(len(rates))
        is_mean = mean.overlaps(average)
        yield Rule.MEAN_OF_ROW.finding(
            is_mean,
            key,
            said=said,
            found=f"the mean of {len(rates)} columns is {mean} tok/s"
            + (": the average is pooled" if is_pooled and not is_mean else ""),
            evidence=" ".join(figures.prompts.values()),
        )


def _claim(
    claim: Claim, measure: Measure, reference: Reference, references: References
) -> Iterator[AuditFinding]:
    """Yield whether a claim follows from the published figures in its formula."""
    source = measure.cells_of or reference.id
    said = f"{claim.statement} ({_bound(measure)})"
    try:
        value = _value(measure, references.get(source), reference)
    except (Unpublished, Undefined) as why:
        yield Rule.CLAIM.finding(None, claim.id, said=said, found=str(why), evidence=source)
        return
    holds = _holds(measure, value)
    evidence = f"{measure.formula}, figures of {source}"
    found = f"the published figures give {value} {measure.unit}"
    if holds is None:
        found += ": it depends on how they were rounded"
    yield Rule.CLAIM.finding(holds, claim.id, said=said, found=found, evidence=evidence)
    if holds is False and (inverse := _inverse(measure, value)) is not None:
        found = f"the figure fits the inverse, {inverse}: a percentage of the other one"
        yield Rule.DIRECTION.finding(False, claim.id, said=said, found=found, evidence=evidence)


def _bound(measure: Measure) -> str:
    words = {Relation.EQUALS: "", Relation.AT_MOST: "at most ", Relation.AT_LEAST: "at least "}
    return f"{words[measure.relation]}{measure.published} {measure.unit}"


def _value(measure: Measure, source: Reference | None, reference: Reference) -> Range:
    if source is None:
        raise Unpublished(f"there is no reference {measure.cells_of}")
    return formula.evaluate(
        measure.tree,
        exactly,
        lambda quantity: printed(_published(quantity, source)),
        lambda name: float(reference.parameters[name]),
    )


def _published(quantity: Quantity, source: Reference) -> str:
    figures = source.figures(quantity.cells[0])
    figure = None
    if figures is not None and quantity.name == "rate":
        figure = figures.prompts.get(quantity.words[0]) if quantity.words else figures.rate
    elif figures is not None and quantity.name == "request-rate":
        figure = figures.request_rate
    if figure is None:
        raise Unpublished(f"{source.id} has no figure for {quantity}")
    return figure


def _holds(measure: Measure, value: Range) -> bool | None:
    """Tell whether the value fits the published figure; None if that depends on rounding."""
    figure = measure.figure
    if measure.relation is Relation.EQUALS:
        return value.overlaps(figure)
    if measure.relation is Relation.AT_MOST:
        inside, outside = value.high <= figure.low, value.low > figure.high
    else:
        inside, outside = value.low >= figure.high, value.high < figure.low
    return True if inside else False if outside else None


def _inverse(measure: Measure, value: Range) -> Range | None:
    """Return the inverse of a ratio if the published percentage is relative to the other figure."""
    if measure.relation is not Relation.EQUALS or measure.unit != "x" or value.low <= 0:
        return None
    try:
        inverse = exactly(1.0) / value
    except Undefined:
        return None
    mirrored = exactly(2.0) - measure.figure
    return inverse if inverse.overlaps(mirrored) else None


def _noise(
    claim: Claim,
    measure: Measure,
    reference: Reference,
    references: References,
    noise: Noise | None,
) -> Iterator[AuditFinding]:
    """Yield whether a bound is further from the value than the noise of single passes."""
    source = references.get(measure.cells_of or reference.id)
    if measure.relation is Relation.EQUALS or source is None:
        return
    try:
        estimate = formula.evaluate(
            measure.tree,
            Estimate,
            lambda quantity: _single_pass(quantity, source),
            lambda name: float(reference.parameters[name]),
        )
        half = published_noise.half_width(noise) * sensitivity(estimate)
    except (Unpublished, Undefined):
        return
    value, distance = estimate.value, exactly(estimate.value).log_distance(measure.figure)
    yield Rule.NOISE.finding(
        True if distance > half else None,
        claim.id,
        said=_bound(measure),
        found=f"{value:.4g} is {distance:.1%} from the bound; single passes see {half:.1%}",
        evidence="the author's repeats of a cell" if noise else "restarts of other engines",
    )


def _single_pass(quantity: Quantity, source: Reference) -> Estimate:
    repetitions = Repetitions(cell=quantity.cells[0], name=str(quantity), spread=None, starts=1)
    return sampled(repetitions, float(_published(quantity, source)))


def _other_run(
    reference: Reference, other: Reference, noise: Noise | None
) -> Iterator[AuditFinding]:
    """Yield whether two references have the same figures, as far as single passes can tell."""
    allowed = math.sqrt(2) * published_noise.half_width(noise)
    for key, figures in reference.cells.items():
        theirs = other.cells.get(key)
        if figures.rate is None or theirs is None or theirs.rate is None:
            continue
        distance = printed(figures.rate).log_distance(printed(theirs.rate))
        difference = float(theirs.rate) / float(figures.rate) - 1
        yield Rule.OTHER_RUN.finding(
            distance <= allowed,
            f"{key} in {other.id}",
            said=f"{figures.rate} tok/s",
            found=f"{other.id} has {theirs.rate} tok/s, {difference:+.1%}; noise of two single "
            f"passes explains {allowed:.1%}",
            evidence=_environments(figures, theirs) or f"tables of {reference.id} and {other.id}",
        )


def _environments(figures: PublishedFigures, theirs: PublishedFigures) -> str:
    """Return the environment variables of both runs; empty if they are equal."""
    if figures.environment == theirs.environment:
        return ""
    here, there = (
        " ".join(f"{name}={value}" for name, value in sorted(run.environment.items())) or "nothing"
        for run in (figures, theirs)
    )
    return f"environment here: {here}; there: {there}"
