"""Talking to the Hub: how long to wait for it, and what its client's errors mean, reading and writing.

The client waits for ever by default, and tries again for a minute where it retries. The first contact does
neither: whoever has no network learns so at once, before any work.
"""

import errno
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

import httpx2
from huggingface_hub import constants, get_session
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from release.errors import (
    BadOption,
    DiskFull,
    HubFailed,
    HubUnreachable,
    MissingSource,
    NotLoggedIn,
    ReleaseError,
    UnknownName,
    UnusableBase,
)
from release.progress import Console
from release.sources import proxies, refusals
from release.sources.answers import SenselessAnswer, look, understood
from release.sources.limit import share

T = TypeVar("T")
Failure = TypeVar("Failure", bound=BaseException)

FIRST_WAIT = 10.0
"""Seconds that one step of the first contact may take: to connect, or to answer."""
FIRST_DEADLINE = 12.0
"""Seconds for the first contact in all: a slow name look-up and several addresses add up."""
WORK_WAIT = 60.0
"""Seconds of silence after which a connection at work counts as lost."""

CLIENT_ERRORS = (HfHubHTTPError, HFValidationError, httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError)
"""What the client raises; RuntimeError and ConnectionError come from its compiled part, for Xet."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""Statuses that another try may not meet again; from 520 on they are a gateway's, whose Hub does not answer in time."""

ASK_THE_HUB = (
    "Where this network asks for a login, log in with a browser first; check HF_ENDPOINT and the proxy where one is "
    "set, and run the same command again."
)
"""What to do about an answer that makes no sense."""
XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3}) ")
"""How that part words an answer that is an error; it has no other way to tell the status."""
TOKEN = re.compile(r"hf_[A-Za-z0-9_]{8,}")
"""What the Hub's tokens look like; an answer or a log may quote one."""


def first_contact(call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises, within `FIRST_DEADLINE` seconds.

    Raises:
        HubUnreachable: The time is up.
    """
    session().timeout = httpx2.Timeout(FIRST_WAIT)
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            with understood():
                answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            answer.set_exception(error)

    # A daemon, so that a request which nobody answers cannot hold up the end of the program.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(FIRST_DEADLINE)
    except TimeoutError:
        raise unreachable("no answer in time") from None
    finally:
        patience()


def patience() -> None:
    """Have the client wait for `WORK_WAIT` seconds of silence, not for ever."""
    session().timeout = httpx2.Timeout(WORK_WAIT, connect=FIRST_WAIT)


def session() -> httpx2.Client:
    """Return the client's shared session: it looks at every answer, is patient, and takes part in this machine's limit.

    The client drops its session where a connection cannot be made, and makes another, which knows nothing of these.

    Raises:
        HubUnreachable: A variable of the environment names a proxy that cannot be used.
    """
    try:
        client = get_session()
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise proxies.unusable() or error from None
    if look not in client.event_hooks["response"]:
        client.event_hooks["response"].append(look)
        client.timeout = httpx2.Timeout(WORK_WAIT, connect=FIRST_WAIT)
        share(client)
    return client


@contextmanager
def quietly(console: Console) -> Iterator[None]:
    """Keep the client's remarks away from the user, but for what the Hub says about a README."""
    logger = logging.getLogger("huggingface_hub")
    level, bars = logger.level, not are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    if bars and (console.rich.quiet or not console.rich.is_terminal):
        disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.setLevel(level)
        if bars:
            enable_progress_bars()
    for text in {str(warning.message) for warning in caught}:
        if "README.md" in text:
            console.say(text)


@contextmanager
def explained(
    repo_id: str, revision: str | None = None, broken: Callable[[str], ReleaseError] | None = None
) -> Iterator[None]:
    """Turn what the client raises while it reads into this package's errors.

    Args:
        broken: Makes the error for a connection or a Hub that fails, from a few words on what was seen;
            by default `unreachable`.
    """
    try:
        session()
        with understood():
            yield
    except (*CLIENT_ERRORS, SenselessAnswer) as error:
        raise _explanation(error, repo_id, revision, broken) from without_tokens(error)


def _explanation(
    error: Exception, repo_id: str, revision: str | None, broken: Callable[[str], ReleaseError] | None
) -> ReleaseError:
    known = refusals.by_words(status_of(error) or 0, words_of(error), request_of(error)) is not None
    rules: tuple[tuple[bool, Callable[[], ReleaseError]], ...] = (
        (isinstance(error, OfflineModeIsEnabled), offline),
        (isinstance(error, HFValidationError), lambda: BadOption(f"{repo_id!r} is no Hub id.", "Give org/name.")),
        (isinstance(error, GatedRepoError), lambda: _gated(repo_id)),
        (isinstance(error, RevisionNotFoundError), lambda: _no_revision(repo_id, revision)),
        (isinstance(error, RepositoryNotFoundError), lambda: _missing(repo_id)),
        (known, lambda: HubUnreachable(*meaning(error, "repository", repo_id, f"{constants.ENDPOINT}/{repo_id}"))),
        (status_of(error) == 401, refused_token),
        (broken is None and isinstance(error, SenselessAnswer), lambda: not_the_hub(named(error))),
        (isinstance(error, OSError) and bool(error.errno), lambda: _disk(error)),
    )
    explain = next((explain for applies, explain in rules if applies), lambda: (broken or unreachable)(named(error)))
    return explain()


def answer_of(error: BaseException | None) -> HfHubHTTPError | None:
    """Return the Hub's answer that an error is, or that caused it; None where there was no answer."""
    while error is not None and not isinstance(error, HfHubHTTPError):
        error = error.__cause__
    return error


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the Hub's answer, None where there was none."""
    answer = answer_of(error)
    if answer is not None:
        return int(answer.response.status_code)
    by_xet = XET_STATUS.search(str(error))
    return int(by_xet[1]) if by_xet else None


def words_of(error: BaseException) -> str:
    """Return what the Hub says in its answer, as one line; "" where it says nothing."""
    answer = answer_of(error)
    return plain(answer.server_message or "") if answer else ""


def request_of(error: BaseException) -> str:
    """Return method and path of the request that was answered; "" where there was no answer."""
    answer = answer_of(error)
    return f"{answer.response.request.method} {answer.response.request.url.path}" if answer else ""


def named(error: BaseException) -> str:
    """Say what was seen in a few words; never the client's own text, which may quote what was sent."""
    led = list(chain(error))
    if senseless := next((each for each in led if isinstance(each, SenselessAnswer)), None):
        return str(senseless)
    status = status_of(error)
    return type(led[-1]).__name__ if status is None else f"it answered {status}"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that caused it."""
    while error is not None:
        yield error
        error = error.__cause__


def without_tokens(error: Failure) -> Failure:
    """Take anything that looks like a token out of an error's words, and of all that led to it: a Hub may quote one."""
    led: BaseException | None = error
    while led is not None:
        led.args = tuple(TOKEN.sub("hf_…", word) if isinstance(word, str) else word for word in led.args)
        led = led.__cause__ or led.__context__
    return error


def plain(text: str) -> str:
    """Return text from outside as one short line of printable characters, without anything that looks like a token."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return TOKEN.sub("hf_…", line)[:300]


def unreachable(why: str) -> HubUnreachable:
    """Return the error for a Hub that does not answer."""
    seen = f"Nobody answers at {constants.ENDPOINT} as the Hub should ({why}).{proxies.on_the_way(constants.ENDPOINT)}"
    return HubUnreachable(
        seen, "Check the network, and HF_ENDPOINT where it is set; a local folder with `--local` needs no Hub."
    )


def not_the_hub(why: str) -> HubUnreachable:
    """Return the error for an answer that makes no sense."""
    seen = f"What answers at {constants.ENDPOINT} is not the Hub: {why}.{proxies.on_the_way(constants.ENDPOINT)}"
    return HubUnreachable(seen, ASK_THE_HUB)


def broken_off(why: str) -> HubFailed:
    """Return the error for a download that does not come to its end."""
    seen = f"The download from {constants.ENDPOINT} broke off ({why}).{proxies.on_the_way(constants.ENDPOINT)}"
    return HubFailed(seen, "Run the same command again: what has arrived is kept.")


def offline() -> HubUnreachable:
    """Return the error for a client that was told not to use the network."""
    seen = "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set, so the Hub is not asked."
    return HubUnreachable(seen, "Unset it, or name a folder that holds the model and use `--local`.")


def refused_token() -> NotLoggedIn:
    """Return the error for a token that the Hub does not know."""
    seen = "The Hub refuses the token that is stored here or in HF_TOKEN."
    return NotLoggedIn(seen, "Log in again with `hf auth login` (HF_TOKEN, where set, comes first), or use `--local`.")


def meaning(error: BaseException, kind: str, repo_id: str, page: str) -> tuple[str, str]:
    """Return what the Hub's refusal means, and the way out of it."""
    return refusals.meaning(status_of(error) or 0, words_of(error), request_of(error), kind, repo_id, page)


def _gated(repo_id: str) -> UnusableBase:
    page = f"{constants.ENDPOINT}/{repo_id}"
    remedy = f"Accept them at {page} with your account, `hf auth login`, and run the same command again."
    return UnusableBase(f"{repo_id} is gated: its owner asks everyone to accept terms first.", remedy)


def _no_revision(repo_id: str, revision: str | None) -> UnknownName:
    seen = f"{repo_id} has no revision {revision or constants.DEFAULT_REVISION!r}."
    return UnknownName(seen, f"See {constants.ENDPOINT}/{repo_id}/commits/main for branches, tags and commits.")


def _missing(repo_id: str) -> UnknownName:
    seen = f"{repo_id} is missing on the Hub, or not yours to see."
    return UnknownName(seen, "Check the spelling; if it is private, `hf auth login` with an account that may read it.")


def _disk(error: Exception) -> ReleaseError:
    if getattr(error, "errno", None) == errno.ENOSPC:
        return DiskFull(f"The disk of {constants.HF_HUB_CACHE} is full.", "Make room, or set HF_HOME to another disk.")
    return MissingSource(f"The Hub's cache cannot be used: {error}.", "Set HF_HOME to a folder you may write to.")
