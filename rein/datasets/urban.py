"""Street scenes whose samples carry the name of their domain, and errors that name the file.

Sources: Cityscapes (Cordts et al., CVPR 2016), GTA V (Richter et al., ECCV 2016), BDD100K (Yu et
al., CVPR 2020), Mapillary Vistas (Neuhold et al., ICCV 2017), ACDC (Sakaridis et al., ICCV 2021).
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform, LoadAnnotations, LoadImageFromFile
from mmengine.fileio import list_dir_or_file
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.errors import UserError


class Domain(NamedTuple):
    """What people call a domain, and how its folder is filled."""

    title: str
    url: str = ""
    convert: str = ""


_ACDC_URL = "https://acdc.vision.ee.ethz.ch"

DOMAINS = {
    "gta": Domain(
        "GTA V", "https://download.visinf.tu-darmstadt.de/data/from_games/",
        "python tools/convert_datasets/gta.py {root}"),
    "citys": Domain(
        "Cityscapes", "https://www.cityscapes-dataset.com/downloads/",
        "python tools/convert_datasets/cityscapes.py {root}"),
    "bdd": Domain("BDD100K", "http://bdd-data.berkeley.edu"),
    "map": Domain(
        "Mapillary", "https://www.mapillary.com/dataset/vistas",
        "python tools/convert_datasets/mapillary2cityscape.py {root} "
        "{root}/cityscapes_trainIdLabel --train_id && "
        "python tools/convert_datasets/mapillary_resize.py {root}/validation/images "
        "{root}/cityscapes_trainIdLabel/val/label {root}/half/val_img {root}/half/val_label"),
    "acdc": Domain("ACDC", _ACDC_URL),
    "acdc_night": Domain("ACDC night", _ACDC_URL),
    "acdc_fog": Domain("ACDC fog", _ACDC_URL),
    "acdc_rain": Domain("ACDC rain", _ACDC_URL),
    "acdc_snow": Domain("ACDC snow", _ACDC_URL),
}
"""Domain name in configs and metrics -> what people call it; BDD100K and ACDC need no converter."""

_SIZE_KEYS = ("scale", "crop_size", "size")
_FOLDER_TO_DOMAIN = {"cityscapes": "citys", "bdd100k": "bdd", "mapillary": "map"}


def domain_title(domain: str) -> str:
    """Tell what people call a domain, e.g. "Cityscapes" for "citys"."""
    return DOMAINS[domain].title if domain in DOMAINS else domain


def domain_of_root(data_root: str | None) -> str:
    """Name the domain of a dataset that declares none, by the last part of its data_root.

    Parent folders never count: "/data/acdc/cityscapes/" is Cityscapes.

    Returns:
        "citys", "bdd" or "map" for the published folder names, else the folder's own name;
        "unnamed" without a data_root.
    """
    if not data_root:
        return "unnamed"
    folder = os.path.basename(os.path.abspath(data_root))
    return _FOLDER_TO_DOMAIN.get(folder, folder)


class SampleError(UserError):
    """A sample that cannot be used; its message stays one line across data loader workers."""

    def __init__(self, message: str):
        # a worker process hands its whole traceback over as the message; ours is its last line
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


class CorruptFile(SampleError):
    """A file that is missing or does not decode; a test goes on without its sample.

    Args:
        message: What happened, and what to do.
        domain: Of its sample.
        path: The image of its sample.
    """

    def __init__(self, message: str, domain: str = "", path: str = ""):
        super().__init__(message)
        self.domain, self.path = domain, path


class _Origin:
    """Where a dataset's files come from, for its error messages."""

    def __init__(self, domain: str, data_root: str | None):
        self.domain = domain
        self.root = os.path.normpath(data_root or ".")

    def how_to_convert(self) -> str:
        """Say in one sentence how labels of this domain become trainIds."""
        known = DOMAINS.get(self.domain, Domain(""))
        if known.convert:
            return f"Run `{known.convert.format(root=self.root)}`."
        if known.url:
            return f"Get the labels of {known.title} (trainIds already) again from {known.url}."
        return "Convert the labels to trainIds, or name your own classes in the dataset's metainfo."

    def how_to_get(self) -> str:
        """Say in one sentence how the dataset's folder is filled."""
        known = DOMAINS.get(self.domain, Domain(""))
        if not known.url:
            return "Correct `data_root` and `data_prefix` in the config."
        get = f"Get {known.title} from {known.url} and extract it to {self.root}"
        return f"{get}, then: {self.how_to_convert()}" if known.convert else f"{get}."


def _require_folder(path: str, origin: _Origin) -> None:
    if not os.path.isdir(path):
        raise UserError(f"{os.path.abspath(path)}: no such folder. {origin.how_to_get()}")


def check_folders(cfg: Mapping[str, Any]) -> None:
    """Look for the folders of a dataset config before anything is built from it.

    Needed for datasets that are not ours: mmseg's raise a bare FileNotFoundError.

    Args:
        cfg: A dataset's config, or a wrapper's with `datasets` or `dataset` inside.

    Raises:
        UserError: A folder is missing; the message says how to get it.
    """
    for part in cfg.get("datasets", ()):
        check_folders(part)
    if "dataset" in cfg:
        check_folders(cfg["dataset"])
    if cfg.get("backend_args"):  # not on this machine's disk
        return
    root = cfg.get("data_root")
    origin = _Origin(cfg.get("domain") or domain_of_root(root), root)
    for prefix in (cfg.get("data_prefix") or {}).values():
        _require_folder(os.path.join(root or "", prefix), origin)


class CheckedLoading:
    """A loading transform whose failures name the file and the way out.

    Args:
        load (Callable): The transform, an mmcv `LoadImageFromFile` or `LoadAnnotations`.
        origin (_Origin): Where the files come from.
        num_classes (int): Labels are 0..num_classes - 1; 0 where unknown, for no check.
        ignore_index (int): The one other label allowed.
    """

    def __init__(
        self, load: Callable, origin: _Origin, num_classes: int = 0, ignore_index: int = 255,
    ):
        self.load = load
        self.origin = origin
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def __call__(self, results: dict) -> dict | None:
        """Load, and check the labels.

        Raises:
            CorruptFile: The file is missing or does not decode.
            SampleError: Its labels are no trainIds.
        """
        is_label = isinstance(self.load, LoadAnnotations)
        path = results["seg_map_path" if is_label else "img_path"]
        retry = self.origin.how_to_convert() if is_label else "Copy or download it again."
        sample = self.origin.domain, results["img_path"]
        try:
            results = self.load(results)
        except FileNotFoundError as error:
            raise CorruptFile(f"{path}: no such file. {retry}", *sample) from error
        except Exception as error:  # each decoder has its own kinds
            kind = "label" if is_label else "image"
            raise CorruptFile(
                f"{path}: the {kind} does not decode. {retry}", *sample) from error
        if is_label:
            self._check_labels(path, results.get("gt_seg_map"))
        return results

    def _check_labels(self, path: str, seg_map: np.ndarray | None) -> None:
        if seg_map is None:
            return
        if seg_map.ndim != 2:
            raise SampleError(
                f"{path}: the label has {seg_map.shape[-1]} colour channels, but one class per "
                f"pixel is expected. {self.origin.how_to_convert()}")
        wrong = (seg_map >= self.num_classes) & (seg_map != self.ignore_index)
        if self.num_classes and wrong.any():
            values = np.unique(seg_map[wrong])
            shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
            raise SampleError(
                f"{path}: label values {shown}, but 0-{self.num_classes - 1} and "
                f"{self.ignore_index} (ignored) are expected. {self.origin.how_to_convert()}")

    def __repr__(self):
        return f"{type(self).__name__}({self.load!r})"


@TRANSFORMS.register_module()
class StampDomain(BaseTransform):
    """Put the domain into each sample's metainfo; stands last, after the packing.

    Args:
        domain (str): For example "citys".
    """

    def __init__(self, domain: str):
        self.domain = domain

    def transform(self, results: dict) -> dict:
        """Stamp `results["data_samples"]`, one sample or one for each test-time augmentation."""
        samples = results.get("data_samples", [])  # absent where a wrapper packs later
        for sample in samples if isinstance(samples, list) else [samples]:
            sample.set_metainfo(dict(domain=self.domain))
        return results

    def __repr__(self):
        return f"{type(self).__name__}(domain={self.domain!r})"


def _stamp(dataset: Any, domain: str) -> None:
    """Check what a dataset's pipeline loads, and end it with the domain."""
    origin = _Origin(domain, dataset.data_root)
    num_classes = len(dataset.metainfo.get("classes") or ())
    ignore_index = getattr(dataset, "ignore_index", 255)
    transforms = [
        CheckedLoading(transform, origin, num_classes, ignore_index)
        if isinstance(transform, LoadImageFromFile | LoadAnnotations) else transform
        for transform in dataset.pipeline.transforms
    ]
    dataset.pipeline.transforms = [*transforms, StampDomain(domain)]


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
        **kwargs: As `mmseg.datasets.BaseSegDataset`: data_root, data_prefix, img_suffix,
            seg_map_suffix, pipeline, metainfo, ...

    Raises:
        UserError: A folder or a label is missing; the message says how to get it.
    """

    METAINFO = dict(classes=CLASSES, palette=[list(color) for color in PALETTE])

    def __init__(self, domain: str, max_unlabelled: int = 0, **kwargs):
        self.domain = domain
        self.max_unlabelled = max_unlabelled
        super().__init__(**kwargs)
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

    def load_data_list(self) -> list[dict]:
        """List the images, each with the label of the same name.

        Returns:
            One dict a sample, sorted by `img_path`; with `seg_map_path` where labels are expected.
        """
        if self.backend_args:  # not on this machine's disk
            return super().load_data_list()
        origin = _Origin(self.domain, self.data_root)
        for folder in self.data_prefix.values():
            _require_folder(folder, origin)
        if self.ann_file and not os.path.exists(self.ann_file):
            raise UserError(f"{self.ann_file}: no such list of images. Correct `ann_file`.")
        samples = super().load_data_list()
        if not samples:
            raise UserError(
                f"{os.path.abspath(self.data_prefix['img_path'])}: no file ends in "
                f"'{self.img_suffix}'. {origin.how_to_get()}")
        return self._with_labels(samples, origin)

    def _with_labels(self, samples: list[dict], origin: _Origin) -> list[dict]:
        """Return the samples that have their label, if the others are not too many."""
        folder = self.data_prefix.get("seg_map_path")
        if folder is None:
            return samples
        # one listing instead of a look for each file: fast on network disks as well
        names = list_dir_or_file(
            folder, list_dir=False, suffix=self.seg_map_suffix, recursive=True)
        there = {os.path.join(folder, name) for name in names}
        missing = [sample for sample in samples if sample["seg_map_path"] not in there]
        if len(missing) > self.max_unlabelled:
            raise UserError(
                f"{missing[0]['img_path']}: its label {missing[0]['seg_map_path']} is missing "
                f"({len(missing)} of {len(samples)} images have none). {origin.how_to_convert()}")
        for sample in missing:
            print_log(f"{sample['img_path']} has no label and is left out", "current",
                      logging.WARNING)
        return [sample for sample in samples if sample["seg_map_path"] in there]
