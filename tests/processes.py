"""Run functions in several processes that communicate over gloo, as under torchrun."""

import gc
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import torch


def in_processes(function: Callable, world: int, folder: Path, *args) -> list:
    """Call `function(*args)` in forked processes, each with torchrun's environment variables.

    Args:
        function: A function of a module; it may initialise `torch.distributed`.
        world: Number of processes.
        folder: Folder for the results.
        *args: Its arguments.

    Returns:
        The returned values by rank.
    """
    torch.multiprocessing.start_processes(
        _process, (world, free_port(), function, folder, args), nprocs=world, start_method="fork")
    return [torch.load(folder / f"process{rank}.pt", weights_only=False) for rank in range(world)]


def _process(rank: int, world: int, port: int, function, folder: Path, args: tuple) -> None:
    gc.freeze()  # the parent's garbage may have processes and locks, which are the parent's
    signal.alarm(100)  # ends a process that waits for the others forever
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.save(function(*args), folder / f"process{rank}.pt")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
