"""What goes wrong at the Hub: which faults pass by themselves, and what each means to whoever publishes.

A fault that passes is asked about again, after a while, wherever asking twice does no harm. A commit does harm, so
`release.hub.commit` looks at the Hub first. What a refusal means is in `release.sources.refusals`.
"""

import re
import time
from email.utils import parsedate_to_datetime

import httpx2
from huggingface_hub import constants

from release.sources import refusals
from release.sources.answers import SenselessAnswer
from release.sources.contact import (
    ASK_THE_HUB,
    CLIENT_ERRORS,
    PASSING,
    answer_of,
    chain,
    meaning,
    named,
    plain,
    request_of,
    status_of,
)
from release.sources.proxies import on_the_way

FAULTS = (*CLIENT_ERRORS, ValueError)
"""What goes wrong between this machine and the Hub; a ValueError is an answer that makes no sense or names a fault."""

SPENT = re.compile(r"\br=0;\s*t=(\d+)")
"""How a RateLimit header says that nothing is left, and for how many seconds."""


def passes(error: BaseException) -> bool:
    """Whether the same request may well be answered in a while."""
    status = status_of(error)
    if status is not None:
        return status in PASSING
    led = list(chain(error))
    # The compiled part of the client, which speaks Xet, knows no finer error than RuntimeError.
    return type(led[-1]) is RuntimeError or any(isinstance(e, httpx2.TransportError | ConnectionError) for e in led)


def may_be_sent_again(error: BaseException) -> bool:
    """Whether a commit that has not arrived may be sent once more: its files then get new addresses, too.

    A commit in conflict (409) stands in the way of another one that is still being written.
    """
    return passes(error) or status_of(error) == 409 or refusals.is_of_an_upload(status_of(error), request_of(error))


def asked_to_wait(error: BaseException) -> float | None:
    """Return for how many seconds the Hub's answer asks to wait; None where it does not say."""
    answer = answer_of(error)
    if answer is None:
        return None
    headers = answer.response.headers
    if spent := SPENT.search(headers.get("RateLimit", "")):
        return float(spent[1])
    return stated_seconds(headers.get("Retry-After", ""))


def stated_seconds(stated: str) -> float | None:
    """Read a Retry-After, which is a number of seconds or a date."""
    if stated.strip().isdecimal():
        return float(stated)
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    except ValueError:
        return None


def refusal(error: BaseException, kind: str, repo_id: str, page: str) -> tuple[str, str]:
    """Return what an error in an upload means and the way out of it."""
    if status_of(error) is not None:
        return meaning(error, kind, repo_id, page)
    led = list(chain(error))
    if any(isinstance(each, SenselessAnswer) for each in led):
        return f"What the Hub answered makes no sense: {named(error)}.{on_the_way(constants.ENDPOINT)}", ASK_THE_HUB
    if isinstance(error, ValueError) and not isinstance(error, httpx2.HTTPError):
        return _said(str(error), kind, repo_id, page)
    said = f"The connection to the Hub was lost ({named(error)}).{on_the_way(constants.ENDPOINT)}"
    return said, f"Run the same command again: what has arrived is not sent again. See {page}."


def _said(words: str, kind: str, repo_id: str, page: str) -> tuple[str, str]:
    """Say what the Hub found wrong with a README or with large files, for which the client has words alone."""
    if refusals.by_words(403, words, ""):
        return refusals.meaning(403, plain(words), "", kind, repo_id, page)
    return (
        f"The Hub does not accept what was sent for the {kind} {repo_id}: {plain(words)}",
        f"Correct it, and try again. See {page}.",
    )
