"""The file of a grid: what is crossed with what, with which options, and the cells that come of it."""

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from release import outside
from release.errors import BadOption, ReleaseError, UnknownName, UnusableData
from release.format import quoted
from release.frozen import Frozen
from release.plan import Plan, release_name
from release.pruning.registry import method_named
from release.settings.building import ReleaseOptions
from release.settings.command import settings_by_parameter, understood
from release.settings.option import share
from release.settings.recipe import DEFAULT_SEED, method_key
from release.sources.base import slug

MOST_CELLS = 100_000
AXES = ("method", "sparsity", "pattern", "seed", "sample_seed")
"""Options that the axes of the grid give, and no other place."""
REMEDY = "See docs/sweep.md for what a grid's file holds."

_SETTINGS = settings_by_parameter(ReleaseOptions)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Word = bool | int | float | str
"""What YAML makes of an option's word; `off` is read as false there."""
Options = Mapping[str, Word]
Size = int | float | str
"""A sparsity, as 0.1 or 10%."""


class Match(Frozen):
    """Cells of a grid, by what they have in common; what is not said matches all.

    Attributes:
        model: As the grid names it.
        sparsity: As 0.1 or 10%.
    """

    model: Text | None = None
    method: Text | None = None
    sparsity: Size | None = None
    pattern: Text | None = None
    seed: int | None = None

    def holds(self, place: "Coordinates") -> bool:
        """Whether a cell is one of them."""
        wanted = (
            self.model,
            None if self.method is None else method_key(self.method),
            None if self.sparsity is None else share(str(self.sparsity)),
            self.pattern,
            self.seed,
        )
        return all(asked is None or asked == given for asked, given in zip(wanted, place.all, strict=True))


class Override(Frozen):
    """Further options for some cells."""

    when: Match
    options: Options


class Publication(Frozen):
    """How a grid is published: a repository for each cell, and what all of them share.

    Attributes:
        namespace: Hub user or organization; one's own by default.
        gated: Who reads a model must ask: auto, manual.
        space: Whether a demo Space goes along, one for all variants of a base.
        report: Whether a data set with the report goes along.
        collection: Title or slug of a collection of all of it; true gives it the grid's name, false makes none.
        space_hardware: What the Space shall run on, such as zero-a10g.
        show_unasked: Whether all is shown though a Space gave no answer.
        weights: none uploads recipes alone, from which whoever has the base makes the weights.
        resource_group: Id of the organization's resource group for new repositories.
        contact: Web address for reports of errors and harm.
    """

    namespace: Text | None = None
    private: bool = False
    gated: Literal["auto", "manual"] | None = None
    space: bool = True
    report: bool = True
    collection: bool | Text = True
    space_hardware: Text | None = None
    show_unasked: bool = False
    weights: Literal["all", "none"] = "all"
    resource_group: Text | None = None
    contact: Text | None = None


class Grid(Frozen):
    """A grid, as its file describes it: models × methods × (sparsities and patterns) × seeds.

    Attributes:
        name: Of the grid; by default that of its file.
        seeds: Of masks. All cells are measured on the samples of the first, so that they can be compared.
        options: Of `release publish`, by their words without dashes, for every cell.
        overrides: Further options for some cells; of two that fit, the later one counts.
        exclude: Cells that are left out.
        publication: Where it goes; nothing is uploaded without.
    """

    name: Name | None = None
    models: tuple[Text, ...]
    methods: tuple[Text, ...]
    sparsities: tuple[Size, ...] = ()
    patterns: tuple[Text, ...] = ()
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    options: Options = Field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    exclude: tuple[Match, ...] = ()
    publication: Publication | None = None


class Coordinates(Frozen):
    """Where a cell stands on the axes of its grid."""

    model: str
    method: str
    sparsity: Decimal | None
    pattern: str | None
    seed: int

    @property
    def all(self) -> tuple[object, ...]:
        """In the order of `Match`."""
        return (self.model, self.method, self.sparsity, self.pattern, self.seed)


class GridCell(Frozen):
    """One release of a grid.

    Attributes:
        key: Its name within the grid, and of its state's file.
        plan: It is local: nothing of it is uploaded.
    """

    key: str
    place: Coordinates
    plan: Plan

    @property
    def task(self) -> str:
        """What cells built together have in common: a base, how it is measured, and all of the recipe but its size."""
        alike = self.plan.recipe.model_dump_json(exclude={"sparsity", "pattern"})
        return f"{self.plan.model} {self.plan.identity} {self.plan.measuring.model_dump_json()} {alike}"

    @property
    def kind(self) -> str:
        """What cells have in common that take about as long: all of a plan but the size and the seeds."""
        recipe = self.plan.recipe.model_dump_json(exclude={"sparsity", "pattern", "seed"})
        measuring = self.plan.measuring.model_dump_json(exclude={"seed", "sample_seed"})
        alike = f"{self.plan.model} {self.plan.identity} {measuring} {recipe}"
        return hashlib.sha256(alike.encode()).hexdigest()[:16]


PARTS: Mapping[object, type[Frozen]] = {
    "when": Match,
    "exclude": Match,
    "overrides": Override,
    "publication": Publication,
}
"""What the fields of a grid's file hold whose own fields are named, too."""


def read_grid(path: Path) -> Grid:
    """Read a grid's file.

    Raises:
        UnusableData: It cannot be read, is no YAML mapping, or a field is missing, unknown or wrong; names the first.
    """
    try:
        found = outside.yaml_mapping(outside.text_of(path, outside.MIB))
    except outside.Unfit as why:
        raise UnusableData(f"The grid {path.name} {why}.", REMEDY) from None
    try:
        grid = Grid.model_validate(found)
    except ValidationError as error:
        raise _unusable(path.name, error) from None
    return grid if grid.name else grid.model_copy(update={"name": slug(path.stem)})


def file_digest(path: Path) -> str | None:
    """Name what a grid's file holds; None where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _unusable(name: str, error: ValidationError) -> ReleaseError:
    first = error.errors()[0]
    *above, last = first["loc"]
    if first["type"] == "extra_forbidden":
        known = next((PARTS[part] for part in reversed(above) if part in PARTS), Grid)
        near = UnknownName.among("field", str(last), known.model_fields)
        return UnusableData(f"The grid {name}: {near.seen}", near.remedy)
    return UnusableData(f"The grid {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}.", REMEDY)


def cells_of(grid: Grid, out: Path) -> tuple[GridCell, ...]:
    """Return the cells of a grid in its own order; those that would be the same release are one.

    Args:
        out: The folder that their releases are built in.

    Raises:
        BadOption: An option is unknown or not understood, no cell is left, or there are too many.
        UnknownName: There is no such method, or no such option.
    """
    found: dict[str, GridCell] = {}
    for place in _places(grid):
        if any(match.holds(place) for match in grid.exclude):
            continue
        plan = _plan(grid, place, out)
        key = release_name(_slug(place.model), plan.recipe)
        if key in found and found[key].plan != plan:
            seen = f"Two cells of the grid are called {quoted(key)}."
            raise BadOption(seen, "Leave one of them out, or make grids of two files.")
        found[key] = GridCell(key=key, place=place, plan=plan)
        if len(found) > MOST_CELLS:
            raise BadOption(f"The grid has more than {MOST_CELLS:,} cells.", "Make several grids of it.")
    if not found:
        raise BadOption("No cell of the grid is left.", "Give models, methods, and sparsities or patterns.")
    return tuple(found.values())


def _slug(model: str) -> str:
    """Name a model within the grid: without the revision, which a name of its own folder does not hold."""
    return slug(model.rstrip("/").split("@", 1)[0])


def _places(grid: Grid) -> Iterator[Coordinates]:
    sizes: list[tuple[Decimal | None, str | None]] = [(share(str(each)), None) for each in grid.sparsities]
    sizes += [(None, pattern) for pattern in grid.patterns]
    for model, method, (sparsity, pattern) in product(grid.models, grid.methods, sizes):
        row = method_named(method_key(method))
        # The seed of other methods settles ties alone, so one mask stands for all seeds.
        several = row.seeded or row.calibrated
        for seed in grid.seeds if several else grid.seeds[:1]:
            yield Coordinates(model=model, method=row.key, sparsity=sparsity, pattern=pattern, seed=seed)


def _plan(grid: Grid, place: Coordinates, out: Path) -> Plan:
    given = dict(grid.options)
    for override in grid.overrides:
        given |= dict(override.options) if override.when.holds(place) else {}
    words = _understood(given) | {"method": place.method, "seed": place.seed}
    if place.sparsity is not None:
        words["sparsity"] = f"{place.sparsity:f}"
    if place.pattern is not None:
        words["pattern"] = place.pattern
    if place.seed != grid.seeds[0]:
        words["sample_seed"] = grid.seeds[0]
    return Plan.of(place.model, understood(ReleaseOptions, words), out=out, local=True)


def _understood(options: Options) -> dict[str, Any]:
    """Take options as a command line has them, by the names of its parameters.

    Raises:
        UnknownName: There is no such option.
        BadOption: An axis of the grid gives it.
    """
    known = {name.replace("_", "-"): name for name in _SETTINGS}
    for word in options:
        if word not in known:
            raise UnknownName.among("option", word, known, "They are those of `release publish`, without dashes.")
        if known[word] in AXES:
            raise BadOption(f"The option {word} is an axis of the grid.", "Give it as one of the grid's own lists.")
    return {known[word]: _word(_SETTINGS[known[word]].kind, value) for word, value in options.items()}


def _word(kind: Any, value: Word) -> Any:
    """Return what typer would read: YAML takes `off` for false, and 0.03 for a number."""
    if kind is bool:
        return bool(value)
    if kind is int and isinstance(value, int):
        return value
    word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    return Path(word) if kind is Path else word
