"""What the Hub's refusals mean, and the way out of each: by its words first, then by its status.

A status says little: 403 is a token that may not write, a store that is full, a rule of an organisation, an address
that has expired. The Hub's words tell them apart, so they are looked for in this order.
"""

import re
from typing import NamedTuple

ANY = re.compile("")
WAYS_TO_A_SPACE = (
    "Three ways out: `--space-hardware zero-a10g`, which asks for ZeroGPU and is open to free accounts in good "
    "standing (two Spaces each); a paid plan; or `--no-space`, which publishes the model alone."
)


class HubRefusal(NamedTuple):
    """A refusal that is known by its status, its words, and what was asked for.

    Attributes:
        statuses: Of the answer; none means any.
        words: A pattern that the Hub's words hold.
        request: A pattern that the method and the path hold.
        said: What it means; braces are filled with `kind`, `id`, `owner`, `page` and `status`.
        remedy: The way out.
    """

    statuses: tuple[int, ...]
    words: re.Pattern[str]
    request: re.Pattern[str]
    said: str
    remedy: str


def find(status: int, words: str, request: str) -> HubRefusal:
    """Return what a refusal means.

    Args:
        words: What the Hub says; "" for nothing.
        request: Method and path; "" where they are not known.
    """
    return by_words(status, words, request) or next(row for row in BY_STATUS if status in (row.statuses or [status]))


def by_words(status: int, words: str, request: str) -> HubRefusal | None:
    """Return what a refusal means by its words or its request alone; None where those say nothing."""
    fits = (row for row in BY_WORDS if status in row.statuses)
    return next((row for row in fits if row.words.search(words) and row.request.search(request)), None)


def meaning(status: int, words: str, request: str, kind: str, repo_id: str, page: str) -> tuple[str, str]:
    """Return what a refusal means for a repository, the Hub's own words last, and the way out."""
    row = find(status, words, request)
    facts = {"kind": kind, "id": repo_id, "owner": repo_id.split("/")[0], "page": page, "status": status}
    said = row.said.format_map(facts)
    return f"{said} It says: {words}" if words else said, row.remedy.format_map(facts)


def is_of_an_upload(status: int | None, request: str) -> bool:
    """Whether an address for a large file is refused, or what came there: a new address, and the file again, may do."""
    return (status in (400, 401, 403) and bool(SIGNED.search(request))) or (
        status in (404, 422) and bool(VERIFY.search(request))
    )


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


SIGNED = re.compile(r"^PUT (?!.*/api/)")
"""A large file goes to an address that is its own permission, for an hour or so."""
VERIFY = re.compile(r"^POST .*/info/lfs/verify$")
HARDWARE = re.compile(r"/hardware$")
CREATE = re.compile(r"/api/repos/create$")
DENIED = (401, 402, 403)

BY_WORDS = (
    HubRefusal(
        (400, 401, 403),
        ANY,
        SIGNED,
        "The address that a large file of {kind} {id} was to be sent to is refused: it has expired, or the clock here "
        "is wrong.",
        "Check this machine's clock, and run the same command again: new addresses are asked for, and what has arrived "
        "is not sent again.",
    ),
    HubRefusal(
        (404, 422),
        ANY,
        VERIFY,
        "The Hub's store says that a large file of {kind} {id} did not arrive as it was sent.",
        "Run the same command again: it is sent once more.",
    ),
    HubRefusal(
        (403,),
        _words(r"\bIP\b|\bIP address|network (?:polic|securit|range)|allow-?list"),
        ANY,
        "The Hub refuses this machine's network address: an organisation lets in some networks only.",
        "Go through the organisation's own network (its VPN), or ask who administers it to let this address in.",
    ),
    HubRefusal(
        DENIED,
        _words(r"\bSSO\b|single sign|\bSAML\b|two-factor|\b[2M]FA\b"),
        ANY,
        "An organisation asks for a login of its own here.",
        "Log in through it on the Hub's pages, then here with a token made after that: `hf auth login`.",
    ),
    HubRefusal(
        (*DENIED, 400, 413),
        _words(r"\bstorage\b|\bquota\b"),
        ANY,
        "The Hub gives {owner} no more storage; a new repository counts as private storage until all of it is proven.",
        "Delete what is not needed there, get more storage, or publish under another name with `--to`. The same "
        "command sends what is missing.",
    ),
    HubRefusal(
        (*DENIED, 400, 422),
        _words(r"resource[ _-]?group"),
        ANY,
        "The organisation {owner} wants each repository in a resource group.",
        "Name one that you may write to with `--resource-group ID`; the organisation's settings on the Hub list them.",
    ),
    HubRefusal(
        (402, 403),
        _words(r"\bgat(?:ed|ing)\b"),
        ANY,
        "The Hub does not let {owner} put a gate before {kind} {id}.",
        "Leave out `--gated`, or get the plan that it names; `--private` shows nothing meanwhile.",
    ),
    HubRefusal(
        (400, 403, 404, 410),
        _words(r"discussions?\b.*\b(?:disabled|off|closed)|pull requests?\b.*\b(?:disabled|off|closed)"),
        ANY,
        "Discussions are switched off for {kind} {id}, and pull requests with them.",
        "Switch them on at {page}/settings, or leave out `--pr`.",
    ),
    HubRefusal(
        (402,),
        _words(r"\bpayment|\bbilling|\bcredit|\bprepaid|\bhardware (?:needs|requires|is paid)|paid hardware"),
        ANY,
        "The Hub asks for a way to pay before the Space {id} may run on this hardware.",
        "Add a payment method or credit in the Hub's billing settings of {owner}, or choose hardware that is free with "
        "`--space-hardware cpu-basic` or `zero-a10g`.",
    ),
    HubRefusal(
        (402,),
        ANY,
        HARDWARE,
        "The Hub asks for money to run the Space {id} on this hardware.",
        "Add a payment method or credit in the Hub's billing settings of {owner}, or leave out `--space-hardware`.",
    ),
    HubRefusal(
        DENIED,
        _words(
            r"public (?:repo|model|space|data ?set|visibilit)|(?:made?|make|making|become|set|turn)\b.*\bpublic"
            r"|visibility"
        ),
        ANY,
        "The organisation {owner} does not allow that {kind} {id} is public.",
        "Leave it private with `--private`, publish under another name with `--to`, or ask who administers {owner}.",
    ),
    HubRefusal(
        (402, 403),
        _words(r"\bpolic(?:y|ies)\b|not allowed (?:by|in|for) |\badmin(?:s|istrators?)?\b"),
        ANY,
        "A rule of {owner} does not allow this for {kind} {id}.",
        "Ask who administers {owner} on the Hub, or publish under another name with `--to`.",
    ),
    HubRefusal(
        (403, 405, 501),
        _words(r"read[- ]?only|\bmirror\b"),
        ANY,
        "What answers is a mirror that may only be read: nothing can be published there.",
        "Unset HF_ENDPOINT, or set it to a Hub that takes uploads, and run the same command again.",
    ),
    HubRefusal(
        (403,),
        _words(r"\bplans?\b|\bupgrade\b|\bsubscri|\bPRO\b|\bEnterprise\b"),
        ANY,
        "The plan of {owner} does not include what was asked for {kind} {id}.",
        "Get the plan that it names, leave the option out that needs it, or publish under another name with `--to`.",
    ),
    HubRefusal(
        (402,),
        ANY,
        CREATE,
        "The Hub asks for money to make the {kind} {id}: Gradio Spaces on free hardware need a paid plan.",
        WAYS_TO_A_SPACE,
    ),
)


def _status(status: int, said: str, remedy: str) -> HubRefusal:
    return HubRefusal((status,), ANY, ANY, said, remedy)


BY_STATUS = (
    _status(400, "The Hub does not accept what was sent for the {kind} {id}.", "Correct what it names, and try again."),
    _status(
        401,
        "The {kind} {id} is missing or not yours to see, or the Hub no longer accepts the token.",
        "Check the name and the namespace; log in again with `hf auth login`, and run the same command again.",
    ),
    _status(
        402,
        "The Hub asks for money for the {kind} {id}.",
        "See the plan and the billing settings of {owner} on the Hub.",
    ),
    _status(
        403,
        "The token may not write to the {kind} {id}.",
        "Give it the right to write in the Hub's settings, or log in with another: `hf auth login`.",
    ),
    _status(404, "The {kind} {id} is gone, or not yours to see.", "Check the name, and run the same command again."),
    _status(
        405,
        "What answers takes no uploads: it is a mirror that may only be read.",
        "Unset HF_ENDPOINT, or set it to a Hub that takes uploads, and run the same command again.",
    ),
    _status(
        407,
        "A proxy on the way to the Hub asks for a login.",
        "Give it in the proxy's variable, as in http://name:password@host:port, and run the same command again.",
    ),
    _status(
        408,
        "The Hub gave up waiting for what was sent for {kind} {id}.",
        "Run the same command again, on a faster line where there is one: what has arrived is not sent again.",
    ),
    _status(
        409,
        "The Hub says that {kind} {id} is in conflict with something else there.",
        "Look at {page}, and try again.",
    ),
    _status(
        412,
        "Somebody else committed to {kind} {id} in between; nothing was changed there.",
        "Look at {page}/commits/main. Run the same command again to replace it, or with `--pr` to propose yours.",
    ),
    _status(
        413,
        "The Hub finds a file or the whole of {kind} {id} too large.",
        "Leave out what is not needed: a file may have 500 GB at most, ordinary ones 1 GB together.",
    ),
    _status(
        429,
        "The Hub asks to slow down.",
        "Wait some minutes and run the same command again: what has arrived is not sent again.",
    ),
    _status(
        511,
        "This network asks for a login before it lets anything through.",
        "Log in to it with a browser, and run the same command again.",
    ),
    HubRefusal((), ANY, ANY, "The Hub answered {status} for {kind} {id}.", "Run the same command again in a while."),
)
"""What a status alone means; the last row is for all others."""
