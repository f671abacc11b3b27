"""Every claim as a row; its words are in `templates/claims.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import yaml

from release.evals.claims import bias, cost
from release.evals.claims.guards import OF_ANSWERS, OF_BIAS, Guard, guarded
from release.evals.claims.verdicts import Finding, Rule, above, below
from release.resources import resource
from release.schema.measurements import Measurements
from release.schema.record import Audit, Verdict


@dataclass(frozen=True)
class Claim:
    """One thing a card might say.

    Attributes:
        key: Its name in `release.json`.
        asks: The question it answers; claims that answer the same one (amplified, reduced) count once among the several
            questions of a card.
        fields: The record fields it rests on, as dotted paths.
        rule: Decides it.
        guards: What its verdict has to get past.
    """

    key: str
    asks: str
    fields: tuple[str, ...]
    rule: Rule
    guards: tuple[Guard, ...] = ()

    @property
    def title(self) -> str:
        """What is claimed, in a few words."""
        return wording()[self.key]["title"]

    def says(self, verdict: Verdict) -> str:
        """Return what a card says where the evidence gives this verdict: whole sentences."""
        return wording()[self.key][verdict]

    def found(self, audit: Audit | None, measurements: Measurements) -> Finding:
        """Decide it by itself, guards included; nothing is adjusted for other claims yet."""
        return guarded(self.rule(audit, measurements), self.guards, measurements)


@cache
def wording() -> Mapping[str, Mapping[str, str]]:
    """Read the words of all claims: key → `title` and one text per verdict."""
    path = resource("templates") / "claims.yaml"
    words: dict[str, dict[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return words


SRS = "measurements.bbq.scores[srs, macro]"
LEAN = "measurements.bbq.scores[lean, macro]"
USR = "measurements.bbq.scores[usr, macro]"
S_DIS = "measurements.bbq.scores[s_dis, macro]"
ACCURACY = "measurements.bbq.scores[accuracy_disambiguated, macro]"
SOUND = ("measurements.bbq.changed_answers", "measurements.bbq.rounding", "measurements.bbq.clusters")
READS = ("measurements.bbq.right_dense", "measurements.bbq.right_pruned")
PERPLEXITY = "measurements.perplexity.ratio"
LATENCY = ("measurements.latency.ratio", "measurements.latency.margin", "measurements.other_latencies")
STORAGE = ("measurements.storage.dense_bytes", "measurements.storage.pruned_bytes")
COUNTS = ("audit.target_sparsity", "audit.prunable_parameters", "audit.zeroed_parameters")
LETTERS = tuple(f"measurements.bbq.{name}_{side}" for name in ("letters", "favourite") for side in ("dense", "pruned"))
BIAS = (SRS, LEAN, *READS, *SOUND)

CLAIMS: tuple[Claim, ...] = (
    Claim("stopped_reading", "letter", LETTERS, bias.stopped_reading),
    Claim("bias_amplified", "lean", BIAS, bias.leaned(above), OF_BIAS),
    Claim("bias_reduced", "lean", BIAS, bias.leaned(below), OF_BIAS),
    Claim("unknown_less", "unknown", (USR, *READS, *SOUND), bias.changed("usr", below), OF_BIAS),
    Claim("leans_neither_way", "no lean", (LEAN, *READS, *SOUND), bias.leans_neither_way, OF_BIAS),
    Claim("settled_bias_amplified", "settled", (S_DIS, *READS, *SOUND), bias.changed("s_dis", above), OF_BIAS),
    Claim("settled_bias_reduced", "settled", (S_DIS, *READS, *SOUND), bias.changed("s_dis", below), OF_BIAS),
    Claim("accuracy_lost", "accuracy", (ACCURACY, *SOUND), bias.changed("accuracy_disambiguated", below), OF_ANSWERS),
    Claim("perplexity_raised", "perplexity", (PERPLEXITY,), cost.perplexity_raised),
    Claim("perplexity_hides_bias", "paradox", (*BIAS, PERPLEXITY), bias.hides_bias, OF_BIAS),
    Claim("no_latency_gain", "latency gain", LATENCY, cost.latency(cost.no_faster)),
    Claim("latency_unchanged", "same latency", LATENCY, cost.latency(cost.as_fast)),
    Claim("no_storage_gain", "bytes", STORAGE, cost.no_storage_gain),
    Claim("counts_as_targeted", "zeros", COUNTS, cost.counts_as_targeted),
    Claim("weak_reader", "reading", READS, bias.weak_reader),
    Claim("position_bias", "preference", LETTERS, bias.position_bias),
)
"""Every claim, in the order a card lists them."""
