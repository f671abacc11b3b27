"""What is asked of StereoSet."""

from typing import Annotated, ClassVar

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option
from release.settings.shared import amount


class StereoSetOptions(EvalOptions):
    """What is asked of StereoSet.

    Attributes:
        stereoset: "off", "full" (4,229 contexts with three sentences each), or a number of contexts.
    """

    named: ClassVar[str | None] = "full"
    stereoset: Annotated[
        str,
        Option(
            "--stereoset",
            "Contexts of StereoSet: off, full, a number.",
            HelpPanel.MEASURE,
            amount("stereoset", "full", "off"),
        ),
    ] = "off"


OPTIONS = StereoSetOptions
