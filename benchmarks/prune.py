"""How long pruning takes beside copying, syncing and hashing the same files, and how much memory it needs.

    python benchmarks/prune.py [--layers 32] [--rounds 3] [--folder DIR]

Makes a synthetic bf16 checkpoint of Phi-3.5-mini's shapes (7.6 GB with all 32 layers), then runs in turn `cp` + `sync`
+ Python's hashlib SHA-256 over the copy, random, magnitude, plain hashing, and verify. Prints the ratio of each, by
median, and the peak memory of its process. Absolute seconds mean little on a shared machine; the ratios are taken in
one run.
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
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HIDDEN, FFN, VOCABULARY = 3072, 8192, 32064
SHARD_BYTES = 5_000_000_000

OURS = """
import resource, sys, time
from decimal import Decimal
from pathlib import Path
from release.checkpoint.folder import open_checkpoint
from release.progress import Console
from release.pruning.prune import Job, Means, prune
from release.pruning.recipe import Recipe
base, out, method = sys.argv[1:4]
checkpoint = open_checkpoint(Path(base))
job = Job(Recipe.of(method, Decimal("0.5"), 42), Path(out), Path(out) / "work")
started = time.perf_counter()
prune(checkpoint, [job], Console(quiet=True), Means())
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
VERIFY = """
import resource, sys, time
from pathlib import Path
from release.checkpoint.count import count
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import from_shapes
checkpoint = open_checkpoint(Path(sys.argv[1]))
names = set(from_shapes(checkpoint.shapes))
started = time.perf_counter()
for header in checkpoint.headers:
    count(header, names, None, lambda _: None)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for i in range(layers):
        block = f"model.layers.{i}"
        yield f"{block}.input_layernorm.weight", (HIDDEN,)
        yield f"{block}.mlp.down_proj.weight", (HIDDEN, FFN)
        yield f"{block}.mlp.gate_up_proj.weight", (2 * FFN, HIDDEN)
        yield f"{block}.post_attention_layernorm.weight", (HIDDEN,)
        yield f"{block}.self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        yield f"{block}.self_attn.qkv_proj.weight", (3 * HIDDEN, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def make(folder: Path, layers: int) -> None:
    """Write the checkpoint, one tensor in memory at a time: bf16 values of a normal distribution."""
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    size = 0
    for name, shape in shapes(layers):
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
    config = {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "hidden_size": HIDDEN}
    config |= {
        "intermediate_size": FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": 32,
        "vocab_size": VOCABULARY,
    }
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": 0, "dtype": "bfloat16"}))


def write_shard(path: Path, shard: list[tuple[str, tuple[int, ...]]]) -> None:
    header, offset = {}, 0
    for name, shape in shard:
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    text += b" " * (-len(text) % 8)
    noise = (np.random.default_rng(0).standard_normal(1 << 24, dtype=np.float32) * 0.02).view("<u4") >> 16
    noise = noise.astype("<u2")
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, shape in shard:
            left = int(np.prod(shape))
            while left:
                file.write(noise[: min(left, noise.size)].data)
                left -= min(left, noise.size)


def copy_and_hash(base: Path, out: Path) -> tuple[float, int]:
    started = time.perf_counter()
    for file in sorted(base.glob("*.safetensors")):
        subprocess.run(["cp", str(file), str(out / file.name)], check=True)
    os.sync()
    hash_files(out)
    return time.perf_counter() - started, 0


def hash_files(folder: Path) -> tuple[float, int]:
    started = time.perf_counter()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            hashlib.file_digest(handle, "sha256")
    return time.perf_counter() - started, 0


def ours(code: str, *arguments: object) -> tuple[float, int]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    seconds, kib = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(kib) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        base, out = Path(scratch, "base"), Path(scratch, "out")
        base.mkdir()
        make(base, options.layers)
        size = sum(f.stat().st_size for f in base.glob("*.safetensors"))
        print(f"{size / 1e9:.2f} GB, {options.layers} layers, {os.cpu_count()} cores, {options.rounds} rounds")
        report(run(base, out, options.rounds))


def run(base: Path, out: Path, rounds: int) -> dict[str, list[tuple[float, int]]]:
    """Run everything in turn; the first round warms up and is not counted."""
    work = {
        "cp + sync + hashlib": lambda: copy_and_hash(base, out),
        "random": lambda: ours(OURS, base, out, "random"),
        "magnitude": lambda: ours(OURS, base, out, "magnitude"),
        "hashlib": lambda: hash_files(base),
        "verify": lambda: ours(VERIFY, base),
    }
    results: dict[str, list[tuple[float, int]]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, job in work.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            os.sync()
            result = job()
            if number:
                results[name].append(result)
    return results


def report(results: dict[str, list[tuple[float, int]]]) -> None:
    against = {"random": "cp + sync + hashlib", "magnitude": "cp + sync + hashlib", "verify": "hashlib"}
    medians = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in results.items()}
    for name, runs in results.items():
        peak = max(memory for _, memory in runs)
        line = f"{name:<22} {medians[name]:7.2f} s"
        if name in against:
            line += f"   {medians[name] / medians[against[name]]:5.2f} x {against[name]}   peak {peak / 2**20:,.0f} MiB"
        print(line)


if __name__ == "__main__":
    main()
