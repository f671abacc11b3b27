"""The templates' environment: a missing name is an error, and whatever is printed has been written for Markdown."""

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined, Undefined

from release import __version__
from release import format as text
from release.card.compiled import compiled_templates
from release.decimals import figures, showing
from release.evals.forms import digits_beside, digits_of, percent_digits
from release.evals.metrics import METRICS, VARYING
from release.names import REPO_ID, is_litter
from release.resources import PACKAGE, resource
from release.values import Score

HUB = "https://huggingface.co"
EVALUATIONS = PACKAGE / "evals"
"""Each evaluation's folder holds its part of the card, its papers, and the words of its claims."""
KINDS = ("*.md.j2", "*.bib", "*.yaml")


def _sources() -> Iterator[tuple[str, Path]]:
    """Yield every file that a card may be made of, by its name for `environment`."""
    for prefix, folder, kinds in (
        ("", resource("templates"), ("*",)),
        ("evals/", EVALUATIONS, ("*.md.j2", "*.bib", "*.yaml")),
    ):
        for path in (path for kind in kinds for path in folder.rglob(kind) if path.is_file()):
            yield prefix + path.relative_to(folder).as_posix(), path


@cache
def templates_digest() -> str:
    """Return a short digest over this version and all templates a card may use."""
    digest = hashlib.sha256(__version__.encode())
    for name, path in sorted(_sources(), key=lambda source: source[0].split("/")):
        if not name.startswith(("comparison", "space", "studies", "watch")) and not is_litter(name):
            digest.update(f"\n{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def bibliography() -> Mapping[str, str]:
    """Return every BibTeX entry by the name of its file, in their order."""
    files = sorted((path for name, path in _sources() if name.endswith(".bib")), key=lambda path: path.name)
    return {path.stem: path.read_text(encoding="utf-8") for path in files}


@cache
def environment() -> Environment:
    """Return the templates' environment, in which a misspelt name is an error and every string is escaped."""
    result = Environment(
        loader=ChoiceLoader(
            [FileSystemLoader(resource("templates")), PrefixLoader({"evals": FileSystemLoader(EVALUATIONS)})]
        ),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=compiled_templates(),
    )
    for function in (
        *(text.count, text.fixed, text.signed, text.percent, text.exact_percent, text.interval),
        *(text.signed_interval, text.signed_percent, text.size, text.seconds, text.code, text.link, text.fence),
        *(text.file, text.chance, _hub),
    ):
        result.filters[function.__name__.removeprefix("_")] = _written(function)
    result.filters["plain"] = _written(str)
    result.filters["shell"] = lambda value: shlex.quote(text.one_line(value))
    result.filters["one_line"] = text.one_line
    result.filters["first_words"] = text.first_words
    result.globals |= {"score": _any_score, "metrics": METRICS, "varying": VARYING}
    result.globals |= {"digits_of": digits_of, "digits_beside": digits_beside, "percent_digits": percent_digits}
    result.globals |= {"figures": figures, "showing": showing}
    return result


def _hub(model_id: str) -> str:
    """Link a Hub id to its page; anything else, a folder's name for one, is only named."""
    name = text.markdown(model_id)
    return f"[{name}]({HUB}/{model_id})" if REPO_ID.fullmatch(model_id) else name


class Written(str):
    """Text that is Markdown already and is printed as it stands."""

    __slots__ = ()

    def __html__(self) -> "Written":
        return self


def _written(function: Callable[..., str]) -> Callable[..., Written]:
    @wraps(function)
    def call(*arguments: object) -> Written:
        return Written(function(*arguments))

    return call


def _printed(value: object) -> object:
    """Let through what a filter or macro wrote, escape strings, refuse the rest: a number needs its format."""
    if hasattr(value, "__html__"):
        return value
    if isinstance(value, str | Undefined):
        return Written(text.markdown(str(value)))
    raise TypeError(f"a template prints {value!r} without saying how")


def _any_score(scores: tuple[Score, ...], name: str | None, over: str) -> Score | None:
    return next((score for score in scores if (score.name, score.over) == (name, over)), None)
