"""What is read of a safetensors header is what the library loads; forms that loaders read differently are refused."""

import struct
from pathlib import Path

import pytest
from safetensors import SafetensorError, deserialize

from release.checkpoint.header import LARGEST_HEADER, read_header
from release.errors import UnusableBase

ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
WORDS = '{"dtype":"I32","shape":[1],"data_offsets":[0,4]}'
BOTH_TAKE = {
    "an entry with further fields": ENTRY.replace("}", ',"x":[[{}]]}'),
    "metadata that is null": f'{ENTRY},"__metadata__":null',
    "a tensor without elements": f'{ENTRY},"b":{{"dtype":"F16","shape":[0,9],"data_offsets":[4,4]}}',
    "a type of less than a byte": '{"dtype":"F4","shape":[8],"data_offsets":[0,4]}',
    "a name with NUL": f'{ENTRY},"b\\u0000":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    "the largest size": f'{ENTRY},"b":{{"dtype":"U8","shape":[0,{2**63 - 1}],"data_offsets":[0,0]}}',
    "space in front of the last brace": f"{ENTRY} \n ",
}
ONLY_THE_LIBRARY_TAKES = {
    "a name twice, of which the last counts": f'{ENTRY},"a":{WORDS}',
    "a name twice, once escaped": f'{ENTRY},"\\u0061":{WORDS}',
    "an entry as a list": '["F32",[1],[0,4]]',
    "a type as an object": ENTRY.replace('"F32"', '{"F32":null}'),
    "a size that no array has": f'{ENTRY},"b":{{"dtype":"U8","shape":[0,{2**63}],"data_offsets":[0,0]}}',
}
BOTH_REFUSE = {
    "a field twice": ENTRY.replace('"shape"', '"shape":[1],"shape"'),
    "metadata twice": f'{ENTRY},"__metadata__":{{}},"__metadata__":{{}}',
    "a size as a fraction": ENTRY.replace("[1]", "[1.0]"),
    "an offset of minus nought": ENTRY.replace("[0,4]", "[-0,4]"),
    "two tensors in the same bytes": f'{ENTRY},"b":{ENTRY}',
    "bytes that no tensor has": ENTRY.replace("[1]", "[0]").replace("[0,4]", "[0,0]"),
    "a type nobody knows": ENTRY.replace("F32", "F33"),
    "half a character": f'{ENTRY},"\\ud800":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    "NUL in front of the last brace": f"{ENTRY}\0",
    "a bracket too many": f"{ENTRY}]",
}


def laid(folder: Path, entries: str) -> Path:
    """A file whose header begins with the tensor `a` and goes on as said; four bytes of data."""
    text = f'{{"a":{entries}}}'.encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\1\2\3\4")
    return path


def by_the_library(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]] | None:
    try:
        return {name: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for name, t in deserialize(path.read_bytes())}
    except SafetensorError:
        return None


@pytest.mark.parametrize("entries", BOTH_TAKE.values(), ids=BOTH_TAKE)
def test_what_is_taken_is_what_the_library_loads(entries, tmp_path):
    path = laid(tmp_path, entries)
    header, data = read_header(path), path.read_bytes()
    found = {t.name: (t.dtype, t.shape, data[t.start : t.start + t.nbytes]) for t in header.tensors}
    assert found == by_the_library(path)
    assert header.size == len(data)


@pytest.mark.parametrize("entries", ONLY_THE_LIBRARY_TAKES.values(), ids=ONLY_THE_LIBRARY_TAKES)
def test_forms_that_loaders_read_differently_are_refused_though_the_library_takes_them(entries, tmp_path):
    path = laid(tmp_path, entries)
    assert by_the_library(path) is not None
    with pytest.raises(UnusableBase, match="unusual header"):
        read_header(path)


@pytest.mark.parametrize("entries", BOTH_REFUSE.values(), ids=BOTH_REFUSE)
def test_what_the_library_refuses_is_refused(entries, tmp_path):
    path = laid(tmp_path, entries)
    assert by_the_library(path) is None
    with pytest.raises(UnusableBase):
        read_header(path)


def test_a_header_too_large_to_be_read_is_refused_before_it_is(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", LARGEST_HEADER + 1) + b'{"a":')
        file.truncate(2 * LARGEST_HEADER)
    with pytest.raises(UnusableBase, match="at most"):
        read_header(path)
