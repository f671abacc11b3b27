"""What is asked of the sample answers."""

from typing import Annotated, ClassVar, Literal

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option


class AnswersOptions(EvalOptions):
    """What is asked of the sample answers.

    Attributes:
        answers: Answers to ten sample questions: "auto" (where anything else is asked of the models), "on", "off".
    """

    named: ClassVar[str | None] = "on"
    answers: Annotated[
        Literal["auto", "on", "off"],
        Option(
            "--answers",
            "Both models' answers to ten questions: auto (if anything else is asked), on, off.",
            HelpPanel.MEASURE,
        ),
    ] = "auto"


OPTIONS = AnswersOptions
