"""The README's first command, on a world of a few images."""

import json
import subprocess
import sys

from commands import run_tool
from conftest import ROOT
from PIL import Image

run_process = subprocess.run


def run_here(command, **options):
    """Run the quickstart's commands in this process; all but the first, and none of others."""
    if command[0] != sys.executable or "tools/make_toy_streets.py" in command:
        return run_process(command, **options)
    done = run_tool(*command[1:], cwd=options["cwd"], check=False)
    print(done.stdout, done.stderr)
    return done


def test_quickstart_runs_from_raw_data_to_table_sheet_and_page(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", run_here)
    done = run_tool(
        ROOT / "tools/quickstart.py", "--data", tmp_path / "toy", "--work-dir", tmp_path / "work",
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
    assert f"{tmp_path / 'work'}/test/results.html" in done.stdout
    page = (tmp_path / "work/test/results.html").read_text()
    for part in ("Confusion", "Best and worst images", "What was run", "ACDC night"):
        assert f">{part}</h" in page


def test_makefile_sets_itself_up_and_runs_what_the_readme_says():
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    assert readme.index("make quickstart") < readme.index("make test") < 200
    assert "tools/quickstart.py" in makefile and "-m pytest tests" in makefile
