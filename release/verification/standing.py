"""One check of a repository on the Hub, reported in its discussion: what the Job of `release watch` does at a push.

The check is `release verify` itself, in a process of its own, so that what is reported is what anybody gets who types
the same words; a process that dies is reported too.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from huggingface_hub.errors import HfHubHTTPError

from release import __version__
from release.card.templates import environment
from release.frozen import Frozen
from release.hub.account import check_names, login
from release.hub.client import HubClient
from release.hub.discussion import report, reports
from release.hub.repos import MAIN
from release.hub.watch import require_named
from release.progress import Console
from release.sources.contact import TOKEN, patience

PAYLOAD = "WEBHOOK_PAYLOAD"
"""The variable in which the Hub tells a Job what happened."""
MAIN_REF = f"refs/heads/{MAIN}"
COMMIT = re.compile(r"[0-9a-f]{40}")
GONE = "0" * 40
MOST_LETTERS = 40_000
"""Of a verification's output in one comment."""
MOST_NAMED = 20
"""Files and commits that a report names before its whole output."""


class Reported(Frozen):
    """What became of one check.

    Attributes:
        commit: What was verified; None where the push was to nothing that is verified.
        exit_code: As `release verify` exited, or 0 where there was nothing to do.
        discussion: The page of the report; None where nothing was to be said.
        said: What happened, in one sentence.
    """

    repository: str
    commit: str | None
    exit_code: int
    discussion: str | None
    said: str


class Outcome(NamedTuple):
    """How a verification ended.

    Attributes:
        answer: Its JSON; empty where it gave none.
    """

    words: Sequence[str]
    exit_code: int
    out: str
    err: str
    answer: Mapping[str, Any]


def check_all(repo_ids: Sequence[str], console: Console) -> list[Reported]:
    """Check several repositories one after the other; see `check`."""
    return [check(repo_id, console) for repo_id in dict.fromkeys(repo_ids)]


def check(repo_id: str, console: Console, line: HubClient | None = None) -> Reported:
    """Verify what was pushed, or what lies there now, and say so in the repository's discussion.

    Raises:
        UnknownName: There is no such repository.
        NotLoggedIn: There is no token.
        HubFailed: The Hub refuses, or the connection breaks.
    """
    line = line or HubClient()
    check_names(repo_id)
    pushed = pushed_commit(os.environ.get(PAYLOAD, ""))
    if pushed == GONE:
        return _nothing(repo_id, None, f"Nothing is verified: the event is no push to {MAIN}.")
    account = login("the report", line)
    patience()
    commit = pushed or require_named(line, repo_id).head
    before = reports(line, repo_id, account.name)
    if commit in before.commits:
        return _nothing(repo_id, commit, "Nothing is said: this commit was reported before.")
    outcome = _verified(repo_id, commit, _known(line, repo_id, before.commits), console)
    present = require_named(line, repo_id).head == commit
    page = report(line, repo_id, account.name, commit, words(commit, outcome), _ok(outcome) if present else None)
    said = f"{_headline(outcome)} Reported in {page}."
    return Reported(repository=repo_id, commit=commit, exit_code=outcome.exit_code, discussion=page, said=said)


def _nothing(repo_id: str, commit: str | None, said: str) -> Reported:
    return Reported(repository=repo_id, commit=commit, exit_code=0, discussion=None, said=said)


def pushed_commit(payload: str) -> str | None:
    """Read which commit of main an event pushed.

    Args:
        payload: The event as the Hub sends it (version 3); "" where there was none.

    Returns:
        None where it does not tell; `GONE` where it pushed none.
    """
    try:
        event = json.loads(payload) if payload else {}
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not event:
        return None
    happened, refs = event.get("event"), event.get("updatedRefs")
    scope = happened.get("scope") if isinstance(happened, dict) else None
    if isinstance(scope, str) and not scope.startswith("repo.content"):
        return GONE
    if not isinstance(refs, list):
        return None
    moved = [ref.get("newSha") for ref in refs if isinstance(ref, dict) and ref.get("ref") == MAIN_REF]
    if not moved:
        return GONE
    return moved[0] if isinstance(moved[0], str) and COMMIT.fullmatch(moved[0]) else None


def _known(line: HubClient, repo_id: str, commits: Sequence[str]) -> str | None:
    """Return the commit that was reported last, of those that the repository still has."""
    for commit in reversed(commits):
        with suppress(HfHubHTTPError, OSError):
            return str(line.ask(partial(line.api.model_info, repo_id, revision=commit)).sha)
    return None


def _verified(repo_id: str, commit: str, since: str | None, console: Console) -> Outcome:
    """Run `release verify` as anybody would."""
    asked = ["verify", f"{repo_id}@{commit}", "--json", *(("--since", since) if since else ())]
    with console.step(f"Verifying {repo_id} at {commit[:8]}", 1) as advance:
        done = subprocess.run(
            [sys.executable, "-m", "release", *asked], capture_output=True, encoding="utf-8", errors="replace"
        )
        advance(1)
    out, err = _scrubbed(done.stdout), _scrubbed(done.stderr)
    return Outcome(("release", *asked), done.returncode if done.returncode >= 0 else 70, out, err, _answer(out))


def _answer(out: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(out)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _scrubbed(said: str) -> str:
    own = os.environ.get("HF_TOKEN")
    return TOKEN.sub("hf_…", said.replace(own, "hf_…") if own else said)


def _ok(outcome: Outcome) -> bool:
    return outcome.exit_code == 0 and outcome.answer.get("ok") is True


def _headline(outcome: Outcome) -> str:
    if _ok(outcome):
        return "Passed."
    return "FAILED." if "checks" in outcome.answer else "Could not be verified."


def words(commit: str, outcome: Outcome) -> str:
    """Word a report, as Markdown; what comes from outside means nothing to it."""
    answer = outcome.answer
    output, left_out = _output(outcome)
    return (
        environment()
        .get_template("watch/report.md.j2")
        .render(
            headline=_headline(outcome),
            commit=commit,
            command=" ".join(outcome.words),
            exit_code=outcome.exit_code,
            said=answer.get("verdict") or answer.get("error") or "It gave no answer; it may have been killed.",
            unproven=answer.get("unproven", ()),
            failed=[check for check in answer.get("checks", ()) if check["ok"] is False],
            since=answer.get("since"),
            output=output,
            left_out=left_out,
            most=MOST_NAMED,
            version=__version__,
        )
    )


def _output(outcome: Outcome) -> tuple[str, str]:
    """Return the output and what of it was left out: its list of tensors where it is long, and then its end."""
    answer = outcome.answer
    out = (outcome.out if "checks" in answer else f"{outcome.out}{outcome.err}") or "(nothing)"
    if len(out) <= MOST_LETTERS:
        return out, ""
    short = (
        json.dumps({name: value for name, value in answer.items() if name != "tensors"}, indent=2) if answer else out
    )
    if len(short) <= MOST_LETTERS:
        return short, "The list of tensors is left out here; the command prints it."
    return short[:MOST_LETTERS], "What follows is left out here; the command prints it."
