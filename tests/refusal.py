"""What every refusal of bad input has in common, for the tables of bad input."""

import json
from pathlib import Path

import pytest

from release.__main__ import run

OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]
MEMORY = 1 << 30
"""Bytes that a refusal may take beside what the test's process has."""


def publish(model: object, out: Path, *more: str, sparsity: str = "0.1", method: str = "random") -> int:
    where = [] if "--to" in more else ["--local"]
    return run(
        ["publish", str(model), "--method", method, "--sparsity", sparsity, "--out", str(out), *OFF, *where, *more]
    )


def prune(model: object, out: Path, *more: str, sparsity: str = "0.1", method: str = "random") -> int:
    return run(["prune", str(model), "--method", method, "--sparsity", sparsity, "--out", str(out), *more])


def said_once(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """One message, with a remedy on lines of its own, all printable; returns it."""
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    lines = said.err.strip().split("\n")
    errors = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    assert len(errors) == 1, said.err
    assert errors[0] < len(lines) - 1, "a remedy stands on a line of its own"
    assert all(line.isprintable() and len(line) < 1_100 for line in lines)
    for word in words:
        assert word in said.err, said.err
    return said.err


def expect_refusal(code: int, out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Bad input: exit 2, one message, nothing left behind."""
    said = said_once(capsys, *words)
    assert code == 2, said
    assert not out.exists()


def patch(folder: Path, name: str, **changes: object) -> None:
    """Change fields of a JSON file."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class Peak:
    """The most memory that this process held since it was made."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._now()

    def bytes(self) -> int:
        return self._now() - self._before

    @staticmethod
    def _now() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@pytest.fixture
def little_memory() -> object:
    """Fails a test whose process came to hold far more than before."""
    peak = Peak()
    yield
    assert peak.bytes() < MEMORY
