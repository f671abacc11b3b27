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


def nameless(record: Asked) -> Asked:
    """Leave of each path the name alone, since no record holds a local path."""
    return record.model_copy(update={name: _nameless(value) for name, value in record})


def _nameless(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_nameless, value))
    return Path(value.name) if isinstance(value, Path) else value
