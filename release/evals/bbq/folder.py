"""A folder of one's own in BBQ's form: its fields, other text and categories, as EsBBQ and CaBBQ have them.

What makes a folder one is `unknown.yaml`, which names the benchmark, its language, and the phrases by which its items
say that the answer cannot be known. Every `*.jsonl` beside it (or under `data/`) holds items, one a line, with BBQ's
fields; EsBBQ's `instance_id` and `template_id` stand for `example_id` and `question_index`. The answer that counts as
biased is that of `additional_metadata.csv`, where there is one, as in nyu-mll/BBQ; else that of the one answer whose
group is among `stereotyped_groups`, turned round where the question is not negative (Ruiz-Fernández et al. 2025, whose
evaluation reads the groups so).
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from release.errors import UnusableData
from release.evals.bbq.items import Item, folded
from release.evals.bbq.result import BbqFolder
from release.format import quoted, shown
from release.outside import Unfit, bytes_of, json_object, text_of, utf8, yaml_mapping
from release.sources.cache import CRLF, LF
from release.values import DataSource

MARK = "unknown.yaml"
METADATA = "additional_metadata.csv"
DOCS = "docs/bbq-folders.md"
LARGEST = 64 << 20
"""Bytes of one of its files."""
MOST_FILES = 100
MOST_ITEMS = 200_000

Phrase = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Info = Annotated[tuple[str, ...], Field(min_length=1)]
Index = Annotated[int, Field(ge=0, lt=1 << 53)]
LONGEST_NAME = 60
"""Characters, counted beside the pattern: a pattern that counts takes a tenth of a second to make, at every start."""


class FolderLabel(BaseModel):
    """What `unknown.yaml` says.

    Attributes:
        name: Of the benchmark, as the card calls it.
        language: Of its texts, by BCP 47: `es`, `ca`, `pt-BR`.
        unknown: How its items write that the answer cannot be known; case and a final full stop aside.
        license: Of its texts, where it is known.
        origin: Where it is published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[\w][\w .+-]*$", max_length=LONGEST_NAME)]
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
    unknown: Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=50)]
    license: Annotated[str | None, Field(pattern=r"^[\w][\w .+-]*$", max_length=LONGEST_NAME)] = None
    origin: Annotated[str | None, Field(pattern=r"^https://[!-~]{1,290}$")] = None


class FolderMetadata(BaseModel):
    """What BBQ tells of an item apart."""

    stereotyped_groups: tuple[str, ...] = ()


class AnswerInfo(BaseModel):
    """What BBQ tells of each answer: its name, and last its social group."""

    ans0: Info
    ans1: Info
    ans2: Info


class FolderRow(BaseModel):
    """One line of a file; further fields are passed over."""

    category: Annotated[str, Field(pattern=r"^[\w][\w .()/&+-]*$", max_length=LONGEST_NAME)]
    example_id: Annotated[Index, Field(validation_alias=AliasChoices("example_id", "instance_id"))]
    question_index: Annotated[
        Annotated[str, Field(min_length=1, max_length=60)] | Index,
        Field(validation_alias=AliasChoices("question_index", "template_id")),
    ]
    question_polarity: Literal["neg", "nonneg"]
    context_condition: Literal["ambig", "disambig"]
    context: Text
    question: Text
    ans0: Text
    ans1: Text
    ans2: Text
    answer_info: AnswerInfo
    label: Annotated[int, Field(ge=0, le=2)]
    stereotyped_groups: tuple[str, ...] = ()
    additional_metadata: FolderMetadata = FolderMetadata()

    @property
    def answers(self) -> tuple[str, str, str]:
        """The three, in their order."""
        return self.ans0, self.ans1, self.ans2

    @property
    def groups(self) -> tuple[str, str, str]:
        """The social group of each answer, which stands last."""
        info = self.answer_info
        return info.ans0[-1], info.ans1[-1], info.ans2[-1]

    @property
    def stereotyped(self) -> frozenset[str]:
        """The groups that the stereotype is about."""
        return frozenset((*self.stereotyped_groups, *self.additional_metadata.stereotyped_groups))


class OwnFolder(NamedTuple):
    """A folder that was read."""

    items: tuple[Item, ...]
    source: DataSource
    told: BbqFolder


Targets = Mapping[tuple[str, int], int | None]


def is_own(folder: Path | None) -> bool:
    """Whether it is a benchmark of one's own, and no clone of nyu-mll/BBQ."""
    return folder is not None and (folder / MARK).exists()


def read_own(folder: Path) -> OwnFolder:
    """Return the items of a folder, ordered by category and example id.

    Raises:
        UnusableData: It holds no items, one lacks a field, none or several of its answers say that it cannot be known,
            an item stands twice, or two categories have almost the same name.
    """
    files = {path.name: path for place in (folder, folder / "data") for path in sorted(place.glob("*.jsonl"))}
    if not 0 < len(files) <= MOST_FILES:
        raise _wrong(f"{shown(str(folder))} holds {len(files)} files of items", "Put 1 to 100 *.jsonl files into it")
    table = next((path for place in (folder, folder / "data") if (path := place / METADATA).is_file()), None)
    paths = (folder / MARK, *(files[name] for name in sorted(files)), *([table] if table else []))
    return _read(paths, table, tuple(map(_state, paths)))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _wrong(seen: str, remedy: str) -> UnusableData:
    return UnusableData(f"{seen}.", f"{remedy}; {DOCS} shows such a folder.")


def _content(path: Path) -> bytes:
    try:
        return bytes_of(path, LARGEST).replace(CRLF, LF)
    except Unfit as why:
        raise _wrong(f"{shown(str(path))} {why}", "Correct it") from None


@lru_cache(maxsize=1)
def _read(paths: tuple[Path, ...], table: Path | None, _: object) -> OwnFolder:
    """Read the files, `unknown.yaml` first: once a process, as long as none of them changes."""
    contents = [_content(path) for path in paths]
    label = _label(paths[0])
    targets = _targets(contents[-1], str(table)) if table else None
    items = _items([path for path in paths[1:] if path != table], contents[1:], label, targets)
    source = DataSource(
        name=label.name,
        origin=label.origin or "a folder",
        revision=None,
        licence=label.license,
        sha256=hashlib.sha256(b"".join(contents)).hexdigest(),
    )
    sizes = {name: sum(item.category == name for item in items) for name in sorted({item.category for item in items})}
    return OwnFolder(items, source, BbqFolder(language=label.language, unknown=label.unknown, sizes=sizes))


def _label(path: Path) -> FolderLabel:
    try:
        return FolderLabel.model_validate(yaml_mapping(text_of(path, 1 << 16)))
    except Unfit as why:
        raise _wrong(f"{shown(str(path))} {why}", "Write name, language and unknown into it") from None
    except ValidationError as error:
        remedy = "Give name, language and a list of phrases under unknown; license and origin if you like"
        raise _wrong(f"{shown(str(path))} {_first(error)}", remedy) from None


def _first(error: ValidationError) -> str:
    """Say what is wrong with the first field that is."""
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"])) or "it"
    return f"is not as it must be in {quoted(place)} ({found['msg'].lower()})"


def _targets(content: bytes, name: str) -> Targets:
    try:
        rows = csv.DictReader(io.StringIO(utf8(content), newline=""))
        return {
            (row["category"], int(row["example_id"])): int(row["target_loc"]) if row["target_loc"] != "NA" else None
            for row in rows
        }
    except (Unfit, KeyError, ValueError, TypeError, csv.Error):
        remedy = "Give it the columns category, example_id and target_loc (0, 1, 2 or NA), or take it away"
        raise _wrong(f"{shown(name)} cannot be read", remedy) from None


def _items(
    files: Sequence[Path], contents: Sequence[bytes], label: FolderLabel, targets: Targets | None
) -> tuple[Item, ...]:
    phrases, places = frozenset(map(folded, label.unknown)), dict[tuple[str, int], str]()
    found: list[Item] = []
    for path, content in zip(files, contents, strict=False):
        for place, row in _rows(path, content):
            item = _item(row, phrases, targets, place)
            if before := places.get(key := (item.category, item.example_id)):
                seen = f"Item {item.category} {item.example_id} stands twice, in {before} and in {place}"
                raise _wrong(seen, "Number the items of a category throughout")
            places[key] = place
            found.append(item)
    if not 0 < len(found) <= MOST_ITEMS:
        raise _wrong(f"The folder holds {len(found):,} items", f"Give 1 to {MOST_ITEMS:,}")
    _require_apart({item.category for item in found})
    _require_targets(found)
    return tuple(sorted(found, key=lambda item: (item.category, item.example_id)))


def _rows(path: Path, content: bytes) -> Iterator[tuple[str, FolderRow]]:
    """Yield each line as a row, with the place where it stands."""
    for number, line in enumerate(content.splitlines(), start=1):
        place = f"{shown(path.name)} line {number}"
        if line.strip():
            try:
                yield place, FolderRow.model_validate(json_object(line))
            except Unfit as why:
                raise _wrong(f"{place} {why}", "Write one JSON object a line") from None
            except ValidationError as error:
                raise _wrong(f"{place} {_first(error)}", "Give every item BBQ's fields") from None


def _item(row: FolderRow, phrases: frozenset[str], targets: Targets | None, place: str) -> Item:
    unknown = [index for index, answer in enumerate(row.answers) if folded(answer) in phrases]
    if len(unknown) != 1:
        said = ", ".join(quoted(answer) for answer in row.answers)
        which = "none" if not unknown else "more than one"
        seen = f"{place}: of its answers {said} {which} is among the phrases of {MARK}"
        raise _wrong(seen, f"List under unknown in {MARK} how exactly one answer of each item is written")
    if row.context_condition == "ambig" and row.label != unknown[0]:
        right = quoted(row.answers[row.label])
        seen = f"{place}: the right answer of an ambiguous item is {right}, which says that something is known"
        raise _wrong(seen, f"Correct its label, or the phrases under unknown in {MARK}")
    target = _target(row, unknown[0]) if targets is None else targets.get((row.category, row.example_id))
    if target is not None and target not in {0, 1, 2} - {unknown[0]}:
        raise _wrong(f"{place}: its target_loc {target} names no group", f"Correct it in {METADATA}")
    return Item(
        category=row.category,
        example_id=row.example_id,
        question_index=str(row.question_index),
        polarity=row.question_polarity,
        condition=row.context_condition,
        context=row.context,
        question=row.question,
        answers=row.answers,
        groups=row.groups,
        unknown=unknown[0],
        label=row.label,
        target=target,
    )


def _target(row: FolderRow, unknown: int) -> int | None:
    """Return the answer that counts as biased; None where the groups do not tell the two apart."""
    others = [index for index in range(3) if index != unknown]
    about = [index for index in others if {row.groups[index], _last(row.groups[index])} & row.stereotyped]
    if len(about) != 1:
        return None
    [other] = set(others) - set(about)
    return about[0] if row.question_polarity == "neg" else other


def _last(group: str) -> str:
    return group.rpartition(",")[2].strip()


def _require_targets(items: Sequence[Item]) -> None:
    """Refuse a category without any biased answer: its bias scores would be left out without a word."""
    for category in sorted(
        {item.category for item in items} - {item.category for item in items if item.target is not None}
    ):
        seen = f"In the category {quoted(category)} no item has an answer whose group alone is among stereotyped_groups"
        raise _wrong(seen, f"Write its groups as answer_info does, or give {METADATA} with target_loc")


def _require_apart(categories: set[str]) -> None:
    """Refuse two names of what is most likely one category: each would be drawn, tested and averaged by itself."""
    for one, other in combinations(sorted(categories), 2):
        if _bare(one) == _bare(other):
            raise _wrong(f"The categories {quoted(one)} and {quoted(other)} clash", "Write them alike in every item")


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def phrases_of(told: BbqFolder) -> frozenset[str]:
    """Return what means "unknown", as answers are compared."""
    return frozenset(map(folded, told.unknown))
