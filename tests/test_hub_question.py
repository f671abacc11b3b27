"""The Space is asked a real question: the project's own app, with tiny models, stands behind the Hub's address."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import SpaceFailed
from tests.pushing import ID, Bench, bench
from tests.space_fixtures import checkpoint, module, variable

pytestmark = pytest.mark.long  # the app is started and answers with real models


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        yield made
        assert not made.early


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of the app with models that it finds, and with models that it cannot load."""
    folder = tmp_path_factory.mktemp("models")
    dense, pruned = checkpoint(folder / "dense"), checkpoint(folder / "pruned", zeroed=0.5)
    app, lineup = module("app"), module("lineup")
    pages = {
        "answers": app.build(lineup.from_variable(variable(dense, pruned))),
        "refuses": app.build(lineup.from_variable(variable(None, folder / "missing"))),
    }
    try:
        yield {
            name: page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)[1] for name, page in pages.items()
        }
    finally:
        for page in pages.values():
            page.close()


def test_a_space_is_shown_once_it_has_answered_and_is_asked_once(at: Bench, hosts: dict[str, str]) -> None:
    at.hub.site.hosts[ID] = hosts["answers"]
    assert at.push().answer
    assert at.is_complete()
    assert at.push().answer is None


def test_a_space_that_does_not_answer_is_never_shown(at: Bench, hosts: dict[str, str]) -> None:
    at.hub.site.hosts[ID] = hosts["refuses"]
    error = at.failing()
    assert isinstance(error, SpaceFailed)
    assert "runs but does not answer" in error.seen
    assert f"{at.hub.url}/{ID}, which was public while the Space was asked, is private again." in error.seen
    assert "Nothing new became visible to others." in error.seen
    assert (at.repo().private, at.repo("spaces").private) == (True, True)
    at.hub.site.hosts[ID] = hosts["answers"]
    assert at.push().answer
    assert at.is_complete()


def test_an_update_that_breaks_a_public_space_is_reported_until_it_answers(at: Bench, hosts: dict[str, str]) -> None:
    at.hub.site.hosts[ID] = hosts["answers"]
    at.push()
    at.hub.watchers.clear()
    (at.folder / "space" / "app.py").write_text("print('new')\n")
    at.hub.site.hosts[ID] = hosts["refuses"]
    for _ in range(2):
        assert "does not answer" in str(at.failing())
    at.hub.site.hosts[ID] = hosts["answers"]
    assert at.push().answer


def test_a_host_where_nothing_answers_is_reported(at: Bench) -> None:
    at.hub.site.hosts[ID] = f"{at.hub.url}/nowhere"
    assert "runs but does not answer" in str(at.failing())
    assert at.repo("spaces").private


@pytest.mark.parametrize("options", [{"private": True}, {"gated": "manual"}], ids=str)
def test_a_space_that_cannot_read_its_model_is_asked_once_it_has_a_token(
    at: Bench, hosts: dict[str, str], options: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    at.hub.site.hosts[ID] = hosts["answers"]
    if "private" in options:
        assert at.push(**options).answer is None
        assert "cannot read a private or gated model" in capsys.readouterr().err
    else:
        at.client.api.create_repo(ID, repo_type="space", space_sdk="gradio", private=True)
    at.client.api.add_space_secret(ID, "HF_TOKEN", at.hub.read_token)
    assert at.push(**options).answer
    assert at.push(**options).answer is None
