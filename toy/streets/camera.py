"""The camera of the toy street world: road coordinates to pixels and back.

Road coordinates are metres `(u, y, s)`: u to the right of the road's centre line, y up from the
asphalt, s forward along the road from the camera. A bend shifts the world sideways by
`bend * s ** 2`, so a street that is straight in road coordinates curves in the picture. The image
plane is kept parallel to the street's cross-section (a view camera's shift lens): verticals stay
vertical and the vanishing point may lie anywhere.
"""

import math
from dataclasses import dataclass

import numpy as np

NEAR = 1.0
"""Nearest drawn depth, in metres."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above the road.

    Attributes:
        width: Image width in pixels.
        height: Image height in pixels.
        focal: Focal length in pixels.
        cx: Vanishing point of a straight road, x in pixels.
        cy: The horizon, y in pixels.
        u: Camera position to the right of the centre line, in metres.
        y: Camera height above the road, in metres.
        bend: Curvature of the road in 1/m, positive to the right.
        roll: Rotation of the picture about the vanishing point, in radians.
    """

    width: int
    height: int
    focal: float
    cx: float
    cy: float
    u: float
    y: float
    bend: float
    roll: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project road points (N, 3) with s > 0 to float pixels (N, 2), (x, y) order."""
        points = np.asarray(points, np.float64)
        u, y, s = points.T
        scale = self.focal / s
        x = (u - self.u + self.bend * s * s) * scale
        y = (self.y - y) * scale
        pixels = np.empty((len(points), 2))
        if self.roll:
            cos, sin = math.cos(self.roll), math.sin(self.roll)
            x, y = cos * x - sin * y, sin * x + cos * y
        pixels[:, 0] = x + self.cx
        pixels[:, 1] = y + self.cy
        return pixels

    def ground(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the road points (y = 0) seen at pixels below the horizon.

        Args:
            xs: Pixel x, any shape.
            ys: Pixel y, same shape.

        Returns:
            u and s in metres, float32, same shape; s is 1e4 at and above the horizon.
        """
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        dx, dy = xs - self.cx, ys - self.cy
        down = np.maximum(cos * dy - sin * dx, self.y * self.focal / 1e4)
        s = self.y * self.focal / down
        u = (cos * dx + sin * dy) * s / self.focal + self.u - self.bend * s * s
        return u.astype(np.float32), s.astype(np.float32)

    def scale(self, s: float) -> float:
        """Return the pixels per metre at depth s."""
        return self.focal / max(s, NEAR)

    def visible_polygon(self, points: np.ndarray) -> np.ndarray | None:
        """Project a polygon and clip it to the frame.

        Args:
            points: Road points (N, 3) in order.

        Returns:
            int32 (M, 2) pixels (x, y) inside the frame, or None if nothing is visible.
        """
        points = clip_near(np.asarray(points, np.float64))
        return None if len(points) < 3 else self.clip_polygon(self.project(points))

    def clip_polygon(self, pixels: np.ndarray) -> np.ndarray | None:
        """Clip a float pixel polygon (N, 2) to the frame and round it (int32), None if outside."""
        limit = (self.width - 1, self.height - 1)
        xs, ys = pixels.T.tolist()
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        if right < 0 or bottom < 0 or left > limit[0] or top > limit[1]:
            return None
        if right - left < .7 and bottom - top < .7:
            return None
        if left < 0 or top < 0 or right > limit[0] or bottom > limit[1]:
            for axis in (0, 1):
                pixels = _clip_half_plane(pixels, pixels[:, axis])
                pixels = _clip_half_plane(pixels, limit[axis] - pixels[:, axis])
            if len(pixels) < 3:
                return None
        return np.rint(pixels).astype(np.int32)


def clip_near(points: np.ndarray) -> np.ndarray:
    """Clip the part of a polygon (N, 3) that is nearer than `NEAR`."""
    if min(points[:, 2].tolist()) >= NEAR:
        return points
    return _clip_half_plane(points, points[:, 2] - NEAR)


def _clip_half_plane(points: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Keep the part of a polygon (N, D) whose signed distance is >= 0 (Sutherland-Hodgman)."""
    if len(points) == 0 or distance.min() >= 0:
        return points
    kept = []
    for i in range(len(points)):
        a, b = distance[i - 1], distance[i]
        if (a >= 0) != (b >= 0):
            kept.append(points[i - 1] + (points[i] - points[i - 1]) * (a / (a - b)))
        if b >= 0:
            kept.append(points[i])
    return np.array(kept).reshape(-1, points.shape[1])
