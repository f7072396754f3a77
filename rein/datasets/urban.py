"""Street scenes whose samples carry the name of their domain, and errors that name the file.

Sources: Cityscapes (Cordts et al., CVPR 2016), GTA V (Richter et al., ECCV 2016), SYNTHIA (Ros et
al., CVPR 2016), UrbanSyn (Gomez et al., 2023), BDD100K (Yu et al., CVPR 2020), Mapillary Vistas
(Neuhold et al., ICCV 2017), ACDC (Sakaridis et al., ICCV 2021).
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rein.compat  # noqa: F401  before mmseg

from mmengine.fileio import list_dir_or_file
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from rein.datasets.domains import Origin, domain_of_root, require_folder
from rein.datasets.fast_transforms import faster
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.datasets.loading import StampDomain, checked
from rein.errors import UserError

LISTS = Path(__file__).parent / "lists"
"""Lists of images that come with Rein."""

def list_file(root: str | Path, name: str) -> Path:
    """Find a list of images: in a data root, else among those that come with Rein.

    Returns:
        ROOT/NAME if it is there or nowhere.
    """
    path, own = Path(root, name), LISTS / name
    return own if not path.exists() and own.is_file() else path


_SIZE_KEYS = ("scale", "crop_size", "size")


def check_folders(cfg: Mapping[str, Any]) -> None:
    """Look for the folders of a dataset config before anything is built from it.

    Needed for datasets that are not ours: mmseg's raise a bare FileNotFoundError.

    Args:
        cfg: A dataset's config, or a wrapper's with `datasets` or `dataset` inside.

    Raises:
        UserError: A folder is missing; the message says how to get it.
    """
    for leaf in leaf_datasets(cfg):
        if leaf.get("backend_args"):  # not on this machine's disk
            continue
        root = leaf.get("data_root")
        origin = Origin(leaf.get("domain") or domain_of_root(root), root)
        for prefix in (leaf.get("data_prefix") or {}).values():
            require_folder(os.path.join(root or "", prefix), origin)


def leaf_datasets(cfg: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the dataset configs inside wrappers such as ConcatDataset; a dataset's own is itself."""
    parts = [*cfg.get("datasets", ()), *([cfg["dataset"]] if "dataset" in cfg else ())]
    return [leaf for part in parts for leaf in leaf_datasets(part)] or [cfg]


def _stamp(dataset: Any, domain: str) -> None:
    """Check what a dataset's pipeline loads, make it faster, and end it with the domain."""
    labels = dict(
        num_classes=len(dataset.metainfo.get("classes") or ()),
        ignore_index=getattr(dataset, "ignore_index", 255),
        label_values=getattr(dataset, "label_values", None),
    )
    origin = Origin(domain, dataset.data_root)
    transforms = faster(dataset.pipeline.transforms)
    steps = [checked(step, origin, **labels) for step in transforms]
    dataset.pipeline.transforms = [*steps, StampDomain(domain)]


def _leaves(dataset: Any) -> Iterator[Any]:
    """Walk through wrappers (ConcatDataset, RepeatDataset, ...) to the datasets inside."""
    inner = getattr(dataset, "datasets", None)
    if inner is None and hasattr(dataset, "dataset"):
        inner = [dataset.dataset]
    if inner is not None:
        for part in inner:
            yield from _leaves(part)
    elif hasattr(dataset, "pipeline"):
        yield dataset


def files_of(dataset: Any) -> list[tuple[str, bool]]:
    """List the files of a dataset, or of those inside wrappers, once each.

    Returns:
        (path, whether it is a label).
    """
    samples = [leaf.get_data_info(i) for leaf in _leaves(dataset) for i in range(len(leaf))]
    return list(dict.fromkeys(
        (sample[key], key == "seg_map_path") for sample in samples
        for key in ("img_path", "seg_map_path") if sample.get(key)))


def stamp_domains(dataset: Any) -> None:
    """Give each dataset that stamps no domain the one that its own data_root names, in place.

    For datasets that are not ours, such as the `CityscapesDataset` of published configs; their
    loading is checked as an `UrbanSceneDataset`'s is.

    Args:
        dataset: A dataset, or a wrapper such as mmengine's ConcatDataset, however deep.
    """
    for leaf in _leaves(dataset):
        if not any(isinstance(step, StampDomain) for step in leaf.pipeline.transforms):
            _stamp(leaf, domain_of_root(leaf.data_root))


def _with_tuples(node: Any) -> Any:
    """Copy a config whose image sizes are tuples again: JSON has none, and transforms want them."""
    if isinstance(node, Mapping):
        return {
            key: tuple(value) if key in _SIZE_KEYS and isinstance(value, list)
            else _with_tuples(value) for key, value in node.items()
        }
    return [_with_tuples(item) for item in node] if isinstance(node, list) else node


def build_dataset(cfg: Mapping[str, Any]) -> Any:
    """Build any dataset config, published ones included, so that its samples know their domain.

    Args:
        cfg: A dataset's config or a wrapper's, as a Python config or JSON gives it.

    Returns:
        The dataset, fully initialized, with `stamp_domains` applied.

    Raises:
        UserError: A folder or a label is missing; the message says how to get it.
    """
    check_folders(cfg)
    dataset = DATASETS.build(_with_tuples(cfg))
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    stamp_domains(dataset)
    return dataset


class DatasetAround(Dataset):
    """A dataset around another, whose attributes it has.

    Args:
        dataset: The other one.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getattr__(self, name):
        if name == "dataset":  # not there yet while a worker unpickles
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)


@DATASETS.register_module()
class UrbanSceneDataset(BaseSegDataset):
    """Street scenes of one domain with the 19 Cityscapes classes.

    Layout: images below `data_prefix["img_path"]`, one 8-bit single-channel label PNG for each
    below `data_prefix["seg_map_path"]`, in the same subfolder and with the same name up to the
    suffixes. Labels hold trainIds (0-18) and 255 where ignored. Without a `seg_map_path` no
    labels are expected.

    Own classes: `metainfo=dict(classes=..., palette=...)`. A label value is then the position in
    `classes`, always; unlike in mmseg, nothing is remapped. Palettes left out are made up.

    Args:
        domain (str): Stamped on each sample; the metric tells targets apart by it.
        max_unlabelled (int): So many images without a label are left out with a warning; more
            are an error.
        label_values (Sequence[int], optional): The value in the label files, 0 to 255, that stands
            for each class: `[0, 255]` for masks in black and white. None: 0, 1, 2, ...
        **kwargs: As `mmseg.datasets.BaseSegDataset`: data_root, data_prefix, img_suffix,
            seg_map_suffix, pipeline, metainfo, ... `ann_file` lists images without their suffix,
            one a line; it lies in `data_root`, or is one of those that come with Rein.

    Raises:
        UserError: A folder or a label is missing; the message says how to get it.
    """

    METAINFO = dict(classes=CLASSES, palette=[list(color) for color in PALETTE])

    def __init__(
        self, domain: str, max_unlabelled: int = 0, label_values: Sequence[int] | None = None,
        **kwargs,
    ):
        self.domain = domain
        self.max_unlabelled = max_unlabelled
        self.label_values = label_values
        super().__init__(**kwargs)
        num_classes = len(self.metainfo["classes"])
        if label_values is not None and len(set(label_values)) != num_classes:
            raise UserError(
                f"{domain}: label_values {list(label_values)}, but there are {num_classes} "
                "classes; give one value for each.")
        _stamp(self, domain)

    @classmethod
    def get_label_map(cls, new_classes=None) -> None:
        """Remap nothing: a label value is the position in `classes`."""
        return None

    @classmethod
    def _load_metainfo(cls, metainfo=None) -> dict:
        loaded = super()._load_metainfo(metainfo)
        if tuple(loaded["classes"]) != CLASSES and "palette" not in metainfo:
            loaded["palette"] = []
        return loaded

    def _join_prefix(self) -> None:
        """Find `ann_file` in the data root, else among the lists that come with Rein."""
        name = self.ann_file
        super()._join_prefix()
        if name:
            self.ann_file = str(list_file(self.data_root or "", name))

    def load_data_list(self) -> list[dict]:
        """List the images, each with the label of the same name.

        Returns:
            One dict a sample, sorted by `img_path`; with `seg_map_path` where labels are expected.
        """
        if self.backend_args:  # not on this machine's disk
            return super().load_data_list()
        origin = Origin(self.domain, self.data_root)
        for folder in self.data_prefix.values():
            require_folder(folder, origin)
        if self.ann_file and not os.path.exists(self.ann_file):
            raise UserError(f"{self.ann_file}: no such list of images. Correct `ann_file`.")
        samples = super().load_data_list()
        if not samples:
            raise UserError(
                f"{os.path.abspath(self.data_prefix['img_path'])}: no file ends in "
                f"'{self.img_suffix}'. {origin.how_to_get()}")
        return self._with_labels(samples, origin)

    def _with_labels(self, samples: list[dict], origin: Origin) -> list[dict]:
        """Return the samples that have their label, if the others are not too many."""
        folder = self.data_prefix.get("seg_map_path")
        if folder is None:
            return samples
        # one listing instead of a look for each file: fast on network disks as well
        names = list_dir_or_file(
            folder, list_dir=False, suffix=self.seg_map_suffix, recursive=True)
        there = {os.path.join(folder, name) for name in names}
        missing = [sample for sample in samples if sample["seg_map_path"] not in there]
        if len(missing) > self.max_unlabelled or len(missing) == len(samples):
            raise UserError(
                f"{missing[0]['img_path']}: its label {missing[0]['seg_map_path']} is missing "
                f"({len(missing)} of {len(samples)} images have none). {origin.how_to_convert()}")
        for sample in missing:
            print_log(f"{sample['img_path']} has no label and is left out", "current",
                      logging.WARNING)
        return [sample for sample in samples if sample["seg_map_path"] in there]
