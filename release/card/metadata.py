"""The card's front matter: what the Hub reads of a release, as one dictionary that YAML is dumped from."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from release.card.templates import HUB
from release.evals.eval import Eval
from release.evals.line import Attribution
from release.evals.metric import Hub
from release.evals.registry import EVALS
from release.frozen import Frozen
from release.names import LANGUAGE, LICENCE, REPO_ID
from release.resources import resource
from release.schema.record import Base, Licence, Record

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


def front_matter(record: Record, repo: str | None = None) -> dict[str, Any]:
    """Return the card's metadata.

    Licence, base and languages are as the base states them, never defaulted; what the Hub's rules do not let pass is
    left out, and a licence with a name of its own is `other`. `datasets` is for what a model was trained on, so what it
    was evaluated on stands among the results only.

    Args:
        record: All that is known about the release.
        repo: Its Hub id, where it is published: each result then says where its record stands.
    """
    base = record.base
    pattern = "semi-structured-pruning" if record.pruning.pattern else "unstructured-pruning"
    paper = (f"arxiv:{record.study.arxiv}",) if record.study and record.study.arxiv else ()
    facts: dict[str, Any] = {
        **licence(base.licence),
        "base_model": base.id if _on_hub(base) else None,
        "base_model_relation": "finetune" if _on_hub(base) else None,
        # The Hub shows how to load a model of transformers, which fails where no weights are.
        "library_name": "transformers" if record.weights == "all" else TOOL,
        "pipeline_tag": "text-generation",
        "language": [each for each in base.languages if LANGUAGE.fullmatch(each)] or None,
        "tags": list(filter(None, dict.fromkeys((*TAGS, pattern, record.pruning.method, *paper)))),
        "model-index": _model_index(record, repo),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _on_hub(base: Base) -> bool:
    return base.on_hub and REPO_ID.fullmatch(base.id) is not None


def licence(found: Licence) -> dict[str, str | None]:
    """The licence in the Hub's fields: an id that it may know, or `other` with its name and where it is to be read."""
    link = found.link or found.file
    if found.id is None:
        return {}
    if found.id == "other" or not LICENCE.fullmatch(found.id):
        name = found.name or (found.id if found.id != "other" else "unnamed")
        return {"license": "other", "license_name": name or "unnamed", "license_link": link or "README.md"}
    return {"license": found.id, "license_name": found.name, "license_link": found.link}


def _model_index(record: Record, repo: str | None) -> list[dict[str, Any]] | None:
    """Return the pruned model's measured results in the Hub's form; None where nothing was measured.

    A line whose metric has no name there is left out, as one is that stands in `.eval_results/`.
    """
    pairs = [(row, found) for row in EVALS for found in row.results(record.measurements)]
    results = [result for row, found in pairs for result in _results(row, found)]
    source = {"source": {"name": "release.json", "url": f"{HUB}/{repo}/blob/main/release.json"}} if repo else {}
    return [{"name": record.name or "model", "results": [each | source for each in results]}] if results else None


def _results(row: Eval[Any], found: Frozen) -> Iterator[dict[str, Any]]:
    """Yield results in the Hub's form, one per data set; none where the Hub has no word for its task or metrics."""
    first = next(iter(row.sources(found)), None)
    by_title: dict[str, tuple[Attribution | None, list[dict[str, Any]]]] = {}
    for line in row.lines(found):
        if row.task is not None and line.metric.hub is not None and line.pruned is not None:
            source = line.source or first
            told = by_title.setdefault(source.title if source else "", (source, []))
            told[1].append(_metric(line.metric.hub, line.pruned))
    for source, metrics in by_title.values():
        # Accuracy comes first, since that is what every reader there knows.
        metrics.sort(key=lambda metric: metric["type"] != "accuracy")
        dataset = {"type": row.key, "name": row.title} if source is None else _dataset(source)
        yield {"task": row.task._asdict() if row.task else {}, "dataset": dataset, "metrics": metrics}


def _dataset(source: Attribution) -> dict[str, Any]:
    name = source.data.name
    kind, name = source.hub or (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "text", name)
    revision = {"revision": source.data.revision} if source.data.revision else {}
    return {"type": kind, "name": name or kind, **revision}


def _metric(hub: Hub, value: float) -> dict[str, Any]:
    return {"type": hub.type, "value": round(value, 6), "name": hub.name}
