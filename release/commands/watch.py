"""`release watch`: repositories on the Hub that are verified at every push."""

from collections.abc import Sequence

from release.hub import HubClient, check_names, job
from release.hub import watch as webhooks
from release.hub.watch import Watched
from release.settings.watching import WatchOptions
from release.verification.standing import check_all as check_now

stop = webhooks.stop

__all__ = ["check_now", "stop", "watched"]


def watched(repositories: Sequence[str], asked: WatchOptions, *, dry_run: bool) -> list[Watched]:
    """Have repositories verified at every push, or say what would be made.

    Raises:
        BadOption: A name is none of a repository, a Job could not come by `release`, or the variable holds no token.
        NotLoggedIn: There is no token.
    """
    check_names(*repositories)
    client = HubClient()
    source, token = job.package_of(asked.package), job.secret_of(client, asked.token_from)
    if dry_run:
        return webhooks.survey(repositories, source, asked.flavor)
    return webhooks.watch(repositories, source, asked.flavor, token, anew=asked.token_from is not None)
