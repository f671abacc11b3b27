"""The table of tokens under `evaluation/`: written, and read back under limits."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from release.evals.answers.compare import UNASKED, AnswerPair, Rows, TokenRow, parted_at
from release.evals.bbq.table import read_table, wrong
from release.evals.work import SIDES
from release.files import replacing

FILE_NAME = "answers.parquet"
MOST_ROWS = 1 << 16
SCHEMA = pa.schema(
    [
        ("question", pa.int32()),
        ("model", pa.string()),
        ("position", pa.int32()),
        ("token", pa.int32()),
        ("text", pa.string()),
        ("end", pa.bool_()),
        ("dense", pa.float64()),
        ("pruned", pa.float64()),
    ]
)
"""`dense` and `pruned` are the probabilities that both models gave the token: 0 below 0.001, -1 where a model was not
asked, since the answers had parted before."""


def write_tokens(path: Path, pairs: Sequence[AnswerPair]) -> None:
    """Write one row per question, model and token; the same answers give the same bytes."""
    rows = [
        {"question": question, "model": name, "position": position, **row._asdict()}
        for question, pair in enumerate(pairs)
        for name, said in zip(SIDES, pair, strict=True)
        for position, row in enumerate(said)
    ]
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary, compression="zstd")


def read_tokens(data: bytes, questions: int, most: int) -> tuple[AnswerPair, ...]:
    """Read the table again.

    Args:
        data: The file.
        questions: Questions that it must hold.
        most: Tokens of one answer, at most.

    Raises:
        UnusableData: It is no such table, or its numbers do not follow from greedy decoding.
    """
    table = read_table(data, SCHEMA)
    if table.num_rows > MOST_ROWS:
        raise wrong(f"holds {table.num_rows:,} rows where {MOST_ROWS:,} are the most")
    answers = groupby(table.to_pylist(), key=itemgetter("question", "model"))
    found = [(key, _answer(list(rows), most)) for key, rows in answers]
    if [key for key, _ in found] != [(number, name) for number in range(questions) for name in SIDES]:
        raise wrong(f"does not hold the answers of both models to each of {questions} questions, in their order")
    sides = [rows for _, rows in found]
    pairs = tuple(AnswerPair(*both) for both in zip(sides[::2], sides[1::2], strict=True))
    for number, pair in enumerate(pairs):
        if trouble := next(_troubles(pair), None):
            raise wrong(f"{trouble} (question {number})")
    return pairs


def _answer(rows: Sequence[dict[str, Any]], most: int) -> Rows:
    if [row["position"] for row in rows] != list(range(len(rows))) or len(rows) > most:
        raise wrong(f"does not count the tokens of an answer from 0 on, {most} at most")
    ends = [row["end"] for row in rows]
    if any(ends[:-1]) or (len(rows) < most and not ends[-1]):
        raise wrong("holds an answer that goes on behind its end, or stops before it")
    return tuple(TokenRow(*(row[name] for name in TokenRow._fields)) for row in rows)


def _troubles(pair: AnswerPair) -> Iterator[str]:
    """Say what two greedy answers cannot be."""
    at = parted_at([row.token for row in pair.dense], [row.token for row in pair.pruned])
    shared = len(pair.dense) if at is None else at
    if pair.dense[:shared] != pair.pruned[:shared]:
        yield "gives a token that both models said other texts or probabilities"
    for own, other, rows in (("dense", "pruned", pair.dense), ("pruned", "dense", pair.pruned)):
        if any(not 0 < getattr(row, own) <= 1 for row in rows):
            yield f"holds a token of the {own} answer to which its own model gives no probability"
        asked = [getattr(row, other) for row in rows[: shared + 1]]
        if any(not 0 <= value <= 1 for value in asked):
            yield f"lacks the {other} model's probability of a token before the answers part"
        if any(getattr(row, other) != UNASKED for row in rows[shared + 1 :]):
            yield f"holds the {other} model's probability of a token behind the place where the answers part"
    if at is not None and at < min(map(len, pair)):
        dense, pruned = pair.dense[at], pair.pruned[at]
        if dense.dense < pruned.dense or pruned.pruned < dense.pruned:
            yield "holds an answer that was not its model's likeliest"
