"""What perplexity gives, dense and pruned side by side."""

from release.frozen import Frozen
from release.values import DataSource, Estimate, Precision


class Perplexity(Frozen):
    """exp(mean token negative log-likelihood) over windows without overlap.

    Attributes:
        window: Tokens per window; the first of each is not scored.
        tokens: Tokens scored.
        token_sha256: Digest of the token ids, as little-endian 32-bit integers.
        ratio: pruned / dense, window by window; like the others, its interval allows for neighbours that are alike.
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
