"""What decides a mask, as it is asked for; `release.pruning.recipe` makes a method's recipe of it."""

from pathlib import Path
from typing import Annotated, Literal

from release.digests import sha256_file
from release.errors import BadOption
from release.format import quoted
from release.frozen import Frozen, Share
from release.settings.option import HelpPanel, Option, share

DEFAULT_SEED = 42
LARGEST_SEED = (1 << 63) - 1
MOST_SAMPLES = 1_000_000
MOST_TOKENS = 10_000_000
CALIBRATION_TEXTS = ("auto", "c4", "wikipedia")

Scope = Literal["tensor", "row", "global"]
"""Where weights compete: within a tensor, within an output row, or over the whole model."""
Seed = Annotated[int, Option("--seed", "Seed of masks, samples and permutations.", least=0, most=LARGEST_SEED)]


def method_key(text: str) -> str:
    """Read the key of a method in any case; the registry tells whether there is such a method."""
    return text.strip().casefold()


class CalibrationPlan(Frozen):
    """Which text a method is calibrated on, as asked for.

    Attributes:
        text: "auto" (C4 for a base from the Hub, the Wikipedia half otherwise), "c4", "wikipedia", or a file's name.
        samples: Windows of text.
        length: Tokens per window; None for 2,048, or as many as the model reads where that is less.
        file_sha256: Digest of a text file of one's own.
    """

    text: Annotated[str, Option("--calibration", "Text: auto, c4, wikipedia, or a UTF-8 file.", HelpPanel.PRUNE)] = (
        "auto"
    )
    samples: Annotated[
        int, Option("--calibration-samples", "Windows of text.", HelpPanel.PRUNE, least=1, most=MOST_SAMPLES)
    ] = 128
    length: Annotated[
        int | None,
        Option(
            "--calibration-length",
            "Tokens per window; by default 2,048, or what the model reads.",
            HelpPanel.PRUNE,
            least=2,
            most=MOST_TOKENS,
        ),
    ] = None
    file_sha256: str | None = None

    def located(self) -> "tuple[CalibrationPlan, Path | None]":
        """Tell a text of the catalogue from a file of one's own.

        Returns:
            The plan, which names a file without its folder and by its digest, and the file's path where it is one.

        Raises:
            BadOption: It is neither.
        """
        if (name := self.text.casefold()) in CALIBRATION_TEXTS:
            return self.model_copy(update={"text": name}), None
        path = Path(self.text)
        if not path.is_file():
            raise BadOption(
                f"There is no calibration text {quoted(self.text, 300)}.",
                f"Give {', '.join(CALIBRATION_TEXTS)} or a UTF-8 text file.",
            )
        return self.model_copy(update={"text": path.name, "file_sha256": sha256_file(path)}), path


class RecipeOptions(Frozen):
    """What decides a mask besides the base weights.

    Attributes:
        method: Key of the method in the registry.
        sparsity: Share of the prunable weights to zero, exact; None where a pattern says it.
        pattern: None, or "n:m": n of every m neighbouring inputs are kept.
        scope: None for the method's own.
        allocation: How the zeros are shared out over the blocks.
        calibration: Which text, for methods that need one.
        uncalibrated: What happens to an expert that saw no calibration token.
        allow_nonfinite: Whether a base with NaN or infinities is pruned all the same.
    """

    method: Annotated[
        str,
        Option(
            "--method",
            "Pruning method; `release methods` lists them.",
            read=method_key,
            shows_default=False,
            short=("-m",),
        ),
    ]
    sparsity: Annotated[
        Share | None,
        Option(
            "--sparsity",
            "Share of the prunable weights to zero: 0.1 or 10%.",
            read=share,
            shows_default=False,
            short=("-s",),
        ),
    ] = None
    seed: Seed = DEFAULT_SEED
    pattern: Annotated[str | None, Option("--pattern", "Keep n of every m inputs, as in 2:4.", HelpPanel.PRUNE)] = None
    scope: Annotated[
        Scope | None, Option("--scope", "Where weights compete: tensor, row, global.", HelpPanel.PRUNE)
    ] = None
    allocation: Annotated[
        Literal["uniform", "owl"], Option("--allocation", "Shares of the blocks: uniform, owl.", HelpPanel.PRUNE)
    ] = "uniform"
    calibration: CalibrationPlan | None = None
    uncalibrated: Annotated[
        Literal["refuse", "magnitude"],
        Option("--uncalibrated", "Experts that no token reached: refuse, magnitude.", HelpPanel.PRUNE),
    ] = "refuse"
    allow_nonfinite: Annotated[
        bool, Option("--allow-nonfinite", "Prune a base that holds NaN or Inf.", HelpPanel.PRUNE)
    ] = False
