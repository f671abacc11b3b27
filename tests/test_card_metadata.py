"""The front matter states what the base states and what was measured, and nothing else."""

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings

from release.card.metadata import dump, front_matter, gate
from release.card.render import render
from release.card.rules import broken
from release.schema.record import Licence
from tests.random_records import records
from tests.records import bbq_data, example_base, example_record, unmeasured


def metadata(card: str) -> dict[str, object]:
    return yaml.safe_load(card[4 : card.index("\n---\n")])


@settings(max_examples=40, deadline=None)
@given(records())
def test_any_front_matter_reads_back_as_it_was(record):
    facts = front_matter(record)
    assert broken(facts) == []
    assert yaml.safe_load(dump(facts)) == facts


def test_no_string_can_hold_a_line_that_ends_the_front_matter():
    facts = {"license_name": "x\n---\ny"}
    assert dump(facts).count("\n") == 1
    assert yaml.safe_load(dump(facts)) == facts


def test_the_tags_name_topic_method_and_paper():
    expected = {"pruned", "pruning", "random", "unstructured-pruning", "bias-evaluation", "llm-compression"}
    assert {*expected, "research-only", "arxiv:2605.08137"} <= set(metadata(render(example_record()))["tags"])


def test_the_hubs_own_reader_finds_the_results():
    data = ModelCard(render(example_record())).data
    assert data.base_model == "microsoft/Phi-3.5-mini-instruct"
    assert data.get("datasets") is None
    found = {(result.dataset_type, result.metric_type, result.metric_value) for result in data.eval_results}
    assert {
        ("oskarvanderwal/bbq", name, value)
        for name, value in (("srs", 0.0704), ("s_amb", 0.0384), ("accuracy", 0.8575))
    } <= found
    assert ("wikipedia-sentences-of-bold-evaluation-half", "perplexity", 9.31) in found


def test_nothing_is_stated_that_the_base_does_not_state():
    base = example_base(on_hub=False, licence=Licence(), languages=())
    facts = metadata(render(unmeasured(base=base)))
    absent = {"license", "license_name", "license_link", "base_model", "base_model_relation", "language", "model-index"}
    assert absent & set(facts) == set()
    assert "states no license" in render(unmeasured(base=base))


def test_another_licence_keeps_its_name_and_link():
    licence = Licence(id="other", name="gemma", link="https://ai.google.dev/gemma/terms")
    card = render(example_record(base=example_base(licence=licence)))
    facts = metadata(card)
    assert (facts["license"], facts["license_name"], facts["license_link"]) == ("other", licence.name, licence.link)
    assert "gemma (<https://ai.google.dev/gemma/terms>)" in card


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"library_name": None}, "library_name is missing"),
        ({"pipeline_tag": None}, "pipeline_tag is missing"),
        ({"license": "MIT License"}, "no license's id"),
        ({"license": "other"}, "license_name or license_link is missing"),
        ({"base_model": "no id"}, "no Hub id"),
        ({"base_model_relation": "pruned"}, "none of finetune"),
        ({"base_model": None}, "has no base_model"),
        ({"language": ["English"]}, "no ISO 639 code"),
        ({"language": [False]}, "no ISO 639 code"),
        ({"tags": ["a", "a"]}, "one stands twice"),
        ({"model-index": [{"name": "x"}]}, "no results"),
        ({"model-index": [{"name": "x", "results": [{"metrics": [{"type": "a", "value": "b"}]}]}]}, "no finite value"),
        ({"extra_gated_fields": {"Name": "tekst"}}, "no kind the Hub knows"),
    ],
)
def test_every_rule_of_the_hub_is_asked(changes, says):
    facts = front_matter(example_record()) | gate()
    assert broken(facts) == []
    changed = {name: value for name, value in (facts | changes).items() if value is not None}
    assert any(says in problem for problem in broken(changed))


def test_a_licence_with_words_of_its_own_is_other():
    card = render(example_record(base=example_base(licence=Licence(id="My Licence", file="LICENSE"))))
    facts = metadata(card)
    assert (facts["license"], facts["license_name"], facts["license_link"]) == ("other", "My Licence", "LICENSE")


def test_every_score_that_was_measured_is_among_the_results():
    (bbq, text) = metadata(render(example_record()))["model-index"][0]["results"]
    assert [m["type"] for m in bbq["metrics"]] == [
        "accuracy",
        "accuracy",
        "srs",
        "usr",
        "anti_stereotype_rate",
        "s_amb",
    ]
    assert (bbq["dataset"]["revision"], [m["type"] for m in text["metrics"]]) == (bbq_data().revision, ["perplexity"])
