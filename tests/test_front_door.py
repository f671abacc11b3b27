"""What the command line says to lines that people type: at once, with a remedy that names the next line to type."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release.__main__ import run
from release.cli import parser
from release.packages import installed, version
from release.settings.examples import EXAMPLES
from tests.commands import OFF

PUBLISH = "publish demo -m random -s 10% --local"


def said(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command line; return its exit code and what it says on stderr."""
    code = run(shlex.split(line))
    return code, capsys.readouterr().err


@pytest.mark.parametrize(("command", "line"), [(name, line) for name in EXAMPLES for line in EXAMPLES[name]])
def test_every_example_is_a_command_line(command: str, line: str) -> None:
    program, name, *words = shlex.split(line)
    assert (program, name) == ("release", command)
    group = parser()
    group.commands[command].make_context(command, words).close()


def test_every_command_has_an_example() -> None:
    assert set(EXAMPLES) == set(parser().commands)


@pytest.mark.parametrize(
    ("line", "seen", "remedy"),
    [
        ("publish", "Missing argument", "`release publish --help`"),
        ("verify", "Missing argument", "release verify org/name"),
        ("publish demo --sparsty 0.1", "There is no option --sparsty", "Did you mean --sparsity?"),
        ("publish --hepl", "There is no option --hepl", "Did you mean --help?"),
        (f"{PUBLISH} --zzzzzz", "There is no option --zzzzzz", "`release publish --help`"),
        ("publish demo -m wand -s 0.1", "There is no pruning method", "Did you mean wanda? `release methods`"),
        ("publish demo -m zzz -s 0.1", "There is no pruning method", "`release methods` lists them."),
        ("publish demo -m random -s 0.1,0.3", "names several shares", "`release sweep` or `release prune`"),
        ("publish nowhere -m random -s 10% --local", "There is no model 'nowhere'", "A model is an alias, a Hub id"),
        ("verify demo", "demo is a base model, and no release", "a Hub id like org/name"),
        (f"{PUBLISH} --device gpu", "Device 'gpu' cannot be used", "Give cpu, cuda, cuda:0, mps or auto."),
        (f"{PUBLISH} --to 'my lab'", "--to 'my lab' is no name on the Hub", "--to my-lab"),
        (f"{PUBLISH} --out /dev/null", "is a file", "Give another --out"),
        (f"{PUBLISH} --out /dev/null/inside", "is a file", "Give another --out"),
    ],
)
@pytest.mark.parametrize("dry", ["", " --dry-run"])
def test_a_line_that_cannot_be_is_refused_with_the_next_one(
    line: str, seen: str, remedy: str, dry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(line + (dry if line.startswith("publish") else ""), capsys)
    assert code == 2
    assert seen in told
    assert remedy in told


@pytest.mark.parametrize("wrong", ["publish nowhere -m random -s 10% --local", "publish demo -m zzz -s 0.1"])
def test_a_name_that_is_near_nothing_is_not_guessed(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean" not in said(wrong, capsys)[1]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize("inside", ["", "deep/er"])
def test_no_release_is_built_inside_its_base_or_inside_a_release(
    dry: list[str], inside: str, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, before = ["-m", "random", "-s", "30%", *dry], sorted(llama.iterdir())
    assert run(["prune", str(llama), *words, "-o", str(llama / inside)]) == 2
    assert "inside the base model" in capsys.readouterr().err
    (tmp_path / "made/model").mkdir(parents=True)
    (tmp_path / "made/model/release.json").write_text("{}")
    assert run(["publish", str(llama), *words, *OFF, "--local", "-o", str(tmp_path / "made" / inside)]) == 2
    assert "inside a release" in capsys.readouterr().err
    assert sorted(llama.iterdir()) == before
    assert [path.name for path in (tmp_path / "made").rglob("*")] == ["model", "release.json"]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_no_release_is_built_inside_the_demo_model(
    dry: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "kept"))
    out = tmp_path / "kept/demo/SmolLM2-135M-Instruct/inside"
    assert run(["prune", "demo", "-m", "random", "-s", "30%", *dry, "-o", str(out)]) == 2
    assert "inside the demo model" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_a_finished_release_says_which_lines_come_next(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "of mine"
    assert run(["publish", str(llama), "-m", "random", "-s", "30%", *OFF, "--local", "-o", str(place)]) == 0
    folder = shlex.quote(str(place / "llama-random-s30"))
    shown = " ".join(capsys.readouterr().out.split())
    for line in (f"release demo {folder}", f"release verify {folder}", f"release push {folder}"):
        assert line in shown


def test_methods_say_what_they_look_at_and_models_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods"]) == run(["models"]) == 0
    shown = capsys.readouterr().out
    assert "looks at weights, and the norm of each input over calibration text" in " ".join(shown.split())
    assert "wheel of 93 MB" in " ".join(shown.split())
    assert run(["methods", "--json"]) == 0
    assert {row["key"] for row in json.loads(capsys.readouterr().out)["methods"]} >= {"random", "wanda"}


def test_a_shell_is_told_what_may_follow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {
        "_RELEASE_COMPLETE": "complete_bash",
        "COMP_WORDS": "release publish --spa",
        "COMP_CWORD": "2",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out.split() == ["--sparsity", "--space-hardware", "--space-timeout"]


def test_the_cache_is_listed_with_its_sizes_and_cleared_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "kept"))
    for name, length in {"demo/a/b": 300, "bbq/c": 200, "readings.sqlite": 50, "readings.sqlite-wal": 20}.items():
        path = tmp_path / "kept" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(length))
    assert run(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {part["name"]: part["bytes"] for part in told["parts"]} == {"bbq": 200, "demo": 300, "readings.sqlite": 70}
    assert run(["cache", "--clear", "demo", "--clear", "../kept"]) == 2
    assert (tmp_path / "kept/demo/a/b").exists()
    assert run(["cache", "--clear", "demo"]) == 0
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "bbq",
        "readings.sqlite",
        "readings.sqlite-wal",
    ]
    assert run(["cache", "--clear", "all"]) == 0
    assert not list((tmp_path / "kept").iterdir())


PLENTY = 10**15
Doctor = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def doctor(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Ask how a model fits a machine; the exit code, and what was found by its name, nothing of it fetched."""

    def asked(model: str, torch: bool, disk: int, memory: int) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": disk})())
        monkeypatch.setenv("RELEASE_MAX_MEMORY", str(memory))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
        monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "kept"))
        if not torch:
            monkeypatch.setitem(sys.modules, "torch", None)  # as Python itself sees a package that is not installed
        name = {"llama": str(llama), "demo": "demo"}[model]
        code = run(["doctor", name, "--json"])
        assert not (tmp_path / "kept").exists()
        found = json.loads(capsys.readouterr().out)["found"]
        return code, {each["name"].replace(f"{name}, ", "").replace(name, "model"): each for each in found}

    return asked


@pytest.mark.parametrize(
    ("disk", "memory", "ok", "said"),
    [
        (PLENTY, PLENTY, True, "where it is loaded whole"),
        (PLENTY, 1000, None, "--latency off"),
        (1000, PLENTY, False, "another --out"),
    ],
)
@pytest.mark.parametrize(("model", "torch"), [("llama", True), ("llama", False), ("demo", False)])
def test_doctor_says_whether_a_model_fits_here_and_without_torch_what_is_missing(
    model: str, torch: bool, disk: int, memory: int, ok: bool | None, said: str, doctor: Doctor
) -> None:
    code, found = doctor(model, torch, disk, memory)
    assert code == (ok is False)
    told = found.pop("model")
    assert told["ok"] is ok
    assert re.match(r"[0-9,]+ prunable parameters; needs .* of disk", told["said"])
    assert said in told["said"] + told["remedy"]
    remedies = {name for name, each in found.items() if "[torch]" in each["remedy"]}
    assert remedies == (set() if torch else {"prunecard[torch]", "device", "class"})
    assert ("torch" in found, "cores" in found["device"]["said"]) == (torch, torch)


def test_an_empty_folder_of_its_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nowhere_else").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "kept_out", None)
    assert [installed(name) for name in ("nowhere_else", "not_there", "kept_out", "numpy", "mlx")] == [
        *(False, False, False, True),
        version("mlx") is not None,  # which has no file of its own
    ]


def test_without_torch_nothing_of_the_demo_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "kept"))
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python itself sees a package that is not installed
    told = said("prune demo -m random -s 10% -o " + str(tmp_path / "out"), capsys)
    assert told[0] == 2
    assert "pip install 'prunecard[torch]'" in told[1]
    assert not (tmp_path / "kept").exists()
