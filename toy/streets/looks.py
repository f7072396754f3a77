"""Looks: the appearance of a street in a given place, light, weather and camera.

A look changes pixels, never labels. `sample_look` samples a look from a named family.
"""

from dataclasses import dataclass, replace

import numpy as np

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Light, weather and camera of a picture. Colours are RGB in [0, 255] unless stated otherwise.

    Attributes:
        ambient: Ambient light, RGB factors.
        sun: Light from the sun, RGB factors; zero when overcast.
        sun_from: Unit vector (u, y, s) towards the sun.
        zenith: Sky colour overhead.
        horizon: Sky colour at the horizon.
        clouds: Share of the sky covered, 0..1.
        haze: Loss of contrast per metre (0.001 clear, 0.03 dense fog).
        haze_color: Colour that distant things fade to.
        night: Whether lamps and windows are lit.
        snow: Snow cover of surfaces that face up, 0..1.
        wet: Reflectivity of the wet ground, 0..1.
        rain: Density of rain streaks, 0..1.
        flakes: Density of falling snow, 0..1.
        drops: Density of drops on the lens, 0..1.
        glare: Veil of scattered sunlight, 0..1.
        saturation: Colourfulness, 1 = as painted.
        contrast: Slope of the tone curve, 1 = as painted.
        balance: White balance, RGB factors.
        vignette: Darkening of the corners, 0..1.
        blur: Lens blur, standard deviation in pixels.
        motion: Length of the motion blur in pixels.
        noise: Sensor noise, standard deviation in grey levels.
    """

    ambient: Color = (0.62, 0.64, 0.70)
    sun: Color = (0.62, 0.56, 0.46)
    sun_from: Color = (0.5, 0.7, -0.5)
    zenith: Color = (70, 130, 215)
    horizon: Color = (190, 215, 240)
    clouds: float = 0.3
    haze: float = 0.0015
    haze_color: Color = (190, 210, 230)
    night: bool = False
    snow: float = 0.0
    wet: float = 0.0
    rain: float = 0.0
    flakes: float = 0.0
    drops: float = 0.0
    glare: float = 0.0
    saturation: float = 1.0
    contrast: float = 1.0
    balance: Color = (1.0, 1.0, 1.0)
    vignette: float = 0.0
    blur: float = 0.0
    motion: float = 0.0
    noise: float = 0.0

    def shade(self, normal: Color) -> Color:
        """Return the light on a face with this unit normal, as factors of its colour."""
        u, y, s = normal
        lit = max(0.0, u * self.sun_from[0] + y * self.sun_from[1] + s * self.sun_from[2])
        sky = 0.82 + 0.18 * y  # faces that look up see more of the sky
        r, g, b = (a * sky + d * lit for a, d in zip(self.ambient, self.sun, strict=True))
        return (r, g, b)

    @property
    def sunny(self) -> bool:
        """Whether objects cast sharp shadows."""
        return max(self.sun) > 0.15


def sample_look(name: str, rng: np.random.Generator) -> Look:
    """Sample a look.

    Args:
        name: One of `LOOKS`.
        rng: Source of the variation within the family.

    Returns:
        The look.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in LOOKS:
        raise ValueError(f"look {name!r} is unknown: choose one of {', '.join(LOOKS)}")
    return LOOKS[name](rng)


def _sun_from(rng: np.random.Generator, low: float, high: float) -> Color:
    """Sample a sun direction; `low` and `high` bound its elevation in degrees."""
    height = np.radians(rng.uniform(low, high))
    around = rng.uniform(0, 2 * np.pi)
    flat = np.cos(height)
    return (float(flat * np.sin(around)), float(np.sin(height)), float(flat * np.cos(around)))


def _balance(rng: np.random.Generator, spread: float) -> Color:
    warm, green = rng.normal(0, spread), rng.normal(0, spread / 2)
    return (float(1 + warm), float(1 + green), float(1 - warm))


def _overcast(brightness: float) -> dict:
    grey = tuple(c * brightness for c in (205, 210, 216))
    return dict(ambient=tuple(c * brightness for c in (1.0, 1.02, 1.05)), sun=(0, 0, 0),
                zenith=tuple(c * 0.86 for c in grey), horizon=grey, haze_color=grey)


def game_look(rng: np.random.Generator) -> Look:
    """GTA V, the source domain: a clean, sunny, saturated game."""
    return Look(sun_from=_sun_from(rng, 30, 65), clouds=rng.uniform(0.1, 0.6), saturation=1.2,
                contrast=1.1, zenith=(52, 118, 215), horizon=(186, 214, 240))


def city_look(rng: np.random.Generator) -> Look:
    """Cityscapes: central Europe, mostly overcast, dull and a little green."""
    light = rng.uniform(0.78, 1.0)
    look = Look(**_overcast(light), clouds=0.9, haze=0.003, saturation=0.62, contrast=1.08,
                balance=(0.95, 1.02, 0.97), vignette=0.2, noise=2.5, blur=0.35)
    if rng.random() < 0.3:  # the sun breaks through
        look = replace(look, ambient=(0.66, 0.68, 0.72), sun=(0.36, 0.34, 0.3), clouds=0.5,
                       sun_from=_sun_from(rng, 20, 50), zenith=(130, 160, 200))
    return look


def drive_look(rng: np.random.Generator) -> Look:
    """BDD100K: a dash camera behind a windscreen, sun or dusk, glare and motion blur."""
    camera = dict(glare=rng.uniform(0.1, 0.5), motion=rng.uniform(0, 3), noise=3, vignette=0.3,
                  balance=_balance(rng, 0.05), clouds=rng.uniform(0, 0.6), blur=0.3)
    if rng.random() < 0.35:
        return Look(ambient=(0.50, 0.44, 0.52), sun=(0.55, 0.30, 0.12), zenith=(70, 84, 140),
                    horizon=(250, 178, 120), haze=0.003, haze_color=(205, 150, 130),
                    sun_from=_sun_from(rng, 6, 15), saturation=0.95, **camera)
    return Look(ambient=(0.55, 0.57, 0.64), sun=(0.60, 0.56, 0.48), haze=0.003,
                sun_from=_sun_from(rng, 25, 60), saturation=0.8, contrast=1.15, **camera)


def mixed_look(rng: np.random.Generator) -> Look:
    """Mapillary: any daytime weather and any camera."""
    base = [game_look, city_look, drive_look][rng.integers(3)](rng)
    return replace(base, balance=_balance(rng, 0.09), noise=rng.uniform(1, 7),
                   blur=rng.uniform(0.2, 0.9), saturation=rng.uniform(0.5, 1.2),
                   contrast=rng.uniform(0.8, 1.25), vignette=rng.uniform(0, 0.5),
                   haze=rng.uniform(0.001, 0.006), motion=rng.uniform(0, 1.5))


def night_look(rng: np.random.Generator) -> Look:
    """ACDC night: lamps, lit windows and headlights, little else."""
    dim = rng.uniform(0.13, 0.24)
    sky = (16, 18, 32) if rng.random() < 0.6 else (40, 30, 28)
    return Look(ambient=(dim * 0.9, dim, dim * 1.4), sun=(0, 0, 0), clouds=0.3, night=True,
                zenith=tuple(c * 0.5 for c in sky), horizon=sky, haze=0.003, haze_color=sky,
                wet=rng.uniform(0, 0.5), saturation=0.9, noise=rng.uniform(4, 9),
                motion=rng.uniform(0, 2), balance=(1.08, 1.0, 0.86))


def fog_look(rng: np.random.Generator) -> Look:
    """ACDC fog: distant things fade to grey."""
    return Look(**_overcast(rng.uniform(0.78, 0.98)), clouds=0.0, haze=rng.uniform(0.014, 0.04),
                saturation=0.6, contrast=0.95, noise=3, blur=0.5, balance=_balance(rng, 0.03))


def rain_look(rng: np.random.Generator) -> Look:
    """ACDC rain: a wet, reflecting road, streaks in the air, drops on the lens."""
    return Look(**_overcast(rng.uniform(0.55, 0.8)), clouds=1.0, haze=rng.uniform(0.005, 0.011),
                wet=rng.uniform(0.6, 1.0), rain=rng.uniform(0.4, 1.0), saturation=0.65,
                drops=rng.uniform(0.2, 1.0), contrast=1.05, noise=4, blur=0.4,
                balance=_balance(rng, 0.03))


def snow_look(rng: np.random.Generator) -> Look:
    """ACDC snow: white ground, roofs and trees, flakes in the air."""
    return Look(**_overcast(rng.uniform(0.8, 1.0)), clouds=1.0, haze=rng.uniform(0.004, 0.012),
                snow=rng.uniform(0.65, 1.0), flakes=rng.uniform(0.2, 1.0), saturation=0.65,
                wet=0.2, noise=3, blur=0.4, balance=(0.97, 1.0, 1.04))


LOOKS = dict(game=game_look, city=city_look, drive=drive_look, mixed=mixed_look,
             night=night_look, fog=fog_look, rain=rain_look, snow=snow_look)
"""Look families by name."""
