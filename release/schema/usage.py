"""What reading the models took of the machine: memory and, where a counter was read, energy."""

from typing import Literal

from release.frozen import Frozen
from release.values import Precision


class ModelUsage(Frozen):
    """What reading one model took, from loading it to letting go of it.

    Attributes:
        peak_bytes: The most memory held at once; None where the system does not say.
        seconds: Wall time.
        joules: By the counters that are named beside it; None where there is none.
    """

    peak_bytes: int | None
    seconds: float
    joules: float | None = None


class Usage(Frozen):
    """What reading both models took; a model whose readings were all known is None.

    Attributes:
        memory: "resident": of the process, as the kernel keeps its peak; "sampled": the same, looked at many times a
            second; "allocated": by tensors on the device; "driver": by Metal, looked at many times a second.
        precision: Arithmetic, which decides how large the weights are in memory.
        device: Where it ran: cpu, or a GPU's name.
        counters: What counted the energy: names of packages under powercap, or "NVML"; whatever else ran is in it.
    """

    dense: ModelUsage | None
    pruned: ModelUsage | None
    memory: Literal["resident", "sampled", "allocated", "driver"]
    precision: Precision
    device: str
    counters: tuple[str, ...] = ()
