"""Dataset descriptions, one per dataset, and the dataset configs built from them.

To add a dataset, write one file in this folder and list its description here. This package imports
neither mmengine nor torch.
"""

from rein.datasets.descriptions.acdc import ACDC
from rein.datasets.descriptions.bdd100k import BDD100K
from rein.datasets.descriptions.camvid import CAMVID
from rein.datasets.descriptions.cityscapes import CITYSCAPES
from rein.datasets.descriptions.description import DatasetDescription, EvalSetting, Part
from rein.datasets.descriptions.gta import GTA
from rein.datasets.descriptions.mapillary import MAPILLARY
from rein.datasets.descriptions.synthia import SYNTHIA
from rein.datasets.descriptions.urbansyn import URBANSYN
from rein.datasets.label_maps import CLASSES
from rein.errors import UserError

__all__ = [
    "ACDC", "BDD100K", "CAMVID", "CITYSCAPES", "GTA", "MAPILLARY", "SYNTHIA", "URBANSYN",
    "DESCRIPTIONS", "DatasetDescription", "Part", "EvalSetting", "dataset_config",
    "describe_domain", "eval_pipeline",
]

DESCRIPTIONS: dict[str, DatasetDescription] = {
    description.name: description
    for description in (
        GTA, SYNTHIA, URBANSYN, CITYSCAPES, BDD100K, MAPILLARY, ACDC, CAMVID)
}
"""Dataset name -> description."""


def describe_domain(domain: str) -> DatasetDescription | None:
    """Return the description of a domain's dataset, or None if the domain is unknown."""
    for description in DESCRIPTIONS.values():
        if domain == description.domain or domain in description.conditions:
            return description
    return None


def dataset_config(part: str, protocol: str | None = None) -> dict:
    """Return the config of a dataset part, as used in `configs/_base_/datasets`.

    Args:
        part: Name of the part, for example "val_bdd".
        protocol: Add this protocol's test pipeline; None for no pipeline.

    Raises:
        UserError: No dataset has this part, or the protocol does not cover the dataset.
    """
    for dataset in DESCRIPTIONS.values():
        if part in [known.name for known in dataset.parts]:
            break
    else:
        known = [one.name for dataset in DESCRIPTIONS.values() for one in dataset.parts]
        raise UserError(f"no dataset has a part {part!r}. Known parts: {', '.join(known)}.")
    if protocol is not None and protocol not in dataset.protocols:
        raise UserError(f"{part}: protocol {protocol!r} does not cover {dataset.title}. Set "
                        "`pipeline=eval_pipeline(WIDTH, HEIGHT)` in the config.")
    found = dataset.part(part)
    labels = dict(seg_map_path=found.labels) if found.labels else {}
    cfg = dict(
        type="UrbanSceneDataset",
        domain=found.domain or dataset.domain,
        data_root=f"data/{dataset.name}/",
        data_prefix=dict(img_path=found.images, **labels),
        img_suffix=dataset.image_suffix,
    )
    if labels:
        cfg["seg_map_suffix"] = dataset.label_suffix
    if dataset.classes != CLASSES:
        cfg["metainfo"] = dict(
            classes=list(dataset.classes), palette=[list(color) for color in dataset.palette])
    if dataset.max_unlabelled:
        cfg["max_unlabelled"] = dataset.max_unlabelled
    if found.list_file:
        cfg["ann_file"] = found.list_file
    if protocol is not None:
        cfg["pipeline"] = eval_pipeline(*dataset.protocols[protocol].size, labels=bool(labels))
    return cfg


def eval_pipeline(width: int, height: int, labels: bool = True) -> list[dict]:
    """Return a test pipeline that resizes images to fit a size; labels keep their own size.

    Args:
        width: Maximum width in pixels.
        height: Maximum height in pixels.
        labels: Also load labels.
    """
    return [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(width, height), keep_ratio=True),
        *([dict(type="LoadAnnotations")] if labels else []),  # not resized
        dict(type="PackSegInputs"),
    ]

