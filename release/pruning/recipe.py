"""What decides a mask: method, sparsity, scope, pattern, allocation, seed, and the calibration text of some methods."""

import hashlib
import re
from decimal import Decimal
from typing import Literal, Self

from pydantic import model_validator

from release.checkpoint.folder import Checkpoint
from release.errors import BadOption
from release.format import quoted
from release.frozen import Frozen
from release.pruning.mask_rng import MaskRng
from release.pruning.method import Method, Scope
from release.pruning.registry import method_named
from release.schema.record import CalibrationPlan, Pruning

PATTERN = re.compile(r"([0-9]{1,4}):([0-9]{1,4})")
WIDEST = 64
"""Largest m of a pattern n:m."""


class Recipe(Frozen):
    """Everything a mask depends on besides the base weights.

    Attributes:
        version: The method's algorithm version.
        sparsity: Exact, 0 < s < 1.
        pattern: None, or "n:m": n of every m neighbouring inputs are kept.
        allocation: How the zeros are shared out over the blocks.
        calibration: Which text, for methods that need one.
        uncalibrated: What happens to an expert that saw no calibration token.
        allow_nonfinite: Whether a base with NaN or infinities is pruned all the same.
    """

    method: str
    version: int
    sparsity: Decimal
    scope: Scope
    pattern: str | None = None
    allocation: Literal["uniform", "owl"] = "uniform"
    seed: int
    calibration: CalibrationPlan | None = None
    uncalibrated: Literal["refuse", "magnitude"] = "refuse"
    allow_nonfinite: bool = False

    @classmethod
    def of(
        cls,
        method: str,
        sparsity: Decimal | None,
        seed: int,
        *,
        scope: Scope | None = None,
        pattern: str | None = None,
        allocation: Literal["uniform", "owl"] = "uniform",
        calibration: CalibrationPlan | None = None,
        uncalibrated: Literal["refuse", "magnitude"] = "refuse",
        allow_nonfinite: bool = False,
    ) -> "Recipe":
        """Build the recipe of a method's current version.

        Args:
            sparsity: May be None where a pattern says it.
            scope: None for the method's own.
            calibration: Ignored by methods that need none.

        Raises:
            UnknownName: There is no such method.
            BadOption: A choice that the method does not have, or choices that contradict each other.
        """
        row = method_named(method)
        needs_text = row.calibrated or allocation == "owl"
        return cls(
            method=row.key,
            version=row.version,
            sparsity=_density(sparsity, pattern),
            scope=scope or row.scopes[0],
            pattern=pattern,
            allocation=allocation,
            seed=seed,
            calibration=(calibration or CalibrationPlan()) if needs_text else None,
            uncalibrated=uncalibrated,
            allow_nonfinite=allow_nonfinite,
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        row = self.row
        if self.scope not in row.scopes:
            known = ", ".join("global" if scope == "model" else scope for scope in row.scopes)
            raise BadOption(f"{row.title} pruning knows no scope {self.scope!r}.", f"Its scopes are: {known}.")
        if self.pattern and self.scope == "model":
            raise BadOption("A pattern leaves nothing for a global cut to decide.", "Give --pattern or --scope global.")
        if self.allocation == "owl" and (not row.calibrated or self.pattern):
            raise BadOption(
                "OWL shares zeros out over blocks by calibrated scores; a pattern leaves it nothing to share.",
                "Use it with wanda, ria or sparsegpt, without --pattern.",
            )
        return self

    @classmethod
    def recorded(cls, pruning: Pruning) -> "Recipe":
        """Take the recipe out of a record."""
        known = pruning.calibration
        return cls(
            method=pruning.method,
            version=pruning.algorithm_version,
            sparsity=pruning.target_sparsity,
            scope=pruning.scope,
            pattern=pruning.pattern,
            allocation=pruning.allocation,
            seed=pruning.seed,
            calibration=known.plan if known else None,
            uncalibrated=pruning.uncalibrated,
            allow_nonfinite=pruning.allow_nonfinite,
        )

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
        return self.scope == "model" or self.allocation != "uniform"

    def draws(self, tensor: str) -> MaskRng:
        """The randomness of one tensor."""
        return MaskRng(self.seed, self.method, self.version, tensor)

    def tag(self, base: Checkpoint) -> str:
        """A short digest of the recipe and of which base files it is applied to (by header, size and time)."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for header in base.headers:
            stat = header.path.stat()
            digest.update(header.raw + f"{header.path.name}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}".encode())
        return digest.hexdigest()[:16]


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
