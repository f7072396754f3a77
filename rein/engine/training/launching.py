"""Run a tool in several processes, on one machine or more, and say in one line why it failed.

Source: torchrun (torch.distributed.run), which starts the processes and ends them with the first
that fails.
"""

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.run import parse_args, run

from rein.errors import UserError
from rein.values import COUNT, check_value


def launch(script: str, processes: int, arguments: Sequence[str]) -> int:
    """Run a tool that takes `--launcher` in several processes, and wait for it.

    The environment variables NNODES, NODE_RANK, MASTER_ADDR and PORT describe the machines. On a
    single machine, a free port is chosen unless PORT is set.

    Args:
        script: The tool's path.
        processes: Processes on this machine, one per GPU.
        arguments: The tool's arguments.

    Returns:
        The exit code: 0, or that of the process that failed first.

    Raises:
        UserError: A process failed, was killed or stopped, the machines do not find each other, or
            `processes` is below 1.
    """
    check_value("launch", "processes", processes, COUNT)
    for name in ("run", "elastic"):
        logging.getLogger(f"torch.distributed.{name}").setLevel(logging.CRITICAL)
    try:
        run(parse_args([
            *machines(os.environ), "--nproc_per_node", str(processes), script, *arguments,
            "--launcher", "pytorch"]))
    except ChildFailedError as error:
        return explain(error.failures)
    except SignalException as error:
        raise UserError(f"stopped by {signal.Signals(error.sigval).name}") from None
    except (DistError, RendezvousError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the machines did not find each other: {reason}. MASTER_ADDR must name the first "
            "machine and PORT a port that is free there, on every machine.") from None
    return 0


def machines(environment: Mapping[str, str]) -> list[str]:
    """Return torchrun's options for the machines that the environment variables describe."""
    number, port = environment.get("NNODES", "1"), environment.get("PORT")
    if number == "1" and port is None:
        return ["--standalone"]
    return [
        "--nnodes", number, "--node_rank", environment.get("NODE_RANK", "0"),
        "--master_addr", environment.get("MASTER_ADDR", "127.0.0.1"),
        "--master_port", port or "29500"]


def explain(failures: Mapping[int, ProcessFailure]) -> int:
    """Find the process that failed first, and the reason; print its traceback, if any.

    Args:
        failures: Failed processes by global rank.

    Returns:
        The exit code of a process that printed its reason.

    Raises:
        UserError: The process was killed, or failed with an error.
    """
    def order(item: tuple[int, ProcessFailure]) -> tuple[bool, bool, float]:
        exitcode = item[1].exitcode  # SIGTERM comes from torchrun, which stops the others
        return exitcode == -signal.SIGTERM, exitcode >= 0, _time(item[1])

    rank, first = min(failures.items(), key=order)
    if first.exitcode < 0:
        raise UserError(
            f"process {rank} was killed by {first.signal_name()}; the others were stopped. A "
            "common reason for SIGKILL is full memory.")
    if not isinstance(first.message, Mapping):
        return first.exitcode
    text, stack = first.message["message"], first.message["extraInfo"]["py_callstack"]
    if text != stack:
        print(stack, file=sys.stderr)
        text = f"process {rank} failed, the others were stopped: {text.splitlines()[0]}"
    raise UserError(text)


def _time(failure: ProcessFailure) -> float:
    """Return the time of a failure; that in its file is exact, torchrun's in seconds."""
    if isinstance(failure.message, Mapping):  # written by rein.cli
        return failure.message["extraInfo"]["at"]
    return failure.timestamp
