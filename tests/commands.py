"""Run the tools in this process, which is cheap, or in new processes, as a user would."""

import contextlib
import io
import os
import random
import runpy
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from managers import own_managers

ROOT = Path(__file__).resolve().parents[1]


def run_command(*arguments, cwd=ROOT, check=True, **environment) -> subprocess.CompletedProcess:
    """Run a tool in a new process, without PYTHONPATH.

    Args:
        *arguments: The tool's path and its arguments, or any other arguments of Python.
        cwd: Folder to run in.
        check: Fail unless the exit code is 0.
        **environment: Environment variables to set.
    """
    env = {**os.environ, **environment}
    env.pop("PYTHONPATH", None)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    return _checked(done, check)


def run_tool(tool, *arguments, cwd=ROOT, check=True, **environment) -> subprocess.CompletedProcess:
    """Run a tool in this process, without starting Python or repeating imports.

    Args:
        tool: The tool's path.
        *arguments: Its arguments.
        cwd: Folder to run in.
        check: Fail unless the exit code is 0.
        **environment: Environment variables to set.
    """
    out, err, code = io.StringIO(), io.StringIO(), 0
    command = [str(tool), *map(str, arguments)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _new_process(cwd):
        os.environ.update(environment)
        sys.argv = command
        try:
            runpy.run_path(str(tool), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
    if isinstance(code, str):  # sys.exit(message)
        err.write(f"{code}\n")
        code = 1
    done = subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
    return _checked(done, check)


def _checked(done: subprocess.CompletedProcess, check: bool) -> subprocess.CompletedProcess:
    if check:
        assert done.returncode == 0, f"{done.args}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@contextlib.contextmanager
def _new_process(cwd) -> Iterator[None]:
    """Provide the state of a new process, and restore the old one afterwards."""
    cwd_before, argv, path, env = os.getcwd(), sys.argv, list(sys.path), dict(os.environ)
    threads = torch.get_num_threads()
    draws = random.getstate(), np.random.get_state(), torch.get_rng_state()
    os.chdir(cwd)
    try:
        with own_managers():
            yield
    finally:
        random.setstate(draws[0])
        np.random.set_state(draws[1])
        torch.set_rng_state(draws[2])
        torch.set_num_threads(threads)
        sys.argv, sys.path[:] = argv, path
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd_before)


def error_line(done: subprocess.CompletedProcess) -> str:
    """Return the one error line of a failed command; there must be no traceback."""
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
