"""Decide every claim of a release, and adjust what is inferred for how much is asked."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from release import format as text
from release.evals.claim import Finding
from release.evals.claims.rows import CLAIMS
from release.evals.engine.statistics import ALPHA, holm
from release.schema.measurements import Measurements
from release.schema.record import Audit, ClaimRecord, Record

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q", bound=Hashable)


def decide(audit: Audit | None, measurements: Measurements) -> tuple[ClaimRecord, ...]:
    """Decide every claim, in the order of `CLAIMS`.

    A verdict that rests on a test stands where its p-value is below 0.05 after Holm's adjustment over the questions of
    this card; the p-values of both kinds are in the record.

    Args:
        audit: What was counted in the files; None where they were measured and not counted.
        measurements: What was measured.
    """
    found = {claim.key: claim.found(audit, measurements) for claim in CLAIMS}
    asked = {key: each.p_value for key, each in found.items() if each.p_value is not None}
    adjusted = _adjusted({key: (_QUESTIONS[key], p) for key, p in asked.items()})
    questions = len({_QUESTIONS[key] for key in asked})
    return tuple(_recorded(claim.key, found[claim.key], adjusted.get(claim.key), questions) for claim in CLAIMS)


def across(records: Sequence[Record]) -> Mapping[tuple[str, str], float]:
    """Adjust the p-values of several releases' claims together: (release, claim) → p by Holm over all their questions.

    On each card a claim is adjusted for that card alone; who picks one cell of a grid has asked in all of them.
    """
    return _adjusted(
        {
            (record.name, claim.key): ((record.name, _QUESTIONS.get(claim.key, claim.key)), claim.p_value)
            for record in records
            for claim in record.claims
            if claim.p_value is not None
        }
    )


_QUESTIONS = {claim.key: claim.asks for claim in CLAIMS}


def _adjusted(asked: Mapping[K, tuple[Q, float]]) -> dict[K, float]:
    """Adjust by Holm over questions; of several claims about one question the smallest p-value stands for it.

    Of two claims that exclude each other one at most is wrong (Shaffer 1986), so they need one adjustment, not two.
    """
    smallest: dict[Q, float] = {}
    for question, p in asked.values():
        smallest[question] = min(p, smallest.get(question, 1.0))
    factors = dict(zip(smallest, _factors(list(smallest.values())), strict=True))
    by_question = dict(zip(smallest, holm(list(smallest.values())), strict=True))
    return {key: min(1.0, max(by_question[question], factors[question] * p)) for key, (question, p) in asked.items()}


def _factors(p_values: Sequence[float]) -> list[int]:
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    ranks = {index: rank for rank, index in enumerate(order)}
    return [len(p_values) - ranks[index] for index in range(len(p_values))]


def _recorded(key: str, found: Finding, adjusted: float | None, questions: int) -> ClaimRecord:
    stands = adjusted is None or adjusted < ALPHA or found.verdict not in ("supported", "contradicted")
    verdict, evidence = (found.verdict, found.evidence) if stands else ("inconclusive", _taken_back(found, questions))
    return ClaimRecord(key=key, verdict=verdict, evidence=evidence, p_value=found.p_value, p_adjusted=adjusted)


def _taken_back(found: Finding, questions: int) -> str:
    return f"{found.evidence}; the interval alone says {found.verdict}, but not among {text.count(questions)} questions"
