"""What the Hub's answers look like, held against every answer before the client reads it.

A network that asks for a login first, a proxy or a mirror may answer in the Hub's place, and mostly with 200. The
client takes some of that for an answer: a page of HTML for a setting that was made, `{}` for an empty repository.
"""

import json
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NamedTuple

import httpx2
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import hf_raise_for_status
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from release.format import shown

CLIENT = "huggingface_hub"
MISREADINGS = (LookupError, TypeError, AttributeError, ValueError)
"""What the client raises over an answer that it did not expect."""
READ = ("GET", "HEAD")
CARD = "/api/validate-yaml"
CREATE = "/api/repos/create"
CONFLICT = "another conflicting operation is in progress"
PAGE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype html|html|head|body)\b", re.IGNORECASE)

Sha = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
"""A commit."""


class Busy(Exception):
    """The Hub is at work on another repository of this account; by itself the client would ask again without end."""


class SenselessAnswer(ValueError):
    """An answer that the Hub does not give; its words say which request it was, and what came."""


class _Shape(BaseModel):
    """Part of an answer: what the client and this package read of it, and nothing else."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, alias_generator=to_camel)


class _Org(_Shape):
    name: str


class _Auth(_Shape):
    access_token: dict[str, Any] = {}


class _Who(_Shape):
    name: str
    orgs: list[_Org] = []
    auth: _Auth = _Auth()


class _Made(_Shape):
    url: str


class _Remarks(_Shape):
    errors: list[dict[str, Any]] = []
    warnings: list[dict[str, Any]] = []


class _Upload(_Shape):
    path: str
    upload_mode: Literal["lfs", "regular"]
    should_ignore: bool


class _Uploads(_Shape):
    files: list[_Upload]


class _Committed(_Shape):
    commit_oid: Sha
    commit_url: str


class _Batch(_Shape):
    objects: list[dict[str, Any]]


class _Large(_Shape):
    oid: str
    size: int
    pointer_size: int


class _File(_Shape):
    type: Literal["file", "directory"]
    path: str
    oid: str
    size: int = 0
    lfs: _Large | None = None


class _Ref(_Shape):
    name: str
    ref: str
    target_commit: Sha


class _Refs(_Shape):
    branches: list[_Ref]
    tags: list[_Ref]
    converts: list[_Ref]


class _Author(_Shape):
    user: str


class _Commit(_Shape):
    id: str
    title: str
    message: str
    date: str
    authors: list[_Author]


class _Discussion(_Shape):
    num: int
    title: str
    status: str
    created_at: str
    is_pull_request: bool


class _Discussions(_Shape):
    count: int
    start: int
    discussions: list[_Discussion]


class _Hardware(_Shape):
    current: str | None = None
    requested: str | None = None


class _Runtime(_Shape):
    stage: str
    hardware: _Hardware | None = None


class _Item(_Shape):
    id: str
    type: str


class _Collection(_Shape):
    slug: str
    title: str
    owner: dict[str, Any]
    items: list[_Item]


class _Sibling(_Shape):
    rfilename: str
    size: int | None = None


class _Info(_Shape):
    id: str
    sha: Sha
    private: bool
    gated: bool | str = False
    siblings: list[_Sibling] = []
    host: str | None = None


class AnswerShape(NamedTuple):
    """A kind of request, and what its answer holds; None where nothing of it is read."""

    method: str
    path: re.Pattern[str]
    holds: TypeAdapter[Any] | None


def _row(method: str, path: str, holds: Any = None) -> AnswerShape:
    return AnswerShape(method, re.compile(f"{path}$"), TypeAdapter(holds) if holds else None)


REPO = r"/api/(?:models|datasets|spaces)/[^/]+(?:/[^/]+)?"
COLLECTION = r"/api/collections/[^/]+/[^/]+"

ROWS = (
    _row("GET", "/api/whoami-v2", _Who),
    _row("POST", CREATE, _Made),
    _row("POST", CARD, _Remarks),
    _row("POST", f"{REPO}/preupload/[^/]+", _Uploads),
    _row("POST", f"{REPO}/commit/[^/]+", _Committed),
    _row("POST", r"\.git/info/lfs/objects/batch", _Batch),
    _row("POST", r"\.git/info/lfs/verify"),
    _row("GET", f"{REPO}/tree/.+", list[_File]),
    _row("GET", f"{REPO}/refs", _Refs),
    _row("GET", f"{REPO}/commits/[^/]+", list[_Commit]),
    _row("GET", f"{REPO}/discussions", _Discussions),
    _row("PUT", f"{REPO}/settings"),
    _row("POST", f"{REPO}/(?:tag|branch)/[^/]+"),
    _row("GET", f"{REPO}/runtime", _Runtime),
    _row("POST", f"{REPO}/(?:hardware|restart)", _Runtime),
    _row("GET", f"{REPO}/secrets", dict[str, dict[str, Any]]),
    _row("POST", "/api/collections", _Collection),
    _row("GET", COLLECTION, _Collection),
    _row("POST", f"{COLLECTION}/items", _Collection),
    _row("GET", f"{REPO}/revision/[^/]+", _Info),
    _row("GET", REPO, _Info),
)
"""Every request of a push, and those that ask what a repository is; downloads are proven by their digests."""


def look(response: httpx2.Response) -> None:
    """Look at one answer; the client's session calls this for every one.

    Raises:
        SenselessAnswer: It is none of the Hub's.
        HfHubHTTPError: The Hub has no time to look at a README; the client would look for remarks in that answer.
        Busy: It has none to make a repository.
    """
    request = response.request
    row = next((row for row in ROWS if row.method == request.method and row.path.search(request.url.path)), None)
    if response.has_redirect_location:
        _require_same_request(response, row)
    elif response.is_success and (row or request.method not in READ):
        _require(response, row.holds if row else None)
    elif response.is_error:
        _require_time(response)


def _require_time(response: httpx2.Response) -> None:
    """Raise what the client does not: over a README it would look for remarks in any answer, and repeat a conflict."""
    path, status = response.request.url.path, response.status_code
    if path.endswith(CARD) and status != httpx2.codes.BAD_REQUEST:
        response.read()
        hf_raise_for_status(response)
    if path.endswith(CREATE) and status == httpx2.codes.CONFLICT and CONFLICT.encode() in response.read():
        raise Busy


def _require_same_request(response: httpx2.Response, row: AnswerShape | None) -> None:
    """Require that a redirect leads to the same request elsewhere, as that of a renamed repository does."""
    target = response.request.url.join(response.headers["Location"])
    if row and not row.path.search(target.path):
        raise _senseless(response, f"by a redirect to {target.host}{target.path}")


def _require(response: httpx2.Response, holds: TypeAdapter[Any] | None) -> None:
    """Require that an answer holds what it should; where nothing of it is read, that it is no page."""
    content = response.read()
    is_page = PAGE.match(content) is not None
    if holds is None:
        if is_page:
            raise _senseless(response, "with a page of HTML")
        return
    try:
        holds.validate_python(json.loads(content))
    except ValidationError as error:
        raise _senseless(response, f"with JSON {_lacking(error)}") from None
    except (ValueError, RecursionError):
        what = "a page of HTML" if is_page else "what is no JSON" if content else "nothing"
        raise _senseless(response, f"with {what}") from None


def _lacking(error: ValidationError) -> str:
    """Say what is wrong with the first part of an answer that is wrong."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"that lacks `{place}`"
    return f"whose `{place}` is of another kind" if place else "of another kind"


def _senseless(response: httpx2.Response, what: str) -> SenselessAnswer:
    request = response.request
    return SenselessAnswer(shown(f"{request.method} {request.url.path} was answered {what}"))


@contextmanager
def understood() -> Iterator[None]:
    """Raise `SenselessAnswer` for what the client itself stumbles over in an answer.

    What it means to raise is left, and so are this package's own faults: only what the client raised counts.
    """
    try:
        yield
    except MISREADINGS as error:
        if _is_meant(error) or not _in_the_client(error):
            raise
        raise SenselessAnswer(f"the client cannot read an answer: {type(error).__name__}") from error


def _is_meant(error: Exception) -> bool:
    """Whether the client says something by it; two of its ValueErrors hold what the Hub says of a README or a file."""
    if isinstance(error, SenselessAnswer | OSError | httpx2.HTTPError | HFValidationError):
        return True
    return isinstance(error, ValueError) and str(error).startswith(("Invalid metadata in README.md", "LFS batch API"))


def _in_the_client(error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith(CLIENT) for frame, _ in frames)
