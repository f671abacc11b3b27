"""Who vouches for a release: a signature over the digests of all its files, by a key file or by an identity.

The package `model-signing` makes it and reads it; it is an extra, and is imported only where a key or an identity is
given. Key files need no network; for identities see `release.verification.keyless`.
"""

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from release.checkpoint.files import Files, Folder, content, digest, is_hidden
from release.contents import is_of_the_way
from release.digests import FileDigest
from release.errors import BadOption, MissingSource
from release.extras import install
from release.files import replacing
from release.format import one_line
from release.names import SIGNATURE, problem_of
from release.progress import Console
from release.schema.record import Check, Signed
from release.verification import keyless
from release.verification.keyless import SignerIdentity

NAME = "signature"
AS_RECORDED = "signer on record"
SERIALISATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE]}
"""How the package describes a list of whole files and their SHA-256."""
Who = Path | SignerIdentity
"""Whose signature it has to be: that of a public key's file, or of an identity."""
ASK = "give the signer's key with --key PUBLIC, or who signed with --identity WHO --identity-provider URL"
REMEDY = "Give the PEM file of an elliptic key on P-256, P-384 or P-521, without a password."


@dataclass(frozen=True)
class Signer:
    """Signs folders, with one private key or as one identity.

    Attributes:
        signing: The package's own means, with the key loaded; None for an identity.
        public: The key that checks what it signs, as PEM; None for an identity.
        identity: What signs as an identity; None for a key.
    """

    signing: Any
    public: bytes | None
    identity: keyless.Signing | None = None

    def signed_as(self, console: Console) -> Signed | None:
        """Whom the record and the card are to name; None for a key, and where only the certificate tells.

        Raises:
            BadOption: The identity token is not valid any more.
            HubFailed: Sigstore cannot be reached.
        """
        if self.identity is None:
            return None
        if (who := self.identity.identity()) is None:
            console.say("Who signs is known from the certificate only: the card does not name them.")
            return None
        return Signed(name=who.name, provider=who.provider)

    def seal(self, model: Path, console: Console, known: Sequence[FileDigest] = ()) -> None:
        """Write the signature of a model folder's files; one by the same key that holds already stays, byte for byte.

        Args:
            known: Digests that were taken already.

        Raises:
            HubFailed: Sigstore did not sign.
        """
        digests = signed_files(Folder(model), known)
        path = model / SIGNATURE
        if path.is_file() and self._holds(path.read_bytes(), digests):
            return
        config = self.identity.config if self.identity else self.signing
        troubles = keyless.Reached("--sign sigstore") if self.identity else nullcontext()
        with troubles, redirect_stdout(sys.stderr), replacing(path) as temporary:
            config.set_hashing_config(_Known(digests)).sign(model, temporary)
        console.say(f"Signed {len(digests)} files: {SIGNATURE}.")

    def _holds(self, signature: bytes, digests: Sequence[FileDigest]) -> bool:
        if self.public is None:
            return False
        with TemporaryDirectory() as scratch:
            public = Path(scratch, "public.pem")
            public.write_bytes(self.public)
            return check(signature, digests, public).ok is True


def signer(key: Path) -> Signer:
    """Load a private key, or get ready to sign as an identity where it is the word `sigstore`, before any work is done.

    Raises:
        BadOption: The file holds no such key, or there is no identity.
        HubFailed: Sigstore cannot be reached.
        MissingSource: The package is not installed.
    """
    with _understood("--sign", key):
        from cryptography.hazmat.primitives import serialization as pem
        from model_signing import signing

        if str(key) == keyless.WORD:
            return Signer(None, None, keyless.Signing())
        config = signing.Config().use_elliptic_key_signer(private_key=key)
        public = pem.load_pem_private_key(key.read_bytes(), None).public_key()
    return Signer(config, public.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))


def settle(model: Path, signer: Signer | None, console: Console, known: Sequence[FileDigest] = ()) -> None:
    """Sign a model folder whose other files are all there.

    Without a signer, a signature that was made for these very files stays; one for others is removed, for it would
    only be found broken by whoever checks it.

    Args:
        known: Digests that were taken already.
    """
    path = model / SIGNATURE
    if signer is not None:
        signer.seal(model, console, known)
    elif path.is_file() and not _lists(path.read_bytes(), signed_files(Folder(model), known)):
        path.unlink()
        console.say(f"{SIGNATURE} was made for other files and is removed; sign again with --sign KEY.")


def verification(files: Files, known: Sequence[FileDigest], who: Who | None) -> Iterator[Check]:
    """Say what a model's signature is worth: nothing where there is neither a signature nor anybody to look for.

    Args:
        known: Digests that were taken already.
        who: Whose it has to be.
    """
    if SIGNATURE not in files.sizes:
        if who is not None:
            yield Check(name=NAME, ok=False, detail=f"there is no {SIGNATURE}")
    elif who is None:
        yield Check(name=NAME, ok=None, detail=f"signed, not checked: {ASK}")
    elif uncovered := [name for name in sorted(files.sizes) if not _is_covered(name) and not is_of_the_way(name)]:
        detail = f"no signature covers hidden files: {one_line(', '.join(uncovered[:3]))[:200]}"
        yield Check(name=NAME, ok=False, detail=detail)
    else:
        yield check(content(files, SIGNATURE), signed_files(files, known), who)


def as_recorded(files: Files, said: Signed | None, who: Who | None) -> Iterator[Check]:
    """Hold what a record says of its signer against the signature and whom it has to be of; nothing where it is silent.

    Args:
        said: Whom the record names.
        who: Whose signature it has to be.
    """
    if said is None:
        return
    named = f"the record says that {one_line(said.name)} signed it, vouched for by {one_line(said.provider)}"
    if SIGNATURE not in files.sizes:
        yield Check(name=AS_RECORDED, ok=False, detail=f"{named}, and there is no {SIGNATURE}")
    elif who is None:
        yield Check(name=AS_RECORDED, ok=None, detail=f"{named}; not checked: {ASK}")
    else:
        same = isinstance(who, SignerIdentity) and (who.name, who.provider) == (said.name, said.provider)
        yield Check(name=AS_RECORDED, ok=same, detail=named if same else f"{named}, which is not whom to look for")


def signed_files(files: Files, known: Sequence[FileDigest] = ()) -> tuple[FileDigest, ...]:
    """Digest every file that is published, but the signature itself; hidden ones are not, and may not be there."""
    taken = {file.name: file for file in known}
    names = [name for name in sorted(files.sizes) if name != SIGNATURE and _is_covered(name)]
    return tuple(taken.get(name) or digest(files, name) for name in names)


def _is_covered(name: str) -> bool:
    return not is_hidden(name) and problem_of(name) is None


def check(signature: bytes, digests: Sequence[FileDigest], who: Who) -> Check:
    """Check a signature: made by whom it has to be, and over these very files.

    Raises:
        BadOption: The file holds no public key.
        HubFailed: The certificates that Sigstore trusts cannot be had.
        MissingSource: The package is not installed.
    """
    with _understood("--key", who):
        from cryptography.exceptions import InvalidSignature
        from model_signing import verifying

        config = verifying.Config()
        config = config.use_elliptic_key_verifier(public_key=who) if isinstance(who, Path) else who.verifier()
    whose, by = ("this key's", "with this key") if isinstance(who, Path) else ("this identity's", f"by {who}")
    with TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):  # the package prints its warnings
        path = Path(scratch, SIGNATURE)
        path.write_bytes(signature)
        try:
            config.set_hashing_config(_Known(digests)).verify(scratch, path)
        except (InvalidSignature, *keyless.refusals()):
            return Check(name=NAME, ok=False, detail=f"the signature is not {whose}, or was altered")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            return Check(name=NAME, ok=False, detail=one_line(str(error))[:500])
    return Check(name=NAME, ok=True, detail=f"{len(digests)} files, signed {by}")


class _Known:
    """Stands where the package would read the model once more: the digests of its files are known."""

    def __init__(self, digests: Sequence[FileDigest]) -> None:
        self._digests = digests

    def hash(self, model: Path, **_: object) -> Any:
        """Put the digests into the package's own form."""
        from model_signing import manifest
        from model_signing._hashing.hashing import Digest

        kind = manifest.SerializationType.from_args(SERIALISATION)
        items = [kind.new_item(file.name, Digest("sha256", bytes.fromhex(file.sha256))) for file in self._digests]
        return manifest.Manifest(Path(model).name, items, kind)

    def add_ignored_paths(self, **_: object) -> None:
        """Take no notice: which files count is settled."""


def _lists(signature: bytes, digests: Sequence[FileDigest]) -> bool:
    """Whether a signature speaks of these files, whoever made it."""
    try:
        payload = json.loads(base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"]))
        listed = {(item["name"], item["digest"]) for item in payload["predicate"]["resources"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return listed == {(file.name, file.sha256) for file in digests}


@contextmanager
def _understood(option: str, key: Who) -> Iterator[None]:
    """Say what is wrong with a key file, without quoting it."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm

        yield
    except ImportError:
        seen = f"{option} needs the package model-signing, which is not installed."
        raise MissingSource(seen, f"Install it with `{install('signing')}`.") from None
    except OSError as error:
        raise BadOption(f"{option} {key} cannot be read ({error.strerror}).", REMEDY) from None
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise BadOption(f"{option} {key} holds no key that is understood ({type(error).__name__}).", REMEDY) from None
