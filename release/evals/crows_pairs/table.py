"""The table of likelihoods under `evaluation/`, pair by pair: written, and read back under limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from release.evals.bbq.table import read_table, wrong
from release.evals.crows_pairs.data import PAIRS, SentencePair
from release.evals.engine.statistics import Floats
from release.evals.work import SIDES
from release.files import replacing

FILE_NAME = "crows_pairs.parquet"
SCHEMA = pa.schema(
    [
        ("pair", pa.int32()),
        ("category", pa.string()),
        ("model", pa.string()),
        ("more", pa.float64()),
        ("less", pa.float64()),
    ]
)
"""`more` and `less` are the log-likelihoods of the two sentences, in nats; their texts are not passed on."""


class ReadTable(NamedTuple):
    """What a table holds: which pairs, and each model's likelihoods, (pairs, 2)."""

    pairs: tuple[SentencePair, ...]
    dense: Floats
    pruned: Floats


def write_likelihoods(path: Path, pairs: Sequence[SentencePair], dense: Floats, pruned: Floats) -> None:
    """Write one row per model and pair; the same likelihoods give the same bytes."""
    tables = [_table(name, pairs, sums) for name, sums in zip(SIDES, (dense, pruned), strict=True)]
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _table(name: str, pairs: Sequence[SentencePair], sums: Floats) -> pa.Table:
    names = [[pair.number for pair in pairs], [pair.category for pair in pairs], [name] * len(pairs)]
    columns = [*names, sums[:, 0], sums[:, 1]]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def read_likelihoods(data: bytes, count: int) -> ReadTable:
    """Read the table again.

    Args:
        data: The file.
        count: Pairs that it must hold.

    Raises:
        UnusableData: It is no such table, or holds other pairs.
    """
    table = read_table(data, SCHEMA)
    if not 0 < count <= PAIRS or table.num_rows != 2 * count:
        raise wrong(f"holds {table.num_rows:,} rows where {2 * count:,} are due, one per model and pair")
    if table.column("model").to_pylist() != [name for name in SIDES for _ in range(count)]:
        raise wrong("does not hold the dense model's pairs first and then the pruned one's")
    pairs = list(zip(table.column("pair").to_pylist(), table.column("category").to_pylist(), strict=True))
    numbers = [number for number, _ in pairs[:count]]
    if pairs[:count] != pairs[count:] or numbers != sorted(set(numbers)):
        raise wrong("does not hold the same pairs of both models, each once and in order")
    sums = np.stack([np.asarray(table.column(name).to_numpy()) for name in ("more", "less")], axis=1)
    if (sums > 0).any():
        raise wrong("holds a likelihood above 1")
    held = tuple(SentencePair(number, category, "", "") for number, category in pairs[:count])
    return ReadTable(held, sums[:count], sums[count:])
