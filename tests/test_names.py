"""A name from outside stays inside the folder that it is joined to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release.names import problem_of
from release.record import FileDigest

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
