"""Data loaders: processes and pinned memory chosen for this machine."""

import os

import torch

from rein.errors import UserError
from rein.parallel import available_cores

MAX_WORKERS = 8  # they decode 120 GTA frames a second; more would only take memory


def fit_to_machine(loader: dict) -> None:
    """Choose a loader's processes and pinned memory for this machine, in place.

    Args:
        loader: Config of a data loader; its `num_workers` is a number or "auto".

    Raises:
        UserError: `num_workers` is neither.
    """
    workers = loader.get("num_workers", 0)
    if workers == "auto":
        # each training process of this machine (torchrun tells how many) keeps a core to itself
        cores = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        workers = min(max(cores - 1, 1), MAX_WORKERS)
    if not isinstance(workers, int) or workers < 0:
        raise UserError(f'num_workers={workers!r}: expected a number from 0 on, or "auto".')
    loader["num_workers"] = workers
    if not workers:
        for key in ("persistent_workers", "prefetch_factor"):  # torch refuses them without workers
            loader.pop(key, None)
    if not torch.cuda.is_available():  # torch warns of memory pinned for nothing
        loader.pop("pin_memory", None)
