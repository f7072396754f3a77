"""Vehicle bodies, as side profiles swept across the width, and cars."""

import math
from dataclasses import dataclass

import numpy as np

from toy.streets.canvas import Brush, Color
from toy.streets.sketch import Sketch, Thing, ring, sub_quad

HALF_RING = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(9)]
GLASS_TOP, GLASS_BOTTOM = (120, 142, 158), (28, 34, 42)
TYRE, RIM, DARK = (26, 26, 28), (150, 152, 156), (34, 35, 38)
HEADLIGHT, TAIL_LIGHT = (255, 246, 220), (230, 26, 22)


@dataclass(frozen=True)
class Pose:
    """Pose of a vehicle: its middle (u, s) in metres and its heading in radians, 0 = away."""

    u: float
    s: float
    heading: float

    def place(self, local: np.ndarray) -> np.ndarray:
        """Convert points (N, 3) (forward, right, up) from the vehicle's middle to road points."""
        local = np.asarray(local, np.float64)
        forward, right, up = local.T
        sin, cos = math.sin(self.heading), math.cos(self.heading)
        road = np.empty_like(local)
        road[:, 0] = self.u + forward * sin + right * cos
        road[:, 1] = up
        road[:, 2] = self.s + forward * cos - right * sin
        return road

    def thing(self, sketch: Sketch, length: float, width: float, height: float) -> Thing:
        """Combine a finished sketch with its footprint."""
        corners = self.place([(a, b, 0) for a in (-length / 2, length / 2)
                              for b in (-width / 2, width / 2)])
        return Thing((corners[:, 0].min(), corners[:, 0].max()),
                     (corners[:, 2].min(), corners[:, 2].max()), height, sketch.shapes)


class Body:
    """A vehicle under construction: swept profiles and wheels.

    Args:
        sketch: Sketch that the faces are added to.
        label: Cityscapes label name.
        pose: Pose of the vehicle.
        width: Width in metres.
    """

    def __init__(self, sketch: Sketch, label: str, pose: Pose, width: float):
        self.sketch, self.label, self.pose, self.width = sketch, label, pose, width

    def sweep(self, profile: list, paints: list, side, taper: dict | None = None) -> None:
        """Sweep a closed side profile over the width.

        Args:
            profile: (forward, up) points, tail first, along the roof to the nose.
            paints: Paint of the strip from point i to i + 1; None omits the strip.
            side: Paint of both side faces, a colour or a function of (brush, sign).
            taper: Point index -> half width at that point, where it is narrower than the body.
        """
        half = np.full(len(profile), self.width / 2)
        for index, value in (taper or {}).items():
            half[index] = value
        points = np.array(profile, np.float64)
        middle = self.pose.place([[points[:, 0].mean(), 0, points[:, 1].mean()]])[0]
        strips = []
        for i, paint in enumerate(paints):
            j = (i + 1) % len(points)
            (a0, y0), (a1, y1) = points[i], points[j]
            quad = self.pose.place([(a0, -half[i], y0), (a0, half[i], y0),
                                    (a1, half[j], y1), (a1, -half[j], y1)])
            if paint is not None:
                strips.append((quad[0, 2] + quad[2, 2], quad, paint))
        for _, quad, paint in sorted(strips, key=lambda strip: -strip[0]):
            painter = (lambda brush, q=quad, p=paint: p(brush, q)) if callable(paint) else paint
            self.sketch.face(self.label, quad, painter, inside=middle)
        for sign in (-1, 1):
            local = np.stack([points[:, 0], sign * half, points[:, 1]], 1)
            painter = (lambda brush, y=sign: side(brush, y)) if callable(side) else side
            self.sketch.face(self.label, self.pose.place(local), painter, inside=middle)

    def on_side(self, corners: list, sign: int, half: float | None = None) -> np.ndarray:
        """Return road points of (forward, up) corners on the left (-1) or right (1) side."""
        half = self.width / 2 if half is None else half
        return self.pose.place([(a, sign * half, y) for a, y in corners])

    def wheels(self, positions: list, radius: float, rim: Color = RIM) -> None:
        """Add wheels at forward positions on the visible side, and treads at the visible end."""
        if self.sketch.camera.scale(self.pose.s) * radius < 1.3:
            return
        right = self.pose.place([[0, 1, 0]])[0] - self.pose.place([[0, 0, 0]])[0]
        forward = np.array([np.sin(self.pose.heading), 0, np.cos(self.pose.heading)])
        for sign in (-1, 1):
            for a in positions:
                half = sign * self.width / 2 * 1.005
                inner = np.array([(a - radius, half * 0.75, 0), (a - radius, half, 0),
                                  (a - radius, half, radius * 1.3),
                                  (a - radius, half * 0.75, radius * 1.3)])
                if a == min(positions) and np.cos(self.pose.heading) > 0.3:
                    self.sketch.face(self.label, self.pose.place(inner), TYRE)
                inner[:, 0] = a + radius
                if a == max(positions) and np.cos(self.pose.heading) < -0.3:
                    self.sketch.face(self.label, self.pose.place(inner), TYRE)
        for sign in (-1, 1):
            for a in positions:
                center = self.pose.place([[a, sign * self.width / 2 * 1.005, radius]])[0]
                circle = ring(center, radius, forward, [0, 1, 0])
                rim_points = ring(center, radius * 0.62, forward, [0, 1, 0])
                self.sketch.face(self.label, circle, _wheel_paint(rim_points, rim),
                                 inside=center - sign * right)


def _wheel_paint(rim_points: np.ndarray, rim: Color):
    def paint(brush: Brush) -> None:
        brush.fill(TYRE)
        if brush.small:
            return
        brush.poly(rim_points, rim)
        brush.poly(rim_points.mean(0) + 0.4 * (rim_points - rim_points.mean(0)), DARK)
    return paint


def glass(brush: Brush, quad: np.ndarray | None = None) -> None:
    """Paint a pane that reflects the sky at the top and is dark at the bottom."""
    brush.gradient(GLASS_TOP, GLASS_BOTTOM)


def darker(color: Color, factor: float) -> Color:
    """Scale a colour."""
    return tuple(min(255.0, channel * factor) for channel in color)


def lights(brush: Brush, quad: np.ndarray, boxes: list, color: Color, lit: bool) -> None:
    """Paint lamps on an end face; if `lit`, they are on at night."""
    for box in boxes:
        brush.poly(sub_quad(quad, *box), color, 255 if lit and brush.look.night else 0)


def tail_paint(color: Color, lit: bool, tall: bool = False):
    """Return paint for a rear end: bumper, plate and lamps."""
    def paint(brush: Brush, quad: np.ndarray) -> None:
        brush.gradient(darker(color, 1.05), darker(color, 0.72))
        if not brush.small:
            brush.poly(sub_quad(quad, 0, 0, 1, 0.16), DARK)
            brush.poly(sub_quad(quad, 0.36, 0.28, 0.64, 0.42), (225, 225, 215))
        lamps = [(0.02, 0.5, 0.13, 0.95), (0.87, 0.5, 0.98, 0.95)]
        if not tall:
            lamps = [(0.01, 0.55, 0.2, 0.85), (0.8, 0.55, 0.99, 0.85)]
        lights(brush, quad, lamps, TAIL_LIGHT, lit)
    return paint


def nose_paint(color: Color, lit: bool):
    """Return paint for a front end: bumper, grille, plate and lamps."""
    def paint(brush: Brush, quad: np.ndarray) -> None:
        brush.gradient(darker(color, 1.05), darker(color, 0.72))
        if not brush.small:
            brush.poly(sub_quad(quad, 0.26, 0.52, 0.74, 0.86), DARK)
            brush.poly(sub_quad(quad, 0.1, 0.02, 0.9, 0.26), DARK)
            brush.poly(sub_quad(quad, 0.36, 0.3, 0.64, 0.44), (225, 225, 215))
        lights(brush, quad, [(0.02, 0.55, 0.2, 0.85), (0.8, 0.55, 0.98, 0.85)], HEADLIGHT, lit)
    return paint


def plain(color: Color):
    """Return paint of one colour for `Body.sweep`."""
    return lambda brush, quad: brush.fill(color)


# Length in metres, and profile points (share of the length from the tail, height in metres):
# tail, boot, rear window, roof, windscreen, bonnet, nose.
CAR_PROFILES = {
    "sedan": (4.6, [(0, .34), (.01, .92), (.15, 1.0), (.29, 1.42), (.56, 1.45), (.74, .98),
                    (.98, .78), (1, .34)]),
    "hatch": (3.9, [(0, .34), (.0, .88), (.03, 1.0), (.12, 1.46), (.56, 1.50), (.76, 1.02),
                    (.98, .82), (1, .34)]),
    "suv": (4.6, [(0, .42), (.0, .98), (.02, 1.12), (.07, 1.70), (.58, 1.74), (.74, 1.16),
                  (.99, 1.0), (1, .42)]),
    "van": (5.0, [(0, .38), (.0, 1.0), (.01, 1.15), (.02, 2.0), (.70, 2.05), (.86, 1.2),
                  (.99, 1.0), (1, .38)]),
}


def car(sketch: Sketch, pose: Pose, rng: np.random.Generator, color: Color, kind: str,
        lit: bool) -> Thing:
    """Draw a car.

    Args:
        sketch: An empty sketch.
        pose: Pose of the car.
        rng: Source of small variations.
        color: Colour of the body.
        kind: One of `CAR_PROFILES`.
        lit: Whether its lamps are on at night.

    Returns:
        The car.
    """
    length, shares = CAR_PROFILES[kind]
    length *= rng.uniform(0.95, 1.05)
    width = 1.9 if kind == "van" else rng.uniform(1.7, 1.85)
    profile = [((x - 0.5) * length, y) for x, y in shares]
    body = Body(sketch, "car", pose, width)
    roof_half = width / 2 * 0.8
    paints = [tail_paint(color, lit, kind != "sedan"), plain(darker(color, 1.1)), glass,
              plain(darker(color, 1.12)), glass, plain(darker(color, 1.05)),
              nose_paint(color, lit), None]
    body.sweep(profile, paints, _car_side(body, profile, color, roof_half, kind),
               {3: roof_half, 4: roof_half})
    radius = 0.36 if kind in ("suv", "van") else 0.32
    body.wheels([-0.29 * length, 0.31 * length], radius)
    return pose.thing(sketch, length, width, profile[4][1])


def _car_side(body: Body, profile: list, color: Color, roof_half: float, kind: str):
    """Return paint for a car's side: windows between belt line and roof, doors, sill, arches."""
    (tail, _), _, belt_back, roof_back, roof_front, belt_front, _, (nose, base) = profile
    radius, length = (0.36 if kind in ("suv", "van") else 0.32), nose - tail

    def paint(brush: Brush, sign: int) -> None:
        brush.gradient(darker(color, 1.12), darker(color, 0.72))
        if not brush.small:
            brush.poly(body.on_side([(tail, base), (nose, base), (nose, base + .1),
                                     (tail, base + .1)], sign), DARK)
            for a in (-0.29 * length, 0.31 * length):
                arch = [(a + 1.22 * radius * x, radius + 1.22 * radius * y) for x, y in HALF_RING]
                brush.poly(body.on_side(arch, sign), DARK)
        top = roof_back[1] - 0.1
        back = belt_back[0] + 0.12
        pillar = 0.45 * back + 0.55 * (belt_front[0] - 0.1)
        rear_top = roof_back[0] + 0.1
        front_top = roof_front[0] - 0.04
        lower = belt_back[1] + 0.05
        lean = roof_half / (body.width / 2) * 0.5 + 0.5
        panes = [[(pillar + .04, lower), (belt_front[0] - 0.12, lower), (front_top, top),
                  (pillar + .04, top)]]
        if kind != "van" or length > 5:
            panes.append([(back, lower), (pillar - .04, lower), (pillar - .04, top),
                          (rear_top, top)])
        for pane in panes:
            brush.poly(body.on_side(pane, sign, body.width / 2 * lean), (44, 54, 64))
            if brush.small:
                continue
            shine = np.array(pane)
            shine[:2] = shine[:2] * 0.4 + shine[[3, 2]] * 0.6
            brush.poly(body.on_side(shine.tolist(), sign, body.width / 2 * lean), (96, 116, 130))
        if brush.small:
            return
        for a in (pillar, belt_front[0] - 0.05):
            brush.line(body.on_side([(a, base + .12), (a, lower)], sign), darker(color, 0.5), .03)
        brush.line(body.on_side([(pillar - .32, lower - .14), (pillar - .12, lower - .14)], sign),
                   darker(color, 0.45), .05)
    return paint
