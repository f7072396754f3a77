"""The README's first command, on a world of a few images."""

import json

import pytest
from commands import run_tool
from conftest import ROOT
from PIL import Image

from rein.errors import UserError
from toy import quickstart
from toy.quickstart import Step, progress


def test_quickstart_runs_from_raw_data_to_table_sheet_and_page(tmp_path):
    done = run_tool(
        ROOT / "tools/quickstart.py", "--data", "toy", "--work-dir", "work",
        "--iters", "2", "--streets", "gta=3", "cityscapes=1", "bdd=1", "mapillary=1",
        "acdc-night=1", "acdc=0", cwd=tmp_path)
    results = json.loads((tmp_path / "work/test/results.json").read_text())
    assert list(results["domains"]) == ["citys", "bdd", "map", "acdc_night"]
    assert results["mean"]["majority_mIoU"] > 0
    with Image.open(tmp_path / "work/pictures/sheet.png") as sheet:
        assert sheet.width > 1000
    assert (tmp_path / "work/toy_segmentor.pth").is_file()
    assert list((tmp_path / "work/train").glob("*/vis_data/events.out.tfevents*"))
    assert "majority-class guess" in done.stdout
    assert "Iter(train)" not in done.stdout  # one line a step; the rest is in the logs
    assert "[7/9] train Rein" in done.stdout
    assert "Iter(train)" in (tmp_path / "work/logs/7_train_rein.log").read_text()
    assert "work/test/results.html" in done.stdout
    page = (tmp_path / "work/test/results.html").read_text()
    for part in ("Confusion", "Best and worst images", "What was run", "ACDC night"):
        assert f">{part}</h" in page


def test_makefile_sets_itself_up_and_runs_what_the_readme_says():
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    assert readme.index("make quickstart") < readme.index("make test") < 200
    assert "tools/quickstart.py" in makefile and "-m pytest tests" in makefile


@pytest.mark.parametrize("line, share", [
    ("07/01 - mmengine - INFO - Iter(train) [ 300/1200]  lr: 1e-3  loss: 3", 0.25),
    ("Making streets:  45%|#### | 140/312", 0.45),
    ("a line of something else [1/2]", None)])
def test_progress_is_read_from_logs_and_bars(line, share):
    assert progress(line) == share


def test_a_failed_step_shows_its_last_lines_and_its_log(tmp_path, monkeypatch, capfd):
    failing = Step("fail", ["-c", "import sys; print('a reason'); sys.exit(3)"])
    monkeypatch.setattr(quickstart, "list_steps", lambda *args: [failing])
    with pytest.raises(UserError, match=r"(?s)`fail` failed \(exit code 3\).*a reason.*1_fail.log"):
        quickstart.run_quickstart(work_dir=str(tmp_path))
