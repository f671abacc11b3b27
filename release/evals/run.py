"""All measurements of one pair of models, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from release.checkpoint.folder import open_checkpoint
from release.digests import FileDigest
from release.errors import BadOption
from release.evals import figures
from release.evals.bbq import ask as bbq
from release.evals.bbq import looks, width
from release.evals.bbq.amount import DTYPES, asked
from release.evals.bbq.answers import Answers
from release.evals.bbq.compare import compare
from release.evals.bbq.data import Item, read_bbq
from release.evals.bbq.lm_eval_log import write_samples
from release.evals.bbq.prompts import Prompter
from release.evals.bbq.result import Bbq, Looks
from release.evals.bbq.sample import draw, of_categories
from release.evals.bbq.table import write_answers
from release.evals.engine.subject import EvaluatedModel
from release.evals.latency import measure as latency
from release.evals.latency.amount import AUTO, Amount, drawn
from release.evals.latency.result import Latency
from release.evals.perplexity import compare as perplexity
from release.evals.perplexity.result import Perplexity
from release.evals.perplexity.table import FILE_NAME, write_losses
from release.evals.perplexity.windows import cut_windows, losses_of
from release.evals.storage.result import Storage
from release.evals.super_weights.find import super_weights
from release.evals.super_weights.result import SuperWeights
from release.models import engines
from release.models.agreement import require_agreement
from release.models.device import choose_device, fallbacks_told
from release.models.load import read_tokenizer, require_known
from release.plan import Measuring
from release.progress import Console
from release.schema.measurements import Measurements
from release.sources.text import read_text
from release.values import DataSource, Rate

SIDES = ("dense", "pruned")

Files = Mapping[str, Sequence[FileDigest]]
"""The weight files of both sides, where their digests are known."""


def measure(
    desk: "EvalPlan",
    dense: Path,
    pruned: Path,
    out: Path,
    console: Console,
    files: Files | None = None,
    logs: Path | None = None,
) -> Measurements:
    """Measure a dense and a pruned checkpoint side by side.

    Args:
        desk: What to ask both, by `prepare`.
        dense: Folder of the dense model (config, tokenizer, safetensors).
        pruned: Folder of the pruned model; its own tokenizer is not used.
        out: Folder that receives `evaluation/`, the answers item by item, and `figures/`.
        console: Where progress is shown.
        files: The weight files of both; without them they are read for their digests.
        logs: Folder that receives what `log_format` asks for, which holds BBQ's texts; by default `evaluation/`.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
        UnusableData: A model answered with NaN or an infinity.
    """
    folders = {"dense": dense, "pruned": pruned}
    answers: Mapping[str, Answers] = {}
    looked = None
    known = files or {}
    with fallbacks_told(desk.device, console):
        if desk.plan.precision is not None:
            desk, answers, looked = _looked(desk, folders, known, console)
        readings = {name: _read(name, folders, desk, console, known.get(name), answers.get(name)) for name in SIDES}
    times = _latencies(desk, folders, out / "evaluation", console)
    result = Measurements(
        bbq=_bbq(desk, readings, out / "evaluation", logs or out / "evaluation", looked),
        perplexity=_perplexity(desk, readings, out / "evaluation"),
        latency=times[0] if times else None,
        other_latencies=times[1:],
        storage=Storage(dense_bytes=open_checkpoint(dense).size, pruned_bytes=open_checkpoint(pruned).size),
        super_weights=readings["dense"].super_weights,
    )
    figures.draw(result, out / "evaluation", out / "figures")
    return result


@dataclass(frozen=True)
class EvalPlan:
    """All that both models are asked, laid out before either is loaded.

    Attributes:
        script: None where BBQ is off.
        windows: Token ids, (windows, window); None where perplexity is off.
        timed: The items that latency is measured on, those for warming up included.
        items: The items that samples are drawn from.
    """

    plan: Measuring
    device: torch.device
    tokenizer: Any
    script: bbq.Script | None
    bbq_data: DataSource | None
    windows: NDArray[np.int32] | None
    text: DataSource | None
    timed: tuple[Any, ...] = field(default=())
    items: tuple[Item, ...] = field(default=())


def prepare(dense: Path, plan: Measuring, console: Console) -> EvalPlan:
    """Read the data, draw the samples and tokenise: what is missing or does not fit stops a run before any work.

    Args:
        dense: A checkpoint folder; only its configuration and tokenizer are read.

    Raises:
        BadOption: There is no such device, category or amount.
        MissingSource: Data cannot be fetched.
        UnusableBase: The tokenizer cannot be used as asked, or latency needs more memory than there is.
        UnusableData: Data were altered or are too short, or a prompt does not fit the model.
    """
    device, tokenizer = choose_device(plan.device), read_tokenizer(dense)
    wanted = (plan.bbq, plan.latency) != ("off", "off")
    items, data = read_bbq(plan.bbq_data, console) if wanted else ((), None)
    items = of_categories(items, plan.bbq_categories) if wanted else ()
    script = windows = text = None
    if plan.bbq != "off":
        amount = asked(plan, open_checkpoint(dense).parameters, device, len(items))
        script = _script(dense, items, amount, plan, tokenizer)
        require_agreement(plan.bbq_engine, dense, script.prompts, device, DTYPES[plan.eval_dtype], console)
        console.say(f"BBQ: {width.forecast(script.task.sample)}.")
    if plan.perplexity != "off":
        content, text = read_text(plan.text, console)
        windows = cut_windows(content, text.name, tokenizer, _count("perplexity", plan.perplexity))
    timed: tuple[Any, ...] = ()
    prompts: list[Sequence[int]] = list(script.prompts) if script else []
    if plan.latency != "off":
        for name in plan.latency_engine:
            runs = engines.engine(name)
            runs.require(dense, device)
            latency.require_room(open_checkpoint(dense).size, runs.place(device))
        timed = drawn(items, _counted("latency", plan.latency), plan.seed)
        prompter = script.prompter if script else Prompter(tokenizer)
        prompts += prompter.encode(prompter.texts([(item, 0) for item in timed]))
    require_known(dense, [*prompts, *([] if windows is None else windows.tolist())])
    return EvalPlan(plan, device, tokenizer, script, data, windows, text, timed, items)


def _script(dense: Path, items: Sequence[Item], amount: str, plan: Measuring, tokenizer: Any) -> bbq.Script:
    return bbq.prepare(draw(items, amount, plan.seed), tokenizer, dense, plan.bbq_scoring)


@dataclass(frozen=True)
class _Readings:
    """What one model made of everything but latency."""

    answers: Answers | None
    rounding: Rate | None
    losses: perplexity.Readings | None
    super_weights: SuperWeights | None


def _looked(
    desk: EvalPlan, folders: Mapping[str, Path], files: Files, console: Console
) -> tuple[EvalPlan, Mapping[str, Answers], Looks]:
    """Ask both models of growing samples; the desk comes back with the last of these."""
    plan, available = desk.plan, len(desk.items)

    def ask(size: int) -> looks.Round:
        nonlocal desk
        script = _script(folders["dense"], desk.items, looks.amount(size, available), plan, desk.tokenizer)
        desk = replace(desk, script=script)
        answers = {}
        for name in SIDES:
            with (
                subject_of(name, folders, desk, console, files.get(name)) as subject,
                subject.run_by(plan.bbq_engine) as speaker,
            ):
                answers[name] = bbq.ask(speaker, script)
        return looks.Round(script.task, answers, len(script.prompts))

    last, looked = looks.look(float(plan.precision or 0), available, ask, console)
    return desk, last.answers, looked


def subject_of(
    name: str, folders: Mapping[str, Path], desk: EvalPlan, console: Console, files: Sequence[FileDigest] | None
) -> EvaluatedModel:
    """Return a model under measurement, `dense` or `pruned`."""
    return EvaluatedModel(name, folders[name], files, desk.device, DTYPES[desk.plan.eval_dtype], console)


def _read(
    name: str,
    folders: Mapping[str, Path],
    desk: EvalPlan,
    console: Console,
    files: Sequence[FileDigest] | None,
    answers: Answers | None,
) -> _Readings:
    """Take all readings of one model; it is loaded once, and only where one of them is not known yet."""
    rounding = losses = found = None
    with subject_of(name, folders, desk, console, files) as subject:
        if desk.script is not None:
            with subject.run_by(desk.plan.bbq_engine) as speaker:
                answers = answers or bbq.ask(speaker, desk.script)
                if name == "dense" and desk.plan.eval_dtype != "float32":
                    rounding = bbq.rounding(speaker, desk.script, answers)
        if desk.windows is not None:
            losses = losses_of(subject, desk.windows)
        if name == "dense" and (answers or losses or desk.timed):
            found = super_weights(subject, desk.tokenizer, folders["pruned"])
    return _Readings(answers, rounding, losses, found)


def _bbq(
    desk: EvalPlan, readings: Mapping[str, _Readings], evaluation: Path, logs: Path, looked: Looks | None
) -> Bbq | None:
    dense, pruned = (readings[name].answers for name in SIDES)
    if desk.script is None or desk.bbq_data is None or dense is None or pruned is None:
        return None
    task, sampling = desk.script.task, desk.script.sampling
    write_answers(evaluation / "bbq.parquet", task, {"dense": dense, "pruned": pruned}, sampling)
    if desk.plan.log_format == "lm-eval":
        prompts = desk.script.prompter.texts([(item, 0) for item in task.items])
        write_samples(logs, task, dense, pruned, prompts)
    found = compare(
        task,
        dense,
        pruned,
        desk.bbq_data,
        desk.plan.seed,
        readings["dense"].rounding,
        desk.plan.eval_dtype,
        sampling,
        looked,
    )
    by = desk.plan.bbq_engine
    return found.model_copy(update={"engine": by, "packages": engines.packages(by)})


def _perplexity(desk: EvalPlan, readings: Mapping[str, _Readings], evaluation: Path) -> Perplexity | None:
    dense, pruned = (readings[name].losses for name in SIDES)
    if desk.windows is None or desk.text is None or dense is None or pruned is None:
        return None
    windows = perplexity.Windows.of(desk.windows)
    write_losses(evaluation / FILE_NAME, windows.size - 1, {"dense": dense.losses, "pruned": pruned.losses})
    return perplexity.compare(windows, dense, pruned, desk.text, desk.plan.eval_dtype)


def _latencies(desk: EvalPlan, folders: Mapping[str, Path], evaluation: Path, console: Console) -> tuple[Latency, ...]:
    """Time both models by each engine that was asked for, one engine after the other."""
    if not desk.timed or desk.bbq_data is None:
        return ()
    amount = Amount.of(desk.plan.latency)
    sides, device = (folders["dense"], folders["pruned"]), str(desk.device)
    return tuple(
        latency.measure_latency(*sides, desk.timed, desk.bbq_data, device, evaluation, console, by, amount)
        for by in desk.plan.latency_engine
    )


def _counted(option: str, text: str) -> str:
    return text if text == AUTO else str(_count(option, text))


def _count(option: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise BadOption(f"--{option} {text!r} is not understood.", "Give a whole number of at least 2, or off.")
    return int(text)
