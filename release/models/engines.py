"""What can run a checkpoint: a row each, its packages imported where it is asked for and no earlier.

A further engine is one more row, and a module that holds what `Engine` asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from release.errors import MissingSource
from release.extras import install
from release.models.engine import Engine
from release.outside import Unfit, foreign
from release.values import EngineName, Package


@dataclass(frozen=True)
class EngineRow:
    """One engine.

    Attributes:
        packages: What it is made of; their versions are recorded.
        extra: Extra of this package that installs it.
        load: Imports its module.
    """

    name: EngineName
    packages: tuple[str, ...]
    extra: str
    load: Callable[[], Engine]


def _transformers() -> Engine:
    from release.models import transformers_engine

    return transformers_engine


def _mlx() -> Engine:
    from release.models import mlx_engine

    return mlx_engine


ENGINES: dict[EngineName, EngineRow] = {
    row.name: row
    for row in (
        EngineRow("transformers", ("transformers", "torch"), "torch", _transformers),
        EngineRow("mlx", ("mlx", "mlx-lm"), "mlx", _mlx),
    )
}


def engine(name: EngineName) -> Engine:
    """Return an engine, its packages imported.

    Raises:
        MissingSource: They are not installed, or cannot be imported here.
    """
    row = ENGINES[name]
    try:
        with foreign(f"Engine {name} cannot be used here"):
            return row.load()
    except Unfit as why:
        raise MissingSource(f"{why}.", f"Install it with `{install(row.extra)}`, or leave the engine out.") from None


def packages(name: EngineName) -> tuple[Package, ...]:
    """Return what an engine is made of, with versions."""
    return tuple(Package(name=package, version=version(package)) for package in ENGINES[name].packages)
