"""What may be said about latency, of all engines together."""

from collections.abc import Callable

from release import format as text
from release.evals.claim import Claim, Finding, Guard, Rule, missing
from release.evals.engine.statistics import LOG
from release.evals.latency.result import MOST_OTHERS, MOST_SWITCHES, Latency, Load
from release.evals.verdicts import Decision, above, against, all_of, inside, ratio
from release.schema.measurements import Measurements
from release.schema.record import Audit


def _each(decision: Callable[[Latency], Decision]) -> Rule:
    """Make a rule that decides by the ratio of latencies and its margin; of several engines, each has to show it."""

    def rule(_: Audit | None, measurements: Measurements) -> Finding:
        found = measurements.latencies
        if not found:
            return missing("latency")
        verdict, p_value = all_of(*map(decision, found))
        evidence = "; ".join(_evidence(each, named=len(found) > 1) for each in found)
        return Finding(verdict, evidence, p_value)

    return rule


def _evidence(found: Latency, named: bool) -> str:
    by = f" by {found.engine}" if named or found.engine != "transformers" else ""
    return f"{ratio(f'latency{by}', found.ratio)}, margin {text.percent(found.margin, 0)}"


def _busy(measurements: Measurements) -> str | None:
    disturbed = next((each.load for each in measurements.latencies if each.load.busy), None)
    return None if disturbed is None else f"no verdict from a busy machine ({_others(disturbed)})"


def _others(load: Load) -> str:
    if load.others is not None:
        most = text.percent(MOST_OTHERS, 0)
        return f"others took {text.percent(load.others, 0)} of its processors' time, {most} at most are let pass"
    return f"its process was put aside {text.fixed(load.switches, 0)} times a second (at most {MOST_SWITCHES})"


def no_faster(found: Latency) -> Decision:
    """Decide "faster by less than the margin, if at all"."""
    return against(above, found.ratio, 1 - found.margin, LOG)


def as_fast(found: Latency) -> Decision:
    """Decide "faster or slower by less than the margin"."""
    return inside(found.ratio, 1 - found.margin, 1 + found.margin, LOG)


BUSY = Guard("busy machine", _busy, always=True)
"""What others do slows both models, now one and now the other."""
FIELDS = ("measurements.latency.ratio", "measurements.latency.margin", "measurements.other_latencies")

CLAIMS = (
    Claim("no_latency_gain", "latency gain", FIELDS, _each(no_faster), (BUSY,)),
    Claim("latency_unchanged", "same latency", FIELDS, _each(as_fast), (BUSY,)),
)
