"""How a release is published."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from release.errors import BadOption
from release.format import quoted
from release.frozen import Frozen
from release.names import REPO_ID
from release.settings.option import HelpPanel, Option

LONGEST_SPACE_TIMEOUT = 86_400
RESOURCE_GROUP = re.compile(r"[\w-]{1,100}", re.ASCII)
WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~/?#=&%+:@-]{1,300}")
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""The Hub itself knows more of its names than that; what it refuses is told when it is asked."""
SPACES = "spaces/"
"""What the Hub writes before the id of a Space."""

WeightFiles = Literal["all", "none"]
"""Which weight files a release holds: all, or none but the recipe that makes them from the base."""


def group_id(text: str) -> str:
    """Read the id of a resource group.

    Raises:
        BadOption: It is none.
    """
    if RESOURCE_GROUP.fullmatch(text):
        return text
    raise BadOption(
        f"--resource-group {quoted(text)} is no id of a resource group.",
        "Give the id that ends its address in the organization's settings on the Hub.",
    )


PrivateKey = Annotated[
    Path | None,
    Option("--sign", "Sign with this private key (PEM), or as yourself: sigstore.", HelpPanel.PUBLISH),
]


def web_address(text: str) -> str:
    """Read an address on the web.

    Raises:
        BadOption: It is none that a card can link to.
    """
    if WEB_ADDRESS.fullmatch(text):
        return text
    raise BadOption(f"{quoted(text)} is no address on the web.", "Give one that begins with https://.")


def owner(text: str) -> str:
    """Read the name of a user or an organization on the Hub.

    Raises:
        BadOption: It is none.
    """
    if OWNER.fullmatch(text):
        return text
    raise BadOption(f"--to {quoted(text)} is no name on the Hub.", "Give a user or an organization, as in --to my-lab.")


class Destination(Frozen):
    """Where a release goes, and who signs it.

    Attributes:
        out: Folder that releases are built in.
        local: Build and verify everything, upload nothing.
        overwrite: Measure a finished release anew where it is asked for other measurements.
        sign: A private key's file, or `sigstore`; None for no signature.
    """

    out: Annotated[Path, Option("--out", "Folder that releases are built in.", short=("-o",))] = Path("releases")
    local: Annotated[bool, Option("--local", "Build and verify, upload nothing.", HelpPanel.PUBLISH)] = False
    overwrite: Annotated[
        bool, Option("--overwrite", "Measure a finished release anew, as asked now.", HelpPanel.MEASURE)
    ] = False
    sign: PrivateKey = None


class PublishOptions(Frozen):
    """How a release is published.

    Attributes:
        namespace: Hub user or organization to publish under; None for one's own.
        repositories: The model repository's id, and the Space's after `spaces/`; one that is missing has the release's
            own name.
        adopt: Replace what somebody else made there.
        private: Leave the repositories private.
        gated: Who reads the model must ask: "auto" grants at once, "manual" by hand; None leaves it as it is.
        pull_request: Propose the files as a pull request, and show nothing.
        revision: Branch of the model repository; on any but main nothing is shown, and no Space goes along.
        collection: Title or slug of a collection to put the release into.
        space: Whether a demo Space goes along.
        space_hardware: What the Space shall run on; None leaves it to the Hub.
        space_timeout: Seconds that the Space may take to be built and to start; None for half an hour.
        show_unasked: Show the release even where the Space gives no answer.
        weights: "none" uploads the recipe alone, from which whoever has the base makes the weights.
        resource_group: Id of the organization's resource group that new repositories are made in.
        contact: Where readers of the card report errors and harm; None leaves it as it is.
    """

    namespace: Annotated[
        str | None, Option("--to", "Hub user or organization; your own by default.", HelpPanel.PUBLISH, owner)
    ] = None
    repositories: Annotated[
        tuple[str, ...],
        Option(
            "--into",
            "The exact repository, org/name; spaces/org/name for the Space.",
            HelpPanel.PUBLISH,
            shows_default=False,
        ),
    ] = ()
    adopt: Annotated[bool, Option("--adopt", "Replace what this tool did not make there.", HelpPanel.PUBLISH)] = False
    private: Annotated[bool, Option("--private", "Leave the repositories private.", HelpPanel.PUBLISH)] = False
    gated: Annotated[
        Literal["auto", "manual"] | None,
        Option("--gated", "Readers must ask: auto, manual.", HelpPanel.PUBLISH, shows_default=False),
    ] = None
    pull_request: Annotated[bool, Option("--pr", "Only propose the files, as a pull request.", HelpPanel.PUBLISH)] = (
        False
    )
    revision: Annotated[str, Option("--revision", "Branch of the model repository.", HelpPanel.PUBLISH)] = "main"
    collection: Annotated[
        str | None, Option("--collection", "Title or slug to add it to.", HelpPanel.PUBLISH, shows_default=False)
    ] = None
    space: Annotated[bool, Option("--no-space", "Publish no demo Space.", HelpPanel.PUBLISH)] = True
    space_hardware: Annotated[
        str | None, Option("--space-hardware", "E.g. zero-a10g (ZeroGPU).", HelpPanel.PUBLISH, shows_default=False)
    ] = None
    space_timeout: Annotated[
        int | None,
        Option(
            "--space-timeout",
            "Seconds to wait for the Space; 1800 by default.",
            HelpPanel.PUBLISH,
            least=1,
            most=LONGEST_SPACE_TIMEOUT,
            shows_default=False,
        ),
    ] = None
    show_unasked: Annotated[
        bool, Option("--show-unasked", "Show it though the Space gave no answer.", HelpPanel.PUBLISH)
    ] = False
    weights: Annotated[
        WeightFiles,
        Option(
            "--weights",
            "Upload all, or none: the recipe alone, from which they are made again.",
            HelpPanel.PUBLISH,
        ),
    ] = "all"
    resource_group: Annotated[
        str | None,
        Option(
            "--resource-group",
            "Id of the organization's resource group for new repositories.",
            HelpPanel.PUBLISH,
            group_id,
            shows_default=False,
        ),
    ] = None

    contact: Annotated[
        str | None,
        Option(
            "--contact",
            "Web address for reports of errors and harm; the Community tab by default.",
            HelpPanel.PUBLISH,
            web_address,
            shows_default=False,
        ),
    ] = None

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build it from what was asked for.

        Raises:
            BadOption: A repository is none, or two options contradict each other.
        """
        asked = cls(**values)
        if asked.pull_request and asked.revision != "main":
            raise BadOption("--pr and --revision exclude each other.", "A pull request goes to main; leave one out.")
        for name in asked.repositories:
            if not REPO_ID.fullmatch(name.removeprefix(SPACES)):
                raise BadOption(
                    f"--into {quoted(name.removeprefix(SPACES))} is no repository.",
                    "Give org/name, or spaces/org/name for a Space.",
                )
        if max(len(asked._named(False)), len(asked._named(True))) > 1:
            raise BadOption(
                "--into names two models or two Spaces.",
                "Give org/name once, and spaces/org/name once for the Space.",
            )
        return asked

    def _named(self, space: bool) -> list[str]:
        return [name.removeprefix(SPACES) for name in self.repositories if name.startswith(SPACES) == space]

    @property
    def into(self) -> str | None:
        """The model repository's id; None for the release's own name."""
        return next(iter(self._named(False)), None)

    @property
    def space_into(self) -> str | None:
        """The Space's id; None for the model's."""
        return next(iter(self._named(True)), None)

    @property
    def proposes(self) -> bool:
        """Whether the files are only laid beside what is shown."""
        return self.pull_request or self.revision != "main"
