"""Publish pruned language models that can be believed.

What is exported here is the public interface; `docs/api.md` shows it. All else is private and may change.

The parts, in the order a release is made (`release.pipeline.publish` is the whole story):

* `release.sources` finds the base model and the data sets,
* `release.checkpoint` reads safetensors on disk and tells which tensors are prunable,
* `release.pruning` decides which weights become zero and writes the pruned files,
* `release.verification.audit` reads what was written again and refuses what is not as it should be,
* `release.evals` puts dense and pruned side by side,
* `release.schema.record` is what is known about a release, `release.evals.claims` what may be said about it,
* `release.card.render` and `release.space.build` turn the record into what people see,
* `release.hub` uploads it.
"""

from typing import TYPE_CHECKING

from release.lazily import exported

if TYPE_CHECKING:
    from release.api import measure, prune, publish, push, rebuild, verify
    from release.build import Release
    from release.errors import ReleaseError
    from release.evals.again import Spot
    from release.plan import Plan
    from release.progress import Console
    from release.pruning.recipe import Recipe
    from release.schema.measurements import Measurements
    from release.schema.record import Record
    from release.settings.building import BuildOptions
    from release.settings.measuring import Measuring
    from release.settings.publication import PublishOptions
    from release.verification.keyless import SignerIdentity
    from release.verification.remask import Again
    from release.verification.verify import Verification

__version__ = "0.1.0"
__all__ = [
    "Again",
    "BuildOptions",
    "Console",
    "Measurements",
    "Measuring",
    "Plan",
    "PublishOptions",
    "Recipe",
    "Record",
    "Release",
    "ReleaseError",
    "SignerIdentity",
    "Spot",
    "Verification",
    "measure",
    "prune",
    "publish",
    "push",
    "rebuild",
    "verify",
]

_HOMES = {
    "release.api": ("measure", "prune", "publish", "push", "rebuild", "verify"),
    "release.build": ("Release",),
    "release.errors": ("ReleaseError",),
    "release.plan": ("Plan",),
    "release.progress": ("Console",),
    "release.pruning.recipe": ("Recipe",),
    "release.schema.measurements": ("Measurements",),
    "release.schema.record": ("Record",),
    "release.settings.building": ("BuildOptions",),
    "release.settings.measuring": ("Measuring",),
    "release.settings.publication": ("PublishOptions",),
    "release.verification.keyless": ("SignerIdentity",),
    "release.verification.remask": ("Again",),
    "release.verification.spot_check": ("Spot",),
    "release.verification.verify": ("Verification",),
}
"""Where the public names are defined. They are imported when they are asked for: `release --help` must not wait for
torch, and every module here imports this package first."""


__getattr__ = exported(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
