"""What goes wrong at the Hub: which faults pass by themselves, and what each means to whoever publishes.

A fault that passes is asked about again, after a while, wherever asking twice does no harm. A commit does harm, so
`release.hub.commit` looks at the Hub first.
"""

import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import httpx2

from release.sources.contact import PASSING, answer_of, named, plain, status_of

SPENT = re.compile(r"\br=0;\s*t=(\d+)")
"""How a RateLimit header says that nothing is left, and for how many seconds."""

WAYS_TO_A_SPACE = (
    "Three ways out: `--space-hardware zero-a10g`, which asks for ZeroGPU and is open to free accounts in good "
    "standing (two Spaces each); a paid plan; or `--no-space`, which publishes the model alone."
)
REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("The Hub does not accept what was sent for the {kind} {id}.", "Correct what it names, and try again."),
    401: (
        "The {kind} {id} is missing or not yours to see, or the Hub no longer accepts the token.",
        "Check the name and the namespace; log in again with `hf auth login`, and run the same command again.",
    ),
    402: (
        "The Hub asks for money to make the {kind} {id}: Gradio Spaces on free hardware need a paid plan.",
        WAYS_TO_A_SPACE,
    ),
    403: (
        "The token may not write to the {kind} {id}.",
        "Give it the right to write in the Hub's settings, or log in with another: `hf auth login`.",
    ),
    404: ("The {kind} {id} is gone, or not yours to see.", "Check the name, and run the same command again."),
    409: ("The Hub says that {kind} {id} is in conflict with something else there.", "Look at {page}, and try again."),
    412: (
        "Somebody else committed to {kind} {id} in between; nothing was changed there.",
        "Look at {page}/commits/main. Run the same command again to replace it, or with `--pr` to propose yours.",
    ),
    413: (
        "The Hub finds a file or the whole of {kind} {id} too large.",
        "Leave out what is not needed: a file may have 500 GB at most, ordinary ones 1 GB together.",
    ),
    429: (
        "The Hub asks to slow down.",
        "Wait some minutes and run the same command again: what has arrived is not sent again.",
    ),
}
"""What a status means for an upload, and the way out; braces are filled with the repository."""


def passes(error: BaseException) -> bool:
    """Whether the same request may well be answered in a while."""
    status = status_of(error)
    if status is not None:
        return status in PASSING
    chain = list(_chain(error))
    # The compiled part of the client, which speaks Xet, knows no finer error than RuntimeError.
    return type(chain[-1]) is RuntimeError or any(isinstance(e, httpx2.TransportError | ConnectionError) for e in chain)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that caused it."""
    while error is not None:
        yield error
        error = error.__cause__


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
    answer, status = answer_of(error), status_of(error)
    if status is None:
        return _lost(error, page)
    otherwise = ("The Hub answered {status} for {kind} {id}.", "Run the same command again in a while.")
    said, remedy = REFUSALS.get(status, otherwise)
    words = f" It says: {plain(answer.server_message)}" if answer and answer.server_message else ""
    filled = {"kind": kind, "id": repo_id, "page": page, "status": status}
    return said.format_map(filled) + words, remedy.format_map(filled)


def _lost(error: BaseException, page: str) -> tuple[str, str]:
    if isinstance(error, ValueError) and not isinstance(error, httpx2.HTTPError):
        said = f"What the Hub answered makes no sense here ({named(error)}: {plain(str(error))})."
        return said, f"Check HF_ENDPOINT and any proxy on the way, correct what is named, and try again. See {page}."
    said = f"The connection to the Hub was lost ({named(error)}); if a commit was under way, it may have arrived."
    return said, f"Run the same command again: what has arrived is not sent again. See {page}."
