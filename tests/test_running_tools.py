"""A tool run in this process ends as in its own process, and leaves nothing behind."""

import os
import sys

import pytest
import torch
from commands import run_tool
from mmengine.logging import MMLogger

TOOL = """
import os, sys, torch
from mmengine.logging import MMLogger
MMLogger.get_instance("tool", log_file="tool.log").info("logged")
os.environ["TOOL"] = sys.argv[1]
sys.path.insert(0, "nowhere")
torch.set_num_threads(2)
torch.rand(1)
print("said")
if sys.argv[1] == "raise":
    raise ValueError("broken")
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("argument, code", [("0", 0), ("3", 3), ("raise", 1)])
def test_a_tool_run_here_leaves_nothing_behind(tmp_path, argument, code):
    (tmp_path / "tool.py").write_text(TOOL)

    def state():
        return (os.getcwd(), dict(os.environ), list(sys.argv), list(sys.path),
                torch.get_num_threads(), torch.get_rng_state().tolist(),
                list(MMLogger._instance_dict))

    before = state()
    done = run_tool(tmp_path / "tool.py", argument, cwd=tmp_path, check=False)
    assert state() == before
    assert done.returncode == code and done.stdout.endswith("said\n")
    assert ("Traceback" in done.stderr) == (argument == "raise")
    assert "logged" in (tmp_path / "tool.log").read_text()
