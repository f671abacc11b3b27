"""The page's theme: slate for whatever can be pressed, so that indigo and orange say `dense` and `pruned` alone."""

import gradio as gr

FONT = ("system-ui", "sans-serif")
MONO = ("ui-monospace", "monospace")
DARKER = {
    "block_title_text_color": "*neutral_700",
    "block_title_background_fill": "none",
    "block_title_padding": "0",
    "block_title_text_color_dark": "*neutral_200",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_200",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_300",
    "color_accent": "*primary_700",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_900",
    "button_primary_text_color": "white",
    "button_primary_background_fill_dark": "*primary_200",
    "button_primary_background_fill_hover_dark": "white",
    "button_primary_text_color_dark": "*primary_900",
    "button_secondary_background_fill_hover_dark": "*primary_700",
    "checkbox_label_background_fill_selected": "*primary_700",
    "checkbox_label_text_color_selected": "white",
    "checkbox_label_background_fill_selected_dark": "*primary_200",
    "checkbox_label_text_color_selected_dark": "*primary_900",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_500",  # the track is as pale as in the light theme
    "input_border_color_focus": "*primary_600",
    "input_border_color_focus_dark": "*primary_300",
    "link_text_color": "*primary_700",
    "link_text_color_dark": "*primary_200",
}
"""What the theme leaves too pale to be read: every text stands out 4.5 : 1 or more from what lies under it."""
CLOSER = {"layout_gap": "*spacing_lg", "block_padding": "*spacing_sm *spacing_lg", "input_padding": "*spacing_lg"}
"""The first screen of a laptop has to hold what pruning did, a question and both answers."""


def theme() -> gr.themes.Base:
    """Return the theme."""
    made = gr.themes.Soft(
        primary_hue="slate", secondary_hue="slate", neutral_hue="slate", font=list(FONT), font_mono=list(MONO)
    )
    return made.set(**DARKER, **CLOSER)
