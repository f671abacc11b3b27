"""A Space after its commit: is it built, does it run, does it answer?

It is asked as any visitor would ask, through gradio_client. A Space reads a model that is private or gated only with
a token of its own, so it is asked where it can read its model: no token is ever put there by this tool.
"""

import concurrent.futures
import re
import time
from typing import Any

import httpx
from huggingface_hub import SpaceHardware, SpaceRuntime, get_token

from release.errors import HubFailed, SpaceFailed
from release.hub.delivery import Delivery
from release.hub.line import Line
from release.hub.repos import Target
from release.sources.contact import CLIENT_ERRORS, plain

ON_THE_WAY = ("BUILDING", "RUNNING_BUILDING", "APP_STARTING", "RUNNING_APP_STARTING")
BROKEN = ("BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", "NO_APP_FILE")
RUNNING = "RUNNING"
QUESTION = "Why is the sky blue?"
ANSWER_TOKENS = 16
LAST_LINES = 15
"""Lines of a log that a message shows."""
READS_MODELS = "HF_TOKEN"
"""The secret by which a Space reads what is not open to everyone."""
CONNECT_WITHIN = 60.0
SETTLES_WITHIN = 60.0
"""Seconds after which a Space at rest is taken at its word, whichever commit it names."""
APP_ERRORS = (ValueError, httpx.HTTPError, OSError, concurrent.futures.CancelledError)
"""What gradio_client raises; AppError, the app's own refusal, is a ValueError, and a TimeoutError an OSError."""


def furnish(delivery: Delivery, target: Target) -> None:
    """Ask for the hardware that was wished for, where an existing Space has other."""
    wanted = delivery.ways.space_hardware
    api, url = delivery.line.api, delivery.line.url("space", target.id)
    if (
        wanted is None
        or delivery.ask("space", target.id, lambda: requested_hardware(delivery.line, target.id)) == wanted
    ):
        return
    delivery.ask("space", target.id, lambda: api.request_space_hardware(target.id, SpaceHardware(wanted)))
    delivery.journal.note("furnished", url, hardware=wanted)


def requested_hardware(line: Line, repo_id: str) -> str | None:
    """Ask what a Space runs on, or will run on once it is built."""
    runtime = line.ask(lambda: line.api.get_space_runtime(repo_id))
    hardware = runtime.requested_hardware or runtime.hardware
    return None if hardware is None else str(hardware)


def rest(delivery: Delivery, target: Target, commit: str) -> str:
    """Wait until the Space has come to rest on a commit, and return its stage.

    Raises:
        SpaceFailed: It cannot be built or does not run; shows the end of its log.
        HubFailed: It does not come to rest in time.
    """
    with delivery.console.step(f"Waiting for space {target.id}", 1) as advance:
        stage = str(_rested(delivery, target, commit).stage)
        advance(1)
    if stage in BROKEN:
        log = _log(delivery, target, build=stage == "BUILD_ERROR")
        raise _failed(delivery, target, f"The Space {target.id} does not run: {stage}. The end of its log:\n{log}\n  ")
    return stage


def _rested(delivery: Delivery, target: Target, commit: str) -> SpaceRuntime:
    line = delivery.line
    began = time.monotonic()
    while True:
        runtime = delivery.ask("space", target.id, lambda: line.api.get_space_runtime(target.id))
        waited = time.monotonic() - began
        # Right after a commit the runtime may still be the one of the commit before.
        of_this_commit = runtime.raw.get("sha") in (None, commit) or waited > SETTLES_WITHIN
        if runtime.stage not in ON_THE_WAY and of_this_commit:
            return runtime
        if waited > line.built_within:
            raise HubFailed(
                f"The Space {target.id} is still {runtime.stage} after {line.built_within:.0f} seconds. "
                f"{delivery.visible()}",
                f"Look at {line.url('space', target.id)}, and run the same command again to go on waiting.",
            )
        line.sleep(line.poll)


def _log(delivery: Delivery, target: Target, build: bool) -> str:
    """Return the last lines of the Space's log, printable and without tokens."""

    def ask() -> list[str]:
        return [plain(text) for text in delivery.line.api.fetch_space_logs(target.id, build=build)]

    try:
        lines = [text for text in delivery.line.ask(ask) if text]
    except CLIENT_ERRORS:
        return "  (the Hub shows none)"
    return "\n".join(f"  {text}" for text in lines[-LAST_LINES:]) or "  (empty)"


def reads_its_model(delivery: Delivery, target: Target, model_is_open: bool) -> bool:
    """Whether the Space can read its model: anyone can, or it has a token as a secret."""
    if model_is_open:
        return True
    api = delivery.line.api
    return READS_MODELS in delivery.ask("space", target.id, lambda: api.get_space_secrets(target.id))


def ask(delivery: Delivery, target: Target) -> str | None:
    """Ask the running Space one question and return the pruned model's answer, as one line.

    Returns:
        None where the Hub names no address for the Space.

    Raises:
        SpaceFailed: There is no answer.
    """
    host = delivery.ask("space", target.id, lambda: delivery.line.api.space_info(target.id).host)
    if host is None:
        return None
    with delivery.console.step(f"Asking space {target.id}: {QUESTION}", 1) as advance:
        try:
            answer = _answer(host, delivery.line.api.token or get_token(), delivery.line.answered_within)
        except APP_ERRORS as error:
            said = plain(re.sub(r"<[^>]+>", " ", str(error))) or type(error).__name__
            raise _failed(delivery, target, f"The Space {target.id} runs but does not answer: {said} ") from error
        advance(1)
    return answer


def _answer(host: str, token: Any, within: float) -> str:
    from gradio_client import Client  # slow to import, and needed only here

    timeout = httpx.Timeout(within, connect=CONNECT_WITHIN)
    client = Client(
        host,
        token=token if isinstance(token, str) else None,
        verbose=False,
        analytics_enabled=False,
        download_files=False,
        httpx_kwargs={"timeout": timeout},
    )
    try:
        job = client.submit(prompt=QUESTION, max_new_tokens=ANSWER_TOKENS, api_name="/compare")
        _, pruned = job.result(timeout=within)
    finally:
        client.close()
    return plain(_text(pruned[-1]["content"]))


def _text(content: Any) -> str:
    """Return the text of a Chatbot's message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text") or "" for part in content)


def _failed(delivery: Delivery, target: Target, seen: str) -> SpaceFailed:
    remedy = (
        f"Look at {delivery.line.url('space', target.id)}. Correct it and run the same command again, or publish the "
        "model alone with `--no-space`."
    )
    return SpaceFailed(f"{seen}{delivery.visible()}", remedy)
