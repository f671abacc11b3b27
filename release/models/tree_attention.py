"""What the nodes of a tree attend to, made on the device from a few index vectors.

A node's descendants follow it without a gap, up to its `end`; so node i attends to node j where j ≤ i < end[j]. No
matrix of nodes by nodes is made on the host, or copied.
"""

from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from release.models.tree import RUN, Tree


class Runs(NamedTuple):
    """Which nodes each run of nodes looks at.

    Attributes:
        nodes: Node numbers, (runs, width); what pads a row is seen by no node.
        bias: What is added to the scores, (runs, 1, RUN, width): 0 where a node attends, else the lowest number.
    """

    nodes: torch.Tensor
    bias: torch.Tensor


def whole_bias(tree: Tree, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to the scores of all nodes against all, (1, 1, n, n): 0 or the lowest number."""
    ends, nodes = torch.from_numpy(tree.ends()).to(device), torch.arange(len(tree.tokens), device=device)
    return _bias(_seen(nodes, nodes, ends), dtype)[None, None]


def runs(tree: Tree, device: torch.device, dtype: torch.dtype) -> Runs:
    """Return what runs of `RUN` neighbouring nodes look at."""
    count = len(tree.tokens)
    looked_at, ends = tree.looked_at(), tree.ends()
    columns = torch.from_numpy(looked_at).to(device)
    limits = torch.cat([torch.from_numpy(ends), torch.zeros(1, dtype=torch.int64)]).to(device)[columns]
    rows = torch.arange(len(looked_at) * RUN, device=device).view(-1, RUN)
    # Rows behind the last node look at everything: scores of which none counts would give NaN.
    seen = _seen(rows, columns, limits) | (rows >= count).unsqueeze(-1)
    return Runs(columns.clamp(max=count - 1), _bias(seen, dtype).unsqueeze(1))


def _seen(rows: torch.Tensor, columns: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Whether each row's node attends to each column's, (…, rows, columns)."""
    rows, columns, ends = rows.unsqueeze(-1), columns.unsqueeze(-2), ends.unsqueeze(-2)
    return (columns <= rows) & (rows < ends)


def _bias(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return bias.masked_fill_(~seen, torch.finfo(dtype).min)


class InRuns(TorchFunctionMode):
    """Attention of a tree, computed run by run: every run of nodes against the few that it looks at.

    It stands in for `scaled_dot_product_attention` while a tree goes through a model; a class that computes attention
    by itself gets `whole_bias`, which says the same.

    Args:
        count: Nodes of the tree.
    """

    def __init__(self, count: int, looked_at: Runs) -> None:
        super().__init__()
        self._count = count
        self._nodes, self._bias = looked_at

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is torch.nn.functional.scaled_dot_product_attention and args[0].shape[-2] == self._count:
            return self._attend(*args, **{name: value for name, value in kwargs.items() if name != "attn_mask"})
        return function(*args, **kwargs)

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        **others: Any,
    ) -> torch.Tensor:
        """Args: as scaled_dot_product_attention has them, (1, heads, n, size); the mask is this tree's own."""
        runs, length = self._bias.shape[0], self._bias.shape[2]
        padded = torch.nn.functional.pad(query[0], (0, 0, 0, runs * length - self._count))
        found = torch.nn.functional.scaled_dot_product_attention(
            padded.view(-1, runs, length, query.shape[-1]).transpose(0, 1),
            key[0][:, self._nodes].transpose(0, 1),
            value[0][:, self._nodes].transpose(0, 1),
            attn_mask=self._bias,
            **others,
        )
        return found.transpose(0, 1).flatten(1, 2)[None, :, : self._count]
