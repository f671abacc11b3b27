"""Which models are compared."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Protocol, TypeVar

import yaml
from facts import HUB_ID

HERE = Path(__file__).parent
VARIABLE = "COMPARE_MODELS"
HIGHEST = 90
"""Percent of zeros, at most, of a copy that is made here."""
SCHEMES = {
    "random": ("random", "tensor"),
    "magnitude": ("magnitude", "tensor"),
    "random in rows": ("random", "row"),
    "magnitude in rows": ("magnitude", "row"),
    "magnitude across layers": ("magnitude", "global"),
}
"""How a copy can be made here → the method, and the scope in which its weights compete."""
COPY = re.compile(rf"({'|'.join(SCHEMES)}), (\d{{1,2}}(?:\.\d{{1,2}})?) % zeros, made here", re.ASCII)


class SetupError(Exception):
    """The app does not know what to compare; says what to write where."""


@dataclass(frozen=True)
class Source:
    """A model to show.

    Attributes:
        id: Its name on the Hub, or the name it will have there.
        path: A local folder that is used instead of the Hub.
        base: Hub id of the dense model beside it, of which it is a pruned copy.
        copy: How it is made here; None for one that was published.
    """

    id: str
    path: str | None = None
    base: str | None = None
    copy: "LocalCopy | None" = None

    @property
    def on_hub(self) -> bool:
        """Whether `id` has the form of a Hub id, so that it can be linked."""
        return HUB_ID.fullmatch(self.id) is not None


@dataclass(frozen=True)
class LocalCopy:
    """A pruned model that is made here from the dense one.

    Attributes:
        dense: The model that it is made of.
        pruned: The releases beside it, which say what can be pruned.
        scheme: A key of `SCHEMES`.
        percent: Zeros due among the prunable weights, 0 to `HIGHEST`.
    """

    dense: Source
    pruned: tuple[Source, ...]
    scheme: str
    percent: float

    @property
    def label(self) -> str:
        """What the menu calls it."""
        return f"{self.scheme.capitalize()} {self.percent:g} %, made here, not measured"

    @property
    def source(self) -> Source:
        """The copy as a model to show."""
        return Source(f"{self.scheme}, {self.percent:g} % zeros, made here", copy=self)


class Told(Protocol):
    """What was read of a model, or why it could not be."""

    @property
    def trouble(self) -> str | None:
        """Why there is nothing, where there is nothing."""


Found = TypeVar("Found", bound=Told)


def once(read: Callable[[Source], Found]) -> Callable[[Source], Found]:
    """Read each model's facts once; what could not be read is tried again the next time."""
    known: dict[Source, Found] = {}

    @wraps(read)
    def call(source: Source) -> Found:
        found = known.get(source) or read(source)
        if found.trouble is None:
            known[source] = found
        return found

    return call


@dataclass(frozen=True)
class Lineup:
    """What is compared: at most one dense model, and at least one pruned one."""

    dense: Source | None
    pruned: tuple[Source, ...]

    @property
    def all(self) -> tuple[Source, ...]:
        """All models, the dense one first."""
        return (self.dense, *self.pruned) if self.dense else self.pruned

    def variant(self, name: str | None) -> Source:
        """Return the pruned model called `name`, or the copy to be made; the first where no name is given.

        Raises:
            KeyError: There is no such model here.
        """
        if name is None:
            return self.pruned[0]
        found = next((source for source in self.pruned if source.id == name), None)
        found = found or self._copied(name)
        if found is None:
            raise KeyError(name)
        return found

    def _copied(self, name: str) -> Source | None:
        """Return the copy of a name; None where it is no copy's name, or there is nothing to copy."""
        asked = COPY.fullmatch(name) if isinstance(name, str) else None
        if asked is None or self.dense is None or float(asked[2]) > HIGHEST:
            return None
        return LocalCopy(self.dense, self.pruned, asked[1], float(asked[2])).source


def lineup() -> Lineup:
    """Read the models from the environment, or else from the front matter of this folder's README.md.

    Raises:
        SetupError: Neither names a pruned model.
    """
    stated = os.environ.get(VARIABLE)
    return from_variable(stated) if stated else from_readme(HERE / "README.md")


def from_variable(text: str) -> Lineup:
    """Read `{"dense": {"id": …, "path": …} | null, "pruned": [{"id": …, "path": …}, …]}`.

    Raises:
        SetupError: It is not of that form.
    """
    try:
        stated = json.loads(text)
        dense = stated.get("dense")
        pruned = tuple(Source(each["id"], each["path"]) for each in stated["pruned"])
        found = Lineup(Source(dense["id"], dense["path"]) if dense else None, pruned)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f'{VARIABLE} must be JSON like {{"dense": …, "pruned": […]}}: {error!r}') from error
    return _checked(found, VARIABLE)


def from_readme(readme: Path) -> Lineup:
    """Read `models:` of a Space's README.md: the dense model first, unless there is only one, the pruned one.

    Raises:
        SetupError: There is no such list.
    """
    try:
        front = yaml.safe_load(readme.read_text(encoding="utf-8").split("---")[1])
        names = [str(name) for name in front["models"]]
    except (OSError, yaml.YAMLError, LookupError, TypeError) as error:
        raise SetupError(f"README.md needs front matter with `models: [dense, pruned]`: {error!r}") from error
    base, pruned = (names[0], names[1:]) if len(names) > 1 else (None, names)
    sources = tuple(Source(name, base=base) for name in pruned)
    return _checked(Lineup(Source(base) if base else None, sources), "README.md")


def _checked(found: Lineup, where: str) -> Lineup:
    if not found.pruned:
        raise SetupError(f"{where} names no pruned model; there is nothing to compare.")
    return found
