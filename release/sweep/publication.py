"""Who publishes a grid, and how: settled before any work, and refused there if it cannot be."""

from dataclasses import dataclass

from release import hub
from release.errors import BadOption, OutputConflict
from release.format import quoted
from release.hub import collections
from release.hub.admission import found_at
from release.hub.client import HubClient
from release.hub.makers import holding, strange
from release.hub.plan import check_hardware
from release.hub.repos import Kind, RepoFolder
from release.progress import Console
from release.publishing.upload import Publisher, login_for
from release.settings.command import understood
from release.settings.publication import PublishOptions
from release.sources.base import is_folder, slug
from release.sweep.grid import Publication
from release.sweep.job import Sweep
from release.verification import weightless

ANOTHER_NAME = "Give the grid another `name`, or another `namespace` under `publication`."


@dataclass(frozen=True)
class GridPublisher:
    """Who publishes a grid, and how; nothing refused it yet.

    Attributes:
        publisher: As for one release, without a Space of its own.
    """

    job: Sweep
    asked: Publication
    publisher: Publisher
    console: Console

    @property
    def options(self) -> PublishOptions:
        """As `release push` takes them."""
        return self.publisher.options

    @property
    def owner(self) -> str:
        """The namespace."""
        return self.publisher.namespace

    @property
    def index_id(self) -> str:
        """The id of the data set."""
        return f"{self.owner}/{self.job.grid.name}"

    @property
    def collection(self) -> str:
        """The slug or the title of the collection."""
        given = self.asked.collection
        return given if isinstance(given, str) else f"Grid {self.job.grid.name}"[: collections.LONGEST_TITLE]

    def space_id(self, base: str, bases: int) -> str | None:
        """The id of the Space for one base; where the grid has several, the base's name is in it."""
        if not self.asked.space:
            return None
        return self.index_id if bases == 1 else f"{self.index_id}-{slug(base)}"


def admitted(job: Sweep, console: Console) -> GridPublisher | None:
    """Find who publishes a grid, and refuse whatever the Hub would refuse, before any work; changes nothing.

    Returns:
        None where the grid's file does not say that it is to be published.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        BadOption: The Hub does not take a name, the collection or an option, or a cell cannot be published so.
        OutputConflict: Somebody else's Space or data set has the grid's name.
    """
    asked = job.grid.publication
    if asked is None:
        return None
    options = options_of(asked)
    check_hardware(options)
    publisher = login_for(asked.namespace, options, space=False)
    found = GridPublisher(job, asked, publisher, console)
    names = [f"{found.owner}/{cell.key}" for cell in job.cells]
    hub.check_names(found.index_id, *names)
    hub.require_rights(publisher.account, [found.index_id, *names])
    _require_publishable(found)
    if asked.collection is not False:
        collections.check(HubClient(), found.collection, found.owner)
    _refuse_strangers(found)
    return found


def options_of(asked: Publication) -> PublishOptions:
    """Return the options of a release of the grid, which has no Space of its own.

    Raises:
        BadOption: One of them is not understood.
    """
    words = asked.model_dump(exclude={"namespace", "space", "report", "collection"}, exclude_none=True)
    options: PublishOptions = understood(PublishOptions, {**words, "to": asked.namespace})
    return options.model_copy(update={"space": False})


def _require_publishable(found: GridPublisher) -> None:
    for cell in found.job.cells:
        if found.asked.weights == "none":
            weightless.require_enough(cell.plan.recipe, cell.plan.with_mask)
        if found.asked.space and is_folder(cell.plan.model) and cell.plan.identity.id is None:
            raise BadOption(
                f"The base {quoted(cell.place.model)} is a folder, so no Space can show it beside its variants.",
                "Give its Hub id with the option `base-id`, or write `space: false` under `publication`.",
            )


def _refuse_strangers(found: GridPublisher) -> None:
    """Look at what has the grid's own name; what has those of its releases is looked at before each is filled.

    Raises:
        OutputConflict: It is somebody else's work.
    """
    client = HubClient()
    asked: dict[Kind, bool] = {"space": found.asked.space, "dataset": found.asked.report}
    for kind in (kind for kind, wanted in asked.items() if wanted):
        there = found_at(client, RepoFolder(kind, found.index_id, found.job.work))
        if there and there.maker == "stranger":
            seen = f"{strange(client.url(kind, found.index_id), kind)}: {holding(there, kind)}. Nothing was changed."
            raise OutputConflict(seen, ANOTHER_NAME)
