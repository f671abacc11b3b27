"""Options and arguments that several commands share: what is worked on, within how much memory, and what is printed."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from release.errors import BadOption
from release.format import quoted
from release.frozen import Frozen
from release.settings.option import Option

UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "MIB": 1 << 20, "GIB": 1 << 30}


def limit_memory(text: str) -> str:
    """Let this process, and those that it starts, hold so many bytes at most.

    Raises:
        BadOption: It is no such number.
    """
    from release.machine import MOST_MEMORY  # it asks the system by a library that no help needs

    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([MG]i?B)?", text.strip(), re.IGNORECASE)
    if not match or float(match[1]) == 0:
        raise BadOption(f"--max-memory {quoted(text)} is no amount of memory.", "Give it as in 8GB or 512MiB.")
    os.environ[MOST_MEMORY] = str(int(float(match[1]) * UNITS[(match[2] or "").upper()]))
    return text


Model = Annotated[
    str,
    typer.Argument(
        help="An alias, a Hub id org/name\\[@revision], a folder, or demo.", show_default=False, metavar="MODEL"
    ),
]
PathOrRepo = Annotated[
    str, typer.Argument(help="A release, a model folder, or a Hub id org/name\\[@revision].", show_default=False)
]
ReleaseFolder = Annotated[Path, typer.Argument(help="A release folder.", show_default=False)]
Base = Annotated[str | None, typer.Option("--base", help="The dense model to compare with.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done; needs only config and headers.", metavar="")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", metavar="")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", metavar="")]


class RunOptions(Frozen):
    """How a command that computes runs, and what it prints."""

    max_memory: Annotated[
        str | None,
        Option(
            "--max-memory",
            "Memory to stay within, as in 8GB; larger models are read block by block.",
            read=limit_memory,
        ),
    ] = None
    as_json: Annotated[bool, Option("--json", "Print one JSON object on stdout.", metavar="")] = False
    debug: Annotated[bool, Option("--debug", "Show tracebacks.", metavar="")] = False
