"""What was asked for, checked before any work begins."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

from release.errors import BadOption
from release.pruning.recipe import Recipe
from release.record import Frozen

DEFAULT_SEED = 42


class Measuring(Frozen):
    """What to measure, and on what.

    Attributes:
        bbq: "auto" (200 items on a CPU, all on a GPU), "off", "full", "study" (the 12,148 ambiguous items of the
            study's five categories), or a number of items.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy.
        perplexity: "off" or a number of windows.
        text: A UTF-8 text file instead of the catalogue's Wikipedia half.
        latency: "off" or a number of prompts.
        device: A torch device, or "auto".
        seed: Seed of the samples and of the bootstraps.
    """

    bbq: str = "auto"
    bbq_data: Path | None = None
    perplexity: str = "32"
    text: Path | None = None
    latency: str = "24"
    device: str = "auto"
    seed: int = DEFAULT_SEED


class Plan(Frozen):
    """A whole release, as asked for.

    Attributes:
        model: An alias, a Hub id `org/name[@revision]`, a folder, or `demo`.
        out: Folder that releases are built in.
        local: Build and verify everything, upload nothing.
        namespace: Hub user or organisation to publish under; None for one's own.
        private: Leave the repositories private.
        space: Whether a demo Space goes along.
        threads: Worker threads; 0 means one per core.
    """

    model: str
    recipe: Recipe
    measuring: Measuring
    out: Path
    local: bool
    namespace: str | None = None
    private: bool = False
    space: bool = True
    threads: int = 0


def release_name(base_slug: str, recipe: Recipe) -> str:
    """Name a release and its repository: `<base>-<method>-s<NN>[-seed<N>]`, NN in percent."""
    percent = format((recipe.sparsity * 100).normalize(), "f")
    seed = "" if recipe.seed == DEFAULT_SEED else f"-seed{recipe.seed}"
    return f"{base_slug}-{recipe.method}-s{percent}{seed}"


def parse_amount(option: str, text: str, words: tuple[str, ...]) -> str:
    """Check an option that takes a positive whole number or one of some words.

    Raises:
        BadOption: It is neither.
    """
    if text in words or (text.isdecimal() and int(text) > 0):
        return text
    raise BadOption(f"--{option} {text!r} is not understood.", f"Give {', '.join(words)} or a whole number above 0.")


def parse_sparsity(text: str) -> Decimal:
    """Read a sparsity as an exact decimal, 0 < s < 1.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise BadOption(f"Sparsity {text!r} is not a number.", "Give a share like 0.1 for 10 %.") from None
    if not value.is_finite() or not 0 < value < 1:
        raise BadOption(f"Sparsity {text} is not between 0 and 1.", "Give a share like 0.1 for 10 %.")
    return value.normalize()
