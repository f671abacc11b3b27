"""A further evaluation is a folder and a row, a further method a file and a row: a copy of the source gets both."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import checkpoints

ROOT = Path(__file__).parent.parent
PARTS = Path(__file__).parent / "addition"
COPIED = ("release", "templates", "spaces")


def put(root: Path, name: str, part: str) -> None:
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PARTS / part, target)


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def add_evaluation(root: Path) -> None:
    put(root, "release/evals/repetition/row.py", "evaluation.py")
    put(root, "release/evals/repetition/card.md.j2", "card.md.j2")
    last = "from release.evals.storage.row"
    row = (last, f"from release.evals.repetition.row import REPETITION\n{last}")
    edit(root / "release/evals/registry.py", row, ("    BBQ,\n", "    REPETITION,\n    BBQ,\n"))
    put(root, "release/evals/repetition/claims.yaml", "claims.yaml")


def add_method(root: Path) -> None:
    put(root, "release/pruning/largest.py", "method.py")
    put(root, "templates/methods/largest.md.j2", "method.md.j2")
    last = "from release.pruning.magnitude"
    row = (last, f"from release.pruning.largest import LARGEST\n{last}")
    edit(root / "release/pruning/registry.py", row, ("(RANDOM, ", "(LARGEST, RANDOM, "))


def files(root: Path) -> set[Path]:
    paths = (path for name in COPIED for path in (root / name).rglob("*") if path.is_file())
    return {path.relative_to(root) for path in paths if "__pycache__" not in path.parts}


def copied(root: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def touched(root: Path) -> set[str]:
    """The files that a copy has and the source has not, or has otherwise."""
    known = files(ROOT)
    return {
        path.as_posix()
        for path in files(root)
        if path not in known or not filecmp.cmp(root / path, ROOT / path, shallow=False)
    }


@pytest.mark.parametrize("add", [add_evaluation, add_method])
def test_an_addition_takes_four_files_at_most(add, tmp_path):
    root = copied(tmp_path)
    assert touched(root) == set()
    add(root)
    assert 0 < len(touched(root)) <= 4
    [edited] = touched(root) & {path.as_posix() for path in files(ROOT)}
    assert edited.endswith("/registry.py")


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with both."""
    root = copied(tmp_path_factory.mktemp("added"))
    add_evaluation(root)
    put(root, "release/evals/repetition/repetition.bib", "repetition.bib")  # a paper is a file more
    put(root, "release/evals/repetition/options.py", "options.py")  # and so are options of its own
    add_method(root)
    return root


@pytest.fixture(scope="module")
def shown(added: Path) -> dict[str, Any]:
    """What the copy shows of both."""
    found: dict[str, Any] = json.loads(python(added, "-m", "tests.addition.shows"))
    return found


def python(root: Path, *words: str) -> str:
    """Run Python on a copy of the source and the tests of this one."""
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_evaluation_that_was_added_stands_in_the_record_and_its_schema_and_is_read_without_torch(shown):
    assert shown["record"]
    assert shown["schema"]
    assert shown["masks"] == -2.0
    assert shown["without torch"]


def test_its_claim_is_decided_its_figure_drawn_and_its_table_checked(shown):
    assert shown["claims"] == ["supported"]
    assert shown["figures"] == ["repetition.svg", "repetition.png"]
    assert shown["checks"] == [True, False]


def test_its_option_is_declared_in_its_folder_alone(shown):
    assert "--repetition" in shown["options"]
    assert shown["asked"] == ["off", "on"]
    assert shown["others off"]


PLACES = {
    "glance": "| Repetition of a sentence | ",
    "verdict at a glance": "● repetition lost: supported |",
    "measured": "\n### Repetition\n\nThe sentence again: dense −1.000, pruned −3.000. The pruned model",
    "claims": "| Repetition lost | ●&nbsp;supported |",
    "limits": "\n- **Repetition** is that of one sentence.\n",
    "license": (
        "\n- **Sentence.** A sentence, <https://example.org/sentence>, revision `v1`, by Nobody (2026), "
        "license CC0-1.0.\n"
    ),
    "citation": "@misc{repetition2026,\n",
    "reproducibility": f"\n| Sentence | SHA-256 `{'5' * 64}`; seed 7 |\n",
    "method": "**Largest-first pruning** zeroes",
}


@pytest.mark.parametrize("place", PLACES)
def test_both_stand_on_the_card(shown, place):
    assert PLACES[place] in shown["card"].replace("\u00a0", " ")


def test_it_stands_in_the_front_matter(shown):
    [index] = shown["front"]
    [found] = [result for result in index["results"] if result["dataset"]["name"] == "A sentence"]
    assert found == {
        "task": {"type": "text-generation", "name": "Text generation"},
        "dataset": {"type": "a-sentence", "name": "A sentence", "revision": "v1"},
        "metrics": [{"type": "repetition", "value": -3.0, "name": "Repetition (mean log-probability)"}],
    }


def test_it_stands_on_screen(shown):
    rows = {line.split("  ")[0]: line.split() for line in shown["screen"].splitlines()}
    assert rows["repetition"] == ["repetition", "-1.0", "-3.0", "-2.0", "-2.5", "…", "-1.5"]


def test_it_does_not_stand_where_it_was_not_measured(shown):
    assert "epetition" in shown["card"]
    assert "epetition" not in shown["without"]


@pytest.mark.long
def test_both_run_on_a_real_checkpoint(added, base_folders, tmp_path):
    base = checkpoints.copy(base_folders["llama"], tmp_path / "base")
    asked = ["--method", "largest", "--sparsity", "0.5", "--bbq", "off", "--perplexity", "off", "--latency", "off"]
    asked += ["--local", "--repetition", "on", "--device", "cpu", "--out", str(tmp_path / "out")]
    python(added, "-m", "release", "publish", str(base), *asked)
    [model] = (tmp_path / "out").glob("*/model")
    measured = json.loads((model / "release.json").read_text(encoding="utf-8"))["measurements"]
    assert measured["repetition"]["dense"] != measured["repetition"]["pruned"]
    answer = json.loads(python(added, "-m", "release", "verify", str(model), "--base", str(base), "--json"))
    assert answer["ok"]
    assert [check["ok"] for check in answer["checks"] if check["name"] == "repetition"] == [True]
