"""A predictor that needs no network: road in the lower half, sky or building above."""

import numpy as np

from rein.datasets.label_maps import CLASSES, PALETTE
from rein.prediction import Prediction


def predict(image):
    """Predict sky where the upper half is bright, else building."""
    height, width = image.shape[:2]
    seg_map = np.zeros((height, width), np.uint8)
    bright = image[:height // 2].mean(-1) > 120
    seg_map[:height // 2] = np.where(bright, CLASSES.index("sky"), CLASSES.index("building"))
    confidence = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    return Prediction(image, seg_map, confidence, None, CLASSES, PALETTE, shift=1.2)
