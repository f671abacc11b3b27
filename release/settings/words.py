"""A record written back into the words of a command line."""

from pathlib import Path
from typing import Any, TypeVar

from release.frozen import Frozen
from release.settings.option import Setting, settings_of

Asked = TypeVar("Asked", bound=Frozen)


def words_of(record: Frozen, *, all_of_them: bool = False) -> list[str]:
    """Write the options of a record that are not the default: `understood` makes the same record of them.

    Args:
        all_of_them: Also those that change neither files nor numbers.
    """
    words = list[str]()
    for name, each in settings_of(type(record)):
        value: Any = getattr(record, name)
        if not isinstance(each, Setting):
            words += [] if value is None else words_of(value, all_of_them=all_of_them)
        elif (each.option.repeats or all_of_them) and (each.field.is_required() or value != each.default):
            words += each.words(value)
    return words


def differing(there: Frozen, asked: Frozen) -> list[str]:
    """Say of each option that changes files or numbers where two records of one kind differ in it."""
    found = list[str]()
    for name, each in settings_of(type(there)):
        values = getattr(there, name), getattr(asked, name)
        if values[0] == values[1]:
            continue
        if isinstance(each, Setting):
            was, now = ("not given" if value is None else _said(each, value) for value in values)
            found += [f"{each.option.word} is {was} there, {now} here"] if each.option.repeats else []
        elif None in values:
            found.append("one is calibrated")
        else:
            found += differing(*values)
    return found


def _said(setting: Setting, value: Any) -> str:
    """Write an option's value for people."""
    if setting.kind is bool:
        return "given" if value != setting.default else "not given"
    return " ".join(setting.words(value)[1:]) or "nothing"


def nameless(record: Asked) -> Asked:
    """Leave of each path the name alone, since no record holds a local path."""
    return record.model_copy(update={name: _nameless(value) for name, value in record})


def _nameless(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_nameless, value))
    return Path(value.name) if isinstance(value, Path) else value
