"""Label files for tests, as datasets have them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def save_palette(path: Path, ids: np.ndarray) -> Path:
    """Write ids as GTA and Mapillary do: a palette PNG whose colours mean nothing here."""
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
    """Write images and their labels of trainIds, named 0, 1, ..., to images/ and labels/."""
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for i, (image, label) in enumerate(pairs):
        Image.fromarray(image).save(root / f"images/{i}.png")
        Image.fromarray(label.astype(np.uint8)).save(root / f"labels/{i}{label_suffix}")


def make_gta(root: Path, count: int = 3) -> list[Path]:
    """Write labels that hold every id once."""
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    return [save_palette(root / f"labels/{i:05}.png", ids) for i in range(count)]
