"""Plan a street: choose and place its objects."""

import numpy as np

from toy.streets import buildings, facades, people, street_objects, vehicles
from toy.streets.camera import Camera
from toy.streets.ground import Street, ground_shapes
from toy.streets.plan import PLACES, RARE, Place, Plan
from toy.streets.scene import Scene, drop_hidden, painters_order
from toy.streets.traffic import plan_traffic
from toy.streets.vehicles import Pose


def sample_scene(rng: np.random.Generator, place: str, width: int, height: int) -> Scene:
    """Invent a street.

    Args:
        rng: Source of all randomness.
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
    plan_traffic(plan)
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
    """Fill the building line with houses, gaps, walls, fences and trees."""
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
    while s < 110:
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
    style = facades.sample_style(rng, name, use)
    storeys = {"tower": (5, 14), "block": (3, 6), "house": (1, 3), "hall": (2, 3)}[use]
    height = int(rng.integers(*storeys)) * style.floor + (1.5 if style.shop else .9)
    sketch = plan.sketch()
    plan.add(buildings.building(sketch, side, front + rng.uniform(0, .8), (s0, s1), height, style))


def _plan_barrier(plan: Plan, side: int, barrier: str | None) -> None:
    """Place walls, fences or hedges along the building line."""
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
    """Place lamps, trees, signs, bins and bollards along the kerb."""
    rng, street = plan.rng, plan.street
    kerb = side * (street.half + .6)
    s = rng.uniform(6, 16)
    utility = plan.chance(.25)
    while s < 90:
        if not plan.blocked(s, s, 1):
            if utility and not plan.chance(.4):
                plan.add(street_objects.utility_pole(plan.sketch(), kerb, s, rng))
            else:
                lamp = street_objects.street_lamp(plan.sketch(), kerb, s, -side, rng)
                plan.add(lamp)
                plan.lamps.append((kerb - side * 1.6, 7.5, s))
        s += rng.uniform(16, 26)
    if plan.chance(.55):
        for s in np.arange(rng.uniform(8, 14), 75, rng.uniform(8, 14)):
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
        end = s + rng.uniform(8, 20)
        plan.add(street_objects.bollards(plan.sketch(), kerb - side * .1, s, end))
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
    for _ in range(int(rng.integers(2, 6))):
        s = float(np.exp(rng.uniform(np.log(6), np.log(45))))
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


def _hood(plan: Plan) -> list:
    """Draw the ego vehicle's bonnet along the lower edge."""
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
