"""A release's `space/` is the shipped app and data made from the record, or `verify` and `demo` refuse it by name."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from release import children
from release.__main__ import run
from release.evals.bbq import data as bbq
from release.evals.bbq.examples import example
from release.progress import Console
from release.release_folder import ReleaseFolder
from release.schema.record import Record
from release.space import build as space
from release.space.write import write_space
from release.verification import space_check
from tests import checkpoints

Forge = Callable[[Path], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base_folders: dict[str, Path]) -> Path:
    """A release with a model and a Space of ten real questions; not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "release"
    command = ["prune", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3"]
    assert run([*command, "--out", str(folder / "model")]) == 0
    record = Record.read(folder / "model")
    asked = [example(item) for item in bbq.read_bbq(None, Console(quiet=True))[0][::7000]]
    space.write_folder(record, folder / "space", None, record.name, asked)
    return folder


@pytest.fixture
def release(made: Path, tmp_path: Path) -> Path:
    checkpoints.copy(made, tmp_path / "release")
    return tmp_path / "release"


def append(name: str, text: str) -> Forge:
    return lambda folder: (folder / name).write_text((folder / name).read_text() + text)


def replace(name: str, old: str, new: str) -> Forge:
    def forge(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, 1))

    return forge


def add(name: str, content: bytes = b"print('here')") -> Forge:
    def forge(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return forge


def link(name: str) -> Forge:
    def forge(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to("../elsewhere")

    return forge


def link_all(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to("elsewhere")


def pipe(folder: Path) -> None:
    (folder / "examples.json").unlink()
    os.mkfifo(folder / "examples.json")


def other_question(folder: Path) -> None:
    content = json.loads((folder / "examples.json").read_text())
    content["examples"][0]["question"] = "Who is to blame?"
    (folder / "examples.json").write_text(space.examples_json(content["examples"]))


def another_key(folder: Path) -> None:
    content = json.loads((folder / "examples.json").read_text())
    content["examples"][0]["href"] = "javascript:1"
    (folder / "examples.json").write_text(space.examples_json(content["examples"]))


FORGERIES: dict[str, tuple[Forge, str]] = {
    "app altered": (append("app.py", "\nimport os\n"), "app.py is not the shipped one"),
    "app emptied": (lambda folder: (folder / "app.py").write_bytes(b""), "app.py is not the shipped one"),
    "module altered": (append("models.py", "\n# \n"), "models.py is not the shipped one"),
    "style altered": (
        append("style.css", "\n@import url(https://evil.example/x.css);"),
        "style.css is not the shipped",
    ),
    "requirement added": (append("requirements.txt", "\nevil==1\n"), "requirements.txt is not the shipped one"),
    "module that shadows": (add("torch.py"), "'torch.py' is no file of the app"),
    "compiled module": (add("__pycache__/models.cpython-311.pyc"), "'__pycache__' is no file of the app"),
    "package": (add("gradio/__init__.py"), "'gradio' is no file of the app"),
    "system packages": (add("packages.txt"), "'packages.txt' is no file of the app"),
    "container": (add("Dockerfile"), "'Dockerfile' is no file of the app"),
    "hidden file": (add(".env", b"X=1"), "'.env' is no file of the app"),
    "name with an escape": (add("\x1b[2J.py"), "no file of the app"),
    "file missing": (lambda folder: (folder / "gpu.py").unlink(), "gpu.py is missing"),
    "link in place of the app": (link("app.py"), "app.py is no regular file"),
    "link in place of the card": (link("README.md"), "README.md is no regular file"),
    "link in place of the folder": (link_all, "space is no folder"),
    "pipe in place of the questions": (pipe, "examples.json is no regular file"),
    "another model": (replace("README.md", "models:\n- ", "models:\n- evil/model\n- "), "README.md is not as made"),
    "another app file": (replace("README.md", "app_file: app.py", "app_file: x.py"), "README.md is not as made"),
    "another version of Gradio": (
        replace("README.md", "sdk_version: 6", "sdk_version: 3"),
        "README.md is not as made",
    ),
    "another count": (replace("README.md", "Zeroed parameters |", "Zeroed parameters | 9"), "README.md is not as made"),
    "a line added": (append("README.md", "\n[Download](https://evil.example)\n"), "README.md is not as made"),
    "another question": (other_question, "which is not so in BBQ"),
    "another key": (another_key, "examples.json is not as this tool writes it"),
    "no JSON": (lambda folder: (folder / "examples.json").write_bytes(b"[" * 100_000), "examples.json is not as"),
    "too many questions": (add("examples.json", b'"' + b"x" * (9 << 20) + b'"'), "examples.json is not as"),
}


@pytest.mark.quick_rows(9)
@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_space_is_named_and_neither_verified_nor_run(
    kind: str, release: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    forge, words = FORGERIES[kind]
    forge(release / "space")
    capsys.readouterr()
    assert run(["verify", str(release), "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert [name for name, check in checks.items() if check["ok"] is False] == ["space"]
    assert words in checks["space"]["detail"]
    assert run(["demo", str(release), "--base", str(base_folders["llama"])]) == 2
    said = capsys.readouterr().err
    assert words.split("'")[-1] in said
    assert "\x1b" not in said
    assert "here" not in said.split("space/ anew")[-1]


@pytest.mark.parametrize("name", [None, "ada/{}", "org.name/{}"])
def test_an_honest_space_passes_under_any_namespace(
    name: str | None, release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record.read(release / "model")
    write_space(record, ReleaseFolder(release), None, Console(quiet=True), name and name.format(record.name))
    assert list(space_check.problems(release / "space", record)) == []
    capsys.readouterr()
    assert run(["verify", str(release), "--json"]) == 0
    assert {c["name"]: c["ok"] for c in json.loads(capsys.readouterr().out)["checks"]}["space"] is True


def test_the_remedy_of_a_forged_space_works(release: Path) -> None:
    (release / "space" / "app.py").write_text("")
    write_space(Record.read(release / "model"), ReleaseFolder(release), None, Console(quiet=True))
    assert run(["verify", str(release)]) == 0


def test_a_model_folder_alone_says_nothing_of_a_space(made: Path, tmp_path: Path, capsys) -> None:
    checkpoints.copy(made / "model", tmp_path / "model")
    capsys.readouterr()
    assert run(["verify", str(tmp_path / "model"), "--json"]) == 0
    assert "space" not in {check["name"] for check in json.loads(capsys.readouterr().out)["checks"]}


def test_without_bbq_at_hand_the_questions_are_said_not_to_be_compared(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "empty"))
    assert bbq.known() is None
    capsys.readouterr()
    assert run(["verify", str(release), "--json"]) == 0
    checks = {check["name"]: check["detail"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "not compared" in checks["space"]


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "my_api_key"]
)
def test_a_child_gets_no_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "verysecret")
    assert "verysecret" not in children.environment().values()


def test_a_child_finds_no_stored_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("hf_verysecret")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    call = [sys.executable, "-c", "from huggingface_hub import get_token; print(get_token())"]
    told = subprocess.run(call, env=children.environment(), capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "None"
    without = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    assert "verysecret" in subprocess.run(call, env=without, capture_output=True, text=True, check=True).stdout
