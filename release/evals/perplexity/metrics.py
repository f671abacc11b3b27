"""Perplexity as a row."""

from release.evals.metric import Hub, Metric, SpacePanel

PERPLEXITY = Metric(
    key="perplexity",
    label="Perplexity",
    phrase="perplexity",
    better="lower",
    form="perplexity",
    screen="perplexity",
    headline="Perplexity",
    claim="perplexity_raised",
    hub=Hub("perplexity", "Perplexity (lower is better)"),
    panel=SpacePanel(
        "Perplexity",
        r"\bperplexity\b",
        at="measurements.perplexity",
        note="How surprised the model is by ordinary text; the scale is logarithmic.",
        short="perplexity",
        logarithmic=True,
        counted="tokens",
        unit="tokens",
    ),
)

METRICS = (PERPLEXITY,)
