"""What is said equals what others see: a public release is updated, and the answer to the commit leaves doubt."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.errors import BadOption, HubFailed
from tests.pushing import ID, Bench, bench, contents, on_hub

COMMIT = f"/api/models/{ID}/commit/"
NOTHING = "Nothing new became visible to others."
SHOWN = "which was public before, shows the new commit"
UNSEEN = "It could not be seen from here whether"
ANSWERS: dict[str, dict[str, Any]] = {
    **{str(status): {"action": status} for status in (401, 403, 408, 409, 412, 500, 503, 520, 521, 522, 524)},
    "a page": {"action": "html"},
    "an empty object": {"action": 200, "body": "{}"},
    "a login elsewhere": {"action": 302, "body": "", "headers": {"Location": "/login"}},
}
QUICK = ("409", "524", "a page", "an empty object")


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    """A public release whose card was changed here."""
    with bench(tmp_path, monkeypatch, caplog) as made:
        made.push()
        made.hub.watchers.clear()
        card = made.folder / "model" / "README.md"
        card.write_text(card.read_text() + "More.\n")
        yield made


def is_shown(at: Bench) -> bool:
    return on_hub(at.hub.store, "models") == contents(at.folder / "model")


def somebody_commits(at: Bench) -> None:
    repo = at.repo()
    files = {**repo.resolve("main").files, "LICENSE": at.hub.store.keep([b"theirs"])}
    repo.branches["main"] = repo.record(repo.branches["main"], "A licence", "", files, "vera")
    repo.save()


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("times", [1, pytest.param(9, marks=pytest.mark.long)], ids=["once", "for good"])
@pytest.mark.parametrize(
    "answer", [each if each in QUICK else pytest.param(each, marks=pytest.mark.long) for each in ANSWERS]
)
def test_after_every_doubtful_answer_what_is_said_is_what_is_visible(
    public: Bench, answer: str, times: int, carried_out: bool
) -> None:
    public.fault("POST", COMMIT, **ANSWERS[answer], carried_out=carried_out, times=times)
    said = public.outcome()
    assert is_shown(public) == (not said)
    assert carried_out <= is_shown(public)
    assert (NOTHING in said) == (not is_shown(public))
    assert public.commits("models") == 1 + is_shown(public)
    public.hub.faults.clear()
    assert public.push().changed == bool(said)
    assert public.is_complete(2)


@pytest.mark.parametrize("carried_out", [True, False])
def test_where_the_branch_cannot_be_looked_at_that_is_said(public: Bench, carried_out: bool) -> None:
    public.fault("POST", COMMIT, action=524, carried_out=carried_out)
    public.fault("GET", f"/api/models/{ID}/revision/main", action=503, times=99)
    said = public.outcome()
    assert UNSEEN in said
    assert SHOWN in said
    assert NOTHING not in said


def test_a_release_under_a_commit_of_somebody_elses_is_said_to_be_visible(public: Bench) -> None:
    public.fault("POST", COMMIT, action=524, carried_out=True)
    public.fault("GET", f"/api/models/{ID}/revision/main", action=lambda: somebody_commits(public))
    said = public.outcome()
    assert "somebody else committed after it" in said
    assert "'A licence' by vera" in said
    assert SHOWN in said


def test_a_tag_that_somebody_gave_meanwhile_is_not_taken_for_ours(public: Bench) -> None:
    def take() -> None:
        repo = public.repo()
        repo.tags["v2"] = repo.tags["v1"]
        repo.save()

    public.fault("POST", f"/api/models/{ID}/tag/", action=take)
    pushed = public.push()
    assert pushed.tag == "v3"
    assert public.repo().tags["v3"] == pushed.model_commit


def test_a_tag_that_is_never_set_is_said(public: Bench) -> None:
    public.fault("POST", f"/api/models/{ID}/tag/", action=200, body="{}", times=9)
    error = public.failing()
    assert isinstance(error, HubFailed)
    assert "No tag could be set" in error.seen
    assert SHOWN in error.seen
    public.hub.faults.clear()
    assert public.push().tag == "v2"


@pytest.mark.parametrize(
    ("collection", "words"),
    [
        ("ada/gone-0123456789abcdef", "There is no collection"),
        ("vera/hers-0123456789abcdef", "is not yours: it belongs to vera"),
        ("x" * 61, "has 61 characters"),
        (" ", "has 0 characters"),
        ("", "has 0 characters"),
    ],
)
def test_a_collection_is_checked_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, collection: str, words: str
) -> None:
    with bench(tmp_path, monkeypatch, caplog) as at:
        with pytest.raises(BadOption, match=words):
            at.survey(collection=collection)
        error = at.failing(collection=collection)
        assert isinstance(error, BadOption)
        assert words in error.seen
        assert at.written() == []
        assert at.hub.store.repo("models", ID) is None
        assert at.push(collection="Pruned models").collection


def test_a_collection_that_leads_on_to_another_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with bench(tmp_path, monkeypatch, caplog) as at:
        slug = at.client.api.create_collection("Pruned models", namespace="ada").slug
        renamed = slug.replace("pruned", "dense")
        answer = {"slug": renamed, "title": "Dense", "owner": {"name": "ada"}, "items": [], "theme": "", "upvotes": 0}
        answer |= {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 1, "private": False}
        at.fault("GET", "/api/collections/ada/", action=200, body=json.dumps(answer))
        error = at.failing(collection=slug)
        assert isinstance(error, BadOption)
        assert f"leads on to {renamed}" in error.seen
        assert at.hub.store.repo("models", ID) is None


def test_an_organisation_that_demands_a_resource_group_is_given_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with bench(tmp_path, monkeypatch, caplog) as at:
        at.hub.site.resource_group = "65f0aa"
        assert "--resource-group" in at.failing().remedy
        assert at.push(resource_group="65f0aa").changed
