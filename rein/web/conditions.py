"""Corruptions of Cityscapes-C by names that say what they do; night is none of them."""

import numpy as np

from rein.datasets.corruptions import corrupt
from rein.datasets.descriptions.cityscapes import CORRUPTIONS
from rein.errors import UserError, one_line

ORIGINAL = "original"

LABELS = {
    "fog": "fog", "snow": "snow", "frost": "frost on the lens",
    "spatter": "splashes on the lens", "gaussian_noise": "sensor noise",
    "shot_noise": "low-light noise", "impulse_noise": "dead pixels",
    "speckle_noise": "speckle noise", "motion_blur": "motion blur", "defocus_blur": "out of focus",
    "glass_blur": "behind frosted glass", "gaussian_blur": "Gaussian blur",
    "brightness": "too bright", "contrast": "low contrast", "saturate": "wrong saturation",
    "jpeg_compression": "JPEG compression",
}
"""What each corruption looks like, in the order of the page."""

COMPARED = ("fog", "snow", "spatter", "gaussian_noise", "motion_blur", "contrast")
"""Corruptions that the page compares side by side."""

assert set(LABELS) == set(CORRUPTIONS)


def choices() -> list[tuple[str, str]]:
    """Return (label, name) of the original and of each corruption."""
    return [("the image as it is", ORIGINAL), *((label, name) for name, label in LABELS.items())]


def under(image: np.ndarray, condition: str, severity: int) -> np.ndarray:
    """Return an image under a condition; always the same for the same arguments.

    Args:
        image: RGB uint8 (H, W, 3).
        condition: `ORIGINAL` or a corruption.
        severity: 1 to 5.

    Raises:
        UserError: The library is missing, or cannot corrupt an image of this size.
    """
    if condition == ORIGINAL:
        return image
    try:
        return np.ascontiguousarray(corrupt(image, condition, int(severity), seed=0))
    except UserError:
        raise
    except Exception as error:  # the library fails on tiny images in many ways
        raise UserError(f"{LABELS[condition]} cannot be computed for an image of {image.shape[1]} "
                        f"x {image.shape[0]} pixels ({one_line(error, 80)}).") from error

