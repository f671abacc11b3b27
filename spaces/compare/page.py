"""The page's own HTML and CSS. Every value that is put in is escaped here, and nowhere else is HTML made."""

import re
import shlex
from html import escape, unescape

from cards import Facts, Values
from models import Source

TITLE = "Dense and pruned, side by side"
NOTICE = (
    "<strong>Research only.</strong> Pruned models are shown here so that what pruning does to answers can be seen. "
    "They may be biased, wrong or offensive. Do not use them in products or for decisions about people."
)

CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
#intro h1 { font-size: var(--text-xxl); font-weight: 650; margin: 0 0 .25rem; color: var(--body-text-color); }
#intro p { margin: 0 0 .5rem; }
h2.side { font-size: var(--text-md); font-weight: 650; margin: 0; overflow-wrap: anywhere; }
h2.side span { font-weight: 400; opacity: .8; }
#dense button[aria-label="Clear"], #pruned button[aria-label="Clear"] { display: none; }
#intro .notice { border-left: 4px solid #d97706; border-radius: 4px; padding: .6rem .8rem; margin: .5rem 0 0;
  background: color-mix(in srgb, #d97706 12%, transparent); color: var(--body-text-color); }
#dense, #pruned, #question { border: 1px solid var(--border-color-primary); }
#dense, #pruned { height: clamp(300px, 46vh, 520px) !important; }
#dense .message, #pruned .message { overflow-wrap: anywhere; }
#facts h2 { font-size: var(--text-lg); font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }
#facts dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 240px), 1fr)); gap: .5rem;
  margin: 0 0 .75rem; }
#facts dl > div { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: .5rem .7rem;
  background: var(--background-fill-secondary); }
#facts dt { font-size: var(--text-sm); opacity: .8; }
#facts dd small { font-size: var(--text-sm); font-weight: 400; opacity: .8; }
#facts dd { margin: 0; font-weight: 500; color: var(--body-text-color); overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
#facts p { margin: 0 0 .5rem; overflow-wrap: anywhere; }
#facts a { text-decoration: underline; margin: 0; padding: 0; }
.dark #facts a { color: #a5b4fc; }
#attribution p { font-size: var(--text-sm); margin: 0; overflow-wrap: anywhere; }
#facts code { display: inline-block; padding: .2rem .5rem; border-radius: 4px; white-space: pre-wrap;
  overflow-wrap: anywhere; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); }
@media (max-width: 640px) { #dense, #pruned { height: 320px !important; } }
"""


def intro(alone: bool) -> str:
    """Return the head of the page.

    Args:
        alone: Whether there is no dense model to compare with.
    """
    task = (
        "The dense base model is not on the Hub, so the pruned model answers alone."
        if alone
        else "Both models get the same question, answer at the same time and decode in the same way."
    )
    return f'<h1>{TITLE}</h1><p>{task}</p><p class="notice" role="note">{NOTICE}</p>'


def side(name: str, source: Source | None) -> str:
    """Return the head above one model's answers; empty where there is no such model."""
    return f'<h2 class="side">{name} <span>{escape(source.id)}</span></h2>' if source else ""


def about(source: Source, facts: Facts) -> str:
    """Return what is known about a pruned model."""
    parts = [f"<h2>{escape(source.id)}</h2>"]
    if facts.trouble:
        parts.append(f"<p>{escape(facts.trouble)}</p>")
    if facts.research_only:
        parts.append("<p>Its card restricts it to research: not for production use.</p>")
    tiles = [*facts.configuration, *facts.measurements]
    if tiles:
        parts.append(f"<dl>{''.join(_tile(label, value) for label, value in tiles)}</dl>")
    parts.append(f"<p>{_links(source, facts)}</p>")
    place = shlex.quote(source.id) if source.on_hub else "FOLDER"
    parts.append(f"<p>Check these files yourself: <code>release verify {escape(place)}</code></p>")
    return "".join(parts)


def shown(text: str) -> str:
    """Write a message so that a Chatbot shows it letter by letter; `restored(shown(text)) == text`.

    A Chatbot treats a message as HTML even where it renders no Markdown. Only what HTML would take for a tag or a
    character reference is escaped, so that almost every text passes as it is, to programs as well.
    """
    references = re.sub(r"&[#\w]+;?", lambda found: _referenced(found[0]), text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", references)


def _referenced(piece: str) -> str:
    return piece if unescape(piece) == piece else f"&amp;{piece[1:]}"


def restored(text: str) -> str:
    """Return the message that `shown` wrote."""
    return unescape(text)


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
