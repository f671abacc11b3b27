"""The templates' environment: a missing name is an error, and whatever is printed has been written for Markdown."""

import hashlib
import shlex
from collections.abc import Callable
from functools import cache, wraps

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

from release import __version__
from release import format as text
from release.evals.bbq.metrics import METRICS as BBQ
from release.evals.metrics import METRICS
from release.names import REPO_ID, is_litter
from release.resources import resource
from release.values import Score

HUB = "https://huggingface.co"


@cache
def templates_digest() -> str:
    """Return a short digest over this version and all templates a card may use."""
    folder = resource("templates")
    digest = hashlib.sha256(__version__.encode())
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    for name in sorted(names, key=lambda name: name.parts):  # Windows would put paths in another order
        text = name.as_posix()
        if not text.startswith(("space", "studies", "watch")) and not is_litter(text):
            digest.update(f"\n{text}\n".encode() + (folder / name).read_bytes())
    return digest.hexdigest()[:12]


@cache
def environment() -> Environment:
    """Return the templates' environment, in which a misspelt name is an error and every string is escaped."""
    result = Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
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
    result.globals |= {"score": _any_score, "metrics": METRICS, "bbq_metrics": BBQ}
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
