"""What a metric is: what it is called wherever it stands, which way is better, and its name on the Hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]
Form = Literal["score", "perplexity", "seconds", "bytes", "rate", "count"]
"""How a metric's numbers are written, see `release.evals.forms`."""
ARROWS: Mapping[Better, str] = {"lower": " ↓", "higher": " ↑", "neither": ""}


@dataclass(frozen=True)
class Hub:
    """How the Hub's model-index names a metric."""

    type: str
    name: str


@dataclass(frozen=True)
class SpacePanel:
    """How the Space shows a metric.

    Attributes:
        label: Its name on a tile and above its panel.
        pattern: Regular expression that finds it in the rows of a stranger's card, in lower case.
        at: Where `release.json` holds it: names joined by dots; `[name=value]` picks the item of a list by a field.
        value: Where a side's value stands below `at`, after `dense` or `pruned`.
        change: The field below `at` that holds the change from dense to pruned, with its interval.
        note: What it says, below the name; a metric without one is on no panel of the grid.
        short: Its name in the menu; one without is not named there.
        logarithmic: Whether its scale is.
        counted: The field below `at` that holds how many units it was measured on.
        unit: What is counted, in the plural; None where nothing is.
    """

    label: str
    pattern: str
    at: str
    value: str = "value"
    change: Literal["difference", "ratio"] = "ratio"
    note: str | None = None
    short: str | None = None
    logarithmic: bool = False
    counted: str = "items"
    unit: str | None = None


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        key: Its name in the record.
        label: What it is called in the card's tables.
        better: Which way is better, where there is one.
        form: How its numbers are written.
        phrase: What it is called within a sentence.
        screen: What it is called on screen; None where it is not shown there.
        headline: What it is called on the first screen; None where it does not stand there.
        brief: What it is called in the table at a glance, where what guessing gives stands behind its name and the
            headline would break the line.
        claim: The claim whose verdict stands beside it at a glance.
        guessing: What guessing gives, 0 to 1; None where guessing says nothing.
        same_as: Key of a metric that is the same number, for records that lack this one.
        parsing: Whether it speaks of parsing alone, and so only where texts were generated.
    """

    key: str
    label: str
    phrase: str
    better: Better = "neither"
    form: Form = "score"
    screen: str | None = None
    headline: str | None = None
    brief: str | None = None
    claim: str | None = None
    guessing: float | None = None
    hub: Hub | None = None
    panel: SpacePanel | None = None
    same_as: str | None = None
    parsing: bool = False

    @property
    def titled(self) -> str:
        """The label with an arrow towards what is better."""
        return self.label + ARROWS[self.better]
