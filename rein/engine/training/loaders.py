"""Choose workers and pinned memory of data loaders for this machine."""

import os

import torch

from rein.errors import UserError
from rein.parallel import available_cores

MAX_WORKERS = 8  # decode 120 GTA frames per second; more would only use memory


def fit_to_machine(loader: dict) -> None:
    """Choose a loader's workers and pinned memory for this machine, in place.

    Args:
        loader: Config of a data loader; `num_workers` is a number or "auto".

    Raises:
        UserError: `num_workers` is neither a number from 0 on nor "auto".
    """
    workers = loader.get("num_workers", 0)
    if workers == "auto":
        # leave one core to each training process on this machine (torchrun sets their number)
        cores = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        workers = min(max(cores - 1, 1), MAX_WORKERS)
    if not isinstance(workers, int) or workers < 0:
        raise UserError(f'num_workers={workers!r}: expected a number >= 0 or "auto".')
    loader["num_workers"] = workers
    if not workers:
        for key in ("persistent_workers", "prefetch_factor"):  # torch rejects them without workers
            loader.pop(key, None)
    if not torch.cuda.is_available():  # without a GPU torch warns that pinning is useless
        loader.pop("pin_memory", None)
