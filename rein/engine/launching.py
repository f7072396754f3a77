"""Run a tool in several processes, on one machine or more, and say in one line why it failed.

Source: torchrun (torch.distributed.run), which starts the processes and ends them with the first
that fails.
"""

import logging
import os
import signal
from collections.abc import Mapping, Sequence

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.run import parse_args, run

from rein.errors import UserError


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
        UserError: A process failed, was killed or stopped, or the machines do not find each other.
    """
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
    """Find the process that failed first, and the reason.

    Args:
        failures: Failed processes by global rank.

    Returns:
        The exit code of a process that printed its reason.

    Raises:
        UserError: The process was killed, made a user's error, or printed a traceback.
    """
    # the others fail a moment later, since their connection breaks
    rank, first = min(failures.items(), key=lambda item: (
        item[1].exitcode >= 0, isinstance(item[1].message, str), item[1].timestamp))
    if first.exitcode < 0:
        raise UserError(
            f"process {rank} was killed by {first.signal_name()}; the others were stopped. Often "
            "memory ran out.")
    if isinstance(first.message, Mapping):  # written by rein.cli
        raise UserError(first.message["message"])
    if first.exitcode == 1:
        raise UserError(f"process {rank} failed; its traceback is above. The others were stopped.")
    return first.exitcode
