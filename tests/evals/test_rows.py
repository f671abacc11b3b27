"""Every evaluation is a row: what it says of itself holds, and to read it takes neither numpy nor torch."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from release.card.templates import bibliography
from release.evals.claims import CLAIMS, wording
from release.evals.metrics import METRICS
from release.evals.registry import BY_KEY, EVALS
from release.schema.measurements import Measurements
from tests.records import example_measurements

ROWS = pytest.mark.parametrize("row", EVALS, ids=lambda row: row.key)


def test_no_two_rows_have_a_key_in_common():
    assert len(BY_KEY) == len(EVALS)


def test_the_table_of_metrics_is_the_union_over_rows():
    assert list(METRICS.values()) == [metric for row in EVALS for metric in row.metrics]


def test_every_claim_of_a_row_has_words_and_stands_in_their_order():
    assert [claim.key for claim in CLAIMS] == list(wording())
    assert {claim.key for row in EVALS for claim in row.claims} <= wording().keys()


@ROWS
def test_a_claim_rests_on_its_own_evaluation_alone(row):
    others = {f"measurements.{key}" for key in BY_KEY.keys() - {row.key}}
    for claim in row.claims:
        assert not {field for field in claim.fields if ".".join(field.split(".")[:2]) in others}, claim.key


@ROWS
def test_a_result_names_its_data_and_its_papers(row):
    found = getattr(example_measurements(), row.key)
    if found is not None:
        assert isinstance(found, row.result)
        assert all(len(source.data.sha256) == 64 for source in row.sources(found))
        assert not row.bibliography(found) or bibliography().keys() & set(row.bibliography(found))


@ROWS
def test_a_line_of_a_result_is_one_of_the_row_s_metrics(row):
    for found in row.results(example_measurements()):
        lines = list(row.lines(found))
        assert lines
        assert {line.metric.key for line in lines} <= {metric.key for metric in row.metrics}


def test_the_rows_are_read_without_numpy_and_torch():
    code = "import release.evals.registry, sys; print({'numpy', 'torch', 'gradio'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_an_evaluation_without_a_row_is_refused_in_a_record():
    data = json.loads(example_measurements().model_dump_json()) | {"horoscope": {}}
    with pytest.raises(ValidationError, match="horoscope"):
        Measurements.model_validate(data)


@ROWS
def test_a_result_is_read_back_as_the_record_of_its_row(row):
    measured = example_measurements()
    again = Measurements.model_validate_json(measured.model_dump_json())
    assert again == measured
    assert again.get(row.key) == measured.get(row.key)
    assert again.get(row.key) is None or isinstance(again.get(row.key), row.result)


@ROWS
def test_what_was_switched_off_has_no_result(row):
    if not row.always:
        assert example_measurements(**{row.key: None}).get(row.key) is None
        left = json.loads(example_measurements().model_dump_json())
        del left[row.key]
        assert Measurements.model_validate(left).get(row.key) is None


def test_a_fault_inside_a_result_is_named_by_its_place():
    data = json.loads(example_measurements().model_dump_json())
    data["storage"]["dense_bytes"] = "many"
    with pytest.raises(ValidationError) as caught:
        Measurements.model_validate(data)
    assert [error["loc"] for error in caught.value.errors()] == [("storage", "dense_bytes")]
