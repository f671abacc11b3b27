"""Latency as a row."""

from release.evals.metric import Metric, SpacePanel

LATENCY = Metric(
    key="latency",
    label="Latency per answer",
    phrase="latency",
    better="lower",
    screen="latency",
    headline="Latency per answer",
    claim="no_latency_gain",
    panel=SpacePanel("Latency", r"\blatency\b", at="measurements.latency", value="geometric_mean", form="seconds"),
)

METRICS = (LATENCY,)
