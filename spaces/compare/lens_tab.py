"""The tab `Bias lens`: BBQ items one by one, filtered by what became of their answer, and asked live."""

from collections.abc import Callable, Iterator

import gradio as gr
from compare import Refusal, refused
from conversation import Conversation, Screen
from lens import ANY, KINDS, Asked, Unreadable, attribution, instruction, lens
from lens_html import item, lens_foot, lens_head
from lineup import Source
from trouble import LoadError
from turns import SIDES

Shown = tuple[str, int]


class LensTab:
    """The tab's parts and what they do."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.models = conversation.models
        self.variant = conversation.variant

    def draw(self) -> None:
        """Put the tab's parts on the page."""
        gr.HTML(lens_head(), padding=False, elem_id="lens-head")
        first = self.models.pruned[0]
        self.place = gr.State(0)
        self.item = gr.HTML(self._item(first, ANY, ANY, 0)[0], padding=False, elem_id="item")
        with gr.Row(elem_id="lens-buttons"):
            self.back = gr.Button("← Previous", min_width=90, elem_id="lens-back")
            self.next = gr.Button("Next →", min_width=90, elem_id="lens-next")
            live = self.conversation.live
            self.live = gr.Button("Ask both models now", variant="primary", min_width=170, visible=live)
            self.open = gr.Button("Open in Compare", min_width=130, visible=live)
        with gr.Row(elem_id="lens-filters"):
            self.kind = gr.Radio(_kinds(first, ANY), value=ANY, label="Show", elem_id="kind", scale=4, min_width=300)
            self.category = gr.Dropdown(
                _categories(first), value=ANY, label="Category", elem_id="category", scale=1, min_width=180
            )
        gr.HTML(lens_foot(attribution()), padding=False, elem_id="lens-foot")

    def wire(self, tabs: gr.Tabs) -> None:
        """Say what the filters and buttons do, and what changes with the variant."""
        chosen = [self.variant, self.kind, self.category]
        private = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        for button, way in ((self.back, -1), (self.next, 1)):
            button.click(self._turner(way), [*chosen, self.place], [self.item, self.place], **private)
        self.kind.change(self._turner(0), [*chosen, gr.State(0)], [self.item, self.place], **private)
        self.category.change(self.recount, chosen, [self.kind, self.item, self.place], **private)
        self.live.click(
            self.ask,
            [*chosen, self.place],
            self.item,
            trigger_mode="once",
            concurrency_limit=1,
            concurrency_id="models",
            show_progress="minimal",
            api_visibility="private",
        )
        talk = self.conversation
        self.open.click(self.bring, [*chosen, self.place], [tabs, talk.question], **private)
        talk.forget(talk.clear.click, talk.running)
        talk.follow(self.variant.input, talk.running)
        heads = [self.category, self.kind, self.item, self.place]
        self.variant.change(self.change, self.variant, heads, **private)

    def change(self, variant: str) -> Screen:
        """Return what the page says about another variant."""
        source = self.models.variant(variant)
        category = gr.Dropdown(_categories(source), value=ANY)
        kind = gr.Radio(_kinds(source, ANY), value=ANY)
        shown, place = self._item(source, ANY, ANY, 0)
        return category, kind, shown, place

    def recount(self, variant: str, kind: str, category: str) -> Screen:
        """Return the kinds of another category, and its first item."""
        source = self.models.variant(variant)
        return gr.Radio(_kinds(source, category)), *self._item(source, kind, category, 0)

    def _turner(self, way: int) -> Callable[[str, str, str, int], Shown]:
        def turn(variant: str, kind: str, category: str, place: int) -> Shown:
            return self._item(self.models.variant(variant), kind, category, place + way)

        return turn

    def _item(self, source: Source, kind: str, category: str, place: int) -> Shown:
        found = lens(source)
        chosen = found.select(kind, category)
        place = place % len(chosen) if chosen else 0
        return item(found, chosen, place), place

    def _asked(self, variant: str, kind: str, category: str, place: int) -> Asked | None:
        chosen = lens(self.models.variant(variant)).select(kind, category)
        return chosen[place % len(chosen)] if chosen else None

    def ask(self, variant: str, kind: str, category: str, place: int) -> Iterator[str]:
        """Read both models' answers to an item anew, and hold them against the stored ones."""
        from lens_live import prompts, read  # PyTorch takes seconds to load, and stored answers do without

        asked, source = self._asked(variant, kind, category, place), self.models.variant(variant)
        if asked is None:
            return
        found = lens(source)
        pair = zip(SIDES, (self.models.dense, source), strict=True)
        sources = {side: model for side, model in pair if model is not None}
        try:
            texts = {side: prompts(model, found.style, instruction(), asked.item) for side, model in sources.items()}
            live = dict(read(sources, texts))
        except (LoadError, Unreadable) as error:
            raise refused(Refusal(str(error))) from error
        chosen = found.select(kind, category)
        yield item(found, chosen, place % len(chosen), live)

    def bring(self, variant: str, kind: str, category: str, place: int) -> Screen:
        """Take an item's question, with the instruction that it was measured with, to the box of the tab Compare."""
        asked = self._asked(variant, kind, category, place)
        if asked is None:
            return gr.skip(), gr.skip()
        return gr.Tabs(selected="compare"), f"{instruction()}\n\n{asked.item.prompt}".strip()


def _kinds(source: Source, category: str) -> list[tuple[str, str]]:
    found = lens(source)
    named = {ANY: "All", **KINDS}
    return [(f"{label} ({len(found.select(kind, category))})", kind) for kind, label in named.items()]


def _categories(source: Source) -> list[tuple[str, str]]:
    return [("All", ANY), *((name.replace("_", " "), name) for name in lens(source).categories)]
