"""Models without weights for tests, and the images and films that they predict."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rein.datasets import label_maps
from rein.prediction import Prediction

CLASSES, PALETTE = ("road", "sky", "car"), ((128, 64, 128), (70, 130, 180), (0, 0, 142))


class FakeSegmentor:
    """Predict the thirds of the red channel, and count the images; it may be interrupted."""

    classes, palette = CLASSES, PALETTE

    def __init__(self, interrupt_after=None, shift=None):
        self.seen, self.interrupt_after, self.shift = 0, interrupt_after, shift

    def __repr__(self):
        return "FakeSegmentor(3 classes, fp32 on cpu)"

    def predict(self, images, *, batch_size=4):
        assert len(images) <= batch_size
        found = []
        for image in images:
            if self.seen == self.interrupt_after:
                raise KeyboardInterrupt
            self.seen += 1
            classes = np.minimum(image[..., 0] // 86, 2).astype(np.uint8)
            confidence = np.where(classes == 2, 0.3, 0.9).astype(np.float32)
            found.append(Prediction(
                image, classes, confidence, None, CLASSES, PALETTE, self.shift))
        return found


def predict_street(image):
    """Predict sky where the upper half is bright, else building."""
    height, width = image.shape[:2]
    seg_map = np.zeros((height, width), np.uint8)
    bright = image[:height // 2].mean(-1) > 120
    sky, building = map(label_maps.CLASSES.index, ("sky", "building"))
    seg_map[:height // 2] = np.where(bright, sky, building)
    confidence = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    return Prediction(image, seg_map, confidence, None, label_maps.CLASSES, label_maps.PALETTE,
                      shift=1.2)


def write_image(path: Path, red=0, size=(40, 60)) -> Path:
    """Write an image of one colour, (H, W) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[..., 0] = red
    Image.fromarray(pixels).save(path)
    return path


def write_film(path: Path, frames=10, fps=12.5, size=(48, 64)) -> Path:
    """Write a film that turns from black to red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size[::-1])
    for i in range(frames):
        frame = np.zeros((*size, 3), np.uint8)
        frame[..., 2] = i * 255 // max(frames - 1, 1)
        writer.write(frame)
    writer.release()
    return path


def read_film(path: Path) -> tuple[list[np.ndarray], float]:
    """Return the frames, RGB, and the frames per second."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return frames, capture.get(cv2.CAP_PROP_FPS)
