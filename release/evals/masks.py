"""A further mask, asked what the published one was asked: nothing is timed, and nothing written."""

from pathlib import Path

from release.evals.bbq import ask as bbq
from release.evals.bbq.scores import Comparison
from release.evals.perplexity import compare as perplexity
from release.evals.perplexity.windows import losses_of
from release.evals.run import SIDES, EvalPlan, Files, subject_of
from release.progress import Console
from release.values import Estimate, Score


def changes(
    desk: EvalPlan, dense: Path, pruned: Path, files: Files, console: Console
) -> tuple[tuple[Score, ...], Estimate | None]:
    """Return BBQ's scores over all categories and the ratio of perplexities; none where one is off.

    What was read of the dense model before is recalled, so that it is not read again for every mask.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
        UnusableData: A model answered with NaN or an infinity.
    """
    folders, answers, losses = {"dense": dense, "pruned": pruned}, {}, {}
    for name in SIDES:
        with subject_of(name, folders, desk, console, files[name]) as subject:
            if desk.script is not None:
                with subject.run_by(desk.plan.bbq_engine) as speaker:
                    answers[name] = bbq.ask(speaker, desk.script)
            if desk.windows is not None:
                losses[name] = losses_of(subject, desk.windows)
    scores: tuple[Score, ...] = ()
    if desk.script is not None:
        sample = desk.script.task.sample
        scores = Comparison(sample, answers["dense"].choices, answers["pruned"].choices).overall()
    if desk.windows is None or desk.text is None:
        return scores, None
    windows = perplexity.Windows.of(desk.windows)
    found = perplexity.compare(windows, losses["dense"], losses["pruned"], desk.text, desk.plan.eval_dtype)
    return scores, found.ratio
