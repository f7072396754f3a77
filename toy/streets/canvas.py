"""Draw labelled shapes, each through a stencil of its polygon.

Pictures are drawn at twice the final size and averaged down, so that edges are smooth while labels
stay hard. The fourth channel is a pixel's own glow (windows and lamps at night).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from toy.streets.camera import Camera
from toy.streets.looks import Look

SUPERSAMPLE = 2
_FRACTION_BITS = 4  # cv2 draws at 1/16 pixel

Color = tuple[float, float, float]


@dataclass
class Shape:
    """A labelled polygon and its paint.

    Attributes:
        label: Cityscapes label name.
        polygon: int32 (N, 2) pixels (x, y) inside the frame.
        inverse_depth: (a, b, c): 1 / depth = a x + b y + c at pixel (x, y).
        normal: Outward unit normal (u, y, s), for shading.
        paint: A colour, or a function that draws on a `Brush`, clipped to the polygon.
        opaque: False if the shape is see-through (a fence), so that shapes behind it are kept.
    """

    label: str
    polygon: np.ndarray
    inverse_depth: np.ndarray
    normal: Color
    paint: Callable[["Brush"], None] | Color
    opaque: bool = True


class Canvas:
    """A picture being painted.

    Attributes:
        pixels: uint8 (2 H, 2 W, 4): R, G, B and glow.
        inverse_depth: float32 (H, W), 1/m.
        first_row: First row of the ground; u, s, fine and coarse start there.
        u: float32 (H - first_row, W), road position of the ground at each pixel; s likewise.
        fine: float32, same shape, noise on the ground; coarse likewise.
    """

    def __init__(self, camera: Camera, look: Look, seed: int):
        self.camera, self.look = camera, look
        height, width = camera.height, camera.width
        self.pixels = np.zeros((SUPERSAMPLE * height, SUPERSAMPLE * width, 4), np.uint8)
        self.inverse_depth = np.zeros((height, width), np.float32)
        self.first_row = max(0, int(camera.cy - abs(math.tan(camera.roll)) * width))
        rows = np.arange(self.first_row, height)[:, None]
        self.u, self.s = camera.ground(np.arange(width)[None], rows)
        self.fine = noise_at(self.u * 45, self.s * 40)
        self.coarse = noise_at(self.u * 5 + seed, self.s * 2.5 + seed, 1.6)

    def draw(self, shape: Shape) -> None:
        """Paint one shape over the picture."""
        if callable(shape.paint):
            x0, y0, wide, high = cv2.boundingRect(shape.polygon)
            target = self.pixels[2 * y0:2 * (y0 + high), 2 * x0:2 * (x0 + wide)]
            stencil = np.zeros(target.shape[:2], np.uint8)
            cv2.fillPoly(stencil, [(shape.polygon - (x0, y0)) * 4 + 1], 255, shift=1)
            brush = Brush(self, shape, target.copy(), (x0, y0))
            shape.paint(brush)
            cv2.copyTo(brush.patch, stencil, target)
        else:
            color = Brush(self, shape, self.pixels, (0, 0)).tone(shape.paint)
            cv2.fillPoly(self.pixels, [shape.polygon * 4 + 1], color, shift=1)
        self._write_depth(shape)

    def _write_depth(self, shape: Shape) -> None:
        a, b, c = shape.inverse_depth.tolist()
        if not a and not b:
            cv2.fillPoly(self.inverse_depth, [shape.polygon], c)
            return
        x0, y0, wide, high = cv2.boundingRect(shape.polygon)
        across = a * np.arange(x0, x0 + wide) + c
        down = b * np.arange(y0, y0 + high)
        plane = across.astype(np.float32) + down.astype(np.float32)[:, None]
        stencil = np.zeros(plane.shape, np.uint8)
        cv2.fillPoly(stencil, [shape.polygon - (x0, y0)], 1)
        cv2.copyTo(plane, stencil, self.inverse_depth[y0:y0 + high, x0:x0 + wide])


class Brush:
    """Paint inside one shape; positions are road points unless stated otherwise.

    Attributes:
        patch: uint8 (h, w, 4), the shape's bounding box at double size, initially the background.
        look: Weather, light and season.
        small: Whether the shape is too small for details.
    """

    def __init__(self, canvas: Canvas, shape: Shape, patch: np.ndarray, origin: tuple[int, int]):
        self.canvas, self.look, self.camera = canvas, canvas.look, canvas.camera
        self.patch, self.origin = patch, origin
        self.small = max(patch.shape[:2]) < 26
        self.shade = self.look.shade(shape.normal)
        self.snow = self.look.snow * min(1.0, max(0.0, 1.6 * float(shape.normal[1])))

    def tone(self, color: Color, glow: int = 0) -> tuple[float, float, float, float]:
        """Return the colour in this face's light, RGB and glow."""
        if glow:
            return (*color, glow)
        white, keep = 236 * self.snow, 1 - self.snow
        (r, g, b), (x, y, z) = color, self.shade
        return (min(255.0, r * x) * keep + white, min(255.0, g * y) * keep + white,
                min(255.0, b * z) * keep + white, 0)

    def fill(self, color: Color, glow: int = 0) -> None:
        """Fill the whole patch."""
        self.patch[:] = self.tone(color, glow)

    def gradient(self, top: Color, bottom: Color) -> None:
        """Blend from one colour at the top edge to another at the bottom edge."""
        blend = np.linspace(0, 1, len(self.patch), dtype=np.float32)[:, None]
        rows = np.array(self.tone(top)) * (1 - blend) + np.array(self.tone(bottom)) * blend
        self.patch[:] = rows.astype(np.uint8)[:, None]

    def grain(self, strength: float, size: float, offset: int = 0) -> None:
        """Multiply by cloudy noise: strength 0..1, size in pixels of the finished picture."""
        noise = noise_patch(self.patch.shape[:2], SUPERSAMPLE * size, offset)
        grainy = self.patch[..., :3] * (1 + strength * noise[..., None])
        self.patch[..., :3] = np.clip(grainy, 0, 255)

    def to_patch(self, pixels: np.ndarray) -> np.ndarray:
        """Convert frame pixels (N, 2) to fixed-point positions on the patch."""
        local = (pixels - self.origin) * SUPERSAMPLE + 0.5
        return np.rint(np.clip(local, -2000, 4000) * 2 ** _FRACTION_BITS).astype(np.int32)

    def poly(self, points: np.ndarray, color: Color, glow: int = 0) -> None:
        """Paint a polygon of road points (N, 3)."""
        self.poly_px(self.camera.project(points), color, glow)

    def poly_px(self, pixels: np.ndarray, color: Color, glow: int = 0) -> None:
        """Paint a polygon of frame pixels (N, 2)."""
        cv2.fillPoly(self.patch, [self.to_patch(pixels)], self.tone(color, glow),
                     shift=_FRACTION_BITS)

    def line(self, points: np.ndarray, color: Color, width: float) -> None:
        """Paint an open line through road points (N, 3); width in metres, at least half a pixel."""
        depth = float(points[0][2] + points[-1][2]) / 2
        self.line_px(self.camera.project(points), color, width * self.camera.scale(depth))

    def line_px(self, pixels: np.ndarray, color: Color, width: float) -> None:
        """Paint an open line through frame pixels (N, 2); width in pixels."""
        cv2.polylines(self.patch, [self.to_patch(pixels)], False, self.tone(color),
                      max(1, round(width * SUPERSAMPLE)), cv2.LINE_8, _FRACTION_BITS)

    def disc_px(self, center: np.ndarray, radius: float, color: Color, glow: int = 0) -> None:
        """Paint a disc at a frame pixel (2,); radius in pixels."""
        x, y = ((np.asarray(center) - self.origin) * SUPERSAMPLE + 0.5).tolist()
        cv2.circle(self.patch, (round(x), round(y)), max(1, round(radius * SUPERSAMPLE)),
                   self.tone(color, glow), -1)

    def texture(self, image: np.ndarray, quad: np.ndarray) -> None:
        """Warp a shaded RGBA image (h, w, 4) onto four road points: top left, clockwise."""
        height, width = image.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        target = (self.camera.project(quad) - self.origin) * SUPERSAMPLE + 0.5
        matrix = cv2.getPerspectiveTransform(source, target.astype(np.float32))
        size = (self.patch.shape[1], self.patch.shape[0])
        self.patch = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR,
                                         borderMode=cv2.BORDER_REPLICATE)

    def ground(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the canvas's u, s, fine and coarse noise for this patch, float32 (h, w) each."""
        canvas, x, y = self.canvas, self.origin[0], self.origin[1] - self.canvas.first_row
        height, width = self.patch.shape[0] // 2, self.patch.shape[1] // 2
        box = slice(y, y + height), slice(x, x + width)
        return canvas.u[box], canvas.s[box], canvas.fine[box], canvas.coarse[box]

    def enlarge(self, rgb: np.ndarray, rows: int | None = None) -> None:
        """Stretch an RGB picture (h, w, 3) over the patch, or its first rows (final size)."""
        pixels = np.zeros((*rgb.shape[:2], 4), np.uint8)
        pixels[..., :3] = rgb if rgb.dtype == np.uint8 else np.clip(rgb, 0, 255)
        rows = self.patch.shape[0] if rows is None else SUPERSAMPLE * rows
        size = (self.patch.shape[1], min(rows, self.patch.shape[0]))
        self.patch[:size[1]] = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)


@lru_cache(maxsize=4)
def noise_tile(slope: float) -> np.ndarray:
    """Make a seamless tile of cloud-like noise.

    Args:
        slope: Exponent by which the amplitude falls with frequency; 1 is rough, 2 is smooth.

    Returns:
        float32 (512, 512), mean 0, standard deviation 0.5, clipped to [-1, 1].
    """
    rng = np.random.default_rng(7)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None])
    frequency[0, 0] = 1
    spectrum = np.exp(2j * np.pi * rng.random(frequency.shape)) / frequency ** slope
    spectrum[0, 0] = 0
    tile = np.fft.irfft2(spectrum, (512, 512))
    return np.clip(tile / tile.std() * 0.5, -1, 1).astype(np.float32)


def noise_patch(shape: tuple[int, int], size: float, offset: int = 0) -> np.ndarray:
    """Cut a piece of noise, float32 `shape`; features are about `size` pixels wide."""
    step = 4 / size
    rows, columns = (min(511, int(length * step) + 2) for length in shape)
    y, x = (37 * offset) % (512 - rows), (91 * offset) % (512 - columns)
    piece = noise_tile(1.0)[y:y + rows, x:x + columns]
    return cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def noise_at(x: np.ndarray, y: np.ndarray, slope: float = 1.0) -> np.ndarray:
    """Sample noise at tile positions x, y; float32 of the same shape."""
    return cv2.remap(noise_tile(slope), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
