"""How a repository on the Hub is watched."""

from typing import Annotated

from release.frozen import Frozen
from release.settings.option import Option


class WatchOptions(Frozen):
    """What is done with the repositories, and what a Job runs on and installs.

    Attributes:
        stop: Take away what watches them.
        once: Verify and report here and now; what the Job runs.
        package: What pip installs `release` from in a Job; None for where this one is from.
        token_from: The variable that holds the Job's token; None for the one that is logged in.
    """

    stop: Annotated[bool, Option("--stop", "Take away what watches them.")] = False
    once: Annotated[bool, Option("--once", "Verify and report here and now; what the Job runs.")] = False
    package: Annotated[
        str | None,
        Option("--package", "What pip installs `release` from in a Job.", shows_default="where this one is from"),
    ] = None
    flavor: Annotated[str, Option("--flavor", "What the Job runs on.")] = "cpu-basic"
    token_from: Annotated[
        str | None,
        Option("--token-from", "The variable that holds the Job's token.", shows_default="yours", metavar="VARIABLE"),
    ] = None
