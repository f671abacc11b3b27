"""What was measured, dense and pruned side by side: the envelope under `measurements` in `release.json`.

It knows no evaluation: the rows of `release.evals.registry` say under which key a result stands, and of what kind.
"""

from functools import cache
from importlib import import_module
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar

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
from release.schema.usage import Usage
from release.values import Estimate

if TYPE_CHECKING:
    from release.evals.bbq.result import Bbq
    from release.evals.latency.result import Latency
    from release.evals.perplexity.result import Perplexity
    from release.evals.storage.result import Storage
    from release.evals.super_weights.result import SuperWeights


class ByRows(Frozen):
    """A record that holds some fields of its own, and others that the rows of the registry name.

    Attributes:
        own_first: Whether its own fields are written before the others.
    """

    model_config = ConfigDict(extra="allow")
    own_first: ClassVar[bool] = True

    @classmethod
    def rows(cls) -> type[Frozen]:
        """The record of what the rows name."""
        raise NotImplementedError

    def get(self, key: str) -> Any:
        """Return what stands under a name that a row gives; None where nothing does."""
        return (self.__pydantic_extra__ or {}).get(key)

    @model_validator(mode="before")
    @classmethod
    def _results(cls, data: Any) -> Any:
        """Read what rows name as the records that they say, and refuse keys that no row has."""
        if not isinstance(data, dict):
            return data
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        rows = cls.rows().model_validate({key: value for key, value in data.items() if key not in own})
        return {**{key: getattr(rows, key) for key in type(rows).model_fields}, **own}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what rows name in the order of the rows."""
        found: dict[str, Any] = handler(self)
        parts = tuple(type(self).model_fields), tuple(self.rows().model_fields)
        return {key: found[key] for part in parts[:: 1 if self.own_first else -1] for key in part if key in found}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name what every row names, and no further key."""
        own = handler.resolve_ref_schema(handler(core))
        rows = handler.resolve_ref_schema(handler(cls.rows().__pydantic_core_schema__))
        parts = (own, rows) if cls.own_first else (rows, own)
        own["properties"] = {key: value for part in parts for key, value in part["properties"].items()}
        required = [key for part in (own, rows) for key in part.get("required", ())]
        return own | {"required": required, "additionalProperties": False}


def _varying(kind: Any, default: Any) -> type[Frozen]:
    """Return one field for each change that evaluations put beside other masks'."""
    names = (name for row in import_module("release.evals.registry").EVALS for name in row.varying)
    fields: dict[str, Any] = dict.fromkeys(names, (kind, default))
    return create_model("Varying", __base__=Frozen, **fields)


class Mask(ByRows):
    """What one mask changed, on the same items and windows as the others; None where that was not measured.

    The rows of the evaluations name the changes: `srs`, `lean`, the changes of both scores, pruned − dense, mean over
    categories; `log_perplexity`, the natural logarithm of pruned / dense.
    """

    seed: int

    @classmethod
    @cache
    def rows(cls) -> type[Frozen]:
        """A number for each change."""
        return _varying(float | None, None)


class Spread(Frozen):
    """How one change varies between masks; all None where it is not defined for every mask.

    Attributes:
        deviation: Standard deviation between masks, over N − 1; its interval is that of chi-squared, which takes the
            change for normally distributed over masks.
    """

    mean: float | None
    deviation: Estimate


NO_SPREAD = Spread(mean=None, deviation=Estimate(value=None, low=None, high=None))


class Masks(ByRows):
    """Several masks of one recipe that differ in their seed alone, and the spread of each change.

    Attributes:
        masks: The published one first.
    """

    masks: tuple[Mask, ...]

    @classmethod
    @cache
    def rows(cls) -> type[Frozen]:
        """A spread for each change."""
        return _varying(Spread, NO_SPREAD)


class Measurements(ByRows):
    """Dense and pruned side by side, flat: one key for each evaluation, None where it was switched off.

    Attributes:
        latency: By the engine that was named first.
        other_latencies: By the further engines, in the order in which they were named.
        masks: Between several masks; None where only the published one was measured.
        super_weights: None also for a mixture of experts, or where nothing else was measured.
        usage: Memory and energy that reading both took; None where no model had to be loaded.
    """

    own_first: ClassVar[bool] = False

    if TYPE_CHECKING:  # for who names one of them in code; whatever is an evaluation is decided by the registry
        bbq: Bbq | None
        perplexity: Perplexity | None
        latency: Latency | None
        storage: Storage
        super_weights: SuperWeights | None = None
        other_latencies: tuple[Latency, ...] = ()
    masks: Masks | None = None
    usage: Usage | None = None

    @classmethod
    @cache
    def rows(cls) -> type[Frozen]:
        """What all evaluations together record: one field for each key of a row."""
        fields: dict[str, Any] = {}
        for row in import_module("release.evals.registry").EVALS:
            fields[row.key] = (row.result, ...) if row.always else (row.result | None, None)
            if row.further:
                fields[row.further] = (GenericAlias(tuple, (row.result, ...)), ())
        return create_model("Rows", __base__=Frozen, **fields)

    @property
    def latencies(self) -> "tuple[Latency, ...]":
        """Latency by every engine."""
        return (*([] if self.latency is None else [self.latency]), *self.other_latencies)
