"""The command that a record states repeats the release."""

import shlex
from decimal import Decimal
from pathlib import Path

import pytest

from release.asked import command
from release.plan import Plan
from release.progress import Console
from release.pruning.recipe import Recipe
from release.settings.measuring import Measuring
from release.sources.base import resolve
from tests.records import example_bbq


def stated(base: Path, measuring: Measuring, **asked: object) -> list[str]:
    plan = Plan(model=str(base), recipe=Recipe.of("random", Decimal("0.1"), 42), measuring=measuring, out=base)
    found = example_bbq(**asked) if asked else None
    return shlex.split(command(plan, resolve(str(base), Console()), found))


@pytest.mark.parametrize(
    ("measuring", "asked", "words"),
    [
        (Measuring(), {"items": 400, "sample_seed": 42}, ["--bbq", "400"]),
        (Measuring(), {"items": 58_492, "sample_seed": None}, ["--bbq", "full"]),
        (Measuring(bbq="study"), {"items": 12_148, "sample_seed": None}, ["--bbq", "study"]),
        (Measuring(precision=Decimal("0.030")), {"items": 800, "sample_seed": 42}, ["--precision", "0.030"]),
        (Measuring(bbq="off"), {}, ["--bbq", "off"]),
    ],
)
def test_the_number_that_a_machine_chose_is_stated(llama: Path, measuring, asked, words) -> None:
    said = stated(llama, measuring, **asked)
    assert said[said.index("0.1") + 1 : -1] == words
