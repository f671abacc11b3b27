"""Jobs: a command runs as a process of this machine, with nothing of the server's environment, and its log is kept.

hub.site.images["python:3.12"] = folder      # the programs that an image has, before those of every system

A Job sees its own variables, its secrets, and HF_ENDPOINT, which is this Hub. Secrets are held in memory alone, and an
answer names them without their values. A Job has no container, so a volume lies in a folder of its home: a variable
whose value is the path that it is mounted at names that folder instead.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.hub.repos import Call, allow, opened
from tests.hub.wire import Answer, Refused

TIMEOUT = 1800.0
"""Seconds after which a Job is ended that says nothing else."""
AT_WORK = ("SCHEDULING", "RUNNING")
LABEL = re.compile(r"[A-Za-z0-9_-]{1,100}")
Volumes = dict[str, dict[str, Path]]
"""Where each is mounted, and the blobs of its files by their names."""
HARDWARE = [
    {
        "name": "cpu-basic",
        "prettyName": "CPU Basic",
        "cpu": "2 vCPU",
        "ram": "16 GB",
        "ephemeralStorage": "20 GB",
        "accelerator": None,
        "unitCostMicroUSD": 167,
        "unitCostUSD": 0.000167,
        "unitLabel": "minute",
    }
]


@dataclass
class Job:
    """One Job.

    Attributes:
        spec: What was asked for, without secrets.
        log: What it wrote, line by line.
        volumes: What is mounted in it.
    """

    id: str
    owner: str
    spec: dict[str, Any]
    secrets: dict[str, str]
    stage: str = "SCHEDULING"
    message: str | None = None
    created: str = field(default_factory=lambda: _now())
    log: list[str] = field(default_factory=list)
    volumes: Volumes = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None

    def told(self) -> dict[str, Any]:
        """Return what the Hub says of it."""
        owner = {"id": f"id-{self.owner}", "name": self.owner, "type": "user"}
        status = {"stage": self.stage, "message": self.message}
        return {
            **told_spec(self.spec, self.secrets),
            "id": self.id,
            "createdAt": self.created,
            "owner": owner,
            "status": status,
        }


def told_spec(spec: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    """Return a Job's specification as it is told: secrets by name."""
    kept = (
        "command",
        "arguments",
        "environment",
        "flavor",
        "labels",
        "dockerImage",
        "spaceId",
        "timeoutSeconds",
        "volumes",
    )
    return {name: spec[name] for name in kept if name in spec} | {"secrets": dict.fromkeys(secrets)}


class Jobs:
    """All Jobs of a Hub, for as long as it is served."""

    def __init__(self, url: str, images: dict[str, Path]) -> None:
        self.url = url
        self.images = images
        self.all: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []

    def start(self, owner: str, spec: dict[str, Any], secrets: dict[str, str], volumes: Volumes, **more: str) -> Job:
        """Start a Job; `more` are variables that whoever triggers it adds."""
        job = Job(uuid.uuid4().hex[:24], owner, spec, secrets, volumes=volumes)
        self.all[job.id] = job
        thread = threading.Thread(target=self._run, args=(job, more), daemon=True)
        self._threads.append(thread)
        thread.start()
        return job

    def settled(self, within: float = 60.0) -> list[Job]:
        """Wait until no Job is at work, and return all of them, the oldest first."""
        ends = time.monotonic() + within
        for thread in self._threads:  # grows while one that ends triggers another
            thread.join(max(0.0, ends - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"a Job is still at work after {within} seconds")
        return list(self.all.values())

    def cancel(self, job: Job) -> None:
        if job.stage in AT_WORK:
            job.stage = "CANCELED"
            _end(job)

    def close(self) -> None:
        """End all that are at work."""
        for job in self.all.values():
            self.cancel(job)

    def _run(self, job: Job, more: dict[str, str]) -> None:
        spec = job.spec
        programs = self.images.get(spec.get("dockerImage") or f"hf.co/spaces/{spec.get('spaceId')}")
        if programs is None:
            job.stage, job.message = "ERROR", "There is no such image."
            return
        with tempfile.TemporaryDirectory() as home:
            ours = {"PATH": f"{programs}{os.pathsep}{os.defpath}", "HOME": home, "HF_ENDPOINT": self.url}
            env = ours | _placed(job, Path(home)) | job.secrets | more
            self._follow(job, [*spec["command"], *spec.get("arguments", ())], env, home)

    def _follow(self, job: Job, command: list[str], env: dict[str, str], home: str) -> None:
        try:
            job.process = subprocess.Popen(
                command,
                env=env,
                cwd=home,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            job.stage, job.message = "ERROR", f"{command[0]}: {error.strerror}"
            return
        if job.stage == "SCHEDULING":
            job.stage = "RUNNING"
        timer = threading.Timer(float(job.spec.get("timeoutSeconds", TIMEOUT)), _late, [job])
        timer.start()
        said, _ = job.process.communicate()
        timer.cancel()
        job.log = said.splitlines()
        if job.stage == "RUNNING":
            code = job.process.returncode
            job.stage, job.message = (
                ("COMPLETED", None) if code == 0 else ("ERROR", f"Job failed with exit code: {code}")
            )


def _placed(job: Job, home: Path) -> dict[str, str]:
    """Lay a Job's volumes down, and return its variables, which say where."""
    places = {}
    for number, (mount, blobs) in enumerate(job.volumes.items()):
        for name, blob in blobs.items():
            target = home / "volumes" / str(number) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(blob, target)
            target.chmod(0o444)
        places[mount] = str(home / "volumes" / str(number))
    return {name: places.get(str(value), str(value)) for name, value in job.spec["environment"].items()}


def _late(job: Job) -> None:
    job.stage, job.message = "ERROR", "Job timeout"
    _end(job)


def _end(job: Job) -> None:
    if job.process is not None and job.process.poll() is None:
        os.killpg(job.process.pid, signal.SIGKILL)


def run(call: Call) -> Answer:
    """Start a Job in a namespace, which has to have a paid plan."""
    owner, asked = call.params["owner"], call.body.json()
    allow(call, f"{owner}/-")
    if call.site.free:
        raise Refused(402, "Pre-paid credit balance is insufficient to run Jobs.")
    if asked.get("flavor", "cpu-basic") not in [each["name"] for each in HARDWARE]:
        raise Refused(400, f"There is no hardware {asked['flavor']}.")
    if not all(LABEL.fullmatch(part) for label in asked.get("labels", {}).items() for part in label):
        raise Refused(400, "A label may hold letters, digits, dashes and underscores, 100 at most.")
    secrets = asked.pop("secrets", {})
    return Answer.json(call.jobs.start(owner, asked, secrets, _volumes(call, asked)).told())


def _volumes(call: Call, asked: dict[str, Any]) -> Volumes:
    """Find what is to be mounted: models and data sets, as they are at a revision."""
    found: Volumes = {}
    for volume in asked.get("volumes", ()):
        if volume["type"] not in ("model", "dataset") or not volume["mountPath"].startswith("/"):
            raise Refused(400, "No such volume can be mounted.")
        where = {"kind": f"{volume['type']}s", "id": volume["source"]}
        files = opened(replace(call, params=where)).resolve(volume.get("revision", "main")).files
        found[volume["mountPath"]] = {name: call.store.blob(entry.sha256) for name, entry in files.items()}
    return found


def listed(call: Call) -> Answer:
    """List a namespace's Jobs, the newest first, by stage and labels where that is asked for."""
    owner = call.params["owner"]
    allow(call, f"{owner}/-")
    labels = dict(pair.split("=", 1) for pair in call.query.get("label", []))
    stages = call.query.get("stage", [])
    found = [
        job.told()
        for job in reversed(list(call.jobs.all.values()))
        if job.owner == owner
        and labels.items() <= job.spec.get("labels", {}).items()
        and (not stages or job.stage in stages)
    ]
    return Answer.json(found)


def inspect(call: Call) -> Answer:
    return Answer.json(_job(call).told())


def cancel(call: Call) -> Answer:
    call.jobs.cancel(_job(call))
    return Answer.json({})


def duplicate(call: Call) -> Answer:
    """Start a Job again as it was asked for, secrets included."""
    job = _job(call)
    return Answer.json(call.jobs.start(job.owner, job.spec, job.secrets, job.volumes).told())


def logs(call: Call) -> Answer:
    """Send what a Job wrote, as server-sent events."""
    job = _job(call)
    tail = int(call.query.get("tail", [len(job.log)])[0])
    lines = job.log[max(0, len(job.log) - tail) :]
    events = [f"data: {json.dumps({'data': line, 'timestamp': _now()})}\n\n" for line in lines]
    return Answer(200, "".join(events).encode(), {"Content-Type": "text/event-stream"})


def hardware(call: Call) -> Answer:
    return Answer.json(HARDWARE)


def _job(call: Call) -> Job:
    allow(call, f"{call.params['owner']}/-")
    job = call.jobs.all.get(call.params["job"])
    if job is None or job.owner != call.params["owner"]:
        raise Refused(404, "Job not found")
    return job


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
