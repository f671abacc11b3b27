"""The page's own HTML. Every value is escaped where it is put in: here, in `lens_html` and in `grid`."""

import re
import shlex
from collections.abc import Iterable, Sequence
from html import escape, unescape
from itertools import chain
from typing import Any

from facts import Facts, Values, lost_language, written
from lineup import HERE, Source
from metrics import METRICS
from turns import SIDES, Answer, Difference, Progress, Step, Token, Turn

TITLE = "Dense and pruned, side by side"
NOTICE = (
    "<strong>Research only.</strong> A pruned model may be biased, wrong or offensive: "
    "do not use it in products or for decisions about people."
)
STORED = "Stored when this release was measured: greedy, word for word. A live answer may differ by rounding."
STORED_ONLY = (
    "<strong>Stored answers only.</strong> No model is loaded here: choose one of the questions that both models "
    "answered when the release was made."
)
LABELS = {"dense": "Original (dense)", "pruned": "Pruned"}
FIRST = ("Method", "Sparsity", "Actual sparsity", "Zeroed")
"""Tiles that stand before all others."""
NEAR = 60
"""Characters of what two answers share that are quoted."""
NARROW = 20
"""Characters of a tile that takes half of the line."""
SMALLEST = 0.001
"""Least share that is written as a number."""
COLORS = (HERE / "colors.css").read_text(encoding="utf-8")
CSS = COLORS + (HERE / "style.css").read_text(encoding="utf-8")
TALK = (HERE / "talk.js").read_text(encoding="utf-8")
SCRIPT = (HERE / "page.js").read_text(encoding="utf-8")


def intro(alone: bool) -> str:
    """Return the head of the page.

    Args:
        alone: Whether there is no dense model to compare with.
    """
    task = (
        "The dense base model is not on the Hub, so the pruned model answers alone."
        if alone
        else "Pruning sets weights of a model to zero. Ask the model before and after it the same question, and see "
        "where the answers part."
    )
    return f'<h1>{TITLE}</h1><p>{task}</p><p class="notice" role="note">{NOTICE}</p>'


def side(name: str, source: Source | None) -> str:
    """Return the head above one model's answers; empty where there is no such model."""
    return f'<h2 class="side {name}">{LABELS[name]} <span>{escape(source.id)}</span></h2>' if source else ""


def menu(source: Source, facts: Facts) -> str:
    """Return a variant's line in the menu: its facts first, since a phone shows the beginning."""
    sparsity = None if facts.sparsity is None else f"{100 * facts.sparsity:.4g} %"
    parts = [" ".join(each for each in ((facts.method or "").capitalize(), sparsity) if each)]
    if facts.headline:
        parts += [f"{each.label} {each.dense} → {each.pruned}" for each in facts.headline]
    else:
        numbers = ((metric.short, facts.numbers.get(metric.key)) for metric in METRICS if metric.short)
        parts += [f"{name} {written(value.pruned, value.form)}" for name, value in numbers if value]
    known = " · ".join(part for part in parts if part)
    return f"{known}: {source.id}" if known else source.id


# The conversation


def chat(step: Step, name: str) -> list[dict[str, Any]]:
    """Return one side's conversation as a Chatbot shows it."""
    said: list[dict[str, Any]] = []
    for turn in step.turns:
        said.append({"role": "user", "content": shown(turn.question)})
        answer = turn.answers.get(name)
        if answer is not None and answer.tokens:
            said.append({"role": "assistant", "content": marked(answer)})
        elif turn is step.turns[-1] and not step.stopped and step.trouble is None:
            told = escape(step.waiting.told) if step.waiting else "Reading the question"
            said.append({"role": "assistant", "content": "", "metadata": {"title": told, "status": "pending"}})
    return said


def marked(answer: Answer) -> str:
    """Return an answer with the token marked where it first differs from the other one."""
    if answer.differing is None:
        return shown(answer.text)
    start, end = answer.differing
    return f"{shown(answer.text[:start])}<mark>{shown(answer.text[start:end])}</mark>{shown(answer.text[end:])}"


def shown(text: str) -> str:
    """Write a message so that a Chatbot shows it letter by letter; `restored(shown(text)) == text`.

    A Chatbot treats a message as HTML even where it renders no Markdown, and reads its source to screen readers. So
    only what HTML would take for a tag or a character reference is escaped.
    """
    references = re.sub(r"&[#\w]+;?", lambda found: _referenced(found[0]), text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", references)


def _referenced(piece: str) -> str:
    return piece if unescape(piece) == piece else f"&amp;{piece[1:]}"


def restored(text: str) -> str:
    """Return the message that `shown` wrote."""
    return unescape(text)


def transcript(turns: Sequence[Turn], dense: str, pruned: str) -> str:
    """Return a conversation as plain text, to be copied."""
    names = {"dense": dense, "pruned": pruned}
    parts = []
    for turn in turns:
        parts.append(f"Question: {turn.question}")
        parts += [f"{names[name]}: {answer.text}" for name, answer in turn.answers.items()]
    return "\n\n".join(parts)


def status(step: Step) -> str:
    """Return where the answers part, and how fast they came, below the conversation."""
    if step.progress is None:
        return "<p>Stopped.</p>" if step.stopped else ""
    parting = _parting(step.progress) if len(step.progress.answers) == len(SIDES) else ""
    speed = " · ".join(_speed(name, answer) for name, answer in step.progress.answers.items())
    ended = f"<p>{STORED}</p>" if step.stored else f"<p>{speed}.{' Stopped.' if step.stopped else ''}</p>"
    return parting + ended


def _speed(name: str, answer: Answer) -> str:
    count = f"{name}: {answer.tokens} token{'' if answer.tokens == 1 else 's'}"
    speed = f", {answer.speed:.1f} tokens/s" if answer.speed else ""
    return count + speed


def _parting(progress: Progress) -> str:
    if not progress.comparable:
        return "<p>The models write in different tokens, so their answers are not compared token by token.</p>"
    if progress.difference is not None:
        return _difference(progress.difference)
    verdict = "Both answers are the same, token by token." if progress.done else "The same so far."
    return f"<p>{verdict}</p>"


def while_waiting(question: str) -> str:
    """Say whose answers are on the page while another question waits."""
    shown = f"{question[:NEAR].rstrip()}…" if len(question) > NEAR else question
    return f"While you wait: stored answers to “{_visible(shown)}”."


def in_words(step: Step, before: str = "") -> str:
    """Say in a sentence where two answers part; empty where they do not.

    Args:
        before: HTML that comes before it.
    """
    progress = step.progress
    if progress is None or progress.difference is None:
        return f"<p>{before}</p>" if before else ""
    found = progress.difference
    starts = (answer.text[: answer.differing[0]] for answer in progress.answers.values() if answer.differing)
    shared = next(starts, "").strip()
    begun = f"…{shared[-NEAR:]}" if len(shared) > NEAR else shared
    bare = [token.text.strip(" ") for token in found.tokens.values()]
    is_bare = all(bare) and len(set(bare)) == len(bare)  # where spaces alone differ, they are shown
    dense, pruned = (_says(found.tokens[name], name, is_bare) for name in SIDES)
    pruned = pruned.removeprefix("writes ") if dense.startswith("writes ") else pruned
    together = f"Both begin “{_visible(begun)}”; then" if begun else "They part at once:"
    return f"<p>{before}{' ' if before else ''}{together} the dense model {dense}, the pruned one {pruned}.</p>"


def _says(token: Token, name: str, is_bare: bool) -> str:
    likely = percent(token.probabilities[name])
    text = token.text.strip(" ") if is_bare else token.text
    return f"writes “{_visible(text)}” ({likely})" if token.text else f"ends ({likely})"


def _visible(text: str) -> str:
    """Write a piece of an answer with its breaks; one that is nothing but spaces as such."""
    if text and not text.strip(" "):
        return "␣" * len(text)
    return escape(text.replace("\n", "↵").replace("\t", "⇥"))


def _difference(found: Difference) -> str:
    equal = f"after {found.position} equal token{'' if found.position == 1 else 's'}"
    place = equal if found.position else "at the first token"
    heads = "".join(f'<th scope="col">{name} gave it</th>' for name in SIDES)
    rows = "".join(
        f'<tr><th scope="row">{name} said {_token(token.text)}</th>'
        f"{''.join(f'<td>{bar(token.probabilities[other], other)}</td>' for other in SIDES)}</tr>"
        for name, token in found.tokens.items()
    )
    head = f'<tr><th scope="col">First difference: {place}</th>{heads}</tr>'
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _token(text: str) -> str:
    return f"<q>{_visible(text)}</q>" if text else "<em>nothing more</em>"


def percent(share: float | None) -> str:
    """Write a share, 0 to 1; None is one that was too small to be kept."""
    if share == 0:
        return "0 %"
    if share is None or share < SMALLEST:
        return "below 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def bar(share: float | None, name: str, chosen: bool = False) -> str:
    """Return a share, 0 to 1, of a side as a bar with its number; None is one that was too small to be kept."""
    small = share is None or 0 < share < SMALLEST
    number = "below 0.1 %" if small else f"{100 * (share or 0):.1f} %"
    width = min(100.0, 100 * (share or 0))
    text = f"<b>{number}, chosen</b>" if chosen else number
    return f'<span class="bar {name}"><i style="width:{width:.1f}%"></i></span><span>{text}</span>'


# The facts


def headline(facts: Facts, live: bool) -> str:
    """Return what pruning did: a sentence, two numbers, and whether the copy still writes language.

    Args:
        live: Whether the models can be asked here.
    """
    parts = [f'<p class="did">{escape(facts.sentence)}</p>'] if facts.sentence else []
    numbers = "".join(
        f"<div><dt>{escape(each.label)}</dt><dd>{escape(each.dense)} → <b>{escape(each.pruned)}</b></dd>"
        f"<dd><small>{escape(each.change)}</small></dd></div>"
        for each in facts.headline
    )
    parts += [f"<dl>{numbers}</dl>"] if numbers else []
    if times := lost_language(facts):
        words = f"This copy no longer writes language: its perplexity rose {times:,.0f}-fold. What it says is noise."
        parts.append(f'<p class="notice" role="note">{words}</p>')
    if not live:
        parts.append(f'<p class="notice" role="note">{STORED_ONLY}</p>')
    return "".join(parts)


def about(source: Source, facts: Facts) -> str:
    """Return what is known about a pruned model: what it is and how to check it first, the rest behind it."""
    parts = [f"<h2>{escape(source.id)}</h2>"]
    if facts.trouble:
        parts.append(f"<p>{escape(facts.trouble)}</p>")
    if facts.research_only and not facts.warnings:
        parts.append('<p class="notice" role="note">Its card restricts it to research: not for production use.</p>')
    parts.append(_tiles([*(tile for tile in facts.configuration if tile[0] in FIRST), *_use(facts)]))
    parts.append(f"<p>{_links(source, facts)}</p>")
    place = shlex.quote(source.id) if source.on_hub else "FOLDER"
    if source.copy is None:
        parts.append(f"<p>Check these files yourself: <code>release verify {escape(place)}</code></p>")
    parts.append(_tiles(facts.measurements))
    parts.append(_tiles([tile for tile in facts.configuration if tile[0] not in FIRST]))
    parts.append(_folded("Warnings", (escape(each) for each in facts.warnings)))
    parts.append(_evidence(facts))
    parts.append(_folded("Caveats", (escape(each) for each in facts.caveats)))
    return "".join(parts)


def _use(facts: Facts) -> Iterable[tuple[str, Values]]:
    """Say what a model may be used for, as far as its release or card does."""
    if facts.license or facts.research_only:
        named = f"license {facts.license}" if facts.license else "no license is stated"
        yield "Use", (("", f"research only; {named}" if facts.research_only else named),)


def _tiles(tiles: Sequence[tuple[str, Values]]) -> str:
    return f"<dl>{''.join(_tile(label, value) for label, value in tiles)}</dl>" if tiles else ""


def _folded(title: str, items: Iterable[str]) -> str:
    lines = "".join(f"<li>{each}</li>" for each in items)
    return f"<details><summary>{title}</summary><ul>{lines}</ul></details>" if lines else ""


def _evidence(facts: Facts) -> str:
    lines = (f"<b>{escape(said.verdict)}.</b> {escape(said.words)}" for said in facts.claims)
    return _folded(f"What the evidence says: {len(facts.claims)} claims", lines)


def _tile(label: str, values: Values) -> str:
    lines = (f"<dd>{f'<small>{escape(name)}</small> ' if name else ''}{escape(value)}</dd>" for name, value in values)
    long = ' class="long"' if sum(map(len, chain(*values))) > NARROW else ""
    return f"<div{long}><dt>{escape(label)}</dt>{''.join(lines)}</div>"


def _links(source: Source, facts: Facts) -> str:
    links = [_link(f"https://huggingface.co/{source.id}", "Model card")] if source.on_hub else []
    if facts.base:
        links.append(_link(f"https://huggingface.co/{facts.base}", f"Base: {facts.base}"))
    if facts.paper:
        links.append(_link(f"https://arxiv.org/abs/{facts.paper}", f"Paper: arXiv {facts.paper}"))
    return " · ".join(links)


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'
