"""The tab `Bias lens`: BBQ items one by one, filtered by what became of their answer, and asked live."""

from collections.abc import Callable

import gradio as gr
from conversation import Conversation, Screen
from lens import ANY, KINDS, attribution, lens
from lens_html import item, lens_head
from lineup import Source
from page import about, side
from reading import facts


class LensTab:
    """The tab's parts and what they do."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.models = conversation.models
        self.variant = conversation.variant

    def draw(self) -> None:
        """Put the tab's parts on the page."""
        gr.HTML(lens_head(attribution()), padding=False, elem_id="lens-head")
        first = self.models.pruned[0]
        self.kind = gr.Radio(_kinds(first, ANY), value=ANY, label="What became of the answer", elem_id="kind")
        self.category = gr.Dropdown(_categories(first), value=ANY, label="Category", elem_id="category")
        with gr.Row(elem_id="lens-buttons"):
            self.back = gr.Button("Previous", min_width=90)
            self.next = gr.Button("Next", min_width=90)
            self.live = gr.Button("Ask both models now", variant="primary", min_width=170)
        self.place = gr.State(0)
        self.item = gr.HTML(self._item(first, ANY, ANY, 0)[0], padding=False, elem_id="item")

    def wire(self, tabs: gr.Tabs) -> None:
        """Say what the filters and buttons do, and what changes with the variant."""
        chosen = [self.variant, self.kind, self.category]
        private = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        for button, way in ((self.back, -1), (self.next, 1)):
            button.click(self._turner(way), [*chosen, self.place], [self.item, self.place], **private)
        self.kind.change(self._turner(0), [*chosen, gr.State(0)], [self.item, self.place], **private)
        self.category.change(self.recount, chosen, [self.kind, self.item, self.place], **private)
        moved = self.live.click(
            self.bring,
            [*chosen, self.place],
            [tabs, self.conversation.question, *self.conversation.screen[:5]],
            cancels=self.conversation.running,
            show_progress="hidden",
            api_visibility="private",
        )
        talk = self.conversation
        asked = moved.then(
            talk.ask, [talk.question, talk.variant, *talk.decoding, talk.turns], talk.screen, **talk.run("once")
        )
        running = [*talk.running, asked]
        talk.leave_queue(running)
        for leave in (talk.clear.click, self.variant.change):
            talk.forget(leave, running)
        heads = [talk.name, talk.card, self.category, self.kind, self.item, self.place]
        self.variant.change(self.change, self.variant, heads, **private)

    def change(self, variant: str) -> Screen:
        """Return what the page says about another variant."""
        source = self.models.variant(variant)
        category = gr.Dropdown(_categories(source), value=ANY)
        kind = gr.Radio(_kinds(source, ANY), value=ANY)
        shown, place = self._item(source, ANY, ANY, 0)
        return side("Pruned", source), about(source, facts(source)), category, kind, shown, place

    def recount(self, variant: str, kind: str, category: str) -> Screen:
        """Return the kinds of another category, and its first item."""
        source = self.models.variant(variant)
        return gr.Radio(_kinds(source, category)), *self._item(source, kind, category, 0)

    def _turner(self, way: int) -> Callable[[str, str, str, int], tuple[str, int]]:
        def turn(variant: str, kind: str, category: str, place: int) -> tuple[str, int]:
            return self._item(self.models.variant(variant), kind, category, place + way)

        return turn

    def _item(self, source: Source, kind: str, category: str, place: int) -> tuple[str, int]:
        found = lens(source)
        chosen = found.select(kind, category)
        place = place % len(chosen) if chosen else 0
        return item(found, chosen, place), place

    def bring(self, variant: str, kind: str, category: str, place: int, request: gr.Request) -> Screen:
        """Take an item's question to a new conversation."""
        self.conversation.halt(request)
        chosen = lens(self.models.variant(variant)).select(kind, category)
        if not chosen:
            return (gr.skip(),) * 7
        return gr.Tabs(selected="compare"), chosen[place % len(chosen)].item.prompt, [], [], "", "", ()


def _kinds(source: Source, category: str) -> list[tuple[str, str]]:
    found = lens(source)
    named = {ANY: "All", **KINDS}
    return [(f"{label} ({len(found.select(kind, category))})", kind) for kind, label in named.items()]


def _categories(source: Source) -> list[tuple[str, str]]:
    return [("All", ANY), *((name.replace("_", " "), name) for name in lens(source).categories)]
