"""What benchmarks import is there, in the programs that they keep as strings, too: no type checker reads these."""

import ast
from collections.abc import Iterator
from importlib import import_module, util
from pathlib import Path

import pytest

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
