"""Label files for tests, in the datasets' formats."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from rein.datasets.descriptions.mapillary import LABELS

MAPILLARY_NAMES = [name for name, _ in LABELS]
MAPILLARY_TRAIN_IDS = np.array([train_id for _, train_id in LABELS], np.uint8)


def save_palette(path: Path, ids: np.ndarray) -> Path:
    """Write ids like GTA and Mapillary, as a palette PNG; its colours are arbitrary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.reshape(-1).tolist())
    image.putpalette([(value * 7) % 256 for value in range(768)])
    image.save(path)
    return path


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def write_pairs(
    root: Path, pairs: Iterable[tuple[np.ndarray, np.ndarray]], label_suffix: str = ".png",
) -> None:
    """Write images and their trainId labels, named 0, 1, ..., to images/ and labels/."""
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for i, (image, label) in enumerate(pairs):
        Image.fromarray(image).save(root / f"images/{i}.png")
        Image.fromarray(label.astype(np.uint8)).save(root / f"labels/{i}{label_suffix}")


def make_gta(root: Path, count: int = 3) -> list[Path]:
    """Write labels that contain every id once."""
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    return [save_palette(root / f"labels/{i:05}.png", ids) for i in range(count)]


def make_mapillary(root: Path, names: list[str], *, nested: bool) -> None:
    """Write one label per split with every id of the config, in either published layout."""
    config, folder = ("config_v1.2.json", "v1.2/labels") if nested else ("config.json", "labels")
    ids = np.arange(66, dtype=np.uint8).reshape(6, 11)
    save_palette(root / f"training/{folder}/a.png", ids)
    save_palette(root / f"validation/{folder}/b.png", ids[::-1].copy())
    (root / config).write_text(json.dumps({"labels": [{"readable": name} for name in names]}))
