"""Whether a release's `space/` is what this tool writes for its record: the shipped app, and nothing else that runs.

The app's own files must be the shipped ones, byte for byte. README.md and examples.json are data: they are read under
limits, and must be what the record and BBQ make of them.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from release.card.parts import parse
from release.checkpoint.files import Files, Folder
from release.errors import BadOption
from release.evals.bbq import data as bbq
from release.evals.bbq.examples import MOST, example
from release.evals.bbq.items import Item
from release.format import listed
from release.frozen import Frozen
from release.names import REPO_ID
from release.outside import Unfit, text_of
from release.schema.record import CARD, Check, Record
from release.space import build as space
from release.space.mark import address_of

FOLDER = "space"
MOST_FILES = 1000
"""Names that are looked at: more are refused by these."""
LARGEST = {CARD: 1 << 20, space.EXAMPLES: 8 << 20}
"""Bytes of the two files that are made from the record, at most."""

Text = Annotated[str, Field(max_length=10_000)]
Index = Annotated[int, Field(ge=0, le=2, strict=True)]


class Example(Frozen):
    """One question as examples.json holds it, as `release.evals.bbq.examples.example` writes it."""

    prompt: Text
    category: Text
    example_id: Text
    condition: Literal["ambig", "disambig"]
    context: Text
    question: Text
    answers: tuple[Text, Text, Text]
    unknown: Index
    target: Index | None
    label: Index


EXAMPLES = TypeAdapter(Annotated[tuple[Example, ...], Field(max_length=MOST)])


def check(files: Files, record: Record) -> Iterator[Check]:
    """Check the Space beside a model folder; on the Hub it is a repository of its own, and not looked at."""
    if not isinstance(files, Folder):
        return
    folder = files.path.resolve().parent / FOLDER
    if files.path.resolve().name == "model" and os.path.lexists(folder):
        wrong = list(problems(folder, record))
        told = f"{listed(wrong)}. Remove {FOLDER}/: `release publish` and `release push` write it anew"
        found = "the shipped app; README.md and examples.json as made from the record"
        unknown = "" if bbq.known() else " (the questions were not compared: BBQ was not fetched here before)"
        yield Check(name=FOLDER, ok=not wrong, detail=told if wrong else found + unknown)


def require(folder: Path, record: Record) -> None:
    """Refuse to run a Space that is not the shipped one.

    Raises:
        BadOption: There is none, or it is another; names the first files that differ.
    """
    if not (folder / "app.py").is_file():
        raise BadOption(f"{folder.parent} holds no space/app.py.", "Build it with `release publish … --local`.")
    if wrong := list(problems(folder, record)):
        raise BadOption(
            f"{folder} is not the Space that this version ships, and is not run: {listed(wrong)}.",
            "Build the release again with `release publish … --local`, which writes space/ anew.",
        )


def problems(folder: Path, record: Record) -> Iterator[str]:
    """Say what a `space/` holds that `release.space.build.write_folder` would not have written for this record."""
    if folder.is_symlink() or not folder.is_dir():
        yield f"{FOLDER} is no folder"
        return
    shipped = space.shipped()
    expected = {*shipped, CARD, space.EXAMPLES}
    with os.scandir(folder) as entries:
        found = {entry.name: entry for entry in islice(entries, MOST_FILES)}
    for name in sorted(expected - found.keys()):
        yield f"{name} is missing"
    for name in sorted(found.keys() - expected):
        yield f"{name!a} is no file of the app"
    whole = {name for name in expected & found.keys() if found[name].is_file(follow_symlinks=False)}
    for name in sorted(expected & found.keys() - whole):
        yield f"{name} is no regular file"
    for name in sorted(whole & shipped.keys()):
        if _content(folder / name, len(shipped[name])) != shipped[name]:
            yield f"{name} is not the shipped one"
    if {CARD, space.EXAMPLES} <= whole:
        yield from _data(folder, record)


def _content(path: Path, most: int) -> bytes:
    """Read a file, and one byte more than it may have where it is longer."""
    with path.open("rb") as file:
        return file.read(most + 1)


def _data(folder: Path, record: Record) -> Iterator[str]:
    stored = _content(folder / space.EXAMPLES, LARGEST[space.EXAMPLES])
    examples = _parsed(stored)
    if examples is None:
        yield f"{space.EXAMPLES} is not as this tool writes it"
        return
    if alien := _alien(examples):
        yield f"{space.EXAMPLES} holds {alien}, which is not so in BBQ"
    text = _content(folder / CARD, LARGEST[CARD]).decode("utf-8", errors="replace")
    yield from _readme_differences(text, record, bool(examples), _published_as(folder.parent / "model"))


def _parsed(stored: bytes) -> tuple[Example, ...] | None:
    """Return the examples of a file that was written by `space.write_folder`; None for any other."""
    try:
        content = json.loads(stored)
        examples = EXAMPLES.validate_python(content["examples"])
        same = space.examples_json([each.model_dump() for each in examples]).encode() == stored
    except (ValueError, LookupError, TypeError, RecursionError, ValidationError):
        return None
    return examples if same else None


def _alien(examples: Sequence[Example]) -> str | None:
    """Name the first question that BBQ does not hold in these words; None also where BBQ is not at hand."""
    known = bbq.known()
    if known is None:
        return None
    items: Mapping[tuple[str, str], Item] = {(item.category, str(item.example_id)): item for item in known[0]}
    for each in examples:
        item = items.get((each.category, each.example_id))
        if item is None or Example.model_validate(example(item)) != each:
            return f"{each.category[:40]!a} {each.example_id[:20]!a}"
    return None


def _published_as(model: Path) -> str | None:
    """Return the Hub id that the card beside a Space was made for."""
    try:
        card = parse(text_of(model / CARD, LARGEST[CARD]))
    except Unfit:
        return None
    return card.target.repo_id if card else None


def _readme_differences(text: str, record: Record, with_examples: bool, published_as: str | None) -> Iterator[str]:
    """Compare with the README for every id that the text gives this release, in any namespace, and for the card's."""
    named = re.findall(rf"^- ((?:[A-Za-z0-9][\w.-]*/)?{re.escape(record.name)})$", text, re.MULTILINE | re.ASCII)
    models = {
        identifier: space.models_of(record, record.base.id, identifier)
        for identifier in [*([published_as] if published_as else []), record.name, *named[:2]]
    }
    address = address_of(text)
    own = address if address and REPO_ID.fullmatch(address) else None
    written = [space.readme(record, each, with_examples, own) for each in models.values()]
    if text not in written:
        yield f"{CARD} is not as made from the record ({_first_difference(text, written[-1])})"


def _first_difference(text: str, written: str) -> str:
    pairs = zip(text.splitlines(), written.splitlines(), strict=False)
    return next((f"line {number}" for number, (one, two) in enumerate(pairs, 1) if one != two), "its length")
