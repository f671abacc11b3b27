"""Signatures without a key of one's own: a short-lived certificate of Sigstore's says who signed, a log keeps it.

Making one asks Sigstore over the network; so does checking one, for the certificates that are trusted, unless
`RELEASE_TRUST_CONFIG` names a file that holds them (Sigstore's client trust configuration, as private instances hand
it out). The identity token is read from `SIGSTORE_IDENTITY_TOKEN` or asked of the system that the command runs on, as
continuous integration offers it; else a person logs in with a browser. It goes to Sigstore and nowhere else: no message
quotes it, and no process is given it.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from release.errors import BadOption, HubFailed
from release.format import one_line
from release.schema.record import LONGEST_NAME

WORD = "sigstore"
"""What --sign is given for a signature without a key; a key file of that name is `./sigstore`."""
TOKEN = "SIGSTORE_IDENTITY_TOKEN"  # noqa: S105 - the variable's name
TRUST = "RELEASE_TRUST_CONFIG"
LONGEST = LONGEST_NAME
"""Characters of an identity or of its provider's address, at most."""
GITHUB = "https://token.actions.githubusercontent.com"
"""Whose tokens are a workflow's; its certificate does not name their subject, but the workflow's file."""
REMEDY = f"Give a valid token in {TOKEN}, run where one is offered (continuous integration), or at a terminal."


@dataclass(frozen=True)
class SignerIdentity:
    """Who signed, and who says so.

    Attributes:
        name: An e-mail address, or the address of a workflow.
        provider: The address of the OpenID Connect provider that vouches for it.
    """

    name: str
    provider: str

    def __str__(self) -> str:
        """Both, on one line."""
        return f"{one_line(self.name)} (by {one_line(self.provider)})"

    def verifier(self) -> Any:
        """The package's own means to check a signature of this identity.

        Raises:
            HubFailed: Sigstore's trusted certificates cannot be had.
        """
        from model_signing import verifying

        with Reached("--identity"):
            return verifying.Config().use_sigstore_verifier(
                identity=self.name, oidc_issuer=self.provider, trust_config=_trust()
            )


def whose(key: Path | None, name: str | None, provider: str | None) -> Path | SignerIdentity | None:
    """Read --key, --identity and --identity-provider: whose signature it has to be; None where nobody is named.

    Raises:
        BadOption: A half of an identity is given, or both a key and an identity.
    """
    if name is None and provider is None:
        return key
    if not name or not provider:
        seen = "--identity and --identity-provider belong together."
        raise BadOption(seen, "Give both: who signed, and the address of who says so.")
    if key is not None:
        raise BadOption("--key and --identity exclude each other.", "Give the one that the release was signed with.")
    if max(len(name), len(provider)) > LONGEST:
        raise BadOption(f"--identity or --identity-provider has more than {LONGEST} characters.", "Give an address.")
    return SignerIdentity(name, provider)


class Signing:
    """Signs as whoever an identity token speaks of.

    The token is asked for once, so that the card names who signs, and late, for it holds for minutes only. That there
    is an identity, and that Sigstore answers, is settled before any work is done.

    Raises:
        BadOption: There is no identity to sign with.
        HubFailed: Sigstore cannot be reached.
    """

    def __init__(self) -> None:
        self._token = os.environ.get(TOKEN)
        with Reached("--sign sigstore"):
            _require_identity(self._token)
            self.config = _config(self._token)

    def identity(self) -> SignerIdentity | None:
        """Who will have signed; None where only the certificate tells, as after a login in a browser.

        Raises:
            BadOption: The token is not valid any more.
            HubFailed: Sigstore cannot be reached.
        """
        from sigstore import oidc

        with Reached("--sign sigstore"):
            if self._token is None and (found := oidc.detect_credential()):
                self._token, self.config = found, _config(found)
            return _named(oidc.IdentityToken(self._token), self._token) if self._token else None


def _config(token: str | None) -> Any:
    """The package's own means to sign."""
    from model_signing import signing

    return signing.Config().use_sigstore_signer(
        identity_token=token, use_ambient_credentials=True, trust_config=_trust()
    )


def _named(token: Any, raw: str) -> SignerIdentity | None:
    """Whom a certificate for this token names: its e-mail address, or a workflow of GitHub's by its own address.

    What certificates name for tokens of other kinds, their issuers decide.
    """
    import jwt

    name = str(token.identity)
    if token.issuer == GITHUB:
        name = f"https://github.com/{jwt.decode(raw, options={'verify_signature': False}).get('job_workflow_ref', '')}"
    elif "@" not in name:
        return None
    provider = str(token.federated_issuer)
    fits = all(0 < len(each) <= LONGEST and each.isprintable() for each in (name, provider))
    return SignerIdentity(name, provider) if fits else None


def _require_identity(token: str | None) -> None:
    from sigstore import oidc

    if token is not None:
        oidc.IdentityToken(token)
    elif oidc.detect_credential() is None and not sys.stdin.isatty():
        raise BadOption("--sign sigstore has no identity to sign with.", REMEDY)


def _trust() -> Path | None:
    """The file with the certificates to trust; None for Sigstore's public ones.

    Raises:
        BadOption: It holds none.
    """
    from sigstore.models import ClientTrustConfig

    if not (chosen := os.environ.get(TRUST)):
        return None
    try:
        ClientTrustConfig.from_json(Path(chosen).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        seen = f"{TRUST} names no trust configuration that can be read ({type(error).__name__})."
        raise BadOption(seen, "Give the JSON file of a Sigstore instance, or unset it for the public one.") from None
    return Path(chosen)


def refusals() -> tuple[type[Exception], ...]:
    """What the package raises for a signature that does not hold."""
    from sigstore.errors import VerificationError
    from sigstore.models import InvalidBundle

    return VerificationError, InvalidBundle


class Reached:
    """A context that says in one line what went wrong with Sigstore; nothing of what was sent is in it.

    Leaving it raises BadOption where the token or the trust configuration is not valid, and HubFailed where Sigstore
    cannot be reached, or did not do its part.

    Args:
        option: The option that asked for it.
    """

    def __init__(self, option: str) -> None:
        self._option = option

    def __enter__(self) -> None:
        """Nothing is to be done yet."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Raise what it means for the user."""
        if error is not None and (told := _told(self._option, error)) is not error:
            raise told from None


def _told(option: str, error: BaseException) -> BaseException:
    """The error to raise in the place of one that Sigstore's client raised; any other stays what it is.

    The client has a dozen classes for its troubles, most of them private and without a common base.
    """
    from requests import RequestException
    from sigstore.oidc import ExpiredIdentity, IdentityError

    if isinstance(error, (IdentityError, ExpiredIdentity)):
        return BadOption(f"{option}: the identity token is not valid, or no longer.", REMEDY)
    if isinstance(error, RequestException) or type(error).__module__.startswith(("sigstore", "tuf")):
        seen = f"{option}: Sigstore cannot be reached, or did not do its part ({type(error).__name__})."
        return HubFailed(seen, f"Try again later, use a key file instead, or name a trust configuration in {TRUST}.")
    return error
