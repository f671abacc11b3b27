"""What a Space does after a commit: it is built, it starts, it runs or it does not, and it keeps logs.

Nothing is built here. How a build ends follows from what was committed, as far as the Hub decides it from the files
alone; a test may set another life in `site.ends`, phase by phase, and in `site.hosts` the address of an app that really
runs. Without one, `apps` answers in its place.

hub.site.ends["ada/s"] = End("PAUSED", woken=End("RUNNING"))                            # until it is restarted
hub.site.ends["ada/s"] = End("BUILD_ERROR", before=(Phase("RUNNING", 70, "old"), Phase("BUILDING", 60)))
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import yaml

from tests.hub.repos import Call, readable, writable
from tests.hub.state import Commit, Repo, Store
from tests.hub.wire import Answer, Refused

Names = Literal["new", "old", "none"]


@dataclass(frozen=True)
class Phase:
    """A stage that a Space passes through.

    Attributes:
        seconds: How long, on the clock of the site; without one, how many looks.
        names: The commit that the runtime names: main's, the one before it, or none.
    """

    stage: str
    seconds: float = 1
    names: Names = "new"


@dataclass(frozen=True)
class End:
    """How a life that begins with a commit, or with a restart, ends.

    Attributes:
        stage: Where the Space comes to rest.
        log: Lines of its log, of the build or of the run.
        looks: How long it is seen being built before that, as a phase counts; None for what the site says.
        before: Phases instead of that one.
        names: The commit that the runtime names at rest.
        woken: The life that a restart begins; the same once more where there is none.
    """

    stage: str
    log: tuple[str, ...] = ()
    looks: float | None = None
    before: tuple[Phase, ...] | None = None
    names: Names = "new"
    woken: "End | None" = None

    def at(self, age: float, looks: float) -> Phase:
        """Return the phase of a life of this age."""
        building = (Phase("BUILDING", looks if self.looks is None else self.looks),)
        for phase in building if self.before is None else self.before:
            age -= phase.seconds
            if age < 0:
                return phase
        return Phase(self.stage, 0, self.names)


def end_of(call: Call, repo: Repo) -> End:
    """Return how the life that the Space leads now ends."""
    if repo.paused:
        return End("PAUSED", before=())
    end = call.site.ends.get(repo.id) or _from_files(call.store, repo.resolve("main"))
    return end.woken or end if repo.woken else end


def phase_of(call: Call, repo: Repo) -> Phase:
    """Return the phase that the Space is in."""
    clock = call.site.clock
    age = repo.looks if clock is None else 0.0 if repo.began is None else clock() - repo.began
    return end_of(call, repo).at(age, call.site.looks)


def stage_of(call: Call, repo: Repo) -> str:
    return phase_of(call, repo).stage


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
    """Tell the stage; without a clock, every look at a build brings it nearer to its end."""
    with call.store.lock:
        repo, clock = readable(call), call.site.clock
        repo.began = clock() if clock is not None and repo.began is None else repo.began
        phase = phase_of(call, repo)
        repo.looks += 1
        repo.save()
    resting = phase.stage == end_of(call, repo).stage
    commits = {"new": repo.branches["main"], "old": repo.resolve("main").parent, "none": None}
    return Answer.json(
        {
            "stage": phase.stage,
            "hardware": {"current": repo.hardware if resting else None, "requested": repo.hardware},
            "gcTimeout": repo.sleep_time,
            "replicas": {"requested": 1},
            "sha": commits[phase.names],
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
    return _changed(call, hardware=call.body.json()["flavor"])


def restart(call: Call) -> Answer:
    return _changed(call, woken=True, paused=False)


def pause(call: Call) -> Answer:
    """Stop the Space until it is restarted; a commit does not wake it."""
    return _changed(call, paused=True)


def sleep_time(call: Call) -> Answer:
    return _changed(call, sleep_time=call.body.json()["seconds"])


def _changed(call: Call, **facts: Any) -> Answer:
    """Alter facts of a Space, which begins a life anew."""
    with call.store.lock:
        repo = writable(call)
        for name, value in facts.items():
            setattr(repo, name, value)
        repo.begin_anew()
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
