"""What every record is."""

from decimal import Decimal
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

MOST_DIGITS = 300
"""Of a number in a record. Python writes none of more than 4,300, and products of two have as many as both."""


class Frozen(BaseModel):
    """A record that cannot be changed and knows all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        """A target sparsity of 1e9999 once made a budget that nothing could print."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if any(map(_endless, value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name} has more than {MOST_DIGITS} digits")
        return self


def _endless(value: object) -> bool:
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return not isinstance(exponent, int) or max(abs(exponent), abs(value.adjusted())) > MOST_DIGITS
    return isinstance(value, int) and value.bit_length() > 3 * MOST_DIGITS
