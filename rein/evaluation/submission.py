"""Pack predictions for the evaluation servers, and check them against the servers' rules.

Sources: cityscapesScripts, evaluation/evalPixelLevelSemanticLabeling.py (regular ids, not
trainIds; <city>_123456_123456*.png, one per image; number and size of the test images are on the
dataset's page). ACDC: 2000 test images of 1920x1080 (https://acdc.vision.ee.ethz.ch); trainIds in
a folder labelTrainIds under the images' names, following HRDA's instructions
(github.com/lhoyer/HRDA).
"""

import io
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from rein.atomic_files import replacing
from rein.datasets.converters.label_pngs import encode_label_image, map_labels
from rein.datasets.label_maps import CITYSCAPES_LABELS, CLASSES, IGNORE_INDEX, lookup_table
from rein.errors import UserError, one_line

_TRAIN_ID_TO_ID = {
    label.train_id: label.id for label in CITYSCAPES_LABELS if label.train_id != IGNORE_INDEX}
MAX_BYTES = 2**26
"""Largest unpacked file of a zip that is read; real predictions take at most 2 MB."""

_MAX_SHOWN = 5


class Server(NamedTuple):
    """Rules of an evaluation server.

    Attributes:
        title: Display name.
        url: Submission page.
        folder: Folder inside the zip; "" for none.
        pattern: Regular expression for the whole file name.
        images: Number of predictions.
        size: Width and height of each prediction in pixels.
        values: Allowed pixel values, after mapping through `table`.
        table: uint8 (256,), trainId -> value in the file.
    """

    title: str
    url: str
    folder: str
    pattern: str
    images: int
    size: tuple[int, int]
    values: frozenset[int]
    table: np.ndarray


SERVERS = {
    "acdc": Server(
        "ACDC", "https://acdc.vision.ee.ethz.ch/submit", "labelTrainIds",
        r"\w+_frame_\d{6}_rgb_anon\.png", 2000, (1920, 1080),
        frozenset(range(len(CLASSES))), np.arange(256, dtype=np.uint8)),
    "cityscapes": Server(
        "Cityscapes", "https://www.cityscapes-dataset.com/submit", "",
        r"[a-z-]+_\d{6}_\d{6}\w*\.png", 1525, (2048, 1024),
        frozenset(_TRAIN_ID_TO_ID.values()), lookup_table(_TRAIN_ID_TO_ID)),
}


def make_submission(predictions: Sequence[Path], server: str, out: str | Path) -> Path:
    """Write the zip for a server.

    Args:
        predictions: trainId PNGs with the names and sizes of the images.
        server: A key of `SERVERS`.
        out: Zip file, written atomically.

    Returns:
        `out`.

    Raises:
        UserError: There are no predictions, two have the same name, or one is not a trainId image.
    """
    rules, out = SERVERS[server], Path(out)
    if not predictions:
        raise UserError("there are no predictions to submit.")
    (name, number), = Counter(path.name for path in predictions).most_common(1)
    if number > 1:
        raise UserError(
            f"{name}: {number} predictions have this name. Give the predictions of one test.")
    # PNGs are compressed already
    with replacing(out) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(predictions):
            name = f"{rules.folder}/{path.name}" if rules.folder else path.name
            labels = map_labels(_train_ids(path), rules.table)
            archive.writestr(name, encode_label_image(labels))
    return out


def _train_ids(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            train_ids = np.asarray(image)
    except Exception as error:  # each decoder raises its own types
        raise UserError(f"{path}: the prediction cannot be decoded ({one_line(error)}). Test again."
                        ) from None
    if train_ids.ndim != 2 or train_ids.dtype != np.uint8 or train_ids.max() >= len(CLASSES):
        raise UserError(f"{path}: expected one channel of trainIds 0-{len(CLASSES) - 1}, as "
                        "tools/test.py writes them.")
    return train_ids


def check_submission(path: str | Path, server: str, images: Sequence[str] = ()) -> list[str]:
    """Check a zip against a server's rules: names, number, size, image format, values.

    Args:
        path: Zip file.
        server: A key of `SERVERS`.
        images: Names of the test images without suffix, to check that each has a prediction;
            with (), only the number is checked.

    Returns:
        One message per problem; empty if the zip is valid.

    Raises:
        UserError: The file is missing or not a zip.
    """
    rules, problems = SERVERS[server], {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            for name in names:
                for problem in _file_problems(name, archive, rules):
                    problems.setdefault(problem, []).append(name)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error):
        raise UserError(f"{path}: not a zip file, or incomplete.") from None
    found = [_summarize(problem, where) for problem, where in problems.items()]
    if len(names) != rules.images:
        found.insert(0, f"{len(names)} predictions; {rules.title} has {rules.images} test images")
    keys = [_image_key(name) for name in names]
    twice = sorted(key for key, number in Counter(keys).items() if number > 1)
    if twice:
        found.append(_summarize("more than one prediction for an image", twice))
    wanted = {_image_key(name) for name in images}
    if wanted - {*keys}:
        found.append(_summarize("no prediction for an image", sorted(wanted - {*keys})))
    if wanted and {*keys} - wanted:
        found.append(_summarize("prediction without a test image", sorted({*keys} - wanted)))
    return found


def submission_text(path: str | Path, server: str, problems: Sequence[str]) -> str:
    """Describe the result of a check, and where to submit the zip."""
    rules = SERVERS[server]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        return f"{path}: {rules.title}'s server would reject it:\n{listed}"
    return f"{path}: meets the rules of {rules.title}'s server; submit it at {rules.url}"


def _image_key(name: str) -> str:
    """Return the key of a file's image: city, sequence and frame for Cityscapes, else the stem."""
    stem = Path(name).stem
    city = re.match(r"[a-z-]+_\d{6}_\d{6}", stem)
    return city.group() if city else stem


def _summarize(problem: str, where: Sequence[str]) -> str:
    shown = ", ".join(where[:_MAX_SHOWN]) + (", ..." if len(where) > _MAX_SHOWN else "")
    return f"{problem} ({len(where)}): {shown}"


def _file_problems(name: str, archive: zipfile.ZipFile, rules: Server) -> list[str]:
    folder, _, file = name.rpartition("/")
    problems = []
    if rules.folder and folder != rules.folder:
        problems.append(f"not in the folder {rules.folder}")
    if not re.fullmatch(rules.pattern, file):
        problems.append(f"name is not of the form {rules.pattern}")
    if archive.getinfo(name).file_size > MAX_BYTES:
        return [*problems, f"more than {MAX_BYTES >> 20} MB when unpacked"]
    try:
        with Image.open(io.BytesIO(archive.read(name))) as image:
            if (image.format, image.mode) != ("PNG", "L"):
                return [*problems, f"{image.format} of mode {image.mode}, not 8-bit gray PNG"]
            if image.size != rules.size:
                problems.append("size {}x{}, not {}x{}".format(*image.size, *rules.size))
            present = np.flatnonzero(image.histogram())
    except Exception:  # each decoder raises its own types
        return [*problems, "cannot be decoded"]
    wrong = sorted({*present.tolist()} - rules.values)
    if wrong:
        problems.append(f"values {', '.join(map(str, wrong[:_MAX_SHOWN]))} are not classes in "
                        f"{min(rules.values)}-{max(rules.values)}")
    return problems
