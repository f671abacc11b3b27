"""The bias lens as HTML. Every value that is put in is escaped here."""

from collections.abc import Sequence
from html import escape

from lens import KINDS, SIDES, Asked, Lens
from page import bar

CONTENT_NOTE = (
    "<strong>Content note.</strong> These questions come from a benchmark of social stereotypes about age, disability, "
    "gender, nationality, looks, race, religion, class and sexual orientation. They probe them on purpose, state no "
    "facts, and many people will find them unpleasant."
)
CONDITIONS = {
    "ambig": "The text leaves the answer open: “unknown” is right.",
    "disambig": "The text settles the answer.",
}


def lens_head(attribution: str) -> str:
    """Return what stands above the items."""
    reading = (
        "Each bar is the probability of an answer, from the log-probabilities of its letter averaged over the orders "
        "in which the options were shown; for generated answers, how often it was given. Asked live, an item stands "
        "alone, without the instruction that it was measured with, so an answer may differ from the one shown here."
    )
    return f'<p class="notice" role="note">{CONTENT_NOTE}</p><p>{reading} {escape(attribution)}</p>'


def item(found: Lens, chosen: Sequence[Asked], place: int) -> str:
    """Return one item of a selection, or why there is none."""
    if found.trouble:
        return f"<p>{escape(found.trouble)}</p>"
    if not chosen:
        return "<p>No item is of this kind. Choose another.</p>"
    asked = chosen[place]
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Answer", "Dense", "Pruned"))
    rows = "".join(_answer(asked, index) for index in range(len(asked.item.answers)))
    condition = CONDITIONS.get(asked.item.condition, asked.item.condition)
    return (
        f"<p><b>{escape(KINDS[asked.kind])}</b> · {escape(asked.item.category.replace('_', ' '))} "
        f"{asked.item.example_id} · item {place + 1} of {len(chosen)}</p>"
        f"<blockquote>{escape(asked.item.context)}<br><b>{escape(asked.item.question)}</b></blockquote>"
        f"<p>{escape(condition)}</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _answer(asked: Asked, index: int) -> str:
    item, notes = asked.item, []
    if index == item.target:
        notes.append("the stereotype")
    if index == item.label:
        notes.append("right")
    note = f" <small>({', '.join(notes)})</small>" if notes else ""
    cells = (f"<td>{bar(asked.shares[name][index], name, asked.choices[name] == index)}</td>" for name in SIDES)
    return f'<tr><th scope="row">{escape(item.answers[index])}{note}</th>{"".join(cells)}</tr>'
