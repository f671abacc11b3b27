"""Compiled templates are kept between runs, and only what is this user's own is ever run."""

import os
import sys
from pathlib import Path

import jinja2
import pytest

from release.card.compiled import CompiledTemplates

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its files have no owners to go by")


def kept(folder: Path) -> Path:
    found = list((folder / "templates").iterdir())
    assert len(found) == 1
    return found[0]


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELEASE_CHECKS", str(tmp_path))
    return tmp_path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled, not taken over."""
    seen: list[str] = []
    ours = jinja2.Environment.compile

    def compiling(self: jinja2.Environment, source: str, *more: object, **others: object) -> object:
        seen.append(source)
        return ours(self, source, *more, **others)

    monkeypatch.setattr(jinja2.Environment, "compile", compiling)
    return seen


def render(source: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"a": source}), autoescape=True, bytecode_cache=CompiledTemplates()
    )
    return environment.get_template("a").render(x=1)


def test_a_template_is_compiled_once(checks, compiled):
    assert [render("{{ x }} b") for _ in range(3)] == ["1 b"] * 3
    assert compiled == ["{{ x }} b"]


def test_what_is_kept_is_this_users_alone(checks):
    before = os.umask(0o002)
    try:
        render("{{ x }}")
    finally:
        os.umask(before)
    assert kept(checks).stat().st_mode & 0o777 == 0o600


def test_another_text_is_compiled_anew(checks, compiled):
    assert [render("{{ x }} b"), render("{{ x }} c"), render("{{ x }} c")] == ["1 b", "1 c", "1 c"]
    assert compiled == ["{{ x }} b", "{{ x }} c"]


@pytest.mark.parametrize("version", ["jinja2", "python", "code"])
def test_what_others_compiled_is_compiled_anew(checks, compiled, monkeypatch, version):
    render("{{ x }}")
    if version == "jinja2":
        monkeypatch.setattr(jinja2, "__version__", "0")
    elif version == "python":
        monkeypatch.setattr(sys, "version", "0")
    else:
        monkeypatch.setattr("release.card.compiled.CODE", ("errors.py",))
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_may_write_is_not_run(checks, compiled, mode):
    render("{{ x }}")
    kept(checks).chmod(mode)
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2
    assert kept(checks).stat().st_mode & 0o777 == 0o600


def test_what_somebody_else_put_there_is_not_run(checks, compiled, monkeypatch):
    render("{{ x }}")
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped", "text"])
def test_what_is_not_whole_is_compiled_anew(checks, compiled, harm):
    render("{{ x }}")
    whole = kept(checks).read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    kept(checks).write_bytes({"cut": whole[:-1], "empty": b"", "flipped": flipped, "text": b"x" * 99}[harm])
    assert render("{{ x }}") == "1"
    assert kept(checks).read_bytes() == whole
    assert len(compiled) == 2


def test_where_nothing_can_be_kept_all_is_compiled(checks, compiled):
    (checks / "templates").write_text("a file in the way", encoding="utf-8")
    assert [render("{{ x }}"), render("{{ x }}")] == ["1", "1"]
    assert len(compiled) == 2
