"""Latency and its parts, each as a row."""

from release.evals.metric import Metric, SpacePanel

LATENCY = Metric(
    key="latency",
    label="Latency per answer",
    phrase="latency",
    better="lower",
    form="seconds",
    screen="latency",
    headline="Latency per answer",
    claim="no_latency_gain",
    panel=SpacePanel("Latency", r"\blatency\b", at="measurements.latency", value="geometric_mean"),
)

PREFILL = Metric(
    key="prefill",
    label="Up to the first new token",
    phrase="time to the first token",
    better="lower",
    form="seconds",
    screen="  first token",
)
DECODE = Metric(
    key="decode",
    label="The other new tokens",
    phrase="time of the other tokens",
    better="lower",
    form="seconds",
    screen="  other tokens",
)

METRICS = (LATENCY, PREFILL, DECODE)
