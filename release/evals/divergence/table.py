"""The table of positions under `evaluation/`: written, and read back under limits."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from release.evals.bbq.table import MOST_ROWS, read_table, wrong
from release.files import replacing

Singles = NDArray[np.float32]

COLUMNS = ("divergence", "same_top", "dense", "pruned")
"""What is kept of a position: KL(dense ‖ pruned) in nats, at least 0; 1 where both find the same token the most likely
(of equal ones the first counts), else 0; the natural logarithms of the probabilities that both models give the token
that stands there."""

FILE_NAME = "divergence.parquet"
SCHEMA = pa.schema(
    [
        ("window", pa.int32()),
        ("divergence", pa.float32()),
        ("same_top", pa.bool_()),
        ("dense", pa.float32()),
        ("pruned", pa.float32()),
    ]
)
"""One row a scored token, in order; `window` counts perplexity's from 0 on. The others are `positions.COLUMNS`."""


def write_positions(path: Path, windows: list[int], found: Singles) -> None:
    """Write one row per position; the same positions give the same bytes.

    Args:
        windows: Numbers of perplexity's windows, in order.
        found: (windows, positions, 4).
    """
    columns = [np.repeat(windows, found.shape[1]), *found.reshape(-1, len(COLUMNS)).T]
    arrays = [
        pa.array(column.astype(bool) if pa.types.is_boolean(field.type) else column, field.type)
        for column, field in zip(columns, SCHEMA, strict=True)
    ]
    with replacing(path) as temporary:
        pq.write_table(pa.table(arrays, SCHEMA), temporary, compression="zstd")


def read_positions(data: bytes, windows: list[int], positions: int) -> Singles:
    """Return the positions, (windows, positions, 4).

    Args:
        data: The file.
        windows: The windows that it must hold.
        positions: Of each.

    Raises:
        UnusableData: It is no such table, or holds other windows.
    """
    table = read_table(data, SCHEMA)
    due = len(windows) * positions
    if not 0 < due <= MOST_ROWS or table.num_rows != due:
        raise wrong(f"holds {table.num_rows:,} rows where {due:,} are due, one per scored token")
    if (table.column("window").to_numpy() != np.repeat(windows, positions)).any():
        raise wrong("does not hold the windows that are due, in order")
    found = np.stack([table.column(name).to_numpy().astype(np.float32) for name in COLUMNS], axis=1)
    if (found[:, 0] < 0).any():
        raise wrong("holds a divergence below zero")
    if (found[:, 2:] > 0).any():
        raise wrong("holds a probability above 1")
    return found.reshape(len(windows), positions, len(COLUMNS))
