"""What a release's record, its release.json, states about a model.

Where each metric stands in it, and the words for each claim, come along as data, so that neither is named here.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from digits import Forms, RecordedChange, forms
from facts import (
    HUB_ID,
    LONGEST,
    LONGEST_PROSE,
    UNDEFINED,
    Facts,
    Measured,
    Said,
    ShownNumber,
    Values,
    one_line,
    whole_sentences,
    written,
)
from metrics import CLAIMS, METRICS, ShownMetric

NAME = "release.json"
VERSION = 1
"""The version of the record's schema that is known here."""
LARGEST = 8_000_000
"""Characters of a record; one that is longer is cut, and so is no JSON."""

STEP = re.compile(r"(\w+)((?:\[\w+=\w+\])*)", re.ASCII)
PICK = re.compile(r"\[(\w+)=(\w+)\]", re.ASCII)
SHARE = re.compile(r"[01](\.\d{1,20})?", re.ASCII)
PAPER = re.compile(r"\d{4}\.\d{4,5}", re.ASCII)
MARKS = {"supported": "●", "contradicted": "○", "inconclusive": "◐", "not measured": "–"}
RESEARCH = "Research artifact only — not for production use."
NOT_DEPLOYED = "Do not deploy it in any user-facing or decision-making system."
NOT_MEASURED: Values = (("", "not measured"),)


def read(text: str) -> Facts | None:
    """Read a record's text; None for one of another version, or without what every record holds.

    Raises:
        ValueError: It is no JSON, or holds numbers that JSON does not know.
        RecursionError: It is nested too deep.
    """
    record = json.loads(text, parse_constant=_refuse)
    method, base = at(record, "pruning.method"), at(record, "base.id")
    sparsity = number(at(record, "audit.actual_sparsity"))
    known = at(record, "schema_version") == VERSION and isinstance(method, str) and isinstance(base, str)
    if not known or sparsity is None or not 0 <= sparsity <= 1:
        return None
    paper = str(at(record, "study.arxiv"))
    return Facts(
        method=one_line(method),
        sparsity=sparsity,
        sentence=_sentence(record),
        headline=tuple(_headline(record)),
        configuration=tuple(_configuration(record, method, sparsity)),
        measurements=tuple(_measurements(record)),
        numbers={metric.key: found for metric in METRICS if (found := _numbers(at(record, metric.at), metric))},
        claims=tuple(_claims(record)),
        warnings=tuple(_warnings(record)),
        caveats=tuple(CLAIMS[key].words[verdict] for key, verdict in _verdicts(record) if CLAIMS[key].is_caveat),
        research_only=True,
        license=one_line(stated) if isinstance(stated := at(record, "base.licence.id"), str) else None,
        base=base if HUB_ID.fullmatch(base) and at(record, "base.on_hub") is True else None,
        bbq_prompt=_bbq_prompt(record),
        paper=paper if PAPER.fullmatch(paper) else None,
    )


def _bbq_prompt(record: Any) -> str | None:
    prompt, reading = (at(record, f"measurements.bbq.{name}") for name in ("prompt", "reading"))
    if not isinstance(prompt, str):
        return None
    return one_line(prompt if reading == "letters" else f"{prompt}, read by {reading}")


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def at(record: Any, path: str) -> Any:
    """Return what stands at a place of a record; None where nothing does.

    Args:
        path: Names joined by dots; `[name=value]` picks the first item of a list whose field has that value.
    """
    found = record
    for name, picks in STEP.findall(path):
        found = found.get(name) if isinstance(found, dict) else None
        if wanted := dict(PICK.findall(picks)):
            items = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
            found = next((each for each in items if wanted.items() <= each.items()), None)
    return found


def number(value: Any) -> float | None:
    """Return a value of a record as a finite number; None for any other."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of more digits than a float holds
        return None


def _sentence(record: Any) -> str | None:
    found = at(record, "said.sentence")
    return whole_sentences(one_line(found, LONGEST_PROSE)) if isinstance(found, str) and found.strip() else None


def _headline(record: Any) -> Iterator[ShownNumber]:
    found = at(record, "said.numbers")
    for each in found[:2] if isinstance(found, list) else []:
        words = [at(each, name) for name in ShownNumber._fields]
        if all(isinstance(word, str) for word in words):
            yield ShownNumber(*map(one_line, words))


def _configuration(record: Any, method: str, sparsity: float) -> Iterator[tuple[str, Values]]:
    yield "Method", (("", one_line(method)),)
    if SHARE.fullmatch(target := str(at(record, "pruning.target_sparsity"))):
        yield "Target sparsity", (("", f"{(Decimal(target) * 100).normalize():f} %"),)
    yield "Actual sparsity", (("", f"{100 * sparsity:.2f} %"),)
    zeros, prunable = (number(at(record, f"audit.{name}")) for name in ("zeroed_parameters", "prunable_parameters"))
    if zeros is not None and prunable:
        share = f"{written(zeros, ',.0f')} of {written(prunable, ',.0f')} prunable ({100 * zeros / prunable:.2f} %)"
        yield "Zeroed", (("", share[:LONGEST]),)


def _measurements(record: Any) -> Iterator[tuple[str, Values]]:
    verdicts = {key: _verdict(key, verdict) for key, verdict in _verdicts(record)}
    for metric in METRICS:
        found = at(record, metric.at)
        if isinstance(found, dict):
            verdict = verdicts.get(metric.claim or "")
            said = [("What the evidence says", verdict)] if verdict else []
            yield metric.label, (*_cells(found, metric), *said)
        elif metric.claim is not None and metric.expected:
            yield metric.label, NOT_MEASURED


class _Line(NamedTuple):
    """A metric of a record: both sides, the change, and how they are written."""

    dense: float | None
    pruned: float | None
    change: RecordedChange
    forms: Forms


def _line(found: Any, metric: ShownMetric) -> _Line:
    dense, pruned = (number(at(found, f"{name}.{metric.value}")) for name in ("dense", "pruned"))
    change = RecordedChange(*(number(at(found, f"{metric.change}.{name}")) for name in RecordedChange._fields))
    return _Line(dense, pruned, change, forms(metric.form, dense, pruned, change))


def _cells(found: Mapping[str, Any], metric: ShownMetric) -> Values:
    """Write a metric as a release's card does."""
    line = _line(found, metric)
    ends = [written(end, form) for end, form in zip(line.change[1:], line.forms[3:], strict=True)]
    return (
        ("Dense", written(line.dense, line.forms.dense)),
        ("Pruned", written(line.pruned, line.forms.pruned)),
        ("Change", "× " * (metric.change == "ratio") + written(line.change.value, line.forms.change)),
        ("95 % interval", UNDEFINED if UNDEFINED in ends else " to ".join(ends)),
    )


def _numbers(found: Any, metric: ShownMetric) -> Measured | None:
    line = _line(found, metric)
    count = _whole(at(found, metric.counted)) if metric.unit else None
    if line.pruned is None:
        return None
    how = {"form": line.forms.pruned, "form_dense": line.forms.dense, "count": count}
    dense, (_, low, high) = line.dense, line.change
    if dense is None or low is None or high is None:
        return Measured(line.pruned, dense, **how)
    ends = (dense * low, dense * high) if metric.change == "ratio" else (dense + low, dense + high)
    return Measured(line.pruned, dense, *ends, **how)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**15 else None


def _verdicts(record: Any) -> Iterator[tuple[str, str]]:
    """Find the claims whose words are known here, each with its verdict, in the order of the words."""
    for key in CLAIMS:
        verdict = at(record, f"claims[key={key}].verdict")
        if isinstance(verdict, str) and verdict in MARKS:
            yield key, verdict


def _verdict(key: str, verdict: str) -> str:
    return f"{MARKS[verdict]} {CLAIMS[key].title}: {verdict}"


def _claims(record: Any) -> Iterator[Said]:
    for key, verdict in _verdicts(record):
        yield Said(_verdict(key, verdict), CLAIMS[key].words[verdict])


def _warnings(record: Any) -> Iterator[str]:
    warned = [CLAIMS[key].words[verdict] for key, verdict in _verdicts(record) if verdict in CLAIMS[key].warns_at]
    yield " ".join([RESEARCH, *warned, NOT_DEPLOYED])
    if isinstance(note := at(record, "base.note"), str) and note:
        yield whole_sentences(f"About these weights. {one_line(note, 2000)}")
