"""How each metric is named, found and drawn, and each claim's words: data that comes along with the app."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class ShownMetric(NamedTuple):
    """One metric.

    Attributes:
        key: Its name in this app.
        label: Its name on a tile and above its panel.
        better: `lower`, `higher` or `neither`.
        claim: Key of the claim whose verdict stands beside its value; None where there is none.
        expected: Whether the page says so where it was not measured.
        guessing: What guessing gives; None where guessing says nothing.
        at: Where a release's record holds it, as `records.at` reads it.
        value: Where a side's value stands below `at`, after `dense` or `pruned`.
        change: The field below `at` that holds the change and its interval: `difference` or `ratio`.
        form: Which kind of number it is: `score`, `perplexity` or `seconds`.
        pattern: Regular expression that finds it in the rows of a stranger's card, in lower case.
        note: What it says; None for one that is on no panel.
        short: Its name in the menu; None for one that is not named there.
        logarithmic: Whether its panel's scale is.
        counted: The field below `at` that holds how many units it was measured on.
        unit: What is counted, in the plural; None where nothing is.
    """

    key: str
    label: str
    better: str
    claim: str | None
    expected: bool
    guessing: float | None
    at: str
    value: str
    change: str
    form: str
    pattern: str
    note: str | None
    short: str | None
    logarithmic: bool
    counted: str
    unit: str | None


class ClaimWords(NamedTuple):
    """What is said for a claim.

    Attributes:
        warns_at: Verdicts at which its words are a warning.
        is_caveat: Whether its words are a caveat.
        words: Verdict → whole sentences.
    """

    key: str
    title: str
    warns_at: list[str]
    is_caveat: bool
    words: Mapping[str, str]


def _stored(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return rows


METRICS = tuple(ShownMetric(**row) for row in _stored("metrics.json"))
CLAIMS = {row["key"]: ClaimWords(**row) for row in _stored("claims.json")}
