"""The launcher names the process that failed first, and the reason."""

import signal

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from rein import cli
from rein.engine.training.launching import explain, machines
from rein.errors import UserError


def failure(tmp_path, rank, exitcode, error=None, monkeypatch=None):
    """Return a process's failure; `error` is what its command raised."""
    path = tmp_path / f"{rank}.json"
    if error is not None:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(path))

        def fail():
            raise error

        with pytest.raises(SystemExit):
            cli.run_cli(fail)
    return ProcessFailure(rank, 100 + rank, exitcode, str(path))


def test_the_first_error_is_reported_once_with_its_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.sys, "last_value", None, raising=False)
    first = failure(tmp_path, 1, 1, RuntimeError("first"), monkeypatch)
    second = failure(tmp_path, 0, 1, RuntimeError("connection closed"), monkeypatch)
    stopped = failure(tmp_path, 2, -signal.SIGTERM)
    with pytest.raises(UserError, match="^process 1 failed.*RuntimeError: first$"):
        explain({0: second, 1: first, 2: stopped})
    printed = capsys.readouterr().err
    assert printed.count("Traceback") == 1 and "connection" not in printed


def test_a_users_error_is_the_reason_without_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.sys, "last_value", None, raising=False)
    wrong = failure(tmp_path, 1, 1, UserError("a.png: wrong"), monkeypatch)
    with pytest.raises(UserError, match="^a.png: wrong$"):
        explain({1: wrong})
    assert not capsys.readouterr().err


def test_a_killed_process_is_the_reason_and_other_exit_codes_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cli.sys, "last_value", None, raising=False)
    second = failure(tmp_path, 0, 1, RuntimeError("connection closed"), monkeypatch)
    with pytest.raises(UserError, match="process 1 was killed by SIGKILL"):
        explain({0: second, 1: failure(tmp_path, 1, -signal.SIGKILL)})
    assert explain({0: failure(tmp_path, 5, 3)}) == 3


def test_one_machine_takes_a_free_port_and_several_meet_at_the_given_one():
    assert machines({}) == ["--standalone"]
    given = machines(dict(NNODES="2", NODE_RANK="1", MASTER_ADDR="first", PORT="1234"))
    assert " ".join(given) == (
        "--nnodes 2 --node_rank 1 --master_addr first --master_port 1234")
