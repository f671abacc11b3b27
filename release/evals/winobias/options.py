"""What is asked of WinoBias."""

from typing import Annotated, ClassVar

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option
from release.settings.shared import amount


class WinoBiasOptions(EvalOptions):
    """What is asked of WinoBias.

    Attributes:
        winobias: "off", "full" (1,584 pairs of sentences), or a number of pairs.
    """

    named: ClassVar[str | None] = "full"
    winobias: Annotated[
        str,
        Option(
            "--winobias",
            "Sentence pairs of WinoBias: off, full, a number.",
            HelpPanel.MEASURE,
            amount("winobias", "full", "off"),
        ),
    ] = "off"


OPTIONS = WinoBiasOptions
