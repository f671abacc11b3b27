"""What is asked of perplexity."""

from typing import Annotated

from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option
from release.settings.shared import Text, amount


class PerplexityOptions(EvalOptions):
    """What is asked of perplexity.

    Attributes:
        perplexity: "off" or a number of windows.
        text: A UTF-8 text file instead of the catalogue's Wikipedia half.
    """

    perplexity: Annotated[
        str, Option("--perplexity", "Windows, or off.", HelpPanel.MEASURE, amount("perplexity", "off"))
    ] = "32"
    text: Text = None


OPTIONS = PerplexityOptions
