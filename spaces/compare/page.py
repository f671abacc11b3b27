"""The page's own HTML. Every value is escaped where it is put in: here, in `lens_html` and in `grid`."""

import re
import shlex
from collections.abc import Sequence
from html import escape, unescape
from typing import Any

from answers import Answer, Difference, Progress
from compare import Step, Turn
from facts import Facts, Values
from lens import SIDES
from lineup import HERE, Source
from metrics import METRICS

TITLE = "Dense and pruned, side by side"
NOTICE = (
    "<strong>Research only.</strong> Pruned models are shown here so that what pruning does to answers can be seen. "
    "They may be biased, wrong or offensive. Do not use them in products or for decisions about people."
)
CSS = (HERE / "style.css").read_text(encoding="utf-8")
SCRIPT = (HERE / "page.js").read_text(encoding="utf-8")


def intro(alone: bool) -> str:
    """Return the head of the page.

    Args:
        alone: Whether there is no dense model to compare with.
    """
    task = (
        "The dense base model is not on the Hub, so the pruned model answers alone."
        if alone
        else "Pruning sets weights of a model to zero. Ask the model before and after the same question, see where the "
        "answers part, and what was measured."
    )
    return f'<h1>{TITLE}</h1><p>{task}</p><p class="notice" role="note">{NOTICE}</p>'


def side(name: str, source: Source | None) -> str:
    """Return the head above one model's answers; empty where there is no such model."""
    return f'<h2 class="side">{name} <span>{escape(source.id)}</span></h2>' if source else ""


def menu(source: Source, facts: Facts) -> str:
    """Return a variant's line in the menu: its facts first, since a phone shows the beginning."""
    parts = [facts.method, None if facts.sparsity is None else f"{100 * facts.sparsity:.2f} % zeros"]
    numbers = ((metric.short, facts.numbers.get(metric.key)) for metric in METRICS if metric.short)
    parts.extend(f"{name} {value.pruned:,.4g}" for name, value in numbers if value)
    known = ", ".join(part for part in parts if part)
    return f"{known}: {source.id}" if known else source.id


# The conversation


def chat(turns: Sequence[Turn], name: str, stopped: bool = False) -> list[dict[str, Any]]:
    """Return one side's conversation as a Chatbot shows it."""
    said: list[dict[str, Any]] = []
    for turn in turns:
        said.append({"role": "user", "content": shown(turn.question)})
        if name in turn.answers:
            said.append({"role": "assistant", "content": marked(turn.answers[name])})
        elif not stopped:
            waiting = {"title": "Loading the model; the first time takes longest", "status": "pending"}
            said.append({"role": "assistant", "content": "", "metadata": waiting})
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
    """Return the line about speed, and where the answers part, below the conversation."""
    if step.progress is None:
        return ""
    ended = " Stopped." if step.stopped else ""
    parts = [f"<p>{' · '.join(_speed(name, answer) for name, answer in step.progress.answers.items())}.{ended}</p>"]
    if len(step.progress.answers) == len(SIDES):
        parts.append(_parting(step.progress))
    return "".join(parts)


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
    visible = text.replace("\n", "↵").replace("\t", "⇥")
    return f"<q>{escape(visible)}</q>" if text else "<em>nothing more</em>"


def bar(share: float, name: str, chosen: bool = False) -> str:
    """Return a share, 0 to 1, of a side as a bar with its number."""
    number = f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else "below 0.1 %"
    width = min(100.0, 100 * share)
    text = f"<b>{number}, chosen</b>" if chosen else number
    return f'<span class="bar {name}"><i style="width:{width:.1f}%"></i></span><span>{text}</span>'


# The facts


def about(source: Source, facts: Facts) -> str:
    """Return what is known about a pruned model."""
    parts = [f"<h2>{escape(source.id)}</h2>"]
    if facts.trouble:
        parts.append(f"<p>{escape(facts.trouble)}</p>")
    parts += [f'<p class="notice" role="note">{escape(each)}</p>' for each in facts.warnings]
    if facts.research_only and not facts.warnings:
        parts.append('<p class="notice" role="note">Its card restricts it to research: not for production use.</p>')
    parts.append(_stated(facts))
    parts.append(_evidence(facts))
    if facts.caveats:
        parts.append(f"<h3>Caveats</h3><ul>{''.join(f'<li>{escape(each)}</li>' for each in facts.caveats)}</ul>")
    parts.append(f"<p>{_links(source, facts)}</p>")
    place = shlex.quote(source.id) if source.on_hub else "FOLDER"
    parts.append(f"<p>Check these files yourself: <code>release verify {escape(place)}</code></p>")
    return "".join(parts)


def _stated(facts: Facts) -> str:
    tiles = [*facts.measurements, *facts.configuration]
    return f"<dl>{''.join(_tile(label, value) for label, value in tiles)}</dl>" if tiles else ""


def _evidence(facts: Facts) -> str:
    lines = (f"<li><b>{escape(said.verdict)}.</b> {escape(said.words)}</li>" for said in facts.claims)
    summary = f"What the evidence says: {len(facts.claims)} claims"
    return f"<details><summary>{summary}</summary><ul>{''.join(lines)}</ul></details>" if facts.claims else ""


def _tile(label: str, values: Values) -> str:
    lines = (f"<dd>{f'<small>{escape(name)}</small> ' if name else ''}{escape(value)}</dd>" for name, value in values)
    return f"<div><dt>{escape(label)}</dt>{''.join(lines)}</div>"


def _links(source: Source, facts: Facts) -> str:
    links = [_link(f"https://huggingface.co/{source.id}", "Model card")] if source.on_hub else []
    if facts.base:
        links.append(_link(f"https://huggingface.co/{facts.base}", f"Base: {facts.base}"))
    if facts.paper:
        links.append(_link(f"https://arxiv.org/abs/{facts.paper}", f"Paper: arXiv {facts.paper}"))
    return " · ".join(links)


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'
