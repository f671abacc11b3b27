"""Prune one tensor: which selection a recipe calls for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from release.checkpoint.header import Bits, Tensor
from release.checkpoint.rewrite import nonfinite
from release.errors import BadOption
from release.models.classes import inputs_first
from release.pruning.budget import Part
from release.pruning.grouped import zero_in_groups, zero_in_rows
from release.pruning.method import PrunedTensor, Scorer
from release.pruning.recipe import Recipe
from release.pruning.selection import CHUNK, zero_smallest


def scorer_of(subject: PrunedTensor, recipe: Recipe) -> Scorer:
    """Prepare a tensor's scores; shared by recipes that differ in how many weights go, not in which go first."""
    if recipe.row.scorer is None:
        raise ValueError(f"{recipe.method} solves for its weights")
    return recipe.row.scorer(subject)


def prune_by_score(subject: PrunedTensor, scorer: Scorer, part: Part, recipe: Recipe, out: Bits) -> None:
    """Write a tensor's weights to `out`, the smallest scores zeroed, by the recipe's scope or pattern.

    Args:
        part: What the tensor owes.
        out: As long as the subject's bits; may be those.
    """
    by_rows = recipe.groups or recipe.scope == "row"
    if by_rows and not recipe.allow_nonfinite:
        require_finite(subject.tensor, subject.bits)
    if recipe.groups:
        zero_in_groups(subject, scorer, recipe.groups, out)
    elif recipe.scope == "row":
        due = np.asarray(part.pieces(subject.bits.size // max(1, subject.width)), dtype=np.int64)
        zero_in_rows(subject, scorer, due, out)
    else:
        zero_smallest(subject, scorer, part.zeros, out, recipe.allow_nonfinite, recipe.row.uniform)


def require_finite(tensor: Tensor, bits: Bits) -> None:
    """Refuse a tensor that holds NaN or infinities.

    Raises:
        UnusableBase: Names the first.
    """
    for start in range(0, bits.size, CHUNK):
        magnitude = tensor.magnitude(bits[start : start + CHUNK])
        if magnitude.max() >= tensor.infinity:
            raise nonfinite(tensor, start + int(np.argmax(magnitude >= tensor.infinity)))


def prune_one(subject: PrunedTensor, part: Part, recipe: Recipe, out: Bits) -> None:
    """Write one tensor's pruned weights to `out`."""
    if recipe.row.solver:
        recipe.row.solver(subject, part.pieces(subject.experts), recipe.groups, out)
    else:
        prune_by_score(subject, scorer_of(subject, recipe), part, recipe, out)


def require_rows(folder: Path, shapes: Mapping[str, tuple[int, ...]], recipe: Recipe) -> None:
    """Refuse a recipe whose rows or groups the stored tensors do not have.

    Args:
        folder: Holds config.json.
        shapes: Of the prunable tensors, by name.

    Raises:
        BadOption: A pattern does not divide a tensor's inputs; names the first. Or rows and groups would run across
            the memory of a matrix.
    """
    if recipe.groups is not None:
        _require_divided(shapes, recipe.groups[1], str(recipe.pattern))
    by_rows = recipe.groups is not None or (recipe.scope == "row" and not recipe.row.calibrated)
    if by_rows and inputs_first(folder):
        raise BadOption(
            "This architecture stores matrices inputs first; rows and groups of inputs do not lie together there.",
            "Use --scope tensor without --pattern.",
        )


def _require_divided(shapes: Mapping[str, tuple[int, ...]], m: int, pattern: str) -> None:
    for name, shape in sorted(shapes.items()):
        if shape[-1] % m:
            raise BadOption(
                f"Pattern {pattern} does not divide the {shape[-1]:,} inputs of {name}.",
                "Give a pattern whose m divides every layer's width, or --sparsity alone.",
            )
