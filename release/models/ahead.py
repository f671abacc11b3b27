"""Work for a device that is got ready while the device computes: in a thread, and on CUDA on a stream of its own."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch.utils._pytree import tree_leaves

from release.checkpoint.disk import room_for
from release.checkpoint.header import Raw

Got = TypeVar("Got")
Item = TypeVar("Item")


class Lane:
    """How bytes reach a device from another thread. On the CPU they only have to be there."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def room(self, nbytes: int) -> Raw:
        """Return uninitialised host memory from which the device is filled, uint8, (nbytes,)."""
        return room_for(nbytes)

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Queue what the block asks of the device beside its other work; the block ends when that is done."""
        yield

    def hand_over(self, tensors: Iterable[torch.Tensor]) -> None:
        """Tell that the calling thread computes with these from now on."""


class CudaLane(Lane):
    """Pinned memory, which the device reads without the processor, and a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        stream: Callable[[torch.device], Any] = torch.cuda.Stream
        self._stream = stream(device)

    def room(self, nbytes: int) -> Raw:
        """Return pinned memory; see `Lane`."""
        return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True).numpy()

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Wait for this stream alone, so that the host memory may go; see `Lane`."""
        with torch.cuda.stream(self._stream):
            yield
        self._stream.synchronize()

    def hand_over(self, tensors: Iterable[torch.Tensor]) -> None:
        """Keep their memory from this stream until the computing one is done with it; see `Lane`."""
        computing = torch.cuda.current_stream(self.device)
        for tensor in tensors:
            tensor.record_stream(computing)


LANES: dict[str, Callable[[torch.device], Lane]] = {"cpu": Lane, "cuda": CudaLane}
"""Kind of device → how it is reached from another thread. Metal is left out: nobody tried two threads on it."""


class Ahead:
    """Does work in one thread, in the order in which it was begun; leaving it as a context waits for what was begun.

    Where the device cannot be reached from another thread, work is done when its result is asked for.

    Args:
        device: Where the results lie.
    """

    def __init__(self, device: torch.device) -> None:
        make = LANES.get(device.type)
        self.lane = make(device) if make else Lane(device)
        self._pool = ThreadPoolExecutor(1, "ahead") if make else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is under way, and begin nothing more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, work: Callable[[], Got]) -> Callable[[], Got]:
        """Begin with work, and return what waits for its result.

        Args:
            work: Returns tensors on the device, in tuples, lists and dictionaries.
        """
        if self._pool is None:
            return work
        future = self._pool.submit(self._queued, work)

        def result() -> Got:
            got: Got = future.result()
            self.lane.hand_over(leaf for leaf in tree_leaves(got) if isinstance(leaf, torch.Tensor))
            return got

        return result

    def each(self, work: Callable[[Item], Got], items: Iterable[Item]) -> Iterator[Got]:
        """Yield the work's result for each item, in order; the next one's is begun before one is yielded."""
        waiting: list[Callable[[], Got]] = []
        for item in items:
            waiting.append(self.begin(partial(work, item)))
            if len(waiting) > 1:
                yield waiting.pop(0)()
        for result in waiting:
            yield result()

    def _queued(self, work: Callable[[], Any]) -> Any:
        with self.lane.queued():
            return work()
