"""Buses, trams and trucks."""

import numpy as np

from toy.streets.canvas import Brush, Color
from toy.streets.sketch import Sketch, Thing, sub_quad
from toy.streets.vehicles import (
    DARK,
    HEADLIGHT,
    TAIL_LIGHT,
    Body,
    Pose,
    darker,
    glass,
    lights,
    nose_paint,
    plain,
    tail_paint,
)


def bus(sketch: Sketch, pose: Pose, rng: np.random.Generator, color: Color, lit: bool) -> Thing:
    """Draw a city bus; arguments as for `car`."""
    length, width, height = rng.uniform(10, 12.5), 2.5, rng.uniform(2.95, 3.2)
    body = Body(sketch, "bus", pose, width)
    half = length / 2
    profile = [(-half, .35), (-half, height - .1), (-half + .2, height), (half - .25, height),
               (half - .05, height - .35), (half, .35)]
    band = tuple(rng.uniform(40, 230, 3)) if rng.random() < 0.5 else (235, 235, 232)
    paints = [_coach_end(color, lit, TAIL_LIGHT, 0.55), plain(color), plain((214, 214, 212)),
              plain(color), _coach_end(color, lit, HEADLIGHT, 0.36), None]
    body.sweep(profile, paints, _coach_side(body, length, height, color, band, doors=3, low=1.0))
    body.wheels([-0.3 * length, 0.32 * length], 0.46)
    return pose.thing(sketch, length, width, height)


def tram(sketch: Sketch, pose: Pose, rng: np.random.Generator, color: Color, lit: bool) -> Thing:
    """Draw a tram of several modules, labelled `train`; arguments as for `car`."""
    modules, part, height = int(rng.integers(2, 4)), rng.uniform(8, 10), 3.4
    order = np.arange(modules) - (modules - 1) / 2
    band = (238, 236, 226)
    if np.cos(pose.heading) < 0:
        order = order[::-1]
    for index in order[::-1]:  # the far module first
        middle = pose.place([(index * (part + .3), 0, 0)])[0]
        body = Body(sketch, "train", Pose(middle[0], middle[2], pose.heading), 2.5)
        half = part / 2
        back = half - (1.0 if index == order.min() else 0)
        front = half - (1.0 if index == order.max() else 0)
        profile = [(-half, .25), (-half, 1.2), (-back, height - .2), (-back + .1, height),
                   (front - .1, height), (front, height - .2), (half, 1.2), (half, .25)]
        paints = [_tram_low(color, lit, TAIL_LIGHT), _tram_window(color), plain(color),
                  plain((196, 198, 200)), plain(color), _tram_window(color),
                  _tram_low(color, lit, HEADLIGHT), None]
        body.sweep(profile, paints, _coach_side(body, part - 1.2, height, color, band, 2, 1.1))
    length = modules * (part + .3)
    return pose.thing(sketch, length, 2.5, height)


def _tram_low(color: Color, lit: bool, lamp: Color):
    def paint(brush: Brush, quad: np.ndarray) -> None:
        brush.gradient(color, darker(color, 0.75))
        brush.poly(sub_quad(quad, 0, 0, 1, 0.2), DARK)
        lights(brush, quad, [(0.08, 0.5, 0.24, 0.75), (0.76, 0.5, 0.92, 0.75)], lamp, lit)
    return paint


def _tram_window(color: Color):
    def paint(brush: Brush, quad: np.ndarray) -> None:
        low, high = (0, 1) if quad[0, 1] < quad[3, 1] else (1, 0)
        brush.fill(color)
        side = abs(high - low)
        brush.poly(sub_quad(quad, 0.07, 0.05, 0.93, 0.95 * side), (34, 42, 52))
        top = (0.82, 0.93) if low == 0 else (0.07, 0.18)
        lit = 255 if brush.look.night else 0
        brush.poly(sub_quad(quad, 0.25, top[0], 0.75, top[1]), (255, 170, 40), lit)
    return paint


def _coach_end(color: Color, lit: bool, lamp: Color, window_low: float):
    """Return paint for the end of a bus: a large pane, a display, lamps."""
    def paint(brush: Brush, quad: np.ndarray) -> None:
        if quad[0, 1] > quad[3, 1]:  # nose strips run downwards
            quad = quad[[3, 2, 1, 0]]
        brush.gradient(color, darker(color, 0.8))
        brush.poly(sub_quad(quad, 0.05, window_low, 0.95, 0.9), (38, 48, 58))
        brush.poly(sub_quad(quad, 0.05, 0.74, 0.95, 0.9), (96, 116, 130))
        brush.poly(sub_quad(quad, 0, 0, 1, 0.07), DARK)
        brush.poly(sub_quad(quad, 0.25, 0.92, 0.75, 0.99), (255, 160, 30),
                   200 if brush.look.night else 0)
        lights(brush, quad, [(0.05, 0.14, 0.2, 0.22), (0.8, 0.14, 0.95, 0.22)], lamp, lit)
    return paint


def _coach_side(body: Body, length: float, height: float, color: Color, band: Color,
                doors: int, low: float):
    """Return paint for the side of a bus or tram: a row of windows, a coloured band, doors."""
    half = length / 2

    def paint(brush: Brush, sign: int) -> None:
        brush.gradient(darker(color, 1.05), darker(color, 0.85))
        brush.poly(body.on_side([(-half - 1, .2), (half + 1, .2), (half + 1, low * .8),
                                 (-half - 1, low * .8)], sign), band)
        count = max(3, round(length / 1.5))
        edges = np.linspace(-half + .15, half - .15, count + 1)
        for a0, a1 in zip(edges[:-1], edges[1:], strict=True):
            pane = [(a0 + .06, low + .1), (a1 - .06, low + .1), (a1 - .06, height - .55),
                    (a0 + .06, height - .55)]
            brush.poly(body.on_side(pane, sign), (255, 226, 160) if brush.look.night
                       else (46, 56, 66), 140 if brush.look.night else 0)
            if not brush.look.night:
                shine = [(a, y if y > low + .2 else (low + height) / 2) for a, y in pane]
                brush.poly(body.on_side(shine, sign), (90, 108, 120))
        for a in np.linspace(-half * .75, half * .75, doors):
            door = [(a - .55, .45), (a + .55, .45), (a + .55, height - .6), (a - .55, height - .6)]
            brush.poly(body.on_side(door, sign), (58, 66, 74))
            brush.line(body.on_side([(a, .45), (a, height - .6)], sign), DARK, .05)
    return paint


def truck(sketch: Sketch, pose: Pose, rng: np.random.Generator, color: Color, lit: bool) -> Thing:
    """Draw a truck: a cab and a cargo box, or an open bed; arguments as for `car`."""
    length, width = rng.uniform(6.5, 9.5), 2.4
    half, top = length / 2, rng.uniform(2.9, 3.7)
    cargo = (tuple(rng.uniform(60, 235, 3)) if rng.random() < 0.4
             else tuple(rng.uniform(195, 235) for _ in range(1)) * 3)
    if rng.random() < 0.25:
        top, cargo = 1.9, (110, 96, 80)
    cab = half - 1.9
    box = [(-half, .85), (-half, top), (cab - .1, top), (cab - .1, .85)]
    front = [(cab, .45), (cab, 2.6), (half - .35, 2.65), (half - .05, 1.55), (half, .45)]

    def draw_box() -> None:
        body = Body(sketch, "truck", pose, width)
        body.sweep([(-half, .45), (-half, .85), (cab, .85), (cab, .45)],
                   [tail_paint(DARK, lit), None, None, None], DARK)
        body.sweep(box, [_doors(cargo), plain(darker(cargo, 1.05)), plain(cargo), None],
                   _cargo_side(body, box, cargo))

    def draw_cab() -> None:
        body = Body(sketch, "truck", pose, width * 0.96)
        side = _cab_side(body, cab, half, color)
        body.sweep(front, [plain(color), plain(darker(color, 1.1)), glass,
                           nose_paint(color, lit), None], side)

    for draw in ((draw_cab, draw_box) if np.cos(pose.heading) > 0 else (draw_box, draw_cab)):
        draw()
    Body(sketch, "truck", pose, width).wheels([-half + 1.1, -half + 2.1, half - 1.0], 0.46)
    return pose.thing(sketch, length, width, max(top, 2.65))


def _doors(color: Color):
    def paint(brush: Brush, quad: np.ndarray) -> None:
        brush.gradient(color, darker(color, 0.85))
        brush.poly(sub_quad(quad, 0.49, 0.02, 0.51, 0.98), darker(color, 0.5))
        for x in (0.2, 0.4, 0.6, 0.8):
            brush.poly(sub_quad(quad, x - .01, 0.05, x + .01, 0.95), darker(color, 0.72))
    return paint


def _cargo_side(body: Body, box: list, color: Color):
    def paint(brush: Brush, sign: int) -> None:
        brush.gradient(darker(color, 1.03), darker(color, 0.88))
        (a0, y0), (_, y1), (a1, _), _ = box
        for a in np.arange(a0 + .5, a1, .8):
            brush.line(body.on_side([(a, y0), (a, y1)], sign), darker(color, 0.82), .04)
        stripe = [(a0, y0 + .35), (a1, y0 + .35), (a1, y0 + .6), (a0, y0 + .6)]
        brush.poly(body.on_side(stripe, sign), darker(color, 0.6))
    return paint


def _cab_side(body: Body, cab: float, half: float, color: Color):
    def paint(brush: Brush, sign: int) -> None:
        brush.gradient(darker(color, 1.1), darker(color, 0.8))
        pane = [(cab + .35, 1.6), (half - .25, 1.6), (half - .5, 2.35), (cab + .35, 2.35)]
        brush.poly(body.on_side(pane, sign), (46, 56, 66))
        brush.line(body.on_side([(cab + .3, .7), (cab + .3, 2.4)], sign), darker(color, .5), .04)
    return paint
