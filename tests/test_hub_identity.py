"""Nothing of anybody's is overwritten: not under another name, not unasked, not behind one's back."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from release import hub
from release.errors import OutputConflict, ReleaseError
from release.progress import Console
from release.settings.publication import PublishOptions
from release.space.mark import EARLIER
from tests.hub.state import Repo
from tests.pushing import ID, KINDS, RECORD, SPACE, Bench, bench, contents, on_hub

VERA = "vera"
CARD = b"---\nlicense: mit\n---\n# My own\n\nWords of mine.\n"
APP = b"print('a person wrote this')\n"


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        made.hub.watchers.clear()
        yield made


def put(at: Bench, kind: str, files: dict[str, bytes], repo_id: str = ID, private: bool = False) -> Repo:
    """Lay files on the Hub as somebody else; what else lay there stays."""
    store = at.hub.store
    repo = store.repo(kind, repo_id) or store.create(kind, repo_id, private, "gradio" if kind == "spaces" else None)
    entries = {name: store.keep([content]) for name, content in files.items()}
    there = {**repo.resolve("main").files, **entries}
    repo.branches["main"] = repo.record(repo.branches["main"], "Theirs", "", there, VERA)
    repo.save()
    return repo


def rename(at: Bench, kind: str, new: str) -> None:
    at.client.api.move_repo(ID, new, repo_type=kind.removesuffix("s"))


def heads(at: Bench) -> dict[str, str]:
    """Where main stands in every repository, by kind and name."""
    kinds = ("models", "spaces")
    return {f"{kind}/{repo.id}": repo.branches["main"] for kind in kinds for repo in at.hub.store.repos(kind, "ada")}


LOOKS: dict[str, Callable[[Bench, hub.PublishOptions], object]] = {
    "survey": lambda at, options: hub.survey(
        at.upload, options, hub.login(client=at.client), Console(quiet=True), at.client
    ),
    "card": lambda at, options: hub.standing_card(at.upload, options, at.client),
    "claim": lambda at, options: hub.claim(at.upload, options, at.client),
    "push": lambda at, options: hub.push(at.upload, options, Console(quiet=True), at.client),
}


def refused(at: Bench, **options: object) -> OutputConflict:
    """Return the one refusal that whoever looks meets; nothing is changed by any of them."""
    before, said = heads(at), {}
    for name, look in LOOKS.items():
        with pytest.raises(OutputConflict) as caught:
            look(at, hub.PublishOptions.model_validate(options))
        said[name] = caught.value
    assert len({str(error) for error in said.values()}) == 1, said
    assert heads(at) == before
    return said["push"]


# Identity


@dataclass(frozen=True)
class Name:
    """A repository of the release's name that lies elsewhere.

    Attributes:
        moved: Kind → its new name.
        into: The options that mean what is there.
    """

    moved: dict[str, str]
    into: str


NAMES = {
    "model renamed": Name({"models": "ada/archive"}, "--into ada/archive --into spaces/ada/tiny"),
    "model moved": Name({"models": "lab/tiny"}, "--into lab/tiny --into spaces/ada/tiny"),
    "space renamed": Name({"spaces": "ada/shown"}, "--into spaces/ada/shown"),
    "both renamed alike": Name({"models": "ada/b", "spaces": "ada/b"}, "--into ada/b"),
    "both renamed": Name({"models": "ada/m", "spaces": "ada/s"}, "--into ada/m --into spaces/ada/s"),
    "model in other case": Name({"models": "ada/Tiny"}, "--into ada/Tiny --into spaces/ada/tiny"),
    "space in other case": Name({"spaces": "ada/TINY"}, "--into spaces/ada/TINY"),
}


def into(at: Bench, options: str) -> hub.Upload:
    """The upload that these options make."""
    asked = PublishOptions.of(repositories=tuple(options.replace("--into ", "").split()))
    return replace(at.upload, id=asked.into or ID, space_id=asked.space_into or asked.into or ID)


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize("edited", [False, True], ids=["same release", "another"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_another_name_is_never_taken_for_the_target_and_the_remedy_means_it(
    at: Bench, name: Name, edited: bool
) -> None:
    at.push()
    for kind, new in name.moved.items():
        rename(at, kind, new)
    if edited:
        for part in KINDS:
            (at.folder / part / "more.txt").write_text("more")
    error = refused(at)
    for new in name.moved.values():
        assert f"/{new}" in error.seen
    assert f"`{name.into}`" in error.remedy
    assert "--to" in error.remedy
    before = heads(at).keys()
    pushed = hub.push(into(at, name.into), hub.PublishOptions(), Console(quiet=True), at.client)
    assert pushed.changed == edited
    assert heads(at).keys() == before
    for part, kind in KINDS.items():
        repo_id = name.moved.get(kind, ID)
        assert on_hub(at.hub.store, kind, repo_id=repo_id) == contents(at.folder / part)


@pytest.mark.quick_rows(2)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_the_other_way_on_is_another_name(at: Bench, name: Name) -> None:
    at.push()
    for kind, new in name.moved.items():
        rename(at, kind, new)
    before = heads(at)
    (option,) = re.findall(r"`(--into \S+/NAME)`", refused(at).remedy)
    hub.push(into(at, option.replace("NAME", "fresh")), hub.PublishOptions(), Console(quiet=True), at.client)
    assert before.items() <= heads(at).items()
    assert on_hub(at.hub.store, "models", repo_id="ada/fresh") == contents(at.folder / "model")
    assert on_hub(at.hub.store, "spaces", repo_id="ada/fresh") == contents(at.folder / "space")


def test_a_repository_that_is_renamed_during_a_push_is_noticed_where_it_is_looked_at(at: Bench) -> None:
    """The commit's answer is lost, and the branch is looked at."""
    at.push()
    (at.folder / "model" / "more.txt").write_text("more")
    at.fault("POST", f"/api/models/{ID}/commit/", action=lambda: rename(at, "models", "ada/archive"))
    at.fault("POST", "/api/models/ada/archive/commit/", action=503, times=9)
    error = at.failing()
    assert isinstance(error, OutputConflict)
    assert "ada/archive" in error.seen
    assert "while this push was at work" in error.seen


# Not ours

THEIRS = {
    "a Space": ("spaces", {"app.py": APP, "data.txt": b"data"}, ("app.py", "data.txt")),
    "a Space whose README a person wrote": ("spaces", {"README.md": b"---\nsdk: gradio\n---\nMine.\n"}, ("README.md",)),
    "a model": ("models", {"model.safetensors": b"theirs", "config.json": b"{}"}, ("config.json",)),
    "a model with a card": ("models", {"model.safetensors": b"theirs", "README.md": CARD}, ("README.md",)),
    "a licence": ("models", {"LICENSE": b"theirs"}, ("LICENSE",)),
    "another tool's release.json": ("models", {"release.json": b'{"version": "1.2"}'}, ("release.json",)),
    "a release.json that is none": ("models", {"release.json": b"\xff{"}, ("release.json",)),
}


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize(("kind", "files", "named"), THEIRS.values(), ids=THEIRS)
def test_what_somebody_else_made_is_changed_only_where_that_is_asked_for(
    at: Bench, kind: str, files: dict[str, bytes], named: tuple[str, ...], private: bool
) -> None:
    put(at, kind, files, private=private)
    error = refused(at)
    assert "this tool did not make" in error.seen
    assert "edited where it is generated" not in str(error)
    for word in ("--to", "--into", "--adopt"):
        assert word in error.remedy
    for name in named:
        assert name in error.seen
    plan = at.survey(adopt=True)
    (told,) = [repo.adoption for repo in plan.repos if repo.adoption]
    assert all(name in told for name in named)
    assert told in "\n".join(plan.lines())
    assert at.push(adopt=True).changed
    assert at.is_complete(2, kind)


@pytest.mark.parametrize("kind", ["models", "spaces"])
def test_the_way_around_somebody_elses_repository_is_another_name(at: Bench, kind: str) -> None:
    put(at, kind, {"app.py": APP})
    before = heads(at)
    (option,) = re.findall(r"`(--into \S+/NAME)`", refused(at).remedy)
    hub.push(into(at, option.replace("NAME", "fresh")), hub.PublishOptions(), Console(quiet=True), at.client)
    assert before.items() <= heads(at).items()


OURS = {
    "nothing": ("models", {}),
    "a record": ("models", {"release.json": RECORD, "model.safetensors": b"older"}),
    "a marked Space": ("spaces", {"README.md": SPACE.encode(), "app.py": b"older"}),
    "an earlier Space": ("spaces", {"README.md": "\n".join(EARLIER).encode(), "app.py": b"older"}),
    "a card that a person wrote": ("models", {"README.md": CARD}),
}


@pytest.mark.parametrize(("kind", "files"), OURS.values(), ids=OURS)
def test_what_this_tool_made_is_updated_unasked(at: Bench, kind: str, files: dict[str, bytes]) -> None:
    put(at, kind, files)
    assert at.push().changed
    assert at.is_complete(2, kind)


def test_what_the_hub_itself_puts_into_a_new_space_is_nobodys(at: Bench) -> None:
    at.hub.store.create("spaces", ID, True, "gradio")
    assert at.push().changed
    assert at.is_complete()


# Moved under us

APPEARS = {"model": ("models", {"release.json": RECORD, "w": b"x"}), "space": ("spaces", {"README.md": SPACE.encode()})}


def looked_at(at: Bench) -> hub.Upload:
    """The upload as it is once the card was read."""
    return replace(at.upload, expects=hub.standing_card(at.upload, hub.PublishOptions(), at.client).sight)


def stopped(at: Bench, upload: hub.Upload) -> ReleaseError:
    with pytest.raises(ReleaseError) as caught:
        hub.push(upload, hub.PublishOptions(), Console(quiet=True), at.client)
    return caught.value


@pytest.mark.parametrize("before", [False, True], ids=["nothing was there", "a release was there"])
@pytest.mark.parametrize(("kind", "files"), APPEARS.values(), ids=APPEARS)
def test_a_release_that_appears_after_the_card_was_read_stops_the_push_and_is_named(
    at: Bench, kind: str, files: dict[str, bytes], before: bool
) -> None:
    if before:
        at.push()
        (at.folder / "model" / "more.txt").write_text("more")
    upload = looked_at(at)
    theirs = put(at, kind, files)
    error = stopped(at, upload)
    assert isinstance(error, OutputConflict)
    for word in (theirs.branches["main"][:8], "'Theirs'", f"by {VERA}"):
        assert word in error.seen
    assert at.repo(kind).branches["main"] == theirs.branches["main"]
    assert at.push().changed, "the same command again replaces it"


@pytest.mark.parametrize(("kind", "files"), APPEARS.values(), ids=APPEARS)
def test_a_release_that_appears_while_the_names_are_claimed_stops_the_push(
    at: Bench, kind: str, files: dict[str, bytes]
) -> None:
    at.fault("POST", "/api/repos/create", action=lambda: put(at, kind, files) and None, after=int(kind == "models"))
    error = stopped(at, looked_at(at))
    theirs = at.repo(kind).branches["main"]
    assert theirs[:8] in error.seen
    assert on_hub(at.hub.store, kind).keys() >= files.keys()


def test_an_empty_repository_that_appears_is_taken_from_its_first_commit_on(at: Bench) -> None:
    upload = looked_at(at)
    for kind in ("models", "spaces"):
        at.hub.store.create(kind, ID, True, "gradio" if kind == "spaces" else None)
    first = {kind: at.repo(kind).branches["main"] for kind in ("models", "spaces")}
    assert hub.push(upload, hub.PublishOptions(), Console(quiet=True), at.client).changed
    for kind, sha in first.items():
        assert at.repo(kind).resolve("main").parent == sha


def test_a_repository_that_vanishes_after_the_card_was_read_is_told(at: Bench) -> None:
    at.push()
    upload = looked_at(at)
    at.client.api.delete_repo(ID)
    assert "was removed or renamed" in stopped(at, upload).seen
    assert at.push().changed
