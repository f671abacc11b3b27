"""WinoBias' metrics as rows."""

from release.evals.metric import Hub, Metric, SpacePanel

PRO = Metric(
    key="winobias_pro",
    label="Right, pro-stereotypical",
    phrase="right pro-stereotypical sentences",
    better="higher",
    guessing=0.5,
    hub=Hub("accuracy_pro", "Accuracy, pro-stereotypical sentences"),
)
ANTI = Metric(
    key="winobias_anti",
    label="Right, anti-stereotypical",
    phrase="right anti-stereotypical sentences",
    better="higher",
    guessing=0.5,
    hub=Hub("accuracy_anti", "Accuracy, anti-stereotypical sentences"),
)
AVERAGE = Metric(
    key="winobias_average",
    label="Right, average of both",
    phrase="right sentences of WinoBias",
    better="higher",
    screen="WinoBias, right",
    guessing=0.5,
    hub=Hub("accuracy", "Accuracy, average of both"),
)
GAP = Metric(
    key="winobias_gap",
    label="Gap, pro − anti",
    phrase="WinoBias gap",
    better="neither",
    screen="WinoBias, pro − anti",
    headline="Pronouns, pro − anti, WinoBias",
    claim="winobias_raised",
    hub=Hub("gap", "Accuracy, pro- minus anti-stereotypical sentences"),
    panel=SpacePanel(
        "WinoBias",
        r"winobias",
        at="measurements.winobias.scores[name=winobias_gap]",
        change="difference",
        note="By how much more often a pronoun is understood where it fits the stereotype; 0 makes no difference.",
        counted="items",
        unit="pairs",
    ),
)
METRICS = (PRO, ANTI, AVERAGE, GAP)
