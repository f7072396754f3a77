"""Generate the toy datasets: scenes, looks and files of each domain.

A scene depends only on its domain, split, index and seed, not on the number of processes.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np
from tqdm import tqdm

from rein.atomic_files import write_atomically
from rein.errors import UserError
from rein.parallel import in_processes
from toy.streets import formats
from toy.streets.layout import sample_scene
from toy.streets.looks import LOOKS, sample_look
from toy.streets.scene import Scene
from toy.streets.weather import render

FAIR_QUALITY = 90
MIXED_SIZES = ((400, 300), (448, 336), (512, 384), (480, 320), (512, 288))


@dataclass(frozen=True)
class Domain:
    """A toy dataset.

    Attributes:
        places: Places of its streets, one sampled per scene.
        looks: Looks of its pictures, one sampled per scene.
        sizes: Image sizes (width, height), one sampled per scene.
        files: (root, split, index, seed) -> paths of picture and labels.
        label_format: A key of `formats.LABEL_ENCODERS`; None for no labels.
        quality: Range of the JPEG quality.
        again: Look of a second picture per sample, saved as NAME_fair; None for no second picture.
    """

    places: tuple[str, ...]
    looks: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    files: Callable[[Path, str, int, int], list[Path]]
    label_format: str | None
    quality: tuple[int, int] = (88, 92)
    again: str | None = None


def _acdc(condition: str) -> Domain:
    return Domain(("europe",), (condition,), ((480, 270),),
                  partial(formats.acdc_files, condition=condition), "train_ids")


CONDITIONS = ("night", "fog", "rain", "snow")
DOMAINS = {
    "gta": Domain(("game",), ("game",), ((480, 264),), formats.gta_files, "gta"),
    "synthia": Domain(("us",), ("game",), ((480, 285),), formats.synthia_files, "synthia"),
    "urbansyn": Domain(("europe",), ("game",), ((512, 256),), formats.urbansyn_files, "urbansyn"),
    "cityscapes": Domain(("europe",), ("city",), ((512, 256),), formats.cityscapes_files,
                         "cityscapes"),
    "bdd100k": Domain(("us",), ("drive",), ((448, 252),), formats.bdd_files, "train_ids"),
    "mapillary": Domain(("mixed",), ("mixed",), MIXED_SIZES, formats.mapillary_files,
                        "mapillary", (55, 90)),
    **{f"acdc_{condition}": _acdc(condition) for condition in CONDITIONS},
    "unlabelled": Domain(("game", "europe", "us", "mixed"), tuple(LOOKS), ((480, 270),),
                         formats.unlabelled_files, None, (70, 92), again="game"),
}


TRAIN_ONLY = ("gta", "synthia", "urbansyn", "unlabelled")


class Sample(NamedTuple):
    """A picture, its scene with the labels, and its JPEG quality."""

    rgb: np.ndarray
    scene: Scene
    quality: int


class Summary(NamedTuple):
    """Numbers of samples made and of existing samples skipped."""

    made: int
    skipped: int


def make_sample(domain: str, split: str, index: int, seed: int, again: bool = False) -> Sample:
    """Make one picture.

    Args:
        domain: A key of `DOMAINS`.
        split: train, val or test.
        index: Index within the split.
        seed: Seed of the whole dataset.
        again: Make the second picture of the sample, in the look `Domain.again`.

    Returns:
        The RGB picture (uint8, H x W x 3), the scene with its labels, and a JPEG quality.
    """
    cv2.setNumThreads(1)  # parallelism is by process, and OpenCV's threads hang after a fork
    spec, key = DOMAINS[domain], [seed, crc32(f"{domain}/{split}".encode()), index]
    choices, scenery, light, camera = (
        np.random.default_rng([*key, k]) for k in ((0, 1, 4, 5) if again else range(4)))
    place = spec.places[choices.integers(len(spec.places))]
    look = spec.looks[choices.integers(len(spec.looks))]
    width, height = spec.sizes[choices.integers(len(spec.sizes))]
    scene = sample_scene(scenery, place, width, height)
    rgb = render(scene, sample_look(spec.again if again else look, light), camera)
    return Sample(rgb, scene, int(choices.integers(*spec.quality)))


def make_toy_streets(root: Path, counts: Mapping[str, int], seed: int = 0,
                     workers: int | None = None) -> Summary:
    """Make toy datasets in the raw formats of the real ones, skipping existing samples.

    Args:
        root: Output folder for gta/, cityscapes/, ...
        counts: Samples per domain: `train` samples for the domains in `TRAIN_ONLY`, else `val`
            samples, plus a few for train and test.
        seed: Seed of the streets.
        workers: Number of processes; default: one per core.

    Returns:
        The numbers of samples made and skipped.

    Raises:
        UserError: A count, the seed or `workers` is too small, or `root` cannot be created.
    """
    if seed < 0 or min(counts.values(), default=0) < 0:
        raise UserError(f"seed {seed}, counts {dict(counts)}: all must be at least 0")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{root}: cannot create this folder ({error.strerror})") from error
    jobs = [(domain, split, index) for domain, count in counts.items()
            for split, total in split_sizes(domain, count).items() for index in range(total)]
    if counts.get("mapillary"):
        _write_mapillary_config(root)
    made = 0
    with closing(in_processes(partial(_make_file, root, seed), jobs, workers)) as done:
        for fresh in tqdm(done, total=len(jobs), unit="img", desc="Making streets"):
            made += fresh
    return Summary(made, len(jobs) - made)


def split_sizes(domain: str, count: int) -> dict[str, int]:
    """Return the number of samples in each split of a domain for a requested `count`."""
    if domain in TRAIN_ONLY or not count:
        return {"train": count} if count else {}
    few = max(2, count // 6)
    return {"train": few, "val": count, **({"test": few} if domain.startswith("acdc") else {})}


def _make_file(root: Path, seed: int, job: tuple[str, str, int]) -> bool:
    """Make one sample's files unless all exist; return whether it made them."""
    domain, split, index = job
    spec = DOMAINS[domain]
    files = spec.files(root, split, index, seed)
    again = [files[0].with_name(f"{files[0].stem}_fair{files[0].suffix}")] if spec.again else []
    if all(path.exists() for path in (*files, *again)):
        return False
    sample = make_sample(domain, split, index, seed)
    label_format = spec.label_format if len(files) > 1 else None
    if again:
        fair = make_sample(domain, split, index, seed, again=True)
        formats.write_sample(again, fair.rgb, fair.scene, None, FAIR_QUALITY)
    formats.write_sample(files, sample.rgb, sample.scene, label_format, sample.quality)
    return True


def _write_mapillary_config(root: Path) -> None:
    path = root / "mapillary/config_v1.2.json"
    if not path.exists():
        write_atomically(path, formats.mapillary_config())
