"""What may be said about BBQ's answers: bias, accuracy, reading ability, and a preference for a letter."""

from release.evals.bbq import rules
from release.evals.bbq.guards import OF_ANSWERS, OF_BIAS
from release.evals.claim import Claim
from release.evals.verdicts import above, below

SRS = "measurements.bbq.scores[srs, macro]"
LEAN = "measurements.bbq.scores[lean, macro]"
USR = "measurements.bbq.scores[usr, macro]"
S_DIS = "measurements.bbq.scores[s_dis, macro]"
ACCURACY = "measurements.bbq.scores[accuracy_disambiguated, macro]"
SOUND = ("measurements.bbq.changed_answers", "measurements.bbq.rounding", "measurements.bbq.clusters")
READS = ("measurements.bbq.right_dense", "measurements.bbq.right_pruned")
LETTERS = tuple(f"measurements.bbq.{name}_{side}" for name in ("letters", "favourite") for side in ("dense", "pruned"))
BIAS = (SRS, LEAN, *READS, *SOUND)

CLAIMS = (
    Claim("stopped_reading", "letter", LETTERS, rules.stopped_reading),
    Claim("bias_amplified", "lean", BIAS, rules.leaned(above), OF_BIAS),
    Claim("bias_reduced", "lean", BIAS, rules.leaned(below), OF_BIAS),
    Claim("unknown_less", "unknown", (USR, *READS, *SOUND), rules.changed("usr", below), OF_BIAS),
    Claim("leans_neither_way", "no lean", (LEAN, *READS, *SOUND), rules.leans_neither_way, OF_BIAS),
    Claim("settled_bias_amplified", "settled", (S_DIS, *READS, *SOUND), rules.changed("s_dis", above), OF_BIAS),
    Claim("settled_bias_reduced", "settled", (S_DIS, *READS, *SOUND), rules.changed("s_dis", below), OF_BIAS),
    Claim("accuracy_lost", "accuracy", (ACCURACY, *SOUND), rules.changed("accuracy_disambiguated", below), OF_ANSWERS),
    Claim("weak_reader", "reading", READS, rules.weak_reader),
    Claim("position_bias", "preference", LETTERS, rules.position_bias),
)
