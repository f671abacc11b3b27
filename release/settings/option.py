"""What a field of a record tells of the option that sets it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, Overflow
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from release.errors import BadOption
from release.format import quoted
from release.frozen import MOST_DECIMALS, Frozen, is_share

LONGEST_NUMBER = 100
"""Characters of a number that are read."""


class HelpPanel(StrEnum):
    """Headings in the help."""

    PRUNE = "Pruning"
    MEASURE = "Measurement"
    PUBLISH = "Publication"


@dataclass(frozen=True)
class Option:
    """The option of one field; type, default and choices are the field's own.

    Attributes:
        word: What it is called on the command line, with its dashes.
        read: Makes the value of a word; None where the word is the value, or one of the field's choices.
        least: The smallest number that is taken.
        most: The largest.
        shows_default: Whether the help states the default; words for one that only a command knows.
        repeats: Whether the command that repeats a release states it: it changes files or numbers.
        metavar: What stands for its value in the help.
        short: A second word of one letter, with its dash.
        bare: The value where the option stands alone; None where a value must follow.
    """

    word: str
    help: str
    panel: HelpPanel | None = None
    read: Callable[[str], Any] | None = None
    least: int | None = None
    most: int | None = None
    shows_default: bool | str = True
    repeats: bool = True
    metavar: str | None = None
    short: tuple[str, ...] = ()
    bare: str | None = None


@dataclass(frozen=True)
class Setting:
    """A field and its option.

    Attributes:
        kind: The field's type, without None.
    """

    name: str
    option: Option
    kind: Any
    field: FieldInfo

    @property
    def default(self) -> Any:
        """The field's default."""
        return self.field.get_default(call_default_factory=True)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it takes, where only some are taken."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def repeated(self) -> bool:
        """Whether the option may be given several times."""
        return get_origin(self.kind) is tuple and self.option.read is None and not self.paired

    @property
    def paired(self) -> bool:
        """Whether the option takes two paths at once."""
        return bool(self.kind == tuple[Path, Path])

    def value(self, word: Any) -> Any:
        """Make the field's value of what the command line gave.

        Raises:
            BadOption: It is not understood.
        """
        if self.choices:
            return chosen(self.option.word, word, self.choices)
        if self.kind is bool:
            return not self.default if word else self.default
        if self.option.read is not None:
            return self.option.read(word)
        return tuple(word) if self.repeated or self.paired else word

    def words(self, value: Any) -> list[str]:
        """Write a value as it is given on the command line; the opposite of `value`."""
        if self.kind is bool:
            return [self.option.word]
        if self.repeated:
            return [word for each in value for word in (self.option.word, str(each))]
        return [self.option.word, *map(written, value if self.paired else [value])]


@cache
def settings_of(record: type[Frozen]) -> "tuple[tuple[str, Setting | type[Frozen]], ...]":
    """Return the fields of a record that options set: each with its option, or the record that it nests."""
    return tuple(_settings_of(record))


def _settings_of(record: type[Frozen]) -> "Iterator[tuple[str, Setting | type[Frozen]]]":
    for name, field in record.model_fields.items():
        kind = _without_none(field.annotation)
        option = next((each for each in field.metadata if isinstance(each, Option)), None)
        if option is not None:
            yield name, Setting(name, option, kind, field)
        elif isinstance(kind, type) and issubclass(kind, Frozen):
            yield name, kind


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        [kind] = (each for each in get_args(annotation) if each is not type(None))
        return kind
    return annotation


def written(value: Any) -> str:
    """Write a value as one word; of a path the name alone, since no record holds a path."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Decimal):
        return f"{value:f}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def chosen(word: str, text: str, known: Sequence[str]) -> str:
    """Find the choice that a word names, in any case.

    Raises:
        BadOption: There is no such choice; names those that there are.
    """
    for each in known:
        if text.strip().casefold() == each.casefold():
            return each
    raise BadOption(f"{word} {quoted(text)} is not understood.", f"Give {', '.join(known)}.")


def listed(word: str, known: Sequence[str], what: str) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of several choices with commas between them, each given once.

    Args:
        what: What one of them is, with its article, for the refusal.
    """

    def read(text: str) -> tuple[str, ...]:
        names = tuple(chosen(word, name, known) for name in text.split(","))
        if len(set(names)) < len(names):
            raise BadOption(f"{word} {quoted(text)} names {what} twice.", "Give each once.")
        return names

    return read


def share(text: str) -> Decimal:
    """Read a sparsity as an exact decimal, 0 < s < 1; a number with % is a hundredth of it.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    plain = text.strip()
    try:
        # What is smaller than any number here becomes 0, and is refused as such.
        value = Decimal(plain.removesuffix("%").strip()[:LONGEST_NUMBER]).normalize()
    except (InvalidOperation, Overflow):
        if "," in plain:
            seen = f"--sparsity {quoted(text)} names several shares; this makes one release at a time."
            raise BadOption(seen, "Give one share; `release sweep` or `release prune` make several.") from None
        raise BadOption(f"Sparsity {quoted(text)} is not a number.", "Give a share like 0.1 for 10 %.") from None
    if plain.endswith("%") and value.is_finite():
        value = value.scaleb(-2)
    if not value.is_finite() or not 0 < value < 1:
        raise BadOption(f"Sparsity {quoted(text)} is not between 0 and 1.", _remedy_for(value))
    if len(plain) > LONGEST_NUMBER or not is_share(value):
        seen = f"Sparsity {quoted(text)} has more than {MOST_DECIMALS} decimals."
        raise BadOption(seen, "Give a share like 0.1 for 10 %.")
    return value.normalize()


def _remedy_for(value: Decimal) -> str:
    """Say how to write a share; a bare number from 1 to 100 was most likely meant in per cent."""
    if value.is_finite() and 1 < value < 100 and is_share(meant := value.scaleb(-2)):
        return f"Give a share like 0.1 for 10 %; for {value:f} %, give {meant:f} or {value:f}%."
    return "Give a share like 0.1 for 10 %."


def shares(text: str | None) -> list[Decimal | None]:
    """Read one sparsity or several, with commas between them; None stands for the pattern's own.

    Raises:
        BadOption: One of them is no number, outside the range, or given twice.
    """
    if text is None:
        return [None]
    found = [share(part) for part in text.split(",")]
    if len(set(found)) < len(found):
        raise BadOption(f"--sparsity {quoted(text)} names a share twice.", "Give each once.")
    return [*found]
