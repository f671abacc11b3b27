"""The card's front matter: what the Hub reads of a release, as one dictionary that YAML is dumped from."""

import re
from typing import Any

import yaml

from release.evals.bbq.metrics import METRICS as BBQ
from release.evals.bbq.result import Bbq
from release.evals.claims import find_score
from release.evals.metric import Hub
from release.evals.metrics import on_the_hub
from release.evals.perplexity.metrics import PERPLEXITY
from release.names import LANGUAGE, LICENCE, REPO_ID
from release.resources import resource
from release.schema.record import Base, Licence, Record
from release.values import DataSource

TOOL = "release"
"""This tool, by whose name the Hub shows no way of loading."""
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

    Licence, base and languages are as the base states them, never defaulted; what the Hub's rules do not let pass is
    left out, and a licence with a name of its own is `other`. `datasets` is for what a model was trained on, so BBQ
    stands among the results only.

    Args:
        record: All that is known about the release.
    """
    base = record.base
    pattern = "semi-structured-pruning" if record.pruning.pattern else "unstructured-pruning"
    paper = (f"arxiv:{record.study.arxiv}",) if record.study and record.study.arxiv else ()
    facts: dict[str, Any] = {
        **_licence(base.licence),
        "base_model": base.id if _on_hub(base) else None,
        "base_model_relation": "finetune" if _on_hub(base) else None,
        # The Hub shows how to load a model of transformers, which fails where no weights are.
        "library_name": "transformers" if record.weights == "all" else TOOL,
        "pipeline_tag": "text-generation",
        "language": [each for each in base.languages if LANGUAGE.fullmatch(each)] or None,
        "tags": list(filter(None, dict.fromkeys((*TAGS, pattern, record.pruning.method, *paper)))),
        "model-index": _model_index(record),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _on_hub(base: Base) -> bool:
    return base.on_hub and REPO_ID.fullmatch(base.id) is not None


def _licence(found: Licence) -> dict[str, str | None]:
    """The licence in the Hub's fields: an id that it may know, or `other` with its name and where it is to be read."""
    link = found.link or found.file
    if found.id is None:
        return {}
    if found.id == "other" or not LICENCE.fullmatch(found.id):
        name = found.name or (found.id if found.id != "other" else "unnamed")
        return {"license": "other", "license_name": name or "unnamed", "license_link": link or "README.md"}
    return {"license": found.id, "license_name": found.name, "license_link": found.link}


def _model_index(record: Record) -> list[dict[str, Any]] | None:
    """Return the pruned model's measured results in the Hub's form; None where nothing was measured."""
    results = [*_bbq_results(record.measurements.bbq), *_perplexity_results(record)]
    return [{"name": record.name or "model", "results": results}] if results else None


def _bbq_results(bbq: Bbq | None) -> list[dict[str, Any]]:
    if bbq is None:
        return []
    metrics = [
        _metric(hub, score.pruned.value)
        for metric, hub in on_the_hub(BBQ)
        if (score := find_score(bbq, metric.key)) and score.pruned.value is not None
        if not metric.parsing or bbq.reading == "generate"
    ]
    return [_result("question-answering", "Question answering", "bbq", "BBQ", bbq.data, metrics)] if metrics else []


def _perplexity_results(record: Record) -> list[dict[str, Any]]:
    found = record.measurements.perplexity
    if found is None or found.pruned.value is None:
        return []
    metrics = [_metric(hub, found.pruned.value) for _, hub in on_the_hub([PERPLEXITY])]
    kind = re.sub(r"[^a-z0-9]+", "-", found.text.name.lower()).strip("-") or "text"
    return [_result("text-generation", "Text generation", kind, found.text.name, found.text, metrics)]


def _metric(hub: Hub, value: float) -> dict[str, Any]:
    return {"type": hub.type, "value": round(value, 6), "name": hub.name}


def _result(
    task: str, title: str, kind: str, name: str, data: DataSource, metrics: list[dict[str, Any]]
) -> dict[str, Any]:
    revision = {"revision": data.revision} if data.revision else {}
    dataset = {"type": kind, "name": name or kind, **revision}
    return {"task": {"type": task, "name": title}, "dataset": dataset, "metrics": metrics}
