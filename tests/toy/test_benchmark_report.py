"""The toy benchmark's report and plots."""

import dataclasses
import json

import pytest
from PIL import Image
from some_results import RECORD, some_images, table_of

from rein.errors import UserError
from rein.evaluation.result_files import save_results
from toy.benchmark import main, parse_args
from toy.benchmark_cells import Cell, list_tests
from toy.benchmark_report import cost_table, draw_plots, write_report


def test_costs_are_means_over_seeds(tmp_path):
    cells = [Cell("rein", 160, seed, tmp_path / str(seed)) for seed in (0, 1)]
    for cell in cells:
        cell.folder.mkdir()
        (cell.folder / "cost.json").write_text(json.dumps(
            dict(seconds=10 + cell.seed * 10, peak_mib=500)))
        (cell.folder / "train.log").write_text("INFO - trainable: 1,234 of 9,999 parameters (1 %)")
    assert cost_table(cells).splitlines()[-1] == "| rein | 1,234 | 15 | 500 |"
    for cell, seconds in zip(cells, ("20", "-"), strict=True):  # interrupted one by one
        (cell.folder / "cost.json").write_text('{"seconds": null, "peak_mib": 500}')
        assert cost_table(cells).splitlines()[-1] == f"| rein | 1,234 | {seconds} | 500 |"


@pytest.fixture
def done_cells(tmp_path):
    """Return four cells, two methods with two seeds each, as a grid leaves them."""
    images, cells = some_images(), []
    for method in ("freeze", "rein"):
        for seed in (0, 1):
            cell = Cell(method, 160, seed, tmp_path / f"{method}_160/seed{seed}")
            record = dataclasses.replace(RECORD, config=method, seed=seed)
            for folder in (cell.folder, cell.folder / "acdc_fog"):
                save_results(folder, table_of(images), images, record)
            source = [image for image in images if image.domain == images[0].domain]
            save_results(cell.folder / "in_domain", table_of(source), source, record)
            scalars = cell.folder / "train/1/vis_data/scalars.json"
            scalars.parent.mkdir(parents=True)
            scalars.write_text("".join(
                json.dumps(dict(step=step, loss=1 / step)) + "\n" for step in (1, 2)))
            (cell.folder / "train.log").write_text("trainable: 1,234 of 9,999")
            (cell.folder / "cost.json").write_text(json.dumps(dict(seconds=9, peak_mib=500)))
            cells.append(cell)
    return cells


def test_the_report_compares_methods_over_seeds_and_tests(done_cells, tmp_path):
    tests = list(list_tests(["fog"], in_domain=True))
    write_report(done_cells, tmp_path / "out.md", tests)
    text = (tmp_path / "out.md").read_text()
    for line in ("# Toy benchmark", "### Against rein",
                 "## Conditions of ACDC, 160 source pictures",
                 "## Held-out streets of the source, 160 source pictures",
                 "| freeze | 1,234 | 9 | 500 |", "](out.png)"):
        assert line in text
    draw_plots(done_cells, tmp_path / "out.png", tests)
    assert Image.open(tmp_path / "out.png").width > 800


def test_trainings_too_short_for_a_logged_loss_are_reported(done_cells, tmp_path):
    def draw():
        draw_plots(done_cells, tmp_path / "out.png")
        return Image.open(tmp_path / "out.png").height

    whole = draw()
    done_cells[0].folder.joinpath("train/1/vis_data/scalars.json").write_text("")
    assert draw() == whole  # the other method's losses
    done_cells[2].folder.joinpath("train/1/vis_data/scalars.json").unlink()
    assert draw() < whole


def test_the_report_names_overrides_and_held_out_streets(done_cells, tmp_path):
    for cell in done_cells:
        (cell.folder / "cost.json").write_text(json.dumps(
            dict(seconds=9, peak_mib=500, options=["optim_wrapper.optimizer.lr=2e-3"])))
    main(parse_args(["--report", "--held-out", "--methods", "freeze", "rein", "--seeds", "0", "1",
                     "--work-dir", str(tmp_path)]))
    text = (tmp_path / "toy_benchmark.md").read_text()
    assert "but with `optim_wrapper.optimizer.lr=2e-3`" in text
    assert "## Held-out streets of the source, 160 source pictures" in text
    assert "| freeze | 1,234 | 9 | 500 |" in text
    assert "Cityscapes" in text and "ACDC" not in text  # the fixture's names of source and targets


def test_an_unfinished_grid_is_reported(done_cells, tmp_path):
    (done_cells[-1].folder / "results.json").unlink()
    (done_cells[-2].folder / "in_domain/results.json").unlink()
    words = ["--report", "--methods", "freeze", "rein", "--work-dir", str(tmp_path)]
    main(parse_args(words))
    text = (tmp_path / "toy_benchmark.md").read_text()
    assert "rein_160/seed0" in text and "rein_160/seed1" not in text
    main(parse_args([*words, "--held-out"]))
    text = (tmp_path / "toy_benchmark.md").read_text()
    assert "rein_160/seed1" in text and "rein_160/seed0" not in text
    with pytest.raises(UserError, match="no cell of these methods and seeds is done"):
        main(parse_args([*words, "--seeds", "5"]))
