"""The divergence measured: the passes over perplexity's windows, seen while they are made."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from release import __version__, machine
from release.errors import DiskFull, UnusableData
from release.evals.bbq.table import MOST_ROWS
from release.evals.divergence.amount import amount, evenly
from release.evals.divergence.compare import AskedPositions, compare
from release.evals.divergence.kept import KeptLogProbs
from release.evals.divergence.positions import compared
from release.evals.divergence.result import Divergence
from release.evals.divergence.shared import SharedLogProbs
from release.evals.divergence.table import COLUMNS, FILE_NAME, Singles, write_positions
from release.evals.engine.subject import EvaluatedModel
from release.evals.perplexity.work import PerplexityTask
from release.evals.work import EvalContext, Opened, Sides, WatchingTask
from release.models.device import device_name
from release.models.load import read_config
from release.sources.cache import cache_folder, shared_folder
from release.values import Precision, Tokens

QUESTION = "divergence at each position from the model "
LEAVE_OUT = "Leave the divergence out: --divergence off."


@dataclass(frozen=True)
class DivergenceTask(WatchingTask[Singles, Divergence]):
    """What both models read for perplexity, and what is made of it.

    A pair of models that was compared before is not compared again. Else all windows that are compared are read by
    both, even where a loss is known: in the same passes, so that equal models give exactly 0. Of the dense model that
    is once for all pruned models that are measured with this plan, since its log-probabilities are kept until `close`.

    Attributes:
        windows: All of perplexity's, (windows, window).
        chosen: Numbers of those that are compared, in order.
        kept: The dense model's log-probabilities.
        dense: Digest of the dense model; "" before it is settled.
        known: What is known of this pair, (windows, positions, 4).
        seen: Number of a window → what was seen of it.
    """

    watches: ClassVar[str] = "perplexity"

    windows: tuple[Tokens, ...]
    chosen: tuple[int, ...]
    precision: Precision
    kept: KeptLogProbs
    dense: str = ""
    known: Singles | None = None
    seen: dict[int, Singles] = field(default_factory=dict)

    @cached_property
    def _first(self) -> Mapping[Tokens, int]:
        """Tokens of a chosen window → the first window that has them, which alone is seen."""
        found: dict[Tokens, int] = {}
        for number, window in enumerate(self.windows):
            found.setdefault(window, number)
        return {self.windows[number]: found[self.windows[number]] for number in self.chosen}

    @property
    def seen_of(self) -> frozenset[int]:
        """Numbers of the windows that are seen, each text once."""
        return frozenset(self._first.values())

    def settle(self, opened: Opened, /) -> Self:
        """Look up what is known of this pair.

        Raises:
            UnusableData: The models' vocabularies differ.
        """
        with opened("dense") as dense, opened("pruned") as pruned:
            _require_same_vocabulary(dense, pruned)
            known = pruned.store.recall([self._key(pruned, dense.digest)])
        shape = (len(self.chosen), self.kept.shape[0], len(COLUMNS))
        values = next(iter(known.values()), np.empty(0, np.float32))
        found = values.reshape(shape) if values.size == np.prod(shape) else None
        return replace(self, dense=dense.digest, known=found, seen={})

    def wanted(self, subject: EvaluatedModel) -> Collection[int]:
        """Return the windows that are compared, but for those of the dense model that are kept."""
        if self.known is not None:
            return ()
        kept = self.kept.holds(self.dense) if subject.name == "dense" else frozenset()
        needed = self.seen_of
        # All or none, so that the passes are the same ones on both sides.
        return () if needed <= kept else needed

    def see(self, subject: EvaluatedModel, ask: int, rows: torch.Tensor) -> None:
        """Keep the dense model's log-probabilities of a window, and compare the pruned model's with them."""
        if self.known is not None or ask not in self._first.values():
            return
        if subject.name == "dense":
            subject.store.keep()  # whoever takes over what is kept shall know the losses, too
            self.kept.put(ask, rows)
            return
        tokens = torch.tensor(self.windows[ask][-len(rows) :], device=rows.device)
        self.seen[ask] = compared(self.kept.of(ask, rows.device), rows, tokens)

    def read(self, model: EvaluatedModel) -> Singles:
        """Return what was seen of the pruned model, (windows, positions, 4); of the dense one nothing, (0,).

        Raises:
            UnusableData: A divergence is not finite.
        """
        if model.name == "dense":
            return np.empty(0, np.float32)
        if self.known is not None:
            return self.known
        found = np.stack([self.seen[self._first[self.windows[number]]] for number in self.chosen])
        if not np.isfinite(found).all():
            raise UnusableData(
                "The pruned model rules out a token that the dense one does not, so their divergence is infinite.",
                LEAVE_OUT,
            )
        model.store.put(self._key(model, self.dense), found.ravel())
        return found

    def compare(self, _: Singles, pruned: Singles) -> Divergence:
        """Sum the positions up."""
        return compare(AskedPositions(len(self.windows), self.kept.shape[1], self.precision), pruned)

    def write(self, _: Singles, pruned: Singles, sides: Sides) -> None:
        """Write every position."""
        write_positions(sides.evaluation / FILE_NAME, list(self.chosen), pruned)

    def close(self) -> None:
        """Give the room on the disk back."""
        self.kept.close()

    def _key(self, pruned: EvaluatedModel, dense: str) -> bytes:
        return pruned.store.key(f"{QUESTION}{dense}", *(self.windows[number] for number in self.chosen))


def _require_same_vocabulary(dense: EvaluatedModel, pruned: EvaluatedModel) -> None:
    sizes = [vocabulary_of(model.folder) for model in (dense, pruned)]
    if sizes[0] != sizes[1]:
        raise UnusableData(
            f"The dense model's vocabulary has {sizes[0]:,} tokens and the pruned model's {sizes[1]:,}, so that their "
            "distributions cannot be compared.",
            LEAVE_OUT,
        )


def vocabulary_of(folder: Path) -> int:
    """Return over how many tokens a model's distributions are."""
    return int(read_config(folder).get_text_config().vocab_size)


def prepare(asked: EvalContext) -> DivergenceTask | None:
    """Choose the windows, and see whether there is room for the dense model's log-probabilities.

    A release holds at most a million positions.

    Raises:
        DiskFull: There is no room.
    """
    perplexity = asked.others.get("perplexity")
    if asked.plan.divergence == "off" or not isinstance(perplexity, PerplexityTask):
        return None
    windows = tuple(map(tuple, perplexity.windows.tolist()))
    positions = perplexity.cut.scored
    kept = KeptLogProbs(cache_folder(), positions, vocabulary_of(asked.dense))
    most = MOST_ROWS // positions
    count = amount(asked.plan.divergence, min(len(windows), most), kept.nbytes)
    task = DivergenceTask(windows, tuple(evenly(len(windows), count)), asked.plan.eval_dtype, kept)
    if shared := _shared(asked, task):
        return replace(task, kept=shared)
    kept.require_room(count)
    return task


def _shared(asked: EvalContext, task: DivergenceTask) -> SharedLogProbs | None:
    """Return what a sweep's tasks share; None where this is none of them, or its folder has no room for it."""
    if (folder := shared_folder()) is None:
        return None
    threads = torch.get_num_threads()
    where = f"{task.precision} {machine.processor()} {device_name(asked.device)} {threads} {__version__}"
    tokens = np.array([task.windows[number] for number in task.chosen], dtype="<i4")
    digest = hashlib.sha256(tokens.tobytes()).hexdigest()
    kept = SharedLogProbs(folder, task.kept.shape, f"{digest} {where}", task.seen_of, asked.console)
    try:
        kept.require_room(len(task.chosen))
    except DiskFull as full:
        asked.console.say(f"{full.seen} So this task reads the dense model for itself.")
        return None
    return kept
