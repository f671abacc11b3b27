"""What is asked of perplexity."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from release.errors import BadOption
from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option
from release.settings.shared import Text, amount

PresetName = Literal["wikipedia", "wikitext2", "c4", "study"]
MOST_TOKENS = 1_000_000


class PerplexityOptions(EvalOptions):
    """What is asked of perplexity.

    Attributes:
        perplexity: "off", "full" (all windows of the text), or a number of windows.
        perplexity_preset: Text, length and number of windows as papers have them: "wikipedia" is 32 windows of 256
            tokens of the catalogue's half, "wikitext2" all windows of 2,048 tokens of WikiText-2's raw test split, "c4"
            256 such windows of C4's validation split, "study" 256 windows of 512 tokens of the Tulu 3 mixture.
        window: Tokens of a window; None for the preset's.
        stride: Tokens from the beginning of one window to that of the next, of which the last ones are scored; None
            for windows without overlap.
        text: A UTF-8 text file instead of the catalogue's Wikipedia half; with "wikitext2", its raw test split.
    """

    perplexity: Annotated[
        str, Option("--perplexity", "Windows, full, or off.", HelpPanel.MEASURE, amount("perplexity", "full", "off"))
    ] = "32"
    perplexity_preset: Annotated[
        PresetName,
        Option(
            "--perplexity-preset", "Perplexity as papers state it: wikipedia, wikitext2, c4, study.", HelpPanel.MEASURE
        ),
    ] = "wikipedia"
    window: Annotated[
        int | None,
        Option(
            "--window", "Tokens of a window of perplexity.", HelpPanel.MEASURE, least=2, most=MOST_TOKENS, metavar="N"
        ),
    ] = None
    stride: Annotated[
        int | None,
        Option(
            "--stride",
            "Tokens from one window of perplexity to the next; the last of each are scored.",
            HelpPanel.MEASURE,
            least=1,
            most=MOST_TOKENS,
            metavar="N",
        ),
    ] = None
    text: Text = None

    @classmethod
    def filled(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for as many windows as the papers where no number was given."""
        amount = AMOUNTS.get(values.get("perplexity_preset", ""))
        return {"perplexity": amount} if amount else {}

    @classmethod
    def require_consistent(cls, asked: Any) -> None:
        """Refuse a stride that leaves tokens between two windows out, and a file in the place of a text of the Hub."""
        if asked.perplexity_preset in ("c4", "study") and asked.text is not None:
            seen = f"--perplexity-preset {asked.perplexity_preset} and --text contradict each other."
            raise BadOption(seen, "Leave one of them out.")
        if asked.stride is not None and asked.stride > (asked.window or WINDOWS[asked.perplexity_preset]):
            raise BadOption(
                f"--stride {asked.stride} is more than a window, so that tokens between windows would be left out.",
                "Give a stride of at most --window.",
            )


WINDOWS: Mapping[PresetName, int] = {"wikipedia": 256, "wikitext2": 2048, "c4": 2048, "study": 512}
"""Tokens of a window of each preset."""
AMOUNTS = {"wikitext2": "full", "c4": "256", "study": "256"}
"""Windows of each preset where they are not the default's."""

OPTIONS = PerplexityOptions
