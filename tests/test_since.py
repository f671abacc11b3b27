"""`release verify --since`: what changed in a repository, file by file and commit by commit, and who did it."""

import shutil
from pathlib import Path

import pytest

from release.sources.changes import History, differences, kind_of
from tests import remote

ID = "lab/pruned"


@pytest.fixture(scope="module")
def model(base_folders, tmp_path_factory) -> Path:
    """A model of another tool, which is verified as far as its zeros go; not to be changed."""
    folder = tmp_path_factory.mktemp("model") / "model"
    shutil.copytree(base_folders["llama"], folder)
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with remote.client(tmp_path_factory.mktemp("client")) as client:
        yield client


@pytest.fixture
def first(client, model) -> str:
    """The commit by which the model came to the Hub."""
    shutil.rmtree(client.hub.store.folder / "repos", ignore_errors=True)
    return remote.lay(client.hub, ID, model, **{"README.md": "A card.\n"})


def commit(client, author: str, title: str, **contents: bytes | None) -> str:
    """Change some files by one commit of somebody's."""
    repo = client.hub.store.repo("models", ID)
    files = dict(repo.resolve("main").files)
    for name, content in contents.items():
        files.pop(name, None)
        if content is not None:
            files[name] = client.hub.store.keep([content], lfs=name.endswith(".safetensors"))
    repo.branches["main"] = repo.record(repo.branches["main"], title, "", files, author)
    repo.save()
    return repo.branches["main"]


def test_each_file_is_told_with_its_kind_the_commits_that_touched_it_and_their_authors(client, first, model):
    weights = sorted(path.name for path in model.glob("*.safetensors"))[0]
    altered = (model / weights).read_bytes()[:-2] + b"\0\0"
    one = commit(client, "ada", "New card", **{"README.md": b"Better.\n", "notes.md": b"x"})
    two = commit(client, "vera", "A stowaway", **{weights: altered, "run.py": b"import os"})
    three = commit(client, "ada", "No notes", **{"notes.md": None})
    code, answer = client.verify(ID, "--since", first)
    told = answer["since"]
    assert (told["since"], told["now"], told["follows"], told["not_read"]) == (first, three, True, 0)
    assert [(each["path"], each["how"], each["kind"]) for each in told["changes"]] == [
        (weights, "changed", "weights"),
        ("README.md", "changed", "card"),
        ("run.py", "added", "no file of a release"),
    ]
    assert [(each["commit"], each["authors"], each["title"]) for each in told["commits"]] == [
        (three, ["ada"], "No notes"),
        (two, ["vera"], "A stowaway"),
        (one, ["ada"], "New card"),
    ]
    assert [[change["path"] for change in each["changes"]] for each in told["commits"]] == [
        ["notes.md"],
        [weights, "run.py"],
        ["README.md", "notes.md"],
    ]
    assert (code, answer["ok"]) == (0, True)  # the model of another tool: nothing is claimed that would be wrong


def test_what_changed_is_told_even_where_the_weights_cannot_be_read_any_more(client, first, model):
    weights = sorted(path.name for path in model.glob("*.safetensors"))[0]
    commit(client, "vera", "Broken", **{weights: b"\0" * 64})
    said = client.run("verify", ID, "--since", first)
    assert said["code"] != 0
    assert f"~ {weights} (weights)" in said["err"]
    assert "vera: Broken" in said["err"]


def test_it_exits_as_verify_does_where_nothing_changed_or_what_changed_is_good(client, first):
    code, answer = client.verify(ID, "--since", "main")
    assert (code, answer["since"]["changes"], answer["since"]["commits"]) == (0, [], [])
    commit(client, "ada", "Notes", **{"notes.md": b"x"})
    code, answer = client.verify(ID, "--since", first)
    assert (code, [each["kind"] for each in answer["since"]["changes"]]) == (0, ["added by a person"])
    said = client.run("verify", ID, "--since", first)
    assert (said["code"], "+ notes.md  (added by a person)" in said["out"]) == (0, True)
    assert client.verify(ID)[1]["since"] is None


def test_a_history_that_was_written_anew_is_said_and_the_difference_is_told_all_the_same(client, first):
    repo = client.hub.store.repo("models", ID)
    files = dict(repo.resolve("main").files) | {"notes.md": client.hub.store.keep([b"x"])}
    repo.branches["main"] = repo.record(None, "Squashed", "", files, "vera")
    repo.save()
    code, answer = client.verify(ID, "--since", first)
    assert (code, answer["since"]["follows"], answer["since"]["commits"]) == (0, False, [])
    assert [each["path"] for each in answer["since"]["changes"]] == ["notes.md"]
    assert "written anew" in " ".join(History.model_validate(answer["since"]).lines())


def test_words_of_commits_and_names_of_files_mean_nothing_to_a_terminal(client, first):
    commit(client, "ada", "red \x1b[31m[bold]x", **{"a\x1b[31m.md": b"x"})
    said = client.run("verify", ID, "--since", first)
    assert "\x1b" not in said["out"]
    assert "[bold]x" in said["out"]


WRONG = [
    ([ID, "--since", "v9"], 2, "has no revision 'v9'"),
    ([ID, "--since", "0" * 40], 2, "has no revision"),
    ([ID, "--since", ""], 2, "names no revision"),
    (["lab/none", "--since", "main"], 2, "missing on the Hub"),
]


@pytest.mark.parametrize(("words", "code", "message"), WRONG)
def test_a_revision_that_is_not_there_is_named(client, first, words, code, message):
    said = client.run("verify", *words)
    assert (said["code"], message in said["err"]) == (code, True), said["err"]


def test_a_folder_has_no_history(client, model):
    said = client.run("verify", str(model), "--since", "main")
    assert (said["code"], "a folder has no history" in said["err"]) == (2, True)


KINDS = {
    "model-00001-of-00002.safetensors": "weights",
    "pytorch_model.bin": "weights",
    "old/model.gguf": "weights",
    "mask/pruned.safetensors": "mask",
    "README.md": "card",
    "release.json": "record",
    "model.sig": "signature",
    "sparsity.csv": "table of tensors",
    "config.json": "configuration",
    "model.safetensors.index.json": "index of the weights",
    "tokenizer.json": "the base's file",
    "LICENSE": "the base's file",
    "evaluation/bbq.parquet": "measured answers",
    "figures/bias.svg": "figure",
    "notes.md": "added by a person",
    ".gitattributes": "the Hub's own",
    "modeling_evil.py": "no file of a release",
    "../README.md": "no file of a release",
}


@pytest.mark.parametrize(("path", "kind"), KINDS.items())
def test_a_files_kind_follows_from_its_name(path, kind):
    assert kind_of(path) == kind


def test_differences_are_symmetric_but_for_their_direction():
    before, after = {"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}
    forth, back = differences(before, after), differences(after, before)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(each.path, each.how) for each in forth] == [("a", "removed"), ("c", "changed"), ("d", "added")]
    assert [(each.path, turned[each.how]) for each in back] == [(each.path, each.how) for each in forth]
