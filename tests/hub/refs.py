"""Names of commits: branches, tags, pull requests, and the line of history behind each."""

from typing import Any

from tests.hub.repos import Call, readable, repo_url, writable
from tests.hub.state import Pull, Repo
from tests.hub.wire import Answer, Refused


def refs(call: Call) -> Answer:
    repo = readable(call)

    def told(names: dict[str, str], prefix: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": prefix + name, "targetCommit": sha} for name, sha in names.items()]

    branches, tags = told(repo.branches, "refs/heads/"), told(repo.tags, "refs/tags/")
    facts: dict[str, Any] = {"branches": branches, "tags": tags, "converts": []}
    return Answer.json(facts | ({"pullRequests": told(repo.pull_refs(), "")} if call.asks("include_prs") else {}))


def commits(call: Call) -> Answer:
    """List a revision's commits, the newest first."""
    repo, found = readable(call), []
    sha: str | None = call.params["rev"]
    while sha:
        commit = repo.resolve(sha)
        found.append(
            {
                "id": commit.sha,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
        )
        sha = commit.parent
    return Answer.json(found)


def branch(call: Call) -> Answer:
    """Make a branch at a starting point, by default where main is."""
    start = call.body.json().get("startingPoint", "main")
    return _named(call, "branches", call.params["rev"], start)


def tag(call: Call) -> Answer:
    return _named(call, "tags", call.body.json()["tag"], call.params["rev"])


def _named(call: Call, kind: str, name: str, start: str) -> Answer:
    with call.store.lock:
        repo = writable(call)
        names: dict[str, str] = getattr(repo, kind)
        if name in names:
            raise Refused(409, f"Reference already exists: {name}")
        names[name] = repo.resolve(start).sha
        repo.save()
    return Answer.json({})


def delete_branch(call: Call) -> Answer:
    return _forgotten(call, "branches")


def delete_tag(call: Call) -> Answer:
    return _forgotten(call, "tags")


def _forgotten(call: Call, kind: str) -> Answer:
    with call.store.lock:
        repo = writable(call)
        names: dict[str, str] = getattr(repo, kind)
        if call.params["rev"] == "main" and kind == "branches":
            raise Refused(400, "The branch main cannot be deleted.")
        if names.pop(call.params["rev"], None) is None:
            raise Refused(404, f"Invalid rev id: {call.params['rev']}", "RevisionNotFound")
        repo.save()
    return Answer.json({})


def merge(call: Call) -> Answer:
    """Put a pull request's files onto main, by a commit of its own."""
    with call.store.lock:
        repo = writable(call)
        pull = _open(repo, int(call.params["number"]))
        files = repo.resolve(pull.commit).files
        repo.branches["main"] = repo.record(
            repo.branches["main"], f"{pull.title} (#{pull.number})", "", files, pull.author
        )
        _set(repo, pull, "merged")
    return Answer.json({"url": f"{repo_url(call, repo)}/discussions/{pull.number}"})


def status(call: Call) -> Answer:
    """Close a pull request, or open it again."""
    with call.store.lock:
        repo = writable(call)
        pull = next((each for each in repo.pulls if each.number == int(call.params["number"])), None)
        if pull is None or pull.status == "merged":
            raise Refused(404, "There is no such pull request to change.")
        _set(repo, pull, call.body.json()["status"])
    return Answer.json({})


def _open(repo: Repo, number: int) -> Pull:
    for pull in repo.pulls:
        if pull.number == number and pull.status == "open":
            return pull
    raise Refused(404, "There is no such open pull request.")


def _set(repo: Repo, pull: Pull, status: str) -> None:
    repo.pulls[repo.pulls.index(pull)] = pull.become(status)
    repo.save()
