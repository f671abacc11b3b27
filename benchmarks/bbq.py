"""BBQ read by letters in fp32: shared beginnings computed once, beside a plain loop of one forward per prompt.

    python benchmarks/bbq.py MODEL_FOLDER [--items 24] [--threads 2] [--budgets 384,512,768,1024]

Both read the same prompts of the default sample in one process, in turns, so the ratio holds on a busy machine too.
The largest difference between their log-probabilities is printed with it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from release.measure import engine
from release.measure.engine import Engine, Prompts
from release.measure.model import choose_device, loaded, read_tokenizer
from release.measure.prompts import ROTATIONS, Prompter
from release.measure.sample import draw
from release.progress import Console
from release.sources.bbq import read_bbq


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    prompter = Prompter(read_tokenizer(options.model))
    items = draw(read_bbq(None, Console())[0], str(options.items), seed=42).items
    texts = [prompter.text(item, rotation) for item in items for rotation in range(ROTATIONS)]
    prompts, letters = prompter.encode(texts), prompter.letters(texts[0])
    print(f"{len(items)} items, {len(prompts)} prompts, {sum(map(len, prompts))} tokens, {device}")
    with loaded(options.model, device, torch.float32) as model:
        read(engine.plain, model, prompts[:6], letters)
        plain, truth = timed(lambda: read(engine.plain, model, prompts, letters))
        print(f"plain loop: {plain[0]:.1f} s wall, {plain[1]:.1f} s CPU, {len(items) / plain[0]:.2f} items/s")
        for budget in options.budgets:
            engine.BUDGET[device.type] = budget
            trees, found = timed(lambda: read(engine.trees, model, prompts, letters))
            nodes = sum(len(tree.tokens) for tree in engine.plant(prompts, budget))
            print(
                f"trees of {budget}: {trees[0]:.1f} s wall, {trees[1]:.1f} s CPU, {nodes} nodes,"
                f" {trees[0] / plain[0]:.3f} of the wall time, {trees[1] / plain[1]:.3f} of the CPU time,"
                f" largest difference {np.abs(found - truth).max():.1e}"
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--budgets", type=lambda text: [int(part) for part in text.split(",")], default=[engine.BUDGET["cpu"]]
    )
    return parser.parse_args()


@torch.inference_mode()
def read(way: Engine, model: torch.nn.Module, prompts: Prompts, letters: tuple[int, int, int]) -> np.ndarray:
    result = np.empty((len(prompts), 3), dtype=np.float32)
    for indices, values in way(model, prompts):
        result[indices] = values[:, list(letters)].cpu().numpy()
    return result


def timed(work: Callable[[], np.ndarray]) -> tuple[tuple[float, float], np.ndarray]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


if __name__ == "__main__":
    main()
