"""Label files for tests of the converters."""

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


def make_gta(root: Path, count: int = 3) -> list[Path]:
    """Write labels that hold every id once."""
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    return [save_palette(root / f"labels/{i:05}.png", ids) for i in range(count)]
