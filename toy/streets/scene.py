"""A street scene: its shapes in painter's order, and its exact label."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from rein.datasets.cityscapes_polygons import rasterize
from toy.streets.camera import Camera
from toy.streets.canvas import Shape
from toy.streets.sketch import Thing


@dataclass
class Scene:
    """A finished scene.

    Attributes:
        camera: Camera of the picture.
        ground: Sky, backdrop and ground, in painter's order.
        objects: Visible shapes on the ground, in painter's order; the ego vehicle's bonnet is last.
        things: Objects that cast shadows.
        lamps: float (N, 3): road points of street lamps.
        seed: Seed of the noise on the ground.
    """

    camera: Camera
    ground: list[Shape]
    objects: list[Shape]
    things: list[Thing]
    lamps: np.ndarray
    seed: int

    @property
    def shapes(self) -> list[Shape]:
        """All shapes in painter's order."""
        return self.ground + self.objects

    @cached_property
    def annotation(self) -> dict:
        """The scene as a Cityscapes polygon annotation."""
        objects = [{"label": shape.label, "polygon": shape.polygon.tolist()}
                   for shape in self.shapes]
        return {"imgHeight": self.camera.height, "imgWidth": self.camera.width, "objects": objects}

    @cached_property
    def labels(self) -> np.ndarray:
        """The label image, uint8 (H, W) of Cityscapes label ids."""
        return rasterize(self.annotation)


def drop_hidden(shapes: list[Shape], camera: Camera) -> list[Shape]:
    """Drop shapes that later ones cover completely; picture and label stay the same.

    Args:
        shapes: Shapes in painter's order.
        camera: Camera of the scene.

    Returns:
        The visible shapes, in the same order.
    """
    covered = np.zeros((camera.height, camera.width), np.uint8)
    seen = []
    for shape in reversed(shapes):
        x0, y0, wide, high = cv2.boundingRect(shape.polygon)
        box = covered[y0:y0 + high, x0:x0 + wide]
        if box.all():
            continue
        stencil = np.zeros(box.shape, np.uint8)
        polygon = shape.polygon - (x0, y0)
        cv2.fillPoly(stencil, [polygon], 1)
        if (stencil > box).any():
            seen.append(shape)
            if shape.opaque and stencil.size > 200:
                cv2.polylines(stencil, [polygon], True, 0)  # edge pixels blend two shapes
                box |= stencil
    return seen[::-1]


def painters_order(things: list[Thing], camera: Camera) -> list[Thing]:
    """Sort things from back to front.

    Of two footprints that overlap along the road, the one farther out to the side is behind;
    otherwise the farther one is behind. Rare cycles are broken at the farthest thing.

    Args:
        things: Things in any order.
        camera: Camera of the scene.

    Returns:
        The same things, sorted.
    """
    near = np.array([thing.s[0] for thing in things])
    far = np.array([thing.s[1] for thing in things])
    u = np.array([thing.u for thing in things]).reshape(-1, 2) - camera.u
    out = np.where((u[:, 0] <= 0) & (u[:, 1] >= 0), 0, np.abs(u).min(1))
    beyond = near[:, None] >= far[None] - 1e-9
    overlap = ~beyond & ~beyond.T
    behind = beyond | (overlap & (out[:, None] > out[None]))  # [i, j]: i must be drawn before j
    np.fill_diagonal(behind, False)
    waiting, order = behind.sum(0), []
    left = np.ones(len(things), bool)
    for _ in things:
        free = left & (waiting == 0)
        candidates = np.flatnonzero(free if free.any() else left)
        pick = candidates[np.argmax(far[candidates])]
        order.append(things[pick])
        left[pick] = False
        waiting = waiting - behind[pick]
    return order
