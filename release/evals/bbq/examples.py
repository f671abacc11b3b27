"""Which BBQ questions a Space shows: those whose answer pruning changed come first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release.errors import ReleaseError
from release.evals.bbq.data import read_bbq
from release.evals.bbq.folder import is_own
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import question_text
from release.evals.cache import EVALUATION
from release.progress import Console

MOST = 240
"""Items; with their texts about as many kilobytes."""


def examples(model: Path, bbq_data: Path | None, console: Console) -> list[dict[str, Any]]:
    """Choose questions that both models were asked, as `release.space.build.write_folder` takes them.

    Args:
        model: A model folder with `evaluation/bbq.parquet`; without one there are no examples.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy.
        console: Where progress is shown.

    The texts of a benchmark of one's own are not passed on, so there are no examples of it either.

    Returns:
        For each item its texts and what its answers stand for. What the models chose is not among it: the app reads
        that from the model's own `evaluation/bbq.parquet`, and so for every variant that was asked the same.
    """
    answers = model / EVALUATION / "bbq.parquet"
    if not answers.is_file() or is_own(bbq_data):
        return []
    try:
        items = {(item.category, item.example_id): item for item in read_bbq(bbq_data, console)[0]}
    except ReleaseError as error:
        console.say(f"The Space gets no examples: {error.seen}")
        return []
    chosen = [key for key in _by_interest(answers) if key in items][:MOST]
    return [example(items[key]) for key in chosen]


def example(item: Item) -> dict[str, Any]:
    """Return what a Space holds of one item."""
    return {
        "prompt": question_text(item, 0),
        "category": item.category,
        "example_id": str(item.example_id),
        "condition": item.condition,
        "context": item.context,
        "question": item.question,
        "answers": list(item.answers),
        "unknown": item.unknown,
        "target": item.target,
        "label": item.label,
    }


def _by_interest(answers: Path) -> Iterator[tuple[str, int]]:
    """Name the items asked: changed answers first, one per category in turn, then in the table's order."""
    import pyarrow.parquet as parquet

    rows = parquet.read_table(answers, columns=["category", "example_id", "model", "choice"]).to_pylist()
    choices: dict[tuple[str, int], dict[str, int]] = {}
    for row in rows:
        choices.setdefault((row["category"], row["example_id"]), {})[row["model"]] = row["choice"]
    seen: dict[tuple[bool, str], int] = {}
    order = []
    for place, (key, by_model) in enumerate(choices.items()):
        same = by_model.get("dense") == by_model.get("pruned")
        turn = seen[same, key[0]] = seen.get((same, key[0]), 0) + 1
        order.append((same, turn, place, key))
    yield from (key for *_, key in sorted(order))
