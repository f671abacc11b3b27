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
    panel=SpacePanel("Latency", r"\blatency\b"),
)

METRICS = (LATENCY,)
