"""One question to a Space, asked as any visitor would ask it, through gradio_client.

A Space reads a model that is private or gated only with a token of its own, which this tool never puts there. So it is
settled first whether the Space can be asked at all: as things stand, once its model is shown, or not before its owner
does something.
"""

import html
import re
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, wait
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx
from huggingface_hub import get_token

from release.hub.client import HubClient
from release.hub.context import PushContext
from release.hub.repos import Found, RepoFolder
from release.hub.space import failed
from release.progress import Tell
from release.sources.contact import plain, without_tokens

if TYPE_CHECKING:
    from gradio_client import Client
    from gradio_client.client import Job

T = TypeVar("T")

QUESTION = "Why is the sky blue?"
ANSWER_TOKENS = 16
READS_MODELS = "HF_TOKEN"
"""The secret by which a Space reads what is not open to everyone."""
CONNECT_WITHIN = 60.0
TOLD_EVERY = 5.0
"""Seconds between two looks at whether the answer is there."""
NONSENSE = (ValueError, TypeError, LookupError, AttributeError, StopIteration)
"""What gradio_client raises where an app answers something that is no Gradio app's answer."""

Reach = Literal["now", "once shown", "never"]


class NoAnswer(Exception):
    """The Space runs and does not answer; says why, in a few words."""


def reach(context: PushContext, target: RepoFolder, model: Found) -> Reach:
    """Say when the Space can read its model: as things stand, once that is shown, or not at all.

    Args:
        model: The model's repository, before its gate is set and before it is shown.
    """
    gated = bool(context.options.gated or model.gated)
    if model.public and not gated:
        return "now"
    api = context.client.api
    if READS_MODELS in context.ask("space", target.id, lambda: api.get_space_secrets(target.id)):
        return "now"
    return "never" if gated or context.options.private else "once shown"


def host_of(context: PushContext, target: RepoFolder) -> str:
    """Ask for the address of the running app.

    Raises:
        SpaceFailed: The Hub names none.
    """
    host = context.ask("space", target.id, lambda: context.client.api.space_info(target.id).host)
    if not host:
        raise failed(context, target, f"The Space {target.id} cannot be asked: the Hub names no address for it. ")
    return str(host)


def ask(context: PushContext, target: RepoFolder, host: str) -> str:
    """Ask one question and return the pruned model's answer, as one line.

    An app that has just begun to run may refuse the first connections, so it is asked with the patience of every other
    request.

    Raises:
        NoAnswer: There is no answer.
    """
    from gradio_client import exceptions, utils

    faults = (*NONSENSE, httpx.HTTPError, OSError, CancelledError, utils.QueueError, utils.TooManyRequestsError)
    client, limit = context.client, context.client.answered_within
    safe = "Ctrl-C is safe: what was not public before becomes private again"
    with context.console.waiting(f"Asking space {target.id}: {QUESTION}", limit, safe) as tell:
        for pause in (*client.waits, None):
            try:
                return _answer(client, host, tell)
            except faults as error:
                if pause is None or isinstance(error, exceptions.AppError | TimeoutError):
                    raise NoAnswer(_said(error)) from without_tokens(error)
                tell(f"{_said(error)}; it is asked again", 0.0)
                client.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _said(error: BaseException) -> str:
    return plain(html.unescape(re.sub(r"<[^>]+>", " ", str(error)))) or type(error).__name__


def _answer(client: HubClient, host: str, tell: Tell) -> str:
    space_client = _space_client(client, host)
    try:
        job = space_client.submit(prompt=QUESTION, max_new_tokens=ANSWER_TOKENS, api_name="/compare")
        _, pruned = _result(job, client.answered_within, tell)
    finally:
        space_client.close()
    return plain(_text(pruned[-1]["content"]))


def _space_client(client: HubClient, host: str) -> "Client":
    from gradio_client import Client  # slow to import, and needed only here

    token = client.api.token or get_token()
    space_client = Client(
        host,
        token=token if isinstance(token, str) else None,
        verbose=False,
        analytics_enabled=False,
        download_files=False,
        # Without TLS there is nothing to verify, and reading the certificates takes longer than the question.
        ssl_verify=not host.startswith("http://"),
        httpx_kwargs={"timeout": httpx.Timeout(client.answered_within, connect=CONNECT_WITHIN)},
    )
    space_client.executor = space_client.helper_executor = space_client.stream_executor = Daemons()
    return space_client


class Daemons(Executor):
    """Threads that end with the program: those of a pool are waited for, however long an app keeps silent."""

    def submit(self, call: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Have a thread of its own make a call."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(call(*arguments, **options))
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future


def _result(job: "Job", within: float, tell: Tell) -> Any:
    """Wait for the answer, and tell so.

    Raises:
        TimeoutError: The time is up.
    """
    waited = 0.0
    while waited < within:
        if wait([job.future], timeout=min(TOLD_EVERY, within - waited)).done:
            return job.result()
        waited += TOLD_EVERY
        tell("no answer yet", waited)
    raise TimeoutError(f"no answer within {within:,.0f} seconds")


def _text(content: Any) -> str:
    """Return the text of a Chatbot's message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text") or "" for part in content)
