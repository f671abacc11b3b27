"""Copies of any sparsity, made from the dense weights on the spot: the files that `release prune` would have written.

What random and magnitude pruning zero is decided by the dense weights, the seed and each tensor's budget, so a copy at
a published sparsity is the published one, byte for byte. All others are made here and were measured by nobody.
"""

import csv
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from huggingface_hub import hf_hub_download, snapshot_download
from lineup import SCHEMES, LocalCopy, Source
from rebuild import PLAIN, MaskRecipe, budgets, budgets_across, decided, prune, sizes_of, weights_of, zeroed
from records import LARGEST
from rows import due_in_rows
from trouble import UNREADABLE

RECORD, TABLE = "release.json", "sparsity.csv"
SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model")
"""What of the dense model's repository a copy needs beside the weights."""
PATIENCE = 20.0
"""Seconds that making a copy may take without asking first."""
FOLDER = "copies-"
"""What the name of a folder of copies begins with; the process that made it follows."""
KEPT = 2
"""Copies on disk: the one in use, and the one before it, which may still be read."""
STEPS = (0.5, 0.1, 0.01)
"""Percent between two places of the slider, at most and at least."""
EFFORT = {"tensor": 1.0, "row": 2.1, "global": 1.3}
"""Scope → times what a copy takes whose weights compete within each tensor, as timed with the demo model on two cores:
rows are sorted, and one cut across all is looked for first."""
SAMPLE = 1 << 24
"""Weights of the first tensor that are timed, at most."""


class CopyError(ValueError):
    """There can be no copy; says what was seen."""


@dataclass(frozen=True)
class Published:
    """A release that seed and dense weights decide.

    Attributes:
        scheme: A key of `SCHEMES`.
        share: Its target sparsity, 0 to 1.
        digests: Weight file → SHA-256.
    """

    source: Source
    scheme: str
    share: Decimal
    seed: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Prunable:
    """What the releases beside it say of a dense model.

    Attributes:
        sizes: Weights of each tensor that is pruned, by name.
        widths: Weights of one of its rows.
        files: Names of the weight files.
        seed: That copies are made with: the releases'.
        published: The releases that can be made here.
        others: The releases that cannot, each with how it was pruned.
    """

    sizes: Mapping[str, int]
    widths: Mapping[str, int]
    files: tuple[str, ...]
    seed: int
    published: tuple[Published, ...]
    others: tuple[tuple[Source, str], ...] = ()

    def at(self, scheme: str, percent: float) -> Published | None:
        """Return the release of a scheme at a sparsity; None where none is published."""
        wanted = scheme, Decimal(str(percent)) / 100
        return next((each for each in self.published if (each.scheme, each.share) == wanted), None)

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that copies are made in: the two plain ones, and those of the releases."""
        return tuple(dict.fromkeys(("random", "magnitude", *(each.scheme for each in self.published))))

    @property
    def step(self) -> float:
        """Percent between two places of the slider: so fine that every release stands at one."""
        return next(step for step in STEPS if all(_fits(each.share, step) for each in self.published))


@dataclass(frozen=True)
class Made:
    """A copy on disk.

    Attributes:
        digests: Weight file → SHA-256.
        seconds: That making it took.
    """

    folder: Path
    digests: Mapping[str, str]
    seconds: float


@lru_cache(maxsize=8)
def prunable(pruned: tuple[Source, ...]) -> Prunable:
    """Read what the releases of a line-up say.

    Raises:
        CopyError: None of them holds a record and a table of its tensors.
    """
    listed = [(source, _read(source)) for source in pruned]
    read = [found for _, found in listed if found]
    if not read:
        raise CopyError("None of the pruned models here holds a release.json and a sparsity.csv that can be read.")
    record, sizes, widths, _ = read[0]
    published = tuple(each for *_, each in read if each is not None)
    seed = published[0].seed if published else int(record["pruning"]["seed"])
    others = tuple((source, _how(found[0])) for source, found in listed if found and found[-1] is None)
    files = tuple(file["name"] for file in record["audit"]["files"])
    return Prunable(sizes, widths, files, seed, published, others)


def _how(record: Mapping[str, Any]) -> str:
    """Say how a release was pruned, in as far as it was not done as copies are made here."""
    pruning = record["pruning"]
    named = (f"{name} {pruning[name]}" for name, value in PLAIN.items() if pruning[name] != value)
    finer = () if _fits(Decimal(pruning["target_sparsity"]), STEPS[-1]) else ("between two places",)
    return ", ".join([str(pruning["method"]), *named, *finer])[:100]


def _fits(share: Decimal, step: float) -> bool:
    """Whether a sparsity, 0 to 1, is at a place of the slider."""
    return 100 * share % Decimal(str(step)) == 0


Read = tuple[Mapping[str, Any], dict[str, int], dict[str, int], Published | None]


def _read(source: Source) -> Read | None:
    """Return a release's record, its tensors' sizes and widths, and what it is where it can be made here."""
    try:
        record = json.loads(_file_of(source, RECORD).read_text(encoding="utf-8")[:LARGEST])
        with _file_of(source, TABLE).open(encoding="utf-8", newline="") as file:
            sizes, widths = sizes_of([row for row in csv.DictReader(file) if row["module"]])
        digests = {file["name"]: file["sha256"] for file in record["audit"]["files"]}
        pruning, share = record["pruning"], Decimal(record["pruning"]["target_sparsity"])
        scheme = next((scheme for scheme, how in SCHEMES.items() if how == (pruning["method"], pruning["scope"])), None)
        is_known = scheme is not None and decided(record) and _fits(share, STEPS[-1])
        found = Published(source, scheme, share, int(pruning["seed"]), digests) if scheme and is_known else None
    except (*UNREADABLE, csv.Error, ArithmeticError):
        return None
    return record, sizes, widths, found


def _file_of(source: Source, name: str) -> Path:
    """Return a file of a model, from its folder or from the Hub."""
    return Path(source.path) / name if source.path else Path(hf_hub_download(source.id, name))


class Maker:
    """Makes copies, one at a time, and knows how fast that goes.

    Attributes:
        rate: Bytes of weights per second, tensor by tensor: of the first tensor, then of the last copy; None before.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._made: dict[LocalCopy, Made] = {}
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def seconds(self, copy: LocalCopy) -> float:
        """Return how long making a copy takes here; nothing for one that is there.

        Raises:
            CopyError: It cannot be made.
        """
        if copy in self._made:
            return 0.0
        found = _known(copy)
        sources = _weights(copy, found)
        if self.rate is None:
            self.rate = _timed(found)
        return sum(path.stat().st_size for path in sources.values()) * _effort(copy) / self.rate

    def make(self, copy: LocalCopy) -> Made:
        """Return a copy, making it where it is not there.

        Raises:
            CopyError: It cannot be made, or the disk is full.
        """
        with self._lock:
            if copy not in self._made:
                made = self._new(copy)
                while len(self._made) >= KEPT:
                    shutil.rmtree(self._made.pop(next(iter(self._made))).folder, ignore_errors=True)
                self._made[copy] = made
            return self._made[copy]

    def _place(self) -> Path:
        """Return the folder of all copies, which goes when the app ends."""
        if self._folder is None:
            forget_left_over()
            self._folder = tempfile.TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-", ignore_cleanup_errors=True)
        return Path(self._folder.name)

    def _new(self, copy: LocalCopy) -> Made:
        found = _known(copy)
        sources = _weights(copy, found)
        total = sum(path.stat().st_size for path in sources.values())
        try:
            folder = self._place() / f"{copy.scheme}-{copy.percent:g}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if shutil.disk_usage(folder).free < total:
                raise CopyError(f"The copy takes {total / 1e9:.1f} GB of disk, and less is free.")
            started = time.perf_counter()
            made = Made(folder, _written(copy, found, sources, folder), time.perf_counter() - started)
        except (*UNREADABLE, LookupError) as error:
            raise CopyError(f"The copy could not be made ({type(error).__name__}: {str(error)[:200]}).") from error
        self.rate = total * _effort(copy) / max(made.seconds, 1e-3)
        return made


def _effort(copy: LocalCopy) -> float:
    return EFFORT[SCHEMES[copy.scheme][1]]


MAKER = Maker()


def forget_left_over() -> None:
    """Remove the copies of apps that were killed, which could not do it themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        owner = folder.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner[:9])):
            shutil.rmtree(folder, ignore_errors=True)


def why_not_linked(copy: LocalCopy) -> str | None:
    """Say why a link does not lead to a copy; None where the copy is there, or is made soon enough."""
    try:
        seconds = MAKER.seconds(copy)
    except CopyError as error:
        return str(error)
    if seconds <= PATIENCE:
        return None
    return f"{copy.label}: making it takes about {seconds:,.0f} s here. Choose it under Sparsity, and it is made."


def _known(copy: LocalCopy) -> Prunable:
    """Return what can be pruned, for a copy that is made as the releases beside it were.

    Raises:
        CopyError: It is another scheme, such as rows in a model whose files may hold none.
    """
    found = prunable(copy.pruned)
    if copy.scheme not in found.schemes:
        raise CopyError(f"No release here was pruned “{copy.scheme}”, so no copy is made so.")
    return found


def _weights(copy: LocalCopy, found: Prunable) -> dict[str, Path]:
    """Find the dense model's weight files."""
    try:
        paths = {name: _file_of(copy.dense, Path(name).name) for name in found.files}
        missing = [name for name, path in paths.items() if not path.is_file()]
    except UNREADABLE as error:
        raise CopyError(f"The weights of {copy.dense.id} cannot be read ({type(error).__name__}).") from error
    if missing or not paths:
        raise CopyError(f"{copy.dense.id} holds no {', '.join(missing)[:200] or 'weights'} to make copies of.")
    return paths


def _written(copy: LocalCopy, found: Prunable, sources: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Write a copy's files, and return the SHA-256 of those with weights."""
    dense = copy.dense
    folder_of = Path(dense.path or snapshot_download(dense.id, allow_patterns=list(SMALL_FILES)))
    for path in (each for pattern in SMALL_FILES for each in folder_of.glob(pattern)):
        shutil.copyfile(path, folder / path.name)
    recipe = recipe_of(copy, found, sources.values())
    return {name: prune(path, folder / path.name, recipe.budgets, _zeroing(recipe)) for name, path in sources.items()}


def recipe_of(copy: LocalCopy, found: Prunable, sources: Iterable[Path]) -> MaskRecipe:
    """Return what decides a copy's zeros.

    Args:
        sources: The dense model's weight files, which one cut across all layers looks at.
    """
    method, scope = SCHEMES[copy.scheme]
    published, share = found.at(copy.scheme, copy.percent), Decimal(str(copy.percent)) / 100
    seed = published.seed if published else found.seed
    if scope == "row":
        return MaskRecipe(method, seed, due_in_rows(found.sizes, found.widths, share))
    if scope == "global":
        return MaskRecipe(method, seed, budgets_across(weights_of(sources, found.sizes), share))
    return MaskRecipe(method, seed, budgets(found.sizes, share))


def _zeroing(recipe: MaskRecipe) -> Any:
    return lambda bits, name: zeroed(bits, name, recipe)


def _timed(found: Prunable) -> float:
    """Return how many bytes a second one tensor is zeroed with: slower than a whole copy, which all cores work on."""
    size = min(max(found.sizes.values(), default=1), SAMPLE)
    bits = np.random.default_rng(0).integers(1, 1 << 15, size, np.uint16)
    recipe = MaskRecipe("random", found.seed, {"timed": size // 2})
    with tempfile.NamedTemporaryFile() as file:
        started = time.perf_counter()
        file.write(zeroed(bits, "timed", recipe).data)
        return float(bits.nbytes / max(time.perf_counter() - started, 1e-6))
