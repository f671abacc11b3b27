"""A whole `publish --local` of a full-size model: the time of each stage and the peak memory.

    python -m benchmarks.publish --folder DIR [--layers 32] [--bbq 24] [--perplexity 4] [--latency 4] [--max-memory 7GB]

Makes a synthetic bf16 checkpoint of Phi-3.5-mini's shapes (7.6 GB with all 32 layers) with the demo's tokenizer, and
publishes it as any user would. Its weights are noise, so its scores mean nothing; its cost is that of the real one. The
stages are what the command itself reports.
"""

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.prune import make
from release.progress import Console
from release.sources import demo

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def main() -> None:
    options = arguments()
    base = prepared(options.folder / "full-size", options.layers)
    command = [sys.executable, "-m", "release", "publish", str(base), "--method", "random", "--sparsity", "0.1"]
    command += ["--local", "--out", str(options.folder / "out"), "--bbq", options.bbq]
    command += ["--perplexity", options.perplexity, "--latency", options.latency]
    command += ["--max-memory", options.max_memory] if options.max_memory else []
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if not re.search(r"… (\d+%)?$", line.strip()):
                print(line.rstrip(), flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"whole: {time.perf_counter() - started:.0f} s, exit {process.returncode}, peak {peak / 2**30:.1f} GiB")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--bbq", default="24")
    parser.add_argument("--perplexity", default="4")
    parser.add_argument("--latency", default="4")
    parser.add_argument("--max-memory", help="What it may hold; a larger model is read block by block.")
    return parser.parse_args()


def prepared(folder: Path, layers: int) -> Path:
    """Make the checkpoint, unless it is there."""
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        source = demo.fetch(Console())
        vocabulary = json.loads((source / "config.json").read_text())["vocab_size"]
        for name in TOKENIZER:
            if (source / name).is_file():
                shutil.copy(source / name, folder)
        make(folder, layers, vocabulary)
    return folder


if __name__ == "__main__":
    main()
