"""What is said of a command line that is none."""

from typing import Any

import typer

from release.errors import nearest
from release.settings.examples import EXAMPLES

# typer carries its own copy of click and exports only the leaves of its errors.
USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]
UNKNOWN = "NoSuchOption"
"""The error of an option that there is not; one that lacks its value has no context."""


def misused(error: BaseException) -> tuple[str, str] | None:
    """Say what is wrong with a command line, and how its command is used: nearest option, help, and an example.

    Returns None for any other error.
    """
    if not isinstance(error, USAGE_ERROR):
        return None
    context: Any = error.ctx
    command = context.info_name if context and context.parent else ""
    seen, meant = error.format_message(), ""
    if type(error).__name__ == UNKNOWN and context is not None:
        word = str(getattr(error, "option_name", ""))
        seen, meant = f"There is no option {word}.", _meant(word, context.command)
    shown = f"`release {command} --help`" if command else "`release --help`"
    example = f" For example: {EXAMPLES[command][0]}" if command in EXAMPLES else ""
    return seen, f"{meant}{shown} shows what is understood.{example}"


def _meant(word: str, command: Any) -> str:
    known = {each for option in command.params for each in option.opts} | {"--help"}
    near = nearest(word, sorted(known))
    return f"Did you mean {near[0]}? " if near else ""
