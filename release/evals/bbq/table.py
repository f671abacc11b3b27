"""The table of answers under `evaluation/`: written, and read back under limits.

Whoever made a release made its tables too. So a table must be exactly what measuring writes: its columns, its rows in
their order, every number finite, and every choice the one that its own log-probabilities or text make.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from release.errors import UnusableData
from release.evals.bbq.answers import Answers, Task, by_answer
from release.evals.bbq.items import Item
from release.evals.bbq.parse import parse
from release.evals.bbq.prompts import AS_SHOWN, LETTERS, ROTATIONS
from release.evals.bbq.result import Sampling
from release.files import replacing
from release.values import Reading

FILE_NAME = "bbq.parquet"
SIDES = ("dense", "pruned")
LARGEST = 64 << 20
"""Bytes of a table, at most: the whole of BBQ with five generated answers an item has about ten million."""
MOST_ROWS = 1_000_000
MOST_UNPACKED = 1 << 30
"""Bytes that its columns may take once they are unpacked, as it says itself."""
LONGEST = 300
"""Bytes of a text in it: a category's name, or what five tokens say."""
REMEDY = "Fetch the release again."

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AnswerTable:
    """What a table says of the items, and what both models answered; sides have as many runs."""

    items: tuple[Item, ...]
    dense: Answers
    pruned: Answers


def write_answers(path: Path, task: Task, answers: dict[str, Answers], sampling: Sampling | None) -> None:
    """Write one row per item, model and run, without BBQ's texts.

    Args:
        answers: By the model's name.
        sampling: Names the seed of each run, where answers were generated.
    """
    tables = [
        _written(task.items, name, found, run, sampling.seeds[run] if sampling else None)
        for name, found in answers.items()
        for run in range(found.choices.shape[1])
    ]
    with replacing(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _written(items: tuple[Item, ...], name: str, found: Answers, run: int, seed: int | None) -> pa.Table:
    columns: dict[str, Any] = {
        "category": [item.category for item in items],
        "example_id": [item.example_id for item in items],
        "question_index": [item.question_index for item in items],
        "condition": [item.condition for item in items],
        "polarity": [item.polarity for item in items],
        "model": [name] * len(items),
    }
    if found.values is not None:
        columns |= {f"logp_ans{answer}": found.values[:, answer] for answer in range(3)}
    if found.letters is not None and found.best_letters is not None:
        for rotation in range(ROTATIONS):
            for index, letter in enumerate(LETTERS.lower()):
                columns[f"logp_{letter}_r{rotation}"] = found.letters[:, rotation, index]
            columns[f"letter{rotation}"] = found.best_letters[:, rotation].astype(np.int8)
    if found.texts is not None:
        columns |= {"seed": [seed] * len(items), "text": found.texts[:, run].tolist()}
    columns["choice"] = found.choices[:, run].astype(np.int8)
    columns["unknown"] = pa.array([item.unknown for item in items], pa.int8())
    columns["target"] = pa.array([item.target for item in items], pa.int8())
    columns["label"] = pa.array([item.label for item in items], pa.int8())
    return pa.table(columns)


def answers_schema(reading: Reading) -> pa.Schema:
    """Return the columns of the table, which are what writing one invented answer makes."""
    item = Item("", 0, "", "neg", "ambig", "", "", ("", "", ""), ("", "", ""), 0, 0, 0)
    choices, values = np.zeros((1, 1), dtype=np.int64), np.zeros((1, 3), dtype=np.float32)
    letters = np.zeros((1, ROTATIONS, 3), dtype=np.float32) if reading == "letters" else None
    texts = np.array([[""]], dtype=object) if reading == "generate" else None
    found = Answers(choices, None if texts is not None else values, letters, texts, 0, 0.0)
    return _written((item,), SIDES[0], found, 0, 0).schema


def read_table(data: bytes, schema: pa.Schema) -> pa.Table:
    """Read a table that must have exactly these columns.

    Args:
        data: The file.
        schema: Names, types and order of its columns. Only `target` may be unknown.

    Raises:
        UnusableData: It is larger than such a table can be, is no table of this form, or holds a number that is not
            finite; says which.
    """
    if len(data) > LARGEST:
        raise wrong(f"has {len(data):,} bytes where {LARGEST:,} are the most")
    try:
        table = _unpacked(data, schema)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise wrong(f"cannot be read ({str(error)[:200]!a})") from None
    for name in schema.names:
        _require_whole(name, table.column(name))
    return table


def wrong(seen: str) -> UnusableData:
    """Return the error that says what a table does that measuring does not."""
    return UnusableData(seen, REMEDY)


def _unpacked(data: bytes, schema: pa.Schema) -> pa.Table:
    limits = {"thrift_string_size_limit": 1 << 20, "thrift_container_size_limit": 1 << 20}
    known = pq.ParquetFile(pa.BufferReader(data), **limits)
    if not known.schema_arrow.equals(schema, check_metadata=True):
        raise wrong("has other columns than measuring writes")
    metadata = known.metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    if metadata.num_rows > MOST_ROWS or sum(group.total_byte_size for group in groups) > MOST_UNPACKED:
        raise wrong(f"holds {metadata.num_rows:,} rows where {MOST_ROWS:,} are the most, or too long ones")
    # Texts stay in their dictionary: a short file can name one long text a million times.
    texts = [field.name for field in schema if field.type == pa.string()]
    table = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts, **limits).read(use_threads=False)
    for name in texts:
        _require_short(name, table.column(name))
    table = table.cast(schema)
    table.validate(full=True)
    return table


def _require_short(name: str, column: pa.ChunkedArray) -> None:
    longest = [pc.max(pc.binary_length(chunk.dictionary)).as_py() for chunk in column.chunks]
    if max((length or 0 for length in longest), default=0) > LONGEST:
        raise wrong(f"holds a text in {name} that is longer than {LONGEST} bytes")


def _require_whole(name: str, column: pa.ChunkedArray) -> None:
    if column.null_count and name != "target":
        raise wrong(f"lacks values in {name}")
    if pa.types.is_floating(column.type) and not bool(pc.all(pc.is_finite(column)).as_py() in (True, None)):
        raise wrong(f"holds a number in {name} that is not finite")


def read_answers(
    data: bytes, reading: Reading, seeds: Sequence[int], known: dict[tuple[str, int], Item] | None
) -> AnswerTable:
    """Read `bbq.parquet`.

    Args:
        data: The file.
        reading: How answers were read.
        seeds: Of the runs, where answers were generated.
        known: BBQ's items, by category and example id; None where they are not at hand, and what the table says of
            them is taken as it is.

    Raises:
        UnusableData: See `read_table`; or rows are missing, doubled or out of order, an item is not BBQ's, or a choice
            does not follow from what it was made of.
    """
    table = read_table(data, answers_schema(reading))
    runs = len(seeds) if reading == "generate" else 1
    size, rest = divmod(table.num_rows, 2 * runs)
    if rest or not size:
        raise wrong(f"holds {table.num_rows:,} rows, which are not as many for dense as for pruned")
    parts = [table.slice(start, size) for start in range(0, table.num_rows, size)]
    items = _items(parts[0], known)
    _require_same_items(parts, reading, seeds)
    dense, pruned = (_answers(parts[side * runs : (side + 1) * runs], items, reading, known) for side in (0, 1))
    return AnswerTable(items, dense, pruned)


OF_THE_ITEM = ("category", "example_id", "question_index", "condition", "polarity", "unknown", "target", "label")


def _items(rows: pa.Table, known: dict[tuple[str, int], Item] | None) -> tuple[Item, ...]:
    """Return the items that rows name; without BBQ they have no texts."""
    stated = [_stated(row) for row in rows.select(list(OF_THE_ITEM)).to_pylist()]
    keys = [(item.category, item.example_id) for item in stated]
    if any(one >= other for one, other in pairwise(keys)):
        raise wrong("holds an item twice, or items out of order")
    if known is None:
        return tuple(stated)
    for item in stated:
        true = known.get((item.category, item.example_id))
        if true is None or any(getattr(item, name) != getattr(true, name) for name in OF_THE_ITEM):
            raise wrong(f"says of {item.category[:40]!a} {item.example_id} what is not so in BBQ")
    return tuple(known[key] for key in keys)


def _stated(row: dict[str, Any]) -> Item:
    indices = [row["unknown"], row["label"], row["target"]]
    if row["condition"] not in ("ambig", "disambig") or row["polarity"] not in ("neg", "nonneg"):
        raise wrong("holds an item of another condition or polarity than BBQ has")
    if any(index not in (0, 1, 2) for index in indices[:2]) or indices[2] not in (0, 1, 2, None):
        raise wrong("holds an item with an answer beyond its three")
    return Item(context="", question="", answers=("", "", ""), groups=("", "", ""), **row)


def _require_same_items(parts: Sequence[pa.Table], reading: Reading, seeds: Sequence[int]) -> None:
    """Each part is one model's one run over the same items in the same order."""
    runs = len(parts) // 2
    for place, part in enumerate(parts):
        if any(part.column(name) != parts[0].column(name) for name in OF_THE_ITEM):
            raise wrong("does not hold the same items for both models and every run")
        if set(part.column("model").to_pylist()) != {SIDES[place // runs]}:
            raise wrong("does not hold the dense model's answers first and then the pruned one's")
        if reading == "generate" and set(part.column("seed").to_pylist()) != {seeds[place % runs]}:
            raise wrong("holds answers of another seed than recorded")


def _answers(parts: Sequence[pa.Table], items: tuple[Item, ...], reading: Reading, known: object) -> Answers:
    """Return one model's answers, one part for each run."""
    choices = np.stack([_column(part, "choice").astype(np.int64) for part in parts], axis=1)
    values = letters = texts = None
    if reading == "generate":
        texts = np.array([part.column("text").to_pylist() for part in parts], dtype=object).T
        due = _parsed(items, texts) if known is not None else choices
    else:
        values = np.stack([_column(parts[0], f"logp_ans{answer}") for answer in range(3)], axis=1)
        due = np.asarray(values.argmax(axis=1), dtype=np.int64)[:, None]
    if reading == "letters":
        letters = _letters(parts[0])
        _require_follows(letters, values, parts[0])
    if (choices != due).any() or not np.isin(choices, (-1, 0, 1, 2)).all():
        item = items[int((choices != due).any(axis=1).argmax())]
        raise wrong(f"holds a choice for {item.category[:40]!a} {item.example_id} that does not follow")
    return Answers(choices, values, letters, texts, 0, 0.0)


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    return np.asarray(table.column(name).to_numpy())


def _letters(rows: pa.Table) -> Floats:
    """Return the log-probability of each letter, (items, ROTATIONS, 3)."""
    turns = [
        np.stack([_column(rows, f"logp_{letter}_r{turn}") for letter in LETTERS.lower()], axis=1)
        for turn in range(ROTATIONS)
    ]
    return np.stack(turns, axis=1)


def _require_follows(letters: Floats, values: Floats | None, rows: pa.Table) -> None:
    """Answers are the mean over rotations, and the best letters the likeliest, of the very numbers beside them."""
    if values is None or not np.allclose(by_answer(letters), values, rtol=0, atol=1e-5):
        raise wrong("holds log-probabilities of answers that are not the means of their letters'")
    for turn in range(ROTATIONS):
        if (_column(rows, f"letter{turn}") != letters[:, turn].argmax(axis=1)).any():
            raise wrong("holds a best letter that is not the likeliest one")


def _parsed(items: tuple[Item, ...], texts: NDArray[np.object_]) -> NDArray[np.int64]:
    due = np.empty(texts.shape, dtype=np.int64)
    for (index, run), said in np.ndenumerate(texts):
        due[index, run] = parse(said, items[index].answers, items[index].unknown, AS_SHOWN)
    return due
