"""Turn a painted picture into a photograph: light, weather and camera."""

import cv2
import numpy as np

from rein.datasets.label_maps import CITYSCAPES_LABELS
from toy.streets.camera import Camera
from toy.streets.canvas import SUPERSAMPLE, Canvas, noise_at
from toy.streets.looks import Look
from toy.streets.scene import Scene

_IDS = {label.name: label.id for label in CITYSCAPES_LABELS}
_LUMA = np.float32((.299, .587, .114))


def render(scene: Scene, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Render a picture of a scene.

    Args:
        scene: Scene to render.
        look: Light, weather and camera of the picture.
        rng: Source of randomness for noise, drops and flakes only.

    Returns:
        RGB picture, uint8 (H, W, 3).
    """
    canvas = Canvas(scene.camera, look, scene.seed)
    for shape in scene.ground:
        canvas.draw(shape)
    if not look.night:
        _cast_shadows(canvas, scene)
    for shape in scene.objects:
        canvas.draw(shape)
    for edge, inner in ((0, 1), (-1, -2)):  # polygons end at the middle of the border pixels
        canvas.pixels[edge], canvas.pixels[:, edge] = canvas.pixels[inner], canvas.pixels[:, inner]
    size = (scene.camera.width, scene.camera.height)
    small = cv2.resize(canvas.pixels, size, interpolation=cv2.INTER_AREA)
    return develop(small, canvas.inverse_depth, scene, look, rng)


def develop(painted: np.ndarray, inverse_depth: np.ndarray, scene: Scene, look: Look,
            rng: np.random.Generator) -> np.ndarray:
    """Apply night light, haze, rain, snow, lens and sensor.

    Args:
        painted: uint8 (H, W, 4), RGB and glow.
        inverse_depth: float32 (H, W), 1/m.
        scene: The painted scene.
        look: Light, weather and camera of the picture.
        rng: Source of randomness for noise, drops and flakes.

    Returns:
        RGB picture, uint8 (H, W, 3).
    """
    labels, depth = scene.labels, 1 / np.maximum(inverse_depth, 1e-4)
    sky = labels == _IDS["sky"]
    rgb = painted[..., :3].astype(np.float32)
    glow = painted[..., 3:].astype(np.float32) / 255
    if look.night:
        light = _night_light(scene, depth, look)
        light[sky] = 1
        rgb = rgb * (light * (1 - glow) + glow)
    if look.wet:
        rgb = _mirror(rgb, glow, labels, look)
    clear = np.exp(-look.haze * depth)
    clear[sky] = np.minimum(1, np.exp(-look.haze * 60))
    rgb = rgb * clear[..., None] + np.float32(look.haze_color) * (1 - clear[..., None])
    rgb = _bloom(rgb, glow * clear[..., None], look)
    rgb = _fall(rgb, look, rng)
    rgb = _lens(rgb, scene.camera, look, rng)
    return _sensor(rgb, look, rng)


def _cast_shadows(canvas: Canvas, scene: Scene) -> None:
    """Darken the ground below things and, in sunshine, in their cast shadows."""
    camera, look = scene.camera, canvas.look
    first = canvas.first_row
    contact, cast = np.zeros((2, camera.height - first, camera.width), np.uint8)
    u, y, s = look.sun_from
    drift = np.array([-u, 0, -s]) / max(y, .25)
    for thing in scene.things:
        (u0, u1), (s0, s1) = thing.u, thing.s
        if not thing.height or s1 < 1.5:
            continue
        foot = np.array([(a, 0, max(b, 1.2)) for a in (u0, u1) for b in (s0, s1)])
        _fill_hull(contact, camera, foot, first)
        if look.sunny:
            top = foot + drift * thing.height
            top[:, 2] = np.maximum(top[:, 2], 1.2)
            _fill_hull(cast, camera, np.concatenate([foot, top]), first)
    dark = 1 - cv2.GaussianBlur(contact, (0, 0), 1.8) * np.float32(.5 / 255)
    if look.sunny:
        deep = float(np.mean(look.ambient) / np.mean(look.shade((0.0, 1.0, 0.0))))
        dark *= 1 - cv2.GaussianBlur(cast, (0, 0), .7) * np.float32((1 - deep) / 255)
    ground = canvas.pixels[SUPERSAMPLE * first:, :, :3]
    ground[:] = ground * cv2.resize(dark, ground.shape[1::-1])[..., None]


def _fill_hull(mask: np.ndarray, camera: Camera, points: np.ndarray, first_row: int) -> None:
    pixels = camera.project(points) - (0, first_row)
    pixels = np.clip(pixels * 16, -90000, 90000).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(pixels)[:, 0], 255, shift=4)


def _night_light(scene: Scene, depth: np.ndarray, look: Look) -> np.ndarray:
    """Compute the factors (H, W, 3) by which street lamps and the headlights brighten the scene."""
    camera = scene.camera
    height, width = depth.shape
    xs = (np.arange(width, dtype=np.float32) - camera.cx) / camera.focal
    ys = (np.arange(height, dtype=np.float32) - camera.cy)[:, None] / camera.focal
    s = np.minimum(depth, 300)
    u, y = xs * s + camera.u - camera.bend * s * s, camera.y - ys * s
    beam = np.exp(-((xs + .02) / .38) ** 2 - ((ys - .10) / .13) ** 2) * 110 / (40 + s * s / 5)
    lamps = np.zeros_like(s)
    for lamp_u, lamp_y, lamp_s in scene.lamps[:14]:
        square = (u - lamp_u) ** 2 + (y - lamp_y) ** 2 + (s - lamp_s) ** 2
        lamps += 60 / (24 + square)
    scale = np.float32(1 / np.mean(look.ambient))
    total = lamps[..., None] * np.float32((1.0, .78, .48)) + beam[..., None] * np.float32(
        (.95, .95, .85))
    return 1 + scale * .5 * total


def _mirror(rgb: np.ndarray, glow: np.ndarray, labels: np.ndarray, look: Look) -> np.ndarray:
    """Blend a smeared reflection of the scene above into the wet ground."""
    ground = (labels == _IDS["road"]) | (.6 * (labels == _IDS["sidewalk"]) > 0)
    height = rgb.shape[0]
    source = rgb * (1 + 3 * glow)
    source[labels == _IDS["road"]] *= .75
    tall = max(9, height // 3) | 1
    kernel = np.zeros((2 * tall + 1, 1), np.float32)
    kernel[:tall] = 1 / tall  # from above only
    smeared = cv2.GaussianBlur(cv2.filter2D(source, -1, kernel), (0, 0), 1.5)
    ys, xs = np.mgrid[0:height, 0:rgb.shape[1]].astype(np.float32)
    puddle = .35 + .5 * np.clip(noise_at(xs * .5, ys * 2.5, 1.6) + .3, 0, 1)
    soft = cv2.GaussianBlur((ground * puddle).astype(np.float32), (0, 0), .8)
    share = (look.wet * soft)[..., None]
    return rgb * (1 - share) + share * smeared


def _bloom(rgb: np.ndarray, glow: np.ndarray, look: Look) -> np.ndarray:
    """Spread light around glowing pixels."""
    if glow.max() < .05:
        return rgb
    small = cv2.resize(rgb * glow, None, fx=.5, fy=.5, interpolation=cv2.INTER_AREA)
    strength = 1.0 if look.night else .25
    spread = cv2.GaussianBlur(small, (0, 0), 1.5) * .8 + cv2.GaussianBlur(small, (0, 0), 7) * 1.1
    return rgb + strength * cv2.resize(spread, (rgb.shape[1], rgb.shape[0]))


def _fall(rgb: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Draw rain streaks or snowflakes in the air."""
    height, width = rgb.shape[:2]
    layer = np.zeros((2 * height, 2 * width), np.uint8)
    slant = rng.normal(0, .15)
    for _ in range(int(look.rain * 260)):
        x, y, size = rng.random() * 2 * width, rng.random() * 2 * height, rng.uniform(10, 46)
        end = (int(x + slant * size), int(y + size))
        cv2.line(layer, (int(x), int(y)), end, int(rng.uniform(40, 120)), 1)
    for _ in range(int(look.flakes * 420)):
        x, y = rng.random() * 2 * width, rng.random() * 2 * height
        size = rng.exponential(1.4) + .6
        cv2.circle(layer, (int(x), int(y)), int(min(size, 7)), int(rng.uniform(90, 235)), -1)
    if not (look.rain or look.flakes):
        return rgb
    layer = cv2.GaussianBlur(layer, (0, 0), .8 if look.rain else 1.2)
    share = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255
    return rgb * (1 - share) + share * np.float32((226, 230, 236))


def _lens(rgb: np.ndarray, camera: Camera, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Apply drops on the lens, motion blur, lens blur, glare and vignette."""
    height, width = rgb.shape[:2]
    rgb = rgb.astype(np.float32)
    if look.drops:
        rgb = _drops(rgb, look, rng)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    if look.motion >= 1:  # blur radially, away from the vanishing point
        zoom = look.motion / width
        moved = [cv2.remap(rgb, xs + (xs - camera.cx) * zoom * k, ys + (ys - camera.cy) * zoom * k,
                           cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for k in (1, 2)]
        rgb = (rgb + moved[0] + moved[1]) / 3
    if look.blur > .3:
        rgb = cv2.GaussianBlur(rgb, (0, 0), look.blur)
    if look.glare:
        x, y = rng.uniform(.1, .9) * width, rng.uniform(-.1, .35) * height
        distance = np.hypot(xs - x, ys - y) / width
        veil = look.glare * (.18 + .75 * np.exp(-(distance / .28) ** 2))
        tint = np.float32(look.horizon) * .5 + 128
        rgb = rgb + veil[..., None] * (tint - rgb * .55)
    if look.vignette:
        radius = np.hypot(xs / width - .5, ys / height - .5)
        rgb = rgb * (1 - look.vignette * 1.6 * radius[..., None] ** 2)
    return rgb


def _drops(rgb: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Draw drops, each with a shifted, out-of-focus view of the scene."""
    height, width = rgb.shape[:2]
    mask, shift = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for _ in range(int(look.drops * 26)):
        x, y = int(rng.random() * width), int(rng.random() * height)
        radius = int(rng.uniform(2, 8))
        cv2.ellipse(mask, (x, y), (radius, int(radius * rng.uniform(1, 1.7))), 0, 0, 360, .75, -1)
        cv2.circle(shift, (x, y), radius + 2, float(rng.uniform(-25, 25)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.2)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    blurred = cv2.GaussianBlur(rgb, (0, 0), 3)
    seen = cv2.remap(blurred, xs + shift, ys + shift, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REFLECT)
    return rgb * (1 - mask[..., None]) + mask[..., None] * (seen * .9 + 22)


def _sensor(rgb: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Apply white balance, saturation, contrast and noise."""
    rgb = rgb * np.float32(look.balance)
    if look.saturation != 1:
        grey = (rgb @ _LUMA)[..., None]
        rgb = grey + look.saturation * (rgb - grey)
    if look.contrast != 1:
        rgb = (rgb - 118) * look.contrast + 118
    if look.noise:
        rgb = rgb + look.noise * rng.standard_normal(rgb.shape, np.float32)
    return np.clip(rgb, 0, 255).astype(np.uint8)
