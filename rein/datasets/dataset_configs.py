"""Inspect dataset configs before building them."""

import os
from collections.abc import Mapping
from typing import Any

from rein.datasets.domains import Origin, domain_of_root, require_folder


def type_name(cfg: Mapping[str, Any]) -> str:
    """Return the type in a config without its scope or package: "Resize" for "mmseg.Resize"."""
    kind = cfg.get("type", "")
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__


def leaf_datasets(cfg: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the dataset configs inside wrappers such as ConcatDataset; `[cfg]` if unwrapped."""
    parts = [*cfg.get("datasets", ()), *([cfg["dataset"]] if "dataset" in cfg else ())]
    return [leaf for part in parts for leaf in leaf_datasets(part)] or [cfg]


def check_folders(cfg: Mapping[str, Any]) -> None:
    """Check that the folders of a dataset config exist.

    Without this check mmseg's own datasets raise a bare FileNotFoundError.

    Args:
        cfg: Config of a dataset, or of a wrapper with `datasets` or `dataset` inside.

    Raises:
        UserError: A folder is missing; the message says how to get it.
    """
    for leaf in leaf_datasets(cfg):
        if leaf.get("backend_args"):  # not stored on a local disk
            continue
        root = leaf.get("data_root")
        origin = Origin(leaf.get("domain") or domain_of_root(root), root)
        for prefix in (leaf.get("data_prefix") or {}).values():
            require_folder(os.path.join(root or "", prefix), origin)
