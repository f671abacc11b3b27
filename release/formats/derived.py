"""Files that hold a record's results in other forms: written beside it, and derived again where it is verified."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from release import __version__, files
from release.checkpoint.files import Files, content
from release.digests import FileDigest, digest_of
from release.errors import InputError
from release.format import listed
from release.formats import eval_results, every_eval_ever
from release.names import is_eval_results
from release.schema.record import Check, Record

NAME = "open formats"


def is_derived(name: str) -> bool:
    """Whether a file of a release is derived from its record."""
    return name == every_eval_ever.FILE or is_eval_results(name)


def derived(record: Record) -> dict[str, bytes]:
    """Return each file, by its name in the model folder; the same record gives the same bytes."""
    whole = every_eval_ever.text_of(record)
    found = ({every_eval_ever.FILE: whole} if whole else {}) | eval_results.files(record)
    return {name: text.encode() for name, text in found.items()}


def added(record: Record, model: Path) -> Record:
    """Write the files into a model folder in the place of earlier ones, and list them in the record."""
    due = derived(record)
    for path in [path for path in model.rglob("*") if path.is_file()]:
        name = path.relative_to(model).as_posix()
        if is_derived(name) and name not in due:
            path.unlink()
    for name, data in due.items():
        (model / name).parent.mkdir(exist_ok=True)
        files.write(model / name, data.decode())
    kept = [file for file in record.files if not is_derived(file.name)]
    found = [*kept, *(digest_of(model / name, name) for name in due)]
    return record.model_copy(update={"files": tuple(sorted(found, key=_place))})


def _place(file: FileDigest) -> tuple[str, ...]:
    return tuple(file.name.split("/"))


def checks(held: Files, record: Record) -> Iterator[Check]:
    """Hold the files against what the record gives; a release of an earlier version may have none."""
    names = sorted(name for name in held.sizes if is_derived(name))
    if names:
        due = derived(record)
        same = record.environment.release == __version__
        wrong = [name for name in names if not _agrees(held, name, due.get(name), same)]
        detail = (
            f"not what the record gives: {listed(wrong)}" if wrong else f"{listed(names)}: as the record gives them"
        )
        yield Check(name=NAME, ok=not wrong, detail=detail)


def _agrees(held: Files, name: str, due: bytes | None, same: bool) -> bool:
    """Whether a file holds what is due, to the byte; of another version's files the numbers alone are held."""
    try:
        found = content(held, name)
        return due is not None and (found == due or (not same and _numbers(found) == _numbers(due)))
    except (InputError, ValueError, yaml.YAMLError, RecursionError):
        return False


def _numbers(data: bytes) -> list[float]:
    """Return every number of a JSON or YAML document, in order."""
    text = data.decode()
    return list(_found(json.loads(text) if text.startswith("{") else yaml.safe_load(text)))


def _found(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _found(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
