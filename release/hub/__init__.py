"""The only part that writes to the Hub: who is logged in, what a push would do, and the push of a release.

No half release: both repositories are made private, each is filled by one commit, the digests that the Hub lists
are compared with this disk, and only then does anything become visible. The token comes from the Hub client's
own store or from HF_TOKEN, goes to the Hub and to one's own Space alone, and stands in no message or record.

    identity    whether the Hub answers with what was asked for
    makers      who made what lies there
    admission   what stands where a release is to go, and whether it may go there
    history     what happened there since somebody looked
    account     who is logged in, and where they may write
    repos       a repository and the folder that it shall equal
    card        the card as it stands there
    plan        what a push would do
    push        the story, top to bottom
    commit      one commit, sent once, and the proof that it arrived
    space       a Space's build, its log, one question
    settings    gate, visibility
    tags        the tag that the card names
    collections the collection: a release's is filled last, a grid's while nobody sees it
    client      the client, and the patience with it
    faults      what can go wrong, and what it means
    journal     what was done, for the next run
    context     what all of these share while one push is at work
"""

from release.hub.account import Account, check_names, check_namespace, login, require_rights
from release.hub.card import Standing, standing_card
from release.hub.client import HubClient
from release.hub.history import require_no_release
from release.hub.plan import PushPlan, survey
from release.hub.push import Pushed, at_work, claim, push, stage
from release.hub.repos import Upload
from release.hub.tags import named, outdated
from release.settings.publication import PublishOptions

__all__ = [
    "Account",
    "HubClient",
    "PublishOptions",
    "PushPlan",
    "Pushed",
    "Standing",
    "Upload",
    "at_work",
    "check_names",
    "check_namespace",
    "claim",
    "login",
    "named",
    "outdated",
    "push",
    "require_no_release",
    "require_rights",
    "stage",
    "standing_card",
    "survey",
]
