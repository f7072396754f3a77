"""The benchmark of methods on the toy world: its cells, resuming, its report."""

import json

import pytest
from conftest import ROOT

from rein.errors import UserError
from toy import benchmark
from toy.benchmark import METHODS, Cell, cost_table, list_cells, parse_args, run_cell, run_tool


def test_an_unfinished_grid_compares_all_methods():
    cells = list_cells(parse_args(["--seeds", "0", "1"]))
    assert [cell.method for cell in cells[:4]] == list(METHODS)
    assert {cell.seed for cell in cells[:4]} == {0} and len(cells) == 8
    assert all((ROOT / path).is_file() for path in METHODS.values())


def test_a_cell_that_is_done_is_not_run_again(tmp_path, monkeypatch):
    calls = []

    def tool(name, *words, log):
        calls.append((name, *map(str, words)))
        (tmp_path / "train").mkdir(parents=True, exist_ok=True)
        for file in ("iter_2.pth", "last_checkpoint"):
            (tmp_path / "train" / file).write_text("iter_2.pth")
        if name == "tools/test.py":
            out = words[words.index("--out") + 1]
            out.mkdir(exist_ok=True)
            (out / "results.json").write_text("{}")
        return 61.2, 1000.4

    monkeypatch.setattr(benchmark, "run_tool", tool)
    cell = Cell("rein", 40, 3, tmp_path)
    run_cell(cell, ["fog"])
    assert [call[0] for call in calls] == ["tools/train.py", "tools/test.py", "tools/test.py"]
    assert "randomness.seed=3" in calls[0]
    assert "train_dataloader.dataset.indices=40" in calls[0]
    assert json.loads((tmp_path / "cost.json").read_text()) == dict(seconds=61, peak_mib=1000)
    run_cell(cell, ["fog"])
    assert len(calls) == 3
    run_cell(cell, ["fog", "snow"])
    assert len(calls) == 4
    assert "--resume" not in calls[0]
    (tmp_path / "cost.json").unlink()  # as after an interruption
    run_cell(cell, ["fog", "snow"])
    assert "--resume" in calls[4] and len(calls) == 5


def test_costs_are_means_over_seeds(tmp_path):
    cells = [Cell("rein", 160, seed, tmp_path / str(seed)) for seed in (0, 1)]
    for cell in cells:
        cell.folder.mkdir()
        (cell.folder / "cost.json").write_text(json.dumps(
            dict(seconds=10 + cell.seed * 10, peak_mib=500)))
        (cell.folder / "train.log").write_text("INFO - trainable: 1,234 of 9,999 parameters (1 %)")
    assert cost_table(cells).splitlines()[-1] == "| rein | 1,234 | 15 | 500 |"


def test_a_failed_tool_names_its_log(tmp_path):
    with pytest.raises(UserError, match="tools/train.py failed .*a.log"):
        run_tool("tools/train.py", "missing.py", log=tmp_path / "a.log")
