"""What BBQ gives, dense and pruned side by side."""

from typing import Literal

from release.frozen import Frozen
from release.values import DataSource, EngineName, Estimate, Package, Precision, Rate, Reading, Score


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


class BbqFolder(Frozen):
    """A benchmark of one's own in BBQ's form: its fields, other text and categories.

    Attributes:
        language: Of its texts, by BCP 47.
        unknown: Phrases by which its items say that the answer cannot be known.
        sizes: Category → its items, whatever was asked of them.
    """

    language: str
    unknown: tuple[str, ...]
    sizes: dict[str, int]


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
        folder: The benchmark of one's own that was asked in the place of BBQ; None for BBQ itself.
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
    folder: BbqFolder | None = None
