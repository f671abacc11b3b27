"""A published grid, and models that other tools pruned, audited on the Hub with one command."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from release.__main__ import run
from tests import checkpoints
from tests.commands import at_a_hub, commands
from tests.remote import lay

CARDS = {
    "sparse-a": ("# sparse-a\n\nPruned with Wanda.\n\n- **Sparsity:** 50%\n", 0.5),
    "sparse-b": ("---\ntags: [sparse]\n---\n# sparse-b, 25% sparse\n\n| Target sparsity | 25 % |\n|:--|:--|\n", 0.25),
    "sparse-c": ("# sparse-c\n\nTarget sparsity: 70 %\n", 0.6),
}
"""What other tools write of a model, and the share of zeros that its files hold; the last one misses its target."""


def pruned_elsewhere(base: Path, folder: Path, card: str, share: float) -> Path:
    """Zero the smallest weights of each row, and write nothing but the card of it."""
    checkpoints.copy(base, folder)
    values = checkpoints.tensors(folder)
    for name, tensor in values.items():
        if "proj" in name:
            smallest = np.argsort(np.abs(tensor.float().numpy()), axis=1)[:, : round(share * tensor.shape[1])]
            array = tensor.float().numpy()
            np.put_along_axis(array, smallest, 0.0, axis=1)
            values[name] = tensor.new_tensor(array)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    checkpoints.write(folder, values)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


@pytest.mark.long
def test_three_releases_and_three_of_another_tool_are_audited_and_the_one_that_misses_its_target_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours"
    words = ["--method", "random", "--sparsity", "0.1,0.3,0.5", "--out", str(ours)]
    assert run(["prune", str(llama), *words]) == 0
    capsys.readouterr()
    with at_a_hub(tmp_path, monkeypatch) as hub:
        names = {f"lab/{folder.name}": folder for folder in sorted(ours.iterdir())}
        for name, (card, share) in CARDS.items():
            names[f"vera/{name}"] = pruned_elsewhere(llama, tmp_path / name, card, share)
        for name, folder in names.items():
            lay(hub, name, folder)
        told = commands(hub, capsys)("report", *names, "--out", str(tmp_path / "report"), code=1)
    agrees = {each["name"]: each["agrees"] for each in told["releases"]}
    assert len(agrees) == 6
    assert [name for name, well in agrees.items() if well is False] == ["vera/sparse-c"]
    zeros = {each["name"]: each["actual_sparsity"] for each in told["releases"]}
    for name, (_, share) in CARDS.items():
        assert zeros[f"vera/{name}"] == pytest.approx(share, abs=0.02)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "vera/sparse-c: card and files disagree" in page
    assert page.count("card and files disagree") == 1
    with (tmp_path / "report" / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["release"]: row for row in csv.DictReader(file)}
    assert {row["card_and_files_agree"] for row in rows.values()} == {"True", "False"}
    assert json.loads(rows["vera/sparse-c"]["target_sparsity"] or "0") in (0, 0.7)
