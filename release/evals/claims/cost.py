"""Rules about perplexity, latency, the sizes of files and the counted zeros."""

from collections.abc import Callable

from release import format as text
from release.evals.claims.bias import missing
from release.evals.claims.verdicts import Decision, Finding, Rule, above, all_of, beside, inside
from release.evals.engine.statistics import LOG
from release.pruning.budget import rounded_share
from release.schema.measurements import Estimate, Latency, Load, Measurements
from release.schema.record import Audit

MOST_OTHERS = 0.1
"""Share of the processors' time that others may take while answers are timed."""
MOST_SWITCHES = 100
"""How often a second the timing process may be put aside, where the system does not tell what others took."""


def perplexity_raised(_: Audit | None, measurements: Measurements) -> Finding:
    """Decide by the ratio of perplexities."""
    found = measurements.perplexity
    if found is None:
        return missing("perplexity")
    verdict, p_value = beside(above, found.ratio, 1, LOG)
    return Finding(verdict, _ratio("perplexity", found.ratio), p_value)


def latency(decision: Callable[[Latency], Decision]) -> Rule:
    """Make a rule that decides by the ratio of latencies and its margin; of several engines, each has to show it."""

    def rule(_: Audit | None, measurements: Measurements) -> Finding:
        found = measurements.latencies
        if not found:
            return missing("latency")
        verdict, p_value = all_of(*map(decision, found))
        evidence = "; ".join(_evidence(each, named=len(found) > 1) for each in found)
        if disturbed := next((each.load for each in found if busy(each.load)), None):
            evidence += f"; no verdict from a busy machine ({_others(disturbed)})"
            return Finding("inconclusive", evidence, p_value)
        return Finding(verdict, evidence, p_value)

    return rule


def _evidence(found: Latency, named: bool) -> str:
    by = f" by {found.engine}" if named or found.engine != "transformers" else ""
    return f"{_ratio(f'latency{by}', found.ratio)}, margin {text.percent(found.margin, 0)}"


def busy(load: Load) -> bool:
    """Whether others kept the machine so busy that its clock tells nothing about a model."""
    if load.others is not None:
        return load.others > MOST_OTHERS
    return load.switches is not None and load.switches > MOST_SWITCHES


def _others(load: Load) -> str:
    if load.others is not None:
        most = text.percent(MOST_OTHERS, 0)
        return f"others took {text.percent(load.others, 0)} of its processors' time, {most} at most are let pass"
    return f"its process was put aside {text.fixed(load.switches, 0)} times a second (at most {MOST_SWITCHES})"


def no_faster(found: Latency) -> Decision:
    """Decide "faster by less than the margin, if at all"."""
    return beside(above, found.ratio, 1 - found.margin, LOG)


def as_fast(found: Latency) -> Decision:
    """Decide "faster or slower by less than the margin"."""
    return inside(found.ratio, 1 - found.margin, 1 + found.margin, LOG)


def no_storage_gain(_: Audit | None, measurements: Measurements) -> Finding:
    """Compare the bytes of the weight files."""
    dense, pruned = measurements.storage.dense_bytes, measurements.storage.pruned_bytes
    evidence = f"weight files: dense {text.count(dense)} bytes, pruned {text.count(pruned)} bytes"
    return Finding("supported" if pruned >= dense else "contradicted", evidence)


def counts_as_targeted(audit: Audit | None, _: Measurements) -> Finding:
    """Compare the zeros counted with the budget, to the last weight."""
    if audit is None:
        return Finding("not measured", "the zeros in the files were not counted")
    budget = rounded_share(audit.target_sparsity, audit.prunable_parameters)
    evidence = (
        f"{text.count(audit.zeroed_parameters)} zeros in the written files, {text.count(budget)} targeted, "
        f"of {text.count(audit.prunable_parameters)} prunable"
    )
    if audit.crowded:
        evidence += f"; {text.count(audit.crowded)} zeros of the base had no room in their share and stay"
    exact = audit.zeroed_parameters == budget + audit.crowded
    return Finding("supported" if exact else "contradicted", evidence)


def _ratio(what: str, ratio: Estimate) -> str:
    return f"{what} pruned / dense {text.fixed(ratio.value, 4)}, 95 % interval {text.interval(ratio, 4)}"
