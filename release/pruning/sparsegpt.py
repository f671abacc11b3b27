"""SparseGPT: weights are chosen by the error that their loss would cause, and the kept ones make up for it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from release.checkpoint.header import Bits
from release.pruning.method import Method, Paper, PrunedTensor


def solve(subject: PrunedTensor, due: Sequence[int], pattern: tuple[int, int] | None, out: Bits) -> None:
    """Prune every matrix of a tensor.

    Args:
        due: Zeros due in each matrix.
        pattern: n and m, or None.
        out: As long as the subject's bits; may be those.
    """
    import torch

    from release.pruning.obs import pruned

    if subject.inputs is None or subject.inputs.gram is None:
        raise ValueError(f"{subject.tensor.name} was not calibrated")
    size = subject.bits.size // subject.experts
    words = subject.draws.words("columns")
    for expert, (gram, zeros) in enumerate(zip(subject.inputs.gram, due, strict=True)):
        piece = slice(expert * size, (expert + 1) * size)
        values = subject.tensor.values(subject.bits[piece]).astype(np.float32).reshape(-1, subject.width)
        weights, mask = pruned(torch.from_numpy(values).to(gram.device), gram, zeros, pattern, words)
        out[piece] = _stored(weights.cpu().numpy(), mask.cpu().numpy(), subject)


def _stored(weights: NDArray[np.float32], mask: NDArray[np.bool_], subject: PrunedTensor) -> Bits:
    """Round to the stored type; a kept weight that rounds to zero becomes the type's smallest normal number instead.

    So kept and pruned weights stay apart in the file, and its zeros are exactly those that were due.
    """
    tensor, gone = subject.tensor, mask.reshape(-1)
    bits = tensor.rounded(weights.reshape(-1))
    bits[(tensor.magnitude(bits) == 0) & ~gone] = tensor.smallest_normal
    bits[gone] = 0
    return bits


SPARSEGPT = Method(
    "sparsegpt",
    "SparseGPT",
    solver=solve,
    scopes=("tensor",),
    needs="gram",
    paper=Paper(
        "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
        "Frantar and Alistarh",
        2023,
        "https://arxiv.org/abs/2301.00774",
    ),
)
