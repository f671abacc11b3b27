"""`hf release …`: found, installed and run by the real Hub client, with a stand-in for GitHub."""

import json
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from huggingface_hub.cli.extensions import ExtensionManifest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "extension" / "hf-release"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HF = """
import sys, httpx2
from pathlib import Path
from huggingface_hub import set_client_factory
from huggingface_hub.cli.hf import main

PAGES = {
    "https://github.com/me/hf-release": b"",
    "https://raw.githubusercontent.com/me/hf-release/HEAD/hf-release": Path(sys.argv.pop(1)).read_bytes(),
    "https://github.com/me/hf-release.git/info/refs": b"015f%s HEAD\\0multi_ack" % sys.argv.pop(1).encode(),
}

def answer(request):
    page = PAGES.get(str(request.url).split("?")[0])
    return httpx2.Response(404 if page is None else 200, content=page or b"")

set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(answer), follow_redirects=True))
sys.argv[0] = "hf"
main()
"""
"""The real client, with a stand-in for GitHub's answers."""


class User:
    """Somebody's home and PATH."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.programs = home / "bin"
        self.programs.mkdir()
        self.extension = home / ".local" / "share" / "hf" / "extensions" / "hf-release"

    def hf(self, *words: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env = kept | {"HOME": str(self.home), "PATH": f"{self.programs}{os.pathsep}{os.defpath}"}
        env |= {"HF_HUB_DISABLE_UPDATE_CHECK": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        command = [sys.executable, "-c", HF, str(SCRIPT), COMMIT, *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    def has(self, name: str) -> Path:
        """Lay a console script as pip does, by what pyproject.toml declares under this name."""
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"][name]
        module, function = declared.split(":")
        path = self.programs / name
        path.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        path.chmod(0o755)
        return path


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_the_script_is_installed_by_the_client_and_runs_the_release_that_is_there(user):
    user.has("release")
    installed = user.hf("extensions", "install", "me/hf-release")
    assert installed.returncode == 0, installed.stderr
    assert (user.extension / "hf-release").read_bytes() == SCRIPT.read_bytes()
    manifest = ExtensionManifest.load(user.extension)
    assert (manifest.type, manifest.commit_sha) == ("binary", COMMIT)
    said = user.hf("release", "methods", "--json")
    assert said.returncode == 0, said.stderr
    assert "random" in [each["key"] for each in json.loads(said.stdout)["methods"]]


def test_without_release_the_script_says_how_to_install_it(user):
    assert user.hf("extensions", "install", "me/hf-release").returncode == 0
    said = user.hf("release", "verify", "org/name")
    assert (said.returncode, said.stdout) == (2, "")
    assert "not installed" in said.stderr


def test_the_package_s_own_entry_point_is_what_the_client_runs_with_words_and_exit_codes_unchanged(user):
    manifest = ExtensionManifest(
        owner="me",
        repo="hf-release",
        repo_id="me/hf-release",
        short_name="release",
        executable_path=str(user.has("hf-release")),
        type="python",
        installed_at=datetime.now(UTC),
    )
    manifest.save(user.extension)
    assert "hf release" in user.hf("extensions", "list").stdout
    said = user.hf("release", "verify", "no such folder/x/y")
    assert said.returncode == 2
    assert said.stderr.splitlines()[1].startswith("Error: ")


def test_release_is_no_command_of_the_client_itself(user):
    assert "unknown" in (said := user.hf("release")).stderr.lower() or "no such command" in said.stderr.lower()
