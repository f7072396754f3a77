"""Street scenes whose samples carry their domain; errors name the file and the fix.

For the datasets loaded with it, see `rein.datasets.descriptions`.
"""

import logging
import os
from collections.abc import Sequence

import rein.compat  # noqa: F401  before mmseg

from mmengine.fileio import list_dir_or_file
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from rein.datasets.domain_stamps import finish_pipeline
from rein.datasets.domains import Origin, require_folder
from rein.datasets.image_files import list_file
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.errors import UserError


@DATASETS.register_module()
class UrbanSceneDataset(BaseSegDataset):
    """Street scenes of one domain with the 19 Cityscapes classes.

    Layout: images are below `data_prefix["img_path"]`; each has an 8-bit single-channel label PNG
    below `data_prefix["seg_map_path"]`, in the same subfolder and with the same name except for
    the suffix. Labels hold trainIds (0-18), and 255 where ignored. Without a `seg_map_path` no
    labels are expected.

    Own classes: set `metainfo=dict(classes=..., palette=...)`. Label values are then positions in
    `classes`; unlike mmseg, nothing is remapped. A missing palette is generated.

    Args:
        domain (str): Stamped on each sample; the metric groups results by it.
        max_unlabelled (int): Up to this many images without a label are skipped with a warning;
            more raise an error.
        label_values (Sequence[int], optional): The value of each class in the label files, 0 to
            255: `[0, 255]` for black-and-white masks. None: 0, 1, 2, ...
        **kwargs: Arguments of `mmseg.datasets.BaseSegDataset`: data_root, data_prefix, img_suffix,
            seg_map_suffix, pipeline, metainfo, ... `ann_file` lists one image per line,
            without suffix; it is in `data_root` or ships with Rein.

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
        if label_values is not None:
            self._check_label_values(label_values)
        finish_pipeline(self, domain)

    def _check_label_values(self, label_values: Sequence[int]) -> None:
        num_classes = len(self.metainfo["classes"])
        if not len(label_values) == len(set(label_values)) == num_classes:
            raise UserError(
                f"{self.domain}: label_values is {list(label_values)}, but there are {num_classes} "
                "classes. Give one value for each.")
        if not {*label_values} <= {*range(256)}:
            raise UserError(f"{self.domain}: label_values is {list(label_values)}, but the values "
                            "of 8-bit labels are integers from 0 to 255.")

    @classmethod
    def get_label_map(cls, new_classes=None) -> None:
        """Disable remapping: a label value is the position in `classes`."""
        return None

    @classmethod
    def _load_metainfo(cls, metainfo=None) -> dict:
        loaded = super()._load_metainfo(metainfo)
        if tuple(loaded["classes"]) != CLASSES and "palette" not in metainfo:
            loaded["palette"] = []
        return loaded

    def _join_prefix(self) -> None:
        """Find `ann_file` in the data root, else among the lists that ship with Rein."""
        name = self.ann_file
        super()._join_prefix()
        if name:
            self.ann_file = str(list_file(self.data_root or "", name))

    def load_data_list(self) -> list[dict]:
        """List the images, each with the label of the same name.

        Returns:
            One dict per sample, sorted by `img_path`, with `seg_map_path` if labels are expected.
        """
        if self.backend_args:  # not stored on a local disk
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
        """Keep the samples with a label; raise if more than `max_unlabelled` have none."""
        folder = self.data_prefix.get("seg_map_path")
        if folder is None:
            return samples
        # one listing instead of one look-up per file: also fast on network disks
        names = list_dir_or_file(
            folder, list_dir=False, suffix=self.seg_map_suffix, recursive=True)
        there = {os.path.join(folder, name) for name in names}
        missing = [sample for sample in samples if sample["seg_map_path"] not in there]
        if len(missing) > self.max_unlabelled or len(missing) == len(samples):
            raise UserError(
                f"{missing[0]['img_path']}: its label {missing[0]['seg_map_path']} is missing "
                f"({len(missing)} of {len(samples)} images have none). {origin.how_to_convert()}")
        for sample in missing:
            print_log(f"{sample['img_path']} has no label and is skipped", "current",
                      logging.WARNING)
        return [sample for sample in samples if sample["seg_map_path"] in there]
