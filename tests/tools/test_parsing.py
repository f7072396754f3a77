"""All tools parse and run through `rein.cli`."""

import json
import sys
from types import SimpleNamespace

import pytest
from commands import error_line, run_tool
from conftest import ROOT

from benchmarks.paired import Row

TOOLS = sorted((ROOT / "tools").rglob("*.py"))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.stem)
def test_a_tool_leaves_parsing_and_errors_to_the_shared_command_line(tool):
    text = tool.read_text()
    assert "ArgumentParser(" not in text and "run_cli(" not in text
    assert "def build_parser()" in text  # the completion of `rein` reads it


@pytest.mark.parametrize("arguments, message", [
    (("benchmark.py", "metrics"), "no such subject: metrics; choose from "),
    (("benchmark.py", "--list", "--repeats", 0), "--repeats must be at least 1"),
    (("compare.py", "run", "--draws", 0), "--draws must be at least 1"),
    (("compare.py", "run", "--seed", -1), "--seed must be at least 0"),
    (("launch.py", "train", 0, "x"), "processes=0; expected a whole number from 1"),
    (("make_submission.py", "acdc", "nowhere.zip", "out.zip"), "omit it if it is a zip"),
    (("convert_models/convert_dinov2.py", "a.pth", "--img-size", 1, 2, 3), "one or two numbers"),
    (("test.py", "a.py", "a.pth", "--submission", "acdc", "--show-dir", "b"), "no --show-dir"),
    (("test.py", "a.py", "a.pth", "--calibrate", "--tta", "--protocol", "rein"),
     "--calibrate does not take --tta, --protocol"),
])
def test_options_that_do_not_fit_each_other_get_one_line(arguments, message):
    assert message in error_line(run_tool(ROOT / "tools" / arguments[0], *arguments[1:],
                                          check=False))


def test_a_benchmarks_rows_replace_no_file(tmp_path, monkeypatch):
    row = Row("metric", 1.0, 2.0, "s", 2.0, (1.9, 2.1))
    monkeypatch.setitem(
        sys.modules, "benchmarks.metric", SimpleNamespace(run=lambda repeats: [row]))
    arguments, out = (ROOT / "tools/benchmark.py", "metric", "--out"), tmp_path / "new/rows.json"
    done = run_tool(*arguments, out)
    assert done.stdout.splitlines()[-1] == f"results written to {out}"
    written = out.read_text()
    assert json.loads(written)["rows"][0]["what"] == "metric"
    assert f"{out}: already exists" in error_line(run_tool(*arguments, out, check=False))
    assert out.read_text() == written
