"""Results of a run on four images of two domains."""

import numpy as np

from rein.datasets.label_maps import CLASSES
from rein.evaluation.results import DomainResults, ImageResult, RunRecord

RECORD = RunRecord(
    "work/iter_9.pth", "0123456789abcdef" * 4, "rein_tiny", "rein",
    {"citys": "1024x512", "acdc_night": "960x540"}, "slide, crop 512x512, stride 341x341", 7,
    {"rein": "1", "torch": "2"}, "CPU", "2026-01-01T00:00:00+00:00")
FAILED = ImageResult("citys", "data/b/3.png", error="data/b/3.png: the image does not decode.")


def some_images():
    """Return four images of two domains; class 18 never occurs."""
    rng = np.random.default_rng(0)
    images = []
    for i, path in enumerate(("data/a/0.png", "data/b/1.png", "night/2.png", "night/4.png")):
        counts = rng.integers(0, 1000, (19, 19)) + np.diag(rng.integers(0, 9000, 19))
        counts[18] = counts[:, 18] = 0
        images.append(ImageResult(
            "citys" if i < 2 else "acdc_night", path, counts, strip=b"\xff\xd8picture%d" % i))
    return images


def table_of(images):
    """Sum the images' confusions by domain."""
    names = tuple(dict.fromkeys(image.domain for image in images))
    sums = [sum(image.confusion for image in images if image.domain == name) for name in names]
    return DomainResults(names, CLASSES, np.stack(sums), names, "rein")
