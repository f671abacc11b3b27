"""All that decides what a release holds: what else goes into it, and with how many threads it is made, too."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from release.frozen import Frozen
from release.settings.base import Identity
from release.settings.measuring import Measuring
from release.settings.option import HelpPanel, Option
from release.settings.recipe import RecipeOptions

MOST_THREADS = 1_024
MOST_MASKS = 20


class BuildOptions(Frozen):
    """What else goes into a release, and with how many threads it is made.

    Attributes:
        with_mask: Whether the mask is published beside the weights.
        study: A study's YAML file, or "none"; None for the study that ships.
        seeds: Masks to measure: the published one, and those of the seeds after it.
        threads: Worker threads; 0 means one per core.
    """

    with_mask: Annotated[bool, Option("--with-mask", "Publish the mask, one bit per weight.", HelpPanel.PRUNE)] = False
    study: Annotated[
        Path | None, Option("--study", "A study's YAML file, or none; see docs/study.md.", HelpPanel.PUBLISH)
    ] = None
    seeds: Annotated[
        int,
        Option("--seeds", "Masks to measure, for their spread.", HelpPanel.MEASURE, least=1, most=MOST_MASKS),
    ] = 1
    threads: Annotated[
        int,
        Option("--threads", "Worker threads for pruning; 0: one per core.", least=0, most=MOST_THREADS, repeats=False),
    ] = 0


class ReleaseOptions(Frozen):
    """All that decides what a release of one base holds.

    Attributes:
        identity: What is stated of a base that is a folder.
    """

    recipe: RecipeOptions
    measuring: Measuring = Measuring()
    building: BuildOptions = BuildOptions()
    identity: Identity = Identity()

    def with_sparsity(self, share: Decimal | None) -> Self:
        """The same with another share to zero."""
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"sparsity": share})})
