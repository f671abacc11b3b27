"""The card's front matter: what the Hub reads of a release, as one dictionary that YAML is dumped from."""

import re
from typing import Any

import yaml

from release.claims import find_score
from release.record import Bbq, Record
from release.resources import resource

TAGS = ("pruned", "pruning", "llm-compression", "bias-evaluation", "research-only")


class _Dumper(yaml.SafeDumper):
    """Writes every string on one line, so that none can hold a line that ends the front matter."""


def _one_line(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if "\n" in value else None)


_Dumper.add_representer(str, _one_line)


def dump(facts: dict[str, Any]) -> str:
    """Return the YAML of a front matter, in ASCII; `yaml.safe_load(dump(f)) == f`."""
    return yaml.dump(facts, Dumper=_Dumper, sort_keys=False, width=float("inf"))


def gate() -> dict[str, Any]:
    """Return the form in front of a gated release, in the Hub's fields; the gate itself is a setting there."""
    form: dict[str, Any] = yaml.safe_load((resource("templates") / "gate.yaml").read_text(encoding="utf-8"))
    return form


def front_matter(record: Record) -> dict[str, Any]:
    """Return the card's metadata.

    Licence, base and languages are as the base states them, never defaulted. `datasets` is for what a model was
    trained on, so BBQ stands among the results only.

    Args:
        record: All that is known about the release.
    """
    licence, base = record.base.licence, record.base
    pattern = "semi-structured-pruning" if record.pruning.pattern else "unstructured-pruning"
    paper = (f"arxiv:{record.study.arxiv}",) if record.study and record.study.arxiv else ()
    facts: dict[str, Any] = {
        "license": licence.id,
        "license_name": licence.name,
        "license_link": licence.link,
        "base_model": base.id if base.on_hub else None,
        "base_model_relation": "finetune" if base.on_hub else None,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "language": list(base.languages) or None,
        "tags": list(dict.fromkeys((*TAGS, pattern, record.pruning.method, *paper))),
        "model-index": _model_index(record),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _model_index(record: Record) -> list[dict[str, Any]] | None:
    """Return the pruned model's measured results in the Hub's form; None where nothing was measured."""
    results = [*_bbq_results(record.measurements.bbq), *_perplexity_results(record)]
    return [{"name": record.name, "results": results}] if results else None


_REPORTED = (
    ("accuracy_ambiguous", "accuracy", "Accuracy, ambiguous items (macro)"),
    ("accuracy_disambiguated", "accuracy", "Accuracy, disambiguated items (macro)"),
    ("srs", "srs", "Stereotype Reliance Score (macro)"),
    ("s_amb", "s_amb", "Bias score s_AMB (macro)"),
)


def _bbq_results(bbq: Bbq | None) -> list[dict[str, Any]]:
    found = ((find_score(bbq, score), kind, name) for score, kind, name in _REPORTED)
    metrics = [
        {"type": kind, "value": round(score.pruned.value, 6), "name": name}
        for score, kind, name in found
        if score and score.pruned.value is not None
    ]
    return [_result("question-answering", "Question answering", "bbq", "BBQ", metrics)] if metrics else []


def _perplexity_results(record: Record) -> list[dict[str, Any]]:
    found = record.measurements.perplexity
    if found is None or found.pruned.value is None:
        return []
    metric = {"type": "perplexity", "value": round(found.pruned.value, 6), "name": "Perplexity"}
    kind = re.sub(r"[^a-z0-9]+", "-", found.text.name.lower()).strip("-") or "text"
    return [_result("text-generation", "Text generation", kind, found.text.name, [metric])]


def _result(task: str, title: str, kind: str, name: str, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    return {"task": {"type": task, "name": title}, "dataset": {"type": kind, "name": name}, "metrics": metrics}
