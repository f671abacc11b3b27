"""What the Space's app comes along with: how each metric is named, found, written and drawn, and each claim's words.

The app imports nothing of this package. A metric or a claim that is added has its row here and costs no edit there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import get_args

from release.evals.claims import CLAIMS
from release.evals.registry import EVALS
from release.resources import PACKAGE
from release.schema.record import Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
WARNINGS: Mapping[str, tuple[Verdict, ...]] = {
    "stopped_reading": ("supported",),
    "bias_amplified": VERDICTS,
    "bias_reduced": ("supported",),
    "unknown_less": ("supported",),
}
"""Claim → the verdicts at which its words stand at the top of the model's facts, in this order."""
CAVEATS = ("no_storage_gain", "no_latency_gain", "perplexity_hides_bias")
"""Claims whose words stand among the caveats, whatever their verdicts."""


def files() -> dict[str, str]:
    """Return the app's files that are made from this package's tables, by name."""
    rules = (PACKAGE / "decimals.py").read_text(encoding="utf-8")
    return {"metrics.json": _json(_metrics()), "claims.json": _json(_claims()), "decimals.py": rules}


def _metrics() -> list[dict[str, object]]:
    return [
        {
            "key": metric.key,
            "better": metric.better,
            "claim": metric.claim,
            "expected": row.expected,
            "guessing": metric.guessing,
            "form": metric.form,
            **asdict(metric.panel),
        }
        for row in EVALS
        for metric in row.metrics
        if metric.panel
    ]


def _claims() -> list[dict[str, object]]:
    return [
        {
            "key": claim.key,
            "title": claim.title,
            "warns_at": WARNINGS.get(claim.key, ()),
            "is_caveat": claim.key in CAVEATS,
            "words": {verdict: claim.says(verdict) for verdict in VERDICTS},
        }
        for claim in CLAIMS
    ]


def _json(rows: list[dict[str, object]]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"
