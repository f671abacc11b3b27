"""Some answers of a release asked again of the real models, which invented answers do not survive.

The items are drawn by a seed that the checker gives, or by one that nobody knew before: whoever made the release
cannot tell which will be asked.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.files import Files, content
from release.errors import InputError, UnusableData
from release.evals.bbq.data import read_bbq
from release.evals.bbq.result import Bbq
from release.evals.perplexity.result import Perplexity
from release.progress import Console
from release.schema.record import Check, Record
from release.values import EngineName
from release.verification import recompute

if TYPE_CHECKING:
    from release.evals.bbq.answers import Answers
    from release.evals.engine.subject import EvaluatedModel

NAME = "spot-check"
SAME_TEXTS = {"float32": 0.95, "bfloat16": 0.8, "float16": 0.8}
"""Share of generated answers that must come out the same; a sampled token may turn where two are almost as likely."""
REMEDY = "Give --base the dense model that the record names."

Verdict = tuple[bool, str]


@dataclass(frozen=True)
class Spot:
    """What is asked again, and how.

    Attributes:
        count: Items of BBQ, and windows of text; all, where there are fewer.
        seed: Draws them; None for one that nobody knows before.
        device: A torch device, or auto.
        bbq_data: A clone of nyu-mll/BBQ instead of the catalogue's copy.
        text: The text that perplexity was measured on, where it was a file of the maker's own.
    """

    count: int
    seed: int | None = None
    device: str = "auto"
    bbq_data: Path | None = None
    text: Path | None = None


@dataclass(frozen=True)
class Question:
    """One kind of reading that is taken again.

    Attributes:
        name: Of the measurement.
        what: What is asked, in words.
        precision: Arithmetic of the forward passes.
        engine: What runs both models.
        ask: Takes the readings of one model.
        judge: Compares both models' readings, by side, with the recorded ones: whether they agree, and how far.
    """

    name: str
    what: str
    precision: str
    engine: EngineName
    ask: Callable[["EvaluatedModel"], Any]
    judge: Callable[[Mapping[str, Any]], Verdict]


def checks(files: Files, record: Record | None, base: Files | None, spot: Spot, console: Console) -> Iterator[Check]:
    """Ask again and compare; what cannot be made is a failure with its reason, since it was asked for."""
    if record is None or base is None:
        yield Check(name=NAME, ok=False, detail="could not be made: it needs release.json and --base MODEL")
        return
    seed = secrets.randbelow(2**32) if spot.seed is None else spot.seed
    try:
        questions = list(_questions(files, record, base.folder(), spot, seed, console))
        folders = {"dense": base.folder(), "pruned": files.folder()}
        found = {name: _read(name, folder, questions, spot, console) for name, folder in folders.items()}
    except InputError as error:
        yield Check(name=NAME, ok=False, detail=f"could not be made: {error.seen} {error.remedy}")
        return
    for index, question in enumerate(questions):
        same, told = question.judge({name: readings[index] for name, readings in found.items()})
        detail = f"{question.what} drawn with seed {seed} and asked of both models again: {told}"
        yield Check(name=f"{NAME} {question.name}", ok=same, detail=detail)


def _questions(
    files: Files, record: Record, dense: Path, spot: Spot, seed: int, console: Console
) -> Iterator[Question]:
    """Lay out what is asked, before a model is loaded.

    Raises:
        InputError: The data cannot be had, the tables cannot be read, or there is nothing to ask again.
    """
    rng, found = np.random.default_rng(seed), record.measurements
    if found.bbq is None and found.perplexity is None:
        raise UnusableData("The release holds neither answers nor losses.", "Leave --spot-check out.")
    if found.bbq is not None:
        yield _of_bbq(files, record, found.bbq, dense, spot, rng, console)
    if found.perplexity is not None:
        yield _of_text(files, found.perplexity, dense, spot, rng, console)


def _drawn(count: int, of: int, rng: np.random.Generator) -> list[int]:
    return sorted(rng.choice(of, size=min(count, of), replace=False).tolist())


def _of_bbq(
    files: Files, record: Record, known: Bbq, dense: Path, spot: Spot, rng: np.random.Generator, console: Console
) -> Question:
    from release.evals.bbq import ask as bbq
    from release.evals.bbq.sample import Sample
    from release.models.load import read_tokenizer

    if recompute.BBQ not in files.sizes:
        raise UnusableData(f"{recompute.BBQ} is missing.", "Fetch the release again.")
    data = read_bbq(spot.bbq_data, console)[0]
    asked = recompute.answers(record, content(files, recompute.BBQ), data)
    chosen = _drawn(spot.count, len(asked.items), rng)
    sample = Sample(tuple(asked.items[index] for index in chosen), {}, None)
    script = bbq.prepare(sample, read_tokenizer(dense), dense, known.reading)
    if (script.task.style, script.sampling) != (known.prompt, known.sampling):
        raise UnusableData("This base is asked otherwise than the record says.", REMEDY)
    recorded = {"dense": asked.dense, "pruned": asked.pruned}

    def judge(found: Mapping[str, "Answers"]) -> Verdict:
        if known.reading == "generate":
            texts = {name: (_texts(found[name]), _texts(recorded[name])[chosen]) for name in found}
            return _same_texts(texts, SAME_TEXTS[known.precision])
        numbers = {name: (_numbers(found[name]), _numbers(recorded[name])[chosen]) for name in found}
        return _close(numbers, "log-probabilities", known.precision)

    return Question(
        "bbq", f"{len(chosen)} items", known.precision, known.engine, lambda subject: bbq.ask(subject, script), judge
    )


def _of_text(
    files: Files, known: Perplexity, dense: Path, spot: Spot, rng: np.random.Generator, console: Console
) -> Question:
    from release.evals.perplexity import compare as perplexity
    from release.evals.perplexity.table import read_losses
    from release.evals.perplexity.windows import cut_windows, losses_of
    from release.models.load import read_tokenizer
    from release.sources.text import read_text

    if recompute.PERPLEXITY not in files.sizes:
        raise UnusableData(f"{recompute.PERPLEXITY} is missing.", "Fetch the release again.")
    losses = read_losses(content(files, recompute.PERPLEXITY), known.windows, known.window - 1)
    text, source = read_text(spot.text, console)
    if source.sha256 != known.text.sha256:
        raise UnusableData(f"Perplexity was measured on {known.text.name[:80]!a}.", "Give that text with --text FILE.")
    tokens = cut_windows(text, source.name, read_tokenizer(dense), known.windows, known.window)
    if perplexity.Windows.of(tokens).token_sha256 != known.token_sha256:
        raise UnusableData("The text gives other tokens than recorded.", REMEDY)
    chosen = _drawn(spot.count, known.windows, rng)
    recorded = dict(zip(("dense", "pruned"), losses, strict=True))

    def judge(found: Mapping[str, perplexity.Readings]) -> Verdict:
        numbers = {name: (found[name].losses, recorded[name][chosen]) for name in found}
        return _close(numbers, "mean losses", known.precision)

    return Question(
        "perplexity",
        f"{len(chosen)} windows of text",
        known.precision,
        "transformers",
        lambda subject: losses_of(subject, tokens[chosen]),
        judge,
    )


def _read(name: str, folder: Path, questions: list[Question], spot: Spot, console: Console) -> list[Any]:
    """Take the readings of one model; what was read before is not looked at."""
    from release.evals.bbq.amount import DTYPES
    from release.evals.engine.subject import EvaluatedModel
    from release.models.device import choose_device

    device, found = choose_device(spot.device), []
    with TemporaryDirectory(prefix="release-spot-") as scratch:
        for question in questions:
            more = (console, Path(scratch) / "readings.sqlite", question.engine)
            with EvaluatedModel(name, folder, None, device, DTYPES[question.precision], *more) as subject:
                found.append(question.ask(subject))
    return found


def _numbers(answers: "Answers") -> NDArray[Any]:
    """Return the log-probabilities that the choices were made of, item by item."""
    values = answers.letters if answers.letters is not None else answers.values
    return np.asarray(values).reshape(len(answers.choices), -1)


def _texts(answers: "Answers") -> NDArray[Any]:
    return np.asarray(answers.texts)


def _close(numbers: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], what: str, precision: str) -> Verdict:
    """Compare numbers, again and recorded, within what the order of sums can change."""
    from release.evals.bbq.amount import DTYPES
    from release.models.logprobs import TOLERANCE

    most = TOLERANCE[DTYPES[precision]]
    worst = {name: float(np.abs(again - before).max()) for name, (again, before) in numbers.items()}
    told = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    return max(worst.values()) <= most, f"{what} differ by at most {told} ({most:g} is allowed in {precision})"


def _same_texts(texts: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], least: float) -> Verdict:
    same = {name: float((again == before).mean()) for name, (again, before) in texts.items()}
    told = ", ".join(f"{name} {value:.0%}" for name, value in same.items())
    return min(same.values()) >= least, f"of the generated texts the same are {told} ({least:.0%} is asked for)"
