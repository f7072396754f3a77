"""Mapillary Vistas v1.2: convert labels to Cityscapes classes; halve images and labels.

See `rein.datasets.descriptions.mapillary`.
"""

import io
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from rein.atomic_files import CONTINUES, naming_failures, remove_stale, write_atomically
from rein.datasets.converters.image_label_pairs import no_labels
from rein.datasets.converters.jobs import Job, Report, run_jobs
from rein.datasets.converters.label_pngs import map_labels, read_label_ids, require_size_of
from rein.datasets.descriptions.mapillary import LABELS, MAPILLARY
from rein.datasets.label_maps import CITYSCAPES_ID_TO_TRAIN_ID, lookup_table
from rein.errors import UserError, one_line

SPLITS = {"training": "train", "validation": "val"}
ENCODING_FILE = "encoding.txt"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def convert_mapillary(
    root: Path,
    out: Path,
    *,
    train_ids: bool = True,
    workers: int | None = None,
    overwrite: bool = False,
) -> Report:
    """Write Mapillary labels as Cityscapes classes to `OUT/{train,val}/label/*.png`.

    Two layouts are supported: `config.json` with `{training,validation}/labels` (v1.2) and
    `config_v1.2.json` with `{training,validation}/v1.2/labels` (v2.0). One split is enough.

    Args:
        root: Folder that the dataset was extracted to.
        out: Folder for the labels. Its `encoding.txt` names their encoding.
        train_ids: Write trainIds, with 255 for classes that Cityscapes does not evaluate;
            otherwise write Cityscapes label ids, with 0 (unlabeled) for the same pixels.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.

    Returns:
        Counts and failures.

    Raises:
        UserError: No labels were found, the config is not from v1.2, or `out` contains the other
            encoding.
    """
    config = _find_config(root)
    table = _mapillary_table(config, train_ids)
    note = out / ENCODING_FILE
    jobs = []
    for split, short in SPLITS.items():
        folder = out / short / "label"
        counted_in = folder if train_ids else None
        # a label older than the config or the encoding note is out of date
        jobs += [Job((label, config, note), (folder / label.name,), counted_in)
                 for label in _labels(root / split)]
    if not jobs:
        raise no_labels(MAPILLARY, root, "no labels found")
    _claim(note, "trainIds" if train_ids else "ids", overwrite)
    encode = partial(_encode_label, table=table)
    return run_jobs(jobs, encode, workers=workers, overwrite=overwrite)


def halve_mapillary(
    images: Path,
    labels: Path,
    images_out: Path,
    labels_out: Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
) -> Report:
    """Write images and labels at half size under the same names.

    Images are turned as their EXIF data says. An odd last row or column is dropped. Each new pixel
    represents a 2 x 2 block: images store its mean, which equals both area and bilinear resizing by
    two; labels store its first pixel, the nearest neighbour. JPEGs are written at quality 95
    without chroma subsampling (49 dB on a street scene, 45 dB with it).

    Args:
        images: Folder of images (`.jpg`, `.jpeg`, `.png`).
        labels: Folder of 8-bit label PNGs with the images' names.
        images_out: Folder for the halved images.
        labels_out: Folder for the halved labels.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.

    Returns:
        Counts and failures of image-label pairs; a pair with a missing file fails.

    Raises:
        UserError: A folder contains no files or two images of one name, or is both input and
            output.
    """
    for source, target in ((images, images_out), (labels, labels_out)):
        if source.resolve() == target.resolve():
            raise UserError(f"{source}: is both input and output. Name another output folder.")
    if images_out.resolve() == labels_out.resolve():
        raise UserError(f"{images_out}: cannot hold both images and labels. Name two folders.")
    image_of = _files_by_stem(images, IMAGE_SUFFIXES, "the extracted Mapillary images")
    label_of = _files_by_stem(
        labels, (".png",), "labels made by tools/convert_datasets/mapillary2cityscape.py"
    )
    jobs = []
    for stem in sorted(image_of.keys() | label_of.keys()):
        # a missing partner fails when opened, and the error names it
        image = image_of.get(stem, images / f"{stem}.jpg")
        label = label_of.get(stem, labels / f"{stem}.png")
        jobs.append(Job((image, label), (images_out / image.name, labels_out / label.name)))
    return run_jobs(jobs, _encode_halves, workers=workers, overwrite=overwrite)


def _find_config(root: Path) -> Path:
    """Find the file that lists the v1.2 labels."""
    for name in ("config_v1.2.json", "config.json"):
        if (root / name).is_file():
            return root / name
    raise no_labels(MAPILLARY, root, "neither config.json nor config_v1.2.json found")


def _labels(split: Path) -> list[Path]:
    """List the label files of a split in either layout; none if the split is absent."""
    nested = split / "v1.2" / "labels"
    return sorted((nested if nested.is_dir() else split / "labels").glob("*.png"))


def _mapillary_table(config: Path, train_ids: bool) -> np.ndarray:
    """Return the lookup table (256,) for a config, whose list positions are the label ids."""
    try:
        names = [label["readable"] for label in json.loads(config.read_bytes())["labels"]]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("a name that is no text")
    except OSError as error:
        raise UserError(f"{config}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{config}: not a list of Mapillary labels ({one_line(error)}). Extract the dataset "
            "again."
        ) from error
    known = dict(LABELS)
    foreign = sorted(set(names) - known.keys())
    if foreign or not names:
        raise UserError(
            f"{config}: {len(names)} labels, of which {len(foreign)} are not Mapillary Vistas "
            f"v1.2's {len(known)} ({', '.join(foreign[:3])}). Use the config and labels of v1.2; "
            "the v2.0 package has them as config_v1.2.json and v1.2/labels."
        )
    table = lookup_table({label_id: known[name] for label_id, name in enumerate(names)})
    return table if train_ids else map_labels(table, _label_id_of_train_id())


def _label_id_of_train_id() -> np.ndarray:
    """Return the table (256,) from trainIds to Cityscapes label ids, 0 (unlabeled) if none."""
    table = np.zeros(256, np.uint8)
    for label_id, train_id in CITYSCAPES_ID_TO_TRAIN_ID.items():
        table[train_id] = label_id
    return table


def _claim(note: Path, encoding: str, overwrite: bool) -> None:
    """Record the encoding of the output folder, which cannot be inferred from its labels."""
    try:
        held = note.read_text().strip() if note.exists() else None
    except OSError as error:
        raise UserError(f"{note}: cannot be read ({error.strerror}).") from error
    if held == encoding:
        return
    if held is not None and not overwrite:
        raise UserError(
            f"{note.parent}: contains {held}, not {encoding}. Name another output folder, or "
            "convert again with --overwrite."
        )
    with naming_failures(note.parent, CONTINUES):
        remove_stale(note.parent)
        write_atomically(note, f"{encoding}\n".encode())


def _files_by_stem(folder: Path, suffixes: tuple[str, ...], expected: str) -> dict[str, Path]:
    """Map stem -> file for the files of a folder with one of the suffixes, ignoring case."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else ()
    files = {}
    for path in paths:
        if path.suffix.lower() not in suffixes:
            continue
        if path.stem in files:
            raise UserError(f"{folder}: both {files[path.stem].name} and {path.name}. Remove one "
                            "of them.")
        files[path.stem] = path
    if not files:
        raise UserError(f"{folder}: no {'/'.join(suffixes)} files found. Expected {expected}.")
    return files


def _encode_label(sources: tuple[Path, ...], table: np.ndarray) -> tuple[np.ndarray, ...]:
    """Convert one label."""
    return (map_labels(read_label_ids(sources[0]), table),)


def _encode_halves(sources: tuple[Path, ...]) -> tuple[bytes, np.ndarray]:
    """Halve an image and its label."""
    image_path, label_path = sources
    labels = read_label_ids(label_path)
    height, width = (side - side % 2 for side in labels.shape)
    content = io.BytesIO()
    with Image.open(image_path) as image:
        require_size_of(image_path, labels)
        kind = "PNG" if image.format == "PNG" else "JPEG"
        half = ImageOps.exif_transpose(image).reduce(2, box=(0, 0, width, height))
        half.save(content, kind, quality=95, subsampling=0)
    return content.getvalue(), labels[:height:2, :width:2]
