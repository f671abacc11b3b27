"""The pruned weights made again from the dense ones, so that they need not be downloaded beside them.

What random and magnitude pruning zero is decided by the dense weights, the seed, and the budgets that a release states
in release.json and sparsity.csv. A file made here is put where a download would have put it, under the SHA-256 that the
Hub states for it, and only if it has that SHA-256; otherwise transformers downloads it, as it does with all else.
"""

import csv
import hashlib
import json
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name
from rows import due_in_rows, rounded, shared, zeroed_in_rows
from trouble import UNREADABLE

VERSIONS = {"random": 2, "magnitude": 1}
"""The methods known here, in the version whose choices these are."""
PLAIN = {"pattern": None, "allocation": "uniform"}
"""What else must be so: zeros are due in whole tensors or rows, and in each the same share or what one cut gives."""
WORDS = {"BF16": "<u2", "F16": "<u2", "F32": "<u4", "F64": "<u8"}
CORES = os.cpu_count() or 1
RUN = 1 << 18
"""Weights looked at together: few enough for the cache of one core."""
LOG = logging.getLogger(__name__)
GAMMA = 0x9E3779B97F4A7C15
"""What the counter of SplitMix64 goes up by."""

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class MaskRecipe:
    """What decides the zeros.

    Attributes:
        method: A key of `VERSIONS`.
        seed: Of the random keys, and of what settles ties.
        budgets: Tensor → zeros due in it, or in each of its rows; other tensors stay as they are.
    """

    method: str
    seed: int
    budgets: Mapping[str, int] | Mapping[str, np.ndarray]

    def draw(self, tensor: str, purpose: str) -> int:
        """Return the 128-bit key of a tensor's random numbers for a purpose."""
        parts = (self.seed, self.method, VERSIONS[self.method], tensor, purpose, 0)
        return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:16], "little")


def rebuild(dense: str, pruned: str) -> None:
    """Make what can be made of a pruned model's weight files from the dense model's, which are in the cache already.

    Args:
        dense: Hub id of the model that it was pruned from.
        pruned: Hub id.
    """
    try:
        for name in _rebuilt(dense, pruned):
            LOG.info("%s: %s was made from %s; its SHA-256 is the Hub's.", pruned, name, dense)
    except (*UNREADABLE, csv.Error) as error:
        LOG.info("%s: its weights are not made here (%r).", pruned, error)


def _rebuilt(dense: str, pruned: str) -> Iterator[str]:
    commit, digests = _weights(pruned)
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=pruned, repo_type="model") / "blobs"
    missing = {name: digest for name, digest in digests.items() if not (blobs / digest).exists()}
    if not missing:
        return
    record = json.loads(Path(hf_hub_download(pruned, "release.json", revision=commit)).read_text(encoding="utf-8"))
    if not decided(record):
        return
    recipe = recorded(record, Path(hf_hub_download(pruned, "sparsity.csv", revision=commit)))
    sources = _sources(record, dense)
    for name, digest in missing.items():
        if name not in sources or not _made(sources[name], blobs / digest, recipe):
            return
        yield name


def _weights(model: str) -> tuple[str, dict[str, str]]:
    """Return a model's commit on the Hub, and the SHA-256 of its weight files by their names."""
    info = HfApi().model_info(model, files_metadata=True)
    files = {file.rfilename: file.lfs.sha256 for file in info.siblings or [] if file.lfs}
    return str(info.sha), {n: digest for n, digest in files.items() if n.endswith(".safetensors") and "/" not in n}


def decided(record: Mapping[str, Any]) -> bool:
    """Return whether dense weights and seed decide a release's zeros, in a way known here."""
    pruning = record["pruning"]
    known = VERSIONS.get(pruning["method"]) == pruning["algorithm_version"]
    return known and all(pruning[name] == value for name, value in PLAIN.items())


def recorded(record: Mapping[str, Any], table: Path) -> MaskRecipe:
    """Read a release's recipe, the budgets of tensors from its table, those of rows from its sparsity."""
    pruning = record["pruning"]
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["module"]]
    if pruning["scope"] == "row":
        due = due_in_rows(*sizes_of(rows), Decimal(pruning["target_sparsity"]))
        return MaskRecipe(pruning["method"], pruning["seed"], due)
    return MaskRecipe(pruning["method"], pruning["seed"], {row["name"]: int(row["budget"]) for row in rows})


def sizes_of(rows: Iterable[Mapping[str, str]]) -> tuple[dict[str, int], dict[str, int]]:
    """Return each tensor's weights, and those of one of its rows, by name; from the rows of a release's table."""
    listed = [(row["name"], [int(size) for size in row["shape"].split("×")]) for row in rows]
    return {name: math.prod(shape) for name, shape in listed}, {name: shape[-1] for name, shape in listed}


def budgets(sizes: Mapping[str, int], share: Decimal) -> dict[str, int]:
    """Return each tensor's zeros at a sparsity: R(s·Cᵢ) − R(s·Cᵢ₋₁), R(x) = ⌊x + ½⌋, exact.

    Args:
        sizes: Weights of each tensor by name; Cᵢ counts those of the first i in the order of the names.
        share: The sparsity s, 0 to 1.
    """
    above, below = share.as_integer_ratio()
    due, counted, before = {}, 0, 0
    for name in sorted(sizes):
        counted += sizes[name]
        until = rounded(above * counted, below)
        due[name], before = until - before, until
    return due


def _sources(record: Mapping[str, Any], dense: str) -> dict[str, Path]:
    """Find the dense model's weight files in the cache, as far as they are those that were pruned."""
    commit, there = _weights(dense)
    pruned_from = {file["name"]: file["sha256"] for file in record["base"]["files"]}
    same = [name for name, digest in pruned_from.items() if there.get(name) == digest]
    found = {name: try_to_load_from_cache(dense, name, revision=commit) for name in same}
    return {name: Path(path) for name, path in found.items() if isinstance(path, str)}


def _made(source: Path, blob: Path, recipe: MaskRecipe) -> bool:
    """Make a file, and keep it if its SHA-256 is its name."""
    partial = blob.with_name(f"{blob.name}.{os.getpid()}.rebuilt")
    blob.parent.mkdir(parents=True, exist_ok=True)
    try:
        if prune(source, partial, recipe.budgets, lambda bits, name: zeroed(bits, name, recipe)) != blob.name:
            return False
        partial.replace(blob)
    finally:
        partial.unlink(missing_ok=True)
    return True


def prune(source: Path, target: Path, names: Container[str], change: Callable[[np.ndarray, str], np.ndarray]) -> str:
    """Write a safetensors file anew with some tensors changed, and return the SHA-256 of what was written.

    Args:
        names: Of the tensors to change.
        change: Given a tensor's words, (weights,), and its name, returns what stands there instead.
    """
    sha, (head, tensors) = hashlib.sha256(), _tensors(source)

    def work(tensor: tuple[np.ndarray, str, str]) -> np.ndarray:
        raw, name, dtype = tensor
        return change(raw.view(WORDS[dtype]), name) if name in names else raw

    with target.open("wb") as file, ThreadPoolExecutor(CORES) as pool, ThreadPoolExecutor(1) as writer:
        for part in chain([head], _in_order(pool, work, tensors)):
            written = writer.submit(file.write, part.data)
            sha.update(part.data)
            written.result()
    return sha.hexdigest()


def _tensors(source: Path) -> tuple[np.ndarray, list[tuple[np.ndarray, str, str]]]:
    """Return a file's header as bytes, and each tensor's bytes with its name and type, in the order of the file."""
    data = np.memmap(source, np.uint8, "r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header: dict[str, Any] = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    listed = sorted((*entry["data_offsets"], name, entry["dtype"]) for name, entry in header.items())
    return data[:start], [(data[start + first : start + last], name, dtype) for first, last, name, dtype in listed]


def weights_of(sources: Iterable[Path], names: Container[str]) -> "dict[str, Weights]":
    """Return the weights that lie in files, of the tensors named, with their magnitudes as scores."""
    found = (tensor for source in sources for tensor in _tensors(source)[1])
    return {name: Weights(raw.view(WORDS[dtype]), None) for raw, name, dtype in found if name in names}


def _in_order(pool: ThreadPoolExecutor, work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """Yield results in order, with no more of them waiting than there are workers."""
    waiting: deque[Future[Made]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > CORES:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def zeroed(bits: np.ndarray, name: str, recipe: MaskRecipe) -> np.ndarray:
    """Return a tensor's words with max(budget, its zeros) of them +0.0.

    What is zero already, of either sign, comes first; then the smallest scores; among equal ones lot decides. So it is
    in each row where the budget is one of rows.

    Args:
        bits: IEEE floats as unsigned integers, (weights,).
    """
    weights = Weights(bits, recipe.draw(name, "keys") if recipe.method == "random" else None)
    budget, draw = recipe.budgets[name], np.random.Philox(key=recipe.draw(name, "ties")).random_raw
    if isinstance(budget, np.ndarray):
        return zeroed_in_rows(bits, weights.scored, budget, draw)
    due = budget - weights.zeros()
    cut, below = cut_of([weights], due) if due > 0 else (0, 0)
    kept, tied = np.empty_like(bits), []
    for run in weights.runs:
        scores, zero = weights.scored(run)
        np.multiply(bits[run], (scores >= cut) & ~zero, out=kept[run])
        tied.append(run.start + np.flatnonzero((scores == cut) & ~zero))
    if due > 0:
        lots = draw(sum(places.size for places in tied))
        kept[np.concatenate(tied)[np.argsort(lots, kind="stable")[: due - below]]] = 0
    return kept


@dataclass(frozen=True)
class Weights:
    """A tensor and its scores, looked at in runs that stay in the processor's cache.

    Attributes:
        bits: IEEE floats as unsigned integers, (weights,).
        origin: Of the random keys that are the scores; None where they are the magnitudes.
    """

    bits: np.ndarray
    origin: int | None

    @property
    def runs(self) -> list[slice]:
        """The runs, in order."""
        size = self.bits.size
        return [slice(start, min(start + RUN, size)) for start in range(0, size, RUN)]

    def magnitude(self, run: slice) -> np.ndarray:
        """Return the bits without the sign, which for IEEE floats order as |w| does."""
        bits: np.ndarray = self.bits[run] & self.bits.dtype.type(np.iinfo(self.bits.dtype).max >> 1)
        return bits

    def zeros(self) -> int:
        """Return how many weights are zero, of either sign."""
        return self.bits.size - sum(int(np.count_nonzero(self.magnitude(run))) for run in self.runs)

    def scored(self, run: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of a run, and which of its weights are zero."""
        magnitude = self.magnitude(run)
        scores = magnitude if self.origin is None else keys(self.origin, run.start, run.stop)
        return scores, magnitude == 0

    def count(self, cut: int, tied: bool) -> int:
        """Return how many weights that are not zero score less than a cut, or just as much."""
        found = (self.scored(run) for run in self.runs)
        return sum(int(np.count_nonzero((s == cut if tied else s < cut) & ~zero)) for s, zero in found)

    def histogram(self, run: slice, value: int, shift: int, width: int) -> np.ndarray:
        """Count the next 16 bits of the scores that begin with `value`, but for weights that are zero."""
        scores, zero = self.scored(run)
        if shift + 16 < width:
            alike = (scores >> scores.dtype.type(shift + 16)) == value
            scores, zero = scores[alike], zero[alike]
        digits = (scores >> scores.dtype.type(shift)) & scores.dtype.type(min(0xFFFF, (1 << width) - 1))
        most = 1 << min(16, width)
        return np.bincount(digits, minlength=most) - np.bincount(digits[zero], minlength=most)


def cut_of(tensors: Sequence[Weights], rank: int) -> tuple[int, int]:
    """Find a score by its rank among all weights that are not zero, 16 bits at a time.

    Args:
        rank: Counted from 1.

    Returns:
        The score, and how many are smaller.
    """
    value = below = 0
    width = 8 * tensors[0].scored(slice(0, 1))[0].itemsize
    for shift in range(max(0, width - 16), -1, -16):
        counts = (each.histogram(run, value, shift, width) for each in tensors for run in each.runs)
        ends = np.cumsum(sum(counts))
        digit = int(np.searchsorted(ends, rank - below))
        value, below = value << 16 | digit, below + int(ends[digit - 1] if digit else 0)
    return value, below


def budgets_across(tensors: Mapping[str, Weights], share: Decimal) -> dict[str, int]:
    """Return each tensor's zeros where the smallest magnitudes of all tensors go, R(s·N) of N weights.

    Those that tie at the cut are shared out in proportion to how many each tensor holds.
    """
    above, below = share.as_integer_ratio()
    names, every = sorted(tensors), [tensors[name] for name in sorted(tensors)]
    zeros = np.array([each.zeros() for each in every])
    rank = rounded(above * sum(each.bits.size for each in every), below) - int(zeros.sum())
    if rank <= 0:
        return dict(zip(names, map(int, zeros), strict=True))
    cut, smaller = cut_of(every, rank)
    less, tied = (np.array([each.count(cut, tied) for each in every]) for tied in (False, True))
    due = zeros + less + shared(rank - smaller, tied)
    return dict(zip(names, map(int, due), strict=True))


def keys(origin: int, start: int, stop: int) -> np.ndarray:
    """Return the keys start … stop - 1, random 8-bit integers: bytes of SplitMix64 (Steele, Lea and Flood, 2014)."""
    first = start // 8
    words = np.arange(first + 1, -(-stop // 8) + 1, dtype=np.uint64) * np.uint64(GAMMA)
    words += np.uint64(origin % (1 << 64))
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words.astype("<u8", copy=False).view(np.uint8)[start - 8 * first : stop - 8 * first]
