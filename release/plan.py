"""What was asked for, checked before any work begins."""

from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from release.errors import BadOption
from release.frozen import Frozen
from release.pruning.recipe import Recipe
from release.schema.study import Study, study_of
from release.settings.base import Identity
from release.settings.building import MOST_MASKS, BuildOptions, ReleaseOptions
from release.settings.measuring import Measuring
from release.settings.publication import PublishOptions
from release.settings.recipe import DEFAULT_SEED, LARGEST_SEED


class Plan(Frozen):
    """A whole release, as asked for.

    Attributes:
        model: An alias, a Hub id `org/name[@revision]`, a folder, or `demo`.
        out: Folder that releases are built in.
        local: Build and verify everything, upload nothing.
        overwrite: Measure a finished release anew where it is asked for other measurements.
        publication: How it is published.
        building: What else goes into it.
        identity: What is stated of a base that is a folder.
        calibration_file: The text file that the recipe's calibration names.
        study: The study that the release accompanies.
    """

    model: str
    recipe: Recipe
    measuring: Measuring = Measuring()
    out: Path = Path("releases")
    local: bool = False
    overwrite: bool = False
    publication: PublishOptions = PublishOptions()
    building: BuildOptions = BuildOptions()
    identity: Identity = Identity()
    calibration_file: Path | None = None
    study: Study | None = None

    @classmethod
    def of(cls, model: str, asked: ReleaseOptions, **where: Any) -> Self:
        """Build a plan of what was asked for: the method's recipe, its calibration text, and the study are looked up.

        Raises:
            BadOption: A choice that the method does not have, or choices that contradict each other.
            UnknownName: There is no such method.
            UnusableData: There is no such study.
        """
        recipe, study = asked.recipe, asked.building.study
        text, file = recipe.calibration.located() if recipe.calibration else (None, None)
        return cls(
            model=model,
            recipe=Recipe.asked(recipe.model_copy(update={"calibration": text})),
            measuring=asked.measuring,
            building=asked.building,
            identity=asked.identity,
            calibration_file=file,
            study=study_of(None if study is None else str(study)),
            **where,
        )

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

    @property
    def seeds(self) -> int:
        """Masks to measure: the published one, and those of the seeds after it."""
        return self.building.seeds

    @property
    def with_mask(self) -> bool:
        """Whether the mask is published beside the weights."""
        return self.building.with_mask

    @property
    def threads(self) -> int:
        """Worker threads; 0 means one per core."""
        return self.building.threads

    @property
    def namespace(self) -> str | None:
        """Hub user or organisation to publish under; None for one's own."""
        return self.publication.namespace

    @property
    def space(self) -> bool:
        """Whether a demo Space goes along."""
        return self.publication.space

    @property
    def batch(self) -> str:
        """Names what plans share of which one read makes all: they differ in sparsity alone."""
        alike = self.recipe.model_dump_json(exclude={"sparsity"})
        return f"{alike} {self.threads} {self.calibration_file}"

    def further(self) -> "tuple[Plan, ...]":
        """The plans of the other masks, which differ from this one in their seed alone."""
        seeds = range(self.recipe.seed + 1, self.recipe.seed + self.seeds)
        building = self.building.model_copy(update={"with_mask": False, "seeds": 1})
        return tuple(
            self.model_copy(update={"building": building, "recipe": self.recipe.model_copy(update={"seed": seed})})
            for seed in seeds
        )

    def unmeasured(self) -> "Plan":
        """The same plan for one who only prunes: local, of one mask, and nothing is measured."""
        building = self.building.model_copy(update={"seeds": 1})
        return self.model_copy(update={"measuring": self.measuring.nothing(), "local": True, "building": building})

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
        words.append(recipe.scope)
    if recipe.allocation != "uniform":
        words.append(recipe.allocation)
    if recipe.seed != DEFAULT_SEED:
        words.append(f"seed{recipe.seed}")
    return "-".join([*words, suffix] if suffix else words)
