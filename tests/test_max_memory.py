"""--max-memory is what a command believes to be free, whatever the machine has."""

import os

import psutil
import pytest

from release import machine
from release.errors import BadOption
from release.settings.common import limit_memory


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.MOST_MEMORY, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GB", 8 * 10**9), ("8 gib", 8 << 30), ("1.5GB", 1_500_000_000), ("512MiB", 512 << 20), ("1000", 1000)],
)
def test_an_amount_is_read_with_its_unit(text: str, expected: int) -> None:
    limit_memory(text)
    assert os.environ[machine.MOST_MEMORY] == str(expected)


@pytest.mark.parametrize("text", ["", "0", "-1GB", "many", "8TB8", "1e9GB", "9" * 400, "nan"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="--max-memory"):
        limit_memory(text)
    assert not os.environ[machine.MOST_MEMORY]


def test_what_is_free_is_what_the_limit_leaves() -> None:
    held = psutil.Process().memory_info().rss
    limit_memory(str(held + 200_000_000))
    free = machine.memory_free()
    assert free is not None
    assert 0 < free <= 200_000_000 + (64 << 20)
    limit_memory("1MB")
    assert machine.memory_free() == 0
