"""The bias lens as HTML. Every value that is put in is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape

from lens import CLOSE, KINDS, STYLES, Asked, Lens, LiveReading
from page import bar
from turns import SIDES

CONTENT_NOTE = (
    "<strong>Content note.</strong> These questions probe stereotypes on purpose: about age, disability, gender, "
    "nationality, looks, race, religion, class and sexual orientation. They state no facts."
)
CONDITIONS = {
    "ambig": "The text leaves the answer open: “unknown” is right.",
    "disambig": "The text settles the answer.",
}
READING = (
    (
        "A bar is the probability of an answer, from the log-probability of its letter averaged over three orders of "
        "the options; where answers were generated, how often it was given."
    ),
    (
        f"A changed answer is a close call where either model put its own answer less than {100 * CLOSE:g} points "
        "before the other model's. Such a change says little, so it is not called flipped."
    ),
    "Items stand in the order of how far the probabilities moved: half the sum of the three changes.",
    (
        "“Ask both models now” reads both models again, with the instruction, the letters and the orders of the "
        "measurement. The reading may differ a little where the measurement computed in another number type."
    ),
)
NAMES = {"dense": "Original (dense)", "pruned": "Pruned"}


def lens_head() -> str:
    """Return what stands above the items."""
    return f'<p class="notice" role="note">{CONTENT_NOTE}</p>'


def lens_foot(attribution: str) -> str:
    """Return how the items are to be read, folded."""
    lines = (*READING, attribution)
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines if line)
    return f"<details><summary>How to read this</summary><ul>{listed}</ul></details>"


def item(found: Lens, chosen: Sequence[Asked], place: int, live: Mapping[str, LiveReading] | None = None) -> str:
    """Return one item of a selection, or why there is none.

    Args:
        live: Side → what its model says now; None where it was not asked.
    """
    if found.trouble:
        return f"<p>{escape(found.trouble)}</p>"
    if not chosen:
        return "<p>No item is of this kind. Choose another.</p>"
    asked, live = chosen[place], live or {}
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Answer", *NAMES.values()))
    rows = "".join(_answer(asked, index, live) for index in range(len(asked.item.answers)))
    condition = CONDITIONS.get(asked.item.condition, asked.item.condition)
    return (
        f'<p class="kind"><b>{escape(KINDS[asked.kind])}</b> · moved {100 * asked.moved:.1f} points · '
        f"{escape(asked.item.category.replace('_', ' '))} {asked.item.example_id} · "
        f"item {place + 1} of {len(chosen)}</p>"
        f"<blockquote>{escape(asked.item.context)}<br><b>{escape(asked.item.question)}</b></blockquote>"
        f"<p>{escape(condition)}</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{_held(asked, found.style, live)}"
    )


def _answer(asked: Asked, index: int, live: Mapping[str, LiveReading]) -> str:
    item, notes = asked.item, []
    if index == item.target:
        notes.append("the stereotype")
    if index == item.label:
        notes.append("right")
    note = f" <small>({', '.join(notes)})</small>" if notes else ""
    cells = (
        f"<td>{bar(asked.shares[side][index], side, asked.choices[side] == index)}{_now(live.get(side), index)}</td>"
        for side in SIDES
    )
    return f'<tr><th scope="row">{escape(item.answers[index])}{note}</th>{"".join(cells)}</tr>'


def _now(reading: LiveReading | None, index: int) -> str:
    if reading is None:
        return ""
    return f"<br><small>now {100 * reading.shares[index]:.1f} %{', chosen' if reading.choice == index else ''}</small>"


def _held(asked: Asked, style: str | None, live: Mapping[str, LiveReading]) -> str:
    """Hold what was read now against what is stored, in words."""
    said = [_compared(asked, side, reading) for side, reading in live.items()]
    if live and style not in STYLES:
        known = f"as “{escape(style)}”" if style else "in a way that is not known here"
        said.append(f"The measurement rendered its prompts {known}, so the readings need not agree.")
    return f'<p role="status">Asked now. {" ".join(said)}</p>' if live else ""


def _compared(asked: Asked, side: str, reading: LiveReading) -> str:
    stored, now = (escape(_named(asked, choice)) for choice in (asked.choices[side], reading.choice))
    verdict = f"{now}, as stored" if asked.choices[side] == reading.choice else f"{now}; stored is {stored}"
    apart = max(abs(one - other) for one, other in zip(asked.shares[side], reading.shares, strict=True))
    return f"{NAMES[side]}: {verdict}; each probability is within {100 * apart:.1f} points of the stored one."


def _named(asked: Asked, choice: int) -> str:
    return f"“{asked.item.answers[choice]}”" if choice >= 0 else "none"
