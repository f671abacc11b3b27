"""Every metric as one row: what it is called wherever it stands, which way is better, and its name on the Hub.

The card, the screen, the front matter, the claims and the Space read these rows. So a metric is added here and computed
in its own module, and no other file names it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]
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
        pattern: Regular expression that finds it in the rows of anybody's card, in lower case.
        note: What it says, below the name; a metric without one is on no panel of the grid.
        short: Its name in the menu; one without is not named there.
        logarithmic: Whether its scale is.
    """

    label: str
    pattern: str
    note: str | None = None
    short: str | None = None
    logarithmic: bool = False


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        key: Its name in the record.
        label: What it is called in the card's tables.
        better: Which way is better, where there is one.
        phrase: What it is called within a sentence.
        screen: What it is called on screen; None where it is not shown there.
        headline: What it is called at a glance; None where it does not stand there.
        claim: The claim whose verdict stands beside it at a glance.
        guessing: What guessing gives, 0 to 1; None where guessing says nothing.
        same_as: Key of a metric that is the same number, for records that lack this one.
        parsing: Whether it speaks of parsing alone, and so only where texts were generated.
    """

    key: str
    label: str
    phrase: str
    better: Better = "neither"
    screen: str | None = None
    headline: str | None = None
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


THIRD = 1 / 3
"""Share of every option where one of three is picked at random."""

BBQ: tuple[Metric, ...] = (
    Metric(
        key="srs",
        label="Stereotype Reliance Score (SRS)",
        phrase="SRS",
        better="lower",
        screen="SRS",
        headline="Stereotype Reliance Score, BBQ",
        claim="bias_amplified",
        guessing=THIRD,
        hub=Hub("srs", "Stereotype Reliance Score (macro)"),
        panel=SpacePanel(
            "Stereotype Reliance Score",
            r"\bsrs\b|stereotype reliance",
            "Share of ambiguous questions answered with the stereotype; guessing gives 1/3.",
            "SRS",
        ),
    ),
    Metric(
        key="usr",
        label="“Unknown” answers (USR)",
        phrase="“unknown” answers",
        screen="USR",
        guessing=THIRD,
        hub=Hub("usr", "Unknown Selection Rate (macro)"),
    ),
    Metric(
        key="anti",
        label="Anti-stereotyped answers",
        phrase="anti",
        guessing=THIRD,
        hub=Hub("anti_stereotype_rate", "Anti-stereotyped answers (macro)"),
    ),
    Metric(
        key="lean",
        label="Lean, SRS − anti: bias score s_AMB",
        phrase="SRS − anti",
        screen="SRS − anti",
        headline="Lean (SRS − anti-stereotyped answers), BBQ",
        claim="leans_neither_way",
        same_as="s_amb",
    ),
    Metric(
        key="unparsed",
        label="Unparsed answers",
        phrase="unparsed",
        screen="unparsed",
        hub=Hub("unparsed_rate", "Unparsed answers (macro)"),
        parsing=True,
    ),
    Metric(
        key="accuracy_ambiguous",
        label="Accuracy, ambiguous",
        phrase="accuracy ambiguous",
        better="higher",
        screen="accuracy, ambig.",
        guessing=THIRD,
        hub=Hub("accuracy", "Accuracy, ambiguous items (macro)"),
    ),
    Metric(
        key="accuracy_disambiguated",
        label="Accuracy, disambiguated",
        phrase="accuracy disambiguated",
        better="higher",
        screen="accuracy, disamb.",
        headline="Accuracy, BBQ disambiguated",
        claim="accuracy_lost",
        guessing=THIRD,
        hub=Hub("accuracy", "Accuracy, disambiguated items (macro)"),
    ),
    Metric(
        key="s_amb",
        label="Bias score s_AMB",
        phrase="s_AMB",
        hub=Hub("s_amb", "Bias score s_AMB (macro)"),
        panel=SpacePanel(
            "Bias score s_AMB", r"\bs_amb\b", "From −1, always against the stereotype, over 0 to 1, always with it."
        ),
    ),
    Metric(
        key="s_dis",
        label="Bias score s_DIS",
        phrase="s_DIS",
        screen="s_DIS",
        hub=Hub("s_dis", "Bias score s_DIS (macro)"),
    ),
)
PERPLEXITY = Metric(
    key="perplexity",
    label="Perplexity",
    phrase="perplexity",
    better="lower",
    screen="perplexity",
    headline="Perplexity",
    claim="perplexity_raised",
    hub=Hub("perplexity", "Perplexity"),
    panel=SpacePanel(
        "Perplexity",
        r"\bperplexity\b",
        "How surprised the model is by ordinary text; the scale is logarithmic.",
        "perplexity",
        logarithmic=True,
    ),
)
LATENCY = Metric(
    key="latency",
    label="Latency per answer",
    phrase="latency",
    better="lower",
    screen="latency",
    headline="Latency per answer",
    claim="no_latency_gain",
    panel=SpacePanel("Latency", r"\blatency\b"),
)
METRICS: Mapping[str, Metric] = {metric.key: metric for metric in (*BBQ, PERPLEXITY, LATENCY)}
"""Key → row, in the order in which they are shown."""


def phrase(key: str) -> str:
    """Name a metric within a sentence; one without a row by its key."""
    return METRICS[key].phrase if key in METRICS else key.replace("_", " ")


def on_the_hub(metrics: Iterable[Metric]) -> list[tuple[Metric, Hub]]:
    """Return those that the Hub is told of; accuracy comes first, since that is what every reader there knows."""
    named = [(metric, metric.hub) for metric in metrics if metric.hub]
    return sorted(named, key=lambda pair: pair[1].type != "accuracy")


def for_the_space() -> str:
    """Return `spaces/compare/metrics.json`: how the Space's page names, finds and draws each metric."""
    rows = [
        {
            "key": metric.key,
            "label": panel.label,
            "pattern": panel.pattern,
            "note": panel.note,
            "short": panel.short,
            "logarithmic": panel.logarithmic,
        }
        for metric in METRICS.values()
        if (panel := metric.panel)
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"
