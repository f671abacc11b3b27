"""Every tab of the Space in a real browser, over releases that were really pruned."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from axe_playwright_python.sync_playwright import Axe
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from release.__main__ import run
from release.schema.record import Record
from release.space import build as space
from tests.space_fixtures import ITEMS, app_command, checkpoint, serving, variable, write_answers
from tests.test_space_browser import FLAGS, ask, await_answers

expect.set_options(timeout=15_000)

pytestmark = [pytest.mark.browser, pytest.mark.long]

WIDTHS = (1400, 390)
VARIANTS = {"random": "0.3", "magnitude": "0.5"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dense model and two releases of it, by name."""
    root = tmp_path_factory.mktemp("models")
    made = {"dense": checkpoint(root / "dense")}
    for method, sparsity in VARIANTS.items():
        made[method] = root / f"dense-{method}"
        command = ["prune", str(made["dense"]), "--method", method, "--sparsity", sparsity]
        assert run([*command, "--out", str(made[method])]) == 0
        write_answers(made[method])
    return made


@pytest.fixture(scope="module")
def url(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("space") / "space"
    space.write_folder(Record.read(models["random"]), folder, "tiny/dense", "tiny/dense-random", ITEMS)
    dense, *pruned = models.values()
    with serving(app_command(folder), {"COMPARE_MODELS": variable(dense, *pruned)}) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


def opened(browser: Browser, url: str, width: int = 1400, theme: str = "light") -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{url}/?__theme={theme}", wait_until="domcontentloaded")
    expect(page.get_by_role("button", name="Compare")).to_be_visible()
    return page


def tabs(page: Page) -> list[str]:
    return [tab.inner_text() for tab in page.get_by_role("tab").all() if tab.is_visible()]


def found_by_axe(page: Page) -> list[str]:
    """The rules that axe-core sees broken at what it calls serious or critical, with the first place of each."""
    broken = Axe().run(page).response["violations"]
    grave = [rule for rule in broken if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in grave]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_serious_on_any_tab_and_the_page_is_not_wider_than_the_screen(
    browser: Browser, url: str, width: int, theme: str
) -> None:
    page = opened(browser, url, width, theme)
    if theme == "light":
        ask(page, "why is the sky blue")
        await_answers(page, turns=1)
    names = tabs(page)
    assert len(names) >= 3
    for name in names:
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        assert found_by_axe(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.close()


def test_a_press_on_a_row_chooses_its_variant(browser: Browser, url: str) -> None:
    page = opened(browser, url)
    for name in ("tiny/dense-magnitude", "tiny/dense-random"):
        page.get_by_role("tab", name="All variants").click()
        page.locator("#grid-table").get_by_role("button", name=name).click()
        expect(page.get_by_label("Pruned model", exact=True)).to_have_value(re.compile(name))
        expect(page.locator("#grid-table").get_by_role("button", pressed=True)).to_have_text(name)
    page.close()


SLIDE = """(range, percent) => {
  range.value = percent;
  for (const kind of ["input", "change", "pointerup"]) range.dispatchEvent(new Event(kind, {bubbles: true}));
}"""


def test_the_slider_checks_a_release_and_makes_what_lies_between_for_the_conversation(
    browser: Browser, url: str
) -> None:
    page = opened(browser, url)
    page.get_by_role("tab", name="Sparsity").click()
    expect(page.locator("#slider-marks li")).to_have_text([re.compile("◆ 30 % tiny/dense-random")])
    slider, said, menu = page.locator("#sparsity input[type=range]"), page.locator("#made"), page.locator("#variant")
    slider.evaluate(SLIDE, "40")
    expect(said).to_contain_text("Random 40 %: made here, not measured")
    expect(menu.locator("input")).to_have_value("Random 40 %, made here, not measured")
    page.get_by_role("button", name="Compare with it").click()
    expect(page.locator("#did")).to_contain_text("Made here, not measured")
    ask(page, "why is the sky blue")
    await_answers(page, turns=1)
    page.get_by_role("tab", name="Sparsity").click()
    slider.evaluate(SLIDE, "30")
    expect(said).to_contain_text("✓ Random 30 % is tiny/dense-random")
    expect(menu.locator("input")).to_have_value(re.compile("tiny/dense-random"))
    page.close()


def test_chats_have_names_changes_are_told_once_and_the_menus_focus_is_seen(browser: Browser, url: str) -> None:
    page = opened(browser, url)
    ask(page, "why is the sky blue")
    await_answers(page, turns=1)
    for name in ("Original (dense) answers", "Pruned answers"):
        expect(page.get_by_role("log", name=name)).to_be_visible()
    expect(page.locator("#announced")).to_have_text(page.locator("#status").inner_text(), use_inner_text=True)
    page.get_by_label("Pruned model", exact=True).focus()
    outline = "getComputedStyle(document.querySelector('#variant input')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.close()


def test_programs_find_documented_tools_and_call_them(url: str) -> None:
    async def asked() -> tuple[dict[str, str], str]:
        async with (
            streamable_http_client(f"{url}/gradio_api/mcp/") as (source, sink, _),
            ClientSession(source, sink) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool.description or "" for tool in (await session.list_tools()).tools}
            called = await session.call_tool(next(each for each in tools if each.endswith("variants")), {})
            return tools, called.content[0].text

    with ThreadPoolExecutor(1) as pool:  # the browser's own loop runs in this thread
        tools, variants = pool.submit(anyio.run, asked).result()
    assert {name.rsplit("_", 1)[-1] for name in tools} == {"compare", "items", "variants"}
    assert all(tools.values())
    assert "tiny/dense-magnitude" in variants
