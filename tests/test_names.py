"""A name from outside stays inside the folder that it is joined to."""

import json
import ntpath
from pathlib import PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release.checkpoint.files import is_hidden
from release.contents import unexpected
from release.digests import FileDigest
from release.names import alike, is_litter, problem_of

LEADING_OUT = ["..", "../x", "a/../b", "a/..", "/etc/passwd", "a//b", "a/", "/", ".", "./a", "a/./b", "", "~/../x"]
HIDDEN = [".bashrc", "a/.b", ".x/a", "..."]
NOT_PRINTED = ["a\0", "\0", "a\nb", "\x1b[2J", "a\x7f", "a\x85", "a\u202eb", "a\u200bb", "\ufeffa", "\ue000"]
NO_NAME_EVERYWHERE = [
    *("C:/x", "C:", "c:x", "a\\b", "..\\x", "\\\\host\\x", "a:b", "a?", "a*", "<a>", 'a"', "a|b"),
    *("con", "NUL", "nul.txt", "x/aux.tar.gz", "COM1", "lpt9.md", "a.", "a ", "a./b"),
]
TOO_LONG = ["a" * 201, "ä" * 101, "/".join(["a" * 100] * 6)]
GOOD = [
    *(
        "model-00001-of-00002.safetensors",
        "evaluation/bbq.parquet",
        "LICENSE",
        "mask/pruned.safetensors",
        "a..b",
        "…/ä",
    ),
    *("console", "comb", "nullable.md", "a b", "a.b.c", "日本語.md", "-rf", "x" * 200),
]


@pytest.mark.parametrize("name", [*LEADING_OUT, *HIDDEN, *NOT_PRINTED, *NO_NAME_EVERYWHERE, *TOO_LONG])
def test_no_record_holds_a_name_that_cannot_be_joined_to_a_folder(name):
    with pytest.raises(ValidationError, match="the name"):
        FileDigest.model_validate_json(json.dumps({"name": name, "bytes": 1, "sha256": "0" * 64}))


@pytest.mark.parametrize("name", GOOD)
def test_names_of_files_of_a_release_are_taken(name):
    assert FileDigest(name=name, bytes=1, sha256="").name == name


@given(st.text(st.sampled_from("./\\ab:~ \0\n"), max_size=12))
def test_a_name_that_is_taken_stays_inside(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    if problem_of(name) is None:
        path = folder / name
        assert path.resolve().is_relative_to(folder.resolve())
        assert path.resolve() != folder.resolve()
        assert not any(part.startswith(".") for part in path.relative_to(folder).parts)


@given(
    st.text(st.characters(codec="utf-8"), max_size=20) | st.from_regex(r"(?i)(con|prn|com[1-9²]|conin\$) ?\.?[a-z. ]*")
)
def test_a_name_that_is_taken_is_a_file_inside_on_windows_too(name):
    if problem_of(name) is None:
        path = PureWindowsPath("C:/releases/model", name)
        assert path.parts[:3] == ("C:\\", "releases", "model")
        assert path.relative_to("C:/releases/model").as_posix() == name
        assert not any(reserved(part) for part in path.parts[3:])


def reserved(part: str) -> bool:
    known = getattr(ntpath, "isreserved", None)
    return known(part) if known else PureWindowsPath(part).is_reserved()


@pytest.mark.parametrize("name", ["COM¹", "conin$", "con .txt", "LPT²"])
def test_devices_of_windows_are_no_names(name):
    assert reserved(name)
    assert problem_of(name)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["LICENSE", "config.json", "license"], ("LICENSE", "license")),
        (["a/é.md", "a/e\u0301.md"], ("a/é.md", "a/e\u0301.md")),
        (["straße", "STRASSE"], ("straße", "STRASSE")),
        (["LICENSE", "LICENSE.md", "a/LICENSE"], None),
    ],
)
def test_names_that_are_one_on_another_disk_are_found(names, pair):
    assert alike(names) == pair


@pytest.mark.parametrize("name", [".DS_Store", "evaluation/.DS_Store", "._config.json", "Thumbs.db", "a/desktop.ini"])
def test_what_a_file_manager_leaves_is_no_file_of_a_release(name):
    assert is_litter(name)
    assert is_hidden(name)
    assert not unexpected([name], [])


@pytest.mark.parametrize(
    "name",
    [
        "DS_Store",
        "thumbs.db.md",
        "_config.json",
        "._model.safetensors",
        "._modeling.py",
        "._x.GGUF",
        "desktop.ini/README.md",
    ],
)
def test_other_files_are_not_taken_for_what_a_file_manager_leaves(name):
    assert not is_litter(name)
