"""What the tests of the measurements share: real BBQ items and tiny models that can read them."""

from pathlib import Path

import pytest

from release.evals.bbq.data import read_bbq
from release.evals.bbq.items import Item
from release.progress import Console
from release.values import DataSource
from tests import checkpoints

WINDOW = 2048
"""Tokens a tiny model reads: a BBQ prompt in single bytes takes up to 1,200."""


@pytest.fixture(autouse=True)
def _nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins without readings."""
    monkeypatch.setenv("RELEASE_READINGS", str(tmp_path / "readings"))


@pytest.fixture(scope="session")
def bbq() -> tuple[tuple[Item, ...], DataSource]:
    return read_bbq(None, Console())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, base_folders: dict[str, Path]) -> dict[str, Path]:
    """One tiny checkpoint per architecture with a long enough context window."""
    root = tmp_path_factory.mktemp("readers")
    folders = {name: checkpoints.copy(folder, root / name) for name, folder in base_folders.items()}
    for folder in folders.values():
        checkpoints.edit_config(folder, max_position_embeddings=WINDOW)
    return folders
