"""The divergence's metrics as rows."""

from release.evals.metric import Metric, SpacePanel

DIVERGENCE = Metric(
    key="kl_divergence",
    label="KL divergence, nats per token",
    phrase="KL divergence",
    better="lower",
    screen="KL divergence, nats",
    headline="KL divergence, nats per token",
    claim="distribution_moved",
    panel=SpacePanel(
        "KL divergence",
        r"\bkl[ -]div",
        at="measurements.divergence.scores[name=kl_divergence]",
        change="difference",
        note="How far the next-token distributions lie from the dense model's, in nats per token; 0 is no difference.",
        unit="windows",
    ),
)
SAME_TOP = Metric(
    key="same_top",
    label="Same most likely token as the dense model",
    phrase="agreement of the most likely token",
    better="higher",
    screen="same top token",
    panel=SpacePanel(
        "Most likely token kept",
        r"\b(same[ -]top|top[ -]token|same most likely token)",
        at="measurements.divergence.scores[name=same_top]",
        change="difference",
        note="Share of tokens at which the dense model's most likely next token is still the most likely one.",
        unit="windows",
    ),
)
RIGHT = Metric(
    key="right_probability",
    label="Probability of the right token",
    phrase="probability of the right token",
    better="higher",
    screen="right token’s probability",
)
METRICS = (DIVERGENCE, SAME_TOP, RIGHT)
