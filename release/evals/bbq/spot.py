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
from release.evals.bbq.result import Bbq
from release.evals.bbq.sample import Sample
from release.evals.engine.closeness import close
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
    data = read_bbq(spotted.spot.bbq_data, spotted.console)[0]
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
