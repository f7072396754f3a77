"""Plan the traffic: place moving and parked vehicles."""

import numpy as np

from toy.streets import coaches, people, vehicles
from toy.streets.plan import Plan
from toy.streets.sketch import Thing
from toy.streets.vehicles import Pose


def plan_traffic(plan: Plan) -> None:
    """Fill lanes and kerbs, preferring the requested rare vehicles."""
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
        while s < (55 if parked else 75):
            name = queue.pop() if queue and s < 30 and plan.chance(.75) else "car"
            length = _add_vehicle(plan, name, u, s, side, parked, taken)
            s += length + rng.uniform(*gap)
            if parked and plan.chance(.15):
                s += rng.uniform(5, 12)
    for name in queue:  # vehicles that found no place drive beside the kerb
        _add_vehicle(plan, name, street.half - 1.0, rng.uniform(8, 16), 1, False, {})
    _plan_cross_traffic(plan)


def _add_train(plan: Plan, taken: dict, lanes: list) -> None:
    """Add a tram along the street or on the crossing road."""
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
    plan.add(coaches.tram(plan.sketch(), pose, rng, color, True))


def _add_vehicle(plan: Plan, name: str, u: float, s: float, side: int, parked: bool,
                 taken: dict) -> float:
    """Add a vehicle with its near end at s if there is room; return its length in metres."""
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
        return coaches.bus(sketch, pose, rng, color, lit)
    if name == "truck":
        return coaches.truck(sketch, pose, rng, color, lit)
    if name == "cyclist":
        thing = people.bicycle(sketch, pose, rng)
    else:
        thing = people.motorcycle(sketch, pose, rng, lit)
    if name != "motorcycle" and thing.shapes:
        people.rider(sketch, pose, rng, name == "motorcyclist")
    return thing


def _plan_cross_traffic(plan: Plan) -> None:
    """Add vehicles on the crossing road, seen from the side."""
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
