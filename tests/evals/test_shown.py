"""An evaluation that is added shows everywhere, and nothing that shows it is edited.

A copy of the source gets one folder and one row; the card and the screen of a record with its result are read there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = {
    "__init__.py": '"""Vowels in what a model says."""\n',
    "row.py": '''"""Vowels as an evaluation."""

from release.evals.claim import Claim, Finding
from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, Line
from release.evals.metric import Hub, Metric
from release.frozen import Frozen
from release.values import DataSource, Estimate


class Vowels(Frozen):
    """The share of vowels, dense and pruned."""

    data: DataSource
    dense: float
    pruned: float
    change: Estimate
    items: int


SHARE = Metric(
    key="vowel_share", label="Share of vowels", phrase="vowels", screen="vowels", headline="Vowels, spoken",
    claim="more_vowels", hub=Hub("vowels", "Share of vowels"),
)


def more(_, measurements):
    found = measurements.get("vowels")
    return Finding("not measured", "none") if found is None else Finding("supported", "vowels 0.4000 → 0.5000")


CLAIMS = (Claim("more_vowels", "vowels", ("measurements.vowels.change",), more),)
VOWELS = Eval(
    key="vowels",
    title="Vowels",
    result=Vowels,
    metrics=(SHARE,),
    work_module="release.evals.vowels.row",
    claims_module="release.evals.vowels.row",
    lines=lambda found: (Line(SHARE, found.dense, found.pruned, found.change, found.items),),
    sources=lambda found: (Attribution(found.data, "Words", "Words", "Nobody (2026)", facts={"seed": 7}),),
    bibliography=lambda _: ("vowels",),
    task=HubTask("text-generation", "Text generation"),
)
''',
    "card.md.j2": """{% macro measured(results) %}
### Vowels

{% for found in results %}
{{ found.items | count }} words were spoken.
{% endfor %}

{% endmacro %}
{% macro limits(results) %}
- **Vowels** are counted as letters.
{% endmacro %}
""",
    "claims.yaml": """more_vowels:
  title: more vowels
  supported: There are more vowels.
  contradicted: There are no more vowels.
  inconclusive: There may be more vowels.
  not measured: Vowels were not counted.
""",
    "vowels.bib": "@misc{vowels2026,\n  title = {Vowels},\n}\n",
}
SHOW = """
import json
from pathlib import Path
from release.card.render import render
from release.evals.claims import decide
from release.report import show_measurements
from release.schema.record import Record

golden = json.loads(Path("release.json").read_text(encoding="utf-8"))
data = {"name": "Common words", "origin": "https://example.org/words", "revision": "v1", "licence": "CC0-1.0"}
golden["measurements"]["vowels"] = {
    "data": data | {"sha256": "ab" * 32}, "dense": 0.4, "pruned": 0.5, "items": 90,
    "change": {"value": 0.1, "low": 0.05, "high": 0.15},
}
record = Record.model_validate(golden)
record = record.model_copy(update={"claims": decide(record.audit, record.measurements)})
del golden["measurements"]["vowels"]
for name, each in (("card.md", record), ("without.md", Record.model_validate(golden))):
    with open(name, "w", encoding="utf-8") as file:
        file.write(render(each).replace("\u00a0", " "))
show_measurements(record.measurements, as_json=False)
"""


class Shown(NamedTuple):
    """The card of a release with the result, that of one without, and the first on screen."""

    card: str
    without: str
    screen: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What is shown of a release that has the added evaluation's result, and of one that has not."""
    copy = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "release", copy / "release")  # what is compiled too: that saves a second or two
    shutil.copytree(ROOT / "templates", copy / "templates")
    shutil.copy(ROOT / "tests" / "goldens" / "smollm2-135m-instruct-random-s10" / "release.json", copy)
    for name, text in FOLDER.items():
        path = copy / "release" / "evals" / "vowels" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    registry = copy / "release" / "evals" / "registry.py"
    row = "from release.evals.vowels.row import VOWELS\n\nEVALS: tuple[Eval[Any], ...] = (VOWELS, "
    registry.write_text(registry.read_text(encoding="utf-8").replace("\nEVALS: tuple[Eval[Any], ...] = (", row))
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    cards = ((copy / name).read_text(encoding="utf-8") for name in ("card.md", "without.md"))
    return Shown(*cards, done.stdout)


PLACES = {
    "glance": "| Vowels, spoken | 0.4000 | 0.5000 | +0.1000 | +0.0500 to +0.1500 | ●&nbsp;more vowels: supported |\n",
    "measured": "\n### Vowels\n\n90 words were spoken.\n\n",
    "claims": "| More vowels | ●&nbsp;supported | – | – | vowels 0.4000 → 0.5000 |\n",
    "limits": "\n- **Vowels** are counted as letters.\n",
    "licence": (
        "\n- **Words.** Common words, <https://example.org/words>, revision `v1`, by Nobody (2026), licence CC0-1.0.\n"
    ),
    "citation": "@misc{vowels2026,\n",
    "reproducibility": f"\n| Words | SHA-256 `{'ab' * 32}`; seed 7 |\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_an_added_evaluation_stands_on_the_card(shown, place):
    assert PLACES[place] in shown.card


def test_an_added_evaluation_stands_in_the_front_matter(shown):
    (index,) = yaml.safe_load(shown.card.split("\n---\n")[0][4:])["model-index"]
    (found,) = [result for result in index["results"] if result["dataset"]["type"] == "common-words"]
    assert found == {
        "task": {"type": "text-generation", "name": "Text generation"},
        "dataset": {"type": "common-words", "name": "Common words", "revision": "v1"},
        "metrics": [{"type": "vowels", "value": 0.5, "name": "Share of vowels"}],
    }


def test_an_added_evaluation_stands_on_screen(shown):
    rows = {line.split("  ")[0]: line.split() for line in shown.screen.splitlines()}
    assert rows["vowels"] == ["vowels", "0.400", "0.500", "+0.100", "+0.050", "…", "+0.150", "90"]


def test_an_added_evaluation_does_not_stand_where_it_was_not_measured(shown):
    assert "owels" in shown.card
    assert "owels" not in shown.without
