"""What the publisher states of a base that is a folder."""

from contextlib import suppress
from typing import Annotated

from release.errors import BadOption
from release.format import shown
from release.frozen import Frozen
from release.names import LICENCE, REPO_ID
from release.settings.option import HelpPanel, Option

LONGEST_NOTE = 500
"""Characters of a note on the base."""


def hub_id(text: str) -> str:
    """Read the id of a repository; the Hub's own client knows more of it than that there is a slash.

    Raises:
        BadOption: The Hub takes no such id.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    with suppress(HFValidationError):
        validate_repo_id(text)
        if REPO_ID.fullmatch(text):
            return text
    raise BadOption(f"--base-id {text!r} is no Hub id.", "Give it as ORG/NAME.")


def licence_id(text: str) -> str:
    """Read the id of a license.

    Raises:
        BadOption: The Hub takes no such id.
    """
    if LICENCE.fullmatch(text):
        return text
    raise BadOption(f"--license {text!r} is no license's id.", "Give the Hub's id, like apache-2.0 or mit.")


def sentence(text: str) -> str:
    """Read a sentence.

    Raises:
        BadOption: It is empty, too long, or not printable.
    """
    if text.strip() and text == shown(text, LONGEST_NOTE):
        return text
    raise BadOption("--base-note is not understood.", f"Give one line of at most {LONGEST_NOTE} printable characters.")


class Identity(Frozen):
    """What the publisher states of a base; None where nothing is stated."""

    id: Annotated[
        str | None,
        Option(
            "--base-id", "Hub id org/name of a base that is a folder.", HelpPanel.PUBLISH, hub_id, shows_default=False
        ),
    ] = None
    licence: Annotated[
        str | None,
        Option(
            "--license",
            "License of such a base, by the Hub's id, e.g. apache-2.0.",
            HelpPanel.PUBLISH,
            licence_id,
            shows_default=False,
        ),
    ] = None
    note: Annotated[
        str | None,
        Option(
            "--base-note",
            "A sentence on such a base that readers must know.",
            HelpPanel.PUBLISH,
            sentence,
            shows_default=False,
        ),
    ] = None
