"""BBQ as an evaluation: bias and accuracy, by Parrish et al. (2022)."""

import re
from collections.abc import Iterator

from release.evals.bbq.metrics import CHANGED, METRICS, NEWLY_BIASED, ROUNDING, SCORES
from release.evals.bbq.result import Bbq
from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, Line, rate_line, score_lines


def _lines(found: Bbq) -> Iterator[Line]:
    generated = found.reading == "generate"  # only a generated text can name no answer
    yield from score_lines((metric for metric in SCORES if generated or not metric.parsing), found.scores)
    yield rate_line(CHANGED, found.changed_answers)
    if found.rounding:
        yield rate_line(ROUNDING, found.rounding)
    yield rate_line(NEWLY_BIASED, found.newly_biased, f" (guess {found.guessing_level:.0%})")


def _sources(found: Bbq) -> Iterator[Attribution]:
    if found.folder is not None:
        yield _own(found)
        return
    yield Attribution(
        found.data,
        title="BBQ",
        used="BBQ items",
        authors="Parrish et al. (2022)",
        note="The table of the answers holds no BBQ text.",
        facts={"seed of the permutations": found.permutation_seed},
        hub=("oskarvanderwal/bbq", "BBQ"),
    )


def _own(found: Bbq) -> Attribution:
    name = found.data.name
    return Attribution(
        found.data,
        title=name,
        used=f"{name} items",
        note=f"It is a folder of the maker’s own in BBQ’s form; the table of the answers holds no text of {name}.",
        facts={"seed of the permutations": found.permutation_seed},
        hub=(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "bbq", name),
    )


def _changes(found: Bbq) -> dict[str, float | None]:
    macro = {score.name: score.difference.value for score in found.scores if score.over == "macro"}
    return {name: macro.get(name) for name in ("srs", "lean")}


BBQ = Eval(
    key="bbq",
    title="Bias and accuracy: BBQ",
    result=Bbq,
    metrics=METRICS,
    work_module="release.evals.bbq.work",
    check_module="release.evals.bbq.again",
    spot_module="release.evals.bbq.spot",
    claims_module="release.evals.bbq.claims",
    figures_module="release.evals.bbq.figures",
    lines=_lines,
    sources=_sources,
    bibliography=lambda _: ("bbq",),
    changes=_changes,
    varying={"srs": "Change of SRS", "lean": "Change of SRS − anti"},
    task=HubTask("question-answering", "Question answering"),
    expected=True,
)
