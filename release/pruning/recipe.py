"""What decides a mask: method, sparsity, scope, pattern, allocation, seed, and the calibration text of some methods."""

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from release.errors import BadOption
from release.format import quoted
from release.frozen import Share
from release.pruning.mask_rng import MaskRng
from release.pruning.method import Method
from release.pruning.registry import method_named
from release.schema.record import Pruning
from release.settings.recipe import CalibrationPlan, RecipeOptions, Scope

if TYPE_CHECKING:
    from release.checkpoint.folder import Checkpoint

PATTERN = re.compile(r"([0-9]{1,4}):([0-9]{1,4})")
WIDEST = 64
"""Largest m of a pattern n:m."""


class Recipe(RecipeOptions):
    """Everything a mask depends on besides the base weights: what was asked for, and the method's own choices.

    Attributes:
        version: The method's algorithm version.
        sparsity: Exact, 0 < s < 1.
    """

    sparsity: Share
    scope: Scope
    version: int

    @classmethod
    def of(cls, method: str, sparsity: Decimal | None, seed: int, **choices: Any) -> "Recipe":
        """Build the recipe of a method's current version.

        Args:
            sparsity: May be None where a pattern says it.
            choices: Other fields of `RecipeOptions`; a calibration is ignored by methods that need none.

        Raises:
            UnknownName: There is no such method.
            BadOption: A choice that the method does not have, or choices that contradict each other.
        """
        return cls.asked(RecipeOptions(method=method, sparsity=sparsity, seed=seed, **choices))

    @classmethod
    def asked(cls, options: RecipeOptions) -> "Recipe":
        """Build the recipe of a method's current version of what was asked for; errors as for `of`."""
        row = method_named(options.method)
        needs_text = row.calibrated or options.allocation == "owl"
        choices = dict(options) | {
            "method": row.key,
            "sparsity": _density(options.sparsity, options.pattern),
            "scope": options.scope or row.scopes[0],
            "calibration": (options.calibration or CalibrationPlan()) if needs_text else None,
        }
        return cls(version=row.version, **choices)

    @property
    def options(self) -> RecipeOptions:
        """What was asked for, with everything stated."""
        return RecipeOptions(**{name: getattr(self, name) for name in RecipeOptions.model_fields})

    @property
    def brief(self) -> RecipeOptions:
        """What was asked for, without a scope that is the method's own."""
        return self.options.model_copy(update={"scope": None} if self.scope == self.row.scopes[0] else {})

    @model_validator(mode="after")
    def _fits(self) -> Self:
        row = self.row
        if self.scope not in row.scopes:
            seen = f"{row.title} pruning knows no scope {self.scope!r}."
            raise BadOption(seen, f"Its scopes are: {', '.join(row.scopes)}.")
        if self.pattern and self.scope == "global":
            raise BadOption("A pattern leaves nothing for a global cut to decide.", "Give --pattern or --scope global.")
        if self.allocation == "owl" and (not row.calibrated or self.pattern):
            raise BadOption(
                "OWL shares zeros out over blocks by calibrated scores; a pattern leaves it nothing to share.",
                "Use it with wanda, ria or sparsegpt, without --pattern.",
            )
        return self

    @classmethod
    def recorded(cls, pruning: Pruning) -> "Recipe":
        """Take the recipe out of a record.

        Raises:
            InputError: There is no such method, or its choices contradict each other.
        """
        return cls(version=pruning.algorithm_version, **dict(recorded_options(pruning)))

    @property
    def row(self) -> Method:
        """The method's row in the registry."""
        return method_named(self.method)

    @property
    def groups(self) -> tuple[int, int] | None:
        """The pattern's n and m."""
        return parse_pattern(self.pattern) if self.pattern else None

    @property
    def shares_by_weights(self) -> bool:
        """Whether the base's weights decide how many zeros each tensor gets."""
        return self.scope == "global" or self.allocation != "uniform"

    def draws(self, tensor: str) -> MaskRng:
        """The randomness of one tensor."""
        return MaskRng(self.seed, self.method, self.version, tensor)

    def tag(self, base: "Checkpoint") -> str:
        """A short digest of the recipe and of which base files it is applied to (by header, size and time)."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for header in base.headers:
            stat = header.path.stat()
            digest.update(header.raw + f"{header.path.name}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}".encode())
        return digest.hexdigest()[:16]


def recorded_options(pruning: Pruning) -> RecipeOptions:
    """Take what was asked for out of a record, whether it fits or not."""
    known = pruning.calibration
    same = {name: getattr(pruning, name) for name in RecipeOptions.model_fields.keys() & type(pruning).model_fields}
    return RecipeOptions(**same | {"sparsity": pruning.target_sparsity, "calibration": known.plan if known else None})


def parse_pattern(text: str) -> tuple[int, int]:
    """Read "n:m" as (n, m).

    m is a power of two, so that the share it leaves is an exact decimal and groups never straddle a block of bytes.

    Raises:
        BadOption: It is no such pattern.
    """
    match = PATTERN.fullmatch(text.strip())
    n, m = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < n < m <= WIDEST or m & (m - 1):
        raise BadOption(
            f"Pattern {quoted(text)} is not understood.",
            f"Give n:m, 0 < n < m, m a power of two up to {WIDEST}, e.g. 2:4.",
        )
    return n, m


def _density(sparsity: Decimal | None, pattern: str | None) -> Decimal:
    if pattern is None:
        if sparsity is None:
            raise BadOption("No sparsity was given.", "Give --sparsity, or a --pattern that says it.")
        return sparsity
    n, m = parse_pattern(pattern)
    share = (Decimal(m - n) / m).normalize()
    if sparsity is not None and sparsity != share:
        raise BadOption(
            f"Pattern {pattern} zeroes {share:f} of the weights, --sparsity asks for {sparsity:f}.",
            "Leave --sparsity out, or give the pattern's own.",
        )
    return share
