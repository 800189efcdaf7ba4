"""Published figures against themselves: averages, claims, and what other runs have of a cell."""

import math
from collections.abc import Iterator, Mapping

from kit.claims import formula
from kit.claims.audit.finding import AuditFinding, AuditOutcome, Rule, finding, told
from kit.claims.claim import Claim, Measure, Relation
from kit.claims.estimate import Estimate, Sample, reach, sampled
from kit.claims.formula import CellName, Undefined
from kit.claims.reference import CellFigures, Noise, Reference
from kit.claims.rounding import Range, exactly, printed
from kit.figures import intervals

References = Mapping[str, Reference]


class Unpublished(LookupError):
    """A figure that a formula asks for and that was not published."""


def check(
    reference: Reference, everyone: References, noise: Noise | None
) -> Iterator[AuditFinding]:
    """Yield the findings on a reference's figures; `everyone` are all references, by id."""
    yield from _repeats(reference, noise)
    for key, figures in reference.cells.items():
        yield from _averages(key, figures)
    for claim in reference.claims:
        if claim.measure is not None:
            yield from _claim(claim, claim.measure, reference, everyone)
            yield from _noise(claim, claim.measure, reference, everyone, noise)
    for other in everyone.values():
        if other.id != reference.id:
            yield from _other_run(reference, other, noise)


def deviation(noise: Noise | None) -> float:
    """Return the half-width at 95 % of one published figure, in proportion."""
    if noise is None:
        return intervals.RESTART_FLOOR
    return intervals.student_t_quantile(noise.degrees) * noise.deviation


def apart(one: Range, other: Range) -> float:
    """Return how far two ranges are apart on the logarithm: 0 if they overlap, inf from 0."""
    if one.overlaps(other):
        return 0.0
    low, high = sorted((one, other), key=lambda each: each.low)
    if low.high <= 0:
        return math.inf
    return math.log(high.low / low.high)


def shown(found: Range) -> str:
    """Return a range as text: one number where its ends agree to four digits."""
    low, high = f"{found.low:.4g}", f"{found.high:.4g}"
    return low if low == high else f"{low} to {high}"


def _repeats(reference: Reference, noise: Noise | None) -> Iterator[AuditFinding]:
    passes = reference.protocol.measured_passes
    if passes is None:
        return
    runs = ""
    if noise is not None:
        cells = ", ".join(map(str, noise.cells))
        runs = f"; the author's own runs of {cells} scatter by {noise.deviation:.1%}"
    yield finding(
        Rule.REPEATS,
        told(True if passes > 1 else None),
        "all cells",
        said=f"{passes} measured pass(es) a cell",
        found=("no error bar can be had" if passes == 1 else "repeated") + runs,
        evidence="protocol and repeats of the reference",
    )


def _averages(key: str, figures: CellFigures) -> Iterator[AuditFinding]:
    """Yield by which of the two ways to average a published average comes about."""
    if figures.rate is None:
        return
    average, pooled = printed(figures.rate), _pooled(figures)
    is_pooled = pooled is not None and pooled.overlaps(average)
    if pooled is not None:
        yield finding(
            Rule.POOLED,
            told(is_pooled),
            key,
            said=f"average {figures.rate} tok/s",
            found=f"{figures.tokens} tokens / {figures.seconds} s = {shown(pooled)} tok/s",
            evidence="tokens and seconds of the cell",
        )
    if figures.prompts:
        rates = [printed(rate) for rate in figures.prompts.values()]
        mean = sum(rates[1:], rates[0]) / exactly(len(rates))
        holds = mean.overlaps(average)
        yield finding(
            Rule.MEAN_OF_ROW,
            told(holds),
            key,
            said=f"average {figures.rate} tok/s",
            found=f"the mean of {len(rates)} columns is {shown(mean)} tok/s"
            + (": the average is pooled" if is_pooled and not holds else ""),
            evidence=" ".join(figures.prompts.values()),
        )


def _pooled(figures: CellFigures) -> Range | None:
    if figures.tokens is None or figures.seconds is None:
        return None
    return exactly(figures.tokens) / printed(figures.seconds)


def _claim(
    claim: Claim, measure: Measure, reference: Reference, everyone: References
) -> Iterator[AuditFinding]:
    source = measure.cells_of or reference.id
    said = f"{claim.statement} ({_bound(measure)})"
    try:
        value = _value(measure, everyone.get(source), reference)
    except (Unpublished, Undefined) as why:
        outcome, found = AuditOutcome.CANNOT_TELL, str(why)
        yield finding(Rule.CLAIM, outcome, claim.id, said=said, found=found, evidence=source)
        return
    holds = _holds(measure, value)
    evidence = f"{measure.formula}, figures of {source}"
    found = f"the published figures give {shown(value)} {measure.unit}"
    if holds is None:
        found += ": it depends on how they were rounded"
    yield finding(Rule.CLAIM, told(holds), claim.id, said=said, found=found, evidence=evidence)
    if holds is False and (inverse := _inverse(measure, value)) is not None:
        yield finding(
            Rule.DIRECTION,
            AuditOutcome.CONTRADICTED,
            claim.id,
            said=said,
            found=f"the figure fits the inverse, {shown(inverse)}: a percentage of the other one",
            evidence=evidence,
        )


def _bound(measure: Measure) -> str:
    words = {Relation.EQUALS: "", Relation.AT_MOST: "at most ", Relation.AT_LEAST: "at least "}
    return f"{words[measure.relation]}{measure.published} {measure.unit}"


def _holds(measure: Measure, value: Range) -> bool | None:
    """Tell whether a range of values fits the published figure; None where it may or may not."""
    figure = measure.figure
    if measure.relation is Relation.EQUALS:
        return value.overlaps(figure)
    if measure.relation is Relation.AT_MOST:
        inside, outside = value.high <= figure.low, value.low > figure.high
    else:
        inside, outside = value.low >= figure.high, value.high < figure.low
    return True if inside else False if outside else None


def _inverse(measure: Measure, value: Range) -> Range | None:
    """Return the inverse of a ratio if the published percentage fits that: 13 % less, or more."""
    if measure.relation is not Relation.EQUALS or measure.unit != "x" or value.low <= 0:
        return None
    try:
        inverse = exactly(1.0) / value
    except Undefined:
        return None
    mirrored = exactly(2.0) - measure.figure
    return inverse if inverse.overlaps(mirrored) else None


def _value(measure: Measure, source: Reference | None, reference: Reference) -> Range:
    if source is None:
        raise Unpublished(f"there is no reference {measure.cells_of}")
    return formula.evaluate(
        measure.tree,
        exactly,
        lambda quantity: printed(_published(quantity, source)),
        lambda name: float(reference.parameters[name]),
    )


def _published(quantity: formula.Quantity, source: Reference) -> str:
    figures = source.figures(quantity.cells[0])
    found = None
    if figures is not None and quantity.name == "rate":
        found = figures.prompts.get(quantity.words[0]) if quantity.words else figures.rate
    elif figures is not None and quantity.name == "request-rate":
        found = figures.request_rate
    if found is None:
        raise Unpublished(f"{source.id} has no figure for {quantity}")
    return found


def _noise(
    claim: Claim, measure: Measure, reference: Reference, everyone: References, noise: Noise | None
) -> Iterator[AuditFinding]:
    """Say where a bound is nearer than single passes can see."""
    source = everyone.get(measure.cells_of or reference.id)
    if measure.relation is Relation.EQUALS or source is None:
        return
    try:
        estimate = formula.evaluate(
            measure.tree,
            Estimate,
            lambda quantity: _single_pass(quantity, source),
            lambda name: float(reference.parameters[name]),
        )
        half = deviation(noise) * reach(estimate)
    except (Unpublished, Undefined):
        return
    bound = measure.figure.low
    room = abs(math.log(estimate.value) - math.log(bound)) if bound > 0 else math.inf
    yield finding(
        Rule.NOISE,
        told(True if room > half else None),
        claim.id,
        said=_bound(measure),
        found=f"{estimate.value:.4g} is {room:.1%} from the bound; single passes see {half:.1%}",
        evidence="the author's repeats of a cell" if noise else "restarts of other engines",
    )


def _single_pass(quantity: formula.Quantity, source: Reference) -> Estimate:
    name = str(quantity)
    sample = Sample(cell=quantity.cells[0], name=name, variance=None, degrees=0, starts=1)
    return sampled(sample, float(_published(quantity, source)))


def _other_run(
    reference: Reference, other: Reference, noise: Noise | None
) -> Iterator[AuditFinding]:
    for key, figures in reference.cells.items():
        theirs = other.cells.get(key)
        if figures.rate is None or theirs is None or theirs.rate is None:
            continue
        allowed = math.sqrt(2) * deviation(noise)
        distance = apart(printed(figures.rate), printed(theirs.rate))
        difference = float(theirs.rate) / float(figures.rate) - 1
        yield finding(
            Rule.OTHER_RUN,
            told(distance <= allowed),
            f"{key} in {other.id}",
            said=f"{figures.rate} tok/s",
            found=f"{other.id} has {theirs.rate} tok/s, {difference:+.1%}; noise of two single "
            f"passes explains {allowed:.1%}",
            evidence=_told_apart(figures, theirs) or f"tables of {reference.id} and {other.id}",
        )


def _told_apart(figures: CellFigures, theirs: CellFigures) -> str:
    if figures.environment == theirs.environment:
        return ""
    texts = [
        " ".join(f"{name}={value}" for name, value in sorted(one.environment.items())) or "nothing"
        for one in (figures, theirs)
    ]
    return f"environment here: {texts[0]}; there: {texts[1]}"


def cell_of(key: str) -> CellName:
    """Return the cell of a key that a reference has been read with."""
    return formula.parse_cell(key)
