"""What names a release: a collection that is there and one's own, a tag of this commit, a resource group."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import BadOption, HubFailed
from tests.pushing import ID, Bench, bench

NO_COLLECTION = {
    "no such slug": ("ada/none-0123456789", "no collection ada/none-0123456789"),
    "somebody else's": ("vera/theirs-0123456789", "not yours: it belongs to vera"),
    "a title too long": ("x" * 61, "1 to 60"),
    "a title of blanks": ("   ", "1 to 60"),
    "no title": ("", "1 to 60"),
}


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        yield made
        assert not made.early


@pytest.mark.parametrize("kind", NO_COLLECTION)
def test_a_collection_that_cannot_be_is_known_before_anything_is_made(at: Bench, kind: str) -> None:
    wanted, words = NO_COLLECTION[kind]
    error = at.failing(collection=wanted)
    assert (isinstance(error, BadOption), words in str(error)) == (True, True), str(error)
    assert at.hub.store.repo("models", ID) is None
    assert not at.written()
    assert at.push(collection="Pruned models").collection  # the remedy


def test_a_collection_that_leads_on_to_another_is_not_taken_for_it(at: Bench) -> None:
    slug = at.line.api.create_collection("Pruned models", namespace="ada").slug
    renamed = slug.replace("pruned", "dense")
    answer = {"slug": renamed, "title": "Dense", "owner": {"name": "ada"}, "items": []}
    answer |= {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 1, "private": False, "theme": "", "upvotes": 0}
    at.fault("GET", "/api/collections/ada/", action=200, body=json.dumps(answer))
    error = at.failing(collection=slug)
    assert (isinstance(error, BadOption), f"leads on to {renamed}" in str(error)) == (True, True), str(error)
    assert at.hub.store.repo("models", ID) is None


def tagged_by_others(at: Bench, name: str) -> None:
    repo = at.repo()
    repo.tags[name] = str(repo.resolve("main").parent)
    repo.save()


def test_a_tag_that_others_take_meanwhile_is_left_to_them_and_the_next_is_taken(at: Bench) -> None:
    at.fault("POST", "/tag/", action=lambda: tagged_by_others(at, "v1"))
    assert at.push().tag == "v2"
    repo = at.repo()
    assert repo.tags["v2"] == repo.branches["main"] != repo.tags["v1"]


def test_a_tag_without_effect_is_said_and_the_files_stay(at: Bench) -> None:
    at.fault("POST", "/tag/", action=200, body="{}", times=99)
    error = at.failing()
    assert (isinstance(error, HubFailed), "No tag could be set" in str(error)) == (True, True)
    at.hub.faults.clear()
    assert at.push().tag == "v1"
    assert at.is_complete()
