"""Building blocks for things: turn faces in road coordinates into labelled shapes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from toy.streets.camera import Camera, clip_near
from toy.streets.canvas import Brush, Color, Shape

Paint = Callable[[Brush], None]
FACING = (0.0, 0.3, -1.0)
"""Normal of flat cut-outs that always face the camera."""


@dataclass
class Thing:
    """An object of the scene: its shapes in painter's order and its footprint.

    Attributes:
        shapes: Shapes to draw, later ones in front.
        u: Extent (from, to) to the right of the centre line, in metres.
        s: Extent (near, far) along the road, in metres.
        height: Height in metres, for the shadow; 0 for no shadow.
    """

    u: tuple[float, float]
    s: tuple[float, float]
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)


class Sketch:
    """Collect the visible shapes of one thing.

    Args:
        camera: Camera of the scene.
    """

    def __init__(self, camera: Camera):
        self.camera = camera
        self.shapes: list[Shape] = []

    def face(self, label: str, points: np.ndarray, paint: Paint | Color,
             inside: np.ndarray | None = None, opaque: bool = True) -> None:
        """Add a flat polygon of road points (N, 3).

        Args:
            label: Cityscapes label name.
            points: Corners in order.
            paint: A colour, or a function that draws on a brush.
            inside: A point behind the face; the face is omitted if seen from that side.
            opaque: False if the face is see-through.
        """
        points = np.asarray(points, np.float64)
        u, y, s = normal = _normal(points.tolist())
        pu, py, ps = (points.sum(0) / len(points)).tolist()
        eye = self.camera.u - self.camera.bend * points[0, 2] ** 2
        facing = u * (eye - pu) + y * (self.camera.y - py) - s * ps
        if inside is not None:
            iu, iy, iz = inside
            outward = u * (pu - iu) + y * (py - iy) + s * (ps - iz)
            if facing * outward <= 0:
                return
        if facing < 0:
            normal = (-u, -y, -s)
        polygon = self.camera.visible_polygon(points)
        if polygon is not None:
            self.shapes.append(Shape(label, polygon, self._plane(points), normal, paint, opaque))

    def flat(self, label: str, pixels: np.ndarray, depth: float, paint: Paint | Color,
             opaque: bool = True) -> None:
        """Add a cut-out of frame pixels (N, 2) that faces the camera at `depth` metres."""
        polygon = self.camera.clip_polygon(np.asarray(pixels, np.float64))
        if polygon is not None:
            plane = np.array([0.0, 0.0, 1 / depth])
            self.shapes.append(Shape(label, polygon, plane, FACING, paint, opaque))

    def hull(self, label: str, pixels: np.ndarray, depth: float, paint: Paint | Color) -> None:
        """Add the convex hull of frame pixels (N, 2) as a see-through cut-out."""
        points = np.asarray(pixels, np.float32)
        self.flat(label, cv2.convexHull(points)[:, 0], depth, paint, opaque=False)

    def tube(self, label: str, start: np.ndarray, end: np.ndarray, width: float | tuple,
             paint: Paint | Color) -> None:
        """Add a straight rod between two road points; width in metres, (start, end) if tapered."""
        if min(start[2], end[2]) < 1.2:
            return
        (x0, y0), (x1, y1) = self.camera.project(np.array([start, end])).tolist()
        depth = (start[2] + end[2]) / 2
        w0, w1 = width if isinstance(width, tuple) else (width, width)
        half = self.camera.scale(depth) / 2 / (math.hypot(x1 - x0, y1 - y0) + 1e-6)
        du, dv = (y0 - y1) * half, (x1 - x0) * half
        corners = [(x0 - du * w0, y0 - dv * w0), (x0 + du * w0, y0 + dv * w0),
                   (x1 + du * w1, y1 + dv * w1), (x1 - du * w1, y1 - dv * w1)]
        self.flat(label, np.array(corners), depth, paint)

    def box(self, label: str, u: tuple[float, float], y: tuple[float, float],
            s: tuple[float, float], paint: Paint | Color) -> None:
        """Add the visible faces of an upright box, all with the same paint."""
        (u0, u1), (y0, y1), (s0, s1) = u, y, s
        middle = np.array([(u0 + u1) / 2, (y0 + y1) / 2, (s0 + s1) / 2])
        sides = ([(u0, y0, s0), (u0, y1, s0), (u0, y1, s1), (u0, y0, s1)],
                 [(u1, y0, s0), (u1, y1, s0), (u1, y1, s1), (u1, y0, s1)],
                 [(u0, y1, s0), (u1, y1, s0), (u1, y1, s1), (u0, y1, s1)],
                 [(u0, y0, s0), (u1, y0, s0), (u1, y1, s0), (u0, y1, s0)])
        for side in sides:
            self.face(label, np.array(side), paint, inside=middle)

    def _plane(self, points: np.ndarray) -> np.ndarray:
        """Fit 1 / depth = a x + b y + c, which is exact for flat faces."""
        points = clip_near(points)
        depth = points[:, 2]
        near, far = min(depth.tolist()), max(depth.tolist())
        if far < 1.03 * near:
            return np.array([0.0, 0.0, 2 / (near + far)])
        pixels = self.camera.project(points)
        system = np.concatenate([pixels, np.ones((len(points), 1))], 1)
        return np.linalg.lstsq(system, 1 / depth, rcond=None)[0]


def sub_quad(quad: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Cut a part out of a quadrilateral.

    Args:
        quad: Corners (4, 3): bottom left, bottom right, top right, top left.
        x0: Left edge as a share of the width.
        y0: Lower edge as a share of the height.
        x1: Right edge as a share of the width.
        y1: Upper edge as a share of the height.

    Returns:
        Corners (4, 3) in the same order.
    """
    x = np.array([x0, x1, x1, x0])[:, None]
    y = np.array([y0, y0, y1, y1])[:, None]
    bottom = quad[0] + (quad[1] - quad[0]) * x
    top = quad[3] + (quad[2] - quad[3]) * x
    return bottom + (top - bottom) * y


def ring(center: np.ndarray, radius: float, axis_a: np.ndarray, axis_b: np.ndarray,
         count: int = 14) -> np.ndarray:
    """Return points (count, 3) on a circle in the plane of two unit vectors."""
    angle = np.arange(count) * (2 * np.pi / count)
    return (np.asarray(center) + radius * np.cos(angle)[:, None] * np.asarray(axis_a)
            + radius * np.sin(angle)[:, None] * np.asarray(axis_b))


def _normal(points: list) -> tuple[float, float, float]:
    """Compute the unit normal of a flat polygon from four corners spread over its outline."""
    count = len(points)
    a, b, c, d = (points[k * count // 4] if count > 3 else points[min(k, 2)] for k in range(4))
    pu, py, ps = (c[k] - a[k] for k in range(3))
    qu, qy, qs = (d[k] - b[k] for k in range(3))
    u, y, s = py * qs - ps * qy, ps * qu - pu * qs, pu * qy - py * qu
    length = math.sqrt(u * u + y * y + s * s) + 1e-9
    return (u / length, y / length, s / length)
