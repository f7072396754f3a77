"""Common image corruptions, as in Cityscapes-C, generated while loading.

Sources: Benchmarking Neural Network Robustness (Hendrycks and Dietterich, ICLR 2019); Benchmarking
the Robustness of Semantic Segmentation Models (Kamann and Rother, CVPR 2020), which selects these
16 corruptions. The library imagecorruptions (its maintained fork imagecorruptions-imaug) generates
the images; it needs numba and scikit-image.
"""

import hashlib
import importlib.util
import io
import os
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image

from rein.atomic_files import write_atomically
from rein.datasets.descriptions.cityscapes import CORRUPTIONS, SEVERITIES
from rein.errors import UserError

CACHE_VARIABLE = "REIN_CORRUPTION_CACHE"

TAKE_A_SEED = ("impulse_noise", "glass_blur")  # the others use NumPy's global generator

_INSTALL = (
    "Run `pip install numba scikit-image` and `pip install --no-deps imagecorruptions-imaug` "
    "(without its dependencies, since opencv-python would replace opencv-python-headless)."
)


def corrupt(image: np.ndarray, corruption: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt an image; the result depends only on the arguments.

    Args:
        image: uint8 (H, W, 3), RGB.
        corruption: One of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Seed for random corruptions, in [0, 2**32).

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        UserError: The library is not installed.
    """
    library = _library()
    own_seed = {"seed": seed} if corruption in TAKE_A_SEED else {}
    state = np.random.get_state()
    try:
        np.random.seed(seed)
        return library.corrupt(image, severity, corruption, **own_seed)
    finally:
        np.random.set_state(state)


def missing_library() -> str | None:
    """Return what to install for corrupted images, or None if all is installed; imports nothing."""
    missing = [name for name in ("imagecorruptions", "numba", "skimage")
               if importlib.util.find_spec(name) is None]
    return f"Not installed: {', '.join(missing)}. {_INSTALL}" if missing else None


def _library():
    """Import imagecorruptions.

    Raises:
        UserError: It is not installed.
    """
    try:
        import imagecorruptions
    except ImportError as error:
        raise UserError(
            f"corrupted images need the library imagecorruptions: {error}. {_INSTALL}") from None
    return imagecorruptions


@TRANSFORMS.register_module()
class Corrupt(BaseTransform):
    """Corrupt the image; place this step between loading and resizing.

    Randomness depends only on the image's file name, the corruption and the severity, so results
    are the same in every run, on every machine and in any order of images.

    Args:
        corruption (str): One of `CORRUPTIONS`.
        severity (int): 1 to 5.
        cache_dir (str, optional): Folder to cache corrupted images in, as
            `<corruption>/<severity>/*.png`. Default: the environment variable
            REIN_CORRUPTION_CACHE; if it is unset, nothing is cached.

    Attributes:
        changes_pixels: Makes pictures of predictions show the corrupted image.

    Raises:
        UserError: The corruption or severity does not exist, or the library is missing and no
            cache can replace it.
    """

    changes_pixels = True

    def __init__(self, corruption: str, severity: int, cache_dir: str | None = None):
        if corruption not in CORRUPTIONS or severity not in SEVERITIES:
            raise UserError(
                f"Corrupt: {corruption} of severity {severity} does not exist. Choose a severity "
                f"from 1 to 5 and one of {', '.join(CORRUPTIONS)}.")
        self.corruption, self.severity = corruption, severity
        self.cache_dir = cache_dir or os.environ.get(CACHE_VARIABLE)
        if self.cache_dir is None and importlib.util.find_spec("imagecorruptions") is None:
            _library()  # raises now instead of at the first image

    def transform(self, results: dict) -> dict:
        """Corrupt `results["img"]`, a uint8 (H, W, 3) BGR image."""
        name = os.path.basename(results["img_path"])
        cached = self._cached(results["img_path"])
        if cached is not None and cached.is_file():
            with Image.open(cached) as picture:
                corrupted = np.asarray(picture)
        else:
            digest = hashlib.sha256(f"{name}/{self.corruption}/{self.severity}".encode()).digest()
            image = np.ascontiguousarray(results["img"][..., ::-1])
            corrupted = corrupt(
                image, self.corruption, self.severity, int.from_bytes(digest[:4], "little"))
            if cached is not None:
                content = io.BytesIO()
                Image.fromarray(corrupted).save(content, "PNG", compress_level=1)
                write_atomically(cached, content.getvalue())
        results["img"] = np.ascontiguousarray(corrupted[..., ::-1])
        return results

    def _cached(self, img_path: str) -> Path | None:
        if self.cache_dir is None:
            return None
        # the folder's hash separates images with the same name
        folder = hashlib.sha256(os.path.abspath(os.path.dirname(img_path)).encode()).hexdigest()
        name = f"{Path(img_path).stem}_{folder[:8]}.png"
        return Path(self.cache_dir, self.corruption, str(self.severity), name)

    def __repr__(self):
        return f"{type(self).__name__}({self.corruption!r}, {self.severity}, {self.cache_dir!r})"
