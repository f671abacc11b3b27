"""A Hub on 127.0.0.1 that the real client can upload to, read from and be refused by.

    with HubServer(folder) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}   # before huggingface_hub is imported
        hub.faults.append(Fault("POST", "/commit/", action="lost"))

or, to try a tool by hand: `python -m tests.hub FOLDER`.

It keeps commits as manifests and files as blobs named by their SHA-256, so that a test can look at what arrived
and alter it. The parts: `wire` (what a request and an answer are), `state` (repositories on disk), `lfs` and
`xet` (how large files arrive), `files` (how files are listed and read), `repos` (repositories and commits), `refs`
(branches, tags, pull requests), `talks` (discussions), `spaces` (builds, stages, logs, secrets), `apps` (what a
running Space answers), `collections`, `cards` (what is said about a README), `jobs` (commands that really run),
`webhooks` (what starts them), `limits` (how many requests there may be), `faults` (what can be made to go wrong),
`server` (the socket and the routes). README.md beside this file says how to use it from another project.

The rules it keeps are the Hub's: who may not see a repository is told that there is none; a stale parent is
refused with 412; a pointer to bytes that never arrived is refused; a listing states the digests of the bytes
that lie there.
"""

from tests.hub.faults import Fault
from tests.hub.server import HubServer
from tests.hub.state import Account

__all__ = ["Account", "Fault", "HubServer"]
