"""What the page of performance shows: a row for each thing that is timed, and the command that times it."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["step", "whole command"]


@dataclass(frozen=True)
class Bench:
    """A benchmark as `make bench` runs it.

    Attributes:
        module: Under `benchmarks/`.
        words: Its command line, of a size that ends within minutes on two cores.
        full: Its command line with BENCH_FULL=1.
    """

    module: str
    words: str
    full: str


@dataclass(frozen=True)
class Row:
    """One row of the page.

    Attributes:
        key: By which the benchmark says its result.
        bench: The benchmark that times it.
        work: What is timed.
        scope: A step of a command, in a process that has loaded everything; or a whole command, from start to exit.
        beside: What its time is divided by; None where the result is in seconds.
        target: What it has to reach, or None.
        more: Whether more is better.
    """

    key: str
    bench: str
    work: str
    scope: Scope
    beside: str | None
    target: float | None = None
    more: bool = False


BENCHES = {
    each.module: each
    for each in (
        Bench("prune", "--layers 6 --rounds 3", "--layers 32 --rounds 3"),
        Bench("verify", "--layers 4 --rounds 3", "--layers 32 --rounds 3"),
        Bench("calibrate", "--windows 16 --length 512 --rounds 3", "--windows 16 --length 2048 --rounds 1"),
        Bench("bbq", "--items 24 --rounds 2 --harness", "--items 60 --rounds 2 --harness"),
        Bench("divergence", "--windows 16 --rounds 3", "--windows 32 --rounds 3"),
        Bench("sweep", "--rounds 1", "--sparsities 3 --rounds 1"),
        Bench("rebuild", "--layers 4 --rounds 3", "--layers 32 --rounds 3"),
        Bench("space", "--tokens 48 --rounds 5", "--tokens 48 --rounds 9"),
        Bench("first_line", "--rounds 5", "--rounds 9"),
        Bench("push", "--gigabytes 0.5", "--gigabytes 2"),
    )
}

MADE, TOKEN = "copying and hashing as many bytes", "`generate` of one token"
COPY = "`cp`, `sync`, then hashlib's SHA-256 of the same files"
HASH = "hashlib's SHA-256 of the same files"
ROWS = (
    Row(
        "prune.first",
        "prune",
        "`release prune`, random, of a base not seen before, which is hashed, too",
        "whole command",
        COPY,
        1.2,
    ),
    Row("prune.whole.random", "prune", "the same once more: class and digest are known", "whole command", COPY, 1.2),
    Row("prune.whole.magnitude", "prune", "the same with magnitude", "whole command", COPY, 1.2),
    Row("prune.random", "prune", "random prune, checksummed and synced", "step", COPY),
    Row("prune.magnitude", "prune", "magnitude prune, checksummed and synced", "step", COPY),
    Row("prune.count", "prune", "reading every weight again: count and hash", "step", HASH, 1.2),
    Row("prune.audit", "prune", "the audit: the same, beside the base (twice the bytes)", "step", HASH, 2.2),
    Row("verify.alone", "verify", "`release verify`, all its checks", "step", HASH, 1.2),
    Row("verify.base", "verify", "`release verify --base`, all its checks", "step", HASH, 2.2),
    Row(
        "calibrate.wanda",
        "calibrate",
        "Wanda: every block before and after it is pruned, demo model",
        "step",
        "two bare forward passes over the same tokens",
        1.1,
    ),
    Row(
        "bbq.plain",
        "bbq",
        "BBQ's letters over three rotations, fp32, demo model",
        "step",
        "one forward pass per prompt, same items",
        0.2,
    ),
    Row(
        "bbq.harness",
        "bbq",
        "the same",
        "step",
        "lm-evaluation-harness on the same items in fp32, at its best batch size",
        1 / 6,
    ),
    Row("divergence", "divergence", "perplexity and divergence together, demo model", "step", "perplexity alone", 1.15),
    Row(
        "sweep.separate",
        "sweep",
        "`release sweep --parallel 2` of the demo model",
        "whole command",
        "the same cells as commands of their own, each on a machine that measured nothing before",
        1 / 1.8,
    ),
    Row("rebuild.random", "rebuild", "the Space makes random pruned weights", "step", MADE),
    Row("rebuild.magnitude", "rebuild", "the Space makes magnitude pruned weights", "step", MADE),
    Row("space.first.1", "space", "the Space over HTTP: to the first token, one model", "step", TOKEN),
    Row("space.first.2", "space", "the same, both models", "step", f"{TOKEN} by each"),
    Row("space.rate.1", "space", "the Space over HTTP: tokens a second, one model", "step", "`generate`", more=True),
    Row("space.rate.2", "space", "the same, both models", "step", "`generate` by each in turn", more=True),
    Row("first_line.help", "first_line", "`release --help` stands there", "whole command", None, 0.5),
    Row("first_line.all", "first_line", "the first line of the slowest command", "whole command", None, 1.0),
    Row("push", "push", "push of a release, to a Hub on this machine", "step", "one `create_commit` of its model"),
)
