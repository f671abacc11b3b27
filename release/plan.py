"""What was asked for, checked before any work begins."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

from release.errors import BadOption
from release.record import Frozen


class Measuring(Frozen):
    """What to measure, and on what.

    Attributes:
        bbq: "auto" (200 items on a CPU, all on a GPU), "off", "full", or a number of items.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy.
        perplexity: "off" or a number of windows.
        text: A UTF-8 text file instead of the catalogue's Wikipedia half.
        latency: "off" or a number of prompts.
        device: A torch device, or "auto".
        seed: Seed of the samples and of the bootstraps.
    """

    bbq: str = "auto"
    bbq_data: Path | None = None
    perplexity: str = "32"
    text: Path | None = None
    latency: str = "24"
    device: str = "auto"
    seed: int = 42


def parse_sparsity(text: str) -> Decimal:
    """Read a sparsity as an exact decimal, 0 < s < 1.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise BadOption(f"Sparsity {text!r} is not a number.", "Give a share like 0.1 for 10 %.") from None
    if not value.is_finite() or not 0 < value < 1:
        raise BadOption(f"Sparsity {text} is not between 0 and 1.", "Give a share like 0.1 for 10 %.")
    return value.normalize()
