"""Street scenes for tests: tiny images with labels, and their datasets and configs."""

from pathlib import Path

import numpy as np
from PIL import Image

from rein.datasets.urban_scene_dataset import UrbanSceneDataset

PREFIX = dict(img_path="images", seg_map_path="labels")
EVAL_PIPELINE = [
    dict(type="LoadImageFromFile"), dict(type="Resize", scale=(32, 16), keep_ratio=True),
    dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
AUGMENTED_PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="TestTimeAug", transforms=[
        [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
        [dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]])]


def write(path: Path, pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def write_pair(root, name, label=0, suffixes=(".png", ".png"), prefix=PREFIX, size=(16, 32)):
    """Write a grey image and a label with a single value, both of `size` (H, W)."""
    write(root / prefix["img_path"] / (name + suffixes[0]), np.full((*size, 3), 99))
    write(root / prefix["seg_map_path"] / (name + suffixes[1]), np.full(size, label))


def scenes(root, **kwargs) -> UrbanSceneDataset:
    """Build this project's dataset from the pairs in a folder."""
    kwargs = dict(domain="citys", data_prefix=PREFIX, img_suffix=".png", seg_map_suffix=".png",
                  pipeline=EVAL_PIPELINE) | kwargs
    return UrbanSceneDataset(data_root=str(root), **kwargs)


def cityscapes_cfg(root, **kwargs) -> dict:
    """Return a config of mmseg's own dataset for the pairs in a folder."""
    return dict(type="CityscapesDataset", data_root=str(root), data_prefix=PREFIX,
                img_suffix=".png", seg_map_suffix=".png", pipeline=EVAL_PIPELINE, **kwargs)



def fill(cfg, root) -> None:
    """Write two tiny samples for a dataset config, and make the config point to them."""
    if cfg.type == "ConcatDataset":
        for part in cfg.datasets:
            fill(part, root)
        return
    if cfg.pop("ann_file", None):
        cfg.data_root += "part/"
    cfg.data_root = str(root / cfg.data_root)
    suffixes = (cfg.img_suffix, cfg.seg_map_suffix)
    for i in range(2):
        write_pair(Path(cfg.data_root), f"town/{i}", i, suffixes, cfg.data_prefix, (36, 64))
