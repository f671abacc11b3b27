"""One question, two models: the dense one and the pruned one answer side by side."""

import logging
import os
import threading
from importlib.util import find_spec

import gradio as gr
import rebuild
from compare import SideBySide
from conversation import AT_ONCE, Conversation
from copies import forget_left_over
from first import FirstPaint, first_screen
from gpu import ZERO_GPU
from grid_tab import GridTab
from lens_tab import LensTab
from limits import Limits, Page
from lineup import Lineup, SetupError, Source, lineup
from memory import fit
from page import CSS, SCRIPT, TALK, TITLE, intro
from reading import facts
from slider_tab import SliderTab
from stored import stored
from theme import theme
from trouble import LoadError

QUEUE = 60
"""Events of all kinds that may wait; `line.MOST` says how many questions may."""
STORED_ONLY = "COMPARE_STORED_ONLY"
"""Variable that keeps all models out of memory: only stored answers are shown."""


def build(models: Lineup, live: bool = True) -> gr.Blocks:
    """Put the page together.

    Args:
        live: Whether the models may be asked.
    """
    comparison = SideBySide(models, live)
    known = {source.id: facts(source) for source in models.pruned}
    with Page(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(intro(alone=models.dense is None), padding=False, elem_id="intro")
        conversation = Conversation(comparison)
        conversation.draw_head()
        lens_tab = LensTab(conversation)
        grid_tab = GridTab(conversation, known)
        slider_tab = SliderTab(conversation, known)
        # ZeroGPU takes models at the start alone.
        with_slider = live and models.dense is not None and not ZERO_GPU
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Compare", id="compare"):
                conversation.draw()
            with gr.Tab("Bias lens", id="lens"):
                lens_tab.draw()
            with gr.Tab("All variants", id="grid"):
                grid_tab.draw()
            if with_slider:
                with gr.Tab("Sparsity", id="sparsity"):
                    slider_tab.draw()
        page.load(js=SCRIPT, api_visibility="private")
        conversation.wire(page)
        lens_tab.wire(tabs)
        grid_tab.wire()
        if with_slider:
            slider_tab.wire(tabs)
        gr.api(comparison.compare, api_name="compare", concurrency_limit=AT_ONCE, concurrency_id="asking")
        gr.api(comparison.items, api_name="items")
        gr.api(comparison.variants, api_name="variants")
    return page.queue(max_size=QUEUE, default_concurrency_limit=4)


def main() -> None:
    """Start the app; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens."""
    logging.basicConfig(format="%(message)s")
    rebuild.LOG.setLevel(logging.INFO)
    try:
        models = lineup()
    except SetupError as error:
        raise SystemExit(f"{error}") from error
    forget_left_over()
    live = asks_models(models)
    if live and ZERO_GPU:
        _load(models.all)
    elif live:
        threading.Thread(target=_load, args=(models.all[:2],), daemon=True).start()
    build(models, live).launch(
        theme=theme(),
        css=CSS,
        head=f"<script>{TALK}</script>",
        ssr_mode=False,
        mcp_server=find_spec("mcp") is not None,  # the Space has it; a demo at home need not
        footer_links=["api", "gradio"],
        max_file_size="1b",  # the page has no place for a file
        # Classes, and what each is made with beside the app.
        app_kwargs={"middleware": [(Limits, (), {}), (FirstPaint, (first_screen(models, live),), {})]},
    )


def asks_models(models: Lineup) -> bool:
    """Whether the models are loaded: not where only stored answers are wanted, or nothing else fits into memory."""
    if os.environ.get(STORED_ONLY, "").lower() in ("1", "true", "yes", "on"):
        return False
    return ZERO_GPU or not stored(models.pruned[0]).answers or fit(models.all[:2])


def _load(sources: tuple[Source, ...]) -> None:
    """Load models before the first question; ZeroGPU lends its card only for answers, and packs what it finds then."""
    import answers  # noqa: F401 - ZeroGPU wants to know at the start what will run on its card
    from models import SHELF

    for source in sources:
        try:
            SHELF.get(source)
        except LoadError as error:
            logging.getLogger(__name__).error("%s", error)


if __name__ == "__main__":
    main()
