"""The Hub's rules for a model card's front matter, asked offline; the Hub asks again at every commit."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from release.names import LANGUAGE, LICENCE, REPO_ID

RELATIONS = ("finetune", "adapter", "merge", "quantized")
"""There is none for pruning."""
ANSWERS = ("text", "checkbox", "date_picker", "country", "select")
"""Kinds of fields in the form before a gate."""


def broken(facts: Mapping[str, Any]) -> list[str]:
    """List the rules that a front matter breaks; facts that people added themselves are theirs to answer for."""
    return [problem for rule in RULES for problem in rule(facts)]


def _library(facts: Mapping[str, Any]) -> Iterator[str]:
    for name in ("library_name", "pipeline_tag"):
        if not isinstance(facts.get(name), str):
            yield f"{name} is missing: the Hub does not guess it"


def _licence(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts.get("license")
    if found is not None and not (isinstance(found, str) and LICENCE.fullmatch(found)):
        yield f"license {found!r} is no license's id"
    if found == "other" and not (facts.get("license_name") and facts.get("license_link")):
        yield "license is other, but license_name or license_link is missing"


def _base(facts: Mapping[str, Any]) -> Iterator[str]:
    base, relation = facts.get("base_model"), facts.get("base_model_relation")
    if base is not None and not (isinstance(base, str) and REPO_ID.fullmatch(base)):
        yield f"base_model {base!r} is no Hub id"
    if relation is not None and (base is None or relation not in RELATIONS):
        yield f"base_model_relation {relation!r} is none of {', '.join(RELATIONS)}, or has no base_model"


def _lists(facts: Mapping[str, Any]) -> Iterator[str]:
    tags, languages = facts.get("tags", []), facts.get("language", [])
    if not all(isinstance(tag, str) and tag for tag in tags) or len(set(map(str, tags))) < len(tags):
        yield "tags are not texts, or one stands twice"
    for each in [languages] if isinstance(languages, str) else languages:
        if not (isinstance(each, str) and LANGUAGE.fullmatch(each)):
            yield f"language {each!r} is no ISO 639 code"


def _results(facts: Mapping[str, Any]) -> Iterator[str]:
    for model in facts.get("model-index", []):
        if not model.get("name") or not model.get("results"):
            yield "model-index has no name or no results"
        for result in model.get("results", []):
            yield from _result(result)


def _result(result: Mapping[str, Any]) -> Iterator[str]:
    task, data = result.get("task", {}), result.get("dataset", {})
    if not (task.get("type") and data.get("type") and data.get("name")):
        yield "a result in model-index lacks task.type, dataset.type or dataset.name"
    for metric in result.get("metrics", []):
        value = metric.get("value")
        if not metric.get("type") or not isinstance(value, int | float) or not math.isfinite(value):
            yield f"the metric {metric.get('name') or metric.get('type')} in model-index has no finite value"


def _gate(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, field in (facts.get("extra_gated_fields") or {}).items():
        kind = field.get("type") if isinstance(field, dict) else field
        if kind not in ANSWERS or (kind == "select" and not field.get("options")):
            yield f"the field {name!r} before the gate has no kind the Hub knows"


RULES: tuple[Callable[[Mapping[str, Any]], Iterator[str]], ...] = (_library, _licence, _base, _lists, _results, _gate)
