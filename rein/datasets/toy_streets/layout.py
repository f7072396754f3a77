"""Planning a street: which things stand where."""

from dataclasses import dataclass, field

import numpy as np

from rein.datasets.toy_streets import buildings, people, street_objects, vehicles
from rein.datasets.toy_streets.camera import Camera
from rein.datasets.toy_streets.ground import Street, ground_shapes
from rein.datasets.toy_streets.scene import Scene, drop_hidden, painters_order
from rein.datasets.toy_streets.sketch import Sketch, Thing
from rein.datasets.toy_streets.vehicles import Pose


@dataclass(frozen=True)
class Place:
    """What a part of the world is like.

    Attributes:
        name: game, europe or us: colours of walls and roofs.
        sides: Share of street sides of each kind: tower, block, house, park, hall.
        kinds: Share of car kinds: sedan, hatch, suv, van.
        colors: Colours of cars.
        yellow: Chance of yellow centre lines.
        focal: Range of the focal length as a share of the image width.
        height: Range of the camera height in metres.
        hood: Chance to see the bonnet of the own car.
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

RARE = dict(train=.24, bus=.30, truck=.32, motorcycle=.26, motorcyclist=.24, bicycle=.36,
            cyclist=.36, wall=.32, fence=.42, signal=.6)
"""Chance of each rare thing per scene, so that a few hundred scenes train every class."""


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
        """Toss a coin."""
        return bool(self.rng.random() < share)

    def sketch(self) -> Sketch:
        """An empty sketch for the next thing."""
        return Sketch(self.camera)

    def add(self, thing: Thing) -> None:
        """Put a thing on the street."""
        if thing.shapes:
            self.things.append(thing)

    def blocked(self, s0: float, s1: float, margin: float = 3.0) -> bool:
        """Whether the crossing road runs between s0 and s1."""
        crossing = self.street.crossing
        return bool(crossing and s1 > crossing[0] - margin and s0 < crossing[1] + margin)


def sample_scene(rng: np.random.Generator, place: str, width: int, height: int) -> Scene:
    """Invent a street.

    Args:
        rng: Source of everything.
        place: One of `PLACES`.
        width: Image width in pixels.
        height: Image height in pixels.

    Returns:
        The scene.
    """
    kind = PLACES[place]
    wanted = {name for name, share in RARE.items() if rng.random() < share}
    street = _sample_street(rng, kind, wanted)
    camera = _sample_camera(rng, kind, street, width, height)
    plan = Plan(kind, camera, street, rng, wanted)
    for side in (-1, 1):
        _plan_side(plan, side)
        _plan_furniture(plan, side)
        _plan_people(plan, side)
    _plan_signals(plan)
    _plan_traffic(plan)
    skyline = ("trees", "roofs", "towers")[rng.integers(3)]
    ground = ground_shapes(camera, street, skyline, rng)
    overlay = _hood(plan) if plan.chance(kind.hood) else []
    lamps = np.array(plan.lamps, np.float64).reshape(-1, 3)
    things = painters_order(plan.things, camera)
    objects = [shape for thing in things for shape in thing.shapes] + overlay
    return Scene(camera, ground, drop_hidden(objects, camera), things, lamps,
                 street.seed)


def _sample_street(rng: np.random.Generator, place: Place, wanted: set[str]) -> Street:
    lane = rng.uniform(2.9, 3.5)
    lanes = int(rng.choice([1, 2, 3], p=[.35, .5, .15]))
    parking = lanes < 3 and rng.random() < .6
    median = rng.uniform(1.0, 2.0) if lanes > 1 and rng.random() < .3 else 0.0
    half = median + lanes * lane + (2.2 if parking else .4)
    pavement = rng.uniform(2.0, 4.0)
    grass = bool(rng.random() < .5)
    crossing = None
    if rng.random() < .5:
        near = rng.uniform(16, 40)
        crossing = (near, near + rng.uniform(7, 12))
    zebra = None
    if crossing or rng.random() < .25:
        zebra = (crossing[0] - 4.0) if crossing else rng.uniform(9, 25)
    rails = ()
    if "train" in wanted and not median:
        rails = (-lane / 2, lane / 2)
    grey = rng.uniform(78, 112)
    tint = rng.normal(0, 3, 3)
    paving = np.array(((168, 160, 150), (150, 150, 150), (176, 156, 138))[rng.integers(3)])
    lawn = np.array(((104, 122, 66), (128, 130, 76), (88, 110, 62))[rng.integers(3)])
    return Street(half, lane, pavement, half + pavement + rng.uniform(.5, 5), grass, median,
                  crossing, zebra, parking, rails, bool(rng.random() < place.yellow),
                  tuple(grey + tint), tuple(paving + rng.normal(0, 6, 3)),
                  tuple(lawn + rng.normal(0, 6, 3)), int(rng.integers(400)))


def _sample_camera(rng: np.random.Generator, place: Place, street: Street, width: int,
                   height: int) -> Camera:
    lanes = max(1, round((street.half - street.median) / street.lane - .4))
    lane = int(rng.integers(lanes))
    u = street.median + (lane + .5) * street.lane + rng.normal(0, .2)
    bend = 0.0 if rng.random() < .35 else float(rng.normal(0, .0014))
    return Camera(width, height, rng.uniform(*place.focal) * width,
                  width * rng.uniform(.36, .64), height * rng.uniform(.40, .52), float(u),
                  rng.uniform(*place.height), bend, float(rng.normal(0, place.roll)))


def _plan_side(plan: Plan, side: int) -> None:
    """Fill the building line: houses, gaps, walls, fences, trees."""
    rng, street = plan.rng, plan.street
    uses = ("tower", "block", "house", "park", "hall")
    use = uses[rng.choice(5, p=plan.place.sides)]
    walled = [name for name in ("wall", "fence") if name in plan.wanted]
    if side > 0 and walled or (side < 0 and len(walled) > 1):
        barrier = walled[0] if side > 0 else walled[1]
        if use in ("tower", "block"):
            use = ("park", "house", "hall")[rng.integers(3)]
    else:
        barrier = None
    _plan_barrier(plan, side, barrier)
    front = side * street.front if use in ("tower", "block") else side * (street.front + 4)
    s = rng.uniform(3, 7)
    while s < 120:
        length = rng.uniform(*{"tower": (16, 30), "block": (10, 20), "house": (8, 13),
                               "park": (6, 14), "hall": (20, 40)}[use])
        if plan.blocked(s, s + length, 4):
            if s + 5 < street.crossing[0] - 4 and use != "park":
                _add_building(plan, use, side, abs(front), s, street.crossing[0] - 4)
            s = street.crossing[1] + 4
            continue
        if use == "park" or plan.chance(.1):
            for _ in range(2 if s > 50 else 3):
                plan.add(street_objects.tree(plan.sketch(), front + side * rng.uniform(0, 8),
                                             s + rng.uniform(0, length), rng,
                                             rng.uniform(.8, 1.3)))
        else:
            _add_building(plan, use, side, abs(front), s, s + length)
        s += length + (rng.uniform(2, 6) if use in ("house", "hall") else 0)


def _add_building(plan: Plan, use: str, side: int, front: float, s0: float, s1: float) -> None:
    rng = plan.rng
    name = plan.place.name if plan.place.name != "mixed" else ("game", "europe", "us")[
        rng.integers(3)]
    style = buildings.sample_style(rng, name, use)
    storeys = {"tower": (5, 14), "block": (3, 6), "house": (1, 3), "hall": (2, 3)}[use]
    height = int(rng.integers(*storeys)) * style.floor + (1.5 if style.shop else .9)
    sketch = plan.sketch()
    plan.add(buildings.building(sketch, side, front + rng.uniform(0, .8), (s0, s1), height, style))


def _plan_barrier(plan: Plan, side: int, barrier: str | None) -> None:
    """Walls, fences or hedges along the building line."""
    rng, street = plan.rng, plan.street
    make = {"wall": street_objects.wall, "fence": street_objects.fence,
            None: street_objects.hedge}[barrier]
    if barrier is None and not (street.grass and plan.chance(.4)):
        return
    u = side * (street.half + street.pavement + rng.uniform(.1, .4))
    s = rng.uniform(3, 9)
    while s < 80:
        length = rng.uniform(8, 18)
        if not plan.blocked(s, s + length, 4):
            plan.add(make(plan.sketch(), u, s, s + length, rng))
        s += length + (rng.uniform(2, 6) if plan.chance(.5) else .2)


def _plan_furniture(plan: Plan, side: int) -> None:
    """Lamps, trees, signs, bins and bollards along the kerb."""
    rng, street = plan.rng, plan.street
    kerb = side * (street.half + .6)
    s = rng.uniform(6, 16)
    utility = plan.chance(.25)
    while s < 110:
        if not plan.blocked(s, s, 1):
            if utility and not plan.chance(.4):
                plan.add(street_objects.utility_pole(plan.sketch(), kerb, s, rng))
            else:
                lamp = street_objects.street_lamp(plan.sketch(), kerb, s, -side, rng)
                plan.add(lamp)
                plan.lamps.append((kerb - side * 1.6, 7.5, s))
        s += rng.uniform(16, 26)
    if plan.chance(.55):
        for s in np.arange(rng.uniform(8, 14), 90, rng.uniform(8, 14)):
            if not plan.blocked(s, s, 2):
                where = kerb + side * rng.uniform(.3, .6)
                plan.add(street_objects.tree(plan.sketch(), where, s, rng, rng.uniform(.55, .9)))
    for _ in range(int(rng.integers(1, 4))):
        s = rng.uniform(8, 45)
        plan.add(street_objects.sign(plan.sketch(), kerb + side * rng.uniform(-.1, .4), s, rng))
    if plan.chance(.3):
        plan.add(street_objects.bin_(plan.sketch(), kerb + side * .4, rng.uniform(9, 30), rng))
    if plan.chance(.2):
        s = rng.uniform(7, 20)
        plan.add(street_objects.bollards(plan.sketch(), kerb - side * .1, s, s + rng.uniform(8, 20)))
    if street.grass:
        for _ in range(int(rng.integers(2, 7))):
            u = side * (street.half + street.pavement + rng.uniform(.6, 5))
            plan.add(street_objects.bush(plan.sketch(), u, rng.uniform(9, 60), rng))
    if "bicycle" in plan.wanted and side > 0:
        start, heading = rng.uniform(8, 18), side * np.pi / 2 + rng.normal(0, .5)
        which = 1 if plan.chance(.7) else -1
        for k in range(int(rng.integers(1, 5))):
            pose = Pose(which * (street.half + 1.1), start + 1.1 * k, heading + rng.normal(0, .15))
            plan.add(people.bicycle(plan.sketch(), pose, rng))


def _plan_people(plan: Plan, side: int) -> None:
    rng, street = plan.rng, plan.street
    for _ in range(int(rng.integers(1, 6))):
        s = float(np.exp(rng.uniform(np.log(7), np.log(55))))
        u = side * (street.half + rng.uniform(.7, street.pavement))
        heading = rng.choice([0, np.pi]) + rng.normal(0, .3)
        for k in range(int(rng.choice([1, 1, 2, 3]))):
            plan.add(people.person(plan.sketch(), u + .6 * k, s + rng.normal(0, .3), heading, rng))
    if street.zebra and side > 0 and plan.chance(.6):
        for _ in range(int(rng.integers(1, 4))):
            u = rng.uniform(-street.half, street.half)
            plan.add(people.person(plan.sketch(), u, street.zebra + rng.uniform(.4, 2.4),
                                   rng.choice([-1, 1]) * np.pi / 2, rng))


def _plan_signals(plan: Plan) -> None:
    rng, street = plan.rng, plan.street
    state = int(rng.integers(3))
    if "signal" in plan.wanted:
        s = street.zebra - .8 if street.zebra else rng.uniform(9, 24)
        arm = -rng.uniform(3, 5.5) if plan.chance(plan.place.overhang) else 0.0
        for side in (1, -1):
            u = side * (street.half + .5)
            plan.add(street_objects.traffic_light(plan.sketch(), u, s, arm * side, rng, state))
        if street.crossing and plan.chance(.6):
            plan.add(street_objects.traffic_light(plan.sketch(), street.half + .5,
                                                  street.crossing[1] + 3, arm, rng, state))
    if street.half > 8 and plan.chance(.2):
        reach = street.half + .8
        plan.add(street_objects.gantry(plan.sketch(), -reach, reach, rng.uniform(22, 55), rng))


def _plan_traffic(plan: Plan) -> None:
    """Fill lanes and kerbs, the wanted rare vehicles first."""
    rng, street = plan.rng, plan.street
    queue = [name for name in ("bus", "truck", "motorcycle", "motorcyclist", "cyclist")
             if name in plan.wanted]
    rng.shuffle(queue)
    count = max(1, round((street.half - street.median) / street.lane - .5))
    lanes = [(side, side * (street.median + (k + .5) * street.lane))
             for side in (-1, 1) for k in range(count)]
    taken = {}
    if "train" in plan.wanted:
        _add_train(plan, taken, lanes)
    starts = [[*lane, rng.uniform(11, 20) if abs(lane[1] - plan.camera.u) < 1.7
               else rng.uniform(7, 22)] for lane in lanes]
    starts += [[side, side * (street.half - 1.05), rng.uniform(5, 9)]
               for side in (-1, 1) if street.parking]
    for side, u, start in sorted(starts, key=lambda item: item[2]):
        s = start
        parked = abs(abs(u) - street.half + 1.05) < .01
        gap = (.8, 2.5) if parked else (6, 30)
        while s < 75:
            name = queue.pop() if queue and s < 30 and plan.chance(.75) else "car"
            length = _add_vehicle(plan, name, u, s, side, parked, taken)
            s += length + rng.uniform(*gap)
            if parked and plan.chance(.15):
                s += rng.uniform(5, 12)
    for name in queue:  # what found no lane drives beside the kerb
        _add_vehicle(plan, name, street.half - 1.0, rng.uniform(8, 16), 1, False, {})
    _plan_cross_traffic(plan)


def _add_train(plan: Plan, taken: dict, lanes: list) -> None:
    """A tram on its tracks, oncoming or crossing."""
    rng, street = plan.rng, plan.street
    color = ((196, 40, 44), (236, 196, 60), (40, 110, 80), (44, 88, 160))[rng.integers(4)]
    if street.crossing and plan.chance(.35):
        pose = Pose(rng.uniform(-8, 8), np.mean(street.crossing), np.pi / 2)
        taken["cross"] = True
    else:
        u = street.rails[int(rng.integers(2))] if street.rails else lanes[0][1]
        s = rng.uniform(12, 22) if u < 0 else rng.uniform(16, 28)
        pose = Pose(u, s + 13, 0 if u > 0 else np.pi)
        taken[u] = (s - 4, s + 32)
    plan.add(vehicles.tram(plan.sketch(), pose, rng, color, True))


def _add_vehicle(plan: Plan, name: str, u: float, s: float, side: int, parked: bool,
                 taken: dict) -> float:
    """Put a vehicle whose near end is at s; returns its length in metres."""
    rng = plan.rng
    length = {"bus": 12.5, "truck": 9.5, "car": 5.0}.get(name, 2.2)
    inside = any(abs(lane - u) < 2 and s < span[1] and s + length > span[0]
                 for lane, span in taken.items() if lane != "cross")
    if inside or plan.blocked(s, s + length, 4):
        return length
    heading = (0 if side > 0 else np.pi) + rng.normal(0, .03)
    if parked and name == "motorcycle":
        heading += rng.normal(0, .8)
    pose = Pose(u + rng.normal(0, .12), s + length / 2, heading)
    color = plan.place.colors[rng.integers(len(plan.place.colors))]
    plan.add(_draw_vehicle(plan, name, pose, color, not parked))
    return length


def _draw_vehicle(plan: Plan, name: str, pose: Pose, color: tuple, lit: bool) -> Thing:
    rng, sketch = plan.rng, plan.sketch()
    if name == "car":
        kind = ("sedan", "hatch", "suv", "van")[rng.choice(4, p=plan.place.kinds)]
        return vehicles.car(sketch, pose, rng, color, kind, lit)
    if name == "bus":
        return vehicles.bus(sketch, pose, rng, color, lit)
    if name == "truck":
        return vehicles.truck(sketch, pose, rng, color, lit)
    if name == "cyclist":
        thing = people.bicycle(sketch, pose, rng)
    else:
        thing = people.motorcycle(sketch, pose, rng, lit)
    if name != "motorcycle" and thing.shapes:
        people.rider(sketch, pose, rng, name == "motorcyclist")
    return thing


def _plan_cross_traffic(plan: Plan) -> None:
    """Vehicles on the crossing road, seen from the side."""
    rng, crossing = plan.rng, plan.street.crossing
    if not crossing or any(thing.u[1] - thing.u[0] > 12 for thing in plan.things
                           if crossing[0] < thing.s[0] < crossing[1]):
        return
    for heading, share in ((np.pi / 2, .25), (-np.pi / 2, .75)):
        s = crossing[0] + share * (crossing[1] - crossing[0])
        u = rng.uniform(-14, 4)
        while u < 22:
            if plan.chance(.4):
                name = str(rng.choice(["car", "car", "car", "cyclist", "motorcyclist", "truck"]))
                color = plan.place.colors[rng.integers(len(plan.place.colors))]
                plan.add(_draw_vehicle(plan, name, Pose(u, s, heading), color, True))
            u += rng.uniform(10, 16)


def _hood(plan: Plan) -> list:
    """The bonnet of the own car along the lower edge."""
    camera, rng = plan.camera, plan.rng
    top, color = rng.uniform(.03, .08) * camera.height, plan.place.colors[
        rng.integers(len(plan.place.colors))]
    xs = np.linspace(-2, camera.width + 1, 24)
    bow = 1 - ((xs - camera.width / 2) / (camera.width * .62)) ** 2
    outline = np.concatenate([np.stack([xs, camera.height - top * (.25 + bow)], 1),
                              [(camera.width + 1, camera.height + 1), (-2, camera.height + 1)]])
    sketch = plan.sketch()
    dark = vehicles.darker(color, .8)
    sketch.flat("ego vehicle", outline, 1.2,
                lambda brush: brush.gradient(vehicles.darker(dark, 1.2), vehicles.darker(dark, .5)))
    return sketch.shapes
