"""Who is logged in, and what they may do."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from huggingface_hub import get_token, hf_hub_url
from huggingface_hub.errors import HFValidationError

from release.errors import BadOption, NotLoggedIn
from release.frozen import Frozen
from release.hub.client import HubClient
from release.names import RECORD
from release.sources.contact import explained, first_contact

WRITE = "repo.write"
"""What a fine-grained token's right to write to repositories is called."""
RIGHT_GIVEN = "Give it the right to write there in the Hub's settings (Access Tokens), or choose another `--to`."
WAYS_OUT = "Log in with `hf auth login` (or set HF_TOKEN), or build without uploading: `--local`."


class Account(Frozen):
    """Who is logged in.

    Attributes:
        orgs: Organisations this account may write to.
        can_write: Whether the token allows to write at all.
        paid: Which of the account and its organisations have a paid plan.
        writes: Users, organisations and repositories that a fine-grained token may write to; None for a token that is
            not bound to some, or does not say to which.
    """

    name: str
    orgs: tuple[str, ...]
    can_write: bool
    paid: tuple[str, ...] = ()
    writes: tuple[str, ...] | None = None


def login(needed_for: str | None = None, client: HubClient | None = None) -> Account:
    """Ask the Hub whose token lies here.

    Args:
        needed_for: What the login is for, to say so in the message.

    Raises:
        NotLoggedIn: There is no token, or the Hub refuses it.
        HubUnreachable: Nobody answers within 15 seconds.
    """
    client = client or HubClient()
    token = client.api.token or get_token()
    if not isinstance(token, str):
        raise NotLoggedIn(f"You are not logged in to the Hub{_purpose(needed_for)}.", WAYS_OUT)
    if not re.fullmatch(r"[!-~]+", token):
        raise NotLoggedIn("The token holds characters that no token has.", WAYS_OUT)
    brief = replace(client, waits=client.waits[:2])
    with explained("your account"):
        facts = first_contact(lambda: brief.ask(brief.api.whoami))
    orgs = [org for org in facts.get("orgs", ()) if org.get("roleInOrg") != "read"]
    paid = [facts["name"]] if facts.get("isPro") else []
    paid += [org["name"] for org in orgs if org.get("isEnterprise") or org.get("plan")]
    names = tuple(org["name"] for org in orgs)
    return Account(
        name=str(facts["name"]),
        orgs=names,
        can_write=_may_write(facts),
        paid=tuple(paid),
        writes=_written_to(facts),
    )


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


def rights(account: Account, repo_ids: Sequence[str]) -> str | None:
    """Say which of these repositories a fine-grained token may not write to; None where it may, or does not say."""
    if account.writes is None:
        return None
    lacking = [repo_id for repo_id in repo_ids if not {repo_id, repo_id.split("/")[0]} & {*account.writes}]
    if not lacking:
        return None
    named = ", ".join(account.writes) or "nothing"
    return f"fine-grained: it may write to {named}, and not to {lacking[0]}. {RIGHT_GIVEN}"


def require_rights(account: Account, repo_ids: Sequence[str]) -> None:
    """Refuse, before any work, to write where the token has no right to.

    Raises:
        NotLoggedIn: Names what it may write to.
    """
    if lacks := rights(account, repo_ids):
        raise NotLoggedIn(f"The token of {account.name} is {lacks}", WAYS_OUT)


def check_names(*repo_ids: str) -> None:
    """Check repository ids against the Hub's rules.

    Raises:
        BadOption: One breaks them.
    """
    for repo_id in repo_ids:
        try:
            hf_hub_url(repo_id, RECORD)
        except HFValidationError as error:
            raise BadOption(str(error), "Give another name.") from error
        if "/" not in repo_id:
            raise BadOption(f"{repo_id!r} lacks its namespace.", "Give owner/name.")


def _purpose(needed_for: str | None) -> str:
    return f", which {needed_for} needs" if needed_for else ""


def _may_write(facts: Mapping[str, Any]) -> bool:
    """Read a token's role; a fine-grained one may write where any of its scopes says so."""
    token = facts.get("auth", {}).get("accessToken", {})
    if token.get("role") != "fineGrained":
        return bool(token.get("role") != "read")
    return f'"{WRITE}"' in json.dumps(token.get("fineGrained", {}))


def _written_to(facts: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return whom and what a fine-grained token may write to; None where it is another token, or names nobody."""
    token = facts.get("auth", {}).get("accessToken", {})
    granted = token.get("fineGrained", {}) if token.get("role") == "fineGrained" else {}
    if "scoped" not in granted or WRITE in granted.get("global", ()):
        return None
    entities = [scope.get("entity", {}) for scope in granted["scoped"] if WRITE in scope.get("permissions", ())]
    found = [entity.get("name") for entity in entities]
    return tuple(map(str, found)) if all(found) else None
