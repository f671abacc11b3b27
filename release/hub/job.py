"""The Job by which a repository is verified at every push: what it runs, on what, and how it comes by `release`.

A Job knows nothing of this machine, so it installs `release` from where this installation came: an address, or an
index under this version. A folder it could not reach.
"""

import json
import os
import re
from collections.abc import Mapping
from importlib import metadata
from urllib.parse import urlsplit

from huggingface_hub import get_token

from release import __version__
from release.errors import BadOption, NotLoggedIn
from release.extras import DISTRIBUTION
from release.format import quoted
from release.frozen import Frozen
from release.hub.account import WAYS_OUT
from release.hub.client import HubClient

IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
"""The image in which the Hub's client runs scripts by default: Debian, Python and uv."""
WATCHES = "RELEASE_WATCHES"
"""The variable of the Job that names the repository; by it a webhook is known again."""
SECRET = "HF_TOKEN"  # noqa: S105 - a name
VARIABLES: Mapping[str, str] = {"UV_TORCH_BACKEND": "cpu"}
"""Without it, uv may fetch gigabytes for GPUs that such a Job has not."""
COMMAND = "release"
WITH_TORCH = f"{DISTRIBUTION}[torch]"
"""Without it, no measured number is computed again."""
HOURS = 2
"""How long a Job may take; the Hub ends others after half an hour."""
FROM_A_FOLDER = "Give --package with what pip would install `release` from, as in 'prunecard[torch] @ git+https://example.org/prunecard'."


class HubJob(Frozen):
    """What a Job is asked to do; it holds no secret.

    Attributes:
        variables: Its environment.
        secrets: The names of its secrets.
    """

    image: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    secrets: tuple[str, ...]
    flavor: str
    hours: int


def job_for(repo_id: str, package: str, flavor: str) -> HubJob:
    """Say what verifies a repository at every push."""
    return HubJob(
        image=IMAGE,
        command=("uvx", "--from", package, COMMAND, "watch", "--once", repo_id),
        variables={**VARIABLES, WATCHES: repo_id},
        secrets=(SECRET,),
        flavor=flavor,
        hours=HOURS,
    )


def package_of(asked: str | None) -> str:
    """Return what a Job installs `release` from: what was asked for, or where this installation came from.

    Raises:
        BadOption: It came from a folder, or what was asked for holds a password, which a Job's command would show.
    """
    package = asked if asked is not None else installed_from()
    if package is None:
        raise BadOption("This `release` was installed from a folder, which a Job cannot reach.", FROM_A_FOLDER)
    if not re.fullmatch(r"[!-~]+( ?[!-~]+)*", package) or package.startswith("-"):
        raise BadOption(f"--package {quoted(package)} is nothing that pip installs.", FROM_A_FOLDER)
    if "@" in urlsplit(package.split("git+")[-1].split(" @ ")[-1]).netloc:
        raise BadOption(
            "The address in --package holds a name or a password, and everyone who sees the Job would see it.",
            "Give an address that needs none.",
        )
    return package


def installed_from() -> str | None:
    """Say where this installation came from, as pip wrote it down; None for a folder.

    https://packaging.python.org/en/latest/specifications/direct-url/
    """
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        came: Mapping[str, object] = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, ValueError):
        return None
    if not came:
        return f"{WITH_TORCH}=={__version__}"
    url, version = str(came.get("url")), came.get("vcs_info")
    if not url.startswith(("https://", "http://")):
        return None
    where = f"{version['vcs']}+{url}@{version['commit_id']}" if isinstance(version, dict) else url
    return f"{WITH_TORCH} @ {where}"


def secret_of(client: HubClient, variable: str | None) -> str:
    """Return the token that the Job gets: of a variable of this environment, or the one that is logged in.

    Raises:
        BadOption: The variable is not set.
        NotLoggedIn: There is no token.
    """
    token = os.environ.get(variable) if variable else client.api.token or get_token()
    if isinstance(token, str) and re.fullmatch(r"[!-~]+", token):
        return token
    if variable:
        remedy = "Set it to a token that may read the repository and take part in its discussions."
        raise BadOption(f"--token-from names {quoted(variable)}, which holds no token.", remedy)
    raise NotLoggedIn("There is no token for the Job.", WAYS_OUT)
