"""Facades: walls with windows, doors and shops, drawn flat as textures."""

from dataclasses import dataclass

import numpy as np

from toy.streets.canvas import Color, noise_patch

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
KINDS = {"tower": ("glass", "plaster", "glass"), "hall": ("hall", "hall", "hall"),
         "house": ("plaster", "brick", "plaster"), "block": ("plaster", "brick", "plaster")}


@dataclass(frozen=True)
class Style:
    """Style of a building.

    Attributes:
        wall: Colour of the wall.
        kind: plaster, brick, glass or hall.
        floor: Height of a storey in metres.
        bay: Distance between windows in metres.
        window: Width and height of a window in metres.
        trim: Colour of frames and cornices.
        shop: Whether the ground floor has shops.
        balcony: Whether some bays have a balcony.
        roof: Colour of the roof.
        pitched: Whether the roof is a gable.
        seed: Seed of the small variations.
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
        place: game, europe or us; selects the colours.
        use: tower, block, house or hall.

    Returns:
        The style.
    """
    walls, roofs = WALLS[place], ROOFS[place]
    wall = np.clip(np.array(walls[rng.integers(len(walls))]) + rng.normal(0, 8, 3), 30, 245)
    kind = KINDS[use][rng.integers(3)]
    if use == "block" and place == "us" and rng.random() < .5:
        kind = "brick"
    return Style(
        wall=tuple(wall.tolist()), kind=kind, floor=rng.uniform(2.9, 3.6),
        bay=rng.uniform(2.2, 3.4), window=(rng.uniform(1.0, 1.5), rng.uniform(1.4, 1.9)),
        trim=(238, 236, 228) if rng.random() < .6 else (92, 86, 80),
        shop=use in ("block", "tower") and rng.random() < .65,
        balcony=use == "block" and rng.random() < .3, roof=roofs[rng.integers(len(roofs))],
        pitched=use == "house" or (use == "block" and place == "europe" and rng.random() < .7),
        seed=int(rng.integers(2 ** 31)))


def scaled(color: Color, factor: float) -> Color:
    """Brighten or darken a colour."""
    r, g, b = color
    return (r * factor, g * factor, b * factor)


class Wall:
    """A wall being painted; positions are in metres from its lower left corner.

    Attributes:
        image: uint8 (h, w, 4): R, G, B and glow.
    """

    def __init__(self, size: tuple[float, float], shape: tuple[int, int], light: Color):
        self.length, self.height = size
        self.dx, self.dy = shape[1] / self.length, shape[0] / self.height
        self.light = light
        self.image = np.zeros((*shape, 4), np.uint8)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Color,
             glow: int = 0) -> None:
        """Fill a rectangle; it is shaded unless it glows."""
        rows = slice(max(0, round((self.height - y1) * self.dy)),
                     max(0, round((self.height - y0) * self.dy)))
        columns = slice(max(0, round(x0 * self.dx)), max(0, round(x1 * self.dx)))
        (r, g, b), (lr, lg, lb) = color, ((1, 1, 1) if glow else self.light)
        self.image[rows, columns] = (min(255, r * lr), min(255, g * lg), min(255, b * lb), glow)


def draw_facade(style: Style, length: float, height: float, density: float, light: Color,
                night: bool) -> np.ndarray:
    """Draw a wall with its windows.

    Args:
        style: Style of the building.
        length: Length of the wall in metres.
        height: Height of the wall in metres.
        density: Texture pixels per metre.
        light: Light on the wall, RGB factors.
        night: Whether windows may be lit.

    Returns:
        uint8 (h, w, 4): R, G, B and glow.
    """
    rng = np.random.default_rng(style.seed)
    if style.kind == "hall":
        return _draw_hall(style, length, height, density, light, rng)
    base = style.floor * 1.2 if style.shop else 0.0
    upper = _draw_storeys(style, length, height - base, density, light, night, rng)
    rows = max(round(height * density), len(upper) + round(base * density))
    wall = Wall((length, height), (rows, upper.shape[1]), light)
    wall.rect(0, 0, length, height, style.wall)
    foot = rows - round(base * density)
    wall.image[foot - len(upper):foot] = upper
    if density > 5:
        noise = 1 + .12 * noise_patch(wall.image.shape[:2], 2 * density, style.seed % 487)
        shaded = wall.image[..., :3] * noise[..., None]
        wall.image[..., :3] = np.minimum(shaded, 255)
    wall.rect(0, height - .35, length, height, style.trim)
    wall.rect(0, height - .45, length, height - .35, scaled(style.wall, .6))
    if style.shop and density < 4:
        wall.rect(0, 0, length, base - .8, LIT[0] if night else (74, 80, 86), 150 * night)
        wall.rect(0, base - .8, length, base - .3, SIGNS[style.seed % len(SIGNS)])
    elif style.shop:
        _draw_shops(wall, style, base, night, rng)
    elif style.kind != "glass":
        _draw_door(wall, style, rng)
    return wall.image


def _draw_storeys(style: Style, length: float, height: float, density: float, light: Color,
                  night: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw the storeys that fit below `height`, a grid of a few kinds of bays: uint8 (h, w, 4)."""
    bays = max(1, int(length / (1.7 if style.kind == "glass" else style.bay)))
    floors = max(1, int(height / style.floor))
    cell = max(4, round(style.floor * density)), max(4, round(length / bays * density))
    wall = Wall((length / bays, style.floor), cell, light)
    draw_cells = _glass_cells if style.kind == "glass" else _window_cells
    cells, choice = draw_cells(style, wall, floors, bays, night, rng)
    grid = cells[choice].transpose(0, 2, 1, 3, 4)
    return grid.reshape(floors * cell[0], bays * cell[1], 4)


def _window_cells(style: Style, wall: Wall, floors: int, bays: int, night: bool,
                  rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw variants of one bay (V, h, w, 4); choose one for each position (floors, bays)."""
    step, sill = wall.length, .9
    half, tall, x = min(style.window[0], step * .8) / 2, style.window[1], step / 2
    fine = wall.dy > 5
    variants = [(tint, None) for tint in rng.uniform(.7, 1.2, 6 if fine else 3)]
    dark = len(variants)
    if night:
        variants += [(1, color) for color in LIT]
    cells = []
    for k, (tint, lamp) in enumerate(variants):
        wall.rect(0, 0, step, style.floor, style.wall)
        if style.kind == "brick" and wall.dy > 8:
            for y in np.arange(0, style.floor, .25):
                wall.rect(0, y, step, y + .06, scaled(style.wall, .86))
        wall.rect(0, style.floor - .1, step, style.floor, scaled(style.wall, .88))
        wall.rect(x - half - .14, sill - .12, x + half + .14, sill + tall + .14, style.trim)
        glow = 190 if lamp else 0
        wall.rect(x - half, sill, x + half, sill + tall, lamp or scaled((52, 62, 74), tint), glow)
        upper = scaled(lamp, .8) if lamp else scaled((104, 124, 142), tint)
        wall.rect(x - half, sill + .45 * tall, x + half, sill + tall, upper, glow)
        if not fine:
            cells.append(wall.image.copy())
            continue
        wall.rect(x - .04, sill, x + .04, sill + tall, style.trim)
        wall.rect(x - half - .2, sill - .2, x + half + .2, sill - .1, scaled(style.wall, .6))
        if style.balcony and k % 2:
            wall.rect(x - half - .5, sill - .9, x + half + .5, sill - .75, (170, 168, 164))
            for bar in np.arange(x - half - .5, x + half + .5, .22):
                wall.rect(bar, sill - .75, bar + .07, sill + .1, (70, 72, 76))
        cells.append(wall.image.copy())
    choice = rng.integers(0, dark, (floors, bays))
    lit = rng.random((floors, bays)) < .4
    if night:
        choice = np.where(lit, dark + rng.integers(0, len(LIT), lit.shape), choice)
    return np.stack(cells), choice


def _glass_cells(style: Style, wall: Wall, floors: int, bays: int, night: bool,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Like `_window_cells`, for an office tower that reflects the sky."""
    tint = ((96, 128, 150), (110, 126, 128), (84, 104, 134))[rng.integers(3)]
    variants = [(scaled(tint, factor), 0) for factor in np.linspace(.7, 1.3, 8)]
    variants += [(color, 150) for color in LIT]
    cells = []
    for color, glow in variants:
        wall.rect(0, 0, wall.length, style.floor, style.wall)
        wall.rect(0, .62, wall.length, .7, scaled(style.trim, .8))
        wall.rect(.07, .7, wall.length - .07, style.floor, color, glow)
        cells.append(wall.image.copy())
    brighter = np.linspace(4, 0, floors)[:, None]  # rows run from the top
    choice = np.clip(brighter + rng.integers(0, 4, (floors, bays)), 0, 7).astype(int)
    lit = rng.random((floors, bays)) < .35
    if night:
        choice = np.where(lit, 8 + choice % len(LIT), choice)
    return np.stack(cells), choice


def _draw_door(wall: Wall, style: Style, rng: np.random.Generator) -> None:
    wall.rect(0, 0, wall.length, .6, scaled(style.wall, .7))
    x = wall.length * rng.uniform(.3, .7)
    wall.rect(x - .7, 0, x + .7, 2.5, style.trim)
    wall.rect(x - .5, 0, x + .5, 2.3, scaled(SIGNS[rng.integers(len(SIGNS))], .6))


def _draw_shops(wall: Wall, style: Style, base: float, night: bool,
                rng: np.random.Generator) -> None:
    """Draw shop windows with goods, doors, signs and awnings."""
    x = 0.0
    wall.rect(0, 0, wall.length, base, scaled(style.wall, .62))
    while x < wall.length - 1:
        wide = min(rng.uniform(4, 7), wall.length - x)
        color = SIGNS[rng.integers(len(SIGNS))]
        glow = 170 if rng.random() < .75 and night else 0
        pane = LIT[rng.integers(len(LIT))] if glow else (66, 74, 82)
        top = base - 1.1
        wall.rect(x + .3, .5, x + wide - .3, top, pane, glow)
        wall.rect(x + .3, 1.6, x + wide - .3, top, scaled(pane, 1 if glow else 1.5), glow)
        for stand in x + .5 + (wide - 1.2) * rng.random(4):
            wall.rect(stand, .5, stand + .4, rng.uniform(1.0, 1.9),
                      scaled(SIGNS[rng.integers(len(SIGNS))], .7), glow // 2)
        door = x + wide * rng.uniform(.2, .8)
        wall.rect(door - .55, 0, door + .55, top - .1, (48, 44, 42))
        wall.rect(door - .42, .2, door + .42, top - .25, scaled(pane, .8), glow // 2)
        wall.rect(x + .15, base - 1.0, x + wide - .15, base - .3, color, glow)
        wall.rect(x + .8, base - .78, x + wide - .8, base - .52, (244, 240, 230), glow)
        if rng.random() < .5:
            for k, bar in enumerate(np.arange(x + .2, x + wide - .5, .5)):
                wall.rect(bar, base - 1.6, bar + .5, base - 1.0,
                          color if k % 2 else (238, 234, 224))
        x += wide


def _draw_hall(style: Style, length: float, height: float, density: float, light: Color,
               rng: np.random.Generator) -> np.ndarray:
    """Draw a warehouse: corrugated sheet, a coloured band, roller doors."""
    shape = max(4, round(height * density)), max(4, round(length * density))
    wall = Wall((length, height), shape, light)
    wall.rect(0, 0, length, height, style.wall)
    if density > 4:
        for x in np.arange(0, length, .5):
            wall.rect(x, 0, x + .12, height, scaled(style.wall, .86))
    wall.rect(0, 0, length, .8, (128, 126, 122))
    wall.rect(0, height - 1.2, length, height - .4, SIGNS[rng.integers(len(SIGNS))])
    for x in np.arange(1.5, length - 4, 6):
        wall.rect(x, 0, x + 3.2, 3.6, scaled((150, 154, 158), rng.uniform(.7, 1.1)))
        for y in np.arange(.3, 3.6, .4):
            wall.rect(x, y, x + 3.2, y + .08, (96, 100, 104))
        wall.rect(x + 3.6, height - 2.4, x + 5.4, height - 1.6, (70, 84, 96))
    return wall.image
