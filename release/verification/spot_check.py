"""Some answers of a release asked again of the real models, which invented answers do not survive.

The items are drawn by a seed that the checker gives, or by one that nobody knew before: whoever made the release
cannot tell which will be asked.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from release.checkpoint.files import Files
from release.errors import InputError, UnusableData
from release.evals.again import Question, Spot, Spotted
from release.evals.registry import EVALS
from release.progress import Console
from release.schema.record import Check, Record

NAME = "spot-check"
READINGS = "readings.sqlite"


def checks(files: Files, record: Record | None, base: Files | None, spot: Spot, console: Console) -> Iterator[Check]:
    """Ask again and compare; what cannot be made is a failure with its reason, since it was asked for."""
    if record is None or base is None:
        yield Check(name=NAME, ok=False, detail="could not be made: it needs release.json and --base MODEL")
        return
    seed = secrets.randbelow(2**32) if spot.seed is None else spot.seed
    try:
        spotted = Spotted(files, record, base.folder(), spot, np.random.default_rng(seed), console)
        questions = _questions(spotted)
        folders = {"dense": base.folder(), "pruned": files.folder()}
        found = {name: _read(name, folder, questions, spot, console) for name, folder in folders.items()}
    except InputError as error:
        yield Check(name=NAME, ok=False, detail=f"could not be made: {error.seen} {error.remedy}")
        return
    for index, question in enumerate(questions):
        same, told = question.judge({name: readings[index] for name, readings in found.items()})
        detail = f"{question.what} drawn with seed {seed} and asked of both models again: {told}"
        yield Check(name=f"{NAME} {question.name}", ok=same, detail=detail)


def _questions(spotted: Spotted) -> list[Question]:
    """Lay out what is asked, before a model is loaded.

    Raises:
        InputError: The data cannot be had, the tables cannot be read, or there is nothing to ask again.
    """
    measured = spotted.record.measurements
    rows = [row for row in EVALS if row.spot_module is not None and row.results(measured)]
    if not rows:
        raise UnusableData("The release holds neither answers nor losses.", "Leave --spot-check out.")
    return [row.question(spotted, measured.get(row.key)) for row in rows]


def _read(name: str, folder: Path, questions: list[Question], spot: Spot, console: Console) -> list[Any]:
    """Take the readings of one model; what was read before is not looked at."""
    from release.evals.bbq.amount import DTYPES
    from release.evals.engine.subject import EvaluatedModel, Runtime
    from release.models.device import choose_device

    device, found = choose_device(spot.device), []
    with TemporaryDirectory(prefix="release-spot-") as scratch:
        for question in questions:
            runtime, readings = Runtime(device, DTYPES[question.precision], question.engine), Path(scratch) / READINGS
            with EvaluatedModel(name, folder, runtime, console, readings=readings) as subject:
                found.append(question.ask(subject))
    return found
