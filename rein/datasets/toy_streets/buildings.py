"""Buildings: facades are drawn flat as textures, then warped onto the walls."""

from dataclasses import dataclass

import numpy as np

from rein.datasets.toy_streets.canvas import Brush, Color, noise_patch
from rein.datasets.toy_streets.sketch import Sketch, Thing

WALLS = {
    "game": ((226, 206, 170), (206, 152, 112), (236, 228, 212), (178, 190, 200), (216, 178, 146),
             (170, 110, 88), (200, 206, 190)),
    "europe": ((222, 206, 172), (198, 186, 168), (206, 190, 150), (180, 164, 150), (230, 226, 214),
               (196, 160, 140), (168, 172, 176), (214, 196, 160)),
    "us": ((140, 82, 66), (112, 74, 64), (176, 164, 148), (196, 190, 180), (150, 112, 90),
           (122, 126, 132), (188, 150, 118)),
}
ROOFS = {"game": ((112, 84, 74), (96, 96, 100)), "europe": ((150, 74, 56), (92, 66, 58)),
         "us": ((84, 84, 88), (104, 92, 82))}
SIGNS = ((186, 40, 44), (30, 80, 150), (24, 110, 74), (226, 170, 40), (60, 60, 64), (120, 50, 110),
         (232, 228, 216))
LIT = ((255, 214, 140), (255, 232, 184), (236, 240, 255), (255, 196, 110))


@dataclass(frozen=True)
class Style:
    """How a building is made.

    Attributes:
        wall: Colour of the wall.
        kind: plaster, brick, glass or hall.
        floor: Height of a storey in metres.
        bay: Distance of windows in metres.
        window: Width and height of a window in metres.
        trim: Colour of frames and cornices.
        shop: Whether there are shops on the ground floor.
        balcony: Whether every other bay has a balcony.
        roof: Colour of the roof.
        pitched: Whether the roof is a gable.
        seed: Of the small variations.
    """

    wall: Color
    kind: str
    floor: float
    bay: float
    window: tuple[float, float]
    trim: Color
    shop: bool
    balcony: bool
    roof: Color
    pitched: bool
    seed: int


def sample_style(rng: np.random.Generator, place: str, use: str) -> Style:
    """Draw a building style.

    Args:
        rng: Source of randomness.
        place: game, europe or us: which colours.
        use: tower, block, house or hall.

    Returns:
        The style.
    """
    walls, roofs = WALLS[place], ROOFS[place]
    wall = tuple(np.clip(np.array(walls[rng.integers(len(walls))]) + rng.normal(0, 8, 3), 30, 245))
    kind = {"tower": ("glass", "plaster", "glass"), "hall": ("hall",) * 3,
            "house": ("plaster", "brick", "plaster"),
            "block": ("plaster", "brick", "plaster") if place != "us" else ("brick", "brick",
                                                                            "plaster")}[use]
    kind = kind[rng.integers(3)]
    trim = (238, 236, 228) if rng.random() < .6 else (92, 86, 80)
    return Style(wall, kind, rng.uniform(2.9, 3.6), rng.uniform(2.2, 3.4),
                 (rng.uniform(1.0, 1.5), rng.uniform(1.4, 1.9)), trim,
                 use in ("block", "tower") and rng.random() < .65,
                 use == "block" and rng.random() < .3, roofs[rng.integers(len(roofs))],
                 use == "house" or (use == "block" and place == "europe" and rng.random() < .7),
                 int(rng.integers(2 ** 31)))


class Facade:
    """A wall drawn flat; positions in metres from its lower left corner.

    Attributes:
        image: uint8 (h, w, 4): R, G, B and glow.
    """

    def __init__(self, length: float, height: float, density: float):
        self.density, self.height = density, height
        shape = max(2, round(height * density)), max(2, round(length * density))
        self.image = np.zeros((*shape, 4), np.uint8)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Color,
             glow: int = 0) -> None:
        """Fill a rectangle."""
        d, top = self.density, self.height
        rows = slice(max(0, round((top - y1) * d)), max(0, round((top - y0) * d)))
        columns = slice(max(0, round(x0 * d)), max(0, round(x1 * d)))
        r, g, b = color
        self.image[rows, columns] = (min(255, r), min(255, g), min(255, b), glow)

    def grain(self, strength: float, seed: int) -> None:
        """Stain the wall: multiply by cloudy noise."""
        noise = noise_patch(self.image.shape[:2], max(2, 2 * self.density), seed)
        rgb = self.image[..., :3] * (1 + strength * noise[..., None])
        self.image[..., :3] = np.clip(rgb, 0, 255)


def scaled(color: Color, factor: float) -> Color:
    """Make a colour brighter or darker."""
    return tuple(c * factor for c in color)


def draw_facade(style: Style, length: float, height: float, density: float,
                night: bool) -> np.ndarray:
    """Draw a wall with its windows.

    Args:
        style: How it is made.
        length: Metres.
        height: Metres.
        density: Texture pixels per metre.
        night: Whether windows may be lit.

    Returns:
        uint8 (h, w, 4): R, G, B and glow.
    """
    rng = np.random.default_rng(style.seed)
    facade = Facade(length, height, density)
    facade.rect(0, 0, length, height, style.wall)
    if style.kind == "brick" and density > 8:
        for y in np.arange(0, height, .25):
            facade.rect(0, y, length, y + .06, scaled(style.wall, .86))
    if style.kind == "hall":
        _draw_hall(facade, style, length, height, rng)
    facade.grain(.12, style.seed % 487)
    base = style.floor * 1.2 if style.shop else 0.0
    if style.kind == "glass":
        _draw_glass(facade, style, length, height, base, night, rng)
    elif style.kind != "hall":
        _draw_windows(facade, style, length, height, base, night, rng)
        facade.rect(0, height - .35, length, height, scaled(style.trim, .95))
        facade.rect(0, height - .45, length, height - .35, scaled(style.wall, .6))
    if style.shop:
        _draw_shops(facade, style, length, base, night, rng)
    elif style.kind in ("plaster", "brick"):
        facade.rect(0, 0, length, .6, scaled(style.wall, .7))
        x = length * rng.uniform(.3, .7)
        facade.rect(x - .7, 0, x + .7, 2.5, style.trim)
        facade.rect(x - .5, 0, x + .5, 2.3, scaled(SIGNS[rng.integers(len(SIGNS))], .6))
    return facade.image


def _pane(facade: Facade, x0: float, y0: float, x1: float, y1: float, night: bool, share: float,
          rng: np.random.Generator) -> None:
    """One window pane: dark with a bright reflection by day, perhaps lit at night."""
    lit, tint, color = rng.random() < share, rng.uniform(.7, 1.2), LIT[rng.integers(len(LIT))]
    if night and lit:
        facade.rect(x0, y0, x1, y1, scaled(color, min(1, tint)), int(150 * tint))
        facade.rect(x0, y0, x1, y0 + .3 * (y1 - y0), scaled(color, .7 * min(1, tint)), 120)
        return
    facade.rect(x0, y0, x1, y1, scaled((52, 62, 74), tint))
    facade.rect(x0, y0 + .45 * (y1 - y0), x1, y1, scaled((104, 124, 142), tint))


def _draw_windows(facade: Facade, style: Style, length: float, height: float, base: float,
                  night: bool, rng: np.random.Generator) -> None:
    count = max(1, int(length / style.bay))
    step = length / count
    half, tall = min(style.window[0], step * .8) / 2, style.window[1]
    for y in np.arange(base, height - tall - 1.0, style.floor):
        sill = y + .9
        for k in range(count):
            x = (k + .5) * step
            facade.rect(x - half - .14, sill - .12, x + half + .14, sill + tall + .14, style.trim)
            _pane(facade, x - half, sill, x + half, sill + tall, night, .4, rng)
            if facade.density < 5:
                continue
            facade.rect(x - .04, sill, x + .04, sill + tall, style.trim)
            facade.rect(x - half - .2, sill - .2, x + half + .2, sill - .1, scaled(style.wall, .6))
            if style.balcony and k % 2 and y > 0:
                facade.rect(x - half - .6, sill - .9, x + half + .6, sill - .75, (170, 168, 164))
                for bar in np.arange(x - half - .6, x + half + .6, .22):
                    facade.rect(bar, sill - .75, bar + .07, sill + .1, (70, 72, 76))
        facade.rect(0, y + style.floor - .1, length, y + style.floor, scaled(style.wall, .88))


def _draw_glass(facade: Facade, style: Style, length: float, height: float, base: float,
                night: bool, rng: np.random.Generator) -> None:
    tint = np.array(((96, 128, 150), (110, 126, 128), (84, 104, 134))[rng.integers(3)])
    count = max(2, int(length / 1.7))
    for y in np.arange(base, height - .5, style.floor):
        lit = rng.random(count) < .35
        value = rng.uniform(.8, 1.15, count) * (.75 + .45 * y / height)
        for k in range(count):
            x0, x1 = k * length / count, (k + 1) * length / count
            glow = 150 if night and lit[k] else 0
            color = LIT[k % 4] if glow else tint * value[k]
            facade.rect(x0 + .07, y + .7, x1 - .07, y + style.floor, color, glow)
        facade.rect(0, y + .62, length, y + .7, scaled(style.trim, .8))


def _draw_shops(facade: Facade, style: Style, length: float, base: float, night: bool,
                rng: np.random.Generator) -> None:
    x = 0.0
    facade.rect(0, 0, length, base, scaled(style.wall, .62))
    while x < length - 1:
        wide = min(rng.uniform(4, 7), length - x)
        color = SIGNS[rng.integers(len(SIGNS))]
        glow = 170 if night and rng.random() < .75 else 0
        pane = LIT[rng.integers(len(LIT))] if glow else (66, 74, 82)
        facade.rect(x + .3, .5, x + wide - .3, base - 1.1, pane, glow)
        facade.rect(x + .3, 1.6, x + wide - .3, base - 1.1, scaled(pane, 1 if glow else 1.5), glow)
        for stand in x + .5 + (wide - 1.2) * rng.random(4):
            facade.rect(stand, .5, stand + .4, rng.uniform(1.0, 1.9),
                        scaled(SIGNS[rng.integers(len(SIGNS))], .7), glow // 2)
        door = x + wide * rng.uniform(.2, .8)
        facade.rect(door - .55, 0, door + .55, base - 1.2, (48, 44, 42))
        facade.rect(door - .42, .2, door + .42, base - 1.35, scaled(pane, .8), glow // 2)
        facade.rect(x + .15, base - 1.0, x + wide - .15, base - .3, color, glow)
        facade.rect(x + .8, base - .78, x + wide - .8, base - .52, (244, 240, 230), glow)
        if rng.random() < .5:
            for k, bar in enumerate(np.arange(x + .2, x + wide - .5, .5)):
                facade.rect(bar, base - 1.6, bar + .5, base - 1.0,
                            color if k % 2 else (238, 234, 224))
        x += wide


def _draw_hall(facade: Facade, style: Style, length: float, height: float,
               rng: np.random.Generator) -> None:
    for x in np.arange(0, length, .5):
        facade.rect(x, 0, x + .12, height, scaled(style.wall, .86))
    facade.rect(0, 0, length, .8, (128, 126, 122))
    band = SIGNS[rng.integers(len(SIGNS))]
    facade.rect(0, height - 1.2, length, height - .4, band)
    for x in np.arange(1.5, length - 4, 6):
        facade.rect(x, 0, x + 3.2, 3.6, scaled((150, 154, 158), rng.uniform(.7, 1.1)))
        for y in np.arange(.3, 3.6, .4):
            facade.rect(x, y, x + 3.2, y + .08, (96, 100, 104))
        facade.rect(x + 3.6, height - 2.4, x + 5.4, height - 1.6, (70, 84, 96))


def building(sketch: Sketch, side: int, front: float, s: tuple[float, float], height: float,
             style: Style) -> Thing:
    """Draw a building beside the road.

    Args:
        sketch: An empty sketch.
        side: -1 left, 1 right.
        front: Distance of the facade from the centre line, in metres.
        s: Extent (near, far) along the road; near at least 3 m.
        height: Of the walls, in metres.
        style: How it is made.

    Returns:
        The building.
    """
    s0, s1 = s
    u0, u1 = side * front, side * (front + min(14.0, 6 + height * .5))
    middle = np.array([(u0 + u1) / 2, height / 2, (s0 + s1) / 2])
    if style.pitched:
        _roof(sketch, u0, u1, s, height, style, middle)
    near = [(u0, height, s0), (u1, height, s0), (u1, 0, s0), (u0, 0, s0)]
    _wall(sketch, np.array(near if side > 0 else [near[i] for i in (1, 0, 3, 2)]), height, style,
          middle)
    first, last = (s1, s0) if side > 0 else (s0, s1)
    _wall(sketch, np.array([(u0, height, first), (u0, height, last), (u0, 0, last),
                            (u0, 0, first)]), height, style, middle)
    return Thing((min(u0, u1), max(u0, u1)), s, height, sketch.shapes)


def _wall(sketch: Sketch, quad: np.ndarray, height: float, style: Style,
          middle: np.ndarray) -> None:
    """A textured wall; quad (4, 3) from the top left corner clockwise."""
    length = float(np.linalg.norm(quad[1] - quad[0]))
    depth = np.sqrt(quad[:, 2].min() * quad[:, 2].max())
    density = float(np.clip(1.8 * sketch.camera.scale(depth), 2.5, 22))

    def paint(brush: Brush) -> None:
        image = draw_facade(style, length, height, density, brush.look.night)
        brush.texture(image, quad)
        if brush.look.snow and style.kind != "glass":
            ledge = quad.copy()
            ledge[2:, 1] = height - .25
            brush.poly(ledge, (245, 247, 250))

    sketch.face("building", quad, paint, inside=middle)


def _roof(sketch: Sketch, u0: float, u1: float, s: tuple[float, float], height: float,
          style: Style, middle: np.ndarray) -> None:
    """A gable roof whose ridge runs along the street, with a chimney."""
    (s0, s1), ridge_u, rise = s, (u0 + u1) / 2, abs(u1 - u0) * .36
    top, eave = height + rise, u0 - np.sign(u0) * .35
    chimney = s0 + (s1 - s0) * (.25 + .5 * (style.seed % 97) / 97)
    sketch.box("building", (ridge_u - .4, ridge_u + .4), (top - 1.2, top + .9),
               (chimney - .5, chimney + .5), (124, 82, 68))
    gable = np.array([(u0, height, s0), (u1, height, s0), (ridge_u, top, s0)])
    sketch.face("building", gable, scaled(style.wall, .95), inside=middle)

    def tiles(brush: Brush) -> None:
        brush.fill(style.roof)
        brush.grain(.2, 6, style.seed % 400)
        for share in np.arange(.08, 1, .09):
            row = [(eave + (ridge_u - eave) * share, height + rise * share, z) for z in (s0, s1)]
            brush.line(np.array(row), scaled(style.roof, .8), .05)

    slope = np.array([(eave, height - .1, s0), (eave, height - .1, s1), (ridge_u, top, s1),
                      (ridge_u, top, s0)])
    sketch.face("building", slope, tiles, inside=middle)
