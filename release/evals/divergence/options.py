"""What is asked of the divergence."""

from typing import Annotated, Any, ClassVar

from release.errors import BadOption
from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option
from release.settings.shared import amount

WORDS = ("auto", "full", "off")


class DivergenceOptions(EvalOptions):
    """What is asked of the divergence.

    Attributes:
        divergence: "off", "full" (every window of perplexity), a number of them, or "auto": every one, where the dense
            model's log-probabilities take 16 GB at most, else as many as take that, 16 at least.
    """

    taken_from: ClassVar[str | None] = "perplexity"
    divergence: Annotated[
        str,
        Option(
            "--divergence",
            "Windows of perplexity on which both models' distributions are compared: auto, full, a number, off.",
            HelpPanel.MEASURE,
            amount("divergence", *WORDS),
        ),
    ] = "auto"

    @classmethod
    def require_consistent(cls, asked: Any) -> None:
        """Refuse a number of windows where perplexity reads none."""
        if asked.perplexity == "off" and asked.divergence not in ("auto", "off"):
            raise BadOption(
                f"--divergence {asked.divergence} and --perplexity off contradict each other.",
                "Leave --perplexity off out: the divergence is taken from the passes over its windows.",
            )


OPTIONS = DivergenceOptions
