"""What was measured, dense and pruned side by side: the frozen records under `measurements` in `release.json`."""

import re
from typing import Annotated, Literal

from pydantic import Field

from release.frozen import Frozen

Reading = Literal["letters", "answers", "generate"]
"""How an answer is read from a model."""
Precision = Literal["float32", "bfloat16", "float16"]
"""Arithmetic of a forward pass."""
EngineName = Literal["transformers", "mlx"]
"""What runs a model."""
Positive = Annotated[float, Field(gt=0)]
"""Degrees of freedom and design effects; of none, no interval and no p-value is made."""


class Package(Frozen):
    """A package and its version."""

    name: str
    version: str


class DataSource(Frozen):
    """A data set or text that something was measured on.

    Attributes:
        revision: Commit or release of the data, as its origin names it; None for one's own folder or file.
        sha256: Digest over the bytes that were used.
    """

    name: str
    origin: str
    revision: str | None
    licence: str | None
    sha256: str

    @property
    def words(self) -> frozenset[str]:
        """The words of a published data set's name, by which its paper is cited; a file of one's own cites nothing."""
        return frozenset(re.findall(r"[a-z0-9]+", self.name.lower()) if self.revision else ())


class Estimate(Frozen):
    """A value with its 95 % interval.

    All are None where the value is not defined; the interval alone where what is known is too little for one.

    Attributes:
        df: Degrees of freedom of Student's t from which the interval was made, on the scale that suits the value
            (differences as they are, ratios by their logarithm); None where there is no interval, or where it rests on
            the normal distribution.
    """

    value: float | None
    low: float | None
    high: float | None
    df: Positive | None = None


class Rate(Frozen):
    """A share with its 95 % interval: Wilson's, with the sample size that the question templates leave of `n`.

    Attributes:
        templates: Question templates that the n items come from; None where they were counted as independent.
        design_effect: Variance over that of independent items, and somewhat more, since few templates tell it only
            roughly; n / design_effect is the effective sample size.
    """

    count: int
    n: int
    value: float | None
    low: float | None
    high: float | None
    templates: int | None = None
    design_effect: Positive | None = None


class Score(Frozen):
    """One bias or accuracy score, dense and pruned, with the interval of the paired difference.

    Attributes:
        name: `srs`, `usr`, `anti`, `lean`, `unparsed`, `accuracy_ambiguous`, `accuracy_disambiguated`, `s_amb` or
            `s_dis`.
        over: `macro` (unweighted mean over categories), `items` (item-weighted), or a category's name.
        items: Items the score is taken over.
        difference: pruned − dense.
        ratio: pruned / dense, of shares over all categories; its interval is made on the logarithm.
        categories: Categories that the score is taken over: those where it is defined for both models.
        templates: Question templates that answer it.
    """

    name: str
    over: str
    items: int
    dense: Estimate
    pruned: Estimate
    difference: Estimate
    ratio: Estimate | None = None
    categories: int | None = None
    templates: int | None = None


class Mcnemar(Frozen):
    """Whether right answers were lost or won, on the items of one condition.

    Attributes:
        condition: `ambig` or `disambig`.
        items: Items of this condition.
        p_value: Exact McNemar test, two-sided; it takes items for independent.
        p_templates: Sign-flip permutation test over question templates, two-sided; None where fewer than 12 templates
            answer or none changed.
    """

    condition: Literal["ambig", "disambig"]
    items: int
    only_dense_right: int
    only_pruned_right: int
    p_value: float
    p_templates: float | None


class CategoryTest(Frozen):
    """Whether SRS changed in one category, as one of several questions asked at once.

    Attributes:
        cohens_h: Effect size 2·asin√pruned − 2·asin√dense; None where SRS is not defined for both.
        templates: Question templates that answer.
        p_value: Two-sided, by permutation of the two models within templates; None where fewer than 12 templates
            answer, or none changed.
        p_adjusted: By Benjamini and Hochberg, over the categories that have a p-value.
    """

    category: str
    items: int
    templates: int | None = None
    cohens_h: float | None
    p_value: float | None
    p_adjusted: float | None


class Sampling(Frozen):
    """How answers were generated.

    Attributes:
        seeds: One answer per item and seed; dense and pruned draw with the same random numbers.
    """

    temperature: float
    new_tokens: int
    seeds: tuple[int, ...]


class Forecast(Frozen):
    """What a sample will tell about the macro change in SRS, foretold from its design.

    Attributes:
        typical: Half width of the 95 % interval for models like those tried; None where too few question templates tell
            anything for an interval.
        most: For any pair of models, save by the luck of the draw; never above 1.
    """

    items: int
    typical: float | None
    most: float | None

    def __str__(self) -> str:
        if self.typical is None:
            return f"{self.items:,} items, of too few question templates for an interval of the change in SRS"
        width = f"about ±{self.typical:.3f} (at most ±{self.most:.2f})"
        return f"{self.items:,} items; the change in SRS will be known to {width}"


class Look(Frozen):
    """One look at a growing sample.

    Attributes:
        prompts: Prompts that each model had been given by then.
        half_width: Of the adjusted interval of the macro change in SRS; None where that is not defined.
    """

    items: int
    prompts: int
    half_width: float | None


class Looks(Frozen):
    """Looks at growing samples, until the macro change in SRS was known well enough.

    Attributes:
        wanted: The half width asked for.
        planned: Items at every look that was planned beforehand.
        level: Of the interval at each look; those of all planned looks hold together in 95 % of cases.
        taken: The looks that were taken.
        change: The macro change in SRS at the last of them, with the interval of that level.
        reached: Whether its half width is at most `wanted`; otherwise all items were asked.
    """

    wanted: float
    planned: tuple[int, ...]
    level: float
    taken: tuple[Look, ...]
    change: Estimate
    reached: bool


class Bbq(Frozen):
    """BBQ, dense and pruned, item by item.

    Attributes:
        reading: `letters`: log-probability of the option letters, averaged for each answer over rotations; `answers`:
            mean log-probability per token of each answer's text, averaged likewise; `generate`: sampled and parsed.
        rotations: Cyclic orders of the options.
        precision: Arithmetic of the forward pass; by transformers the output matrix is always applied in float32.
        prompt: `chat` (the model's template), `chat without system role`, or `plain`; behind the first two what the
            template made necessary, as `Rendering.style` words it.
        items: Items asked.
        population: Items the sample was drawn from.
        clusters: Question templates (category × question_index) among the items.
        sample_seed: Seed of the draw; None for the whole set.
        scores: Over all categories, macro and item-weighted.
        by_category: The same per category.
        tests: One per category.
        tested_categories: Categories that have a p-value: those that it is adjusted over.
        changed_answers: Items with an answer that differs between dense and pruned (for `generate`: at any seed).
        right_answers: One test for each condition; an item is right where more than half of its answers are.
        right_dense: Disambiguated items that the dense model answers right.
        newly_biased: Of the ambiguous items where dense never chooses the target, those where pruned does.
        newly_unbiased: Of the ambiguous items where dense chooses the target, those where pruned never does.
        guessing_level: The newly-biased rate that uniform guessing would give.
        letters_dense: How often the dense model's best letter was A, B, C, over all rotations; None unless letters
            are read.
        favourite_dense: The share of readings in which the dense model's favourite letter is the likeliest.
        rounding: Of some items, those whose answer differs when the same dense model is read in another,
            mathematically equal order; None in float32, where orders agree.
        sampling: None unless answers are generated.
        looks: None where the number of items was fixed.
        permutations: Patterns that a permutation test draws where there are too many to try them all.
        recalled: Readings of both models that were taken over from an earlier measurement of the same weights.
        seconds: Wall time of the readings that were not.
        engine: What ran both models.
        packages: What the engine is made of; none in a record of an earlier version.
    """

    data: DataSource
    reading: Reading
    rotations: int
    precision: Precision
    prompt: str
    items: int
    ambiguous_items: int
    disambiguated_items: int
    population: int
    categories: tuple[str, ...]
    clusters: int
    sample_seed: int | None
    scores: tuple[Score, ...]
    by_category: tuple[Score, ...]
    tests: tuple[CategoryTest, ...] = ()
    tested_categories: int = 0
    changed_answers: Rate
    right_answers: tuple[Mcnemar, ...]
    right_dense: Rate | None = None
    right_pruned: Rate | None = None
    newly_biased: Rate
    newly_unbiased: Rate
    guessing_level: float
    letters_dense: tuple[int, int, int] | None
    letters_pruned: tuple[int, int, int] | None
    favourite_dense: Rate | None = None
    favourite_pruned: Rate | None = None
    rounding: Rate | None = None
    sampling: Sampling | None = None
    looks: Looks | None = None
    permutations: int
    permutation_seed: int
    recalled: int = 0
    seconds: float
    engine: EngineName = "transformers"
    packages: tuple[Package, ...] = ()


class Perplexity(Frozen):
    """exp(mean token negative log-likelihood) over windows without overlap.

    Attributes:
        window: Tokens per window; the first of each is not scored.
        tokens: Tokens scored.
        token_sha256: Digest of the token ids, as little-endian 32-bit integers.
        ratio: pruned / dense, window by window; like the others, its interval allows for neighbours that are alike.
    """

    text: DataSource
    window: int
    windows: int
    tokens: int
    token_sha256: str
    precision: Precision
    dense: Estimate
    pruned: Estimate
    ratio: Estimate
    recalled: int = 0
    seconds: float


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


class Load(Frozen):
    """What else a machine did while answers were timed.

    Attributes:
        others: Share of the processors' time that went to others, 0 to 1; None where the system does not say.
        switches: How often a second the timing process was put aside though it had work; None where it does not say.
    """

    others: float | None
    switches: float | None


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


class Storage(Frozen):
    """Bytes of the weight files."""

    dense_bytes: int
    pruned_bytes: int


class SuperWeight(Frozen):
    """One super-weight candidate: the weight that joins the spikes of an MLP's last projection.

    Attributes:
        tensor: Name of the stored matrix.
        row: Its output channel, from 0.
        column: Its input channel, from 0.
        dense: Its value in the dense files.
        input: The input that peaks, on `column`.
        output: The output that peaks at the same token, on `row`.
        spike: |dense · input| over the median |output| of the whole projection.
        zeroed: Whether it is zero in the pruned files.
    """

    tensor: str
    row: int
    column: int
    dense: float
    input: float
    output: float
    spike: float
    zeroed: bool


class SuperWeights(Frozen):
    """The largest super-weight candidates of the dense model, and which of them the pruned files lack.

    Attributes:
        prompt: The text of the one forward pass.
        tokens: Its length.
        precision: Arithmetic of the forward pass.
        blocks: Blocks looked at; each has one candidate at most.
        candidates: Those that stand out, by falling spike: 100 times the median output of their projection at least,
            and 1 % of the first; none where no spike does.
    """

    prompt: str
    tokens: int
    precision: str
    blocks: int
    candidates: tuple[SuperWeight, ...]

    @property
    def hits(self) -> int:
        """How many of the candidates were zeroed."""
        return sum(candidate.zeroed for candidate in self.candidates)


class Mask(Frozen):
    """What one mask changed, on the same items and windows as the others; None where that was not measured.

    Attributes:
        srs: Change of SRS, pruned − dense, mean over categories.
        lean: Change of SRS − anti-stereotyped answers, likewise.
        log_perplexity: Natural logarithm of pruned / dense.
    """

    seed: int
    srs: float | None
    lean: float | None
    log_perplexity: float | None


class Spread(Frozen):
    """How one change varies between masks; all None where it is not defined for every mask.

    Attributes:
        deviation: Standard deviation between masks, over N − 1; its interval is that of chi-squared, which takes the
            change for normally distributed over masks.
    """

    mean: float | None
    deviation: Estimate


class Masks(Frozen):
    """Several masks of one recipe that differ in their seed alone.

    Attributes:
        masks: The published one first.
    """

    masks: tuple[Mask, ...]
    srs: Spread
    lean: Spread
    log_perplexity: Spread


class Measurements(Frozen):
    """Dense and pruned side by side; None where a measurement was switched off.

    Attributes:
        latency: By the engine that was named first.
        other_latencies: By the further engines, in the order in which they were named.
        masks: Between several masks; None where only the published one was measured.
        super_weights: None also for a mixture of experts, or where nothing else was measured.
    """

    bbq: Bbq | None
    perplexity: Perplexity | None
    latency: Latency | None
    storage: Storage
    super_weights: SuperWeights | None = None
    masks: Masks | None = None
    other_latencies: tuple[Latency, ...] = ()

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """Latency by every engine."""
        return (*([] if self.latency is None else [self.latency]), *self.other_latencies)
