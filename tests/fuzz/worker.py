"""One target fuzzed in a process of its own: `python -m tests.fuzz.worker TARGET RUNS SEED FINDINGS ENGINE`.

It says on stdout how far it is, for whatever is found may be its end.
"""

import faulthandler
import importlib
import json
import os
import resource
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

MEMORY_MB = 2048
"""Memory that a target may take, libraries included."""
EVERY = 256
"""Runs between two reports; what is said last is what holds."""
HANGS = 300
"""Seconds after which `EVERY` runs are taken to hang."""


@dataclass
class Worker:
    """Runs a target and counts what came of it.

    Attributes:
        findings: Folder for inputs that found something.
    """

    target: Any
    findings: Path
    seen: Counter[str] = field(default_factory=Counter)

    def once(self, data: bytes) -> None:
        """Run an input; one that finds something is written down, and ends all."""
        from tests.fuzz.run import outcome

        try:
            self.seen[outcome(self.target, data)] += 1
        except BaseException:
            number = len(list(self.findings.glob(f"{self.target.name}-*.bin")))
            (self.findings / f"{self.target.name}-{number}.bin").write_bytes(data)
            raise
        if self.seen.total() % EVERY == 0:
            self.report()

    def report(self) -> None:
        """Say how far it is."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        said = {"value": self.seen["value"], "refused": self.seen["refused"], "peak": peak}
        os.write(1, (json.dumps(said) + "\n").encode())

    def guided(self, atheris: Any, runs: int, seed: int) -> None:
        """Let atheris choose the inputs, half of them by its own changes; it ends the process itself."""
        target, known = self.target, self.target.inputs()

        def change(data: bytes, most: int, drawn: int) -> bytes:
            random = Random(drawn)
            if random.random() < 0.5:
                data = bytes(atheris.Mutate(data, most))
                return bytes(target.mend(data, random) if target.mend else data)[:most]
            return bytes(target.mutated(data, random.choice(known), random)[:most])

        with TemporaryDirectory() as corpus:
            for number, data in enumerate(known):
                Path(corpus, str(number)).write_bytes(data)
            limits = ["-max_len=65536", f"-rss_limit_mb={MEMORY_MB}", "-timeout=10"]
            kept = f"-artifact_prefix={self.findings}/{target.name}-"
            words = [sys.argv[0], f"-runs={runs}", f"-seed={seed % 2**32}", *limits, kept, corpus]
            atheris.Setup(words, self._last(runs), custom_mutator=change)
            atheris.Fuzz()

    def _last(self, runs: int) -> Any:
        """Run an input, and report after the last; nothing of ours runs after atheris is done."""

        def once(data: bytes) -> None:
            self.once(data)
            if self.seen.total() >= runs:
                self.report()

        return once

    def mutated(self, runs: int, seed: int) -> None:
        """Run inputs that are changed blindly."""
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB << 20, MEMORY_MB << 20))
        random, known = Random(seed), self.target.inputs()
        while self.seen.total() < runs:
            if self.seen.total() % EVERY == 0:
                faulthandler.dump_traceback_later(HANGS, exit=True)
            self.once(self.target.mutated(random.choice(known), random.choice(known), random))
        self.report()


def main(name: str, runs: int, seed: int, findings: Path, engine: str) -> None:
    """Fuzz one target."""
    atheris = importlib.import_module(engine) if engine == "atheris" else None
    if atheris:
        with atheris.instrument_imports(include=["release"]):
            importlib.import_module("tests.fuzz.targets")
    from tests.fuzz.targets import TARGETS

    worker = Worker(TARGETS[name], findings)
    worker.target.seeds()  # what they import and make is no part of a run
    if atheris:
        worker.guided(atheris, runs, seed)
    else:
        worker.mutated(runs, seed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
