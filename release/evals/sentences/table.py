"""The table of likelihoods under `evaluation/`, item by item: written, and read back under limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from release.evals.bbq.table import read_table, wrong
from release.evals.engine.statistics import Floats
from release.evals.sentences.corpus import Numbered
from release.evals.work import SIDES
from release.files import replacing

Item = TypeVar("Item", bound=Numbered)


class ReadTable(NamedTuple):
    """What a table holds: which items, without their texts, and each model's likelihoods, (items, values)."""

    items: tuple[Any, ...]
    dense: Floats
    pruned: Floats


@dataclass(frozen=True, kw_only=True)
class Layout(Generic[Item]):
    """What a table says of the items of a data set; their texts are not passed on.

    Attributes:
        file_name: Under `evaluation/`.
        number: The column of an item's number, which is also what an item is called.
        labels: What else is told of an item: fields of it and columns.
        values: Columns of log-likelihoods, in nats.
        most: Items of the data set.
        bare: Makes an item without texts of its number and its labels.
    """

    file_name: str
    number: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    most: int
    bare: Callable[..., Item]

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""
        texts = [(name, pa.string()) for name in (*self.labels, "model")]
        return pa.schema([(self.number, pa.int32()), *texts, *((name, pa.float64()) for name in self.values)])

    def stated(self, items: Sequence[Item]) -> list[tuple[Any, ...]]:
        """Return what a table says of each item."""
        return [(item.number, *(getattr(item, name) for name in self.labels)) for item in items]

    def write(self, path: Path, items: Sequence[Item], dense: Floats, pruned: Floats) -> None:
        """Write one row per model and item; the same likelihoods give the same bytes."""
        tables = [self._table(name, items, values) for name, values in zip(SIDES, (dense, pruned), strict=True)]
        with replacing(path) as temporary:
            pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")

    def _table(self, name: str, items: Sequence[Item], values: Floats) -> pa.Table:
        schema = self.schema
        columns = [*map(list, zip(*self.stated(items), strict=True)), [name] * len(items), *values.T]
        return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)

    def read(self, data: bytes, count: int) -> ReadTable:
        """Read the table again.

        Args:
            data: The file.
            count: Items that it must hold.

        Raises:
            UnusableData: It is no such table, or holds other items.
        """
        table = read_table(data, self.schema)
        if not 0 < count <= self.most or table.num_rows != 2 * count:
            raise wrong(f"holds {table.num_rows:,} rows where {2 * count:,} are due, one per model and {self.number}")
        if table.column("model").to_pylist() != [name for name in SIDES for _ in range(count)]:
            raise wrong(f"does not hold the dense model's {self.number}s first and then the pruned one's")
        columns = (table.column(name).to_pylist() for name in (self.number, *self.labels))
        stated = list(zip(*columns, strict=True))
        numbers = [row[0] for row in stated[:count]]
        if stated[:count] != stated[count:] or numbers != sorted(set(numbers)):
            raise wrong(f"does not hold the same {self.number}s of both models, each once and in order")
        values = np.stack([np.asarray(table.column(name).to_numpy()) for name in self.values], axis=1)
        if (values > 0).any():
            raise wrong("holds a likelihood above 1")
        return ReadTable(tuple(self.bare(*row) for row in stated[:count]), values[:count], values[count:])
