"""How long pruning takes beside copying, syncing and hashing the same files, and how much memory it needs.

    python -m benchmarks.prune [--layers 32] [--rounds 3] [--folder DIR] [--usual]

Makes a synthetic bf16 checkpoint of Phi-3.5-mini's shapes (7.6 GB with all 32 layers), then runs in turn: `cp`, `sync`
and Python's hashlib SHA-256 over the copy; random; magnitude; the audit of what that wrote; plain hashing; verify. With
--usual also the usual way: load the model, multiply by a random mask, save. Prints the median seconds, the median of
each round's ratio with the least and the largest, and the peak memory of the process. Absolute seconds mean little on a
shared machine, and a round is only as good as the machine was idle.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import say

HIDDEN, FFN, VOCABULARY = 3072, 8192, 32064
SHARD_BYTES = 5_000_000_000
NOISE = 1 << 24
"""Different weights; tensors repeat them."""

Run = tuple[float, int]
"""Seconds, and the process's peak memory in bytes (0 where it is not of interest)."""

KEYS = {
    "whole, first time": "prune.first",
    "whole, random": "prune.whole.random",
    "whole, magnitude": "prune.whole.magnitude",
    "random": "prune.random",
    "magnitude": "prune.magnitude",
    "verify": "prune.count",
    "audit, beside the base": "prune.audit",
}
"""Row here → row of the page of performance."""

PRUNE = """
import resource, sys, time
from decimal import Decimal
from pathlib import Path
from release.checkpoint.folder import open_checkpoint
from release.progress import Console
from release.pruning.prune import Job, PruneContext, prune
from release.pruning.recipe import Recipe
base, out, method = sys.argv[1:4]
checkpoint = open_checkpoint(Path(base))
job = Job(Recipe.of(method, Decimal("0.5"), 42), Path(out), Path(out, "work"))
started = time.perf_counter()
prune(checkpoint, [job], Console(quiet=True), PruneContext())
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
AUDIT = """
import resource, sys, time
from pathlib import Path
from release.checkpoint.count import BaseReader, CountPlan, count
from release.checkpoint.files import Folder
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.header import read_header
from release.checkpoint.prunable import prunable
base = open_checkpoint(Path(sys.argv[1]))
names = set(prunable(base))
started = time.perf_counter()
with BaseReader(base) as dense:
    for path in sorted(Path(sys.argv[2]).glob("*.safetensors")):
        count(read_header(path), CountPlan(names, dense), lambda _: None, Folder(path.parent, direct=True))
    dense.digests()
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
VERIFY = """
import resource, sys, time
from pathlib import Path
from release.checkpoint.count import CountPlan, count
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import prunable
checkpoint = open_checkpoint(Path(sys.argv[1]))
names = set(prunable(checkpoint))
started = time.perf_counter()
for header in checkpoint.headers:
    count(header, CountPlan(names), lambda _: None)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
WHOLE = """
import os, resource, subprocess, sys, time
base, out, method, checks = sys.argv[1:5]
words = ["prune", base, "--method", method, "--sparsity", "0.5", "--out", os.path.join(out, "model")]
started = time.perf_counter()
subprocess.run(
    [sys.executable, "-m", "release", *words],
    check=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    env={**os.environ, "RELEASE_CHECKS": checks},
)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
USUAL = """
import os, resource, sys, time
import torch
from transformers import AutoModelForCausalLM
started = time.perf_counter()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
with torch.inference_mode():
    for name, weight in model.named_parameters():
        if ".layers." in name and weight.dim() == 2:
            weight.mul_(torch.rand_like(weight, dtype=torch.float32) >= 0.5)
model.save_pretrained(sys.argv[2])
os.sync()
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Row:
    """One thing that is timed.

    Attributes:
        against: The row whose time is 1.
        fresh: Whether the output folder is emptied before.
    """

    name: str
    work: Callable[[], Run]
    against: str | None = None
    fresh: bool = True


def shapes(layers: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (vocabulary, HIDDEN)
    for i in range(layers):
        block = f"model.layers.{i}"
        yield f"{block}.input_layernorm.weight", (HIDDEN,)
        yield f"{block}.mlp.down_proj.weight", (HIDDEN, FFN)
        yield f"{block}.mlp.gate_up_proj.weight", (2 * FFN, HIDDEN)
        yield f"{block}.post_attention_layernorm.weight", (HIDDEN,)
        yield f"{block}.self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        yield f"{block}.self_attn.qkv_proj.weight", (3 * HIDDEN, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (vocabulary, HIDDEN)


def make(folder: Path, layers: int, vocabulary: int = VOCABULARY) -> None:
    """Write the checkpoint, one tensor in memory at a time: bf16 values of a normal distribution."""
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    size = 0
    for name, shape in shapes(layers, vocabulary):
        nbytes = 2 * int(np.prod(shape))
        if size + nbytes > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += nbytes
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for file, shard in zip(files, shards, strict=True):
        write_shard(folder / file, shard)
    weight_map = {name: file for file, shard in zip(files, shards, strict=True) for name, _ in shard}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(config(layers, vocabulary)))


def config(layers: int, vocabulary: int) -> dict[str, object]:
    return {
        "model_type": "phi3",
        "architectures": ["Phi3ForCausalLM"],
        "hidden_size": HIDDEN,
        "intermediate_size": FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "vocab_size": vocabulary,
        "pad_token_id": 0,
        "dtype": "bfloat16",
    }


def write_shard(path: Path, shard: list[tuple[str, tuple[int, ...]]]) -> None:
    header, offset = {}, 0
    for name, shape in shard:
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    text += b" " * (-len(text) % 8)
    noise = (np.random.default_rng(0).standard_normal(NOISE, dtype=np.float32) * 0.02).view("<u4") >> 16
    noise = noise.astype("<u2")
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, shape in shard:
            left = int(np.prod(shape))
            while left:
                file.write(noise[: min(left, noise.size)].data)
                left -= min(left, noise.size)


def copy_and_hash(base: Path, out: Path) -> Run:
    started = time.perf_counter()
    for file in sorted(base.glob("*.safetensors")):
        subprocess.run(["cp", str(file), str(out / file.name)], check=True)
    os.sync()
    hash_files(out)
    return time.perf_counter() - started, 0


def hash_files(folder: Path) -> Run:
    started = time.perf_counter()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            hashlib.file_digest(handle, "sha256")
    return time.perf_counter() - started, 0


def ours(code: str, *arguments: object) -> Run:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    seconds, kib = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(seconds), int(kib) * 1024


def first(base: Path, out: Path, method: str) -> Run:
    """The whole command where nothing is known of the base: neither its class nor its digests."""
    with tempfile.TemporaryDirectory() as checks:
        return ours(WHOLE, base, out, method, checks)


def rows(base: Path, out: Path, usual: bool) -> list[Row]:
    floor, checks = "cp + sync + hashlib", base.parent / "checks"
    found = [
        Row(floor, lambda: copy_and_hash(base, out)),
        Row("random", lambda: ours(PRUNE, base, out, "random"), floor),
        Row("magnitude", lambda: ours(PRUNE, base, out, "magnitude"), floor),
        Row("whole, first time", lambda: first(base, out, "random"), floor),
        Row("whole, random", lambda: ours(WHOLE, base, out, "random", checks), floor),
        Row("whole, magnitude", lambda: ours(WHOLE, base, out, "magnitude", checks), floor),
        Row("audit, beside the base", lambda: ours(AUDIT, base, out / "model"), "hashlib", fresh=False),
        Row("hashlib", lambda: hash_files(base)),
        Row("verify", lambda: ours(VERIFY, base), "hashlib"),
    ]
    return found + [Row("load, mask, save", lambda: ours(USUAL, base, out), floor)] * usual


def run(timed: list[Row], out: Path, rounds: int) -> dict[str, list[Run]]:
    """Run everything in turn; the first round warms up and is not counted."""
    results: dict[str, list[Run]] = {row.name: [] for row in timed}
    for number in range(rounds + 1):
        for row in timed:
            if row.fresh:
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                os.sync()
            result = row.work()
            if number:
                results[row.name].append(result)
    return results


def report(timed: list[Row], results: dict[str, list[Run]]) -> None:
    for row in timed:
        seconds = [taken for taken, _ in results[row.name]]
        line = f"{row.name:<22} {statistics.median(seconds):7.2f} s"
        if row.against:
            ratios = [mine / other for mine, (other, _) in zip(seconds, results[row.against], strict=True)]
            line += f"   {statistics.median(ratios):5.2f} x {row.against:<19} ({min(ratios):.2f} to {max(ratios):.2f})"
            line += f"   peak {max(memory for _, memory in results[row.name]) / 2**20:6,.0f} MiB"
            if row.name in KEYS:
                say(KEYS[row.name], ratios, max(memory for _, memory in results[row.name]))
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--usual", action="store_true", help="also load the model, mask it in memory, and save it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        base, out = Path(scratch, "base"), Path(scratch, "out")
        base.mkdir()
        make(base, options.layers)
        size = sum(f.stat().st_size for f in base.glob("*.safetensors"))
        print(
            f"{size / 1e9:.2f} GB, {options.layers} layers, {os.cpu_count()} cores, {options.rounds} rounds", flush=True
        )
        timed = rows(base, out, options.usual)
        report(timed, run(timed, out, options.rounds))


if __name__ == "__main__":
    main()
