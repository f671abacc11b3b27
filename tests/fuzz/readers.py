"""What each target does with its bytes: the product's own reader of them, and what uses its result at once."""

import json
import os
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import gettempdir, mkdtemp

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from release.card import foreign as foreign_card
from release.card import render as cards
from release.card.check import differences
from release.card.merge import Copy, merge, required
from release.card.parts import Card, parse
from release.checkpoint.files import Folder
from release.checkpoint.folder import CONFIG, open_checkpoint
from release.checkpoint.header import Header, read_header
from release.checkpoint.loading import INDEX
from release.errors import ReleaseError
from release.evals.bbq.table import read_answers
from release.evals.perplexity.table import read_losses
from release.names import SIGNATURE
from release.plan import release_name
from release.progress import Console
from release.pruning.recipe import Recipe
from release.schema.record import FILE_NAME
from release.schema.study import read_study
from release.settings.command import understood
from release.settings.measuring import Measuring
from release.settings.option import shares
from release.settings.recipe import RecipeOptions
from release.verification import signing
from release.verification import sparsity_table as sparsity
from release.verification.inspection import read_record
from tests.records import example_record, unmeasured

DECIDED: Mapping[str, str] = {
    "stands in it twice": "the last entry counts there, the first in other loaders",
    "is not described as the library describes": "other loaders do not read a list for an entry, an object for a type, "
    "or a size beyond 2^63 - 1; the library writes none of them",
    "bytes; at most": "the library's limit of 100 MB takes gigabytes of memory to read",
}
"""Words of a refusal → why a file that the safetensors library takes is refused all the same. None is taken that the
library refuses."""

WINDOWS, TOKENS = 3, 7
HELD = foreign_card.Held(1000, 333, 1200, 340, 3)


@cache
def scratch() -> Path:
    """A folder of this process, in memory where there is such a place."""
    memory = Path("/dev/shm")
    return Path(mkdtemp(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else gettempdir()))


@cache
def place(name: str) -> Path:
    """Where the input of a reader lies: alone in a folder."""
    folder = scratch() / name.replace(".", "-")
    folder.mkdir()
    return folder / name


def laid(name: str, data: bytes) -> Path:
    """Write an input where its reader finds it."""
    path = place(name)
    with path.open("wb", buffering=0) as file:
        file.write(data)
    return path


def header(data: bytes) -> None:
    """Read a header, and hold the outcome against the safetensors library's own."""
    theirs = _by_the_library(data)
    try:
        ours = read_header(laid("model.safetensors", data))
    except ReleaseError as refusal:
        if theirs is not None and not any(words in refusal.seen for words in DECIDED):
            raise AssertionError(f"only we refuse it: {refusal.seen}") from None
        raise
    assert theirs is not None, "only we take it"
    assert _tensors(ours, data) == theirs, "we count something else than the library loads"
    assert ours.size == len(data)


def _by_the_library(data: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]] | None:
    try:
        found = deserialize(data)
    except SafetensorError:
        return None
    return {name: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for name, t in found}


def _tensors(header: Header, data: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {t.name: (t.dtype, t.shape, data[t.start : t.start + t.nbytes]) for t in header.tensors}


SHARDS = {
    "model-00001-of-00002.safetensors": "model.embed_tokens.weight",
    "model-00002-of-00002.safetensors": "model.layers.0.mlp.down_proj.weight",
}
"""Shard → the tensor in it."""


@cache
def _sharded(name: str) -> Path:
    """A checkpoint in two shards, for targets that write one of its files anew."""
    folder = place(name).parent
    for shard, tensor in SHARDS.items():
        save_file({tensor: np.ones((2, 3), "<f4")}, folder / shard)
    (folder / CONFIG).write_text('{"model_type": "llama"}')
    weights = {tensor: shard for shard, tensor in SHARDS.items()}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 48}, "weight_map": weights}))
    return folder


def index(data: bytes) -> None:
    """Read a checkpoint with this index; whatever is read lies in its folder."""
    folder = _sharded(INDEX)
    laid(INDEX, data)
    found = open_checkpoint(folder)
    assert {header.path.name for header in found.headers} <= SHARDS.keys()


def config(data: bytes) -> None:
    """Read a checkpoint with this config.json."""
    folder = _sharded(CONFIG)
    laid(CONFIG, data)
    assert open_checkpoint(folder).architecture


def record(data: bytes) -> None:
    """Read a record; where it holds, ask for its recipe and render its card, as `verify` does."""
    found = read_record(Folder(laid(FILE_NAME, data).parent))
    if found is not None:
        Recipe.recorded(found.pruning)
        cards.compare(found, "")


def answers(data: bytes) -> None:
    """Read a table of answers, in the way that its columns say."""
    found = read_answers(data, "answers", (), None)
    assert len(found.items) == len(found.dense.choices) == len(found.pruned.choices)


def losses(data: bytes) -> None:
    """Read a table of losses."""
    for side in read_losses(data, WINDOWS, TOKENS):
        assert np.isfinite(side).all()


def table(data: bytes) -> tuple[sparsity.SparsityRow, ...]:
    """Read a table of tensors."""
    return sparsity.parse(data)


@cache
def _new_card() -> Card:
    made = parse(cards.render(example_record()))
    assert made is not None
    return made


def card(data: bytes) -> None:
    """Take a card apart, hold it against the one that is due, and merge what people wrote in it."""
    text, new = data.decode("utf-8", "replace"), _new_card()
    found = parse(text)
    for by_line in (True, False):
        _ = found and differences(found, new, by_line=by_line)
    required(merge(new, [Copy("README.md", text)], text))


def own_words(data: bytes) -> None:
    """Merge a card around which a person wrote, fields in front and words behind; merged again it stays as it is."""
    fields, _, words = data.decode("utf-8", "replace").partition(BEHIND)
    opening, _, rest = _short_card().text.partition("\n")
    written = f"{opening}\n{fields}\n{rest}{words}"
    made = required(merge(_short_card(), [Copy("README.md", written)], written))
    assert required(merge(_short_card(), [Copy("README.md", made)], made)) == made


BEHIND = "\n===\n"
"""What tells a person's fields from their words."""


@cache
def _short_card() -> Card:
    made = parse(cards.render(unmeasured()))
    assert made is not None
    return made


def foreign(data: bytes) -> None:
    """Find the claims of somebody else's card."""
    foreign_card.compare(data.decode("utf-8", "replace"), HELD)


def study(data: bytes) -> None:
    """Read a study and ask it what a card asks."""
    found = read_study(laid("study.yaml", data))
    _ = found.address, found.results_for("x"), found.covers("x", "random", Decimal("0.1"))


def plan(data: bytes) -> None:
    """Read the words of a command line, and name the release they ask for."""
    words = [*data.decode("utf-8", "replace").split("\n"), *[""] * 9]
    sparsities, method, pattern, scope, allocation, uncalibrated, bbq, windows, seed = words[:9]
    understood(Measuring, {"bbq": bbq, "perplexity": windows})
    for share in shares(sparsities or None):
        asked = {"method": method, "seed": len(seed), "scope": scope or None, "pattern": pattern or None}
        options = understood(RecipeOptions, asked | {"allocation": allocation, "uncalibrated": uncalibrated})
        recipe = Recipe.asked(options.model_copy(update={"sparsity": share}))
        assert len(release_name("base", recipe)) < 255, "no disk takes such a name"


def signature(data: bytes) -> None:
    """Check a signature; one that holds is over these very files."""
    found = signing.check(data, signing.signed_files(Folder(_signed_folder())), public_key())
    assert found.detail


@cache
def _signed_folder() -> Path:
    """Two files, signed with `private_key`."""
    folder = laid("config.json", b"{}").parent
    (folder / "more.txt").write_bytes(b"more")
    signing.signer(private_key()).seal(folder, Console(quiet=True))
    return folder


def signed() -> bytes:
    """Their signature."""
    return (_signed_folder() / SIGNATURE).read_bytes()


@cache
def private_key() -> Path:
    """A key of this process."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP256R1())
    path = laid("key.pem", made.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    public = made.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


def public_key() -> Path:
    """Its public half."""
    return private_key().with_suffix(".pub")
