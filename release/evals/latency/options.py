"""What is asked of latency."""

from typing import Annotated, get_args

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option, listed
from release.settings.shared import amount
from release.values import EngineName


class LatencyOptions(EvalOptions):
    """What is asked of latency.

    Attributes:
        latency: "auto" (24 prompts, up to 96 where these leave the ratio less certain than ±3 %), "off", or a number
            of prompts.
        latency_engine: What runs the models that are timed; of several engines, the first stands first on the card.
    """

    latency: Annotated[
        str,
        Option(
            "--latency",
            "Prompts: auto (24, more where they vary), off, a number.",
            HelpPanel.MEASURE,
            amount("latency", "auto", "off"),
        ),
    ] = "auto"
    latency_engine: Annotated[
        tuple[EngineName, ...],
        Option(
            "--latency-engine",
            "What runs the timed models: transformers, mlx, or both with a comma.",
            HelpPanel.MEASURE,
            listed("--latency-engine", get_args(EngineName), "an engine"),
        ),
    ] = ("transformers",)


OPTIONS = LatencyOptions
