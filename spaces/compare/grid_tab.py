"""The tab `All variants`: what was measured of each, in panels and in a table whose rows choose."""

from typing import Any

import gradio as gr
from conversation import Conversation
from facts import Facts
from grid import picture, table


class GridTab:
    """The tab's parts and what they do."""

    def __init__(self, conversation: Conversation, known: dict[str, Facts]) -> None:
        self.conversation = conversation
        self.models = conversation.models
        self.known = known
        self.variant = conversation.variant

    def draw(self) -> None:
        """Put the tab's parts on the page."""
        gr.HTML(picture(self.known), padding=False, elem_id="grid", elem_classes="drawn")
        first = self.models.pruned[0].id
        self.table = gr.HTML(table(self.known, first), padding=False, elem_id="grid-table")
        self.pressed = gr.Textbox(visible="hidden", elem_id="pressed")

    def wire(self) -> None:
        """Say what a press on a row or a point does."""
        private = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        chosen = self.pressed.change(self.choose, self.pressed, self.variant, **private)
        self.conversation.follow(chosen.then, self.conversation.running)
        self.variant.change(lambda variant: table(self.known, variant), self.variant, self.table, **private)

    def choose(self, pressed: str) -> Any:
        """Return the variant that was pressed: its id, and behind a line break what makes each press another one."""
        name = pressed.split("\n")[0]
        return name if name in self.known else gr.skip()
