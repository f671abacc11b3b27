"""The Space in a real browser, as a visitor sees it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from release import space
from release.card import render
from release.record import FILE_NAME
from tests.records import example_record
from tests.space_fixtures import app_command, checkpoint, serving, variable

pytestmark = pytest.mark.browser

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
OWN = "document.title='owned'"
HOSTILE = f'<img src=x onerror="{OWN}"><script>{OWN}</script> **bold** [l](javascript:1)'
EXAMPLE = {"prompt": "Who was not comfortable using the phone?", "category": "Age", "example_id": "0"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release folder as the pipeline leaves it, of a tiny model."""
    folder = tmp_path_factory.mktemp("release")
    checkpoint(folder / "model", zeroed=0.5)
    (folder / "model" / FILE_NAME).write_text(example_record().to_json())
    (folder / "model" / "README.md").write_text(render(example_record()))
    space.build(example_record(), folder / "space", "tiny/dense", "tiny/pruned", [EXAMPLE])
    return folder


@pytest.fixture(scope="module")
def url(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    dense = checkpoint(tmp_path_factory.mktemp("base") / "dense")
    variant = checkpoint(tmp_path_factory.mktemp("other") / "variant", zeroed=0.2)
    card = f"# {HOSTILE}\n\n## Pruning configuration\n| | |\n|-|-|\n| Method | {HOSTILE} |\n"
    (variant / "README.md").write_text(card)
    models = {"COMPARE_MODELS": variable(dense, release / "model", variant)}
    with serving(app_command(release / "space"), models) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda call: None if call.url.startswith((url, "data:", "blob:")) else troubles.append(call.url))
    page.goto(url, wait_until="domcontentloaded")
    expect(page.get_by_role("button", name="Compare")).to_be_visible()
    yield page
    page.close()
    assert not troubles


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_role("button", name="Compare").click()


WATCH = """() => {
  window.seen = {dense: [], pruned: []};
  const look = side => [...document.querySelectorAll(`#${side} [data-testid=bot]`)].at(-1)?.innerText.trim() ?? "";
  new MutationObserver(() => {
    for (const side of ["dense", "pruned"]) {
      const text = look(side);
      if (text && text !== window.seen[side].at(-1) && !text.includes("Loading")) window.seen[side].push(text);
    }
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


SETTLED = """() => new Promise(resolve => {
  let timer;
  const again = () => { clearTimeout(timer); timer = setTimeout(() => { watch.disconnect(); resolve(); }, 800); };
  const watch = new MutationObserver(again);
  for (const side of ["dense", "pruned"])
    watch.observe(document.getElementById(side), {subtree: true, childList: true, characterData: true});
  again();
})"""
"""Both conversations have stood still for a while: nothing streams any more."""


def await_answers(page: Page, turns: int) -> None:
    for side in ("dense", "pruned"):
        answers = page.locator(f"#{side} [data-testid=bot]")
        expect(answers).to_have_count(turns, timeout=20_000)
        expect(answers.last).not_to_have_text(re.compile(r"^\s*$|Loading the model"), timeout=20_000)
    page.evaluate(SETTLED)


def test_both_answers_stream_word_by_word(page: Page) -> None:
    page.evaluate(WATCH)
    ask(page, "why is the sky blue")
    await_answers(page, turns=1)
    seen = page.evaluate("window.seen")
    for side in ("dense", "pruned"):
        assert len(seen[side]) >= 3
        assert [len(text) for text in seen[side]] == sorted(len(text) for text in seen[side])
    assert seen["dense"][-1] != seen["pruned"][-1]
    expect(page.get_by_label("Question", exact=True)).to_have_value("")


def test_second_turn_keeps_the_first_and_clear_forgets_both(page: Page) -> None:
    ask(page, "why is the sky blue")
    await_answers(page, turns=1)
    page.get_by_label("Question", exact=True).press_sequentially("and the sea", delay=20)
    page.get_by_label("Question", exact=True).press("Enter")
    await_answers(page, turns=2)
    expect(page.locator("#pruned [data-testid=user]")).to_have_text(["why is the sky blue", "and the sea"])
    page.get_by_role("button", name="Clear", exact=True).filter(has_text="Clear").click()
    expect(page.locator("[data-testid=bot], [data-testid=user]")).to_have_count(0)


def test_stop_ends_an_answer_and_the_next_question_still_works(page: Page) -> None:
    page.get_by_text("Decoding").click()
    page.get_by_label("number input for New tokens at most").fill("512")
    ask(page, "why is the sky blue")
    expect(page.locator("#dense [data-testid=bot]")).not_to_have_text(re.compile(r"^\s*$|Loading"))
    page.get_by_role("button", name="Stop").click()
    page.evaluate(SETTLED)
    stopped = page.locator("#dense [data-testid=bot]").last.inner_text()
    ask(page, "again")
    await_answers(page, turns=2)
    assert page.locator("#dense [data-testid=bot]").first.inner_text() == stopped


def test_clear_in_the_middle_of_an_answer_stays_clear(page: Page) -> None:
    page.get_by_text("Decoding").click()
    page.get_by_label("number input for New tokens at most").fill("512")
    ask(page, "why is the sky blue")
    expect(page.locator("#dense [data-testid=bot]")).not_to_have_text(re.compile(r"^\s*$|Loading"))
    page.get_by_role("button", name="Clear", exact=True).filter(has_text="Clear").click()
    page.evaluate(SETTLED)
    expect(page.locator("[data-testid=bot], [data-testid=user]")).to_have_count(0)


def test_the_facts_of_the_card_and_the_warning_stand_on_the_page_before_any_answer(page: Page) -> None:
    expect(page.get_by_role("note")).to_contain_text("Research only")
    facts = page.locator("#facts")
    for text in ("random", "10.00 %", "362,387,866 of 3,623,878,656", "Stereotype Reliance Score", "0.0704", "9.31"):
        expect(facts).to_contain_text(text)
    expect(facts).to_contain_text("release verify tiny/model")
    expect(page.get_by_role("link", name="Paper: arXiv 2605.08137")).to_be_visible()


def test_hostile_questions_are_shown_as_text(page: Page) -> None:
    ask(page, HOSTILE)
    await_answers(page, turns=1)
    expect(page.locator("#dense [data-testid=user]")).to_have_text(HOSTILE)
    assert page.locator("#dense img, #dense strong, #dense a, #dense script").count() == 0
    assert page.title() != "owned"


def test_hostile_cards_are_shown_as_text(page: Page) -> None:
    page.get_by_label("Pruned model", exact=True).click()
    page.get_by_role("option", name="tiny/variant").click()
    expect(page.locator("#facts")).to_contain_text("<img src=x")
    assert page.locator("#facts img, #facts script, #facts a[href^=javascript]").count() == 0
    assert page.title() != "owned"


def test_an_example_fills_the_question_and_names_its_source(page: Page) -> None:
    page.get_by_text(EXAMPLE["prompt"]).click()
    expect(page.get_by_label("Question", exact=True)).to_have_value(EXAMPLE["prompt"])
    expect(page.locator("#attribution")).to_contain_text("Parrish")


def test_an_empty_question_is_refused_with_a_remedy(page: Page) -> None:
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("There is no question yet")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(page: Page, url: str, theme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{url}/?__theme={theme}", wait_until="domcontentloaded")
    ask(page, "why " * 60 + "w" * 200)
    await_answers(page, turns=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dense, pruned = (page.locator(f"#{side}").bounding_box() for side in ("dense", "pruned"))
    assert dense
    assert pruned
    assert pruned["y"] >= dense["y"] + dense["height"]


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.get_by_label("Question", exact=True).focus()
    page.keyboard.type("why")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Compare"
    page.keyboard.press("Enter")
    await_answers(page, turns=1)
