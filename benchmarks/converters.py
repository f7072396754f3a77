"""Label converters against a loop with one mask per class, and with several processes.

The reference is common practice: read the label, compare it with each id, assign, save. Labels have
the datasets' sizes and formats and the detail of a street scene (about 400 polygons); both ways
write files with equal pixels.
"""

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.paired import Row, compare
from rein.datasets.converters.gta import convert_gta
from rein.datasets.converters.synthia import convert_synthia
from rein.datasets.descriptions import GTA, SYNTHIA
from rein.parallel import available_cores

LABELS = 16
COPIES = 10  # more work for several processes, which take a moment to start


def run(repeats: int) -> list[Row]:
    """Time both formats on one core, and one format on all cores."""
    with tempfile.TemporaryDirectory() as folder:
        gta, synthia = Path(folder, "gta"), Path(folder, "synthia")
        _make_gta(gta)
        _make_synthia(synthia)
        rows = [
            compare(
                "convert GTA labels, 1914x1052, one process, against masks",
                lambda: convert_gta(gta, workers=1, overwrite=True),
                lambda: _by_masks(gta / "labels", GTA.label_map, _read_palette),
                repeats, "ms/image", 1000 / LABELS, goal=2.5),
            compare(
                "convert SYNTHIA labels, 1280x760, one process, against masks",
                lambda: convert_synthia(synthia, workers=1, overwrite=True),
                lambda: _by_masks(synthia / "GT/LABELS", SYNTHIA.label_map, _read_16_bit),
                repeats, "ms/image", 1000 / LABELS, goal=2.5),
        ]
        cores = available_cores()
        if cores > 1:
            _copy_labels(gta / "labels")
            rows.append(compare(
                f"convert GTA labels with {cores} processes, against one",
                lambda: convert_gta(gta, workers=cores, overwrite=True),
                lambda: convert_gta(gta, workers=1, overwrite=True),
                repeats, "ms/image", 1000 / (LABELS * COPIES), goal=0.8 * cores))
    return rows


def _scene(height: int, width: int, ids: list[int], seed: int) -> np.ndarray:
    """Draw a label like a street scene's: large regions behind, many small objects in front."""
    rng = np.random.default_rng(seed)
    label = np.zeros((height, width), np.uint8)
    for i in range(400):
        size = max(6, int(height / (1 + i / 8)))
        corners = rng.integers(0, (width, height), 2) + rng.integers(-size, size, (8, 2))
        cv2.fillPoly(label, [cv2.convexHull(corners.astype(np.int32))], int(rng.choice(ids)))
    return label


def _make_gta(root: Path) -> None:
    (root / "labels").mkdir(parents=True)
    for i in range(LABELS):
        image = Image.fromarray(_scene(1052, 1914, list(GTA.label_map), i))
        image.putpalette([(value * 7) % 256 for value in range(768)])
        image.save(root / f"labels/{i:05}.png")


def _copy_labels(folder: Path) -> None:
    for i in range(LABELS, LABELS * COPIES):
        os.link(folder / f"{i % LABELS:05}.png", folder / f"{i:05}.png")


def _make_synthia(root: Path) -> None:
    (root / "GT/LABELS").mkdir(parents=True)
    for i in range(LABELS):
        ids = _scene(760, 1280, list(SYNTHIA.label_map), i).astype(np.uint16)
        label = np.stack([np.zeros_like(ids), ids * 100, ids], -1)  # BGR
        cv2.imwrite(str(root / f"GT/LABELS/{i:07}.png"), label)


def _read_palette(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def _read_16_bit(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, :, -1]


def _by_masks(folder: Path, id_to_train_id: dict[int, int], read) -> None:
    """Convert in the common way, with one mask per class."""
    (folder / "masks").mkdir(exist_ok=True)
    for path in folder.glob("*.png"):
        if path.name.endswith("_labelTrainIds.png"):
            continue
        ids = read(path)
        labels = np.full(ids.shape, 255, np.uint8)
        for source_id, train_id in id_to_train_id.items():
            labels[ids == source_id] = train_id
        Image.fromarray(labels).save(folder / "masks" / path.name)
