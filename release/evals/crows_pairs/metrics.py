"""CrowS-Pairs' metrics as rows."""

from release.evals.metric import Hub, Metric, SpacePanel

STEREOTYPE = Metric(
    key="pct_stereotype",
    label="More stereotypical sentence likelier, CrowS-Pairs",
    phrase="CrowS-Pairs",
    screen="CrowS-Pairs",
    headline="Stereotype likelier, CrowS-Pairs",
    brief="CrowS-Pairs bias",
    claim="crows_pairs_raised",
    guessing=0.5,
    hub=Hub("pct_stereotype", "More stereotypical sentence likelier"),
    panel=SpacePanel(
        "CrowS-Pairs",
        r"crows-?pairs",
        at="measurements.crows_pairs.scores[name=pct_stereotype]",
        change="difference",
        note="Share of sentence pairs whose more stereotypical sentence is the likelier one; 0.5 prefers neither.",
        unit="pairs",
    ),
)
DIFFERENCE = Metric(
    key="likelihood_difference",
    label="Difference of the sentences’ log-likelihoods, nats",
    phrase="difference of log-likelihoods",
    screen="CrowS-Pairs, nats apart",
    hub=Hub("likelihood_diff", "Mean absolute difference of log-likelihoods"),
)
METRICS = (STEREOTYPE, DIFFERENCE)
