"""A published card names the tag under which it stands, and stands under it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import OFF, Command, at_a_hub, commands
from tests.hub import Fault, HubServer
from tests.pushing import on_hub

NAME = "llama-random-s30"
ID = f"ada/{NAME}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with at_a_hub(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def publish(hub: HubServer, capsys: pytest.CaptureFixture[str], llama: Path) -> Command:
    words = ["publish", str(llama), "--method", "random", "--sparsity", "0.3", "--no-space", *OFF]
    release = commands(hub, capsys)
    return lambda *more, code=0: release(*words, *more, code=code)


@pytest.fixture
def push(hub: HubServer, capsys: pytest.CaptureFixture[str], publish: Command) -> Command:
    publish()
    release = commands(hub, capsys)
    return lambda *more, code=0: release("push", f"releases/{NAME}", "--no-space", *more, code=code)


def tags_of(hub: HubServer) -> dict[str, str]:
    repo = hub.store.repo("models", ID)
    return dict(repo.tags) if repo else {}


def says(hub: HubServer, revision: str) -> set[str]:
    """The revisions that the card which stands somewhere is loaded by."""
    return set(re.findall(r'revision="([^"]*)"', on_hub(hub.store, "models", revision, ID)["README.md"].decode()))


def give_away(hub: HubServer, tag: str) -> None:
    repo = hub.store.repo("models", ID)
    assert repo is not None
    repo.tags[tag] = repo.tags["v1"]
    repo.save()


def test_every_version_names_its_own_tag(hub: HubServer, push: Command) -> None:
    assert (says(hub, "v1"), set(tags_of(hub))) == ({"v1"}, {"v1"})
    local = Path(f"releases/{NAME}/model/README.md").read_text(encoding="utf-8")
    before = tags_of(hub)
    assert not push()["changed"]
    assert (tags_of(hub), Path(f"releases/{NAME}/model/README.md").read_text(encoding="utf-8")) == (before, local)
    planned = push("--contact", "https://example.org/harm", "--dry-run")["repos"][0]["card_diff"]
    assert re.search(r'^\+.*revision="v2"', planned, re.MULTILINE)
    assert push("--contact", "https://example.org/harm")["tag"] == "v2"
    assert (says(hub, "v1"), says(hub, "v2"), says(hub, "main")) == ({"v1"}, {"v2"}, {"v2"})
    assert not push()["changed"]


def test_a_tag_that_was_taken_by_hand_stops_a_push_and_the_next_names_another(hub: HubServer, push: Command) -> None:
    hub.faults.append(Fault("POST", f"/api/models/{ID}/commit/", action=lambda: give_away(hub, "v2")))
    failed = push("--contact", "https://example.org/harm", code=3)
    assert "The card" in failed["error"]
    assert "somebody gave that tag to" in failed["error"]
    assert push()["tag"] == "v3"
    assert (says(hub, "v3"), says(hub, "main")) == ({"v3"}, {"v3"})


def test_a_push_that_ended_before_its_tag_goes_on_to_the_tag_that_its_card_names(hub: HubServer, push: Command) -> None:
    hub.faults.append(Fault("POST", f"/api/models/{ID}/tag/", action=400, times=1))
    push("--contact", "https://example.org/harm", code=3)
    assert (says(hub, "main"), set(tags_of(hub))) == ({"v2"}, {"v1"})
    assert push()["tag"] == "v2"


def test_what_is_only_proposed_names_no_tag(hub: HubServer, push: Command) -> None:
    push("--contact", "https://example.org/harm", "--pr")
    assert (says(hub, "refs/pr/1"), set(tags_of(hub))) == (set(), {"v1"})
