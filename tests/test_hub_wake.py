"""Nothing is shown unasked: a Space is woken, waited for and asked, or everything stays as private as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import SpaceRuntime

from release.errors import HubFailed, ReleaseError, SpaceFailed, SpaceLate
from release.hub import journal, question
from release.hub.stages import BELIEVED_AFTER, StageWatch, Step
from release.sources import answers
from tests.hub.spaces import End, Phase
from tests.pushing import ID, KINDS, Bench, bench

OTHER = "0" * 40
MINE = "1" * 40
RUNTIME, APP = f"/api/spaces/{ID}/runtime", f"/run/spaces/{ID}/"
LONG = BELIEVED_AFTER


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        made.by_the_clock()
        yield made
        assert not made.early


def shown(at: Bench) -> tuple[bool, bool]:
    """Whether model and Space are public."""
    return not at.repo().private, not at.repo("spaces").private


def update(at: Bench) -> None:
    """Publish, then change the Space's app."""
    at.push()
    at.hub.watchers.clear()
    (at.folder / "space" / "app.py").write_text("print('new')\n")


# What a stage means

Seen = tuple[str, str | None, float]
MEANINGS: list[tuple[str, list[Seen], Step]] = [
    ("runs the new commit", [("RUNNING", MINE, 0)], "rest"),
    ("runs the one before, however long", [("RUNNING", OTHER, 0), ("RUNNING", OTHER, 9 * LONG)], "wait"),
    ("is built", [("BUILDING", MINE, 0), ("BUILDING", MINE, 9 * LONG)], "wait"),
    ("builds while the old app runs", [("RUNNING_BUILDING", OTHER, 0)], "wait"),
    ("runs no named commit, never seen to leave", [("RUNNING", None, 0), ("RUNNING", None, LONG - 1)], "wait"),
    ("is built anew where that lasts", [("RUNNING", None, 0), ("RUNNING", None, LONG)], "wake"),
    ("runs no named commit after a build", [("RUNNING", None, 0), ("BUILDING", None, 5), ("RUNNING", None, 9)], "rest"),
    ("cannot be built", [("BUILD_ERROR", MINE, 0)], "rest"),
    ("the one before could not be built", [("BUILD_ERROR", OTHER, 0), ("BUILD_ERROR", OTHER, LONG)], "wait"),
    ("an error of no named commit is new or old", [("RUNTIME_ERROR", None, 0)], "wait"),
    ("it is believed after a build", [("APP_STARTING", None, 0), ("RUNTIME_ERROR", None, 5)], "rest"),
    ("no app, at first", [("NO_APP_FILE", MINE, 0), ("NO_APP_FILE", MINE, LONG - 1)], "wait"),
    ("no app, after the stated time", [("NO_APP_FILE", None, 0), ("NO_APP_FILE", None, LONG)], "rest"),
    ("paused", [("PAUSED", MINE, 0)], "wake"),
    ("stopped at the one before", [("STOPPED", OTHER, 0)], "wake"),
    ("sleeping", [("SLEEPING", None, 0)], "wake"),
    ("is deleted", [("DELETING", MINE, 0)], "rest"),
    ("in a stage nobody knows", [("DREAMING", MINE, 0)], "wait"),
    ("in such a stage for long", [("DREAMING", MINE, 0), ("DREAMING", MINE, 9 * LONG)], "wait"),
    ("asleep, then in such a stage", [("DREAMING", None, 0), ("PAUSED", None, LONG)], "wake"),
]


@pytest.mark.parametrize(("looks", "step"), [row[1:] for row in MEANINGS], ids=[row[0] for row in MEANINGS])
def test_a_stage_counts_for_the_commit_that_it_is_about(looks: list[Seen], step: Step) -> None:
    watch = StageWatch(MINE)
    for stage, sha, now in looks:
        watch.see(SpaceRuntime({"stage": stage, "sha": sha}), now)
        if now != looks[-1][2]:
            assert watch.step(now) == "wait"
    assert watch.step(looks[-1][2]) == step


# Not running: woken, or nothing is shown

AWAKE = End("RUNNING")
NOT_RUNNING = ["PAUSED", "STOPPED", "SLEEPING"]


@pytest.mark.parametrize("stage", NOT_RUNNING)
def test_a_space_that_does_not_run_is_woken_once_and_asked(at: Bench, stage: str) -> None:
    at.hub.site.ends[ID] = End(stage, woken=AWAKE)
    assert at.push().answer
    assert at.asked("POST", "/restart") == 1
    assert at.is_complete()


@pytest.mark.parametrize("stage", [*NOT_RUNNING, "DELETING"])
def test_what_cannot_be_woken_leaves_everything_private(at: Bench, stage: str) -> None:
    at.hub.site.ends[ID] = End(stage)
    error = at.failing()
    assert (type(error), error.exit_code, shown(at)) == (SpaceFailed, 1, (False, False))
    assert f"it is {stage}" in error.seen
    assert "Nothing new became visible to others." in error.seen
    assert "--show-unasked" in error.remedy
    assert "public" not in at.folder.joinpath("work", journal.NAME).read_text()
    pushed = at.push(show_unasked=True)
    assert (pushed.answer, shown(at)) == (None, (True, True))


def test_a_stage_that_nobody_knows_is_waited_for_and_told_and_never_restarted(at: Bench) -> None:
    at.hub.site.ends[ID] = End("DREAMING", woken=AWAKE)
    for _ in range(2):
        error = at.failing(space_timeout=60)
        assert (type(error), error.exit_code, shown(at)) == (SpaceLate, 3, (False, False))
        assert "is still DREAMING after 60 seconds, a stage that this version does not know." in error.seen
    assert at.asked("POST", "/restart") == 0
    at.hub.site.ends[ID] = AWAKE
    at.hub.store.repo("spaces", ID).begin_anew()
    assert at.push().answer


@pytest.mark.parametrize("status", [402, 403])
def test_a_space_that_the_hub_does_not_wake_leaves_everything_private(at: Bench, status: int) -> None:
    at.hub.site.ends[ID] = End("PAUSED", woken=AWAKE)
    at.fault("POST", "/restart", action=status, words="Pay first.")
    error = at.failing()
    assert isinstance(error, SpaceFailed)
    assert "Pay first." in error.seen
    assert shown(at) == (False, False)
    assert at.push().answer


def gated(at: Bench) -> dict[str, Any]:
    return {"gated": "auto"}


def without_host(at: Bench) -> dict[str, Any]:
    at.hub.site.hosts[ID] = None
    return {}


def broken(at: Bench) -> dict[str, Any]:
    at.hub.site.ends[ID] = End("RUNTIME_ERROR", ("Traceback",))
    return {}


def endless(at: Bench) -> dict[str, Any]:
    at.hub.site.ends[ID] = End("RUNNING", looks=10**9)
    return {"space_timeout": 60}


@pytest.mark.parametrize("make", [gated, without_host, broken, endless])
def test_the_model_is_never_shown_for_a_space_that_cannot_be_asked(at: Bench, make: Any) -> None:
    options, public = make(at), []
    at.hub.watchers.append(lambda: public.append(any(not repo.private for repo in repos(at))))
    error = at.failing(**options)
    assert error.exit_code == (3 if isinstance(error, SpaceLate) else 1)
    assert not any(public)
    assert "--show-unasked" in error.remedy
    at.hub.watchers.pop()
    assert at.push(**options, show_unasked=True).answer is None
    assert shown(at) == (True, True)


def repos(at: Bench) -> list[Any]:
    return [repo for kind in KINDS.values() if (repo := at.hub.store.repo(kind, ID))]


# The question

HICCUPS = [
    {"action": "reset", "times": 2},
    {"action": 503, "times": 2},
    {"action": 429},
    {"action": "html"},
    {"action": "half"},
]


@pytest.mark.quick_rows(5)
@pytest.mark.parametrize("hiccup", HICCUPS, ids=lambda each: str(each["action"]))
@pytest.mark.parametrize("request_", [("GET", "config"), ("GET", "info"), ("POST", "queue/join")], ids="-".join)
def test_the_question_is_asked_with_patience(at: Bench, request_: tuple[str, str], hiccup: dict[str, Any]) -> None:
    at.fault(request_[0], APP + ".*" + request_[1], **hiccup)
    assert at.push().answer == "Pruned sky."
    assert at.is_complete()


@pytest.mark.parametrize("secret", [False, True], ids=["without a token", "with a token"])
def test_a_space_that_keeps_silent_is_told_and_nothing_stays_visible(at: Bench, secret: bool) -> None:
    if secret:
        at.client.api.create_repo(ID, repo_type="space", space_sdk="gradio", private=True)
        at.client.api.add_space_secret(ID, question.READS_MODELS, at.hub.read_token)
    at.fault("GET", APP, action="reset", times=99)
    error = at.failing()
    assert isinstance(error, SpaceFailed)
    assert "runs but does not answer" in error.seen
    assert ("is private again" in error.seen) == (not secret)
    assert "Nothing new became visible" in error.seen
    assert (shown(at), at.asked("PUT", "/settings")) == ((False, False), 0 if secret else 2)
    at.hub.faults.clear()
    assert at.push().answer
    assert at.is_complete()


def test_ctrl_c_at_the_question_makes_the_model_private_again(at: Bench) -> None:
    def interrupt() -> None:
        if shown(at) == (True, False):
            raise KeyboardInterrupt

    at.at_waits.append(interrupt)
    at.fault("GET", APP, action="reset")
    with pytest.raises(KeyboardInterrupt):
        at.push()
    assert shown(at) == (False, False)
    at.at_waits.clear()
    assert at.push().answer


def test_a_model_that_a_push_left_public_at_the_question_is_hidden_by_the_next(at: Bench) -> None:
    """As after a kill: the journal says that it was shown for a question, and the next push waits for nothing first."""
    at.fault("GET", APP, action="reset", times=99)
    at.fault("PUT", f"/api/models/{ID}/settings", action="reset", after=1, times=99)
    at.failing()
    assert shown(at) == (True, False)
    at.hub.faults.clear()
    at.hub.site.ends[ID] = End("BUILD_ERROR")
    assert "BUILD_ERROR" in at.failing().seen
    assert shown(at) == (False, False)
    at.hub.site.ends.clear()
    assert at.push().answer
    assert at.is_complete()


def test_a_model_that_cannot_be_hidden_again_is_said_to_be_public(at: Bench) -> None:
    at.fault("GET", APP, action="reset", times=99)
    at.fault("PUT", f"/api/models/{ID}/settings", action=403, after=1)
    seen = at.failing().seen
    assert f"{at.hub.url}/{ID} is public and could not be made private again" in seen
    assert f"Visible to others by now: {at.hub.url}/{ID} is public." in seen
    assert "Nothing new became visible" not in seen


# An update

LATE = Phase("RUNNING", 70, "old")


@pytest.mark.parametrize("names", ["new", "none"])
def test_an_update_waits_for_its_own_build_however_late_it_begins(at: Bench, names: Any) -> None:
    update(at)
    old = Phase("RUNNING", 70, "old" if names == "new" else "none")
    building = Phase("RUNNING_BUILDING", 60, "old" if names == "new" else "none")
    at.hub.site.ends[ID] = End("RUNNING", before=(old, building), names=names)
    began = at.now
    assert at.push().answer
    assert at.now - began >= 130


def test_an_update_whose_late_build_fails_is_told_with_its_log(at: Bench) -> None:
    update(at)
    late = (LATE, Phase("RUNNING_BUILDING", 60, "old"))
    at.hub.site.ends[ID] = End("BUILD_ERROR", ("ERROR: no torch",), before=late)
    error = at.failing()
    assert (type(error), shown(at)) == (SpaceFailed, (True, True))
    assert "ERROR: no torch" in error.seen
    assert "shows the new commit" in error.seen


def test_an_old_app_that_goes_on_running_is_never_taken_for_the_new_one(at: Bench) -> None:
    update(at)
    at.hub.site.ends[ID] = End("RUNNING", before=(Phase("RUNNING", 10**9, "old"),))
    questions = at.asked("GET", APP)
    error = at.failing()
    assert isinstance(error, SpaceLate)
    assert "does not say that this is the new commit" in error.seen
    assert at.asked("GET", APP) == questions


def test_where_the_hub_names_no_commit_and_no_build_is_seen_the_space_is_built_anew(at: Bench) -> None:
    update(at)
    at.hub.site.ends[ID] = End("RUNNING", before=(), names="none", woken=End("RUNNING", looks=30, names="none"))
    assert at.push().answer
    assert at.asked("POST", "/restart") == 1


def test_no_app_file_is_believed_only_after_a_while(at: Bench) -> None:
    at.hub.site.ends[ID] = End("RUNNING", before=(Phase("NO_APP_FILE", LONG - 20, "none"), Phase("BUILDING", 20)))
    assert at.push().answer


def test_what_answered_before_is_neither_woken_nor_waited_for(at: Bench) -> None:
    at.push()
    at.hub.site.ends[ID] = End("SLEEPING", before=())
    now = at.now
    assert not at.push().changed
    assert (at.now, at.asked("POST", "/restart")) == (now, 0)


# Waiting is told


def test_a_build_of_half_an_hour_is_told_every_ten_seconds_and_looked_at_seldom(
    at: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    at.hub.site.ends[ID] = End("RUNNING", looks=10**9)
    error = at.failing()
    assert "still BUILDING after 1,800 seconds" in error.seen
    lines = [line for line in capsys.readouterr().err.splitlines() if "BUILDING, " in line]
    assert 120 <= len(lines) <= 181
    assert all("s of at most 1,800 s. Ctrl-C is safe" in line for line in lines)
    assert at.asked("GET", RUNTIME) <= 120
    assert min(wait for wait in at.waits if wait) > 0


def test_space_timeout_is_the_limit(at: Bench) -> None:
    at.hub.site.ends[ID] = End("RUNNING", looks=10**9)
    assert "still BUILDING after 60 seconds" in at.failing(space_timeout=60).seen
    assert at.now == pytest.approx(60)
    at.hub.site.ends[ID] = End("RUNNING", looks=2400)
    assert at.push(space_timeout=3600).answer


@pytest.mark.parametrize("kind", KINDS)
def test_a_hub_that_is_at_work_on_another_repository_is_waited_for_a_minute(at: Bench, kind: str) -> None:
    words = "Cannot create repo: another conflicting operation is in progress"
    conflict = {"action": 409, "words": words, "after": 1 if kind == "model" else 0}
    at.fault("POST", answers.CREATE, times=10**9, **conflict)
    error = at.failing()
    assert isinstance(error, HubFailed)
    assert "for 60 seconds" in error.seen
    assert at.now == pytest.approx(60)
    assert at.asked("POST", answers.CREATE) < 20
    assert min(at.waits) >= 1
    at.hub.faults.clear()
    at.fault("POST", answers.CREATE, times=2, **conflict)
    assert at.push().answer


def test_every_way_to_fail_has_its_exit_code() -> None:
    assert [issubclass(each, ReleaseError) and each.exit_code for each in (SpaceFailed, SpaceLate)] == [1, 3]
