"""What benchmarks import is there, in the programs that they keep as strings, too: no type checker reads these.

The page of performance says what was measured, and nothing else.
"""

import ast
import json
from collections.abc import Iterator
from importlib import import_module, util
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.rows import BENCHES, ROWS
from tests.space_fixtures import APP, module

BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))


def imports(text: str) -> Iterator[ast.ImportFrom]:
    """The `from … import …` of a program, and of the programs in its strings."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nfrom release" in node.value:
            yield from imports(node.value)


def is_there(source: str, name: str) -> bool:
    held = module(source) if (APP / f"{source}.py").is_file() else import_module(source)
    return hasattr(held, name) or util.find_spec(f"{source}.{name}") is not None


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(path: Path) -> None:
    found = imports(path.read_text(encoding="utf-8"))
    asked = [(node.module or "", each.name) for node in found for each in node.names]
    ours = [each for each in asked if each[0].split(".")[0] == "release" or (APP / f"{each[0]}.py").is_file()]
    assert [each for each in ours if not is_there(*each)] == []


def test_the_page_of_performance_is_written_from_what_was_measured() -> None:
    held = json.loads(page.DATA.read_text(encoding="utf-8"))
    assert page.PAGE.read_text(encoding="utf-8") == page.page(held), "run python -m benchmarks.page --render"
    assert held["rows"].keys() <= {row.key for row in ROWS}
    for found in held["rows"].values():
        assert found["values"]
        assert min(found["values"]) > 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_row_of_the_page_is_said_by_its_benchmark(row) -> None:
    text = (page.ROOT / "benchmarks" / f"{BENCHES[row.bench].module}.py").read_text(encoding="utf-8")
    assert "say(" in text
    assert row.key in text or row.key.rpartition(".")[0] in text
