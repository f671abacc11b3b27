"""How the source is cut: sizes, what imports what, and names. The tables of exceptions may only shrink."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 40
ARGUMENTS = 6

LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
MANY_ARGUMENTS: dict[str, int] = {}
LAZY_IMPORTS = 119
"""Import statements inside functions of release/; each costs a reader the list at the top of the file."""

PRIVATE_WORDS = frozenset({"beside", "desk", "means", "parcel", "rooms", "ways"})
"""Names that told a reader nothing about what they held; each has a term of the field."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One module or name that a statement imports.

    Attributes:
        line: Of the statement.
        inside: Whether it stands in a function.
    """

    target: str
    line: int
    inside: bool


class Module(NamedTuple):
    """A module of the source."""

    name: str
    text: str
    tree: ast.Module
    is_package: bool


@cache
def modules(folder: str = "release") -> dict[str, Module]:
    """Parse every module under a folder; by dotted name."""
    found = (_module(path) for path in sorted((ROOT / folder).rglob("*.py")))
    return {module.name: module for module in found}


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    text = path.read_text(encoding="utf-8")
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[: len(parts) - is_package]), text, ast.parse(text), is_package)


@cache
def functions() -> dict[str, Function]:
    """Every function of release/, by the names of its module and its class."""
    return {
        f"{module.name}.{node.name + '.' if isinstance(node, ast.ClassDef) else ''}{child.name}": child
        for module in modules().values()
        for node in ast.walk(module.tree)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, Function)
    }


def arguments(function: Function) -> int:
    """How many a caller gives: not `self`, and what `*` and `**` collect counts as nothing."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def imports(module: Module) -> Iterator[Import]:
    """Every import that is run, wherever it stands: not those for a type checker alone."""
    yield from _imports(module, module.tree, inside=False)


def _imports(module: Module, node: ast.AST, *, inside: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from (Import(target, child.lineno, inside) for target in _targets(child))
        yield from _imports(module, child, inside=inside or isinstance(child, Function))


def _targets(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Dotted names of modules; of `from package import name`, `package.name` where that is a module."""
    if isinstance(statement, ast.Import):
        yield from (each.name for each in statement.names)
        return
    assert statement.level == 0, "imports are absolute"
    for each in statement.names:
        whole = f"{statement.module}.{each.name}"
        yield whole if whole in modules() else str(statement.module)


def package(name: str) -> str:
    """The package right under release/ that holds a module; a module that lies there itself is its own."""
    return ".".join(name.split(".")[:2])


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of nodes each of which reaches all others of its set."""
    reached = {node: _reach(graph, node) for node in graph}
    found = {tuple(sorted(other for other in reached[node] if node in reached.get(other, ()))) for node in graph}
    return sorted(list(each) for each in found if len(each) > 1)


def _reach(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for node in graph.get(ahead.pop(), set()) - found:
            found.add(node)
            ahead.append(node)
    return found


def test_a_circle_is_found_whatever_leads_into_it_and_out_of_it():
    graph = {"in": {"a"}, "a": {"b"}, "b": {"c", "out"}, "c": {"a"}, "x": {"y"}, "y": {"x"}, "out": set()}
    assert circles(graph) == [["a", "b", "c"], ["x", "y"]]


def test_no_file_is_long():
    found = {name: len(module.text.splitlines()) for name, module in modules().items()}
    assert {name: lines for name, lines in found.items() if lines > LONG_FILES.get(name, LINES_OF_A_FILE)} == {}
    assert not [name for name in LONG_FILES if found.get(name, 0) <= LINES_OF_A_FILE], "take it off the table"


def test_no_function_is_long():
    found = {name: int(node.end_lineno or 0) - node.lineno + 1 for name, node in functions().items()}
    assert {n: lines for n, lines in found.items() if lines > LONG_FUNCTIONS.get(n, LINES_OF_A_FUNCTION)} == {}
    assert not [name for name in LONG_FUNCTIONS if found.get(name, 0) <= LINES_OF_A_FUNCTION], "take it off the table"


def test_no_function_takes_many_arguments():
    found = {name: arguments(node) for name, node in functions().items()}
    assert {name: count for name, count in found.items() if count > MANY_ARGUMENTS.get(name, ARGUMENTS)} == {}
    assert not [name for name in MANY_ARGUMENTS if found.get(name, 0) <= ARGUMENTS], "take it off the table"


@pytest.mark.parametrize("by", ["module", "package"])
def test_nothing_imports_in_a_circle(by):
    graph: dict[str, set[str]] = defaultdict(set)
    for module in modules().values():
        for each in imports(module):
            ends = (module.name, each.target) if by == "module" else (package(module.name), package(each.target))
            if each.target in modules() and ends[0] != ends[1]:
                graph[ends[0]].add(ends[1])
    assert len(graph) > 20
    assert circles(graph) == []


def test_no_class_name_stands_twice():
    names = Counter(
        node.name
        for folder in ("release", "spaces")
        for module in modules(folder).values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == set()


def identifiers(tree: ast.Module) -> Iterator[str]:
    """Every name that a module gives or uses: of variables, arguments, fields, functions and classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, Function | ast.ClassDef):
            yield node.name


@pytest.mark.parametrize("folder", ["release", "spaces", "tests"])
def test_nothing_has_a_name_of_the_private_dialect(folder):
    found = {
        f"{module.name}: {name}"
        for module in modules(folder).values()
        for name in identifiers(module.tree)
        if name.strip("_").lower() in PRIVATE_WORDS
    }
    assert found == set()


def test_the_byte_layer_knows_neither_torch_nor_the_record():
    inside = [module for name, module in modules().items() if name.startswith("release.checkpoint")]
    assert len(inside) > 10
    for module in inside:
        for each in imports(module):
            assert not each.target.startswith(("torch", "transformers", "release.schema", "release.models")), (
                module.name
            )


def test_pruning_knows_neither_card_nor_hub():
    known = {each.target for name, module in modules().items() if is_in(name, "pruning") for each in imports(module)}
    assert "numpy" in known
    assert not {package(each) for each in known} & {
        "release.card",
        "release.hub",
        "release.evals",
        "release.publishing",
    }


def is_in(name: str, room: str) -> bool:
    return package(name) == f"release.{room}"


def test_imports_stand_at_the_top():
    inside = {(module.name, each.line) for module in modules().values() for each in imports(module) if each.inside}
    assert len(inside) <= LAZY_IMPORTS
