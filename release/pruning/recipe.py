"""What decides a mask: method, sparsity, scope, pattern and seed."""

import hashlib
from decimal import Decimal
from typing import Literal

from release.checkpoint.folder import Checkpoint
from release.pruning.draws import Draws
from release.pruning.method import Method
from release.pruning.registry import method_named
from release.record import Frozen, Pruning


class Recipe(Frozen):
    """Everything a mask depends on besides the base weights.

    Attributes:
        version: The method's algorithm version.
        sparsity: Exact, 0 < s < 1.
    """

    method: str
    version: int
    sparsity: Decimal
    scope: Literal["tensor", "row", "model"]
    pattern: str | None
    seed: int

    @classmethod
    def of(cls, method: str, sparsity: Decimal, seed: int) -> "Recipe":
        """Build the recipe of a method's current version with its own scope.

        Raises:
            UnknownName: There is no such method.
        """
        row = method_named(method)
        return cls(method=row.key, version=row.version, sparsity=sparsity, scope=row.scope, pattern=None, seed=seed)

    @classmethod
    def recorded(cls, pruning: Pruning) -> "Recipe":
        """Take the recipe out of a record."""
        return cls(
            method=pruning.method,
            version=pruning.algorithm_version,
            sparsity=pruning.target_sparsity,
            scope=pruning.scope,
            pattern=pruning.pattern,
            seed=pruning.seed,
        )

    @property
    def row(self) -> Method:
        """The method's row in the registry."""
        return method_named(self.method)

    def draws(self, tensor: str) -> Draws:
        """The randomness of one tensor."""
        return Draws(self.seed, self.method, self.version, tensor)

    def tag(self, base: Checkpoint) -> str:
        """A short digest of the recipe and of which base files it is applied to (by header, size and time)."""
        digest = hashlib.sha256(self.model_dump_json().encode())
        for header in base.headers:
            stat = header.path.stat()
            digest.update(header.raw + f"{header.path.name}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}".encode())
        return digest.hexdigest()[:16]
