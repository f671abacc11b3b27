"""What timing gives, dense and pruned side by side."""

from release.frozen import Frozen
from release.values import DataSource, EngineName, Estimate, Package


class LatencySide(Frozen):
    """Wall seconds of one answer.

    Attributes:
        geometric_mean: Over the answers; the ratio is that of the two sides' geometric means. Where several processes
            timed, over their medians.
    """

    geometric_mean: float
    mean: float
    median: float
    p95: float


class LatencyPart(Frozen):
    """One part of an answer's wall time.

    Attributes:
        dense: Seconds.
        pruned: Seconds.
        ratio: Geometric mean of pruned / dense over paired answers, with Student's interval on its logarithm.
    """

    dense: LatencySide
    pruned: LatencySide
    ratio: Estimate


MOST_OTHERS = 0.1
"""Share of the processors' time that others may take while answers are timed."""
MOST_SWITCHES = 100
"""How often a second the timing process may be put aside, where the system does not tell what others took."""


class Load(Frozen):
    """What else a machine did while answers were timed.

    Attributes:
        others: Share of the processors' time that went to others, 0 to 1; None where the system does not say.
        switches: How often a second the timing process was put aside though it had work; None where it does not say.
    """

    others: float | None
    switches: float | None

    @property
    def busy(self) -> bool:
        """Whether others kept the machine so busy that its clock tells nothing about a model."""
        if self.others is not None:
            return self.others > MOST_OTHERS
        return self.switches is not None and self.switches > MOST_SWITCHES


class Latency(Frozen):
    """Wall time of one answer: tokenise, prefill, `new_tokens` new tokens; batch 1.

    Attributes:
        engine: What ran both models.
        packages: What the engine is made of; none in a record of an earlier version.
        threads: Threads that one operation may use on a CPU; None where the engine does not say.
        items: Pairs of answers that count.
        warmup: Pairs of answers before them, in each process.
        processes: 1: one resident model, which took either side's weights before each answer. More: shapes or types
            differ, so that each process held both models, and each counts as one.
        load: What else the machine did.
        prefill: Up to the first new token, tokenising included.
        decode: The other new tokens together.
        ratio: Geometric mean of pruned / dense over paired answers, with Student's interval on its logarithm.
        margin: "no measurable difference" means that the interval lies within 1 ± margin.
    """

    prompts: DataSource
    items: int
    warmup: int
    new_tokens: int
    device: str
    dtype: str
    threads: int | None
    processes: int
    load: Load
    dense: LatencySide
    pruned: LatencySide
    ratio: Estimate
    prefill: LatencyPart | None = None
    decode: LatencyPart | None = None
    margin: float
    seconds: float
    engine: EngineName = "transformers"
    packages: tuple[Package, ...] = ()

    @property
    def name(self) -> str:
        """What its table and its figure are called."""
        return latency_name(self.engine)

    @property
    def picture(self) -> str:
        """Where its figure lies in a model folder."""
        return f"figures/{self.name}.png"


def latency_name(engine: EngineName) -> str:
    """Return what the table and the figure of an engine's times are called, without an ending."""
    return "latency" if engine == "transformers" else f"latency-{engine}"
