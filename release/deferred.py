"""Commands whose options are worked out once they are asked for: other commands, and the help of all, need none."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from typer.core import TyperCommand, TyperGroup

from release.errors import NobodyReads
from release.settings.examples import epilog

Function = Callable[..., None]


class DeferredCommand(TyperCommand):
    """A command of a name and a help, whose options come with the first question for them.

    Args:
        function: What it calls; its name and docstring are the command's.
        omit: Fields of its records that it has no option for.
    """

    def __init__(self, function: Function, omit: Callable[[], tuple[str, ...]]) -> None:
        name = function.__name__
        super().__init__(name=name, callback=function, help=inspect.getdoc(function), epilog=epilog(name))
        self.function, self.omit = function, omit

    @cached_property
    def made(self) -> TyperCommand:
        """The command itself."""
        from release.settings.command import made  # it loads what makes the records

        return made(self.function, self.omit())

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Read a command line, as the command itself."""
        with _help():
            return self.made.make_context(*words, **more)

    @property
    def params(self) -> Any:
        """The command's options and arguments."""
        return self.made.params

    @params.setter
    def params(self, _: Any) -> None:
        """Typer gives an empty list when a command is made."""


class DeferredGroup(TyperGroup):
    """All commands that were registered."""

    registered: ClassVar[dict[str, DeferredCommand]] = {}

    def __init__(self, **said: Any) -> None:
        super().__init__(**{**said, "commands": self.registered})

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Read a command line up to its command."""
        with _help():
            return super().make_context(*words, **more)


@contextmanager
def _help() -> Iterator[None]:
    """Tell that nobody reads the help any more: where a line is read, nothing else goes through a pipe."""
    try:
        yield
    except (BrokenPipeError, SystemExit):  # rich ends the program so; typer raises an Exit of its own
        raise NobodyReads from None


def _nothing() -> tuple[str, ...]:
    return ()


def command(omit: Callable[[], tuple[str, ...]] = _nothing) -> Callable[[Function], Function]:
    """Make a function a command: each record that it takes becomes the options of its fields, in their order.

    What its annotations name of `release.settings`, by module, is looked up with its options.

    Args:
        omit: Returns the fields that this command has no option for.
    """

    def register(function: Function) -> Function:
        DeferredGroup.registered[function.__name__] = DeferredCommand(function, omit)
        return function

    return register
