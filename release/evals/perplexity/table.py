"""The table of losses under `evaluation/`, window by window: written, and read back under limits."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from release.evals.bbq.table import SIDES, read_table, wrong
from release.files import replacing

FILE_NAME = "perplexity.parquet"
SCHEMA = pa.schema([("window", pa.int32()), ("model", pa.string()), ("tokens", pa.int32()), ("loss", pa.float64())])
"""`loss` is the sum over the `tokens` that were scored, in nats."""

Floats = NDArray[np.float64]


def write_losses(path: Path, tokens: int, losses: Mapping[str, Floats]) -> None:
    """Write one row per model and window; the same losses give the same bytes.

    Args:
        tokens: Scored in each window.
        losses: Model → mean loss per token of each window, (windows,).
    """
    tables = [_table(name, tokens, losses[name]) for name in SIDES]
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _table(name: str, tokens: int, losses: Floats) -> pa.Table:
    # A loss comes from 32 bits, so that its product with a number of tokens is exact and can be divided again.
    columns = [range(len(losses)), [name] * len(losses), [tokens] * len(losses), losses * tokens]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def read_losses(data: bytes, windows: int, tokens: int) -> tuple[Floats, Floats]:
    """Return the mean loss per token of each window, dense and pruned.

    Args:
        data: The file.
        windows: How many there must be.
        tokens: How many must have been scored in each.

    Raises:
        UnusableData: It is no such table, or holds other windows.
    """
    table = read_table(data, SCHEMA)
    if table.num_rows != 2 * windows:
        raise wrong(f"holds {table.num_rows:,} rows where {2 * windows:,} are due, one per model and window")
    found = {name: np.asarray(table.column(name).to_numpy()) for name in ("window", "tokens", "loss")}
    if (found["window"] != np.tile(np.arange(windows), 2)).any() or (found["tokens"] != tokens).any():
        raise wrong(f"does not hold windows 0 to {windows - 1:,} in order, with {tokens:,} scored tokens each")
    if table.column("model").to_pylist() != [name for name in SIDES for _ in range(windows)]:
        raise wrong("does not hold the dense model's windows first and then the pruned one's")
    if (found["loss"] < 0).any():
        raise wrong("holds a loss below zero")
    dense, pruned = (found["loss"] / tokens).reshape(2, windows)
    return dense, pruned
