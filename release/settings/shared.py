"""Options that fields of several records are set by, declared once."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from release.errors import BadOption
from release.format import quoted
from release.settings.option import HelpPanel, Option

BbqData = Annotated[
    Path | None, Option("--bbq-data", "A clone of nyu-mll/BBQ, or a benchmark in its form.", HelpPanel.MEASURE)
]
Text = Annotated[Path | None, Option("--text", "A UTF-8 text for perplexity.", HelpPanel.MEASURE)]
AMOUNT = re.compile(r"0*[1-9][0-9]{0,8}")
DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu|mtia)(:[0-9]{1,3})?")
"""Kinds that torch has memory and arithmetic on; whether one can be here is asked next (`release.devices`)."""


def device(text: str) -> str:
    """Read the name of a device.

    Raises:
        BadOption: It is none.
    """
    plain = text.strip().casefold()
    if DEVICE.fullmatch(plain):
        return plain
    raise BadOption(f"Device {quoted(text)} cannot be used.", "Give cpu, cuda, cuda:0, mps or auto.")


Device = Annotated[
    str, Option("--device", "Where to compute: auto, cpu, cuda, cuda:0, mps.", read=device, repeats=False)
]


def amount(option: str, *words: str) -> Callable[[str], str]:
    """Return a reader of a positive whole number or one of some words."""

    def read(text: str) -> str:
        plain = text.casefold()
        if plain in words or AMOUNT.fullmatch(plain):
            return plain
        raise BadOption(
            f"--{option} {quoted(text)} is not understood.",
            f"Give {', '.join(words)} or a whole number from 1 to 999,999,999.",
        )

    return read
