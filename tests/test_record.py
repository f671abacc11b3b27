"""The record: frozen, complete, and in step with its published schema."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from release.schema.record import Record, schema
from tests.random_records import records
from tests.records import example_record

SCHEMA = Path(__file__).parent.parent / "docs" / "release.schema.json"


def test_the_published_schema_is_the_record_s(request):
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--refresh"):
        SCHEMA.write_text(text, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == text, "run pytest with --refresh after a change to record.py"


@settings(max_examples=40)
@given(records())
def test_a_record_reads_back_as_it_was_written(record):
    assert Record.model_validate_json(record.to_json()) == record


def test_a_record_cannot_be_changed():
    record = example_record()
    with pytest.raises(ValidationError):
        record.name = "other"


@pytest.mark.parametrize("key", ["home", "user", "host"])
def test_a_record_refuses_fields_it_does_not_know(key):
    data = json.loads(example_record().to_json()) | {key: "x"}
    with pytest.raises(ValidationError):
        Record.model_validate(data)


def test_the_date_alone_makes_no_other_record():
    record = example_record()
    later = record.model_copy(update={"created": "2030-01-01"})
    assert record.same_but_date(later)
    assert not record.same_but_date(later.model_copy(update={"name": "other"}))
