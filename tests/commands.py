"""Commands run in this process, on a Hub of their own."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from release.__main__ import run
from tests.hub import HubServer
from tests.pushing import client

OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]
Command = Callable[..., dict[str, Any]]


@contextmanager
def at_a_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A folder to work in, and a Hub that everything here takes for the Hub."""
    with HubServer(folder / "hub") as server, client(monkeypatch, []):
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", server.token)
        monkeypatch.chdir(folder)
        server.site.looks = 0
        yield server


def commands(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command and return what it says in JSON; everything it printed is free of the token."""

    def command(*words: str, code: int = 0) -> dict[str, Any]:
        done = run([*words, "--json"])
        said = capsys.readouterr()
        assert done == code, said.err
        assert hub.token not in said.out + said.err
        told: dict[str, Any] = json.loads(said.out)
        return told | {"stderr": said.err}

    return command
