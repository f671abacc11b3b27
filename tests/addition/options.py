"""What is asked of repetition."""

from typing import Annotated, ClassVar, Literal

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option


class RepetitionOptions(EvalOptions):
    """What is asked of repetition."""

    named: ClassVar[str | None] = "on"
    repetition: Annotated[
        Literal["on", "off"], Option("--repetition", "Whether a sentence is read twice.", HelpPanel.MEASURE)
    ] = "off"


OPTIONS = RepetitionOptions
