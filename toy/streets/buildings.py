"""Buildings: boxes with textured walls and gable roofs."""

import numpy as np

from toy.streets.canvas import Brush
from toy.streets.facades import Style, draw_facade, scaled
from toy.streets.sketch import Sketch, Thing


def building(sketch: Sketch, side: int, front: float, s: tuple[float, float], height: float,
             style: Style) -> Thing:
    """Draw a building beside the road.

    Args:
        sketch: An empty sketch.
        side: -1 left, 1 right.
        front: Distance of the facade from the centre line, in metres.
        s: Extent (near, far) along the road; near at least 3 m.
        height: Height of the walls, in metres.
        style: Style of the building.

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
    """Draw a textured wall; `quad` is (4, 3), clockwise from the top left corner."""
    length = float(np.linalg.norm(quad[1] - quad[0]))
    depth = np.sqrt(quad[:, 2].min() * quad[:, 2].max())
    density = float(np.clip(1.8 * sketch.camera.scale(depth), 2.5, 22))

    def paint(brush: Brush) -> None:
        image = draw_facade(style, length, height, density, brush.shade, brush.look.night)
        brush.texture(image, quad)
        if brush.look.snow and style.kind != "glass":
            ledge = quad.copy()
            ledge[2:, 1] = height - .25
            brush.poly(ledge, (245, 247, 250))

    sketch.face("building", quad, paint, inside=middle)


def _roof(sketch: Sketch, u0: float, u1: float, s: tuple[float, float], height: float,
          style: Style, middle: np.ndarray) -> None:
    """Draw a gable roof with a chimney; its ridge runs along the street."""
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
