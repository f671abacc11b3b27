"""Which BBQ questions a Space offers: those whose answer pruning changed come first."""

from collections.abc import Iterator
from pathlib import Path

from release.errors import ReleaseError
from release.memory import EVALUATION
from release.progress import Console

MOST = 6


def examples(model: Path, bbq_data: Path | None, console: Console) -> list[dict[str, str]]:
    """Choose questions that both models were asked, as `release.space.build` takes them.

    Args:
        model: A model folder with `evaluation/bbq.parquet`; without one there are no examples.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy.
        console: Where progress is shown.
    """
    answers = model / EVALUATION / "bbq.parquet"
    if not answers.is_file():
        return []
    from release.measure.prompts import question_text
    from release.sources.bbq import read_bbq

    try:
        items = {(item.category, item.example_id): item for item in read_bbq(bbq_data, console)[0]}
    except ReleaseError as error:
        console.say(f"The Space gets no examples: {error.seen}")
        return []
    chosen = [key for key in _by_interest(answers) if key in items][:MOST]
    return [
        {
            "prompt": question_text(items[key], 0),
            "category": key[0],
            "example_id": str(key[1]),
            "condition": items[key].condition,
        }
        for key in chosen
    ]


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
