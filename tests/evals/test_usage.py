"""What reading the models took is read off counters, and nothing is said where there is none."""

from pathlib import Path

import pytest
import torch

from release.models import usage
from release.schema.usage import ModelUsage

CPU = torch.device("cpu")
MB = 1 << 20


def lay(folder: Path, name: str, says: str, stands: int, span: int = 1_000_000) -> Path:
    """Write a package's folder as powercap has it."""
    (folder / name).mkdir(parents=True)
    for file, text in (("name", says), ("energy_uj", str(stands)), ("max_energy_range_uj", str(span))):
        (folder / name / file).write_text(f"{text}\n")
    return folder / name / "energy_uj"


def test_the_packages_are_counted_and_what_lies_in_them_is_not(tmp_path: Path) -> None:
    lay(tmp_path, "intel-rapl:0", "package-0", 5)
    lay(tmp_path, "intel-rapl:1", "package-1", 7)
    lay(tmp_path, "intel-rapl:0:0", "core", 3)
    lay(tmp_path, "dtpm", "dtpm", 3)
    assert set(usage.packages(tmp_path)) == {"package-0", "package-1"}


@pytest.mark.parametrize(("first", "then", "joules"), [(100, 500_100, 0.5), (900_000, 100_000, 0.2), (7, 7, 0.0)])
def test_energy_is_what_a_counter_moved_on_though_it_began_again(
    tmp_path: Path, first: int, then: int, joules: float
) -> None:
    file = lay(tmp_path, "intel-rapl:0", "package-0", first)
    [counter] = usage.packages(tmp_path).values()
    file.write_text(f"{then}\n")
    counter.look()
    assert counter.joules == pytest.approx(joules)


def test_counters_that_may_not_be_read_or_are_not_there_count_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lay(tmp_path, "intel-rapl:0", "package-0", 1)).unlink()
    assert usage.packages(tmp_path) == usage.packages(tmp_path / "none") == {}
    monkeypatch.setattr(usage, "POWERCAP", tmp_path)
    with usage.watched(CPU) as watch:
        pass
    assert watch.usage().joules is None


def test_energy_is_of_what_ran_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = lay(tmp_path, "intel-rapl:0", "package-0", 10)
    monkeypatch.setattr(usage, "POWERCAP", tmp_path)
    with usage.watched(CPU) as watch:
        file.write_text("400010\n")
    assert watch.usage().joules == pytest.approx(0.4)


def peak_of(megabytes: int) -> int:
    with usage.watched(CPU) as watch:
        held = torch.ones(megabytes * MB // 4)
        del held
    found: ModelUsage = watch.usage()
    assert found.peak_bytes is not None
    return found.peak_bytes


def test_the_peak_of_memory_is_that_of_what_ran_inside_and_not_of_before() -> None:
    most, little = peak_of(300), peak_of(1)
    assert most - little > 200 * MB


def test_where_the_system_keeps_no_peak_of_its_own_memory_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SELF", tmp_path)
    assert usage.kind_of_memory(CPU) == "sampled"
    assert peak_of(1) > 10 * MB
