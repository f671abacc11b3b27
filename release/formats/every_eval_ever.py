"""`evaluation/every-eval-ever.json`: the pruned model's results in the Every Eval Ever schema, version 0.3.0.

One result per line of the card, with the interval of the pruned model's own value where there is one, and the dense
model's value and the paired difference as further details. See the schema of the EvalEval Coalition
(github.com/evaleval/every_eval_ever, eval.schema.json).
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from release.evals.eval import Eval
from release.evals.line import Attribution, Line
from release.evals.metric import Form
from release.evals.registry import EVALS
from release.extras import DISTRIBUTION
from release.names import REPO_ID
from release.schema.record import Record
from release.values import Estimate, Package

SCHEMA = "0.3.0"
FILE = "evaluation/every-eval-ever.json"
UNITS: Mapping[Form, str] = {"rate": "proportion", "seconds": "seconds", "bytes": "bytes"}
ENDS: Mapping[Form, tuple[float | None, float | str | None]] = {
    "rate": (0.0, 1.0),
    "perplexity": (1.0, "Infinity"),
    "seconds": (0.0, "Infinity"),
    "bytes": (0.0, "Infinity"),
    "count": (0.0, "Infinity"),
}
"""What a metric of a form can be at least and at most; None where its form does not say."""
LEVEL = 0.95

Json = dict[str, Any]


def text_of(record: Record) -> str | None:
    """Return the document; None where nothing was measured that a line tells of."""
    results = list(_results(record))
    if not results:
        return None
    stamp = str(int(datetime.fromisoformat(record.created).replace(tzinfo=UTC).timestamp()))
    document = {
        "schema_version": SCHEMA,
        "evaluation_id": f"{DISTRIBUTION}/{record.name}/{stamp}",
        "evaluation_timestamp": record.created,
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": "release.json",
            "source_type": "evaluation_run",
            "source_organization_name": "not stated",
            "evaluator_relationship": "first_party",
        },
        "eval_library": _library(record),
        "model_info": _model(record),
        "evaluation_results": results,
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _library(record: Record) -> Json:
    used = [harness for row in EVALS for found in row.results(record.measurements) if (harness := _harness(found))]
    further = {"additional_details": {each.name: each.version for each in used}} if used else {}
    return {"name": DISTRIBUTION, "version": record.environment.release, **further}


def _harness(found: object) -> Package | None:
    harness = getattr(found, "harness", None)
    return harness if isinstance(harness, Package) else None


def _model(record: Record) -> Json:
    return {
        "name": record.name or "model",
        "id": record.name or "model",
        "inference_engine": {"name": "transformers", "version": record.environment.transformers},
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "open_weights",
            "base_model": record.base.id,
            "base_model_revision": record.base.revision or "none",
            "pruning_method": record.pruning.method,
            "target_sparsity": f"{record.pruning.target_sparsity:f}",
            "actual_sparsity": repr(record.audit.actual_sparsity),
        },
    }


def _results(record: Record) -> Iterator[Json]:
    """Yield one result per line that has a value; those of a row with no task are no evaluation of the model."""
    for row in EVALS:
        for place, found in enumerate(row.results(record.measurements)):
            data = next(iter(row.sources(found)), None)
            for line in row.lines(found):
                if row.task is not None and line.pruned is not None:
                    imported = bool(getattr(found, "imported", False))
                    yield _result(row, line, data, {"imported": str(imported).lower(), "place": str(place)})


def _result(row: Eval[Any], line: Line, data: Attribution | None, told: dict[str, str]) -> Json:
    metric = line.metric
    share = metric.form == "rate"  # whose line counts items, and holds the share as its change
    value = line.change.value if share else line.pruned
    low, high = ENDS.get(metric.form, (None, None))
    about = {"direction": metric.better, "evaluation": row.key, "over": line.suffix.strip(" ,()") or "all"}
    return {
        "evaluation_result_id": f"{row.key}/{told.pop('place')}/{metric.key}{line.suffix}".replace(" ", ""),
        "evaluation_name": f"{row.title}{line.suffix}",
        "source_data": _source(row, line.source or data, line.n),
        "metric_config": {
            "evaluation_description": metric.label,
            "metric_id": metric.hub.type if metric.hub else metric.key,
            "metric_name": metric.label,
            **({"metric_unit": UNITS[metric.form]} if metric.form in UNITS else {}),
            "lower_is_better": metric.better == "lower",
            "score_type": "continuous",
            "min_score": low,
            "max_score": high,
            "additional_details": about,
        },
        "score_details": {
            "score": value if value is not None else line.pruned,
            "details": told | dict(_details(line, share)),
            **_uncertainty(line.change if share else line.interval, line.n),
        },
    }


def _details(line: Line, share: bool) -> Iterator[tuple[str, str]]:
    """Yield what the schema has no field for: the dense model's value and the paired change, with its interval."""
    if line.dense is not None:
        yield "dense", repr(line.dense)
    change = "share_changed" if share else "change"
    for name, value in ((change, line.change.value), ("low", line.change.low), ("high", line.change.high)):
        if value is not None:
            yield name if name == change else f"{change}_{name}", repr(value)


def _uncertainty(interval: Estimate, n: int | None) -> Json:
    found: Json = {} if n is None else {"num_samples": n}
    if interval.low is not None and interval.high is not None:
        ends = {"lower": interval.low, "upper": interval.high, "confidence_level": LEVEL}
        found["confidence_interval"] = ends | {"method": "see the card's section on how numbers were taken"}
    return {"uncertainty": found} if found else {}


def _source(row: Eval[Any], data: Attribution | None, n: int | None) -> Json:
    if data is None:
        return {"dataset_name": row.title, "source_type": "other"}
    name, origin, counted = data.data.name or row.key, data.data.origin, {} if n is None else {"samples_number": n}
    facts = {"additional_details": {"sha256": data.data.sha256} | _revision(data)}
    if REPO_ID.fullmatch(origin):
        return {"dataset_name": name, "source_type": "hf_dataset", "hf_repo": origin, **counted, **facts}
    if origin.startswith(("http://", "https://")):
        return {"dataset_name": name, "source_type": "url", "url": [origin], **facts}
    return {"dataset_name": name, "source_type": "other", **facts}


def _revision(data: Attribution) -> dict[str, str]:
    return {"revision": data.data.revision} if data.data.revision else {}
