"""Who is logged in, and what they may do."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from huggingface_hub import get_token, hf_hub_url
from huggingface_hub.errors import HFValidationError

from release.errors import BadOption, NotLoggedIn
from release.frozen import Frozen
from release.hub.line import Line
from release.record import FILE_NAME as RECORD
from release.sources.contact import explained, first_contact

WAYS_OUT = "Log in with `hf auth login` (or set HF_TOKEN), or build without uploading: `--local`."


class Account(Frozen):
    """Who is logged in.

    Attributes:
        orgs: Organisations this account may write to.
        can_write: Whether the token allows to write at all.
        paid: Which of the account and its organisations have a paid plan.
    """

    name: str
    orgs: tuple[str, ...]
    can_write: bool
    paid: tuple[str, ...] = ()


def login(needed_for: str | None = None, line: Line | None = None) -> Account:
    """Ask the Hub whose token lies here.

    Args:
        needed_for: What the login is for, to say so in the message.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        HubUnreachable: Nobody answers within 15 seconds.
    """
    line = line or Line()
    token = line.api.token or get_token()
    if not isinstance(token, str):
        raise NotLoggedIn(f"You are not logged in to the Hub{_purpose(needed_for)}.", WAYS_OUT)
    if not re.fullmatch(r"[!-~]+", token):
        raise NotLoggedIn("The token holds characters that no token has.", WAYS_OUT)
    brief = replace(line, waits=line.waits[:2])
    with explained("your account"):
        facts = first_contact(lambda: brief.ask(brief.api.whoami))
    orgs = [org for org in facts.get("orgs", ()) if org.get("roleInOrg") != "read"]
    paid = [facts["name"]] if facts.get("isPro") else []
    paid += [org["name"] for org in orgs if org.get("isEnterprise") or org.get("plan")]
    names = tuple(org["name"] for org in orgs)
    return Account(name=str(facts["name"]), orgs=names, can_write=_may_write(facts), paid=tuple(paid))


def check_namespace(account: Account, namespace: str | None) -> str:
    """Return the namespace to upload to: the account's own by default.

    Raises:
        NotLoggedIn: The token may only read.
        BadOption: The namespace is somebody else's.
    """
    usable = (account.name, *account.orgs)
    if not account.can_write:
        raise NotLoggedIn(f"The token of {account.name} may only read.", f"Use one that may write. {WAYS_OUT}")
    if namespace is not None and namespace not in usable:
        raise BadOption(f"{account.name} may not write to {namespace!r}.", f"Use --to with {' or '.join(usable)}.")
    return namespace or account.name


def check_names(*repo_ids: str) -> None:
    """Check repository ids against the Hub's rules.

    Raises:
        BadOption: One breaks them.
    """
    for repo_id in repo_ids:
        try:
            hf_hub_url(repo_id, RECORD)
        except HFValidationError as error:
            raise BadOption(str(error), "Choose another name for the release.") from error
        if "/" not in repo_id:
            raise BadOption(f"{repo_id!r} lacks its namespace.", "Give owner/name.")


def _purpose(needed_for: str | None) -> str:
    return f", which {needed_for} needs" if needed_for else ""


def _may_write(facts: Mapping[str, Any]) -> bool:
    """Read a token's role; a fine-grained one may write where any of its scopes says so."""
    token = facts.get("auth", {}).get("accessToken", {})
    if token.get("role") != "fineGrained":
        return bool(token.get("role") != "read")
    return '"repo.write"' in json.dumps(token.get("fineGrained", {}))
