"""A cell of the toy benchmark is trained and tested once, and resumed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from rein.errors import UserError
from toy import benchmark_cells
from toy.benchmark_cells import (
    IN_DOMAIN,
    Cell,
    is_done,
    list_tests,
    options_of,
    run_cell,
    run_tool,
)


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

    monkeypatch.setattr(benchmark_cells, "run_tool", tool)
    cell = Cell("rein", 40, 3, tmp_path)
    run_cell(cell, list_tests(["fog"], False))
    assert [call[0] for call in calls] == ["tools/train.py", "tools/test.py", "tools/test.py"]
    assert "randomness.seed=3" in calls[0]
    assert "train_dataloader.dataset.indices=40" in calls[0]
    assert json.loads((tmp_path / "cost.json").read_text()) == dict(
        seconds=61, peak_mib=1000, options=[])
    run_cell(cell, list_tests(["fog"], False))
    assert len(calls) == 3
    assert "test_evaluator.dataset_keys=['acdc_fog']" in calls[2]
    assert "--resume" not in calls[0]
    other = ["optim_wrapper.optimizer.lr=1"]
    with pytest.raises(UserError, match=r"with .* \(none\), not .*lr=1. Choose another --work-dir"):
        run_cell(cell, list_tests(), other)
    (tmp_path / "cost.json").unlink()  # as after an interruption
    with pytest.raises(UserError, match=r"with .* \(none\), not .*lr=1. Choose another --work-dir"):
        run_cell(cell, list_tests(), other)
    run_cell(cell, list_tests(["fog", "snow"], False))
    assert "--resume" in calls[3] and len(calls) == 5
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["seconds"] is None and cost["peak_mib"] == 1000


def test_a_cell_interrupted_before_its_first_checkpoint_takes_other_overrides(
        tmp_path, monkeypatch):
    def interrupted(*words, log):
        raise KeyboardInterrupt

    cell = Cell("rein", 160, 0, tmp_path)
    monkeypatch.setattr(benchmark_cells, "run_tool", interrupted)
    for options in (["a=1"], ["a=2"]):
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell, list_tests(), options)
        assert options_of(cell) == options
    (tmp_path / "options.json").unlink()
    (tmp_path / "cost.json").write_text('{"options": ["a=3"]}')  # of an earlier version
    assert options_of(cell) == ["a=3"]


def test_a_failed_tool_names_its_log(tmp_path):
    with pytest.raises(UserError, match="tools/train.py failed .*a.log"):
        run_tool("tools/train.py", "missing.py", log=tmp_path / "a.log")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_tool_ends_with_the_benchmark(tmp_path, ending):
    tool, pid = tmp_path / "tool.py", tmp_path / "pid"
    tool.write_text(f"import os, time\nopen({str(pid)!r}, 'w').write(f'{{os.getpid()}} ')\n"
                    "time.sleep(60)")
    benchmark = subprocess.Popen(
        [sys.executable, "-c", "from pathlib import Path; from toy.benchmark_cells import run_tool;"
         f"run_tool({str(tool)!r}, log=Path({str(tmp_path / 'a.log')!r}))"],
        cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (pid.exists() and pid.read_text().endswith(" ")):
        assert benchmark.poll() is None
        time.sleep(0.01)
    benchmark.send_signal(ending)
    assert benchmark.wait(30) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_held_out_streets_of_the_source_are_a_test_of_their_own(tmp_path):
    """Their results are never taken for those on the targets, or the other way round."""
    tests = list_tests([], held_out=True)
    assert tests == {IN_DOMAIN: list_tests([], in_domain=True)[IN_DOMAIN]}
    assert "test_evaluator.dataset_keys=['gta']" in tests[IN_DOMAIN]
    assert any("data_root=data/toy_held_out/gta/" in setting for setting in tests[IN_DOMAIN])
    assert list_tests(["fog"], held_out=False)["."] == []
    cell = Cell("rein", 160, 0, tmp_path)
    (tmp_path / "cost.json").write_text("{}")
    (tmp_path / "results.json").write_text('{"domains": {"citys": {}}}')
    assert is_done(cell, list_tests()) and not is_done(cell, tests)
    (tmp_path / "results.json").write_text('{"domains": {"gta": {}}}')  # of an earlier version
    assert not is_done(cell, list_tests())
