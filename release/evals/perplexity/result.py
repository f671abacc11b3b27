"""What perplexity gives, dense and pruned side by side."""

from typing import Literal

from release.frozen import Frozen
from release.values import DataSource, Estimate, Precision

Beginning = Literal["window", "text", "none"]
"""What begins with the token that the tokenizer puts in front of a text."""
PAPERS = "GPTQ, SparseGPT and Wanda"


class Perplexity(Frozen):
    """exp(mean token negative log-likelihood) over windows of a text.

    Attributes:
        window: Tokens per window; the first of each is not scored.
        tokens: Tokens scored.
        token_sha256: Digest of the token ids, as little-endian 32-bit integers.
        ratio: pruned / dense, window by window; like the others, its interval allows for neighbours that are alike.
        preset: By which name text and windows were asked for; None where an earlier version measured it.
        stride: Tokens from the beginning of one window to that of the next, of which the last ones are scored; None for
            windows without overlap, of which all but the first are.
        bos: What begins with the token that the tokenizer puts in front of a text; None where it is not known.
        whole: Whether all windows of the text were read.
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
    preset: Literal["wikipedia", "wikitext2", "c4", "study"] | None = None
    stride: int | None = None
    bos: Beginning | None = None
    whole: bool = False

    @property
    def scored(self) -> int:
        """Tokens of each window that were scored."""
        return self.tokens // self.windows if self.windows > 0 else 0

    @property
    def papers(self) -> str | None:
        """The papers whose figures were taken on the same text, cut in the same way; None for none."""
        many = {"wikitext2": self.whole, "c4": self.windows == 256}
        alike = many.get(self.preset or "", False) and self.window == 2048 and self.stride is None
        return PAPERS if alike else None
