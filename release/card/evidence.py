"""The evidence of all claims in one table, in which no sentence stands twice."""

import re
from collections.abc import Iterable, Iterator, Mapping

LEAST = 20
"""Characters of evidence that is worth a reference to where it stands."""


def fresh(told: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Shorten every claim's evidence to what the table has not said yet, in the order of the table.

    Args:
        told: Title and evidence of each claim.
    """
    pairs = tuple(told)
    owners = {evidence: title for title, evidence in reversed(pairs) if len(evidence) >= LEAST}
    said: dict[str, str] = {}
    for title, evidence in pairs:
        parts = list(_parts(_referred(evidence, title, owners)))
        new = [part for part in parts if part not in said]
        others = dict.fromkeys(f"“{said[part]}”" for part in parts if part in said)
        said |= {part: title for part in new if len(part) >= LEAST}
        yield "; ".join([*new, *([f"see {', '.join(others)}"] if others else [])])


def _referred(evidence: str, title: str, owners: Mapping[str, str]) -> str:
    """Put a reference in the place of another claim's whole evidence in brackets."""
    for known, owner in owners.items():
        if owner != title:
            evidence = evidence.replace(f"({known})", f"(see “{owner}”)")
    return evidence


def _parts(evidence: str) -> Iterator[str]:
    """Cut at the semicolons that stand outside brackets."""
    start = depth = 0
    for found in re.finditer(r"[()]|; ", evidence):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if found[0] == "; " and depth <= 0:
            yield evidence[start : found.start()]
            start = found.end()
    yield evidence[start:]
