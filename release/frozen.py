"""What every record is."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

MOST_DIGITS = 300
"""Of a number in a record. Python writes none of more than 4,300, and products of two have as many as both."""
_SHORT = frozenset({str, float, bool, type(None)})
"""Types that have no digits without end; most fields are of them, and records are made by the thousand."""
MOST_DECIMALS = 30
"""Decimals of a share, at most; it stands in a release's name, and no model has as many weights."""


class Frozen(BaseModel):
    """A record that cannot be changed and knows all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        """A target sparsity of 1e9999 once made a budget that nothing could print."""
        for name, value in self.__dict__.items():
            if type(value) in _SHORT:
                continue
            if any(map(_endless, value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name} has more than {MOST_DIGITS} digits")
        return self


def _endless(value: object) -> bool:
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return not isinstance(exponent, int) or max(abs(exponent), abs(value.adjusted())) > MOST_DIGITS
    return isinstance(value, int) and value.bit_length() > 3 * MOST_DIGITS


def is_share(value: Decimal) -> bool:
    """Whether a number is a share that may be asked for: above 0, below 1, and not endlessly fine."""
    return value.is_finite() and 0 < value < 1 and int(value.normalize().as_tuple().exponent) >= -MOST_DECIMALS


def _share(value: Decimal) -> Decimal:
    if not is_share(value):
        raise ValueError(f"a share lies between 0 and 1 and has at most {MOST_DECIMALS} decimals")
    return value


Share = Annotated[Decimal, AfterValidator(_share)]
"""An exact share, 0 < s < 1."""
