"""A command's parameters, made of the records that it takes; and the records, made of its words."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from release.errors import BadOption
from release.frozen import Frozen
from release.settings.examples import epilog
from release.settings.option import Setting, settings_of, written

Function = Callable[..., None]
MODULES = frozenset(path.stem for path in Path(__file__).parent.glob("*.py"))
"""Whose names an annotation may begin with."""
METAVARS: Mapping[Any, str] = {bool: "", int: "N", Path: "PATH"}


def parameters(record: type[Frozen], *but: str) -> tuple[str, ...]:
    """Return the parameters of a record's options, for a command that omits them; all `but` some."""
    return tuple(word for word in settings_by_parameter(record) if word not in but)


def settings_by_parameter(record: type[Frozen]) -> dict[str, Setting]:
    """Return a record's options, and those of the records it nests, by the names of their parameters."""
    return {parameter(each): each for each in _settings(record)}


def made(function: Function, omit: tuple[str, ...] = ()) -> TyperCommand:
    """Make the command that calls a function: each record that it takes becomes the options of its fields, in order.

    A parameter of the function's own comes before an option of the same name, and an option that two records share is
    given once.

    Args:
        omit: Fields that this command has no option for.
    """
    flat = _flattened(function, omit)

    def run(**words: Any) -> None:
        function(**collected(function, words))

    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__annotations__ = {name: each.annotation for name, each in flat.items()}
    vars(run)["__signature__"] = inspect.Signature(list(flat.values()))
    bare = {each.option.word: each for each in _all_settings(function) if each.option.bare is not None}
    alone = typer.Typer(add_completion=False)
    alone.command(cls=_filling(bare) if bare else None, epilog=epilog(function.__name__))(run)
    return cast("TyperCommand", typer.main.get_command(alone))  # of one command, typer makes no group


class _Modules(dict[str, ModuleType]):
    """The modules of this package by their names, each imported when it is asked for."""

    def __missing__(self, name: str) -> ModuleType:
        if name not in MODULES:
            raise KeyError(name)
        return import_module(f"{__package__}.{name}")


@cache
def parameters_of(function: Function) -> Mapping[str, inspect.Parameter]:
    """Return a function's parameters, with what their annotations stand for."""
    return inspect.signature(function, locals=_Modules(), eval_str=True).parameters


def collected(function: Function, words: Mapping[str, Any]) -> dict[str, Any]:
    """Put the words of a command line together into what the command's function takes.

    Raises:
        BadOption: A word is not understood, or two contradict each other.
    """
    own = parameters_of(function)
    others = {name: word for name, word in words.items() if name not in own}
    return {
        name: understood(each.annotation, others) if _is_record(each.annotation) else words[name]
        for name, each in own.items()
    }


def understood(record: type[Frozen], words: Mapping[str, Any]) -> Any:
    """Make a record of words.

    Args:
        words: Field → what typer read; None, or nothing, for the default.

    Raises:
        BadOption: One of them is not understood, or two contradict each other.
    """
    values: dict[str, Any] = {}
    for name, each in settings_of(record):
        if not isinstance(each, Setting):
            values[name] = understood(each, words)
        elif (word := words.get(parameter(each))) is not None:
            values[name] = each.value(word)
    try:
        made: Frozen = getattr(record, "of", record)(**values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise BadOption(f"The option for {name} is not understood.", "`--help` shows what is taken.") from None
    return made


def parameter(setting: Setting) -> str:
    """The name of an option's parameter, which is its word's: fields of two records may have the same name."""
    return setting.option.word.strip("-").replace("-", "_")


def _filling(bare: Mapping[str, Setting]) -> type[TyperCommand]:
    """Make a class of commands that give an option its value where it stands alone; typer knows no such option."""

    class Filling(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, list(_filled(args, bare)))

    return Filling


def _filled(words: Sequence[str], bare: Mapping[str, Setting]) -> Iterator[str]:
    """Yield the words of a command line, with a value for each option that what follows is none for."""
    for place, word in enumerate(words):
        yield word
        if (each := bare.get(word)) is not None and not _understands(each, words[place + 1 : place + 2]):
            yield str(each.option.bare)


def _understands(setting: Setting, words: Sequence[str]) -> bool:
    try:
        return [setting.value(word) for word in words] != []
    except BadOption:
        return False


def _all_settings(function: Function) -> Iterator[Setting]:
    for each in parameters_of(function).values():
        if _is_record(each.annotation):
            yield from _settings(each.annotation)


def _is_record(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Frozen)


def _flattened(function: Function, omit: tuple[str, ...]) -> dict[str, inspect.Parameter]:
    """The parameters that typer shall see; one of the function's own stands where its record has the option."""
    own = parameters_of(function)
    flat: dict[str, inspect.Parameter] = {}
    for name, each in own.items():
        if _is_record(each.annotation):
            for setting in _settings(each.annotation):
                word = parameter(setting)
                if word not in (*flat, *omit):
                    flat[word] = own[word] if word in own else _parameter(word, setting)
        elif name not in flat:
            flat[name] = each
    return {name: each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, each in flat.items()}


def _settings(record: type[Frozen]) -> Iterator[Setting]:
    for _, each in settings_of(record):
        if isinstance(each, Setting):
            yield each
        else:
            yield from _settings(each)


def _parameter(name: str, setting: Setting) -> inspect.Parameter:
    kind, said = _kind(setting), _described(setting)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=_default(setting), annotation=Annotated[kind, said]
    )


def _described(setting: Setting) -> Any:
    said = setting.option
    return typer.Option(
        said.word,
        *said.short,
        help=said.help,
        rich_help_panel=said.panel,
        show_default=said.shows_default,
        min=said.least,
        max=said.most,
        metavar=_metavar(setting),
    )


def _metavar(setting: Setting) -> str:
    """What stands for an option's value in the help: the choices, where only some are taken; nothing for a flag."""
    if setting.choices:
        return f"[{'|'.join(setting.choices)}]"
    return setting.option.metavar or METAVARS.get(setting.kind, "TEXT")


def _kind(setting: Setting) -> Any:
    """The type of what typer reads: a flag, a number, a path or two, several words, or one."""
    known = setting.kind in (bool, int, Path) or setting.paired
    kind: Any = setting.kind if known else list[str] if setting.repeated else str
    return kind | None if _default(setting) is None else kind


def _default(setting: Setting) -> Any:
    if setting.field.is_required():
        return inspect.Parameter.empty
    default = setting.default
    if setting.kind is bool:
        return False
    if default is None or default == ():
        return None
    return default if setting.kind in (int, Path) else written(default)
