"""Inputs that each target takes, made by the product itself so that they never grow stale."""

import json
import math
import struct
from functools import cache
from random import Random

import numpy as np
from safetensors.numpy import save

from release.card import render as card
from release.evals.bbq.answers import Answers, Task
from release.evals.bbq.table import SIDES, write_answers
from release.evals.perplexity.table import write_losses
from release.resources import resource
from release.verification import sparsity_table as sparsity
from tests.evals.items import item_of, sample_of
from tests.fuzz import readers
from tests.records import dense_against_dense, example_record, unmeasured

BITS = {"U8": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "F8_E4M3": 8, "F4": 4, "BOOL": 8, "I64": 64, "C64": 64}
MOST_DATA = 4096


@cache
def headers() -> list[bytes]:
    """Small safetensors files: some types, shapes with 0 and without sizes, metadata."""
    some = {"a": np.zeros((2, 3), "<f4"), "b": np.ones((0, 4), "<f2"), "c": np.ones((), "<f8"), "d": np.ones(3, "|u1")}
    one = {"model.layers.0.mlp.down_proj.weight": np.arange(6, dtype="<f4").reshape(2, 3)}
    rare = {"x": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}
    rare |= {"y": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [4, 8]}}
    text = json.dumps(rare).encode()
    return [save(some), save(one, {"format": "pt"}), save({}), struct.pack("<Q", len(text)) + text + bytes(8)]


def with_length(data: bytes, random: Random) -> bytes:
    """Most times, put the length in front of a header right; half of these times its offsets and its data too."""
    begin, end = data.find(b"{"), data.rfind(b"}") + 1
    if begin < 0 or end <= begin or random.random() < 0.2:
        return data
    text, rest = data[begin:end], data[end:]
    if random.random() < 0.5:
        text, rest = _laid_out(text, rest)
    return struct.pack("<Q", len(text)) + text + rest


def _laid_out(text: bytes, rest: bytes) -> tuple[bytes, bytes]:
    """Give each tensor of a header its place after the one before."""
    try:
        entries, end = json.loads(text), 0
        for name, entry in entries.items():
            if name != "__metadata__":
                count = math.prod(min(int(size), 64) for size in entry["shape"])
                entry["data_offsets"] = [end, end := end + BITS[entry["dtype"]] * count // 8]
        return json.dumps(entries).encode(), bytes(end) if end < MOST_DATA else rest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return text, rest


def indexes() -> list[bytes]:
    """The index of two shards."""
    weights = {tensor: shard for shard, tensor in readers.SHARDS.items()}
    return [json.dumps({"metadata": {"total_size": 48}, "weight_map": weights}).encode()]


def configs() -> list[bytes]:
    """Two model types, one with what pruning drops."""
    llama = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 2}
    return [json.dumps(each).encode() for each in (llama, {"model_type": "phi3", "auto_map": {"AutoConfig": "x.Y"}})]


@cache
def records() -> list[bytes]:
    """A full record, one without measurements, and one of a model measured against itself."""
    made = (example_record(), unmeasured(), example_record(measurements=dense_against_dense()))
    return [record.to_json().encode() for record in made]


def tables() -> list[bytes]:
    """Two tensors of a release."""
    row = "model.layers.0.mlp.down_proj.weight,mlp.down_proj,BF16,2×3,6,2,0,2,1," + "a" * 64
    norm = "model.norm.weight,,BF16,3,3,0,0,0,0," + "b" * 64
    return ["\n".join((",".join(sparsity.SparsityRow.model_fields), row, norm, "")).encode()]


@cache
def answer_tables() -> list[bytes]:
    """The answers of two models to three items."""
    items = tuple(item_of("Age", 1, number) for number in range(3))
    values = np.array([[-1, -2, -3], [-2, -1, -3], [-3, -2, -1]], dtype=np.float32)
    found = Answers(values.argmax(axis=1)[:, None], values, None, None, 0, 0.0)
    path = readers.place("made.parquet")
    write_answers(path, Task(sample_of(list(items)), "answers", "plain"), {"dense": found, "pruned": found}, None)
    return [path.read_bytes()]


@cache
def loss_tables() -> list[bytes]:
    """The losses of two models in three windows."""
    path = readers.place("losses.parquet")
    write_losses(path, readers.TOKENS, {side: np.array([1.5, 2.25, 3.0]) for side in SIDES})
    return [path.read_bytes()]


@cache
def cards() -> list[bytes]:
    """The card of a full record, and the same after a person wrote around it."""
    made = card.render(example_record())
    head, _, rest = made.partition("\n")
    return [text.encode() for text in (made, f"{head}\nmine: [1, x]\n{rest}\nMy own words.\n")]


def own_words() -> list[bytes]:
    """What people write around a card."""
    fields = "mine: [1, x]\ntags: [llm]\nextra_gated_heading: Ask\n", "datasets:\n- a/b\n", ""
    words = "My own words.\n\n## More\n", "\u00e9\n<!-- a mark of mine -->\n", "\n"
    return [f"{above}{readers.BEHIND}{below}".encode() for above, below in zip(fields, words, strict=True)]


def foreign_cards() -> list[bytes]:
    """What other tools write."""
    metric = "- {name: Sparsity, type: sparsity, value: 33}"
    front = f"---\nmodel-index:\n- name: x\n  results:\n  - metrics:\n    {metric}\n---\n"
    said = "# A model, Wanda pruning at 33% target sparsity\n- **Actual sparsity:** 33.3333%\n| Sparsity | 0.5 |\n"
    counted = "Zeroed parameters: 1,207,959,552 of 3,623,878,656 prunable (33.33%)\n* Zeroed weights: 1.21B / 3.62B\n"
    return [(front + said + counted).encode(), counted.encode()]


def studies() -> list[bytes]:
    """The study that ships, and the shortest."""
    shipped = (resource("templates") / "studies" / "rath2026.yaml").read_bytes()
    return [shipped, json.dumps({"title": "T", "authors": "A", "bibtex": "@x{y}", "sparsities": [0.1]}).encode()]


def plans() -> list[bytes]:
    """Words of the command line, one a line, in the order that `readers.plan` takes them."""
    first = ("0.1,0.25", "random", "", "", "uniform", "refuse", "200", "32", "42")
    second = ("", "magnitude", "2:4", "tensor", "uniform", "magnitude", "auto", "off", "")
    third = ("0.5", "wanda", "", "row", "owl", "refuse", "full", "8", "")
    return ["\n".join(words).encode() for words in (first, second, third)]


@cache
def signatures() -> list[bytes]:
    """A signature that holds."""
    return [readers.signed()]
