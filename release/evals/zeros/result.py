"""How many zeros are left after what people do with a model next."""

from release.frozen import Frozen


class TreatedZeros(Frozen):
    """Zeros after one treatment.

    Attributes:
        treatment: Which one; see `zeros.treat.TREATMENTS`.
        kept: Of the zeros, those that are zero still.
        added: Of the other weights, those that are zero now.
    """

    treatment: str
    kept: int
    added: int


class Zeros(Frozen):
    """Prunable weights of the pruned files, zero or not, before and after each treatment.

    Attributes:
        zeros: Zeros among them.
        others: The rest.
    """

    zeros: int
    others: int
    treatments: tuple[TreatedZeros, ...]
