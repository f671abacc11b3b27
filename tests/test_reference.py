"""The reference pages are what the code says; `pytest tests/test_reference.py --refresh` writes them anew."""

import pytest

from tests import reference
from tests.pages import ROOT

PAGES = {"options": reference.options_page, "python": reference.python_page, "record": reference.record_page}


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_written_from_the_code(name: str, request: pytest.FixtureRequest) -> None:
    path, text = ROOT / "docs" / f"{name}.md", PAGES[name]()
    if request.config.getoption("--refresh"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "run pytest tests/test_reference.py --refresh"


def test_every_command_stands_on_the_page_with_all_its_options() -> None:
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    sections = {part.split("\n")[0]: part for part in page.split("## release ")[1:]}
    commands = reference.parser().commands
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        for each in command.params:
            assert each.name in reference.HIDDEN or all(word in sections[name] for word in each.opts if word[0] == "-")
