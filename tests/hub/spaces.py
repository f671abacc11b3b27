"""What a Space does after a commit: it is built, it starts, it runs or it does not, and it keeps logs.

Nothing is built here. How a build ends follows from what was committed, as far as the Hub decides it from the files
alone; a test may set another end in `site.ends`, and in `site.hosts` the address of an app that really runs.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from tests.hub.repos import Call, readable, writable
from tests.hub.state import Commit, Repo, Store
from tests.hub.wire import Answer, Refused


@dataclass(frozen=True)
class End:
    """How a build ends.

    Attributes:
        stage: Where the Space comes to rest.
        log: Lines of its log, of the build or of the run.
        looks: How often it is seen being built before that.
    """

    stage: str
    log: tuple[str, ...] = ()
    looks: int = 1


def end_of(call: Call, repo: Repo) -> End:
    """Return how the build of main ends."""
    return call.site.ends.get(repo.id) or _from_files(call.store, repo.resolve("main"))


def _from_files(store: Store, commit: Commit) -> End:
    try:
        settings = _settings(store, commit)
    except (yaml.YAMLError, KeyError):
        return End("CONFIG_ERROR", ("Missing configuration in README.",))
    if settings.get("app_file", "app.py") not in commit.files:
        return End("NO_APP_FILE")
    return End("RUNNING", ("* Running on local URL:  http://0.0.0.0:7860",))


def _settings(store: Store, commit: Commit) -> dict[str, Any]:
    text = store.blob(commit.files["README.md"].sha256).read_text()
    match = re.match(r"---\n(.*?)^---\s*$", text, re.DOTALL | re.MULTILINE)
    settings = yaml.safe_load(match[1]) if match else None
    if not isinstance(settings, dict):
        raise KeyError("front matter")
    return settings


def runtime(call: Call) -> Answer:
    """Tell the stage; every look at a build brings it nearer to its end."""
    with call.store.lock:
        repo, end = readable(call), end_of(call, readable(call))
        resting = repo.looks >= end.looks
        repo.looks += 1
        repo.save()
    return Answer.json(
        {
            "stage": end.stage if resting else "BUILDING",
            "hardware": {"current": repo.hardware if resting else None, "requested": repo.hardware},
            "gcTimeout": 172800,
            "replicas": {"requested": 1},
            "sha": repo.branches["main"],
        }
    )


def logs(call: Call) -> Answer:
    """Send the log as server-sent events."""
    repo = writable(call)
    end, now = end_of(call, repo), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    about_the_build = end.stage == "BUILD_ERROR"
    lines = end.log if about_the_build == (call.params["part"] == "build") else ()
    events = [f"data: {json.dumps({'data': line, 'timestamp': now})}\n\n" for line in lines]
    return Answer(200, "".join(events).encode(), {"Content-Type": "text/event-stream"})


def hardware(call: Call) -> Answer:
    with call.store.lock:
        repo = writable(call)
        repo.hardware = call.body.json()["flavor"]
        repo.looks = 0
        repo.save()
    return runtime(call)


def restart(call: Call) -> Answer:
    with call.store.lock:
        repo = writable(call)
        repo.looks = 0
        repo.save()
    return runtime(call)


def variables(call: Call) -> Answer:
    return Answer.json({key: {"key": key, "value": value} for key, value in readable(call).variables.items()})


def secrets(call: Call) -> Answer:
    """Name the secrets; what they are is never told."""
    return Answer.json({key: {"key": key} for key in writable(call).secrets})


def set_variable(call: Call) -> Answer:
    asked = call.body.json()
    with call.store.lock:
        repo = writable(call)
        repo.variables[asked["key"]] = asked["value"]
        repo.save()
    return variables(call)


def set_secret(call: Call) -> Answer:
    asked = call.body.json()
    with call.store.lock:
        repo = writable(call)
        repo.secrets.append(asked["key"])
        repo.save()
    return Answer.json({})


def remove(call: Call) -> Answer:
    """Remove a variable or a secret."""
    key = call.body.json()["key"]
    with call.store.lock:
        repo = writable(call)
        if key not in repo.variables and key not in repo.secrets:
            raise Refused(404, f"There is no {key} here.")
        repo.variables.pop(key, None)
        repo.secrets = [each for each in repo.secrets if each != key]
        repo.save()
    return Answer.json({})
