"""What looking for super weights gives."""

from release.frozen import Frozen


class SuperWeight(Frozen):
    """One super-weight candidate: the weight that joins the spikes of an MLP's last projection.

    Attributes:
        tensor: Name of the stored matrix.
        row: Its output channel, from 0.
        column: Its input channel, from 0.
        dense: Its value in the dense files.
        input: The input that peaks, on `column`.
        output: The output that peaks at the same token, on `row`.
        spike: |dense · input| over the median |output| of the whole projection.
        zeroed: Whether it is zero in the pruned files.
    """

    tensor: str
    row: int
    column: int
    dense: float
    input: float
    output: float
    spike: float
    zeroed: bool


class SuperWeights(Frozen):
    """The largest super-weight candidates of the dense model, and which of them the pruned files lack.

    Attributes:
        prompt: The text of the one forward pass.
        tokens: Its length.
        precision: Arithmetic of the forward pass.
        blocks: Blocks looked at; each has one candidate at most.
        candidates: Those that stand out, by falling spike: 100 times the median output of their projection at least,
            and 1 % of the first; none where no spike does.
    """

    prompt: str
    tokens: int
    precision: str
    blocks: int
    candidates: tuple[SuperWeight, ...]

    @property
    def hits(self) -> int:
        """How many of the candidates were zeroed."""
        return sum(candidate.zeroed for candidate in self.candidates)
