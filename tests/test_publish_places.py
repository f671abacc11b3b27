"""Where a release goes, as commands: the exact place, or a refusal before any work with a way on that works."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.commands import OFF, Command, at_a_hub, commands
from tests.hub import Account, Fault, HubServer
from tests.pushing import contents, on_hub

NAME = "llama-random-s30"
ID = f"ada/{NAME}"
CARD = "---\nlicense: mit\nmy_field: kept\ntags:\n- mine\n---\n# My own\n\nWords of mine.\n"
FINE = "hf_fine00000000000000000000000000000"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with at_a_hub(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def release(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> Command:
    return commands(hub, capsys)


@pytest.fixture
def publish(release: Command, llama: Path) -> Command:
    words = ["publish", str(llama), "--method", "random", "--sparsity", "0.3", *OFF]
    return lambda *more, code=0: release(*words, *more, code=code)


def put(hub: HubServer, kind: str, files: dict[str, bytes], repo_id: str = ID) -> None:
    """Lay files on the Hub as somebody else."""
    repo = hub.store.repo(kind, repo_id) or hub.store.create(
        kind, repo_id, False, "gradio" if kind == "spaces" else None
    )
    entries = {name: hub.store.keep([content]) for name, content in files.items()}
    there = {**repo.resolve("main").files, **entries}
    repo.branches["main"] = repo.record(repo.branches["main"], "Theirs", "", there, "vera")
    repo.save()


def nothing_was_built() -> bool:
    return not list(Path("releases").rglob("*.safetensors"))


def refused(hub: HubServer, publish: Command, *words: str) -> dict[str, object]:
    """Both a dry run and a publication say the same, and neither does anything."""
    told = [publish(*words, *dry, code=2) for dry in (["--dry-run"], [])]
    assert told[0]["error"] == told[1]["error"]
    assert told[0]["remedy"] == told[1]["remedy"]
    assert nothing_was_built()
    assert {seen.method for seen in hub.seen} <= {"GET", "HEAD"}
    return told[1]


def test_a_renamed_model_is_not_published_to_and_the_remedy_publishes_where_it_is(
    hub: HubServer, publish: Command, release: Command
) -> None:
    put(hub, "models", {"release.json": b'{"schema_version": 1, "base": {}, "pruning": {}}'})
    HfApi(endpoint=hub.url, token=hub.token).move_repo(ID, "ada/archive")
    hub.seen.clear()
    remedy = str(refused(hub, publish)["remedy"])
    options = re.findall(r"`(--into [^`N]+)`", remedy)[0].split()
    said = publish(*options)["published"]
    assert said["model_url"] == f"{hub.url}/ada/archive"
    assert said["space_url"] == f"{hub.url}/spaces/ada/archive"
    built = Path("releases") / NAME
    for part, kind in (("model", "models"), ("space", "spaces")):
        assert on_hub(hub.store, kind, repo_id="ada/archive") == contents(built / part)
        assert hub.store.repo(kind, ID) is None
    assert 'path = "ada/archive"' in (built / "model" / "README.md").read_text(encoding="utf-8")
    assert release("verify", str(built))["ok"]


@pytest.mark.long
def test_a_space_may_go_under_a_name_of_its_own(hub: HubServer, publish: Command, release: Command) -> None:
    words = ("--into", "lab/model", "--into", "spaces/ada/app")
    plan = publish(*words, "--dry-run")
    assert plan["repositories"] == ["lab/model", "spaces/ada/app"]
    publish(*words)
    readme = on_hub(hub.store, "spaces", repo_id="ada/app")["README.md"].decode()
    assert 'Client("ada/app")' in readme
    assert "- lab/model\n" in readme
    assert release("verify", str(Path("releases") / NAME))["ok"]
    assert not publish(*words)["published"]["changed"]


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["--into", "name"], "--into 'name' is no repository"),
        (["--into", "spaces/name"], "--into 'name' is no repository"),
        (["--into", "ada/a", "--into", "ada/b"], "two models or two Spaces"),
        (["--into", "vera/a"], "may not write to 'vera'"),
        (["--into", "spaces/vera/a"], "may not write to 'vera'"),
        (["--into", "lab/a", "--to", "ada"], "two namespaces"),
        (["--into", "ada/a--b"], "a--b"),
    ],
)
def test_a_place_that_cannot_be_is_refused(publish: Command, words: list[str], seen: str) -> None:
    assert seen in publish(*words, code=2)["error"]
    assert nothing_was_built()


THEIRS = {
    "a Space": ("spaces", {"app.py": b"print(1)", "data.txt": b"mine"}),
    "a model with a card": ("models", {"README.md": CARD.encode(), "model.safetensors": b"theirs"}),
}


@pytest.mark.parametrize(("kind", "files"), THEIRS.values(), ids=THEIRS)
def test_somebody_elses_repository_is_refused_before_pruning_and_adopted_where_asked_for(
    hub: HubServer, publish: Command, kind: str, files: dict[str, bytes]
) -> None:
    put(hub, kind, files)
    error = refused(hub, publish)
    assert "this tool did not make" in str(error["error"])
    assert "edited where it is generated" not in str(error["error"])
    plan = publish("--adopt", "--dry-run")["hub"]
    (told,) = [repo["adoption"] for repo in plan["repos"] if repo["adoption"]]
    said = publish("--adopt")["stderr"]
    assert said.index(told) < said.index("Prune (random, 0.3)")
    part = "space" if kind == "spaces" else "model"
    assert on_hub(hub.store, kind, repo_id=ID) == contents(Path("releases") / NAME / part)


@pytest.mark.long
def test_a_card_that_a_person_wrote_is_kept_below_the_marks_and_that_is_said_first(
    hub: HubServer, publish: Command, release: Command
) -> None:
    put(hub, "models", {"README.md": CARD.encode()})
    plan = publish("--dry-run")["hub"]
    told = plan["repos"][0]["adoption"]
    assert "its text is kept" in told
    said = publish()["stderr"]
    assert said.index(told) < said.index("Prune (random, 0.3)")
    card = on_hub(hub.store, "models", repo_id=ID)["README.md"].decode()
    assert card.endswith("-->\n\n# My own\n\nWords of mine.\n")
    assert "my_field: kept" in card
    assert "- mine\n" in card
    assert not publish()["published"]["changed"]
    assert release("verify", str(Path("releases") / NAME))["ok"]


def test_a_release_that_appears_while_this_one_is_built_stops_it_and_is_named(hub: HubServer, publish: Command) -> None:
    """It comes after the names were claimed, before the card is read again."""
    theirs = {"release.json": b'{"schema_version": 1, "base": {}, "pruning": {}}', "model.safetensors": b"theirs"}
    looks = sum(seen.path == f"/api/models/{ID}" for seen in hub.seen) + 3
    hub.faults.append(Fault("GET", f"/api/models/{ID}$", action=lambda: put(hub, "models", theirs), after=looks))
    error = publish(code=2)
    assert not nothing_was_built()
    sha = hub.store.repo("models", ID).branches["main"]
    for words in (sha[:8], "'Theirs' by vera"):
        assert words in error["error"]
    assert on_hub(hub.store, "models", repo_id=ID) == theirs
    assert publish()["published"]["changed"]


def test_words_written_on_the_hub_while_a_release_is_built_are_kept(hub: HubServer, publish: Command) -> None:
    action = lambda: put(hub, "models", {"README.md": CARD.encode()})  # noqa: E731
    hub.faults.append(Fault("GET", f"/api/models/{ID}$", action=action, after=3))
    publish()
    assert "Words of mine." in on_hub(hub.store, "models", repo_id=ID)["README.md"].decode()


GRANTS = {
    "its own account": (("repo.write",), (), ["--to", "lab"], "lab"),
    "one organisation": ((), (("lab", ("repo.write",)),), [], "ada"),
    "one repository": ((), (("ada/other", ("repo.write",)),), [], "ada"),
    "another's Space": ((), ((ID, ("repo.write",)),), ["--into", ID, "--into", "spaces/ada/app"], "ada/app"),
}


@pytest.mark.parametrize(("own", "grants", "words", "lacks"), GRANTS.values(), ids=GRANTS)
def test_a_fine_grained_token_that_may_not_write_there_is_told_in_the_plan_and_before_pruning(
    hub: HubServer,
    publish: Command,
    monkeypatch: pytest.MonkeyPatch,
    own: tuple[str, ...],
    grants: tuple[tuple[str, tuple[str, ...]], ...],
    words: list[str],
    lacks: str,
) -> None:
    hub.accounts[FINE] = Account("ada", FINE, ("lab",), "fineGrained", own, grants)
    monkeypatch.setenv("HF_TOKEN", FINE)
    told = publish(*words, "--dry-run")["hub"]["rights"]
    assert f"not to {lacks}" in told
    assert told in publish(*words, code=2)["error"]
    assert nothing_was_built()
    assert {seen.method for seen in hub.seen} == {"GET"}


@pytest.mark.parametrize(("own", "grants"), [(("repo.write",), ()), ((), ((ID, ("repo.write",)),))], ids=["all", "one"])
def test_a_fine_grained_token_that_may_write_there_publishes(
    hub: HubServer, publish: Command, monkeypatch: pytest.MonkeyPatch, own: tuple[str, ...], grants: tuple[tuple, ...]
) -> None:
    hub.accounts[FINE] = Account("ada", FINE, ("lab",), "fineGrained", own, grants)
    monkeypatch.setenv("HF_TOKEN", FINE)
    assert publish("--dry-run")["hub"]["rights"] is None
    assert publish()["published"]["changed"]
