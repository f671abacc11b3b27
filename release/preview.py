"""What a plan would do, from config and headers alone (`--dry-run`)."""

import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from release import hub
from release.build import open_bench, require_masks
from release.checkpoint.decoder import Shapes
from release.checkpoint.files import Folder
from release.checkpoint.folder import open_checkpoint, read_config
from release.checkpoint.forms import refuse_embeddings, refuse_other_form
from release.checkpoint.prunable import LeftDense, from_shapes, left_dense, module_of
from release.contents import left_behind
from release.errors import HubUnreachable, NotHere, NotLoggedIn
from release.evals.bbq.amount import asked
from release.evals.bbq.data import known, read_bbq
from release.evals.bbq.result import Forecast
from release.evals.bbq.sample import draw, of_categories
from release.evals.bbq.width import forecast
from release.frozen import Frozen
from release.hub import PushPlan
from release.models.class_check import class_answer
from release.models.classes import matrices, meta_model, require_prunable
from release.models.device import choose_device
from release.models.fitness import require_fit, require_language_model
from release.occupant import pruned_at, published_at, require_alike
from release.plan import Plan
from release.progress import Console
from release.pruning.budget import rounded_share
from release.pruning.prune import SPARE
from release.pruning.prune_tensor import require_rows
from release.publishing import upload as publishing
from release.publishing.unasked import repositories
from release.release_folder import ReleaseFolder
from release.settings.base import Identity
from release.settings.measuring import Measuring
from release.sources import base, demo
from release.sources import hub as hub_source
from release.sources.base import require_said
from release.sources.cache import nothing_fetched
from release.verification import signing

LAID_OUT = 100
"""Items of BBQ that a dry run lays out, at most, to see that they can be asked."""
TORCH_BITS = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}


class ModuleCount(Frozen):
    """Prunable parameters of one kind of module, over all blocks."""

    module: str
    tensors: int
    parameters: int


class Preview(Frozen):
    """What would be done.

    Attributes:
        name: Folder and repository name.
        repositories: What would be created on the Hub; empty for a local release. Without `--to` the account's own
            name stands in front.
        zeroed_parameters: Weights that will be zero, R(s·N).
        bytes_to_write: Of weight files; None where neither headers nor a stored type are known.
        bytes_to_upload: The same, or 0 for a local release and for one without weights.
        hub: What publishing would do there, as far as it is known before the release is built; None where the Hub was
            not asked.
        not_asked: Why not; None for a local release.
        disk_needed: With room for everything else in a release.
        left_dense: Blocks in the files that are none of the text decoder's and stay as they are.
        seeds: Of the masks that would be measured; the first is published.
        left_behind: Files of the base that the release would not carry.
        sample: The BBQ items that would be asked; None where BBQ is off, or not on this disk yet.
    """

    name: str
    repositories: tuple[str, ...]
    method: str
    target_sparsity: Decimal
    seed: int
    prunable_parameters: int
    zeroed_parameters: int
    modules: tuple[ModuleCount, ...]
    left_dense: tuple[LeftDense, ...] = ()
    bytes_to_write: int | None
    bytes_to_upload: int | None
    disk_needed: int | None
    disk_free: int
    files: tuple[str, ...]
    counted_from: str
    hub: PushPlan | None = None
    not_asked: str | None = None
    sample: Forecast | None = None
    seeds: tuple[int, ...] = ()
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Outline:
    """As much of a base model as a preview needs."""

    folder: Path
    slug: str
    prunable: Shapes
    left_dense: tuple[LeftDense, ...]
    parameters: int
    size: int | None
    files: tuple[str, ...]
    counted_from: str
    left: tuple[str, ...] = ()

    @cached_property
    def total(self) -> int:
        """Parameters of all prunable tensors."""
        return sum(map(math.prod, self.prunable.values()))

    @cached_property
    def modules(self) -> tuple[ModuleCount, ...]:
        """Prunable parameters by kind of module."""
        groups: dict[str, list[int]] = {}
        for name, shape in self.prunable.items():
            groups.setdefault(module_of(name), []).append(math.prod(shape))
        return tuple(
            ModuleCount(module=module, tensors=len(sizes), parameters=sum(sizes))
            for module, sizes in sorted(groups.items())
        )


def of_publishing(plan: Plan, key: Path | None = None) -> Preview:
    """Work out what publishing would do, once nothing is refused that publishing refuses.

    Raises:
        ReleaseError: As `release.pipeline.checked`, as far as what it takes is on this disk.
    """
    if key:
        signing.signer(key)
    require_alike(plan, published_at(plan))
    seen = preview(plan)
    require_possible([plan], measured=True)
    return seen


def of_pruning(plans: Sequence[Plan]) -> list[Preview]:
    """Work out what pruning would do, as `of_publishing`."""
    for plan, folder in zip(plans, pruned_at(plans), strict=True):
        require_alike(plan, folder)
    seen = [preview(plan) for plan in plans]
    require_possible(plans, measured=False)
    return seen


def require_possible(plans: Sequence[Plan], *, measured: bool) -> None:
    """Refuse what the run itself refuses before any work, by its own checks, as far as all they take is on this disk.

    Raises:
        ReleaseError: As `release.build.open_bench`.
    """
    for plan in plans:
        require_masks(plan)
        if measured or plan.recipe.calibration is not None:
            choose_device(plan.measuring.device)
    model = plans[0].model
    if model == base.DEMO or (base.is_folder(model) and any(Path(model).glob("*.safetensors"))):
        short = [plan.model_copy(update={"measuring": _short(plan.measuring)}) for plan in plans]
        with nothing_fetched(), suppress(NotHere):
            open_bench(short, Console(quiet=True), measured, brief=True).close()


def _short(asked: Measuring) -> Measuring:
    """The same with so few items of BBQ that laying them out takes no time; a number that is small stays."""
    few = asked.bbq == "off" or asked.bbq_data or (asked.bbq.isdigit() and int(asked.bbq) <= LAID_OUT)
    return asked if few else asked.model_copy(update={"bbq": str(LAID_OUT)})


def preview(plan: Plan) -> Preview:
    """Work out what a plan would do; fetches no weights.

    A folder needs nothing but config.json.

    Raises:
        BadOption: What is stated contradicts the base.
        UnusableBase: As for pruning itself.
    """
    outline = _outline(plan.model, plan.identity)
    require_said(plan.model, plan.identity, Console())
    require_rows(outline.folder, outline.prunable, plan.recipe)
    hub, not_asked = _at_the_hub(plan, plan.name(outline.slug))
    return Preview(
        name=plan.name(outline.slug),
        hub=hub,
        not_asked=not_asked,
        repositories=_repositories(plan, plan.name(outline.slug)),
        method=plan.recipe.method,
        target_sparsity=plan.recipe.sparsity,
        seed=plan.recipe.seed,
        prunable_parameters=outline.total,
        zeroed_parameters=rounded_share(plan.recipe.sparsity, outline.total),
        modules=outline.modules,
        left_dense=outline.left_dense,
        bytes_to_write=outline.size,
        bytes_to_upload=0 if plan.local or plan.publication.weights == "none" else outline.size,
        disk_needed=None if outline.size is None else outline.size * min(plan.seeds, 2) + SPARE,
        disk_free=shutil.disk_usage(_existing(plan.out)).free,
        files=outline.files,
        counted_from=outline.counted_from,
        seeds=tuple(each.recipe.seed for each in (plan, *plan.further())),
        left_behind=outline.left,
        sample=_sample(plan.measuring, outline.parameters),
    )


def _sample(plan: Measuring, parameters: int) -> Forecast | None:
    """Foretell how well the sample will tell; nothing is fetched for it."""
    if plan.bbq == "off" or (found := read_bbq(plan.bbq_data, Console()) if plan.bbq_data else known()) is None:
        return None
    items = of_categories(found[0], plan.bbq_categories)
    return forecast(draw(items, asked(plan, parameters, choose_device(plan.device), len(items)), plan.sampling_seed))


def _repositories(plan: Plan, name: str) -> tuple[str, ...]:
    if plan.local:
        return ()
    return repositories(name, plan.namespace, plan.publication, space=plan.space)


def _at_the_hub(plan: Plan, name: str) -> tuple[PushPlan | None, str | None]:
    """Ask the Hub what publishing would meet there; without a login, or without a network, say so and go on."""
    if plan.local:
        return None, None
    console = Console(quiet=True)
    try:
        publisher = publishing.login_for(plan.namespace, plan.publication, plan.space)
        upload = publishing.upload_of(ReleaseFolder(plan.out / name), name, publisher)
        return hub.survey(upload, plan.publication, publisher.account, console), None
    except (NotLoggedIn, HubUnreachable) as error:
        return None, f"not asked. {error.seen}"


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _outline(model: str, identity: Identity) -> _Outline:
    if model == base.DEMO:
        # As in a run: what keeps the demo's digests is its own, and not left behind.
        return replace(_from_folder(demo.fetch(Console()), base.slug(demo.HUB_ID)), left=())
    if base.is_folder(model):
        return _from_folder(Path(model), base.slug(base.id_of_folder(Path(model), identity)))
    return _from_hub(base.hub_id(model))


def _from_folder(folder: Path, slug: str) -> _Outline:
    here = Folder(folder)
    refuse_embeddings(here.name, here.sizes)
    if not any(folder.glob("*.safetensors*")):
        refuse_other_form(here.name, here.sizes)
        require_language_model(folder)
        return _from_config(folder, slug)
    checkpoint = open_checkpoint(folder)
    class_answer(checkpoint)
    files = tuple(h.path.name for h in checkpoint.headers)
    return _counted(folder, slug, checkpoint.shapes, checkpoint.size, files, tuple(left_behind(here.sizes, files)))


def _from_hub(full_id: str) -> _Outline:
    repo_id, _, revision = full_id.partition("@")
    found = hub_source.headers(repo_id, revision or None)
    config, shapes = read_config(found.folder), {name: shape for name, (_, shape) in found.tensors.items()}
    require_prunable(require_fit(found.folder, shapes), config, found.tensors)
    size = sum(found.info.files[name] for name in found.info.weights)
    return _counted(found.folder, base.slug(repo_id), shapes, size, found.info.weights, found.info.left)


def _counted(
    folder: Path, slug: str, shapes: Shapes, size: int, files: tuple[str, ...], left: tuple[str, ...]
) -> _Outline:
    config = read_config(folder)
    return _Outline(
        folder=folder,
        slug=slug,
        prunable={name: shapes[name] for name in from_shapes(shapes, config)},
        left_dense=left_dense(shapes, config),
        parameters=sum(map(math.prod, shapes.values())),
        size=size,
        files=files,
        counted_from="weight files' headers",
        left=left,
    )


def _from_config(folder: Path, slug: str) -> _Outline:
    """Count from the class alone; the bytes are those of its parameters in the type that config.json names."""
    config = read_config(folder)
    bits = TORCH_BITS.get(str(config.get("dtype") or config.get("torch_dtype")))
    model = meta_model(folder)
    parameters = sum(p.numel() for p in model.parameters())
    return _Outline(
        folder=folder,
        slug=slug,
        prunable={name: tuple(p.shape) for name, p in matrices(model).items()},
        left_dense=(),
        parameters=parameters,
        size=None if bits is None else parameters * bits // 8,
        files=(),
        counted_from="config.json and the model class",
    )
