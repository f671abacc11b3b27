"""What `release` exports: it is documented, typed, quick to import, and hidden by no module."""

import pkgutil
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import release
from release import Console, Measuring, Plan, Recipe, ReleaseError, measure, prune, push, rebuild
from tests import checkpoints

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
SILENT = Console(quiet=True)


def plan(base: Path, out: Path, sparsity: str = "0.5") -> Plan:
    return Plan(model=str(base), recipe=Recipe.of("magnitude", Decimal(sparsity), 42), out=out)


@pytest.fixture(scope="module")
def example() -> str:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(code)


def test_the_example_of_the_page_runs(example, base_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert example.count('"demo"') == 1
    exec(example.replace('"demo"', repr(str(base_folders["llama"]))), {})
    said = capsys.readouterr().out
    zeros = round(checkpoints.PRUNABLE["llama"] / 10)
    assert f"{zeros:,} of {checkpoints.PRUNABLE['llama']:,} weights are zero in releases/llama-random-s10" in said
    assert (tmp_path / "releases" / "llama-random-s10" / "model" / "release.json").is_file()


def test_a_plan_needs_no_more_than_a_model_and_a_recipe():
    asked = Plan(model="demo", recipe=Recipe.of("random", Decimal("0.1"), 42))
    assert (asked.measuring, asked.out, asked.local) == (Measuring(), Path("releases"), False)


@pytest.mark.parametrize("name", release.__all__)
def test_every_public_name_is_there_documented_and_listed(name):
    assert getattr(release, name).__doc__
    assert name in dir(release)
    assert re.search(rf"`{name}\b", PAGE.read_text(encoding="utf-8"))


def test_no_module_takes_a_public_name():
    """`import release.verify` would put a package where the function was."""
    modules = {module.name for module in pkgutil.iter_modules(release.__path__)}
    assert modules
    assert not modules & set(release.__all__)


def test_a_name_that_is_not_public_is_named():
    with pytest.raises(AttributeError, match="'release' has no attribute 'no_such_name'"):
        _ = release.no_such_name


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, release; print([n for n in ('pydantic', 'numpy', 'torch', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pruning_measures_nothing_whatever_the_plan_says_and_several_come_from_one_read(base_folders, tmp_path):
    plans = [plan(base_folders["llama"], tmp_path, sparsity) for sparsity in ("0.25", "0.5")]
    made = prune(*plans, console=SILENT)
    assert [each.record.pruning.together for each in made] == [2, 2]
    assert [each.folder.name for each in made] == ["llama-magnitude-s25", "llama-magnitude-s50"]
    assert all(each.record.measurements.bbq is None and each.pushed is None for each in made)


def test_a_pruned_model_is_measured_and_made_again(base_folders, tmp_path):
    base = base_folders["llama"]
    [made] = prune(plan(base, tmp_path / "pruned"), console=SILENT)
    off = Measuring(bbq="off", perplexity="off", latency="off")
    assert measure(made.folder, str(base), off, console=SILENT).storage == made.record.measurements.storage
    again = rebuild(made.folder, str(base), tmp_path / "again", console=SILENT)
    assert checkpoints.tensors(again).keys() == checkpoints.tensors(made.folder).keys()
    for name, tensor in checkpoints.tensors(again).items():
        assert (tensor == checkpoints.tensors(made.folder)[name]).all()


def test_what_is_wrong_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(ReleaseError) as refused:
        push(tmp_path, console=SILENT)
    assert refused.value.seen
    assert refused.value.remedy
