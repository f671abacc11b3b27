"""Reads what is known of a model: from its release.json, or, where there is none, from its card as a stranger's.

Both come from outside: they may be missing, foreign, broken or hostile. Reading never fails.
"""

from pathlib import Path

import cards
import records
from facts import Facts
from huggingface_hub import hf_hub_download
from lineup import Source, once
from trouble import UNREADABLE


@once
def facts(source: Source) -> Facts:
    """Return what is known of a model, from its folder or from the Hub."""
    return _copied(source) or _recorded(source) or _carded(source)


def _copied(source: Source) -> Facts | None:
    """What is known of a copy that is made here: nothing was measured."""
    if source.copy is None:
        return None
    return Facts(
        method=source.copy.scheme,
        sparsity=source.copy.percent / 100,
        sentence="Made here, not measured: nothing on this page says how biased or how good this copy is.",
        configuration=(("Method", (("", source.copy.scheme),)), ("Sparsity", (("", f"{source.copy.percent:g} %"),))),
        warnings=("For research only: a copy that nobody measured may be biased, wrong or offensive.",),
        research_only=True,
        license=next(filter(None, (facts(each).license for each in source.copy.pruned)), None),  # of the same weights
        base=source.copy.dense.id if source.copy.dense.on_hub else None,
    )


def _recorded(source: Source) -> Facts | None:
    try:
        return records.read(record_text(source))
    except UNREADABLE:
        return None


def _carded(source: Source) -> Facts:
    try:
        return cards.read(_text(source, cards.NAME, cards.LARGEST))
    except UNREADABLE as error:
        return Facts(trouble=f"Its card could not be read ({type(error).__name__}).")


def record_text(source: Source) -> str:
    """Return the text of a model's release.json; whoever calls it is prepared for all that `UNREADABLE` names."""
    return _text(source, records.NAME, records.LARGEST)


def _text(source: Source, name: str, most: int) -> str:
    """Return the first `most` characters of a file."""
    path = Path(source.path) / name if source.path else Path(hf_hub_download(source.id, name))
    with path.open(encoding="utf-8") as file:
        return file.read(most)
