"""Convert CamVid's colours to 11 classes; see `rein.datasets.descriptions.camvid`."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from rein.atomic_files import CONTINUES, naming_failures, write_atomically
from rein.datasets.converters.image_label_pairs import convert_pairs, no_labels
from rein.datasets.converters.jobs import Job, Report, run_jobs
from rein.datasets.converters.label_pngs import read_label_ids, require_size_of
from rein.datasets.descriptions import CAMVID
from rein.datasets.descriptions.camvid import COLORS, SEQUENCES

_CODES = np.array([red << 16 | green << 8 | blue for red, green, blue in COLORS.values()])
_ORDER = np.argsort(_CODES)


def convert_camvid(root: Path, *, workers: int | None = None, overwrite: bool = False) -> Report:
    """Write `labels/*.png` and the list of each drive's images, `0001TP.txt` etc.

    Args:
        root: Folder with `701_StillsRaw_full/*.png` and `LabeledApproved_full/*_L.png`.
        workers: Processes; None means one per available core.
        overwrite: Reconvert finished files.

    Returns:
        Counts and failures; a label with an unknown colour fails.

    Raises:
        UserError: No labels were found, or a list cannot be written.
    """
    label_of = {path.stem.removesuffix("_L"): path
                for path in sorted((root / "LabeledApproved_full").glob("*_L.png"))}
    report = convert_pairs(
        CAMVID, root, label_of, _read_colors, workers=workers, overwrite=overwrite)
    for sequence in SEQUENCES:
        names = [name for name in label_of if name.startswith(f"{sequence}_")]
        if names:
            _write(root / f"{sequence}.txt", "\n".join([*names, ""]))
    return report


def write_small_camvid(
    root: Path, out: Path, *, workers: int | None = None, overwrite: bool = False,
) -> Report:
    """Write halved frames to OUT/images/SPLIT/*.jpg and OUT/labels/SPLIT/*.png.

    The splits are those of docs/real_photographs.md: see `small_splits`.

    Args:
        root: Folder of the dataset, converted.
        out: Output folder.
        workers: Processes; None means one per available core.
        overwrite: Write finished files again.

    Returns:
        Counts and failures.

    Raises:
        UserError: There are no converted labels.
    """
    part = CAMVID.parts[0]
    splits = small_splits([path.stem for path in (root / part.labels).glob("*.png")])
    jobs = [
        Job((root / part.images / f"{name}.png", root / part.labels / f"{name}.png"),
            (out / f"images/{split}/{name}.jpg", out / f"labels/{split}/{name}.png"),
            out / f"labels/{split}")
        for split, names in splits.items() for name in names]
    if not jobs:
        raise no_labels(CAMVID, root)
    return run_jobs(
        jobs, _encode_halves, classes=CAMVID.classes, workers=workers, overwrite=overwrite)


def small_splits(names: list[str]) -> dict[str, list[str]]:
    """Choose the frames of the small dataset.

    Day: all frames of 0006R0 and every second of 0016E5, which has 15 labelled frames a second in
    places. Every eighth of them is held out as `day_val`. Targets: the first 70 frames of Seq05VD
    and the first 60 of 0001TP.

    Args:
        names: Names of all frames, without suffix.

    Returns:
        Split -> names.
    """
    of = {drive: sorted(name for name in names if name.startswith(f"{drive}_"))
          for drive in SEQUENCES}
    day = of["0006R0"] + of["0016E5"][::2]
    return {
        "day_train": [name for i, name in enumerate(day) if i % 8],
        "day_val": day[::8],
        "other_day": of["Seq05VD"][:70],
        "dusk": of["0001TP"][:60],
    }


def _read_colors(path: Path) -> np.ndarray:
    """Read a colour label as positions in `COLORS`, uint8 (H, W); reject other colours."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(np.int64)
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    places = np.searchsorted(_CODES, codes, sorter=_ORDER).clip(max=len(_CODES) - 1)
    ids = _ORDER[places]
    foreign = np.unique(codes[_CODES[ids] != codes])
    if len(foreign):
        shown = ", ".join(f"#{code:06x}" for code in foreign[:8])
        raise ValueError(f"{len(foreign)} colours that CamVid's labels lack: {shown}")
    return ids.astype(np.uint8)


def _encode_halves(sources: tuple[Path, ...]) -> tuple[bytes, np.ndarray]:
    """Halve an image, as JPEG, and its label."""
    image_path, label_path = sources
    labels = read_label_ids(label_path)
    require_size_of(image_path, labels)
    content = io.BytesIO()
    with Image.open(image_path) as image:
        image.convert("RGB").reduce(2).save(content, "JPEG", quality=95, subsampling=0)
    return content.getvalue(), labels[::2, ::2]


def _write(path: Path, text: str) -> None:
    with naming_failures(path, CONTINUES):
        write_atomically(path, text)
