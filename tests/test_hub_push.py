"""A push, step by step, on a Hub that is watched at every request."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from release import hub
from release.errors import ChecksumMismatch, HubFailed, OutputConflict, SpaceFailed
from release.hub import faults, journal
from tests.hub import HubServer
from tests.hub.spaces import End
from tests.pushing import ID, KINDS, Bench, bench, contents, on_hub, tiny_release


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        yield made
        assert not made.early


def edit(at: Bench, text: str = "More.\n", name: str = "model/README.md") -> None:
    path = at.folder / name
    path.write_text(path.read_text() + text)


# Order


def test_the_steps_come_in_their_order(at: Bench) -> None:
    at.push(gated="auto", collection="Pruned", show_unasked=True)
    short = [line.replace(f"/api/models/{ID}", "MODEL").replace(f"/api/spaces/{ID}", "SPACE") for line in at.written()]
    steps = [line for line in short if "lfs" not in line and "LFS" not in line]
    assert [line.rsplit("/", 1)[0] if "/tag/" in line else line for line in steps] == [
        "POST /api/repos/create",
        "POST /api/repos/create",
        "POST MODEL/commit/main",
        "POST SPACE/commit/main",
        "PUT MODEL/settings",
        "PUT MODEL/settings",
        "PUT SPACE/settings",
        "POST MODEL/tag",
        "POST /api/collections",
        *[steps[-1]] * 2,
    ]


def test_a_rerun_after_success_writes_nothing_and_says_so(at: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    first = at.push(collection="Pruned")
    done = at.written()
    again = at.push(collection="Pruned")
    assert [line for line in at.written()[len(done) :] if line != "POST /api/collections"] == []
    assert again.changed is False
    assert first.answer
    assert again.model_copy(update={"changed": True, "answer": first.answer}) == first
    assert "Already published, identical" in capsys.readouterr().err


def test_the_journal_holds_every_step_and_a_torn_line_does_no_harm(at: Bench) -> None:
    at.push()
    path = at.folder / "work" / journal.NAME
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    filled, trial = ["created", "created", "committed", "committed"], ["opened", "shown", "closed"]
    assert steps == [*filled, *trial, "answered", "shown", "tagged"]
    path.write_text(path.read_text() + '{"at": "2026-')
    at.hub.watchers.clear()
    edit(at)
    at.push()
    assert json.loads(path.read_text().splitlines()[-1])["step"] == "tagged"


def test_two_pushes_of_one_folder_take_turns(at: Bench) -> None:
    with journal.opened(at.folder / "work"):
        assert isinstance(at.failing(), OutputConflict)
    assert at.push().changed


# What is uploaded


def test_an_update_is_one_commit_that_also_removes_what_is_gone(at: Bench) -> None:
    at.push()
    (at.folder / "model" / "empty.txt").unlink()
    at.hub.watchers.clear()
    edit(at)
    assert at.push().tag == "v2"
    assert on_hub(at.hub.store, "models") == contents(at.folder / "model")
    assert ".gitattributes" in at.repo().resolve("main").files
    assert (at.commits("models"), at.commits("spaces")) == (2, 1)
    assert sorted(at.repo().tags) == ["v1", "v2"]


def test_nothing_hidden_and_nothing_that_running_left_is_uploaded(at: Bench) -> None:
    at.hub.watchers.clear()
    (at.folder / "model" / ".env").write_text("HF_TOKEN=mine")
    (at.folder / "space" / "__pycache__").mkdir()
    (at.folder / "space" / "__pycache__" / "app.pyc").write_bytes(b"code")
    at.push()
    for kind, present in (("models", "release.json"), ("spaces", "app.py")):
        names = set(on_hub(at.hub.store, kind))
        assert present in names
        assert not [name for name in names if name.startswith((".", "__pycache__"))]


def test_large_files_in_parts_arrive_whole(at: Bench) -> None:
    at.hub.site.part = 2000
    at.fault("PUT", r"/lfs/[0-9a-f]+/\d+$", action="cut", bytes=500, after=2)
    at.push()
    assert at.is_complete()
    assert at.asked("PUT", "/lfs/") == 3 + 1 + 3
    assert at.asked("POST", "/complete") == 2


@pytest.mark.long
def test_by_xet_a_fault_passes_too(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    at.fault("GET", f"/api/models/{ID}/xet-write-token/", action=503)
    at.push()
    assert at.asked("GET", "xet-write-token") > 2
    assert at.asked("PUT", "/lfs/") == 0
    assert at.is_complete()


def test_a_listing_of_many_pages_is_read_whole(at: Bench) -> None:
    at.hub.site.page = 2
    at.push()
    assert at.is_complete()
    assert not at.push().changed


def test_a_release_without_a_space_makes_none(at: Bench) -> None:
    pushed = at.push(space=False)
    assert (pushed.space_url, pushed.space_commit, pushed.space_stage) == (None, None, None)
    assert at.hub.store.repo("spaces", ID) is None


def test_a_card_that_the_hub_refuses_stops_the_upload_before_any_byte(at: Bench) -> None:
    (at.folder / "model" / "README.md").write_text("---\ntags: [1]\n---\n")
    assert '"tags" must be a string or a list of strings' in str(at.failing())
    assert at.asked("POST", "/preupload/") == 0


def test_large_bytes_that_rot_on_the_hub_are_noticed(at: Bench) -> None:
    def spoil() -> None:
        entry = at.repo().resolve("main").files["model.safetensors"]
        at.hub.store.blob(entry.sha256).write_bytes(b"rot")

    at.fault("GET", f"/api/models/{ID}/tree/", action=spoil, after=1)
    error = at.failing()
    assert isinstance(error, ChecksumMismatch)
    assert "model.safetensors has another digest" in str(error)
    assert "Nothing new became visible" in str(error)
    assert at.asked("POST", f"/api/spaces/{ID}/commit/") == 0


# Who may see it


def test_a_private_release_stays_private(at: Bench) -> None:
    assert at.push(private=True, collection="Mine").changed
    assert at.repo().private
    assert at.repo("spaces").private
    assert not at.push(private=True).changed


def test_what_shall_be_private_never_goes_into_a_public_repository(at: Bench) -> None:
    at.push()
    edit(at, "Secret.\n")
    at.hub.watchers.clear()
    assert isinstance(at.failing(private=True), OutputConflict)
    assert at.commits("models") == 1


@pytest.mark.parametrize("gated", ["auto", "manual"])
def test_the_gate_is_closed_before_the_model_is_shown(at: Bench, gated: str) -> None:
    def watch() -> None:
        repo = at.hub.store.repo("models", ID)
        if repo and not repo.private and repo.gated != gated:
            at.early.append("public before it was gated")

    at.hub.watchers.append(watch)
    at.push(gated=gated, show_unasked=True)
    assert (at.repo().gated, at.repo("spaces").gated) == (gated, False)


def test_a_failure_says_what_became_visible(at: Bench) -> None:
    at.fault("PUT", f"/api/spaces/{ID}/settings", action=403)
    assert f"Visible to others by now: {at.hub.url}/{ID} is public." in str(at.failing())
    at.hub.watchers.clear()
    edit(at)
    edit(at, "print(2)\n", "space/app.py")
    at.fault("POST", f"/api/spaces/{ID}/commit/", action=403)
    assert "which was public before, shows the new commit" in str(at.failing())


def test_a_model_that_is_no_release_is_not_replaced(at: Bench) -> None:
    repo = at.hub.store.create("models", ID, False, None)
    theirs = {"model.safetensors": at.hub.store.keep([b"theirs"], lfs=True)}
    repo.branches["main"] = repo.record(repo.branches["main"], "theirs", "", theirs)
    repo.save()
    at.hub.watchers.clear()
    assert isinstance(at.failing(), OutputConflict)
    assert on_hub(at.hub.store, "models") == {"model.safetensors": b"theirs"}


# What the Hub refuses


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("", None)],
)
def test_the_hub_may_state_a_wait_in_seconds_or_as_a_date(stated: str, seconds: float | None) -> None:
    assert faults.stated_seconds(stated) == seconds


SAID = {
    400: "does not accept what was sent",
    401: "missing or not yours to see",
    402: "asks for money",
    403: "may not write",
    404: "gone",
    409: "in conflict",
    413: "too large",
    418: "answered 418",
}


@pytest.mark.parametrize("status", SAID)
def test_every_refusal_has_its_own_words_and_a_remedy(at: Bench, status: int) -> None:
    at.fault("POST", f"/api/models/{ID}/commit/", action=status, words="Because\x1b[31m hf_abcdefghijkl.", times=9)
    error = at.failing()
    assert isinstance(error, HubFailed)
    assert SAID[status] in error.seen
    assert "It says: Because [31m hf_…." in error.seen
    assert error.remedy
    assert at.commits("models") == 0


def test_the_hub_is_given_the_time_it_asks_for_and_no_more_than_that(at: Bench) -> None:
    at.fault("GET", f"/api/models/{ID}$", action=429, headers={"Retry-After": "7"})
    at.fault("POST", "/api/repos/create", action=429, headers={"RateLimit": '"api";r=0;t=9'})
    at.fault("PUT", f"/api/models/{ID}/settings", action=429, headers={"Retry-After": "3600"})
    assert "slow down" in str(at.failing())
    assert [wait for wait in at.waits if wait not in (0, at.client.poll)] == [7, 9]


def test_a_free_account_learns_its_ways_out_before_anything_is_made(at: Bench) -> None:
    at.hub.site.free = True
    error = at.failing()
    for way in ("--space-hardware zero-a10g", "paid plan", "--no-space"):
        assert way in str(error)
    assert at.asked("POST", "/preupload/") == 0
    assert at.hub.store.repo("models", ID) is None
    assert at.push(space_hardware="zero-a10g").changed
    assert at.repo("spaces").hardware == "zero-a10g"


def test_a_space_that_is_there_gets_the_hardware_that_is_wished_for(at: Bench) -> None:
    at.push()
    assert at.survey().hardware == "cpu-basic"
    assert at.push(space_hardware="t4-small").changed
    assert at.repo("spaces").hardware == at.survey().hardware == "t4-small"
    assert not at.push(space_hardware="t4-small").changed


def test_names_are_taken_before_any_work_and_taking_them_again_does_nothing(at: Bench) -> None:
    for _ in range(2):
        hub.claim(at.upload, hub.PublishOptions(), at.client)
    assert at.asked("POST", "/api/repos/create") == 2
    assert at.repo().private
    assert at.repo("spaces").private


# Somebody else


def test_two_pushes_at_once_give_one_commit_and_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Bench
) -> None:
    """Both stand before the commit when either is sent; the Hub lets one in, and the other is told of it."""
    other = Bench(at.hub, tiny_release(tmp_path / "other"))
    (other.folder / "model" / "config.json").write_text('{"model_type": "other"}')
    other.folder.joinpath("model", "model.safetensors").write_bytes(b"other" * 2000)
    at.hub.watchers.clear()
    hub.claim(at.upload, hub.PublishOptions(), at.client)
    both = threading.Barrier(2, timeout=20)
    at.fault("POST", f"/api/models/{ID}/commit/", action=both.wait, times=2)
    told: dict[str, str] = {}

    def push(name: str, one: Bench) -> None:
        told[name] = one.outcome(space=False)

    threads = [threading.Thread(target=push, args=pair) for pair in {"at": at, "other": other}.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner, loser = sorted(told, key=lambda name: bool(told[name]))
    assert not told[winner]
    assert "Somebody else committed to model ada/tiny in between" in told[loser]
    assert "by ada" in told[loser]
    assert "--pr" in told[loser]
    assert at.commits("models") == 1
    folder = {"at": at, "other": other}[winner].folder / "model"
    assert on_hub(at.hub.store, "models") == contents(folder)


def test_a_commit_that_arrives_late_is_not_sent_twice(at: Bench) -> None:
    """The connection breaks, the branch still stands, and then the commit arrives after all."""
    at.fault("POST", f"/api/models/{ID}/commit/", action="lost")
    repo_before: list[str] = []

    def hold_back() -> None:
        """Turn the branch back, as if the commit were still on its way."""
        repo = at.repo()
        repo_before.append(repo.branches["main"])
        repo.branches["main"] = str(repo.resolve("main").parent)
        repo.save()

    def arrive() -> None:
        repo = at.repo()
        repo.branches["main"] = repo_before[0]
        repo.save()

    at.fault("GET", f"/api/models/{ID}/revision/main", action=hold_back)
    at.fault("POST", f"/api/models/{ID}/commit/", action=arrive)
    assert at.push().model_commit == repo_before[0]
    assert at.is_complete()


# Only proposed


def test_a_pull_request_proposes_both_and_shows_nothing(at: Bench) -> None:
    pushed = at.push(pull_request=True)
    assert pushed.pull_requests == (
        f"{at.hub.url}/{ID}/discussions/1",
        f"{at.hub.url}/spaces/{ID}/discussions/1",
    )
    assert at.repo().private
    assert (at.commits("models"), at.commits("spaces"), pushed.tag) == (0, 0, None)
    assert on_hub(at.hub.store, "models", "refs/pr/1") == contents(at.folder / "model")
    assert not at.push(pull_request=True).changed
    for kind in KINDS:
        at.client.api.merge_pull_request(ID, 1, repo_type=kind)
    assert at.push().changed
    assert at.is_complete()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_request_whose_answer_is_lost_is_not_made_twice(at: Bench, kind: str) -> None:
    at.fault("POST", f"/api/{KINDS[kind]}/{ID}/commit/", action="lost")
    assert len(at.push(pull_request=True).pull_requests) == 2
    assert [len(at.repo(kinds).pulls) for kinds in KINDS.values()] == [1, 1]


def test_a_branch_is_made_filled_and_shows_nothing(at: Bench) -> None:
    pushed = at.push(revision="second")
    assert on_hub(at.hub.store, "models", "second") == contents(at.folder / "model")
    assert (at.commits("models"), pushed.space_url, pushed.tag) == (0, None, None)
    assert at.repo().private
    assert not at.push(revision="second").changed


# Found again


def test_a_collection_is_made_once_by_its_title_and_found_by_its_slug(at: Bench) -> None:
    pushed = at.push(collection="Pruned models")
    slug = str(pushed.collection).split("/collections/")[1]
    held = at.client.api.get_collection(slug)
    assert [(item.item_type, item.item_id) for item in held.items] == [("model", ID), ("space", ID)]
    assert at.push(collection=slug).collection == pushed.collection
    assert at.push(collection="Pruned models").collection == pushed.collection
    assert len(at.client.api.get_collection(slug).items) == 2


# The Space

BROKEN = [
    (End("BUILD_ERROR", ("pip install", "ERROR: no torch==9.9 hf_abcdefghijkl")), "ERROR: no torch==9.9 hf_…"),
    (End("RUNTIME_ERROR", ("Traceback", "KeyError: 'x'")), "KeyError: 'x'"),
    (End("CONFIG_ERROR"), "(empty)"),
]


@pytest.mark.parametrize(("end", "words"), BROKEN, ids=lambda each: getattr(each, "stage", ""))
def test_a_space_that_does_not_run_shows_its_log_and_keeps_all_private(at: Bench, end: End, words: str) -> None:
    at.hub.site.ends[ID] = end
    error = at.failing()
    assert isinstance(error, SpaceFailed)
    assert end.stage in error.seen
    assert words in error.seen
    assert "--no-space" in error.remedy
    assert at.repo().private
    at.hub.site.ends.clear()
    assert at.push().changed
    assert at.is_complete()


def test_a_space_without_its_app_is_noticed(at: Bench) -> None:
    (at.folder / "space" / "app.py").rename(at.folder / "space" / "main.py")
    assert "NO_APP_FILE" in str(at.failing())


def test_a_space_that_never_comes_to_rest_is_waited_for_again_later(at: Bench) -> None:
    at.hub.site.ends[ID] = End("RUNNING", looks=10**9)
    assert "still BUILDING after 1,800 seconds" in str(at.failing())
    at.hub.site.ends.clear()
    assert at.push().changed


# Secrets


@pytest.mark.parametrize(("level", "words"), [("DEBUG", "No."), ("INFO", f"You sent {HubServer.token}")])
def test_a_token_stands_nowhere(
    at: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], level: str, words: str
) -> None:
    """Not on the screen, and, as every test here checks, not in a log, a whole traceback, or a file that is left.

    The second time the Hub quotes it.
    """
    caplog.set_level(level)
    for method, path, times in (
        ("POST", "/api/repos/create", 1),
        ("PUT", "/lfs/", 3),
        ("POST", "/commit/", 1),
        ("PUT", "/models/.*/settings", 1),
    ):
        at.fault(method, path, action=403, words=words, times=times)
        at.failing()
    at.fault("PUT", f"/api/spaces/{ID}/settings", action="reset", times=9)
    at.failing()
    at.hub.faults.clear()
    at.push()
    shown = capfd.readouterr()
    assert at.hub.token not in shown.out + shown.err
