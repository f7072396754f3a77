"""Pedestrians, bicycles, motorcycles and their riders."""

import numpy as np

from toy.streets.canvas import Brush, Color
from toy.streets.sketch import Sketch, Thing, ring
from toy.streets.vehicles import DARK, HEADLIGHT, TAIL_LIGHT, TYRE, Pose, darker

SKINS = ((236, 196, 168), (214, 168, 132), (168, 118, 84), (110, 74, 54))
HAIR = ((40, 30, 24), (84, 58, 36), (150, 110, 60), (30, 30, 32), (140, 136, 130))
CLOTHES = ((40, 52, 84), (150, 40, 44), (226, 222, 212), (52, 54, 58), (64, 110, 84),
           (196, 150, 60), (96, 60, 110), (70, 120, 170), (186, 90, 110), (110, 92, 72))
TROUSERS = ((40, 46, 66), (34, 34, 38), (96, 88, 72), (70, 84, 110), (130, 120, 100))


def person(sketch: Sketch, u: float, s: float, heading: float, rng: np.random.Generator) -> Thing:
    """Draw a standing or walking person at (u, s) metres; heading in radians, 0 = away."""
    tall = rng.uniform(1.5, 1.9) if rng.random() > 0.12 else rng.uniform(1.0, 1.3)
    pose = Pose(u, s, heading)
    skin, hair = SKINS[rng.integers(len(SKINS))], HAIR[rng.integers(len(HAIR))]
    shirt, legs = CLOTHES[rng.integers(len(CLOTHES))], TROUSERS[rng.integers(len(TROUSERS))]
    stride = rng.uniform(0.05, 0.3) * (rng.random() < 0.75)
    skirt = rng.random() < 0.2

    def at(forward: float, right: float, up: float) -> np.ndarray:
        return pose.place([(forward * tall, right * tall, up * tall)])[0]

    hip_l, hip_r = at(0, -.05, .5), at(0, .05, .5)
    leg = skin if skirt else legs
    _leg(sketch, hip_l, at(stride * .5, -.05, .26), at(stride * .4, -.05, .02), tall, leg)
    _leg(sketch, hip_r, at(-stride * .2, .05, .26), at(-stride, .05, .03), tall, leg)
    _limb(sketch, [at(0, -.11, .79), at(-stride * .5, -.14, .6), at(-stride * .5, -.14, .45)],
          tall * .06, shirt, skin)
    sketch.tube("person", at(0, 0, .46), at(0, 0, .82), (tall * .17, tall * .22),
                _cloth(shirt))
    if skirt:
        sketch.tube("person", at(0, 0, .28), at(0, 0, .55), (tall * .27, tall * .16), legs)
    _limb(sketch, [at(0, .11, .79), at(stride * .5, .14, .6), at(stride * .6, .13, .46)],
          tall * .06, shirt, skin)
    if rng.random() < 0.3:
        bag = at(-.09, 0, .66)
        sketch.tube("person", bag - (0, .1 * tall, 0), bag + (0, .12 * tall, 0), tall * .16,
                    CLOTHES[rng.integers(len(CLOTHES))])
    _head(sketch, "person", at(.01, 0, .92), tall, skin, hair, np.cos(heading))
    half = .25 * tall
    return Thing((u - half, u + half), (s - half, s + half), tall, sketch.shapes)


def _cloth(color: Color):
    return lambda brush: brush.gradient(darker(color, 1.08), darker(color, 0.78))


def _leg(sketch: Sketch, hip, knee, foot, tall: float, color: Color) -> None:
    sketch.tube("person", hip, knee, (tall * .095, tall * .075), color)
    sketch.tube("person", knee, foot, (tall * .075, tall * .055), darker(color, 0.9))
    sketch.tube("person", foot, foot + (0, .03 * tall, 0), tall * .08, DARK)


def _limb(sketch: Sketch, joints: list, width: float, sleeve: Color, skin: Color,
          label: str = "person") -> None:
    sketch.tube(label, joints[0], joints[1], width, darker(sleeve, 0.88))
    sketch.tube(label, joints[1], joints[2], width * .85, skin)


def _head(sketch: Sketch, label: str, center: np.ndarray, tall: float, skin: Color, cap: Color,
          away: float) -> None:
    """Neck, head and hair or helmet; `away` is 1 when seen from behind, -1 from the front."""
    sketch.tube(label, center - (0, .1 * tall, 0), center, tall * .06, darker(skin, 0.85))
    radius = .062 * tall
    outline = ring(center, radius, (1, 0, 0), (0, 1.2, 0), 10)

    def paint(brush: Brush) -> None:
        brush.fill(cap)
        if away < 0.4:
            face = ring(center - (0, .3 * radius, 0), radius * .92, (1, 0, 0), (0, 1, 0), 10)
            brush.poly(face, skin)

    sketch.flat(label, sketch.camera.project(outline), center[2], paint)


def bicycle(sketch: Sketch, pose: Pose, rng: np.random.Generator) -> Thing:
    """Draw a bicycle as one labelled hull that is see-through between its parts."""
    color = CLOTHES[rng.integers(len(CLOTHES))]
    forward = np.array([np.sin(pose.heading), 0, np.cos(pose.heading)])
    wheels = [ring(pose.place([(a, 0, .35)])[0], .35, forward, (0, 1, 0)) for a in (-.53, .53)]

    def at(*points: tuple) -> np.ndarray:
        return pose.place([(a, b, y) for a, b, y in points])

    frame = at((-.53, 0, .35), (-.15, 0, .85), (.4, 0, .82), (-.03, 0, .32), (-.53, 0, .35))
    fork = at((.36, 0, 1.0), (.53, 0, .35))
    bars = at((.34, -.3, 1.02), (.34, .3, 1.02))
    saddle = at((-.3, 0, .95), (-.05, 0, .93))
    thick = at((-.8, -.06, .05), (-.8, .06, .05), (.8, -.06, .05), (.8, .06, .05))
    parts = np.concatenate([*wheels, frame, fork, bars, saddle, thick])
    if parts[:, 2].min() < 1.5:
        return Thing((pose.u, pose.u), (pose.s, pose.s))

    def paint(brush: Brush) -> None:
        for wheel in wheels:
            closed = np.concatenate([wheel, wheel[:1]])
            brush.line(closed, TYRE, .07)
            for spoke in (0, 2, 4, 6):
                brush.line(wheel[[spoke, spoke + 7]], (120, 122, 126), .012)
        brush.line(frame, color, .07)
        brush.line(frame[[3, 1]], color, .06)
        brush.line(fork, color, .06)
        brush.line(bars, DARK, .06)
        brush.line(saddle, DARK, .1)

    sketch.hull("bicycle", sketch.camera.project(parts), pose.s, paint)
    return pose.thing(sketch, 1.7, .5, 1.0)


def motorcycle(sketch: Sketch, pose: Pose, rng: np.random.Generator, lit: bool) -> Thing:
    """Draw a motorcycle or scooter, like `bicycle`; if `lit`, its lamps are on at night."""
    color = CLOTHES[rng.integers(len(CLOTHES))]
    forward = np.array([np.sin(pose.heading), 0, np.cos(pose.heading)])

    def at(*points: tuple) -> np.ndarray:
        return pose.place([(a, b, y) for a, b, y in points])

    wheels = [ring(at((a, 0, .32))[0], .32, forward, (0, 1, 0)) for a in (-.68, .68)]
    treads = [at((a, -.09, .02), (a, .09, .02), (a, .09, .6), (a, -.09, .6)) for a in (-.9, .9)]
    tank = at((-.95, 0, .85), (-.2, 0, .75), (.15, 0, 1.0), (.55, 0, .95), (.5, 0, .5),
              (.1, 0, .25), (-.4, 0, .28))
    belly = at((-.1, -.24, .3), (-.1, .24, .3), (-.1, .2, .9), (-.1, -.2, .9))
    bars = at((.5, -.38, 1.08), (.5, .38, 1.08))
    lamp = at((.75 if np.cos(pose.heading) < 0 else -.95, 0, .85))
    screen = at((.55, -.14, 1.0), (.55, .14, 1.0), (.45, .12, 1.3), (.45, -.12, 1.3))
    parts = np.concatenate([*wheels, *treads, tank, belly, bars, screen])
    if parts[:, 2].min() < 1.5:
        return Thing((pose.u, pose.u), (pose.s, pose.s))
    scale = sketch.camera.scale(pose.s)

    def paint(brush: Brush) -> None:
        for wheel, tread in zip(wheels, treads, strict=True):
            brush.poly(wheel, TYRE)
            brush.poly(wheel.mean(0) + .45 * (wheel - wheel.mean(0)), (130, 132, 136))
            brush.poly(tread, TYRE)
        brush.poly(belly, (60, 62, 66))
        brush.poly(tank, color)
        brush.poly(belly * .5 + belly.mean(0) * .5 + (0, .2, 0), darker(color, 0.8))
        brush.poly(screen, (90, 108, 120))
        brush.line(bars, DARK, .07)
        back = np.cos(pose.heading) > 0
        brush.disc_px(sketch.camera.project(lamp)[0], .09 * scale,
                      TAIL_LIGHT if back else HEADLIGHT,
                      255 if lit and brush.look.night else 0)

    sketch.hull("motorcycle", sketch.camera.project(parts), pose.s, paint)
    return pose.thing(sketch, 2.0, .7, 1.1)


def rider(sketch: Sketch, pose: Pose, rng: np.random.Generator, motor: bool) -> None:
    """Add a rider to a sketch of a bicycle or motorcycle.

    Args:
        sketch: Sketch of the vehicle.
        pose: Pose of the vehicle.
        rng: Source of randomness for the clothes.
        motor: Whether the vehicle is a motorcycle: lower seat, full helmet.
    """
    seat, bar_y, bar_a, foot = (.82, 1.1, .45, .35) if motor else (.98, 1.05, .32, .2)
    skin, shirt = SKINS[rng.integers(len(SKINS))], CLOTHES[rng.integers(len(CLOTHES))]
    legs = TROUSERS[rng.integers(len(TROUSERS))]
    helmet = CLOTHES[rng.integers(len(CLOTHES))]

    def at(forward: float, right: float, up: float) -> np.ndarray:
        return pose.place([(forward, right, up)])[0]

    hip, neck = at(-.2, 0, seat), at(.05, 0, seat + .58)
    for side, lift in ((-1, 0.0), (1, 0.18 * (not motor))):
        knee = at(.2, side * .14, seat - .28 + lift)
        sketch.tube("rider", at(-.2, side * .08, seat), knee, (.17, .13), legs)
        sketch.tube("rider", knee, at(0, side * .13, foot + lift), (.13, .1), darker(legs, 0.85))
    sketch.tube("rider", hip, neck, (.34, .42), _cloth(shirt))
    for side in (-1, 1):
        joints = [at(.03, side * .2, seat + .52), at(.15, side * .27, seat + .25),
                  at(bar_a, side * .27, bar_y)]
        _limb(sketch, joints, .11, shirt, darker(shirt, 0.8) if motor else skin, "rider")
    _head(sketch, "rider", neck + (0, .17, 0), 1.9 if motor else 1.75,
          DARK if motor else skin, helmet, np.cos(pose.heading))
