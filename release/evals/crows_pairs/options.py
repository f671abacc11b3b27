"""What is asked of CrowS-Pairs."""

from typing import Annotated, ClassVar

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option
from release.settings.shared import amount


class CrowsPairsOptions(EvalOptions):
    """What is asked of CrowS-Pairs.

    Attributes:
        crows_pairs: "off", "full" (1,508 pairs of sentences), or a number of pairs.
    """

    named: ClassVar[str | None] = "full"
    crows_pairs: Annotated[
        str,
        Option(
            "--crows-pairs",
            "Sentence pairs of CrowS-Pairs: off, full, a number.",
            HelpPanel.MEASURE,
            amount("crows-pairs", "full", "off"),
        ),
    ] = "off"


OPTIONS = CrowsPairsOptions
