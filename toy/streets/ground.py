"""Sky, backdrop and ground: road, pavement, grass, and the markings on them."""

from dataclasses import dataclass

import numpy as np

from toy.streets.camera import NEAR, Camera
from toy.streets.canvas import Brush, Color, Shape, noise_at
from toy.streets.scene import drop_hidden
from toy.streets.sketch import FACING, Sketch
from toy.streets.street_objects import foliage

FAR = 150.0
"""Length of the street in metres; beyond it is backdrop."""
UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Street:
    """The plan of the ground; all lengths in metres.

    Attributes:
        half: Half the width of the road.
        lane: Width of a lane.
        pavement: Width of each pavement.
        front: Distance of the building line from the centre line.
        grass: Whether the strip between pavement and building line is grass.
        median: Half the width of a planted strip in the middle; 0 for none.
        crossing: Extent (near, far) of a crossing road, or None.
        zebra: Near end s of a pedestrian crossing, or None.
        parking: Whether cars park along the kerbs.
        rails: Positions u of the tram tracks.
        yellow: Whether the centre line is yellow.
        asphalt: Colour of the road.
        paving: Colour of the pavement.
        lawn: Colour of grass.
        seed: Seed of stains and patches.
    """

    half: float
    lane: float
    pavement: float
    front: float
    grass: bool
    median: float
    crossing: tuple[float, float] | None
    zebra: float | None
    parking: bool
    rails: tuple[float, ...]
    yellow: bool
    asphalt: Color
    paving: Color
    lawn: Color
    seed: int


def ground_shapes(camera: Camera, street: Street, skyline: str,
                  rng: np.random.Generator) -> list[Shape]:
    """Lay out sky, backdrop and ground.

    Args:
        camera: Camera of the scene.
        street: Plan of the ground.
        skyline: Backdrop at the end of the street: trees, towers or roofs.
        rng: Source of randomness for clouds and skyline.

    Returns:
        Shapes in painter's order.
    """
    right, bottom = camera.width - 1, camera.height - 1
    frame = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], np.int32)
    clouds = int(rng.integers(500))
    shapes = [Shape("sky", frame, np.array([0, 0, 1e-4]), FACING, _sky_paint(clouds))]
    tilt = np.tan(camera.roll)
    left_y, right_y = (camera.cy + (x - camera.cx) * tilt for x in (0, right))
    below = camera.clip_polygon(np.array([(0, left_y), (right, right_y), (right, bottom + 1),
                                          (0, bottom + 1)]))
    plane = np.array([-tilt, 1, tilt * camera.cx - camera.cy]) / (camera.focal * camera.y)
    base = ("terrain", grass_paint(street)) if street.grass else ("sidewalk", paving_paint(street))
    shapes.append(Shape(base[0], below, plane, UP, base[1]))
    shapes += _backdrop(camera, skyline, rng)
    for shape in _strips(camera, street):
        shape.inverse_depth, shape.normal = plane, UP
        shapes.append(shape)
    return drop_hidden(shapes, camera)


def _strips(camera: Camera, street: Street) -> list[Shape]:
    """Draw the pavements, crossing road, road and median."""
    sketch = Sketch(camera)
    edge = street.half + street.pavement
    strips = [("sidewalk", -edge, -street.half, NEAR, FAR, paving_paint(street)),
              ("sidewalk", street.half, edge, NEAR, FAR, paving_paint(street))]
    if street.crossing:
        c0, c1 = street.crossing
        strips += [("sidewalk", -90, 90, c0 - 3, c1 + 3, paving_paint(street)),
                   ("road", -90, 90, c0, c1, road_paint(street))]
    strips.append(("road", -street.half, street.half, NEAR, FAR, road_paint(street)))
    if street.median:
        stops = [(NEAR, FAR)] if not street.crossing else [(NEAR, street.crossing[0] - 7),
                                                           (street.crossing[1] + 5, FAR)]
        strips += [("terrain", -street.median, street.median, s0, s1, grass_paint(street))
                   for s0, s1 in stops if s1 > s0 + 2]
    for label, u0, u1, s0, s1, paint in strips:
        along = np.geomspace(s0, s1, 16)
        outline = ([(u0, 0, s) for s in along] + [(u1, 0, s) for s in along[::-1]])
        sketch.face(label, np.array(outline), paint)
    return sketch.shapes


def _sky_paint(offset: int):
    """Return paint for the sky: gradient, clouds in perspective, the sun's glow, stars at night."""
    def paint(brush: Brush) -> None:
        camera, look = brush.camera, brush.look
        rows = min(camera.height, int(camera.cy + abs(camera.roll) * camera.width) + 4)
        ys, xs = np.mgrid[0:rows:2, 0:camera.width:2].astype(np.float32)
        rise = np.maximum(camera.cy - ys, 1) / camera.focal
        share = np.clip(rise / .55, 0, 1)[..., None] ** .6
        sky = np.array(look.horizon) * (1 - share) + np.array(look.zenith) * share
        cloud_x, cloud_y = (xs - camera.cx) / camera.focal / (rise + .12), 1 / (rise + .12)
        noise = noise_at(cloud_x * 60 + offset, cloud_y * 60 + offset, 1.3)
        cover = np.clip((noise - (.75 - 1.5 * look.clouds)) * 1.6, 0, 1) * min(1, 3 * look.clouds)
        cover *= np.clip(rise * 9, 0, 1)
        lift = noise_at(cloud_x * 60 + offset, cloud_y * 60 + offset + 5, 1.3) - noise
        bright = np.mean(look.horizon) * (1.06 + .5 * lift)[..., None] * np.array((1, 1, 1.02))
        sky = sky * (1 - .85 * cover[..., None]) + .85 * cover[..., None] * bright
        if look.sunny and look.sun_from[2] > 0:
            at = _sun_pixel(camera, look.sun_from)
            distance = np.hypot(xs - at[0], ys - at[1]) / camera.focal
            halo = 1.1 * np.exp(-(distance / .05) ** 2) + .45 * np.exp(-distance / .25)
            sky += halo[..., None] * np.multiply(look.sun, 330)
        if look.night:
            stars = np.random.default_rng(offset).random(xs.shape) > .9992
            sky[stars & (rise > .1)] += 90
        brush.enlarge(sky, rows)
    return paint


def _sun_pixel(camera: Camera, sun_from: Color) -> np.ndarray:
    """Return the sun's pixel; bends do not shift it."""
    u, y, s = sun_from
    return np.array([camera.cx + camera.focal * u / s, camera.cy - camera.focal * y / s])


def _backdrop(camera: Camera, skyline: str, rng: np.random.Generator) -> list[Shape]:
    """Draw the skyline beyond the end of the street, 170 m away and more."""
    sketch = Sketch(camera)
    foot = camera.y * camera.focal / FAR + 1.5 + abs(np.tan(camera.roll)) * camera.width / 2
    xs = np.linspace(-2, camera.width + 1, 60)
    waves = sum(rng.uniform(.3, 1) / k * np.sin(xs / camera.width * 6.3 * k + rng.uniform(0, 6.3))
                for k in range(1, 9))
    rise = camera.scale(170) * (7 + 3 * waves)
    if skyline != "trees":
        x = -5.0
        while x < camera.width:
            wide = camera.scale(190) * rng.uniform(10, 22)
            tall = camera.scale(190) * rng.uniform(9, 16 if skyline == "roofs" else 45)
            corners = [(x, camera.cy + foot), (x, camera.cy - tall),
                       (x + wide, camera.cy - tall), (x + wide, camera.cy + foot)]
            sketch.flat("building", np.array(corners), 190, _distant_paint(rng))
            x += wide * rng.uniform(.9, 1.3)
        rise = rise * .45
    outline = np.concatenate([np.stack([xs, camera.cy - np.maximum(rise, 1)], 1),
                              [(camera.width + 1, camera.cy + foot), (-2, camera.cy + foot)]])
    sketch.flat("vegetation", outline, 170, foliage((70, 104, 58), int(rng.integers(500)), 4))
    return sketch.shapes


def _distant_paint(rng: np.random.Generator):
    color, seed = tuple(rng.uniform(110, 190) * np.array((1, .97, .95))), int(rng.integers(999))

    def paint(brush: Brush) -> None:
        brush.fill(color)
        window = brush.tone(tuple(c * .72 for c in color))
        cells = brush.patch[2::4, 2::4].shape[:2]
        panes = np.full((*cells, 4), np.uint8(window))
        if brush.look.night:
            panes[np.random.default_rng(seed).random(cells) < .3] = (255, 216, 150, 170)
        for row, column in ((2, 2), (2, 3), (3, 2), (3, 3)):
            corner = brush.patch[row::4, column::4]
            corner[:] = panes[:corner.shape[0], :corner.shape[1]]
    return paint


def _band(distance: np.ndarray, half: float, foot: np.ndarray) -> np.ndarray:
    """Return each pixel's coverage by a line of half width `half`; `foot` is a pixel's width."""
    return np.clip((half - np.abs(distance)) / foot + .5, 0, 1) * np.minimum(1, 2 * half / foot)


def road_paint(street: Street):
    """Return paint for asphalt with stains, wheel tracks, patches and markings."""
    def paint(brush: Brush) -> None:
        u, s, fine, coarse = brush.ground()
        fade = np.clip(1 - s / 45, 0, 1)
        value = 1 + .12 * fade * fine + .10 * coarse
        track = np.abs(np.mod(u + street.half, street.lane) - street.lane / 2) - .8
        value -= .07 * np.exp(-(track / .3) ** 2)
        value -= .08 * (np.abs(u - 1.3 - street.seed % 3) < .9) * (np.mod(s, 31) < 5)  # patches
        value *= 1 - .35 * brush.look.wet
        rgb = value[..., None] * np.float32(street.asphalt)
        wear = np.clip(.85 + .5 * fine, .3, 1)
        for mask, color in _markings(street, u, s, s / brush.camera.focal):
            worn = (np.minimum(mask, 1) * wear)[..., None]
            rgb += worn * (np.float32(color) - rgb)
        _finish(brush, rgb, coarse, .9 * (1 - .9 * np.exp(-(track / .32) ** 2)))
    return paint


def _markings(street: Street, u: np.ndarray, s: np.ndarray, foot: np.ndarray) -> list[tuple]:
    """Return pairs of coverage (h, w) and colour of the road markings and rails."""
    white, center = (232, 232, 226), (236, 190, 60) if street.yellow else (232, 232, 226)
    open_road = np.ones_like(u)
    if street.crossing:
        open_road = ((s < street.crossing[0] - 1) | (s > street.crossing[1] + 1)).astype(np.float32)
    dashes = open_road * (np.mod(s + street.seed % 9, 9) < 3.5)
    curb = street.half - (2.2 if street.parking else .3)
    lines = open_road * _band(np.abs(u) - curb, .07, foot)
    lanes = int(street.half / street.lane)
    for k in range(1, lanes):
        if k * street.lane < curb - 1:
            lines += dashes * _band(np.abs(u) - k * street.lane, .07, foot)
    if street.zebra is not None:
        bars = _band(np.mod(u, 1.1) - .55, .28, foot) * (np.abs(u) < street.half - .3)
        lines += bars * _band(s - street.zebra - 1.4, 1.4, foot * 3)
        stop = _band(s - street.zebra + 1.3, .2, foot * 3)
        lines += stop * ((u > .2) & (u < curb))
    masks = [(lines, white)]
    if street.median:
        masks.append((open_road * _band(np.abs(u) - street.median - .3, .07, foot), center))
    elif street.yellow:
        masks.append((open_road * _band(np.abs(u) - .16, .07, foot), center))
    elif not street.rails:
        masks.append((dashes * _band(u, .08, foot), center))
    for rail in street.rails:
        for offset in (-.72, .72):
            masks.append((_band(u - rail - offset, .09, foot), (64, 60, 58)))
            masks.append((_band(u - rail - offset, .03, foot), (176, 178, 180)))
    return masks


def paving_paint(street: Street):
    """Return paint for slabs with a stone kerb along the road."""
    def paint(brush: Brush) -> None:
        u, s, fine, coarse = brush.ground()
        foot = s / brush.camera.focal
        fade = np.clip(1 - s / 25, 0, 1)
        value = 1 + .08 * fade * fine + .08 * coarse
        joint = np.maximum(_band(np.mod(u, .8) - .4, .02, foot),
                           _band(np.mod(s, .8) - .4, .02, foot * 4))
        value -= .22 * fade * joint
        value *= 1 - .3 * brush.look.wet
        rgb = value[..., None] * np.float32(street.paving)
        stone = (_band(np.abs(u) - street.half - .12, .13, foot))[..., None]
        rgb = rgb * (1 - stone) + stone * np.float32((206, 202, 194))
        _finish(brush, rgb, coarse, 1.0)
    return paint


def grass_paint(street: Street):
    """Return paint for grass and bare earth."""
    def paint(brush: Brush) -> None:
        _, s, fine, coarse = brush.ground()
        fade = np.clip(1 - s / 60, .15, 1)
        value = 1 + fade * (.28 * fine + .16 * coarse)
        earth = np.clip(2.4 * coarse - .9, 0, .8)[..., None]
        rgb = np.float32(street.lawn) * (1 - earth) + np.float32((142, 120, 84)) * earth
        _finish(brush, rgb * value[..., None], coarse, 1.0)
    return paint


def _finish(brush: Brush, rgb: np.ndarray, coarse: np.ndarray, hold: np.ndarray | float) -> None:
    """Light the ground and cover it with snow; `hold` in 0..1 is how well snow stays."""
    rgb = rgb * np.float32(brush.look.shade(UP))
    if brush.look.snow:
        patchy = np.clip(1.9 * brush.look.snow - .55 + .7 * coarse, 0, 1)
        cover = (patchy * hold)[..., None]
        rgb = rgb * (1 - cover) + cover * np.float32((234, 237, 243))
    brush.enlarge(rgb)
