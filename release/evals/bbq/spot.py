"""Some items of BBQ asked of both models again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.files import content
from release.errors import UnusableData
from release.evals.again import REMEDY, Question, Spotted, Verdict
from release.evals.bbq import ask as bbq
from release.evals.bbq.again import FILE, answers
from release.evals.bbq.answers import Answers
from release.evals.bbq.data import read_bbq
from release.evals.bbq.folder import is_own, read_own
from release.evals.bbq.items import Item
from release.evals.bbq.result import Bbq
from release.evals.bbq.sample import Sample
from release.evals.engine.closeness import close
from release.format import quoted, shown
from release.models.load import read_tokenizer

SAME_TEXTS = {"float32": 0.95, "bfloat16": 0.8, "float16": 0.8}
"""Share of generated answers that must come out the same; a sampled token may turn where two are almost as likely."""


def question(spotted: Spotted, known: Bbq) -> Question:
    """Draw some items and lay their prompts out.

    Raises:
        InputError: BBQ cannot be had, the table cannot be read, or this base is asked otherwise.
    """
    if FILE not in spotted.files.sizes:
        raise UnusableData(f"{FILE} is missing.", "Fetch the release again.")
    data = _items(spotted, known)
    asked = answers(known, content(spotted.files, FILE), data)
    chosen = spotted.drawn(len(asked.items))
    sample = Sample(tuple(asked.items[index] for index in chosen), {}, None)
    script = bbq.prepare(sample, read_tokenizer(spotted.dense), spotted.dense, known.reading)
    if (script.task.style, script.sampling) != (known.prompt, known.sampling):
        raise UnusableData("This base is asked otherwise than the record says.", REMEDY)
    recorded = {"dense": asked.dense, "pruned": asked.pruned}

    def judge(found: Mapping[str, Answers]) -> Verdict:
        if known.reading == "generate":
            texts = {name: (_texts(found[name]), _texts(recorded[name])[chosen]) for name in found}
            return _same_texts(texts, SAME_TEXTS[known.precision])
        numbers = {name: (_numbers(found[name]), _numbers(recorded[name])[chosen]) for name in found}
        return close(numbers, "log-probabilities", known.precision)

    return Question(
        "bbq", f"{len(chosen)} items", known.precision, known.engine, lambda subject: bbq.ask(subject, script), judge
    )


def _items(spotted: Spotted, known: Bbq) -> tuple[Item, ...]:
    """Return the items that samples were drawn from.

    Raises:
        InputError: BBQ cannot be had; or a benchmark of the maker's own was asked, and is not given, or is another.
    """
    folder = spotted.spot.bbq_data
    if known.folder is None:
        return read_bbq(None if is_own(folder) else folder, spotted.console)[0]
    if folder is None or not is_own(folder):
        seen = f"This release asked {quoted(known.data.name)}, a folder in BBQ's form."
        raise UnusableData(seen, "Give that folder with --bbq-data FOLDER.")
    items, data, _ = read_own(folder)
    if data.sha256 != known.data.sha256:
        seen = f"{shown(str(folder))} is not the {quoted(known.data.name)} that was asked: its bytes differ."
        raise UnusableData(seen, f"Give the folder whose SHA-256 is {known.data.sha256}.")
    return items


def _numbers(answers: Answers) -> NDArray[Any]:
    """Return the log-probabilities that the choices were made of, item by item."""
    values = answers.letters if answers.letters is not None else answers.values
    return np.asarray(values).reshape(len(answers.choices), -1)


def _texts(answers: Answers) -> NDArray[Any]:
    return np.asarray(answers.texts)


def _same_texts(texts: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], least: float) -> Verdict:
    same = {name: float((again == before).mean()) for name, (again, before) in texts.items()}
    told = ", ".join(f"{name} {value:.0%}" for name, value in same.items())
    return min(same.values()) >= least, f"of the generated texts the same are {told} ({least:.0%} is asked for)"
