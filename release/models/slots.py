"""Where each stored tensor belongs in the parameters of the model class.

transformers holds some parameters otherwise than the files do: it renames them, and stacks experts that are stored
one by one into one fused tensor. Its own table of conversions says how; here it is followed backwards, so that every
stored tensor is a strided view of one parameter, which can be filled, replaced and recognised.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    Concatenate,
    MergeModulelist,
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from release.checkpoint.count import Place, read_tensor
from release.checkpoint.header import FLOATS, Raw
from release.errors import UnusableBase

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
REMEDY = "The checkpoint and its config.json do not belong together, or its layout is not supported; fetch it again."

Sources = dict[str, dict[str | None, list[Place]]]
"""Parameter → pattern of the conversion (None where there is none) → the stored tensors that make it up, in order."""


@dataclass(frozen=True)
class Slot:
    """The part of a parameter that one stored tensor fills.

    Attributes:
        place: Where the files hold the tensor.
        parameter: The class's name of the parameter, or of the persistent buffer.
        stride: Steps between the tensor's elements in the parameter's memory, in elements.
        offset: Where in it the first element lies.
    """

    place: Place
    parameter: str
    stride: tuple[int, ...]
    offset: int

    def read(self, parameter: torch.Tensor, room: Callable[[int], Raw]) -> None:
        """Fill the part from the file, by way of host memory that `room` gives."""
        self.write(parameter, read_tensor(self.place, room))

    def write(self, parameter: torch.Tensor, data: Raw) -> None:
        """Fill the part with stored bytes, widened exactly (F64: rounded) to the parameter's type."""
        shape = self.place.tensor.shape
        stored = torch.from_numpy(data).view(DTYPES[self.place.tensor.dtype]).view(shape)
        if stored.dtype == torch.float64:  # not every device knows it
            stored = stored.to(parameter.dtype)
        parameter.as_strided(shape, self.stride, self.offset).copy_(stored.to(parameter.device))


def slots(model: Any, stored: Mapping[str, Place]) -> dict[str, tuple[Slot, ...]]:
    """Name the stored tensors that fill each parameter.

    Args:
        model: On the meta device.
        stored: Where the files hold each tensor, by its stored name; one that the class does not have is left out.

    Raises:
        UnusableBase: Stored tensors do not fit the parameter they belong to; names it.
    """
    state = model.state_dict()
    converters = _conversions(model, WeightConverter)
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    found = {}
    for parameter, sources in _sources(model, state, stored).items():
        converter = by_pattern.get(next(iter(sources)))
        found[parameter] = tuple(_fitted(parameter, state[parameter], converter, sources))
    return found | dict(_tied(model, found))


def require_filled(parameters: Mapping[str, torch.Tensor], found: Mapping[str, tuple[Slot, ...]]) -> None:
    """Refuse a checkpoint that leaves a parameter empty.

    Args:
        parameters: Name → parameter or persistent buffer.

    Raises:
        UnusableBase: Names the first such parameter, or the first tensor of a type that cannot be read.
    """
    for name in parameters:
        if name not in found:
            raise UnusableBase(f"The files hold nothing for {name}.", REMEDY)
        for tensor in (slot.place.tensor for slot in found[name]):
            if tensor.dtype not in FLOATS:
                raise UnusableBase(
                    f"{tensor.name} is stored as {tensor.dtype}, which cannot be calculated with.",
                    f"Give a checkpoint stored as {', '.join(sorted(FLOATS))}.",
                )


def _conversions(model: Any, kind: type) -> list[Any]:
    return [conversion for conversion in get_model_conversion_mapping(model) if isinstance(conversion, kind)]


def targets(model: Any, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Name the parameters that each stored tensor fills, or part of: none where the class does not know it.

    Args:
        model: On the meta device.
        names: Of the stored tensors.
    """
    state = model.state_dict()
    kinds = _conversions(model, WeightConverter)
    patterns = {pattern: each.target_patterns for each in kinds for pattern in each.source_patterns}
    found = {}
    for name, (first, pattern) in _renamed(model, state, names):
        others = patterns.get(pattern, [""]) if pattern else [""]
        # The library names the first of several; a tensor that is split fills them all.
        filled = {first, *(first.replace(others[0], other) for other in others)}
        found[name] = tuple(sorted(filled & state.keys()))
    return found


def _renamed(
    model: Any, state: Mapping[str, torch.Tensor], names: Iterable[str]
) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Each stored name with the parameter it becomes, and the pattern of the conversion that says so."""
    renamings, converters = _conversions(model, WeightRenaming), _conversions(model, WeightConverter)
    # Natural order, as the library stacks them: expert 10 after expert 9.
    for name in sorted(names, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        yield name, ((name, None) if target not in state and name in state else (target, pattern))


def _sources(model: Any, state: Mapping[str, torch.Tensor], stored: Mapping[str, Place]) -> Sources:
    sources: Sources = {}
    for name, (target, pattern) in _renamed(model, state, stored):
        if target in state:
            sources.setdefault(target, {}).setdefault(pattern, []).append(stored[name])
    return sources


def _fitted(
    name: str, parameter: torch.Tensor, converter: Any, sources: dict[str | None, list[Place]]
) -> Iterator[Slot]:
    """Give each source its view of the parameter."""
    patterns = converter.source_patterns if converter else [None]
    parts = _parts(name, parameter, converter.operations if converter else [], len(patterns))
    for pattern, views in zip(patterns, parts, strict=True):
        there = sources.get(pattern, [])
        if [place.tensor.shape for place in there] != [tuple(view.shape) for view in views]:
            raise UnusableBase(f"{name}: {_listed(there)} in the files, {_shapes(views)} in the model class.", REMEDY)
        for place, view in zip(there, views, strict=True):
            yield Slot(place, name, view.stride(), int(view.storage_offset()))


def _parts(name: str, parameter: torch.Tensor, operations: Iterable[Any], patterns: int) -> list[list[torch.Tensor]]:
    """Undo the conversion of one parameter: its views, pattern by pattern.

    Raises:
        UnusableBase: The conversion does more than to stack and to join.
    """
    parts = [[parameter]]
    for operation in reversed(list(operations)):
        if isinstance(operation, Concatenate):
            parts = [[part] for (whole,) in parts for part in whole.chunk(patterns, operation.dim)]
        elif isinstance(operation, MergeModulelist):
            parts = [list(whole.unbind(operation.dim)) for (whole,) in parts]
        else:
            kind = type(operation).__name__
            raise UnusableBase(
                f"{name} is stored in another form than its class holds ({kind}).",
                "Load the model with transformers and save it with save_original_format=False.",
            )
    return parts


def _listed(there: list[Place]) -> str:
    return _shapes(place.tensor for place in there) if there else "nothing"


def _shapes(tensors: Iterable[Any]) -> str:
    shapes = [tuple(tensor.shape) for tensor in tensors]
    return f"{len(shapes)} × {shapes[0]}" if len(shapes) > 1 else f"{shapes[0]}"


def _tied(model: Any, found: Mapping[str, tuple[Slot, ...]]) -> Iterator[tuple[str, tuple[Slot, ...]]]:
    """Parameters of which the files hold only the twin: of embedding and LM head one is enough."""
    for twin, original in model.all_tied_weights_keys.items():
        for missing, held in ((original, twin), (twin, original)):
            if missing not in found and held in found:
                yield missing, tuple(replace(slot, parameter=missing) for slot in found[held])
