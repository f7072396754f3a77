"""Build datasets from configs, and list the files they load."""

from collections.abc import Mapping
from typing import Any

from mmseg.registry import DATASETS

from rein.datasets import corruptions, urban_scene_dataset  # noqa: F401  registers their types
from rein.datasets.dataset_configs import check_folders
from rein.datasets.domain_stamps import stamp_domains
from rein.datasets.wrappers import datasets_inside

_SIZE_KEYS = ("scale", "crop_size", "size")


def build_dataset(cfg: Mapping[str, Any]) -> Any:
    """Build a dataset from any config, including published ones; samples carry their domain.

    Args:
        cfg: Config of a dataset or a wrapper, read from Python or JSON.

    Returns:
        The fully initialized dataset, with `stamp_domains` applied.

    Raises:
        UserError: A folder or a label is missing; the message says how to get it.
    """
    check_folders(cfg)
    dataset = DATASETS.build(_with_tuples(cfg))
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    stamp_domains(dataset)
    return dataset


def _with_tuples(node: Any) -> Any:
    """Copy a config, turning image sizes into tuples: transforms need them, JSON has none."""
    if isinstance(node, Mapping):
        return {
            key: tuple(value) if key in _SIZE_KEYS and isinstance(value, list)
            else _with_tuples(value) for key, value in node.items()
        }
    return [_with_tuples(item) for item in node] if isinstance(node, list) else node


def files_of(dataset: Any) -> list[tuple[str, bool]]:
    """List each file of a dataset once, including datasets inside wrappers.

    Returns:
        Pairs (path, whether it is a label).
    """
    samples = [leaf.get_data_info(i) for leaf in datasets_inside(dataset) for i in range(len(leaf))]
    return list(dict.fromkeys(
        (sample[key], key == "seg_map_path") for sample in samples
        for key in ("img_path", "seg_map_path") if sample.get(key)))
