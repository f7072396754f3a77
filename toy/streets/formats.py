"""Write the raw formats, with the exact file layouts of the extracted real datasets.

Sources: the folder layouts of GTA V (Playing for Data), SYNTHIA-RAND-CITYSCAPES, UrbanSyn,
Cityscapes, Mapillary Vistas v1.2, BDD100K and ACDC.
"""

import base64
import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rein.atomic_files import write_atomically
from rein.datasets.descriptions import mapillary, synthia, urbansyn
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID, CITYSCAPES_LABELS, lookup_table
from toy.streets.scene import Scene

MAPILLARY_NAMES = {
    "unlabeled": "Unlabeled", "ego vehicle": "Ego Vehicle", "static": "Trash Can", "road": "Road",
    "sidewalk": "Sidewalk", "building": "Building", "wall": "Wall", "fence": "Fence",
    "pole": "Pole", "traffic light": "Traffic Light", "traffic sign": "Traffic Sign (Front)",
    "vegetation": "Vegetation", "terrain": "Terrain", "sky": "Sky", "person": "Person",
    "rider": "Bicyclist", "car": "Car", "truck": "Truck", "bus": "Bus", "train": "On Rails",
    "motorcycle": "Motorcycle", "bicycle": "Bicycle",
}
"""Cityscapes label name -> Mapillary readable name, for the labels of toy streets."""


def encode(image: np.ndarray, kind: str, palette: list[int] | None = None,
           quality: int = 90) -> bytes:
    """Encode a picture.

    Args:
        image: uint8 (H, W, 3) RGB or (H, W) labels.
        kind: PNG or JPEG.
        palette: Flat list of R, G, B of each label, for a palette (mode P) PNG.
        quality: JPEG quality.

    Returns:
        The encoded file.
    """
    picture, buffer = Image.fromarray(image), io.BytesIO()
    if palette is not None:
        picture.putpalette(palette)
    picture.save(buffer, kind, **({"quality": quality} if kind == "JPEG" else
                                  {"compress_level": 3}))
    return buffer.getvalue()


def name_hash(*parts: object) -> bytes:
    """Return a digest of 20 bytes, for names that look random but never change."""
    return hashlib.sha1(repr(parts).encode()).digest()


def gta_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image and label paths of a GTA sample; the same for every split and seed."""
    name = f"{index + 1:05d}.png"
    return [root / "gta/images" / name, root / "gta/labels" / name]


def synthia_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image and label paths of a SYNTHIA sample; the same for every split and seed."""
    name = f"{index:07d}.png"
    return [root / "synthia/RGB" / name, root / "synthia/GT/LABELS" / name]


def urbansyn_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image and label paths of an UrbanSyn sample; the same for every split and seed."""
    return [root / f"urbansyn/rgb/rgb_{index + 1:04d}.png",
            root / f"urbansyn/ss/ss_{index + 1:04d}.png"]


CITIES = {"train": ("toyburg", "brickheim"), "val": ("pixelstadt", "polyhausen", "maskfurt")}
"""Invented cities of each split."""


def cityscapes_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image, polygon and label id paths of a Cityscapes sample."""
    city = CITIES[split][index % len(CITIES[split])]
    stem = f"{city}_{index // len(CITIES[split]):06d}_000019"
    labels = root / "cityscapes/gtFine" / split / city
    return [root / "cityscapes/leftImg8bit" / split / city / f"{stem}_leftImg8bit.png",
            labels / f"{stem}_gtFine_polygons.json", labels / f"{stem}_gtFine_labelIds.png"]


def mapillary_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image and label paths of a Mapillary Vistas v1.2 sample."""
    folder = root / "mapillary" / {"train": "training", "val": "validation"}[split]
    digest = name_hash("mapillary", seed, split, index)
    name = base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")
    name = name.replace("-", "A", 1) if name.startswith("-") else name
    return [folder / "images" / f"{name}.jpg", folder / "v1.2/labels" / f"{name}.png"]


def bdd_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image and mask paths of a BDD100K sample."""
    digest = name_hash("bdd100k", seed, split, index).hex()
    name = f"{digest[:8]}-{digest[8:16]}"
    return [root / "bdd100k/images/10k" / split / f"{name}.jpg",
            root / "bdd100k/labels/sem_seg/masks" / split / f"{name}.png"]


SEQUENCES = {"train": "GOPR0101", "val": "GP010202", "test": "GOPR0303"}


def acdc_files(root: Path, split: str, index: int, seed: int, condition: str) -> list[Path]:
    """Return the image and, except for test, label paths of an ACDC sample."""
    sequence = SEQUENCES[split]
    stem = f"{sequence}_frame_{index + 1:06d}"
    folder = Path(condition) / split / sequence
    image = root / "acdc/rgb_anon" / folder / f"{stem}_rgb_anon.png"
    if split == "test":
        return [image]
    return [image, root / "acdc/gt" / folder / f"{stem}_gt_labelTrainIds.png"]


def unlabelled_files(root: Path, split: str, index: int, seed: int) -> list[Path]:
    """Return the image path of a pretraining sample."""
    return [root / "unlabelled" / f"{index + 1:06d}.jpg"]


def _palette(colors: list[tuple[int, int, int]]) -> list[int]:
    return [channel for color in colors for channel in color]


CITYSCAPES_PALETTE = _palette([label.color for label in CITYSCAPES_LABELS if label.id >= 0])
_TRAIN_IDS = lookup_table(CITYSCAPES_ID_TO_TRAIN_ID)


def mapillary_table() -> np.ndarray:
    """Return the table uint8 (256,): Cityscapes label id -> Mapillary v1.2 label id."""
    readable = [name for name, _ in mapillary.LABELS]
    table = np.full(256, readable.index("Unlabeled"), np.uint8)
    for label in CITYSCAPES_LABELS:
        if label.name in MAPILLARY_NAMES:
            table[label.id] = readable.index(MAPILLARY_NAMES[label.name])
    return table


def mapillary_colors() -> list[tuple[int, int, int]]:
    """Return each Mapillary label's RGB: its Cityscapes colour if it has one, else a random one."""
    by_name = {MAPILLARY_NAMES[label.name]: label.color for label in CITYSCAPES_LABELS
               if label.name in MAPILLARY_NAMES and label.train_id != 255}
    shuffled = random.Random(0)
    return [by_name.get(name) or tuple(shuffled.randrange(256) for _ in range(3))
            for name, _ in mapillary.LABELS]


def mapillary_config() -> bytes:
    """Return the contents of `config_v1.2.json`: the labels in the order of their ids."""
    labels = [{"name": "toy--" + name.lower().replace(" ", "-"), "readable": name,
               "evaluate": name != "Unlabeled", "instances": train_id in range(11, 19),
               "color": list(color)}
              for (name, train_id), color in zip(mapillary.LABELS, mapillary_colors(),
                                                 strict=True)]
    return json.dumps({"version": "1.2", "labels": labels}, indent=1).encode()


def write_sample(files: list[Path], rgb: np.ndarray, scene: Scene, label_format: str | None,
                 quality: int) -> None:
    """Write one sample's labels, then its picture.

    Args:
        files: Paths from one of the `*_files` functions.
        rgb: uint8 (H, W, 3).
        scene: Scene in the picture.
        label_format: A key of `LABEL_ENCODERS`, or None for a picture without labels.
        quality: JPEG quality, 1 to 95.
    """
    if label_format is not None:
        contents = LABEL_ENCODERS[label_format](scene)
        for path, content in zip(files[1:], contents, strict=True):
            write_atomically(path, content)
    kind = "JPEG" if files[0].suffix == ".jpg" else "PNG"
    write_atomically(files[0], encode(rgb, kind, quality=quality))


def _encode_gta(scene: Scene) -> list[bytes]:
    return [encode(scene.labels, "PNG", CITYSCAPES_PALETTE)]


def _encode_synthia(scene: Scene) -> list[bytes]:
    """Encode a 16-bit label: ids in the red channel, stand-ins for instances in the green."""
    table = np.zeros(256, np.uint16)
    for synthia_id, train_id in synthia.SYNTHIA.label_map.items():
        table[train_id] = synthia_id
    ids = table[_TRAIN_IDS[scene.labels]]
    done, content = cv2.imencode(".png", np.stack([0 * ids, 999 * ids, ids], -1))  # BGR
    assert done
    return [content.tobytes()]


def _encode_urbansyn(scene: Scene) -> list[bytes]:
    labels = _TRAIN_IDS[scene.labels]
    return [encode(np.where(labels == 255, np.uint8(urbansyn.UNLABELLED), labels), "PNG")]


def _encode_cityscapes(scene: Scene) -> list[bytes]:
    return [json.dumps(scene.annotation).encode(), encode(scene.labels, "PNG")]


def _encode_mapillary(scene: Scene) -> list[bytes]:
    return [encode(mapillary_table()[scene.labels], "PNG", _palette(mapillary_colors()))]


def _encode_train_ids(scene: Scene) -> list[bytes]:
    return [encode(_TRAIN_IDS[scene.labels], "PNG")]


LABEL_ENCODERS: dict[str, Callable[[Scene], list[bytes]]] = dict(
    gta=_encode_gta, synthia=_encode_synthia, urbansyn=_encode_urbansyn,
    cityscapes=_encode_cityscapes, mapillary=_encode_mapillary, train_ids=_encode_train_ids)
"""Label encoders of each format: scene -> contents of each label file."""
