"""What a foreign card claims about zeros: found line by line, held against the files, whatever the text is."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.card.foreign import LONGEST_CARD, MOST_CLAIMS, Held, claims, compare

THIRD = Held(prunable=3_623_878_656, zeros=1_207_959_552, parameters=3_821_079_552, all_zeros=1_207_959_600)
"""What the study's "Wanda, 50 %" release really holds: a third."""

TRUE = [
    "Actual sparsity achieved: 33.33%",
    "• Actual sparsity achieved: 33.33 %",
    "- **Actual sparsity:** 33.3333%",
    "| Actual sparsity | 33.33 % |",
    "| **Sparsity** | `0.333` |",
    "target_sparsity: 0.333",
    "Sparsity: 33",
    "Sparsity: 33,3 %",
    "Overall sparsity (all parameters) = 31.6 %",
    "Pruning ratio: ~33.3 percent",
    "Zeroed parameters: 1,207,959,552 of 3,623,878,656 prunable (33.33%)",
    "* Zeroed weights: 1.21B / 3.62B (33.3%)",
    "Zeroed parameters: 1 207 959 552 out of 3 821 079 552",
    "Prunable parameters: 3623878656",
    "Pruned weights: 33.3%",
    "# Mistral, Wanda pruning at 33% target sparsity",
    "Sparsity: 0 % → 33.33 %",
    "Sparsity: 0% -> **33.33%**",
]
FALSE = [
    "Target sparsity: 50%",
    "Actual sparsity achieved: 50.00%",
    "Actual sparsity achieved: 33.34%",
    "| Sparsity | 0.5 |",
    "sparsity: 50",
    "Zeroed parameters: 1,811,939,328 of 3,623,878,656 prunable",
    "Zeroed parameters: 1,207,959,553",
    "Zeroed parameters: 1.8B",
    "Prunable parameters: 7,000,000,000",
    "# Mistral pruned by Wanda, 50% sparsity",
    "Sparsity: 33.33 % → 50.00 %",
]
UNCHECKED = [
    "The paper finds that Wanda at 50% sparsity on Mistral-7B raises perplexity 3.5%.",
    "Sparsity pattern: 2:4",
    "Sparsity: 2:4",
    "Sparsity: unstructured",
    "Sparsity: 10%, 30% and 50%",
    "Sparsity: 10–70%",
    "| Sparsity | 0.00 % | 50.00 % | +50.00 % |",
    "| Zeros | 0 | 1,811,939,328 |",
    "Attention sparsity: 50%",
    "Per-layer sparsity: 50%",
    "q_proj sparsity: 50%",
    "Base sparsity: 0%",
    "# Results at 30% sparsity and at 50% sparsity",
]
SILENT = ["", "Perplexity: 8.94", "Latency 0.158s", "Trained on 50% of the data", "Zero-shot accuracy: 50.1", "50%"]


def answers(card: str, held: Held = THIRD) -> list[bool | None]:
    return [check.ok for check in compare(card, held)]


@pytest.mark.parametrize("line", TRUE)
def test_a_true_claim_agrees(line):
    assert set(answers(line)) == {True}


@pytest.mark.parametrize("line", FALSE)
def test_a_false_claim_disagrees_and_is_named_with_its_line_and_the_truth(line):
    wrong = [check.detail for check in compare(f"\n\n{line}\nMore.", THIRD) if check.ok is False]
    assert wrong
    for detail in wrong:
        assert detail.startswith(f"line 3: “{line}”")
        assert any(truth in detail for truth in ("33.3333 %", "1,207,959,552 zeros", "3,623,878,656 prunable"))


@pytest.mark.parametrize("line", UNCHECKED)
def test_what_the_files_cannot_tell_is_said_to_be_unchecked(line):
    [check] = compare(line, THIRD)
    assert check.ok is None
    assert "not checked: " in check.detail


@pytest.mark.parametrize("line", SILENT)
def test_what_is_no_claim_is_passed_over(line):
    assert [check.detail for check in compare(line, THIRD)] == [
        "it states no sparsity and no count that is understood here"
    ]


def test_what_stands_in_a_code_block_is_no_claim():
    assert answers("```python\nsparsity = 0.9\n```\nSparsity: 33%") == [True]


def test_the_results_of_the_front_matter_are_found_on_their_lines():
    card = """---
license: mit
model-index:
- name: tiny
  results:
  - task: {type: text-generation}
    metrics:
    - type: perplexity
      value: 8.94
    - {type: sparsity, value: 50.0, name: Sparsity}
---
"""
    said = compare(card, THIRD)
    assert [check.ok for check in said] == [None, False]
    assert "line 8: “perplexity: 8.94” is not checked" in said[0].detail
    assert said[1].detail.startswith("line 10: “Sparsity: 50.0”: 50 % is stated")


def test_zeros_that_the_base_had_may_be_left_out_of_a_count():
    known = Held(prunable=1000, zeros=310, parameters=1200, all_zeros=310, zeros_before=10)
    assert answers("Zeroed parameters: 300", known) == [True]
    assert answers("Zeroed parameters: 299", known) == [False]
    assert answers("Zeroed parameters: 300", Held(1000, 310, 1200, 310)) == [False]


counts = st.integers(1, 10**12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(counts, st.integers(0, 4), st.sampled_from(["{:,} of {:,}", "{} / {}", "{:,} out of {:,} prunable"]))
def test_whatever_the_files_hold_the_card_that_says_so_agrees(held, digits, form):
    prunable, zeros = held
    card = f"Sparsity: {100 * zeros / prunable:.{digits}f}%\nZeroed parameters: {form.format(zeros, prunable)}"
    assert set(answers(card, Held(prunable, zeros, prunable, zeros))) == {True}


@given(counts, st.integers(1, 10**6))
def test_a_count_that_is_off_by_any_number_disagrees(held, off):
    prunable, zeros = held
    card = f"Zeroed parameters: {zeros + off:,} of {prunable:,}"
    assert answers(card, Held(prunable, zeros, prunable, zeros)) == [False, True]


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_whole_per_cent_agrees_only_with_what_rounds_to_it(stated, hundredth):
    held = Held(100, hundredth, 100, hundredth)
    assert answers(f"Sparsity: {stated} %", held) == [stated == hundredth]


PIECES = (
    *("---\n", "model-index:", "- ", "results:", "metrics:", "  ", "{", "[", "*a", "&a ", "value: ", "name: sparsity"),
    *("Sparsity: ", "50%", "sparsity", "# ", "|", ": ", "0.5", "1,000", " of ", "(", "```\n", "\n", "\u2028", "\r\n"),
    *("Zeroed parameters: ", "9" * 30, "B", "%", "e", "\x00", "\ud800", "٣", "½", "target", "~", "!!python/object:a "),
)
pieces = st.sampled_from(PIECES)
hostile = st.one_of(st.text(), st.lists(pieces, max_size=40).map("".join))


@pytest.mark.long
@settings(max_examples=400)
@given(hostile)
def test_no_text_makes_it_fail_and_every_claim_stands_on_a_line_of_the_card(card):
    lines = card.split("\n")
    for claim in claims(card):
        assert 1 <= claim.line <= len(lines)
        assert claim.quote.isprintable() or "\ufffd" in claim.quote or not claim.quote
    checks = compare(card, THIRD)
    assert checks
    assert all("\n" not in check.detail for check in checks)


BOMB = "---\nb: &b {}\na: &a {results: [" + "*b, " * 7000 + "]}\nmodel-index: [" + "*a, " * 7000 + "]\n---\n"


@pytest.mark.quick_rows(3)
@pytest.mark.parametrize(
    "card",
    [
        BOMB,
        "---\nmodel-index: " + "[" * 60_000 + "\n---\n",
        "---\nmodel-index: &a [*a]\n---\n",
        "Sparsity: 50%\n" * 100_000,
        "a " * 5_000_000,
        "a" * LONGEST_CARD,
        "|" * LONGEST_CARD,
        pytest.param(("(" * 900 + "%\n") * 1000, marks=pytest.mark.long),
        pytest.param(("sparsity " * 100 + "\n") * 1000, marks=pytest.mark.long),
        pytest.param(("1,111" * 180 + "% sparsity\n") * 1000, marks=pytest.mark.long),
    ],
    ids=range(10),
)
def test_a_card_made_to_be_slow_takes_no_longer_than_a_few_seconds(card):
    started = time.perf_counter()
    assert len(compare(card, THIRD)) <= MOST_CLAIMS + 1
    assert time.perf_counter() - started < 10
