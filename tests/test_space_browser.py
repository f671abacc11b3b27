"""The Space in a real browser, as a visitor sees it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.client import Job
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from release.card.render import render
from release.card.said import said
from release.schema.record import FILE_NAME
from release.space import build as space
from tests.records import example_answers, example_measurements, example_record
from tests.space_fixtures import ITEMS, app_command, checkpoint, serving, variable, write_answers

expect.set_options(timeout=60_000)

pytestmark = [pytest.mark.browser, pytest.mark.long]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
OWN = "document.title='owned'"
HOSTILE = f'<img src=x onerror="{OWN}"><script>{OWN}</script> **bold** [l](javascript:1)'


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release folder as the pipeline leaves it, of a tiny model."""
    folder = tmp_path_factory.mktemp("release")
    checkpoint(folder / "model", zeroed=0.5)
    record = example_record(measurements=example_measurements(answers=example_answers()))
    record = record.model_copy(update={"said": said(record)})
    # This tiny model's template knows no system role, which is what BBQ, the first evaluation, was asked with.
    text = record.to_json().replace('"prompt": "chat"', '"prompt": "chat without system role"', 1)
    (folder / "model" / FILE_NAME).write_text(text)
    (folder / "model" / "README.md").write_text(render(example_record()))
    space.write_folder(example_record(), folder / "space", "tiny/dense", "tiny/pruned", ITEMS)
    write_answers(folder / "model")
    return folder


@pytest.fixture(scope="module")
def url(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    dense = checkpoint(tmp_path_factory.mktemp("base") / "dense")
    variant = checkpoint(tmp_path_factory.mktemp("other") / "variant", zeroed=0.2)
    card = f"# {HOSTILE}\n\n## Pruning configuration\n| | |\n|-|-|\n| Method | {HOSTILE} |\n"
    (variant / "README.md").write_text(card)
    write_answers(variant)
    models = {"COMPARE_MODELS": variable(dense, release / "model", variant)}
    with serving(app_command(release / "space"), models) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """One context for all pages, so that the app's scripts are fetched once."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    with opened(context, url) as page:
        yield page


@contextmanager
def opened(context: BrowserContext, url: str, query: str = "") -> Iterator[Page]:
    """A page that must report no trouble and ask for nothing elsewhere."""
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda call: None if call.url.startswith((url, "data:", "blob:")) else troubles.append(call.url))
    page.goto(url + query, wait_until="domcontentloaded")
    expect(page.get_by_role("button", name="Compare")).to_be_visible()
    yield page
    page.close()
    assert not troubles


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_role("button", name="Compare").click()


WAITS = "Loading |Starting PyTorch|in the queue|Reading the question"
WATCH = f"""() => {{
  const WAITS = /{WAITS}/;
  window.seen = {{dense: [], pruned: []}};
  const look = side => [...document.querySelectorAll(`#${{side}} [data-testid=bot]`)].at(-1)?.innerText.trim() ?? "";
  const before = {{dense: look("dense"), pruned: look("pruned")}};
  new MutationObserver(() => {{
    for (const side of ["dense", "pruned"]) {{
      const text = look(side);
      const old = [before[side], window.seen[side].at(-1)];
      if (text && !old.includes(text) && !WAITS.test(text)) window.seen[side].push(text);
    }}
  }}).observe(document.body, {{subtree: true, childList: true, characterData: true}});
}}"""


def await_answers(page: Page, turns: int) -> None:
    """Wait until the last question is answered: it can be asked again, and nothing is pending."""
    expect(page.locator("#buttons").get_by_role("button", name="Retry")).to_be_visible(timeout=60_000)
    for side in ("dense", "pruned"):
        answers = page.locator(f"#{side} [data-testid=bot]")
        expect(answers).to_have_count(turns, timeout=60_000)
        expect(answers.last).not_to_have_text(re.compile(rf"^\s*$|{WAITS}"), timeout=60_000)
    await_rest(page)


STANDS = """() => {
  const now = document.getElementById("dense").innerText + document.getElementById("pruned").innerText;
  const still = now === window.before;
  window.before = now;
  return still;
}"""


def await_rest(page: Page) -> None:
    """Nothing has changed for half a second."""
    page.wait_for_function(STANDS, polling=500, timeout=60_000)


def press(page: Page, name: str) -> None:
    page.locator("#buttons").get_by_role("button", name=name, exact=True).click()


def test_both_answers_stream_word_by_word(page: Page) -> None:
    for side in ("dense", "pruned"):  # what was stored comes first, and is no answer to what is asked here
        expect(page.locator(f"#{side} [data-testid=bot]")).to_have_count(1)
    page.evaluate(WATCH)
    ask(page, "why is the sky blue")
    await_answers(page, turns=1)
    seen = page.evaluate("window.seen")
    for side in ("dense", "pruned"):
        assert len(seen[side]) >= 3
        assert [len(text) for text in seen[side]] == sorted(len(text) for text in seen[side])
    assert seen["dense"][-1] != seen["pruned"][-1]
    expect(page.get_by_label("Question", exact=True)).to_have_value("")


def test_second_turn_keeps_the_first_and_the_place_where_answers_part_is_marked(page: Page) -> None:
    ask(page, "why is the sky blue")
    await_answers(page, turns=1)
    page.get_by_label("Question", exact=True).press_sequentially("and the sea", delay=20)
    page.get_by_label("Question", exact=True).press("Enter")
    await_answers(page, turns=2)
    expect(page.locator("#pruned [data-testid=user]")).to_have_text(["why is the sky blue", "and the sea"])
    for side in ("dense", "pruned"):
        expect(page.locator(f"#{side} mark")).to_have_count(2)
    expect(page.locator("#status")).to_contain_text(re.compile(r"dense: \d+ tokens?, [\d.]+ tokens/s"))
    expect(page.locator("#status table")).to_contain_text("First difference")
    expect(page.locator("#status td")).to_have_text([re.compile(r"^(\d+\.\d|below 0.1) %$")] * 4)
    expect(page.get_by_label("Answers stored with this release")).to_have_value("")
    hint = "Choose a question"
    expect(page.get_by_label("Answers stored with this release")).to_have_attribute("placeholder", hint)
    press(page, "Copy")
    expect(page.locator("#notice")).to_contain_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Question: why is the sky blue\n\ntiny/dense: ")
    press(page, "Clear")
    expect(page.locator("[data-testid=bot], [data-testid=user]")).to_have_count(0)


def set_number(page: Page, name: str, value: str) -> None:
    """Fill in a slider's number until it stands there: the page forgets what is typed while it is drawn anew."""
    slider = page.get_by_label(f"range slider for {name}")
    deadline = time.monotonic() + 10
    while slider.input_value() != value and time.monotonic() < deadline:
        page.get_by_label(f"number input for {name}").fill(value)
        page.get_by_label(f"number input for {name}").press("Tab")
        page.wait_for_timeout(300)
    expect(slider).to_have_value(value)


PRESS_WHEN_STREAMING = """([names, next]) => {
  const text = [...document.querySelectorAll("#dense [data-testid=bot]")].at(-1)?.innerText.trim() ?? "";
  if (!text || /Loading |Starting PyTorch|in the queue|Reading the question/.test(text)) return false;
  const box = document.querySelector("#question textarea"), buttons = [...document.querySelectorAll("#buttons button")];
  const pressed = names.map(name => buttons.find(button => button.innerText === name));
  if (!pressed.every(Boolean)) return false;
  pressed.forEach(button => button.click());
  if (next) {
    box.value = next;
    box.dispatchEvent(new Event("input", {bubbles: true}));
    setTimeout(() => box.dispatchEvent(new KeyboardEvent("keypress", {key: "Enter", bubbles: true})));
  }
  return true;
}"""


PRESS_STOP = """() => new MutationObserver((_, watch) => {
  const stop = [...document.querySelectorAll("#buttons button")].find(button => button.innerText === "Stop");
  stop?.click();
  if (stop) watch.disconnect();
}).observe(document.body, {subtree: true, childList: true})"""


def long_answer(page: Page) -> None:
    page.get_by_text("Decoding").click()
    set_number(page, "Longest answer (tokens)", "512")
    ask(page, "why is the sky blue")


def press_when_streaming(page: Page, *names: str, following: str = "") -> None:
    """Press buttons, and type the following question, as soon as the answer's first words stand there.

    On a busy machine the tiny model ends before a click from outside the page arrives.
    """
    page.wait_for_function(PRESS_WHEN_STREAMING, arg=[list(names), following], polling="raf")


def test_a_question_sent_right_after_stop_is_answered(page: Page) -> None:
    long_answer(page)
    press_when_streaming(page, "Stop", following="again")
    await_answers(page, turns=2)
    expect(page.locator("#dense [data-testid=user]")).to_have_text(["why is the sky blue", "again"])
    expect(page.get_by_label("Question", exact=True)).to_have_value("")


def test_stop_ends_an_answer_and_retry_asks_it_again(page: Page) -> None:
    page.evaluate(PRESS_STOP)  # it is there from the first step on, and a busy machine sees it too late
    long_answer(page)
    expect(page.locator("#status")).to_contain_text("Stopped.")
    set_number(page, "Longest answer (tokens)", "3")
    press(page, "Retry")
    expect(page.locator("#status")).to_contain_text(re.compile(r"dense: [123] tokens?, "))
    expect(page.locator("#dense [data-testid=user]")).to_have_text(["why is the sky blue"])


@pytest.fixture
def busy(url: str) -> Iterator[list[Job]]:
    """Visitors whose questions stand in the line: as many as leave room for one more (`line.MOST`)."""
    client = Client(url, verbose=False)
    asked = {"max_new_tokens": 512, "temperature": 1.0, "api_name": "/compare"}  # greedy answers are remembered
    jobs = [client.submit("why is the sky blue", seed=seed, **asked) for seed in range(18)]
    deadline = time.monotonic() + 20
    while not jobs[0].outputs() and time.monotonic() < deadline:  # the client sends in threads of its own
        time.sleep(0.02)
    yield jobs
    for job in jobs:
        job.cancel()


def test_a_question_that_waits_says_its_place_in_both_boxes_and_stop_takes_it_out(page: Page, busy: list[Job]) -> None:
    ask(page, "is it my turn")
    for side in ("dense", "pruned"):
        expect(page.locator(f"#{side} [data-testid=bot]").last).to_contain_text(
            re.compile(r"\d(st|nd|rd|th) in the queue")
        )
        expect(page.locator(f"#{side} [data-testid=bot]").first).to_contain_text("sky")  # something to read meanwhile
    expect(page.locator("#parting")).to_contain_text("While you wait: stored answers to “Why is the sky blue?”.")
    press(page, "Stop")
    expect(page.locator("#buttons button")).to_have_text(["Compare", "Retry", "Clear", "Copy", "Share"])
    assert not busy[-1].done(), "the queue was empty before the question had been taken out of it"
    for job in busy:
        job.cancel()
    press(page, "Retry")
    await_answers(page, turns=1)
    expect(page.locator("#dense [data-testid=user]")).to_have_text(["is it my turn"])


def test_clear_in_the_middle_of_an_answer_stays_clear(page: Page) -> None:
    long_answer(page)
    press_when_streaming(page, "Clear")
    await_rest(page)
    expect(page.locator("[data-testid=bot], [data-testid=user]")).to_have_count(0)


def test_another_variant_answers_the_last_question_and_address_and_reload_keep_it(
    page: Page, context: BrowserContext, url: str
) -> None:
    page.get_by_text("Decoding").click()
    set_number(page, "Temperature", "0.7")
    ask(page, HOSTILE)
    await_answers(page, turns=1)
    before = page.locator("#pruned [data-testid=bot]").inner_text()
    page.get_by_label("Pruned model", exact=True).click()
    page.get_by_role("option").nth(1).click()
    expect(page.locator("#facts h2")).to_have_text("tiny/variant")
    expect(page.locator("#pruned [data-testid=bot]")).not_to_have_text(before)
    await_answers(page, turns=1)
    expect(page.locator("#dense [data-testid=user]")).to_have_text([HOSTILE])
    said = page.locator("#pruned [data-testid=bot]").inner_text()
    expect(page).to_have_url(re.compile(r"variant=tiny%2Fvariant&temperature=0\.7$"))
    press(page, "Share")
    expect(page.locator("#notice")).to_contain_text("copied")
    link = page.evaluate("navigator.clipboard.readText()")
    page.reload()
    expect(page.locator("#pruned [data-testid=bot]")).to_have_text(said)
    expect(page.locator("#parting")).to_contain_text("the dense model")
    press(page, "Clear")
    expect(page).to_have_url(re.compile(r"/$"))
    with opened(context, url, link.removeprefix(url)) as other:
        expect(other.get_by_label("Question", exact=True)).to_have_value(HOSTILE)
        expect(other.locator("#notice")).to_contain_text("press Compare")
        expect(other.locator("#facts h2")).to_have_text("tiny/variant")
        other.get_by_text("Decoding").click()
        expect(other.get_by_label("number input for Temperature")).to_have_value("0.7")


def test_the_first_comparison_stands_there_before_any_of_the_apps_files_and_goes_when_the_page_is_drawn(
    page: Page, browser: Browser, url: str
) -> None:
    expect(page.locator("#pruned [data-testid=bot]")).to_have_text("The sky is blue.")
    expect(page.locator("#first")).to_have_count(0)
    bare = browser.new_page(java_script_enabled=False)
    bare.goto(url)
    expect(bare.locator("#first")).to_contain_text("The sky is blue.")
    bare.close()


def test_stored_answers_stand_there_at_once_and_a_link_to_one_answers_by_itself(
    page: Page, context: BrowserContext, url: str
) -> None:
    expect(page.locator("#did")).to_contain_text("Pruning")
    expect(page.locator("#pruned [data-testid=bot]")).to_have_text("The sky is blue.")
    expect(page.locator("#parting")).to_contain_text("Both begin “The sky”")
    expect(page.locator("#dense mark")).to_have_text("scatters")
    expect(page.locator("#buttons button")).to_have_text(["Compare", "Ask live", "Copy", "Share"])
    page.get_by_label("Answers stored with this release").click()
    page.get_by_role("option").last.click()
    expect(page.locator("#dense [data-testid=bot]")).to_have_text("It is not said.")
    expect(page.locator("#notice")).to_contain_text("stereotypes")
    with opened(context, url, page.url.removeprefix(url)) as other:
        expect(other.locator("#dense [data-testid=bot]")).to_have_text("It is not said.")
    press(page, "Ask live")
    await_answers(page, turns=1)
    expect(page.locator("#dense [data-testid=bot]")).not_to_have_text("It is not said.")


def test_the_address_stays_a_link_while_its_question_waits_in_the_box(context: BrowserContext, url: str) -> None:
    with opened(context, url, "?q=Is+it+so%3F&variant=tiny%2Fvariant") as page:
        expect(page.get_by_label("Question", exact=True)).to_have_value("Is it so?")
        expect(page.locator("#facts h2")).to_have_text("tiny/variant")
        page.wait_for_timeout(1000)  # for whatever would replace it
        expect(page).to_have_url(re.compile(r"q=Is\+it\+so%3F&variant=tiny"))
        press(page, "Compare")
        await_answers(page, turns=1)
        expect(page.get_by_label("Question", exact=True)).to_have_value("")
        expect(page).to_have_url(re.compile(r"q=Is\+it\+so%3F&variant=tiny"))


def test_a_question_that_is_too_long_is_refused_with_its_length_and_stays(page: Page) -> None:
    ask(page, "x" * 4_001)
    expect(page.get_by_role("alert")).to_contain_text("The question has 4001 characters")
    expect(page.get_by_label("Question", exact=True)).to_have_value("x" * 4_001)


def test_the_bias_lens_filters_and_asks_live(page: Page) -> None:
    page.get_by_role("tab", name="Bias lens").click()
    expect(page.get_by_role("note").filter(has_text="Content note")).to_be_visible()
    page.get_by_text("How to read this").click()
    expect(page.locator("#lens-foot")).to_contain_text("Parrish")
    page.get_by_label("Flipped to the stereotype (1)").check()
    item = page.locator("#item")
    expect(item).to_contain_text("Age 0 · item 1 of 1")
    expect(item.locator("tbody tr")).to_have_text(
        [re.compile("stereotype.*chosen$"), re.compile("right"), re.compile("chosen")]
    )
    page.get_by_label("All (4)").check()
    expect(item).to_contain_text("item 1 of 4")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    expect(item).to_contain_text("item 2 of 4")
    page.get_by_role("button", name="Next").click()
    expect(item).to_contain_text("item 3 of 4")
    page.get_by_label("Category", exact=True).click()
    page.get_by_role("option", name="SES").click()
    expect(item).to_contain_text("SES 3 · item 1 of 1")
    page.get_by_role("button", name="Ask both models now").click()
    expect(item).to_contain_text(re.compile("Asked now. Original.*stored.*Pruned.*stored"))
    expect(item.locator("td")).to_have_text([re.compile(r"now \d+\.\d %")] * 6)
    page.get_by_role("button", name="Open in Compare").click()
    box = page.get_by_label("Question", exact=True)
    expect(box).to_have_value(re.compile("^Answer the following .* met", re.DOTALL))
    expect(box).to_be_visible()


def test_the_grid_shows_every_variant(page: Page) -> None:
    page.get_by_role("tab", name="All variants").click()
    expect(page.locator("#grid svg[role=img]")).to_have_count(4)
    expect(page.get_by_role("img", name=re.compile("Perplexity.*model: 10 % zeros"))).to_be_visible()
    rows = page.locator("#grid-table tbody th")
    expect(rows).to_have_text(["tiny/model", "tiny/variant"])


def test_the_facts_of_the_card_and_the_warning_stand_on_the_page_before_any_answer(page: Page) -> None:
    expect(page.get_by_role("note").first).to_contain_text("Research only")
    facts = page.locator("#facts")
    for text in ("random", "10.00 %", "362,387,866 of 3,623,878,656", "Stereotype Reliance Score", "0.070", "9.31"):
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
    page.get_by_role("option").nth(1).click()
    expect(page.locator("#facts")).to_contain_text("<img src=x")
    for place in ("#facts", "#grid", "#grid-table", "#variant"):
        assert page.locator(f"{place} img, {place} script, {place} a[href^=javascript]").count() == 0
    assert page.title() != "owned"


def test_an_empty_question_is_refused_with_a_remedy(page: Page) -> None:
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no question yet")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(context: BrowserContext, url: str, theme: str) -> None:
    with opened(context, url, f"/?__theme={theme}") as page:
        page.set_viewport_size({"width": 390, "height": 844})
        ask(page, "why " * 60 + "w" * 200)
        await_answers(page, turns=1)
        for tab in ("Bias lens", "All variants", "Compare"):
            page.get_by_role("tab", name=tab).click()
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
