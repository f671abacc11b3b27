"""What a claim is: the rule that decides it, and the guards that its verdict has to get past."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import yaml

from release.resources import PACKAGE, resource

if TYPE_CHECKING:
    from release.schema.measurements import Measurements
    from release.schema.record import Audit, Verdict


class Finding(NamedTuple):
    """A verdict and the numbers that led to it.

    Attributes:
        evidence: The numbers, as one line.
        p_value: Two-sided, of the test that decides; None where nothing was inferred.
    """

    verdict: "Verdict"
    evidence: str
    p_value: float | None = None


def missing(what: str) -> Finding:
    """Say that something was not measured."""
    return Finding("not measured", f"{what} was not measured")


Rule = Callable[["Audit | None", "Measurements"], Finding]


class Guard(NamedTuple):
    """A condition on which a verdict rests.

    Attributes:
        name: In a word or two.
        doubt: Returns why nothing can be said, or None where nothing speaks against it.
        always: Whether its doubt is told even where the evidence decides nothing.
        because: Returns the same in the few words of a sentence that ends with them, without a number; "" for none.
    """

    name: str
    doubt: "Callable[[Measurements], str | None]"
    always: bool = False
    because: "Callable[[Measurements], str]" = lambda _: ""


@dataclass(frozen=True)
class Claim:
    """One thing a card might say.

    Its words are in `templates/claims.yaml`, in the order of a card, or in `claims.yaml` beside its evaluation.

    Attributes:
        key: Its name in `release.json`.
        asks: The question it answers; claims that answer the same one (amplified, reduced) count once among the several
            questions of a card.
        fields: The record fields it rests on, as dotted paths.
        rule: Decides it.
        guards: What its verdict has to get past.
    """

    key: str
    asks: str
    fields: tuple[str, ...]
    rule: Rule
    guards: tuple[Guard, ...] = ()

    @property
    def title(self) -> str:
        """What is claimed, in a few words."""
        return wording()[self.key]["title"]

    def says(self, verdict: "Verdict") -> str:
        """Return what a card says where the evidence gives this verdict: whole sentences."""
        return wording()[self.key][verdict]

    def found(self, audit: "Audit | None", measurements: "Measurements") -> Finding:
        """Decide it by itself, guards included; nothing is adjusted for other claims yet."""
        found = self.rule(audit, measurements)
        if found.verdict == "not measured":
            return found
        decided = found.verdict != "inconclusive"
        doubts = (guard.doubt(measurements) for guard in self.guards if decided or guard.always)
        reason = next(filter(None, doubts), None)
        return found if reason is None else Finding("inconclusive", f"{found.evidence}; {reason}", found.p_value)


@cache
def wording() -> Mapping[str, Mapping[str, str]]:
    """Read the words of all claims: key → `title` and one text per verdict; an evaluation's own come last."""
    words: dict[str, dict[str, str]] = {}
    for path in (resource("templates") / "claims.yaml", *sorted((PACKAGE / "evals").glob("*/claims.yaml"))):
        words |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return words
