"""What pruning did, in one sentence and two numbers: the first thing that a card and the Space say.

The words are in `templates/said.yaml`. What is said follows from the verdicts of the record's claims; where nothing can
be said, the reason is that of the first guard which doubts the claim.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from release import format as text
from release.evals.claims import CLAIMS, Claim
from release.evals.forms import Cells, at_a_glance, in_words, kept
from release.evals.line import Line
from release.evals.registry import EVALS
from release.resources import resource
from release.schema.measurements import Measurements
from release.schema.record import Record
from release.schema.said import FirstScreen, HeadlineNumber

HEADLINES = 2


def said(record: Record) -> FirstScreen:
    """Return what a first screen says of a release; the same record gives the same words."""
    return FirstScreen(sentence=sentence(record), numbers=headline_numbers(record))


def sentence(record: Record) -> str:
    """Say in one sentence what pruning did to answers, perplexity and bias."""
    verdicts = {claim.key: str(claim.verdict) for claim in record.claims}
    lines = _lines(record.measurements)
    did = [_filled(rule[verdict], rule, lines) for rule, verdict in _told(verdicts)]
    start = f"Pruning {text.in_words(did)}" if did else str(_words()["nothing"])
    return f"{start}; {_of_bias(record, verdicts, lines)}."


def headline_numbers(record: Record) -> tuple[HeadlineNumber, ...]:
    """Return the two numbers that say most of what was measured, accuracy and perplexity first."""
    lines = _lines(record.measurements)
    found = [lines[key] for key in _words()["numbers"] if key in lines and lines[key].pruned is not None]
    return tuple(_headline(line) for line in found[:HEADLINES])


def verdict_word(claim: Claim, verdict: str) -> str:
    """Return the word that stands for a verdict beside a number; of a claim without one, its title with the verdict."""
    words = _words()["words"]
    named = f"{claim.title}: {verdict}" if verdict in ("supported", "contradicted") else verdict
    return str(words.get(claim.key, {}).get(verdict) or words["any"].get(verdict) or named)


def _headline(line: Line) -> HeadlineNumber:
    cells = in_words(line)
    share = kept(line)
    return HeadlineNumber(
        metric=line.metric.key,
        label=str(line.metric.headline),
        dense=cells.dense,
        pruned=cells.pruned,
        change=at_a_glance(line).change if share is None else share,
    )


@cache
def _words() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((resource("templates") / "said.yaml").read_text(encoding="utf-8"))
    return found


def _lines(measurements: Measurements) -> dict[str, Line]:
    """The first line of each metric."""
    lines = [line for row in EVALS for found in row.results(measurements) for line in row.lines(found)]
    return {line.metric.key: line for line in reversed(lines)}


def _told(verdicts: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], str]]:
    for rule in _words()["did"]:
        verdict = verdicts.get(rule["claim"], "not measured")
        if verdict in rule:
            yield rule, verdict


def _of_bias(record: Record, verdicts: Mapping[str, str], lines: Mapping[str, Line]) -> str:
    for rule in _words()["bias"]:
        if verdicts.get(rule["claim"], "not measured") == rule["verdict"]:
            return _filled(rule["says"], rule, lines, _because(rule["claim"], record.measurements))
    raise AssertionError("the last rules hold every verdict")


def _filled(words: str, rule: Mapping[str, str], lines: Mapping[str, Line], because: str = "") -> str:
    line = lines.get(rule.get("metric", ""))
    cells = Cells(*[text.UNDEFINED] * 4) if line is None else in_words(line)
    return words.format(dense=cells.dense, pruned=cells.pruned, because=because)


def _because(key: str, measurements: Measurements) -> str:
    """Give the reason why a claim cannot be decided."""
    claim = next(claim for claim in CLAIMS if claim.key == key)
    reasons = (guard.because(measurements) for guard in claim.guards if guard.doubt(measurements) is not None)
    return next(filter(None, reasons), str(_words()["unclear"]))
