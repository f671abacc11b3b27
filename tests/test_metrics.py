"""One table names every metric; whoever shows one reads it there."""

import re
from pathlib import Path

import pytest

from release.evals.bbq.metrics import SCORES
from release.evals.bbq.scores import FORMULAS
from release.evals.claims import CLAIMS
from release.evals.metrics import METRICS, phrase
from release.evals.registry import BY_KEY
from release.resources import resource
from release.space import data

APP = Path(__file__).parent.parent / "spaces" / "compare"
READERS = [
    *(
        "release/report/measurements.py",
        "release/card/metadata.py",
        "release/evals/bbq/rules.py",
        "release/card/templates.py",
    ),
    *("spaces/compare/records.py", "spaces/compare/cards.py", "spaces/compare/grid.py", "spaces/compare/page.py"),
    *("templates/macros.md.j2", "templates/card/measured.md.j2", "templates/card/glance.md.j2"),
    *(f"release/evals/{key}/card.md.j2" for key in BY_KEY),
]


def test_every_score_has_a_row():
    assert {metric.key for metric in SCORES} == FORMULAS.keys()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_verdict_beside_a_headline_is_a_claim_s(metric):
    assert (metric.claim is None) == (metric.headline is None)
    assert metric.claim is None or metric.claim in {claim.key for claim in CLAIMS}


def test_no_two_metrics_have_a_name_in_common():
    for name in ("label", "phrase", "screen", "headline", "hub"):
        names = [found for metric in METRICS.values() if (found := getattr(metric, name)) is not None]
        unlike = {str(found) for found in names}
        assert len(unlike) == len(names), name


@pytest.mark.parametrize(("name", "text"), data.files().items())
def test_the_data_of_the_space_is_the_tables(name, text, request):
    if request.config.getoption("--refresh"):
        (APP / name).write_text(text, encoding="utf-8")
    stored = (APP / name).read_text(encoding="utf-8")
    assert stored == text, "run pytest with --refresh after a change to a row"


@pytest.mark.parametrize("name", READERS)
def test_no_reader_has_a_name_of_its_own(name):
    folder, _, rest = name.partition("/")
    root = Path(__file__).parent.parent if folder == "release" else resource(folder).parent
    text = (root / folder / rest).read_text(encoding="utf-8")
    labels = {
        found
        for metric in METRICS.values()
        for found in (metric.label, metric.headline, metric.hub and metric.hub.name)
    }
    assert not [label for label in labels if label and re.search(rf"[\"'|] ?{re.escape(label)}", text)]


def test_a_metric_without_a_row_is_named_by_its_key():
    assert (phrase("s_dis"), phrase("log_perplexity")) == ("s_DIS", "log perplexity")
