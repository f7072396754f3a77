"""The benchmark of methods on the toy world: its cells, resuming, its report."""

import dataclasses
import json

import pytest
from conftest import ROOT
from PIL import Image
from some_results import RECORD, some_images, table_of

from rein.errors import UserError
from rein.evaluation.results import save_results
from toy import benchmark
from toy.benchmark import (
    ALL_METHODS,
    METHODS,
    Cell,
    list_cells,
    list_tests,
    parse_args,
    run_cell,
    run_tool,
)
from toy.benchmark_report import cost_table, draw_plots, write_report


def test_an_unfinished_grid_compares_all_methods():
    cells = list_cells(parse_args(["--seeds", "0", "1"]))
    assert [cell.method for cell in cells[:4]] == list(METHODS)
    assert {cell.seed for cell in cells[:4]} == {0} and len(cells) == 8
    assert all((ROOT / path).is_file() for path in ALL_METHODS.values())


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
    run_cell(cell, list_tests(["fog"], False))
    assert [call[0] for call in calls] == ["tools/train.py", "tools/test.py", "tools/test.py"]
    assert "randomness.seed=3" in calls[0]
    assert "train_dataloader.dataset.indices=40" in calls[0]
    assert json.loads((tmp_path / "cost.json").read_text()) == dict(seconds=61, peak_mib=1000)
    run_cell(cell, list_tests(["fog"], False))
    assert len(calls) == 3
    run_cell(cell, list_tests(["fog", "snow"], False))
    assert len(calls) == 4
    assert "--resume" not in calls[0]
    (tmp_path / "cost.json").unlink()  # as after an interruption
    run_cell(cell, list_tests(["fog", "snow"], False))
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


def test_held_out_streets_of_the_source_take_the_place_of_the_targets():
    settings = list_tests([], held_out=True)["."]
    assert "test_evaluator.dataset_keys=['gta']" in settings
    assert any("data_root=data/toy_held_out/gta/" in setting for setting in settings)
    assert list_tests(["fog"], held_out=False)["."] == []


@pytest.fixture
def done_cells(tmp_path):
    """Return four cells, two methods with two seeds each, as a grid leaves them."""
    images, cells = some_images(), []
    for method in ("freeze", "rein"):
        for seed in (0, 1):
            cell = Cell(method, 160, seed, tmp_path / f"{method}_160/seed{seed}")
            record = dataclasses.replace(RECORD, config=method, seed=seed)
            for folder in (cell.folder, cell.folder / "fog"):
                save_results(folder, table_of(images), images, record)
            scalars = cell.folder / "train/1/vis_data/scalars.json"
            scalars.parent.mkdir(parents=True)
            scalars.write_text("".join(
                json.dumps(dict(step=step, loss=1 / step)) + "\n" for step in (1, 2)))
            (cell.folder / "train.log").write_text("trainable: 1,234 of 9,999")
            (cell.folder / "cost.json").write_text(json.dumps(dict(seconds=9, peak_mib=500)))
            cells.append(cell)
    return cells


def test_the_report_compares_methods_over_seeds_and_conditions(done_cells, tmp_path):
    write_report(done_cells, tmp_path / "out.md", ["fog"])
    text = (tmp_path / "out.md").read_text()
    for line in ("# Toy benchmark", "### Against freeze", "## ACDC fog, 160 source pictures",
                 "| freeze | 1,234 | 9 | 500 |", "](out.png)"):
        assert line in text
    draw_plots(done_cells, tmp_path / "out.png", ["fog"])
    assert Image.open(tmp_path / "out.png").width > 800
