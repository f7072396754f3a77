"""Street furniture and plants: lamps, signals, signs, fences, walls, trees, hedges."""

import numpy as np

from toy.streets.canvas import Brush, Color, noise_patch
from toy.streets.looks import Look
from toy.streets.sketch import Sketch, Thing, ring

METAL, RUST = (120, 124, 128), (104, 98, 92)
LEAVES = ((58, 104, 44), (74, 118, 46), (46, 92, 50), (96, 124, 52), (64, 96, 40))
SIGN_RED, SIGN_BLUE, SIGN_GREEN = (196, 28, 36), (28, 78, 168), (16, 112, 70)
SIGN_WHITE, SIGN_YELLOW, SIGN_BLACK = (240, 240, 240), (250, 196, 30), (30, 30, 34)


def _post(sketch: Sketch, u: float, s: float, height: float, width: float,
          color: Color = METAL) -> None:
    sketch.tube("pole", np.array([u, 0, s]), np.array([u, height, s]), width, color)


def street_lamp(sketch: Sketch, u: float, s: float, toward: float,
                rng: np.random.Generator) -> Thing:
    """Draw a lamp on a curved arm; `toward` is the sign of the direction to the road."""
    height, reach = rng.uniform(6.5, 8.5), toward * rng.uniform(1.2, 2.2)
    _post(sketch, u, s, height, (.18, .1))
    joints = np.array([(u, height, s), (u + reach * .4, height + .4, s),
                       (u + reach, height + .5, s)])
    for a, b in zip(joints[:-1], joints[1:], strict=True):
        sketch.tube("pole", a, b, .1, METAL)
    head = joints[-1]

    def paint(brush: Brush) -> None:
        brush.fill((255, 226, 160) if brush.look.night else (206, 206, 200),
                   255 if brush.look.night else 0)

    sketch.tube("pole", head - (.35, 0, 0), head + (.35, 0, 0), .2, paint)
    return Thing((u - .1, u + .1), (s - .1, s + .1), 0, sketch.shapes)


def utility_pole(sketch: Sketch, u: float, s: float, rng: np.random.Generator) -> Thing:
    """Draw a wooden pole with cross arms."""
    height = rng.uniform(7.5, 9.5)
    _post(sketch, u, s, height, (.3, .22), (94, 76, 58))
    for y in (height - .5, height - 1.3):
        sketch.tube("pole", np.array([u - 1.0, y, s]), np.array([u + 1.0, y, s]), .14, (88, 72, 56))
    return Thing((u - .2, u + .2), (s - .2, s + .2), 0, sketch.shapes)


def bollards(sketch: Sketch, u: float, s0: float, s1: float) -> Thing:
    """Draw a row of short posts."""
    for s in np.arange(s0, s1, 2.2)[::-1]:
        _post(sketch, u, s, .9, .14, (70, 72, 76))
    return Thing((u - .1, u + .1), (s0, s0 + .2), 0, sketch.shapes)


def traffic_light(sketch: Sketch, u: float, s: float, overhang: float, rng: np.random.Generator,
                  state: int) -> Thing:
    """Draw a traffic light on a post, with a second head if it has an arm.

    Args:
        sketch: An empty sketch.
        u: Metres right of the centre line.
        s: Metres along the road.
        overhang: Signed length of the arm over the road in metres; 0 for none.
        rng: Source of randomness for the size.
        state: 0 red, 1 yellow, 2 green.

    Returns:
        The traffic light.
    """
    height = 5.8 if overhang else rng.uniform(2.9, 3.4)
    _post(sketch, u, s, height, .2, (88, 92, 94))
    if overhang:
        end = np.array([u + overhang, height - .1, s])
        sketch.tube("pole", np.array([u, height - .1, s]), end, .14, (88, 92, 94))
        _signal_head(sketch, u + overhang * .92, height - .75, s, 1.2, state)
    _signal_head(sketch, u - np.sign(u) * .25, 2.9, s, 1.05, state)
    return Thing((u - .2, u + .2), (s - .2, s + .2), 0, sketch.shapes)


def _signal_head(sketch: Sketch, u: float, y: float, s: float, tall: float, state: int) -> None:
    half_w, half_h = tall * .22, tall * .5
    corners = np.array([(u - half_w, y - half_h, s), (u + half_w, y - half_h, s),
                        (u + half_w, y + half_h, s), (u - half_w, y + half_h, s)])
    lamps = [np.array([u, y + offset * tall, s]) for offset in (.31, 0, -.31)]
    colors = ((255, 46, 34), (255, 190, 40), (60, 235, 130))

    def paint(brush: Brush) -> None:
        brush.fill((30, 34, 32))
        for i, (lamp, color) in enumerate(zip(lamps, colors, strict=True)):
            dim = tuple(c * .22 for c in color)
            brush.poly(ring(lamp, tall * .145, (1, 0, 0), (0, 1, 0), 10),
                       color if i == state else dim, 255 if i == state else 0)

    sketch.flat("traffic light", sketch.camera.project(corners), s, paint)


def sign(sketch: Sketch, u: float, s: float, rng: np.random.Generator) -> Thing:
    """Draw a traffic sign on a post: round, triangular, square, octagonal or an arrow board."""
    y, size = rng.uniform(2.2, 2.8), rng.uniform(.36, .5)
    _post(sketch, u, s, y + size, .09)
    kind = int(rng.integers(6))
    sides = {0: 16, 1: 3, 2: 4, 3: 8, 4: 16, 5: 4}[kind]
    turn = {1: np.pi / 2, 2: np.pi / 4 * int(rng.integers(2)), 3: np.pi / 8}.get(kind, np.pi / 4)
    angle = np.arange(sides) * 2 * np.pi / sides + turn
    outline = np.stack([u + size * np.cos(angle) * (1.5 if kind == 5 else 1),
                        y + size * np.sin(angle), np.full(sides, s)], 1)
    middle = outline.mean(0)
    rim, core = {0: (SIGN_RED, SIGN_WHITE), 1: (SIGN_RED, SIGN_WHITE),
                 2: (SIGN_WHITE, SIGN_BLUE if rng.random() < .5 else SIGN_YELLOW),
                 3: (SIGN_WHITE, SIGN_RED), 4: (SIGN_WHITE, SIGN_BLUE),
                 5: (SIGN_WHITE, SIGN_GREEN)}[kind]

    def paint(brush: Brush) -> None:
        brush.fill(rim)
        brush.poly(middle + .74 * (outline - middle), core)
        mark = SIGN_BLACK if core in (SIGN_WHITE, SIGN_YELLOW) else SIGN_WHITE
        bar = np.array([(-.5, -.14, 0), (.5, -.14, 0), (.5, .14, 0), (-.5, .14, 0)]) * size
        brush.poly(middle + bar, mark)

    sketch.flat("traffic sign", sketch.camera.project(outline), s, paint)
    return Thing((u - .1, u + .1), (s - .1, s + .1), 0, sketch.shapes)


def gantry(sketch: Sketch, u0: float, u1: float, s: float, rng: np.random.Generator) -> Thing:
    """Draw a gantry over the road with direction signs."""
    for u in (u0, u1):
        _post(sketch, u, s, 6.6, .28)
    for y in (5.9, 6.6):
        sketch.tube("pole", np.array([u0, y, s]), np.array([u1, y, s]), .12, METAL)
    color = (SIGN_GREEN, SIGN_BLUE)[rng.integers(2)]
    for middle in np.linspace(u0, u1, 4)[1:3] + rng.uniform(-.5, .5):
        corners = np.array([(middle - 1.7, 5.2, s), (middle + 1.7, 5.2, s),
                            (middle + 1.7, 6.9, s), (middle - 1.7, 6.9, s)])
        sketch.flat("traffic sign", sketch.camera.project(corners), s - .1,
                    _board(corners, color))
    return Thing((u0, u1), (s - .2, s + .2), 0, sketch.shapes)


def _board(corners: np.ndarray, color: Color):
    def paint(brush: Brush) -> None:
        brush.fill(SIGN_WHITE)
        middle = corners.mean(0)
        brush.poly(middle + .94 * (corners - middle), color)
        for y, half in ((5.7, 1.1), (6.15, 1.3), (6.55, .8)):
            brush.line(np.array([(middle[0] - 1.4, y, corners[0, 2]),
                                 (middle[0] - 1.4 + 2 * half, y, corners[0, 2])]), SIGN_WHITE, .16)
    return paint


def bin_(sketch: Sketch, u: float, s: float, rng: np.random.Generator) -> Thing:
    """Draw a litter bin, labelled `static` as in Cityscapes (an ignored label)."""
    color = ((40, 70, 150), (50, 90, 60), (90, 90, 92))[rng.integers(3)]
    sketch.box("static", (u - .28, u + .28), (0, 1.0), (s - .28, s + .28), color)
    return Thing((u - .3, u + .3), (s - .3, s + .3), 1.0, sketch.shapes)


def wall(sketch: Sketch, u: float, s0: float, s1: float, rng: np.random.Generator) -> Thing:
    """Draw a free-standing wall along the road."""
    height = rng.uniform(1.6, 3.2)
    color = ((168, 162, 152), (150, 96, 76), (188, 180, 162), (132, 134, 136))[rng.integers(4)]
    bricks, offset = bool(rng.random() < .6), int(rng.integers(500))
    tag = rng.uniform(0.2, 0.8), tuple(rng.uniform(40, 230, 3))

    def paint(brush: Brush) -> None:
        brush.fill(color)
        brush.grain(.16, 20, offset)
        joint = tuple(c * .78 for c in color)
        for y in np.arange(.3 if bricks else 1.0, height, .3 if bricks else 1.0):
            brush.line(np.array([(u, y, s0), (u, y, s1)]), joint, .03)
        for s in np.arange(s0, s1, 3.0):
            brush.line(np.array([(u, 0, s), (u, height, s)]), joint, .07)
        middle = s0 + (s1 - s0) * tag[0]
        scrawl = [(u, .6 + .5 * (i % 2), middle + .35 * i) for i in range(6)]
        brush.line(np.array(scrawl), tag[1], .14)
        brush.poly(np.array([(u, height - .16, s0), (u, height - .16, s1), (u, height, s1),
                             (u, height, s0)]), tuple(c * 1.15 for c in color))

    sketch.face("wall", np.array([(u, 0, s0), (u, 0, s1), (u, height, s1), (u, height, s0)]), paint)
    return Thing((u - .1, u + .1), (s0, s1), height, sketch.shapes)


def fence(sketch: Sketch, u: float, s0: float, s1: float, rng: np.random.Generator) -> Thing:
    """Draw a see-through fence along the road: pickets, iron bars or wire mesh."""
    kind, height = int(rng.integers(3)), rng.uniform(1.1, 2.0)
    color = ((232, 230, 222), (52, 56, 58), (140, 144, 146))[kind]
    if kind == 0 and rng.random() < .5:
        color = (128, 94, 62)
    step, width = ((.22, .13), (.3, .05), (.5, .025))[kind]

    def paint(brush: Brush) -> None:
        for y in (height * .2, height * .85):
            brush.line(np.array([(u, y, s0), (u, y, s1)]), color, .09)
        for s in np.arange(s1, s0, -step):
            brush.line(np.array([(u, 0, s), (u, height, s)]), color, width)
        if kind == 2:
            for y in np.arange(.2, height, .3):
                brush.line(np.array([(u, y, s0), (u, y, s1)]), color, .02)
        for s in np.arange(s0, s1, 2.5):
            brush.line(np.array([(u, 0, s), (u, height, s)]), tuple(c * .8 for c in color), .12)

    outline = np.array([(u, 0, s0), (u, 0, s1), (u, height, s1), (u, height, s0)])
    sketch.face("fence", outline, paint, opaque=False)
    return Thing((u - .1, u + .1), (s0, s1), 0, sketch.shapes)


def foliage(color: Color, offset: int, size: float):
    """Return paint for leaves lit from above: noise in a few tones; `size` is in pixels."""
    def paint(brush: Brush) -> None:
        height, width = (length // 2 for length in brush.patch.shape[:2])
        rise = np.linspace(.75, -.75, height, dtype=np.float32)[:, None]
        lean = .2 if brush.look.sun_from[0] > 0 else -.2
        level = noise_patch((height, width), size, offset)
        level += rise
        level += np.linspace(-lean, lean, width, dtype=np.float32)
        steps = np.clip(level * 16 + 32, 0, 63).astype(np.uint8)  # level -2..2 in 64 steps
        brush.enlarge(_leaf_colors(color, brush.look)[steps])
    return paint


def _leaf_colors(color: Color, look: Look) -> np.ndarray:
    """Return leaf colours, uint8 (64, 3), from deep shade to full light."""
    level = (np.arange(64)[:, None] - 32) / 16
    tone = np.clip(.5 + .28 * np.floor(3 * level) / 3, .12, 1)
    lit = np.multiply(color, .38 + 1.07 * tone) * look.shade(UPWARD)
    frost = look.snow * np.clip(1.6 * level + .25, 0, .95)
    return np.clip(lit * (1 - frost) + 228 * frost, 0, 255).astype(np.uint8)


UPWARD = (0.0, 0.8, -0.6)


def tree(sketch: Sketch, u: float, s: float, rng: np.random.Generator, scale: float = 1) -> Thing:
    """Draw a broadleaf tree or a conifer; the trunk is vegetation, as in Cityscapes."""
    height = scale * rng.uniform(5, 9)
    color, offset = LEAVES[rng.integers(len(LEAVES))], int(rng.integers(500))
    px = sketch.camera.scale(s)
    trunk_top = np.array([u + rng.normal(0, .15), height * .5, s])
    bark = (86 + rng.uniform(-15, 15), 68, 52)
    sketch.tube("vegetation", np.array([u, 0, s]), trunk_top, (.42 * scale, .2 * scale), bark)
    leaf = max(1.2, .35 * px)
    if rng.random() < .2:
        tiers = []
        for k in range(5):
            y, half = height * (.14 + .17 * k), height * (.24 - .042 * k)
            tiers += [(half, y), (half * .55, y + height * .1)]
        right = [(u + a, y, s) for a, y in tiers] + [(u, height, s)]
        left = [(u - a, y, s) for a, y in tiers[::-1]]
        sketch.flat("vegetation", sketch.camera.project(np.array(right + left)), s,
                    foliage(tuple(c * .8 for c in color), offset, leaf))
        return Thing((u - 1, u + 1), (s - 1, s + 1), height, sketch.shapes)
    crown = height * rng.uniform(.24, .36)
    for _ in range(int(rng.integers(4, 7)) if px > 6 else 2):
        du, dy = rng.normal(0, crown * .55), rng.uniform(-.3, .5) * crown
        radius = crown * rng.uniform(.5, .75)
        _clump(sketch, np.array([u + du, height * .66 + dy, s]), radius, color, offset, rng, leaf)
    _clump(sketch, np.array([u, height * .68, s]), crown * .85, color, offset, rng, leaf)
    return Thing((u - 1, u + 1), (s - .5, s + .5), height, sketch.shapes)


def _clump(sketch: Sketch, center: np.ndarray, radius: float, color: Color, offset: int,
           rng: np.random.Generator, leaf: float) -> None:
    """Draw a ball of leaves with a ragged rim."""
    count = 22
    angle = np.arange(count) * 2 * np.pi / count
    reach = radius * rng.uniform(.82, 1.12, count)
    outline = center + np.stack([reach * np.cos(angle), reach * np.sin(angle), 0 * angle], 1)
    sketch.flat("vegetation", sketch.camera.project(outline), center[2],
                foliage(color, offset, leaf))


def hedge(sketch: Sketch, u: float, s0: float, s1: float, rng: np.random.Generator) -> Thing:
    """Draw a clipped hedge along the road."""
    height, color = rng.uniform(.8, 1.7), LEAVES[rng.integers(len(LEAVES))]
    leaf = max(1.2, .3 * sketch.camera.scale((s0 + s1) / 2))
    sketch.box("vegetation", (u - .4, u + .4), (0, height), (s0, s1),
               foliage(color, int(rng.integers(500)), leaf))
    return Thing((u - .4, u + .4), (s0, s1), height, sketch.shapes)


def bush(sketch: Sketch, u: float, s: float, rng: np.random.Generator) -> Thing:
    """Draw a round bush."""
    radius, color = rng.uniform(.5, 1.1), LEAVES[rng.integers(len(LEAVES))]
    _clump(sketch, np.array([u, radius * .7, s]), radius, color, int(rng.integers(500)), rng,
           max(1.2, .3 * sketch.camera.scale(s)))
    return Thing((u - radius, u + radius), (s - .3, s + .3), radius, sketch.shapes)
