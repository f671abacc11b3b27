"""`publish` and `push` as commands, on a local base and a Hub of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.commands import OFF, Command, at_a_hub, commands
from tests.hub import HubServer
from tests.pushing import contents, on_hub

NAME = "llama-random-s30"
ID = f"ada/{NAME}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with at_a_hub(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def release(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> Command:
    return commands(hub, capsys)


@pytest.fixture
def publish(release: Command, llama: Path) -> Command:
    words = ["publish", str(llama), "--method", "random", "--sparsity", "0.3", *OFF]
    return lambda *more, code=0: release(*words, *more, code=code)


@pytest.fixture
def built(publish: Command) -> Path:
    """A release that was built and not uploaded."""
    publish("--local")
    return Path("releases") / NAME


def test_publishing_again_changes_nothing(hub: HubServer, publish: Command) -> None:
    first = publish()
    commits = [hub.store.repo(kind, ID).branches["main"] for kind in ("models", "spaces")]
    asked = len(hub.seen)
    again = publish()
    assert (first["published"]["changed"], again["published"]["changed"]) == (True, False)
    assert "Already published, identical" in again["stderr"]
    assert commits == [hub.store.repo(kind, ID).branches["main"] for kind in ("models", "spaces")]
    assert {seen.method for seen in hub.seen[asked:]} <= {"GET", "HEAD"}


def test_what_was_built_locally_is_pushed_later_as_it_is(hub: HubServer, release: Command, built: Path) -> None:
    assert hub.store.repo("models", ID) is None
    pushed = release("push", str(built), "--private", "--no-space")
    assert pushed["space_url"] is None
    assert hub.store.repo("models", ID).private
    assert hub.store.repo("spaces", ID) is None
    assert on_hub(hub.store, "models", repo_id=ID) == contents(built / "model")


def test_a_release_that_was_touched_is_not_pushed(hub: HubServer, release: Command, built: Path) -> None:
    shard = sorted((built / "model").glob("*.safetensors"))[0]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert "SHA-256" in release("push", str(built), code=1)["error"]
    assert hub.store.repo("models", ID) is None


def test_a_dry_push_does_without_links_where_the_system_makes_none(
    hub: HubServer, release: Command, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, repos = contents(built / "model"), release("push", str(built), "--dry-run")["repos"]

    def refused(*_: object) -> None:
        raise OSError(22, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    assert release("push", str(built), "--dry-run")["repos"] == repos
    assert contents(built / "model") == before


def test_a_dry_push_says_what_a_push_does_and_writes_nothing_on_either_side(
    hub: HubServer, release: Command, built: Path
) -> None:
    before = contents(built)
    asked = ["--to", "lab", "--gated", "auto", "--contact", "https://example.org/harm"]
    plan = release("push", str(built), "--dry-run", *asked, "--collection", "Pruned")
    assert contents(built) == before
    assert {seen.method for seen in hub.seen} == {"GET"}
    model, space = plan["repos"]
    assert (model["id"], model["exists"], model["then"], model["gated"]) == (f"lab/{NAME}", False, "public", "auto")
    assert {"model.safetensors.index.json", "release.json", "README.md"} <= {file["path"] for file in model["files"]}
    assert {"app.py", "README.md"} <= {file["path"] for file in space["files"]}
    release("push", str(built), *asked, "--collection", "Pruned", "--show-unasked")
    card = (built / "model" / "README.md").read_text(encoding="utf-8")
    assert "report errors and harm to <https://example.org/harm>" in card
    assert f"https://huggingface.co/spaces/lab/{NAME}" in card
    sent = {part: sum(map(len, contents(built / part).values())) for part in ("model", "space")}
    assert {"model": model["bytes_to_send"], "space": space["bytes_to_send"]} == sent
    again = release("push", str(built), "--dry-run", "--to", "lab", "--gated", "auto")
    assert again["bytes_to_send"] == 0


def test_the_plan_stands_on_screen_before_anything_is_sent(hub: HubServer, release: Command, built: Path) -> None:
    said = release("push", str(built))["stderr"]
    assert said.index(f"create {hub.url}/{ID}, branch main, new → public") < said.index("Uploading model")
    assert "+ config.json" in said


def test_a_dry_publish_tells_what_is_known_of_the_hub(hub: HubServer, publish: Command) -> None:
    plan = publish("--dry-run", "--to", "lab")["hub"]
    assert (plan["account"], plan["namespace"]) == ("ada", "lab")
    assert [(repo["id"], repo["exists"]) for repo in plan["repos"]] == [(f"lab/{NAME}", False)] * 2
    assert {seen.method for seen in hub.seen} == {"GET"}


def test_a_dry_publish_without_a_login_says_so(publish: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    told = publish("--dry-run")
    assert told["hub"] is None
    assert "not logged in" in told["not_asked"]


def test_a_free_account_learns_its_ways_out_before_pruning(hub: HubServer, publish: Command) -> None:
    hub.site.free = True
    refused = publish(code=3)
    for way in ("--space-hardware zero-a10g", "paid plan", "--no-space"):
        assert way in refused["remedy"]
    assert not list(Path("releases").rglob("*.safetensors"))
    assert hub.store.repo("models", ID) is None
    more = ["--space-hardware", "zero-a10g", "--gated", "manual", "--collection", "Pruned", "--show-unasked"]
    published = publish(*more)["published"]
    assert (published["tag"], published["space_stage"]) == ("v1", "RUNNING")
    assert "/collections/ada/pruned-" in published["collection"]
    assert hub.store.repo("models", ID).gated == "manual"


def test_a_proposal_comes_as_a_pull_request_or_on_a_branch(hub: HubServer, release: Command, built: Path) -> None:
    proposed = release("push", str(built), "--pr")
    assert proposed["pull_requests"][0] == f"{hub.url}/{ID}/discussions/1"
    release("push", str(built), "--revision", "second")
    assert on_hub(hub.store, "models", "second", ID) == contents(built / "model")
    assert hub.store.repo("models", ID).private


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["--gated", "maybe"], "--gated 'maybe'"),
        (["--pr", "--revision", "dev"], "exclude each other"),
        (["--space-hardware", "cray"], "no Space hardware 'cray'"),
        (["--to", "vera"], "may not write to 'vera'"),
    ],
)
def test_a_way_that_is_not_understood_is_refused(
    hub: HubServer, release: Command, built: Path, words: list[str], seen: str
) -> None:
    assert seen in release("push", str(built), *words, code=2)["error"]
    assert hub.store.repo("models", ID) is None


def card_on_hub(hub: HubServer) -> str:
    return on_hub(hub.store, "models", repo_id=ID)["README.md"].decode()


def edit_on_hub(hub: HubServer, change: Callable[[str], str]) -> None:
    """Write in the card on the Hub's pages, as a person would."""
    api = HfApi(endpoint=hub.url, token=hub.token)
    content = change(card_on_hub(hub)).encode()
    api.upload_file(path_or_fileobj=content, path_in_repo="README.md", repo_id=ID, commit_message="By hand")


def test_words_written_on_the_hub_survive_publishing_again_and_come_back_here(
    hub: HubServer, release: Command, built: Path
) -> None:
    release("push", str(built), "--no-space")
    edit_on_hub(hub, lambda card: card.replace("tags:\n", "tags:\n- my-lab\n", 1) + "\n## Notes\n\nMine.\n")
    again = release("push", str(built), "--no-space")
    assert again["changed"]
    assert card_on_hub(hub).endswith("\n## Notes\n\nMine.\n")
    assert "- my-lab\n" in card_on_hub(hub)
    assert (built / "model" / "README.md").read_text(encoding="utf-8") == card_on_hub(hub)
    assert not release("push", str(built), "--no-space")["changed"]
    assert release("verify", str(built))["ok"]


def test_a_card_written_anew_stays_made_for_where_it_was_published(
    hub: HubServer, release: Command, built: Path
) -> None:
    release("push", str(built), "--no-space", "--gated", "auto")
    published = card_on_hub(hub)
    assert not release("card", str(built), "--diff")["changed"]
    release("card", str(built))
    assert (built / "model" / "README.md").read_text(encoding="utf-8") == published


def test_an_edit_of_what_is_generated_is_shown_and_not_overwritten(
    hub: HubServer, release: Command, built: Path
) -> None:
    release("push", str(built), "--no-space")
    edit_on_hub(hub, lambda card: card.replace("30.00\u00a0%", "50.00\u00a0%", 1))
    edited = card_on_hub(hub)
    refused = release("push", str(built), "--no-space", code=2)
    assert "README.md on the Hub: line" in refused["error"]
    assert "50.00 % stands where the record says 30.00 %" in refused["error"]
    assert card_on_hub(hub) == edited


def test_a_dry_push_shows_how_the_card_would_change(hub: HubServer, release: Command, built: Path) -> None:
    release("push", str(built), "--no-space")
    card = built / "model" / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nHello.\n", encoding="utf-8")
    model, *_ = release("push", str(built), "--no-space", "--dry-run")["repos"]
    assert "+Hello." in model["card_diff"]
    assert "Hello." not in card_on_hub(hub)


def test_a_gate_has_its_form_and_keeps_it(hub: HubServer, release: Command, built: Path) -> None:
    release("push", str(built), "--no-space", "--gated", "auto")
    assert "extra_gated_fields" in card_on_hub(hub)
    release("push", str(built), "--no-space")
    assert "extra_gated_fields" in card_on_hub(hub)
