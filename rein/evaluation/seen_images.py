"""Images as the network saw them, where the test pipeline changed more than their size."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def seen_image(meta: Mapping[str, Any], data_batch: Mapping[str, Any], index: int
               ) -> np.ndarray | None:
    """Return the image of a test sample if it differs from its file, for example Cityscapes-C.

    Args:
        meta: The sample's metainfo; `pixels_changed` is stamped by its dataset.
        data_batch: The loader's batch: `inputs`, images (3, H, W), uint8 BGR, and `data_samples`.
            With test-time augmentation, each holds one list per view.
        index: Position of the sample in the batch.

    Returns:
        RGB uint8 (H, W, 3) at the network's input size, with test-time augmentation the largest
        view that is not flipped; None if the file shows the same.
    """
    if not meta.get("pixels_changed"):
        return None
    inputs, samples = data_batch["inputs"], data_batch["data_samples"]
    if not isinstance(samples[0], list | tuple):
        inputs, samples = [inputs], [samples]
    upright = [view[index] for view, packed in zip(inputs, samples, strict=True)
               if not packed[index].metainfo.get("flip")]
    image = max(upright, key=lambda view: view.numel()).cpu().numpy()
    return np.ascontiguousarray(image[::-1].transpose(1, 2, 0))
