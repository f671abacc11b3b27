"""The test Hub's Jobs, webhooks, discussions and limits, asked by the Hub's own client."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, Volume
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers

from tests import pushing
from tests.hub import HubServer

IMAGE, ID, SECRET = "little", "ada/m", "hf_secret0000000000000000000"
TELL = ["sh", "-c", 'echo "$WEBHOOK_REPO_ID $GREETING ${HF_TOKEN:-none} $WEBHOOK_PAYLOAD"']


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub with one model and an image that has what every system has."""
    with HubServer(tmp_path / "hub") as hub, pushing.client(monkeypatch, []):
        hub.site.images[IMAGE] = tmp_path
        hub.store.create("models", ID, False, None)
        yield hub


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


def push(api: HfApi, text: str = "x") -> str:
    return api.upload_file(path_or_fileobj=text.encode(), path_in_repo="a.txt", repo_id=ID).oid


def watching(api: HfApi, **options: object) -> str:
    """Have a Job run at every push to the model, and return the webhook's id."""
    job = api.run_job(image=IMAGE, command=TELL, env={"GREETING": "hello"}, secrets={"HF_TOKEN": SECRET}, **options)
    hook = api.create_webhook(
        job_id=job.id, watched=[{"type": "model", "name": ID}], domains=["repo"], secrets={"HF_TOKEN": SECRET}
    )
    return hook.id


def test_a_job_runs_with_its_variables_and_secrets_and_its_answer_names_a_secret_without_its_value(hub, api):
    job = api.run_job(image=IMAGE, command=TELL, env={"GREETING": "hello"}, secrets={"HF_TOKEN": SECRET})
    hub.jobs.settled()
    told = api.inspect_job(job_id=job.id)
    assert (told.status.stage, list(told.secrets), told.environment) == (
        "COMPLETED",
        ["HF_TOKEN"],
        {"GREETING": "hello"},
    )
    assert SECRET not in repr(told)
    assert hub.jobs.all[job.id].log == [f" hello {SECRET} "]
    assert [each.id for each in api.list_jobs(namespace="ada", labels={"name": told.labels["name"]})] == [job.id]


ENDS = [
    ({"image": IMAGE, "command": ["sh", "-c", "exit 3"]}, "ERROR", "exit code: 3"),
    ({"image": "unknown", "command": ["true"]}, "ERROR", "no such image"),
    ({"image": IMAGE, "command": ["no-such-program"]}, "ERROR", "No such file"),
    ({"image": IMAGE, "command": ["sleep", "60"], "timeout": 1}, "ERROR", "timeout"),
]


@pytest.mark.parametrize(("asked", "stage", "message"), ENDS)
def test_a_job_that_fails_says_how(hub, api, asked, stage, message):
    job = api.run_job(**asked)
    hub.jobs.settled()
    told = api.inspect_job(job_id=job.id).status
    assert told.stage == stage
    assert message in told.message


def test_a_job_finds_a_model_that_is_mounted_as_it_was_at_a_revision(hub, api):
    before = push(api, "before")
    push(api, "after")
    volume = Volume(type="model", source=ID, mount_path="/base", revision=before)
    command = ["sh", "-c", 'cat "$PLACE/a.txt"']
    job = api.run_job(image=IMAGE, command=command, env={"PLACE": "/base"}, volumes=[volume])
    hub.jobs.settled()
    assert hub.jobs.all[job.id].log == ["before"]
    assert api.inspect_job(job_id=job.id).volumes == [volume]
    with pytest.raises(HfHubHTTPError, match="404"):
        api.run_job(image=IMAGE, command=["true"], volumes=[Volume(source="ada/none", mount_path="/base")])


def test_a_label_that_the_hub_does_not_take_is_refused(hub, api):
    with pytest.raises(HfHubHTTPError, match="A label may hold"):
        api.run_job(image=IMAGE, command=["true"], labels={"grid": "v1.5"})


def test_a_push_starts_the_webhooks_job_and_neither_a_discussion_nor_a_disabled_webhook_does(hub, api):
    hook = watching(api)
    hub.jobs.settled()
    api.create_discussion(ID, "Something else", description="words")
    before = hub.store.repo("models", ID).branches["main"]
    pushed = push(api)
    _, second = hub.jobs.settled()
    name, greeting, token, payload = second.log[0].split(" ", 3)
    assert (name, greeting, token) == (ID, "hello", SECRET)
    told = json.loads(payload)
    assert told["event"] == {"action": "update", "scope": "repo.content"}
    assert told["updatedRefs"] == [{"ref": "refs/heads/main", "oldSha": before, "newSha": pushed}]
    assert (told["repo"]["name"], told["repo"]["headSha"]) == (ID, pushed)
    api.disable_webhook(hook)
    push(api, "y")
    assert len(hub.jobs.settled()) == 2


def test_the_source_jobs_secrets_are_not_the_webhooks(hub, api):
    job = api.run_job(image=IMAGE, command=TELL, secrets={"HF_TOKEN": SECRET})
    api.create_webhook(job_id=job.id, watched=[{"type": "user", "name": "ada"}])
    push(api)
    assert hub.jobs.settled()[-1].log[0].split(" ", 3)[2] == "none"


def test_a_webhook_is_listed_altered_and_deleted_by_its_owner_alone(hub, api):
    hook = watching(api)
    [listed] = api.list_webhooks()
    assert (listed.id, listed.domains, listed.job.environment) == (hook, ["repo"], {"GREETING": "hello"})
    assert SECRET not in repr(listed)
    other = HfApi(endpoint=hub.url, token=hub.other_token)
    assert other.list_webhooks() == []
    with pytest.raises(HfHubHTTPError, match="404"):
        other.delete_webhook(hook)
    assert api.update_webhook(hook, watched=[{"type": "org", "name": "lab"}]).watched[0].name == "lab"
    api.delete_webhook(hook)
    assert api.list_webhooks() == []


def test_a_discussion_is_opened_commented_closed_and_told_by_type_status_and_author(hub, api):
    talk = api.create_discussion(ID, "A check", description="first")
    api.comment_discussion(ID, talk.num, "second")
    api.change_discussion_status(ID, talk.num, "closed", comment="third")
    told = api.get_discussion_details(ID, talk.num)
    assert [event.content for event in told.events if event.type == "comment"] == ["first", "second", "third"]
    assert (told.status, told.author, told.num) == ("closed", "ada", 1)
    kinds = {"discussion": [1], "pull_request": []}
    for kind, numbers in kinds.items():
        assert [each.num for each in api.get_repo_discussions(ID, discussion_type=kind, author="ada")] == numbers
    assert list(api.get_repo_discussions(ID, discussion_status="open")) == []
    assert list(api.get_repo_discussions(ID, author="vera")) == []


def test_a_reading_token_may_not_speak(hub):
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(endpoint=hub.url, token=hub.read_token).create_discussion(ID, "A check", description="first")


def test_requests_beyond_the_limit_get_429_until_the_window_ends_and_headers_say_so(hub, api):
    hub.site.limits["api"] = (2, 0.5)
    session = pushing._http.get_session()
    answers = [session.get(f"{hub.url}/api/models/{ID}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    told = [parse_ratelimit_headers(answer.headers) for answer in answers]
    assert [(each.resource_type, each.remaining, each.limit) for each in told] == [
        ("api", 1, 2),
        ("api", 0, 2),
        ("api", 0, 2),
    ]
    assert "RateLimit" not in session.get(f"{hub.url}/{ID}/resolve/main/.gitattributes").headers
    time.sleep(0.5)
    assert session.get(f"{hub.url}/api/models/{ID}").status_code == 200
    assert hub.limits.refused == 1
