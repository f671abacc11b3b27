"""A forger: alters a release so that record, table and card agree with what was altered."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from release.build_record import side_files
from release.card import render as card
from release.checkpoint.count import CountPlan, count
from release.checkpoint.header import read_header
from release.checkpoint.loading import INDEX, SINGLE
from release.checkpoint.prunable import module_of
from release.checkpoint.tally import TensorCount
from release.contents import unexpected
from release.schema.record import Record
from release.verification import sparsity_table as sparsity
from release.verification.audit import modules
from tests import checkpoints

UP, NORM, OUT = "model.layers.0.mlp.up_proj.weight", "model.norm.weight", "model.layers.0.self_attn.o_proj.weight"
Values = dict[str, torch.Tensor]
Make = Callable[[Path, Path], dict[str, Any] | None]


@dataclass(frozen=True)
class Forgery:
    """One way to forge a release.

    Attributes:
        make: Given folder and base, alters the folder; returns what the record shall say of the pruning instead.
        effect: What from_pretrained makes of it, in the words of `effect`.
        unseen: It takes a second making of the masks, or a signature, to see it: nothing else was altered.
        of: The method of the release that is altered.
    """

    kind: str
    make: Make
    effect: str
    unseen: bool = False
    of: str = "random"

    @property
    def name(self) -> str:
        """The function's name."""
        return self.make.__name__


FORGERIES: list[Forgery] = []


def forgery(kind: str, effect: str, unseen: bool = False, of: str = "random") -> Callable[[Make], Make]:
    """Add a function to the table."""

    def add(make: Make) -> Make:
        FORGERIES.append(Forgery(kind, make, effect, unseen, of))
        return make

    return add


def agree(folder: Path, **pruning: Any) -> None:
    """Make table, record and card agree with the weights and files as they lie there."""
    path = folder / "release.json"
    if not path.exists():
        return
    record = json.loads(path.read_text())
    record["pruning"] |= pruning
    recipe = record["plan"]["recipe"]
    recipe |= {field: value for field, value in pruning.items() if field in recipe}
    recipe["sparsity"] = record["pruning"]["target_sparsity"]
    record["plan"]["measuring"]["seed"] = record["pruning"]["seed"]  # one option says both
    if "calibration" in pruning:
        recipe["calibration"] = pruning["calibration"] and pruning["calibration"]["plan"]
    names = _weights(folder)
    results = [count(read_header(folder / name), CountPlan(), lambda _: None) for name in names]
    rows = _table(folder, [c for _, counts in results for c in counts])
    sparsity.write(rows, folder)
    prunable = [row for row in rows if row.module]
    numel, zeros = sum(row.numel for row in prunable), sum(row.zeros for row in prunable)
    record["audit"] |= {
        "target_sparsity": record["pruning"]["target_sparsity"],
        "files": [file.model_dump() for file, _ in results],
        "prunable_parameters": numel,
        "zeroed_parameters": zeros,
        "actual_sparsity": zeros / numel,
        "modules": [each.model_dump() for each in modules(prunable)],
    }
    listed = side_files(folder, set(names))
    record["files"] = [f.model_dump() for f in listed if f.name not in unexpected([f.name], set())]
    made = Record.model_validate_json(json.dumps(record))
    path.write_text(made.to_json())
    (folder / "README.md").write_text(card.render(made))


def _weights(folder: Path) -> list[str]:
    if (folder / INDEX).exists():
        return sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    return [SINGLE]


def _table(folder: Path, counts: Iterable[TensorCount]) -> list[sparsity.SparsityRow]:
    known = {row.name: row for row in sparsity.read(folder)}
    rows = []
    for c in sorted(counts, key=lambda c: c.name):
        found = {"shape": "×".join(map(str, c.shape)), "numel": c.numel, "dtype": c.dtype}
        found |= {"zeros": c.zeros, "sha256": c.sha256}
        blank = {"name": c.name, "module": "", "budget": 0, "crowded": 0, "zeros_before": 0}
        rows.append(sparsity.SparsityRow(**(known[c.name].model_dump() if c.name in known else blank) | found))
    return rows


def rewrite(folder: Path, change: Callable[[Values], Values | None]) -> None:
    """Change a model's tensors where they lie: new ones go into the first shard, and the index follows."""
    values = checkpoints.tensors(folder)
    changed = change(values) or values
    index = json.loads((folder / INDEX).read_text())
    places = {name: index["weight_map"].get(name, min(index["weight_map"].values())) for name in changed}
    for shard in set(index["weight_map"].values()):
        held = {name: changed[name].contiguous() for name, place in places.items() if place == shard}
        (folder / shard).unlink()
        if held:
            checkpoints.write(folder, held, shard)
    (folder / INDEX).write_text(json.dumps(index | {"weight_map": dict(sorted(places.items()))}, indent=2) + "\n")


def settings(folder: Path, file: str, **changes: Any) -> None:
    """Change a JSON file's fields."""
    path = folder / file
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | changes, indent=2) + "\n")


def doubled(values: Values) -> Values:
    """Every prunable weight twice as large; zeros stay."""
    return {name: value * 2 if "_proj" in name else value for name, value in values.items()}


def another(folder: Path, file: str) -> None:
    """A whole other model in one file."""
    checkpoints.write(folder, doubled(checkpoints.tensors(folder)), file)


def largest(values: Values, dense: Values) -> Values:
    """As many zeros in each tensor, but the largest weights."""
    made = dict(values)
    for name in values:
        if module_of_prunable(name):
            zeros = int((values[name] == 0).sum())
            flat = dense[name].clone().reshape(-1)
            flat[flat.float().abs().topk(zeros).indices] = 0
            made[name] = flat.reshape(dense[name].shape)
    return made


def module_of_prunable(name: str) -> bool:
    """Whether a tensor of the tiny models is prunable."""
    return "_proj" in name and bool(module_of(name))
