"""The Space's colors: each stands out enough from what lies under it, in both themes."""

import re

import pytest

from tests.space_fixtures import APP, module

THEME = module("theme").theme()
STYLE = "".join((APP / name).read_text(encoding="utf-8") for name in ("colors.css", "style.css", "first.css"))
TEXT, GRAPHIC = 4.5, 3.0
"""Contrast that WCAG 2.2 asks for: of text (1.4.3), and of what is needed to read a graphic (1.4.11)."""
PAIRS = [
    *(("body_text_color", under, TEXT) for under in ("body_background_fill", "background_fill_secondary")),
    *(("body_text_color_subdued", under, TEXT) for under in ("body_background_fill", "block_background_fill")),
    ("block_title_text_color", "block_background_fill", TEXT),
    ("block_label_text_color", "block_background_fill", TEXT),
    ("block_info_text_color", "block_background_fill", TEXT),
    ("input_placeholder_color", "input_background_fill", TEXT),
    ("link_text_color", "background_fill_secondary", TEXT),
    ("button_primary_text_color", "button_primary_background_fill", TEXT),
    ("button_primary_text_color", "button_primary_background_fill_hover", TEXT),
    ("button_secondary_text_color", "button_secondary_background_fill", TEXT),
    ("button_secondary_text_color", "button_secondary_background_fill_hover", TEXT),
    ("checkbox_label_text_color_selected", "checkbox_label_background_fill_selected", TEXT),
    ("body_text_color", "--parting", TEXT),
    ("color_accent", "body_background_fill", TEXT),
    *(("slider_color", under, GRAPHIC) for under in ("neutral_200", "block_background_fill")),  # a slider's track first
    *((f"--{name}", "body_background_fill", GRAPHIC) for name in ("dense", "pruned", "notice", "parting-line")),
    *((f"--{name}", "border_color_primary", GRAPHIC) for name in ("dense", "pruned")),
    *((f"--m{index}", "body_background_fill", GRAPHIC) for index in range(5)),
]
"""Color, what lies under it, and the contrast due: variables of style.css, or of the theme."""


def variables(theme: str) -> dict[str, str]:
    """The colors that style.css declares for a theme."""
    stated = {}
    for selector in (":root", ".dark") if theme == "dark" else (":root",):
        for block in re.findall(rf"{re.escape(selector)} {{(.*?)}}", STYLE, re.DOTALL):
            stated |= dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block))
    return stated


def color(name: str, theme: str) -> str:
    """A color as #rrggbb."""
    stated = variables(theme)
    if (css := name if name.startswith("--") else f"--{name.replace('_', '-')}") in stated:
        return stated[css]
    found = getattr(THEME, f"{name}_dark", None) if theme == "dark" else None
    value = found or getattr(THEME, name)
    if value.startswith("*"):
        return color(value[1:], theme)
    return {"white": "#ffffff", "black": "#000000"}.get(value, value)


def luminance(rgb: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    shares = [int(rgb[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1, alike, to 21, black on white."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_the_strongest_contrast_there_is() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#6366f1", "#e0e7ff") == pytest.approx(3.62, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("name", "under", "due"), PAIRS)
def test_every_color_stands_out_from_what_lies_under_it(name: str, under: str, due: float, theme: str) -> None:
    assert contrast(color(name, theme), color(under, theme)) >= due, (color(name, theme), color(under, theme))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_color_means_one_thing(theme: str) -> None:
    stated = variables(theme)
    meanings = [stated[name] for name in ("--dense", "--pruned", "--notice", "--parting", "--parting-line")]
    colors = [*meanings, *(stated[f"--m{index}"] for index in range(5))]
    assert len(set(colors)) == len(colors)


def test_no_color_is_written_outside_the_table_of_meanings() -> None:
    declared = re.findall(r"--[\w-]+: (#[0-9a-f]{6})", STYLE)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[\s;,)])", STYLE) == declared
