"""What was asked for, checked before any work begins."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import model_validator

from release.digests import sha256_file
from release.errors import BadOption
from release.format import quoted
from release.frozen import MOST_DECIMALS, Frozen, is_share
from release.names import REPO_ID
from release.options import LARGEST_SEED, MOST_MASKS
from release.pruning.method import Scope
from release.pruning.recipe import Recipe
from release.schema.record import CalibrationPlan, Weights
from release.schema.study import Study
from release.sources.identity import Identity
from release.values import EngineName, Precision, Reading

DEFAULT_SEED = 42
CALIBRATION_TEXTS = ("auto", "c4", "wikipedia")
SCOPE_WORDS: dict[Scope, str] = {"tensor": "tensor", "row": "row", "model": "global"}
"""What a scope is called on the command line and in names."""


ALLOCATIONS: dict[str, Literal["uniform", "owl"]] = {"uniform": "uniform", "owl": "owl"}
READINGS: dict[str, Reading] = {"letters": "letters", "answers": "answers", "generate": "generate"}
PRECISIONS: dict[str, Precision] = {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}
ENGINES: dict[str, EngineName] = {"transformers": "transformers", "mlx": "mlx"}
LOG_FORMATS: dict[str, Literal["lm-eval"]] = {"lm-eval": "lm-eval"}
GATES: dict[str, Literal["auto", "manual"]] = {"auto": "auto", "manual": "manual"}
WEIGHTS: dict[str, Weights] = {"all": "all", "none": "none"}
UNCALIBRATED: dict[str, Literal["refuse", "magnitude"]] = {"refuse": "refuse", "magnitude": "magnitude"}

RESOURCE_GROUP = re.compile(r"[\w-]{1,100}", re.ASCII)
AMOUNT = re.compile(r"0*[1-9][0-9]{0,8}")
SPACES = "spaces/"
"""What the Hub writes before the id of a Space."""
LONGEST_NUMBER = 100
"""Characters of a number that are read."""

Value = TypeVar("Value")


class Measuring(Frozen):
    """What to measure, and on what.

    Attributes:
        bbq: "auto" (as many items as this machine reads in about the time of the rest), "off", "full", "study" (the
            12,148 ambiguous items of the study's five categories), or a number of items.
        bbq_scoring: How an answer is read.
        bbq_engine: What runs the models that are asked.
        bbq_categories: Categories to ask; none means all.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy.
        perplexity: "off" or a number of windows.
        text: A UTF-8 text file instead of the catalogue's Wikipedia half.
        latency: "auto" (24 prompts, up to 96 where these leave the ratio less certain than ±3 %), "off", or a number
            of prompts.
        latency_engine: What runs the models that are timed; of several engines, the first stands first on the card.
        eval_dtype: Arithmetic of BBQ and perplexity.
        log_format: Form of a further log of every answer, or None.
        device: A torch device, or "auto".
        seed: Seed of the samples and of the permutation tests.
        precision: Half width of the change in SRS at which no further items are asked; None for a fixed number.
    """

    bbq: str = "auto"
    bbq_scoring: Reading = "letters"
    bbq_engine: EngineName = "transformers"
    bbq_categories: tuple[str, ...] = ()
    bbq_data: Path | None = None
    perplexity: str = "32"
    text: Path | None = None
    latency: str = "auto"
    latency_engine: tuple[EngineName, ...] = ("transformers",)
    eval_dtype: Precision = "float32"
    log_format: Literal["lm-eval"] | None = None
    device: str = "auto"
    seed: int = DEFAULT_SEED
    precision: Decimal | None = None


class PublishOptions(Frozen):
    """How a release is published.

    Attributes:
        private: Leave the repositories private.
        gated: Who reads the model must ask: "auto" grants at once, "manual" by hand; None leaves it as it is.
        pull_request: Propose the files as a pull request, and show nothing.
        revision: Branch of the model repository; on any but main nothing is shown, and no Space goes along.
        collection: Title or slug of a collection to put the release into.
        space_hardware: What the Space shall run on; None leaves it to the Hub.
        resource_group: Id of the organisation's resource group that new repositories are made in.
        into: The model repository's id; None for the release's own name.
        space_into: The Space's; None for the model's.
        adopt: Replace what somebody else made there.
        space_timeout: Seconds that the Space may take to be built and to start; None for half an hour.
        show_unasked: Show the release even where the Space gives no answer.
        weights: "none" uploads the recipe alone, from which whoever has the base makes the weights.
    """

    private: bool = False
    gated: Literal["auto", "manual"] | None = None
    pull_request: bool = False
    revision: str = "main"
    collection: str | None = None
    space_hardware: str | None = None
    resource_group: str | None = None
    into: str | None = None
    space_into: str | None = None
    adopt: bool = False
    space_timeout: int | None = None
    show_unasked: bool = False
    weights: Weights = "all"

    @property
    def proposes(self) -> bool:
        """Whether the files are only laid beside what is shown."""
        return self.pull_request or self.revision != "main"


class Plan(Frozen):
    """A whole release, as asked for.

    Attributes:
        model: An alias, a Hub id `org/name[@revision]`, a folder, or `demo`.
        out: Folder that releases are built in.
        local: Build and verify everything, upload nothing.
        namespace: Hub user or organisation to publish under; None for one's own.
        ways: How it is published.
        space: Whether a demo Space goes along.
        threads: Worker threads; 0 means one per core.
        calibration_file: The text file that the recipe's calibration names.
        with_mask: Whether the mask is published beside the weights.
        study: The study that the release accompanies.
        study_file: What --study named, without its path; None for the study that ships.
        identity: What is stated of a base that is a folder.
        seeds: Masks to measure: the published one, and those of the seeds after it.
    """

    model: str
    recipe: Recipe
    measuring: Measuring = Measuring()
    out: Path = Path("releases")
    local: bool = False
    namespace: str | None = None
    ways: PublishOptions = PublishOptions()
    space: bool = True
    threads: int = 0
    calibration_file: Path | None = None
    with_mask: bool = False
    study: Study | None = None
    study_file: str | None = None
    identity: Identity = Identity()
    seeds: int = 1

    @model_validator(mode="after")
    def _has_masks(self) -> Self:
        if self.seeds == 1:
            return self
        if not 1 <= self.seeds <= MOST_MASKS:
            raise BadOption(f"--seeds {self.seeds} is out of range.", f"Give a whole number from 1 to {MOST_MASKS}.")
        if not self.recipe.row.seeded:
            seen = f"The seed does not decide the mask of {self.recipe.method}; --seeds would say nothing of it."
            raise BadOption(seen, "Leave --seeds out, or give --method random.")
        if self.recipe.seed + self.seeds - 1 > LARGEST_SEED:
            raise BadOption(f"There are no {self.seeds} seeds from {self.recipe.seed} on.", "Give a smaller --seed.")
        if (self.measuring.bbq, self.measuring.perplexity) == ("off", "off"):
            raise BadOption("--seeds compares masks by BBQ and perplexity, and both are off.", "Switch one of them on.")
        return self

    def further(self) -> "tuple[Plan, ...]":
        """The plans of the other masks, which differ from this one in their seed alone."""
        seeds = range(self.recipe.seed + 1, self.recipe.seed + self.seeds)
        made = {"with_mask": False, "seeds": 1}
        return tuple(
            self.model_copy(update={**made, "recipe": self.recipe.model_copy(update={"seed": seed})}) for seed in seeds
        )

    def unmeasured(self) -> "Plan":
        """The same plan for one who only prunes: local, of one mask, and nothing is measured."""
        off = self.measuring.model_copy(update=dict.fromkeys(("bbq", "perplexity", "latency"), "off"))
        return self.model_copy(update={"measuring": off, "local": True, "seeds": 1})

    def name(self, base_slug: str) -> str:
        """The name of the release and of its repository."""
        return release_name(base_slug, self.recipe, self.study.suffix if self.study else "")


def release_name(base_slug: str, recipe: Recipe, suffix: str = "") -> str:
    """Name a release and its repository: `<base>-<method>-s<NN>[-<choices>][-seed<N>][-<suffix>]`, NN in percent.

    Choices are a pattern (`2of4`), a scope other than the method's own, and an allocation other than uniform.
    """
    words = [base_slug, recipe.method, "s" + format((recipe.sparsity * 100).normalize(), "f")]
    if recipe.groups:
        words.append("{}of{}".format(*recipe.groups))
    if recipe.scope != recipe.row.scopes[0]:
        words.append(SCOPE_WORDS[recipe.scope])
    if recipe.allocation != "uniform":
        words.append(recipe.allocation)
    if recipe.seed != DEFAULT_SEED:
        words.append(f"seed{recipe.seed}")
    return "-".join([*words, suffix] if suffix else words)


def recipe_of(
    method: str,
    sparsity: Decimal | None,
    seed: int,
    *,
    scope: str | None,
    pattern: str | None,
    allocation: str,
    calibration: CalibrationPlan,
    uncalibrated: str,
    allow_nonfinite: bool,
) -> Recipe:
    """Build a recipe from the words of the command line.

    Raises:
        BadOption: One of them is not known, or they contradict each other.
        UnknownName: There is no such method.
    """
    return Recipe.of(
        method,
        sparsity,
        seed,
        scope=_one_of("scope", scope, {word: scope for scope, word in SCOPE_WORDS.items()}) if scope else None,
        pattern=pattern,
        allocation=_one_of("allocation", allocation, ALLOCATIONS),
        calibration=calibration,
        uncalibrated=_one_of("uncalibrated", uncalibrated, UNCALIBRATED),
        allow_nonfinite=allow_nonfinite,
    )


def parse_calibration(text: str, samples: int, length: int | None) -> tuple[CalibrationPlan, Path | None]:
    """Read --calibration: the name of a text of the catalogue, or a file.

    Returns:
        The plan, and the file's path where it is one.

    Raises:
        BadOption: It is neither.
    """
    if text in CALIBRATION_TEXTS:
        return CalibrationPlan(text=text, samples=samples, length=length), None
    path = Path(text)
    if not path.is_file():
        raise BadOption(
            f"There is no calibration text {quoted(text, 300)}.",
            f"Give {', '.join(CALIBRATION_TEXTS)} or a UTF-8 text file.",
        )
    plan = CalibrationPlan(text=path.name, samples=samples, length=length, file_sha256=sha256_file(path))
    return plan, path


def parse_sparsities(text: str | None) -> list[Decimal | None]:
    """Read one sparsity or several, with commas between them; None stands for the pattern's own.

    Raises:
        BadOption: One of them is no number, outside the range, or given twice.
    """
    if text is None:
        return [None]
    shares = [parse_sparsity(part) for part in text.split(",")]
    if len(set(shares)) < len(shares):
        raise BadOption(f"--sparsity {quoted(text)} names a share twice.", "Give each once.")
    return [*shares]


def _one_of(option: str, text: str, known: Mapping[str, Value]) -> Value:
    if text not in known:
        raise BadOption(f"--{option} {quoted(text)} is not understood.", f"Give {', '.join(known)}.")
    return known[text]


def ways(
    *,
    private: bool,
    gated: str | None,
    pull_request: bool,
    revision: str,
    collection: str | None,
    space_hardware: str | None,
    into: Sequence[str] = (),
    adopt: bool = False,
    space_timeout: int | None = None,
    show_unasked: bool = False,
    weights: str = "all",
    resource_group: str | None = None,
) -> PublishOptions:
    """Read how a release is published from the words of the command line.

    Raises:
        BadOption: One of them is not understood, or two contradict each other.
    """
    if pull_request and revision != "main":
        raise BadOption("--pr and --revision exclude each other.", "A pull request goes to main; leave one out.")
    if resource_group is not None and not RESOURCE_GROUP.fullmatch(resource_group):
        raise BadOption(
            f"--resource-group {quoted(resource_group)} is no id of a resource group.",
            "Give the id that ends its address in the organisation's settings on the Hub.",
        )
    model, space = parse_into(into)
    return PublishOptions(
        private=private,
        gated=_one_of("gated", gated, GATES) if gated else None,
        pull_request=pull_request,
        revision=revision,
        collection=collection,
        space_hardware=space_hardware,
        resource_group=resource_group,
        into=model,
        space_into=space,
        adopt=adopt,
        space_timeout=space_timeout,
        show_unasked=show_unasked,
        weights=_one_of("weights", weights, WEIGHTS),
    )


def parse_into(texts: Sequence[str]) -> tuple[str | None, str | None]:
    """Read --into: the model repository's id as org/name, the Space's as spaces/org/name, each once at most.

    Raises:
        BadOption: One is neither, or one kind is named twice.
    """
    spaces = [text.removeprefix(SPACES) for text in texts if text.startswith(SPACES)]
    models = [text for text in texts if not text.startswith(SPACES)]
    for name in (*models, *spaces):
        if not REPO_ID.fullmatch(name):
            raise BadOption(
                f"--into {quoted(name)} is no repository.", "Give org/name, or spaces/org/name for a Space."
            )
    if max(len(models), len(spaces)) > 1:
        raise BadOption(
            "--into names two models or two Spaces.", "Give org/name once, and spaces/org/name once for the Space."
        )
    return next(iter(models), None), next(iter(spaces), None)


def measuring(
    *,
    bbq: str,
    bbq_scoring: str,
    bbq_engine: str,
    bbq_categories: str | None,
    bbq_data: Path | None,
    perplexity: str,
    text: Path | None,
    latency: str,
    latency_engine: str,
    eval_dtype: str,
    log_format: str | None,
    device: str,
    seed: int,
    precision: str | None,
) -> Measuring:
    """Read what to measure from the words of the command line.

    Raises:
        BadOption: One of them is not understood, or two contradict each other.
    """
    if precision is not None and bbq != "auto":
        raise BadOption("--precision and --bbq exclude each other.", "Leave one out: precision decides the items.")
    return Measuring(
        bbq=parse_amount("bbq", bbq, ("auto", "full", "study", "off")),
        bbq_scoring=_one_of("bbq-scoring", bbq_scoring, READINGS),
        bbq_engine=_one_of("bbq-engine", bbq_engine, ENGINES),
        bbq_categories=tuple(sorted({name.strip() for name in bbq_categories.split(",")})) if bbq_categories else (),
        bbq_data=bbq_data,
        perplexity=parse_amount("perplexity", perplexity, ("off",)),
        text=text,
        latency=parse_amount("latency", latency, ("auto", "off")),
        latency_engine=parse_engines(latency_engine),
        eval_dtype=_one_of("eval-dtype", eval_dtype, PRECISIONS),
        log_format=_one_of("log-format", log_format, LOG_FORMATS) if log_format else None,
        device=device,
        seed=seed,
        precision=None if precision is None else parse_precision(precision),
    )


def parse_engines(text: str) -> tuple[EngineName, ...]:
    """Read --latency-engine: one engine or several, with commas between them.

    Raises:
        BadOption: One of them is not known, or given twice.
    """
    names = tuple(_one_of("latency-engine", name.strip(), ENGINES) for name in text.split(","))
    if len(set(names)) < len(names):
        raise BadOption(f"--latency-engine {quoted(text)} names an engine twice.", "Give each once.")
    return names


def parse_amount(option: str, text: str, words: tuple[str, ...]) -> str:
    """Check an option that takes a positive whole number or one of some words.

    Raises:
        BadOption: It is neither.
    """
    if text in words or AMOUNT.fullmatch(text):
        return text
    raise BadOption(
        f"--{option} {quoted(text)} is not understood.",
        f"Give {', '.join(words)} or a whole number from 1 to 999,999,999.",
    )


def parse_precision(text: str) -> Decimal:
    """Read a half width of the change in SRS as an exact decimal, 0 < h < 1.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    try:
        return parse_sparsity(text)
    except BadOption:
        raise BadOption(f"--precision {text!r} is no half width between 0 and 1.", "Give one like 0.03.") from None


def parse_sparsity(text: str) -> Decimal:
    """Read a sparsity as an exact decimal, 0 < s < 1.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    try:
        value = Decimal(text.strip()[:LONGEST_NUMBER])
    except InvalidOperation:
        raise BadOption(f"Sparsity {quoted(text)} is not a number.", "Give a share like 0.1 for 10 %.") from None
    if not value.is_finite() or not 0 < value < 1:
        raise BadOption(f"Sparsity {quoted(text)} is not between 0 and 1.", "Give a share like 0.1 for 10 %.")
    if len(text.strip()) > LONGEST_NUMBER or not is_share(value):
        seen = f"Sparsity {quoted(text)} has more than {MOST_DECIMALS} decimals."
        raise BadOption(seen, "Give a share like 0.1 for 10 %.")
    return value.normalize()
