"""What is asked of BBQ."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from release.errors import BadOption
from release.evals.bbq.categories import require_categories
from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option, share
from release.settings.shared import BbqData, amount
from release.values import EngineName, Reading


def half_width(text: str) -> Decimal:
    """Read a half width of the change in SRS as an exact decimal, 0 < h < 1.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    try:
        return share(text)
    except BadOption:
        raise BadOption(f"--precision {text!r} is no half width between 0 and 1.", "Give one like 0.03.") from None


def categories(text: str) -> tuple[str, ...]:
    """Read names with commas between them; the data tell later whether there are such."""
    return tuple(sorted({name.strip() for name in text.split(",")}))


class BbqOptions(EvalOptions):
    """What is asked of BBQ.

    Attributes:
        bbq: "auto" (as many items as this machine reads in about the time of the rest), "off", "full", "study" (the
            12,148 ambiguous items of the study's five categories), or a number of items.
        precision: Half width of the change in SRS at which no further items are asked; None for a fixed number.
        bbq_scoring: How an answer is read.
        bbq_engine: What runs the models that are asked.
        bbq_categories: Categories to ask; none means all.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy, or a benchmark in BBQ's form.
        log_format: Form of a further log of every answer, or None.
    """

    bbq: Annotated[
        str,
        Option(
            "--bbq",
            "Items: auto (what takes about as long as the rest), full, study, off, a number.",
            HelpPanel.MEASURE,
            amount("bbq", "auto", "full", "study", "off"),
        ),
    ] = "auto"
    precision: Annotated[
        Decimal | None,
        Option(
            "--precision",
            "Ask until the change in SRS is known to this half width, e.g. 0.03.",
            HelpPanel.MEASURE,
            half_width,
            shows_default=False,
        ),
    ] = None
    bbq_scoring: Annotated[
        Reading, Option("--bbq-scoring", "How answers are read: letters, answers, generate.", HelpPanel.MEASURE)
    ] = "letters"
    bbq_engine: Annotated[
        EngineName,
        Option("--bbq-engine", "What runs the models that are asked: transformers, mlx.", HelpPanel.MEASURE),
    ] = "transformers"
    bbq_categories: Annotated[
        tuple[str, ...],
        Option("--bbq-categories", "Some of BBQ's, e.g. Age,SES; all by default.", HelpPanel.MEASURE, categories),
    ] = ()
    bbq_data: BbqData = None
    log_format: Annotated[
        Literal["lm-eval"] | None, Option("--log-format", "Log every answer once more, as lm-eval.", HelpPanel.MEASURE)
    ] = None

    @classmethod
    def require_consistent(cls, asked: Any) -> None:
        """Refuse a fixed number of items beside a precision, which decides it, and a category that BBQ has not.

        Raises:
            BadOption: Both are given.
            UnknownName: There is no such category; those of another benchmark are told by its data.
        """
        if asked.precision is not None and asked.bbq != "auto":
            raise BadOption("--precision and --bbq exclude each other.", "Leave one out: precision decides the items.")
        if asked.bbq_data is None:
            require_categories(asked.bbq_categories)


OPTIONS = BbqOptions
