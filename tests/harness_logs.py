"""Logs in the form in which lm-evaluation-harness 0.4.13 writes them, with scores of one's own."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

STAMP = "2026-11-28T15-12-12.115444"
Forge = Callable[[dict[str, Any], dict[str, list[dict[str, Any]]]], None]


def log(scores: Mapping[str, Sequence[float]], passages: int = 0) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Results and samples of tasks of four answers each, in one group.

    Args:
        scores: Of each task, item by item.
        passages: Items that share one, in a row; 0 for none.
    """
    samples = {name: [_row(name, i, float(v), passages) for i, v in enumerate(found)] for name, found in scores.items()}
    every = [value for found in scores.values() for value in found]
    results = {
        "results": {name: {"alias": name, "acc,none": sum(found) / len(found)} for name, found in scores.items()},
        "groups": {"all_of_them": {"acc,none": sum(every) / len(every)}} if len(scores) > 1 else {},
        "group_subtasks": {"all_of_them": list(scores)},
        "configs": {name: _config(name) for name in scores},
        "versions": dict.fromkeys(scores, 1.0),
        "n-shot": dict.fromkeys(scores, 0),
        "n-samples": {name: {"original": len(found), "effective": len(found)} for name, found in scores.items()},
        "config": {"model": "hf", "limit": None, "gen_kwargs": None, "random_seed": 0, "model_dtype": "torch.float32"},
        "lm_eval_version": "0.4.13",
        "chat_template_sha": None,
        "max_length": 512,
    }
    return results, samples


def _config(name: str) -> dict[str, Any]:
    return {
        "task": name,
        "dataset_path": "allenai/ai2_arc",
        "dataset_name": "ARC-Easy",
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }


def _row(name: str, index: int, value: float, passages: int) -> dict[str, Any]:
    doc = {"question": f"{name} {index}?"} | ({"passage": f"p{index // passages}"} if passages else {})
    return {
        "doc_id": index,
        "doc": doc,
        "target": "0",
        "arguments": {f"gen_args_{answer}": {"arg_0": "Q", "arg_1": " A"} for answer in range(4)},
        "resps": [[["-1.5", "False"]] for _ in range(4)],
        "filtered_resps": [["-1.5", "False"] for _ in range(4)],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": hashlib.sha256(json.dumps(doc).encode()).hexdigest(),
        "prompt_hash": "1" * 64,
        "target_hash": "2" * 64,
        "acc": value,
    }


def write(folder: Path, made: tuple[dict[str, Any], dict[str, list[Any]]], forge: Forge | None = None) -> Path:
    """Write a log as `--output_path --log_samples` does, forged where that is asked for."""
    results, samples = copy.deepcopy(made)
    if forge:
        forge(results, samples)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"results_{STAMP}.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    for name, rows in samples.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"samples_{name}_{STAMP}.jsonl").write_text(lines, encoding="utf-8")
    return path
