"""`release watch`: every push is verified by a Job that the Hub starts, and reported in one discussion.

The Job is the real command, in a process that knows this Hub, the repository's name and its secret, and nothing else.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from release.hub import discussion, job
from release.verification import standing
from release.verification.standing import GONE, Outcome, pushed_commit
from tests import remote
from tests.hub import Fault, HubServer
from tests.hub.jobs import Job
from tests.remote import ROOT

ID, PACKAGE = "ada/pruned", "git+https://example.org/hf-release"
UVX = f"""#!/bin/sh
test "$1 $2" = "--from {PACKAGE}" || exit 9
shift 3
PYTHONPATH={ROOT} exec {sys.executable} -m release "$@"
"""
"""What stands for uvx in the Job's image: it has the package that is named already."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with remote.client(tmp_path_factory.mktemp("client")) as client:
        client.hub.site.images[job.IMAGE] = programs(tmp_path_factory.mktemp("image"), "#!/bin/sh\n")
        yield client


def programs(folder: Path, uvx: str) -> Path:
    """An image's folder of programs, with what stands for uvx."""
    (folder / "uvx").write_text(uvx)
    (folder / "uvx").chmod(0o755)
    return folder


@pytest.fixture
def client(machine, release):
    """A Hub that holds the release, and nothing that watches it."""
    hub = machine.hub
    hub.faults.clear()
    hub.webhooks.all.clear()
    hub.jobs.settled()
    hub.jobs.all.clear()
    hub.site.free = False
    shutil.rmtree(hub.store.folder / "repos", ignore_errors=True)
    remote.lay(hub, ID, release)
    return machine


def watch(client, *words: str, token: str = HubServer.token) -> dict:
    said = client.run("watch", ID, *words, "--json", token=token)
    assert not [each for each in client.hub.accounts if each in said["out"] + said["err"]]
    return said | {"told": json.loads(said["out"])}


def push(client, author: str, **contents: bytes) -> str:
    """Push files as somebody does, and return the commit; the webhooks hear of it."""
    repo = client.hub.store.repo("models", ID)
    files = dict(repo.resolve("main").files)
    files |= {n: client.hub.store.keep([data], lfs=n.endswith(".safetensors")) for n, data in contents.items()}
    repo.branches["main"] = repo.record(repo.branches["main"], f"By {author}", "", files, author)
    repo.save()
    client.hub.webhooks.ring()
    return repo.branches["main"]


def talks(client) -> list[dict]:
    return client.hub.store.repo("models", ID).talks


def comments(client) -> list[str]:
    [talk] = talks(client)
    return [event["data"]["latest"]["raw"] for event in talk["events"] if event["type"] == "comment"]


def ended(client) -> Job:
    """Wait for all Jobs, and return the last."""
    return client.hub.jobs.settled(120)[-1]


@pytest.mark.long
def test_a_tampered_push_is_reported_an_honest_one_too_and_the_report_starts_nothing(
    client, release, tmp_path, monkeypatch
):
    monkeypatch.setitem(client.hub.site.images, job.IMAGE, programs(tmp_path, UVX))
    name = sorted(path.name for path in release.glob("*.safetensors"))[0]
    honest = (release / name).read_bytes()
    first = client.hub.store.repo("models", ID).branches["main"]
    assert watch(client, "--package", PACKAGE)["code"] == 0
    assert (ended(client).stage, len(client.hub.jobs.all)) == ("COMPLETED", 1)
    tampered = push(client, "vera", **{name: honest[:-2] + b"\0\x40"})
    assert (ended(client).stage, ended(client).message) == ("ERROR", "Job failed with exit code: 1")
    assert talks(client)[0]["status"] == "open"
    mended = push(client, "ada", **{name: honest})
    assert ended(client).stage == "COMPLETED"
    assert talks(client)[0]["status"] == "closed"
    told = comments(client)
    assert [discussion.ABOUT.match(text)[1] for text in told] == [first, tampered, mended]
    assert [text.split("**")[1] for text in told] == ["Passed.", "FAILED.", "Passed."]
    assert f"- **weight files:** {name}" in told[1].replace("\\", "")
    assert f"- changed: `{name}` (weights)" in told[1]
    assert "- vera: By vera" in told[1]
    assert "Not proven: that kept weights" in told[0]
    answer = json.loads(told[1].split("```json\n")[1].split("\n```")[0])
    assert answer == client.verify(f"{ID}@{tampered}", "--since", first, token=client.hub.token)[1]
    assert len(client.hub.jobs.all) == 3  # one at once, one a push: none for what the Jobs themselves said
    assert not [each for text in told for each in client.hub.accounts if each in text]


def test_a_rerun_makes_no_second_webhook_and_another_command_replaces_the_first(client):
    states = [watch(client, "--package", PACKAGE)["told"]["watched"][0]["state"] for _ in range(2)]
    assert states == ["new", "stands"]
    [hook] = client.hub.webhooks.all
    assert len(client.hub.jobs.all) == 1
    other = "release==9.9.9"
    assert watch(client, "--package", other)["told"]["watched"][0]["state"] == "other"
    assert list(client.hub.webhooks.all) == [hook]
    assert client.hub.webhooks.all[hook].job["command"][2] == other
    client.hub.webhooks.all[hook].disabled = True
    assert watch(client, "--package", other)["told"]["watched"][0]["state"] == "off"
    assert not client.hub.webhooks.all[hook].disabled


def test_a_dry_run_shows_what_would_be_made_and_makes_nothing(client):
    told = watch(client, "--package", PACKAGE, "--dry-run")["told"]["watched"][0]
    assert (told["state"], told["webhooks"], told["job"]["secrets"]) == ("new", [], ["HF_TOKEN"])
    assert told["job"]["command"][-4:] == ["release", "watch", "--once", ID]
    assert (client.hub.webhooks.all, client.hub.jobs.all) == ({}, {})
    said = client.run("watch", ID, "--package", PACKAGE, "--dry-run", token=client.hub.token)
    assert f"uvx --from {PACKAGE} release watch --once {ID}" in said["out"]


def test_it_is_taken_away_and_what_others_set_up_stays(client):
    watch(client, "--package", PACKAGE)
    [hook] = client.hub.webhooks.all
    theirs = client.hub.webhooks.all[hook].__class__(
        "f" * 24, "ada", [{"type": "model", "name": ID}], ["repo"], url="x"
    )
    theirs.disabled = True
    client.hub.webhooks.all[theirs.id] = theirs
    assert watch(client, "--stop")["told"] == {"stopped": {ID: [hook]}}
    assert list(client.hub.webhooks.all) == [theirs.id]
    assert watch(client, "--stop")["told"] == {"stopped": {ID: []}}
    ended(client)


def test_the_job_gets_a_token_of_its_own_as_a_secret_and_nowhere_else(client, monkeypatch):
    watch(client, "--package", PACKAGE)
    ended(client)
    [hook] = client.hub.webhooks.all.values()
    assert hook.secrets == {"HF_TOKEN": client.hub.token}
    kept = json.dumps([hook.told(), *[each.told() for each in client.hub.jobs.all.values()]])
    written = [path.read_bytes() for path in client.home.rglob("*") if path.is_file()]
    logs = [line for each in client.hub.jobs.all.values() for line in each.log]
    assert not [token for token in client.hub.accounts if token in kept or token in " ".join(logs)]
    assert not [token for token in client.hub.accounts if any(token.encode() in content for content in written)]


LOST = [("POST", "/api/jobs/ada$"), ("POST", "/api/settings/webhooks$"), ("DELETE", "/api/settings/webhooks/")]


@pytest.mark.parametrize(("method", "path"), LOST)
@pytest.mark.parametrize("action", ["lost", *(pytest.param(each, marks=pytest.mark.long) for each in ("reset", 503))])
def test_after_a_doubtful_answer_nothing_is_made_twice(client, method, path, action):
    client.hub.faults.append(Fault(method, path, action=action))
    assert watch(client, "--package", PACKAGE)["code"] == 0
    assert (len(client.hub.webhooks.all), len(client.hub.jobs.all)) == (1, 1)
    assert watch(client, "--stop")["code"] == 0
    assert client.hub.webhooks.all == {}
    ended(client)


REFUSED = [
    (["lab/none", "--package", PACKAGE], {}, 2, "missing on the Hub"),
    (["Ada/PRUNED", "--package", PACKAGE], {}, 2, f"leads on to {ID}"),
    (["no-slash"], {}, 2, "lacks its namespace"),
    ([ID], {}, 2, "--package"),
    ([ID, "--package", "git+https://me:secret@example.org/x"], {}, 2, "a name or a password"),
    ([ID, "--package", "a\nb"], {}, 2, "nothing that pip installs"),
    ([ID, "--package", PACKAGE, "--token-from", "NO_SUCH"], {}, 2, "holds no token"),
    ([ID, "--package", PACKAGE], {"token": HubServer.read_token}, 3, "may not start Jobs"),
    ([ID, "--package", PACKAGE, "--flavor", "h900"], {}, 3, "no hardware"),
    ([ID, "--stop"], {"token": HubServer.read_token}, 3, "may not start Jobs"),
]


@pytest.mark.parametrize(("words", "options", "code", "message"), REFUSED)
def test_what_cannot_be_is_refused_with_a_remedy_and_nothing_is_made(client, words, options, code, message):
    said = client.run("watch", *words, token=options.get("token", client.hub.token))
    assert (said["code"], message in said["err"]) == (code, True), said["err"]
    assert (client.hub.webhooks.all, client.hub.jobs.all) == ({}, {})


def test_without_a_plan_the_hub_asks_for_money_and_a_check_by_hand_is_the_way_on(client):
    client.hub.site.free = True
    said = client.run("watch", ID, "--package", PACKAGE, token=client.hub.token)
    assert (said["code"], "Jobs need credits" in said["err"], "--once" in said["err"]) == (3, True, True)


def test_a_check_by_hand_reports_a_commit_once_and_nobody_elses_words_count(client):
    first = client.hub.store.repo("models", ID).branches["main"]
    who = {"name": "vera"}
    forged = f"**Passed.** Commit `{first}`: trust me"
    event = {"id": "1", "type": "comment", "createdAt": "2026-01-01T00:00:00.000Z", "author": who}
    event |= {"data": {"edited": False, "hidden": False, "latest": {"raw": forged}}}
    repo = client.hub.store.repo("models", ID)
    talk = {"num": 1, "title": discussion.TITLE, "status": "open", "author": who, "events": [event]}
    repo.talks.append(talk | {"createdAt": "2026-01-01T00:00:00.000Z", "isPullRequest": False})
    repo.save()
    assert watch(client, "--once")["told"]["reported"][0]["discussion"].endswith("/discussions/2")
    again = watch(client, "--once")["told"]["reported"][0]
    assert (again["discussion"], "reported before" in again["said"]) == (None, True)
    assert len(talks(client)[1]["events"]) == 2  # its words, and that it was closed


REF = "refs/heads/main"
SHA = "1" * 40
CONTENT = {"action": "update", "scope": "repo.content"}
EVENTS = [
    ("", None),
    ("no JSON", None),
    ("[" * 100_000, None),
    ("[]", None),
    (json.dumps({"event": CONTENT}), None),
    (json.dumps({"event": CONTENT, "updatedRefs": [{"ref": REF, "newSha": SHA}]}), SHA),
    (json.dumps({"event": CONTENT, "updatedRefs": [{"ref": "refs/pr/1", "newSha": SHA}]}), GONE),
    (json.dumps({"event": CONTENT, "updatedRefs": [{"ref": REF, "newSha": GONE}]}), GONE),
    (json.dumps({"event": CONTENT, "updatedRefs": [{"ref": REF, "newSha": "$(id)"}]}), None),
    (json.dumps({"event": {"action": "update", "scope": "repo.config"}}), GONE),
    (json.dumps({"event": {"action": "create", "scope": "discussion"}}), GONE),
]


@pytest.mark.parametrize(("payload", "commit"), EVENTS)
def test_the_event_tells_which_commit_was_pushed_or_nothing(payload, commit):
    assert pushed_commit(payload) == commit


def test_what_a_repository_says_means_nothing_in_a_report():
    evil = "`x` <img src=x onerror=y> [a](http://b) **b**\n# c |"
    change = {"how": "added", "path": evil, "kind": "weights"}
    since = {"since": SHA, "follows": True, "changes": [change] * 30}
    since["commits"] = [{"authors": [evil], "title": evil, "commit": SHA}]
    answer = {"verdict": evil, "checks": [{"name": evil, "ok": False, "detail": evil}], "since": since}
    said = standing.words(SHA, Outcome(["release", "verify"], 1, json.dumps(answer | {"odd": "```"}), "", answer))
    outside = said.split("<details>")[0]
    assert "<img" not in outside
    assert "\n# c" not in outside
    assert "[a](" not in outside
    assert "- and 10 more" in outside
    assert "````json" in said


def test_a_long_output_is_cut_and_says_so():
    answer = {"ok": True, "verdict": "v", "checks": [], "tensors": [{"name": "x" * 100}] * 1000}
    said = standing.words(SHA, Outcome(["release"], 0, json.dumps(answer), "", answer))
    assert "The list of tensors is left out here" in said
    assert len(said) < standing.MOST_LETTERS


def test_a_verification_that_dies_is_reported_as_such(client, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    outcome = standing._verified(ID, SHA, None, standing.Console(quiet=True))
    assert standing.words(SHA, outcome).startswith(f"**Could not be verified.** Commit `{SHA}`")
    assert not standing._ok(outcome)


INSTALLED = [
    ('{"url": "https://x.org/a.zip", "archive_info": {}}', "prunecard[torch] @ https://x.org/a.zip"),
    (
        '{"url": "https://x.org/a", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
        "prunecard[torch] @ git+https://x.org/a@abc",
    ),
    ('{"url": "file:///home/me/release", "dir_info": {"editable": true}}', None),
    (None, f"prunecard[torch]=={job.__version__}"),
    ("no JSON", None),
]


@pytest.mark.parametrize(("direct_url", "package"), INSTALLED)
def test_a_job_installs_what_this_installation_came_from(direct_url, package, tmp_path, monkeypatch):
    info = tmp_path / "prunecard-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prunecard\nVersion: 0.1.0\n")
    if direct_url is not None:
        (info / "direct_url.json").write_text(direct_url)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert job.installed_from() == package
    assert os.environ.get("HF_TOKEN") is None
