"""The plan of a push: what it says is what the push does, and looking changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import OutputConflict, ReleaseError
from tests.pushing import KINDS, Bench, bench, contents


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        yield made


def test_the_plan_of_a_first_push_creates_both_and_changes_nothing(at: Bench) -> None:
    plan = at.survey(gated="auto", collection="Pruned")
    assert [(repo.exists, repo.visibility, repo.then, repo.gated) for repo in plan.repos] == [
        (False, None, "public", "auto"),
        (False, None, "public", False),
    ]
    sizes = {part: sum(map(len, contents(at.folder / part).values())) for part in KINDS}
    assert [repo.bytes_to_send for repo in plan.repos] == list(sizes.values())
    assert plan.bytes_to_send == sum(sizes.values())
    assert {file.state for repo in plan.repos for file in repo.files} == {"new"}
    assert (plan.account, plan.namespace, plan.hardware) == ("ada", "ada", "cpu-basic")
    assert at.written() == []
    text = "\n".join(plan.lines())
    for part in ("create", "new → public, gated (auto)", "+ model.safetensors  5,120", "has a paid plan", "Pruned"):
        assert part in text


def test_the_plan_of_an_update_tells_files_apart_by_digest(at: Bench) -> None:
    at.push()
    at.hub.watchers.clear()
    (at.folder / "model" / "config.json").write_bytes(b'{"model_type": "llamb"}')
    (at.folder / "model" / "empty.txt").unlink()
    (at.folder / "model" / "new.txt").write_text("new")
    model, space = at.survey().repos
    states = {file.path: file.state for file in model.files}
    assert states == {
        "README.md": "there",
        "release.json": "there",
        "model.safetensors": "there",
        "config.json": "changed",
        "new.txt": "new",
        "empty.txt": "gone",
    }
    assert model.bytes_to_send == len('{"model_type": "llamb"}') + 3
    assert (space.changes, space.bytes_to_send) == (False, 0)
    at.push()
    assert not at.survey().changes


def test_the_plan_says_what_a_free_account_may_host(at: Bench) -> None:
    at.hub.site.free = True
    assert "--no-space" in str(at.survey().may_host)
    assert "fewer than two" in str(at.survey(space_hardware="zero-a10g").may_host)


def test_the_plan_refuses_what_the_push_would_refuse(at: Bench) -> None:
    with pytest.raises(ReleaseError, match="no Space hardware 'cray'"):
        at.survey(space_hardware="cray")
    at.push()
    with pytest.raises(OutputConflict):
        at.survey(private=True)
