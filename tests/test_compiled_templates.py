"""Compiled templates are kept between runs, and only what is this user's own is ever run."""

import os
import shutil
import sys
from pathlib import Path

import jinja2
import pytest

from release.card.compiled import compiled_templates

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its files have no owners to go by")


def kept(folder: Path) -> Path:
    """The folder of all that was compiled by this version."""
    [found] = (folder / "templates").iterdir()
    return found


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
        loader=jinja2.DictLoader({"a": source}), autoescape=True, bytecode_cache=compiled_templates()
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
    assert kept(checks).stat().st_mode & 0o777 == 0o700


def test_another_text_is_compiled_anew(checks, compiled):
    assert [render("{{ x }} b"), render("{{ x }} c"), render("{{ x }} c")] == ["1 b", "1 c", "1 c"]
    assert compiled == ["{{ x }} b", "{{ x }} c"]


def test_what_another_jinja2_compiled_is_compiled_anew(checks, compiled, monkeypatch):
    render("{{ x }}")
    monkeypatch.setattr(jinja2, "__version__", "0")
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_what_others_may_write_is_not_run(checks, compiled, mode):
    render("{{ x }}")
    kept(checks).chmod(mode)
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2


def test_what_somebody_elses_folder_holds_is_not_run(checks, compiled, monkeypatch):
    render("{{ x }}")
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2


def test_a_link_to_another_folder_is_not_followed(checks, compiled, tmp_path):
    render("{{ x }}")
    folder = kept(checks)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert render("{{ x }}") == "1"
    assert len(compiled) == 2


@pytest.mark.parametrize("harm", ["cut", "empty", "text"])
def test_what_is_not_whole_is_compiled_anew(checks, compiled, harm):
    render("{{ x }}")
    [file] = kept(checks).iterdir()
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:-9], "empty": b"", "text": b"x" * 99}[harm])
    assert render("{{ x }}") == "1"
    assert file.read_bytes() == whole
    assert len(compiled) == 2


@pytest.mark.parametrize("place", ["templates", "templates/*/*"])
def test_where_nothing_can_be_kept_all_is_compiled(checks, compiled, place):
    render("{{ x }}")
    [found] = checks.glob(place)
    shutil.rmtree(found) if found.is_dir() else found.unlink()
    found.write_text("a file in the way", encoding="utf-8") if place == "templates" else found.mkdir()
    assert [render("{{ x }}"), render("{{ x }}")] == ["1", "1"]
    assert len(compiled) == 3
