"""Training and testing in several processes by tools/*.sh: they end together and say why."""

import os
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from processes import free_port
from tiny_project import write_project

DYING = """
import os, signal
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rein.errors import UserError

@HOOKS.register_module()
class Die(Hook):
    def __init__(self, how):
        self.how = how

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if get_rank() != 1 or batch_idx != 1:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exception":
            raise RuntimeError("broken on purpose")
        if self.how == "user_error":
            raise UserError("wrong on purpose")
        worker, = runner.train_loop.dataloader_iterator._iterator._workers
        os.kill(worker.pid, signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project with a hook that ends process 1 in the second iteration."""
    root = tmp_path_factory.mktemp("launched")
    cfg = write_project(root)
    (root / "dying.py").write_text(DYING)
    cfg.custom_imports = dict(imports=["dying"])
    cfg.custom_hooks = [dict(type="Die", how="kill")]
    cfg.train_dataloader.update(num_workers=1)
    cfg.dump(root / "dying_config.py")
    return root


def start(project, *command, **environment) -> subprocess.Popen:
    """Start a script of tools/ with its arguments."""
    env = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "",
           "PYTHONPATH": str(project), **environment}
    return subprocess.Popen(
        ["bash", ROOT / "tools" / command[0], *command[1:]], cwd=project, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, code=0) -> tuple[str, str]:
    """Wait for a script; return its output and errors."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out[-3000:] + err[-6000:]
    return out, err


@pytest.mark.faults
@pytest.mark.parametrize("how, reason, tracebacks", [
    ("kill", "process 1 was killed by SIGKILL", 0),
    ("exception", "process 1 failed, the others were stopped: RuntimeError: broken on purpo", 1),
    ("user_error", "wrong on purpose", 0),
    ("worker", "process 1 failed, the others were stopped: RuntimeError: DataLoader worker", 1),
])
def test_a_process_that_dies_ends_the_others_and_the_command_says_why(
        project, how, reason, tracebacks):
    process = start(
        project, "dist_train.sh", "dying_config.py", "2", "--cfg-options",
        f"custom_hooks.0.how={how}")
    last = ""
    lines = []
    while "Iter(train) [1/" not in last:  # the second iteration is next
        last = process.stdout.readline()
        lines.append(last)
        assert last or process.poll() is None, process.stderr.read()[-3000:]
    before = time.monotonic()
    _, err = finish(process, code=1)
    assert time.monotonic() - before < 60
    assert err.splitlines()[-1].startswith(f"error: {reason}"), err
    assert min(err.count("Traceback"), 1) == tracebacks, err


@pytest.mark.faults
def test_a_users_error_is_printed_once_for_all_processes(project):
    out, err = finish(start(
        project, "dist_train.sh", "config.py", "2", "--cfg-options",
        "model.backbone.init_cfg.checkpoint=nowhere.pth"), code=1)
    assert "Traceback" not in err and err.count("error: ") == 1
    assert "nowhere.pth: no such file" in err.splitlines()[-1]


@pytest.mark.faults
def test_one_process_that_meets_a_corrupt_image_ends_training_with_its_name(tmp_path):
    write_project(tmp_path, images=2)
    (tmp_path / "images/1.png").write_bytes(b"no image")
    _, err = finish(start(tmp_path, "dist_train.sh", "config.py", "2"), code=1)
    assert "images/1.png" in err.splitlines()[-1] and err.splitlines()[-1].startswith("error: ")


@pytest.mark.faults
def test_images_that_a_process_cannot_read_give_exit_code_3(tmp_path):
    write_project(tmp_path, images=3)
    (tmp_path / "images/1.png").write_bytes(b"no image")
    out, err = finish(
        start(tmp_path, "dist_test.sh", "config.py", "checkpoint.pth", "2"), code=3)
    assert "1 image could not be read" in err.splitlines()[-1] and err.count("error: ") == 1
    assert out.count("results written to work_dirs") == 2  # in the log and as the last line


@pytest.mark.faults
def test_two_machines_train_and_test(project):
    """Two launchers on loopback with one process each; the terminal shows the first's log."""
    for command in (("dist_train.sh", "config.py", "1", "--work-dir", "machines"),
                    ("dist_test.sh", "config.py", "machines/iter_4.pth", "1", "--out", "tested")):
        machines = [start(project, *command, NNODES="2", NODE_RANK=str(rank), PORT=str(port))
                    for port in [free_port()] for rank in (0, 1)]
        (first, _), (second, _) = map(finish, machines)
        assert "Iter(t" in first and not second, second
    assert (project / "machines/iter_4.pth").is_file()
    assert (project / "tested/results.html").is_file()


SRUN = """#!/usr/bin/env bash
echo "$@" >> srun_arguments
while [[ $1 == --* ]]; do [[ $1 == --nodes=* ]] && nodes=${1#*=}; shift; done
export SLURM_NNODES=$nodes SLURM_JOB_ID=$RANDOM SLURM_JOB_NODELIST=localhost
for ((node = 0; node < nodes; node++)); do SLURM_NODEID=$node "$@" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; done
"""


@pytest.mark.faults
def test_slurm_starts_one_launcher_per_node_with_the_node_s_number(project):
    for name, text in (("srun", SRUN), ("scontrol", "#!/bin/sh\necho 127.0.0.1\necho other\n")):
        (project / name).write_text(text)
        (project / name).chmod(0o755)
    environment = dict(PATH=f"{project}:{os.environ['PATH']}", GPUS="2", GPUS_PER_NODE="1",
                       SRUN_ARGS="--time=1:00:00 --exclusive")
    finish(start(project, "slurm_train.sh", "gpu", "rein", "config.py", "--work-dir", "slurm",
                 **environment))
    finish(start(project, "slurm_test.sh", "gpu", "rein", "config.py", "slurm/iter_4.pth",
                 "--out", "slurm_tested", **environment))
    assert (project / "slurm/iter_4.pth").is_file()
    assert (project / "slurm_tested/results.html").is_file()
    for line in (project / "srun_arguments").read_text().splitlines():
        if line.startswith("--"):
            assert line.startswith(
                "--partition=gpu --job-name=rein --nodes=2 --ntasks-per-node=1 --gres=gpu:1 "
                "--cpus-per-task=4 --kill-on-bad-exit=1 --time=1:00:00 --exclusive bash -c"), line
