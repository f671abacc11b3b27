"""What is shipped, and what the documents say of it."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from itertools import chain
from pathlib import Path

import pytest
import yaml

from release import __version__
from release.__main__ import run
from release.cli import parser
from release.digests import sha256_file
from release.extras import EXTRAS
from release.pruning.registry import METHODS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LONGEST_README = 900
"""Words; a stranger reads it to the end."""


def tracked(*folders: str) -> set[str]:
    paths = (p for folder in folders for p in (ROOT / folder).rglob("*"))
    return {p.relative_to(ROOT).as_posix() for p in paths if p.is_file() and "__pycache__" not in p.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_ships_templates_and_spaces_and_no_tests(wheel):
    names = set(wheel.namelist())
    assert {f"release/{name}" for name in tracked("templates", "spaces")} <= names
    assert tracked("release") <= names
    assert "release/py.typed" in names
    assert not [name for name in names if not name.startswith(("release/", "prunecard-"))]


def test_the_wheel_tells_an_index_what_it_is(wheel):
    [path] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    told = message_from_string(wheel.read(path).decode())
    assert (told["Name"], told["Version"]) == ("prunecard", __version__)
    assert (told["License-Expression"], told.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    assert told["Keywords"]
    assert "Typing :: Typed" in told.get_all("Classifier")
    assert set(EXTRAS) <= set(told.get_all("Provides-Extra"))
    [programs] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert {"release", "prunecard", "hf-release"} <= set(re.findall(r"^(\S+) =", wheel.read(programs).decode(), re.M))


def test_the_long_description_has_every_section_and_no_link_that_an_index_cannot_follow(wheel):
    [path] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    shown = message_from_string(wheel.read(path).decode()).get_payload()
    assert re.findall(r"^## .*", shown, re.MULTILINE) == re.findall(r"^## .*", README, re.MULTILINE)
    assert {link for link in re.findall(r"\]\(([^)]+)\)", shown) if not link.startswith("https://")} == set()
    assert "docs/first-run.md" in shown


def test_an_installed_wheel_finds_its_templates(tmp_path):
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]);"
        "from release.resources import resource;"
        "print(resource('templates')); print(resource('spaces'))"
    )
    package = tmp_path / "release"
    package.mkdir()
    for name in ("__init__.py", "lazily.py", "resources.py"):
        (package / name).write_bytes((ROOT / "release" / name).read_bytes())
    for name in ("templates", "spaces"):
        (package / name).mkdir()
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert out.stdout.split() == [str(package / "templates"), str(package / "spaces")]


@pytest.mark.quick_rows(1)
@pytest.mark.parametrize("arguments", [["--help"], ["publish", "--help"], ["methods"]])
def test_light_commands_load_no_heavy_library(arguments):
    code = (
        "import sys; from release.__main__ import run; code = run(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'gradio', 'matplotlib', 'huggingface_hub', 'pyarrow'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_documents_exists(capsys):
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = set(re.findall(r"release ([a-z]+)\b", " ".join(re.findall(r"`(release [^`\n]+)`", text))))
    commands |= set(re.findall(r"^release ([a-z]+) ", text, re.MULTILINE))
    assert len(commands) >= 12
    for command in commands:
        assert run([command, "--help"]) == 0, command


def test_every_command_is_on_the_page_of_commands():
    for command in parser().commands:
        assert f"release {command}" in COMMANDS


def test_the_readme_is_short():
    assert len(README.split()) <= LONGEST_README


def test_the_citation_and_the_forms_are_what_their_readers_understand():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == __version__
    assert {"cff-version", "message", "title", "authors", "license"} <= cited.keys()
    for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        told = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= told.keys()
        assert all(part["type"] in ("input", "textarea") and part["attributes"]["label"] for part in told["body"])


def test_the_site_has_every_page():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = [page for entry in nav for page in ([*chain(*entry.values())] if isinstance(entry, dict) else [entry])]
    assert sorted(pages) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_file_of_the_tree_exists():
    tree = CONTRIBUTING.split("## File tree")[1].split("```")[1]
    folder = ""
    for line in tree.splitlines()[1:]:
        name = line.split()[0] if line.split() else ""
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        if name.endswith(("/", ".py")):
            assert (ROOT / (folder if line.startswith(" ") else "") / name).exists(), name


@pytest.mark.parametrize("key", METHODS)
def test_every_method_has_its_paragraph(key):
    assert (ROOT / "templates" / "methods" / f"{key}.md.j2").is_file()


@pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.paper])
def test_every_method_with_a_paper_has_its_citation(key):
    text = (ROOT / "templates" / "citation" / f"{key}.bib").read_text(encoding="utf-8")
    assert METHODS[key].paper.url in text


LIGHT = ("torch", "transformers", "accelerate", "gguf", "scipy", "pyarrow", "matplotlib", "gradio", "mcp")
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {light}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from release.__main__ import run
sys.exit(run(sys.argv[1:]))
"""


def run_without_extras(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where no extra is installed."""
    code = WITHOUT.format(light=set(LIGHT))
    return subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def _named(requirements: list[str]) -> set[str]:
    return {re.split(r"[>=\[; ]", one)[0] for one in requirements}


def test_extras_bring_what_the_base_install_lacks():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {
        extra: {re.split(r"[>=\[; ]", one)[0] for one in held}
        for extra, held in declared["optional-dependencies"].items()
    }
    base = {re.split(r"[>=\[; ]", one)[0] for one in declared["dependencies"]}
    assert not base & set(LIGHT)
    for extra, packages in EXTRAS.items():
        assert extra in names
        assert len(names[extra]) >= len(packages) - 1
    assert set(LIGHT) <= names["torch"] | names["demo"]


@pytest.mark.long
def test_the_base_install_checks_a_release_and_says_what_it_could_not(tmp_path, llama, capsys):
    out = tmp_path / "pruned"
    assert run(["prune", str(llama), "-m", "random", "-s", "30%", "-o", str(out)]) == 0
    capsys.readouterr()
    done = run_without_extras("verify", str(out), "--base", str(llama), "--json")
    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["kept weights"]["ok"] is True
    rebuilt = run_without_extras("rebuild", str(out), "--base", str(llama), "--out", str(tmp_path / "again"))
    assert rebuilt.returncode == 0, rebuilt.stderr
    for made in out.glob("*.safetensors"):
        assert sha256_file(tmp_path / "again" / made.name) == sha256_file(made)
    assert run_without_extras("card", str(out)).returncode == 0


@pytest.mark.parametrize("words", [["publish", "demo", "-m", "random", "-s", "10%", "--local"], ["demo", "nowhere"]])
def test_a_command_whose_part_is_missing_says_which_extra_brings_it(words):
    done = run_without_extras(*words)
    assert done.returncode == 2
    assert ("pip install 'prunecard[torch]'" in done.stderr) == (words[0] == "publish"), done.stderr
