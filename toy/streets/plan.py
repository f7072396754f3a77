"""Kinds of places, and scenes being planned."""

from dataclasses import dataclass, field

import numpy as np

from toy.streets.camera import Camera
from toy.streets.ground import Street
from toy.streets.sketch import Sketch, Thing


@dataclass(frozen=True)
class Place:
    """Character of a part of the world.

    Attributes:
        name: game, europe, us or mixed; selects the colours of walls and roofs.
        sides: Share of each kind of street side: tower, block, house, park, hall.
        kinds: Share of each kind of car: sedan, hatch, suv, van.
        colors: Colours of cars.
        yellow: Chance of yellow centre lines.
        focal: Range of the focal length as a share of the image width.
        height: Range of the camera height in metres.
        hood: Chance that the ego vehicle's bonnet is visible.
        roll: Standard deviation of the camera's roll in radians.
        overhang: Chance that traffic lights hang over the road.
    """

    name: str
    sides: tuple[float, float, float, float, float]
    kinds: tuple[float, float, float, float]
    colors: tuple
    yellow: float
    focal: tuple[float, float]
    height: tuple[float, float]
    hood: float
    roll: float
    overhang: float


BRIGHT = ((196, 34, 38), (232, 232, 230), (36, 38, 42), (28, 74, 160), (240, 188, 40),
          (150, 154, 158), (42, 120, 72), (226, 110, 36), (120, 30, 40), (80, 160, 200))
SOBER = ((206, 208, 210), (40, 42, 46), (96, 100, 104), (150, 152, 156), (50, 66, 100),
         (232, 232, 230), (110, 34, 36), (70, 84, 76))
PLACES = {
    "game": Place("game", (.24, .26, .24, .16, .10), (.4, .2, .28, .12), BRIGHT, 1.0,
                  (.62, .9), (1.4, 2.0), .15, 0.0, .7),
    "europe": Place("europe", (.08, .52, .14, .18, .08), (.25, .42, .15, .18), SOBER, 0.0,
                    (.72, 1.0), (1.2, 1.5), .45, .004, .25),
    "us": Place("us", (.26, .24, .28, .12, .10), (.4, .12, .38, .10), SOBER + BRIGHT[:4], 1.0,
                (.68, .95), (1.3, 1.7), .3, .008, .8),
}
PLACES["mixed"] = Place("mixed", (.18, .28, .26, .16, .12), (.32, .3, .26, .12), SOBER + BRIGHT,
                        .4, (.6, 1.05), (1.2, 2.4), .15, .02, .5)

RARE = dict(train=.24, bus=.42, truck=.34, motorcycle=.26, motorcyclist=.24, bicycle=.36,
            cyclist=.36, wall=.32, fence=.42, signal=.6)
"""Chance of each rare object per scene, high enough to learn all classes from a few hundred."""


@dataclass
class Plan:
    """A scene being planned."""

    place: Place
    camera: Camera
    street: Street
    rng: np.random.Generator
    wanted: set[str]
    things: list[Thing] = field(default_factory=list)
    lamps: list = field(default_factory=list)

    def chance(self, share: float) -> bool:
        """Return True with probability `share`."""
        return bool(self.rng.random() < share)

    def sketch(self) -> Sketch:
        """Return an empty sketch for the next thing."""
        return Sketch(self.camera)

    def add(self, thing: Thing) -> None:
        """Add a thing to the street if it has visible shapes."""
        if thing.shapes:
            self.things.append(thing)

    def blocked(self, s0: float, s1: float, margin: float = 3.0) -> bool:
        """Return whether the crossing road is within `margin` metres of s0 to s1."""
        crossing = self.street.crossing
        return bool(crossing and s1 > crossing[0] - margin and s0 < crossing[1] + margin)
