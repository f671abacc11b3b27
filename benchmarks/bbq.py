"""BBQ read by letters in fp32: shared beginnings computed once, beside a plain loop and beside lm-evaluation-harness.

    python -m benchmarks.bbq [MODEL_FOLDER] [--items 24] [--rounds 2] [--threads 2] [--set mixed|ambiguous]

All read the same items with the same model in one process, in turns, so the ratios hold on a busy machine too:

* plain: one forward per prompt, three rotations per item;
* ours: the same prompts as trees;
* lm-evaluation-harness (where it is installed): its `bbq` task's texts, twelve per item, by its own `HFLM`, at the
  best of a few batch sizes. Its task asks another prompt and scores whole answers: the items and precision are equal.

The largest difference between our log-probabilities and the plain loop's is printed with them.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results import say
from release.evals.bbq.data import read_bbq
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import ROTATIONS, Prompter
from release.evals.bbq.sample import draw
from release.models import logprobs
from release.models.device import choose_device
from release.models.load import loaded, read_tokenizer
from release.models.reader import Resident
from release.models.tree import Query
from release.progress import Console
from release.sources import demo

BATCHES = (1, 8, 32)
UNKNOWN = (
    *("Unknown", "Cannot answer", "Can't be determined", "Cannot be determined", "Can't answer", "Not known"),
    *("Not enough info", "Not enough information", "Not answerable", "Undetermined"),
)
"""What lm-evaluation-harness scores in place of an item's own unknown answer."""


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    folder, device = options.model or demo.fetch(Console()), choose_device(options.device)
    tokenizer = read_tokenizer(folder)
    prompter, items = Prompter(tokenizer), chosen(options.set, options.items)
    texts = [prompter.text(item, rotation) for item in items for rotation in range(ROTATIONS)]
    sequences = [Query(tuple(ids)) for ids in prompter.encode(texts)]
    letters = list(prompter.letters(texts[0]))
    with loaded(folder, device, torch.float32) as model:
        reader = Resident(model)
        nodes = sum(len(each.tokens) for each, _ in logprobs.trees(reader, sequences))
        tokens = sum(len(sequence.tokens) for sequence in sequences)
        print(
            f"{len(items)} items ({options.set}), {len(sequences)} prompts, {tokens} tokens as {nodes} nodes, {device}"
        )
        works: dict[str, Callable[[], Any]] = {
            "plain": lambda: plain(model, sequences, letters),
            "ours": lambda: ours(reader, sequences, letters),
            **(harness(model, tokenizer, items) if options.harness else {}),
        }
        seconds, results = rounds(works, options.rounds)
    report(seconds, len(items))
    print(f"largest difference between ours and plain: {np.abs(results['ours'] - results['plain']).max():.1e}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--harness", action="store_true", help="beside lm-evaluation-harness, which must be installed")
    parser.add_argument("--set", choices=("mixed", "ambiguous"), default="mixed")
    return parser.parse_args()


def chosen(kind: str, count: int) -> tuple[Item, ...]:
    """Draw whole groups; of the study's set, the ambiguous half of twice as many."""
    items = read_bbq(None, Console())[0]
    if kind == "mixed":
        return draw(items, str(count), seed=42).items
    study = {(item.category, item.example_id) for item in draw(items, "study", 0).items}
    drawn = draw([item for item in items if item.category in {name for name, _ in study}], str(2 * count), 42).items
    return tuple(item for item in drawn if item.condition == "ambig")


@torch.inference_mode()
def plain(model: Any, sequences: Iterable[Query], letters: list[int]) -> np.ndarray:
    rows = []
    for sequence in sequences:
        logits = model(input_ids=torch.tensor([sequence.tokens], device=model.device), use_cache=False).logits[0, -1]
        rows.append(torch.log_softmax(logits.float(), dim=-1)[letters].cpu().numpy())
    return np.stack(rows)


def ours(reader: Resident, sequences: list[Query], letters: list[int]) -> np.ndarray:
    reader.in_trees = None  # the trial belongs to the work
    result = np.empty((len(sequences), len(letters)), dtype=np.float32)
    for index, rows in logprobs.read(reader, sequences, lambda _: None):
        result[index] = rows[-1, letters].cpu().numpy()
    return result


def harness(model: Any, tokenizer: Any, items: Iterable[Item]) -> dict[str, Callable[[], Any]]:
    """Return one work per batch size; none where the harness is not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        return {}
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    asked = [(f"{item.context}\n\nQ: {item.question}\nA:", f" {choice}") for item in items for choice in choices(item)]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index) for index, pair in enumerate(asked)
    ]

    def work(batch: int) -> Callable[[], Any]:
        lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch)
        return lambda: lm.loglikelihood(requests, disable_tqdm=True)

    return {f"lm-eval, batch {batch}": work(batch) for batch in BATCHES}


def choices(item: Item) -> tuple[str, ...]:
    return (*(answer for index, answer in enumerate(item.answers) if index != item.unknown), *UNKNOWN)


def rounds(works: dict[str, Callable[[], Any]], count: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Do all works in turn; the first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    results: dict[str, Any] = {}
    for turn in range(count + 1):
        for name, work in works.items():
            started = time.perf_counter()
            results[name] = work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds, results


def report(seconds: dict[str, list[float]], items: int) -> None:
    median = {name: statistics.median(times) for name, times in seconds.items()}
    best = min((name for name in median if name.startswith("lm-eval")), key=median.__getitem__, default=None)
    for name, value in median.items():
        line = f"{name:<18} {value:7.1f} s  {items / value:5.2f} items/s"
        if name == "ours":
            line += f"  {value / median['plain']:.3f} of plain"
            line += f", {value / median[best]:.3f} of {best}" if best else ""
        print(line)
    for key, other in (("bbq.plain", "plain"), ("bbq.harness", best)):
        if other:
            say(key, [mine / theirs for mine, theirs in zip(seconds["ours"], seconds[other], strict=True)])


if __name__ == "__main__":
    main()
