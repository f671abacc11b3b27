"""A folder that came from the Hub knows which repository and commit it is, in whichever way it was fetched."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from release.__main__ import run
from release.errors import BadOption
from release.progress import Console
from release.schema.record import Record
from release.settings.base import Identity
from release.sources.base import resolve
from release.sources.provenance import SEEN, Origin, origin_of

ID, COMMIT, OTHER = "org/Model-1B", "0123456789abcdef0123456789abcdef01234567", "f" * 40
WHOLE, NAMED = Origin(id=ID, revision=COMMIT), Origin(id=ID, note=SEEN)
HUB = "https://huggingface.co"


def cached(root: Path) -> Path:
    folder = root / "hub" / "models--org--Model-1B" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def linked(root: Path) -> Path:
    (root / "link").symlink_to(cached(root), target_is_directory=True)
    return root / "link"


def metadata(folder: Path, place: str, commit: str = COMMIT, name: str = "config.json") -> None:
    path = folder / place / f"{name}.metadata"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{commit}\n{'e' * 40}\n1712656091.1\n")


def readme(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(text)


USAGE = f'```python\nmodel = AutoModel.from_pretrained("{ID}")\n```\n'


def by_the_client(root: Path) -> Path:
    metadata(root, ".cache/huggingface/download")
    readme(root, USAGE)
    return root


def by_an_older_client(root: Path) -> Path:
    metadata(root, ".huggingface/download")
    readme(root, USAGE)
    return root


def git(folder: Path, url: str) -> Path:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (
        ["init", "-q", "-b", "main"],
        ["remote", "add", "origin", url],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *words], cwd=folder, env=environment, check=True)
    (folder / ".git/refs/heads/main").write_text(COMMIT + "\n")
    return folder


def cloned(root: Path) -> Path:
    return git(root, f"{HUB}/{ID}")


def cloned_with_ending(root: Path) -> Path:
    return git(root, f"{HUB}/{ID}.git")


def cloned_with_a_token(root: Path) -> Path:
    return git(root, f"https://user:hf_secretsecret@huggingface.co/{ID}")


def cloned_by_ssh(root: Path) -> Path:
    return git(root, f"git@hf.co:{ID}")


def cloned_and_packed(root: Path) -> Path:
    git(root, f"{HUB}/{ID}")
    (root / ".git/refs/heads/main").unlink()
    (root / ".git/packed-refs").write_text(
        f"# pack-refs with: peeled\n{OTHER} refs/heads/x\n{COMMIT} refs/heads/main\n"
    )
    return root


def cloned_at_a_commit(root: Path) -> Path:
    git(root, f"{HUB}/{ID}")
    (root / ".git/HEAD").write_text(COMMIT + "\n")
    return root


def a_submodule(root: Path) -> Path:
    git(root, f"{HUB}/{ID}")
    (root / "outer").mkdir()
    shutil.move(root / ".git", root / "outer/module")
    (root / ".git").write_text("gitdir: outer/module\n")
    return root


def by_a_script(root: Path) -> Path:
    (root / ".hfd").mkdir()
    (root / ".hfd/repo_metadata.json").write_text(json.dumps({"id": ID, "sha": COMMIT, "siblings": []}))
    return root


def by_a_web_ui(root: Path) -> Path:
    (root / "huggingface-metadata.txt").write_text(f"url: {HUB}/{ID}\nbranch: main\ndownload date: 2026-01-01\n")
    return root


def by_wget(root: Path) -> Path:
    folder = root / "model-1b"
    folder.mkdir()
    readme(folder, f'---\nbase_model: org/Base\n---\n{USAGE}\n`from_pretrained("org/Base")` `from_pretrained("a/b")`')
    return folder


def by_wget_under_another_name(root: Path) -> Path:
    readme(root, f"---\nbase_model: [org/Base]\n---\nvllm serve {ID}\n\n{USAGE}\nhf download {ID} --local-dir x")
    return root


def named(root: Path, text: str, name: str = "Model-1B") -> Path:
    folder = root / name
    folder.mkdir()
    readme(folder, text)
    return folder


def by_wget_with_a_link(root: Path) -> Path:
    return named(root, f"[Model page]({HUB}/{ID}), made from [Base]({HUB}/org/Base) on [data]({HUB}/datasets/a/b).")


def by_wget_with_its_name_in_prose(root: Path) -> Path:
    return named(root, f"This repository contains {ID}. See org/Model-7B for the larger one.", "org_Model-1B")


def by_wget_in_two_cases(root: Path) -> Path:
    return named(root, f"{USAGE} {USAGE} or `from_pretrained('{ID.lower()}')`", "org--model-1b")


TRACES: dict[Callable[[Path], Path], Origin] = {
    cached: WHOLE,
    linked: WHOLE,
    by_the_client: Origin(id=ID, revision=COMMIT, note=SEEN),
    by_an_older_client: Origin(id=ID, revision=COMMIT, note=SEEN),
    cloned: WHOLE,
    cloned_with_ending: WHOLE,
    cloned_with_a_token: WHOLE,
    cloned_by_ssh: WHOLE,
    cloned_and_packed: WHOLE,
    cloned_at_a_commit: WHOLE,
    a_submodule: WHOLE,
    by_a_script: WHOLE,
    by_a_web_ui: Origin(id=ID),
    by_wget: NAMED,
    by_wget_under_another_name: NAMED,
    by_wget_with_a_link: NAMED,
    by_wget_with_its_name_in_prose: NAMED,
    by_wget_in_two_cases: NAMED,
}


@pytest.mark.parametrize("way", TRACES, ids=lambda way: way.__name__)
def test_a_folder_knows_where_it_came_from(way, tmp_path: Path):
    root = tmp_path / "somewhere"
    root.mkdir()
    assert origin_of(way(root)) == TRACES[way]


def nothing(_: Path) -> None:
    pass


def another_host(root: Path) -> None:
    git(root, f"https://example.org/{ID}")


def a_data_set(root: Path) -> None:
    git(root, f"{HUB}/datasets/org/data")


def two_commits(root: Path) -> None:
    metadata(root, ".cache/huggingface/download")
    metadata(root, ".cache/huggingface/download", OTHER, "model.safetensors")


def another_model_named(root: Path) -> None:
    readme(root, '---\nbase_model: a/b\n---\n`from_pretrained("a/b")`')


def two_models_named(root: Path) -> None:
    readme(root, '`from_pretrained("a/b")` or `from_pretrained("a/c")`')


def a_base_in_other_letters(root: Path) -> None:
    readme(root, '---\nbase_model: A/B\n---\n`from_pretrained("a/b")`')


def a_picture(root: Path) -> None:
    readme(root, f"![plot](images/{root.name}.png) and src/other, and/or this")


def a_loop(root: Path) -> None:
    (root / ".git").write_text("gitdir: .git\n")


def broken(root: Path) -> None:
    (root / ".hfd").mkdir()
    (root / ".hfd/repo_metadata.json").write_text("{")
    readme(root, "---\n{\n---\n")


@pytest.mark.parametrize(
    "spoil",
    [
        nothing,
        another_host,
        a_data_set,
        two_commits,
        another_model_named,
        two_models_named,
        a_base_in_other_letters,
        a_picture,
        a_loop,
        broken,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_where_nothing_tells_it_nothing_is_said(spoil, tmp_path: Path):
    spoil(tmp_path)
    assert origin_of(tmp_path) == Origin()


def test_what_a_clone_is_stands_in_record_and_card(llama: Path, tmp_path: Path, capsys):
    git(llama, f"https://user:hf_secretsecret@huggingface.co/{ID}")
    words = ["prune", str(llama), "--method", "random", "--sparsity", "0.1", "--out", str(tmp_path / "out")]
    assert run(words) == 0, capsys.readouterr().err
    record = Record.read(tmp_path / "out")
    assert (record.base.id, record.base.on_hub, record.base.revision) == (ID, True, COMMIT)
    assert (record.base.source, record.base.stated) == ("folder", ())
    assert record.name == "model-1b-random-s10"
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert f"base_model: {ID}" in card
    assert COMMIT in card
    assert "hf_secret" not in card + record.to_json()
    assert run(["verify", str(tmp_path / "out"), "--base", str(llama)]) == 0


def test_a_statement_that_contradicts_it_is_refused(llama: Path):
    git(llama, f"{HUB}/{ID}")
    with pytest.raises(BadOption, match="--base-id says 'lab/other'"):
        resolve(str(llama), Console(quiet=True), Identity(id="lab/other"))
    agreed = resolve(str(llama), Console(quiet=True), Identity(id=ID))
    assert (agreed.id, agreed.revision, agreed.stated) == (ID, COMMIT, ())


def test_a_statement_counts_more_than_what_a_readme_names(llama: Path):
    readme(llama, USAGE)
    assert resolve(str(llama), Console(quiet=True)).id == ID
    said = resolve(str(llama), Console(quiet=True), Identity(id="lab/other"))
    assert (said.id, said.note, said.stated) == ("lab/other", None, ("id",))


def test_a_commit_without_a_repository_counts_once_the_repository_is_stated(llama: Path):
    metadata(llama, ".cache/huggingface/download")
    alone = resolve(str(llama), Console(quiet=True))
    assert (alone.id, alone.on_hub, alone.revision) == ("llama", False, None)
    said = resolve(str(llama), Console(quiet=True), Identity(id=ID))
    assert (said.id, said.on_hub, said.revision, said.stated) == (ID, True, COMMIT, ("id",))


def test_a_dry_run_gives_the_same_name(llama: Path, tmp_path: Path, capsys):
    git(llama, f"{HUB}/{ID}")
    words = [
        "publish",
        str(llama),
        "--method",
        "random",
        "--sparsity",
        "0.1",
        "--local",
        "--out",
        str(tmp_path / "out"),
    ]
    assert run([*words, "--bbq", "off", "--perplexity", "off", "--latency", "off", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "model-1b-random-s10"
