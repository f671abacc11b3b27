"""What was measured, dense and pruned side by side: the envelope under `measurements` in `release.json`.

It knows no evaluation: the rows of `release.evals.registry` say under which key a result stands, and of what kind.
"""

from functools import cache
from importlib import import_module
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from pydantic import (
    ConfigDict,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from release.frozen import Frozen
from release.values import Estimate

if TYPE_CHECKING:
    from release.evals.bbq.result import Bbq
    from release.evals.latency.result import Latency
    from release.evals.perplexity.result import Perplexity
    from release.evals.storage.result import Storage
    from release.evals.super_weights.result import SuperWeights


class Mask(Frozen):
    """What one mask changed, on the same items and windows as the others; None where that was not measured.

    Attributes:
        srs: Change of SRS, pruned − dense, mean over categories.
        lean: Change of SRS − anti-stereotyped answers, likewise.
        log_perplexity: Natural logarithm of pruned / dense.
    """

    seed: int
    srs: float | None
    lean: float | None
    log_perplexity: float | None


class Spread(Frozen):
    """How one change varies between masks; all None where it is not defined for every mask.

    Attributes:
        deviation: Standard deviation between masks, over N − 1; its interval is that of chi-squared, which takes the
            change for normally distributed over masks.
    """

    mean: float | None
    deviation: Estimate


class Masks(Frozen):
    """Several masks of one recipe that differ in their seed alone.

    Attributes:
        masks: The published one first.
    """

    masks: tuple[Mask, ...]
    srs: Spread
    lean: Spread
    log_perplexity: Spread


@cache
def _rows() -> type[Frozen]:
    """Return what all evaluations together record: one field for each key of a row."""
    fields: dict[str, Any] = {}
    for row in import_module("release.evals.registry").EVALS:
        fields[row.key] = (row.result, ...) if row.always else (row.result | None, None)
        if row.further:
            fields[row.further] = (GenericAlias(tuple, (row.result, ...)), ())
    return create_model("Rows", __base__=Frozen, **fields)


class Measurements(Frozen):
    """Dense and pruned side by side, flat: one key for each evaluation, None where it was switched off.

    Attributes:
        latency: By the engine that was named first.
        other_latencies: By the further engines, in the order in which they were named.
        masks: Between several masks; None where only the published one was measured.
        super_weights: None also for a mixture of experts, or where nothing else was measured.
    """

    model_config = ConfigDict(extra="allow")

    if TYPE_CHECKING:  # for who names one of them in code; whatever is an evaluation is decided by the registry
        bbq: Bbq | None
        perplexity: Perplexity | None
        latency: Latency | None
        storage: Storage
        super_weights: SuperWeights | None = None
        other_latencies: tuple[Latency, ...] = ()
    masks: Masks | None = None

    @property
    def latencies(self) -> "tuple[Latency, ...]":
        """Latency by every engine."""
        return (*([] if self.latency is None else [self.latency]), *self.other_latencies)

    def get(self, key: str) -> Any:
        """Return the result under the key of an evaluation; None where it was switched off."""
        return (self.__pydantic_extra__ or {}).get(key)

    @model_validator(mode="before")
    @classmethod
    def _results(cls, data: Any) -> Any:
        """Read every result as the record that its row names, and refuse keys that no row has."""
        if not isinstance(data, dict):
            return data
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        rows = _rows().model_validate({key: value for key, value in data.items() if key not in own})
        return {**{key: getattr(rows, key) for key in type(rows).model_fields}, **own}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the evaluations first, in the order of their rows."""
        found: dict[str, Any] = handler(self)
        return {key: found[key] for key in (*_rows().model_fields, *type(self).model_fields) if key in found}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name every evaluation's record, and no further key."""
        own = handler.resolve_ref_schema(handler(core))
        rows = handler.resolve_ref_schema(handler(_rows().__pydantic_core_schema__))
        own["properties"] = rows["properties"] | own["properties"]
        return own | {"required": rows["required"], "additionalProperties": False}
