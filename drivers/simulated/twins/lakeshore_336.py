"""The twin of a Lake Shore 336 (and 335) with a stage, as a bench file describes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from drivers.simulated.twin import Twin
from drivers.simulated.twins.lakeshore_machine import Machine
from drivers.simulated.twins.lakeshore_plant import Heater, Stage
from drivers.simulated.twins.lakeshore_sensors import Sensor
from drivers.simulated.twins.lakeshore_twin import LakeShoreTwin

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.world import World

__all__ = ["build"]


def build(name: str, simulated: SimulatedTwin, world: World) -> Twin:
    """Build a 335 or 336.

    Options: ``base_k`` (cold head; the room where it is left out), ``heat_capacity_j_k``, ``conductance_w_k``,
    ``sensor_lag_s``, ``noise_k``, ``accuracy_k`` (standard deviation of the sensors' calibration), ``sensors`` (lines
    like ``A=stage``, ``B=base``, the other inputs are empty), ``heaters`` (lines like ``1=25``, Ohm on the stage).

    Raises
    ------
    ValueError
        Options there are not.
    """
    model = simulated.model.removeprefix("lakeshore-")
    options = {
        "base_k": 0.0,
        "heat_capacity_j_k": 75.0,
        "conductance_w_k": 0.15,
        "sensor_lag_s": 1.0,
        "noise_k": 0.002,
        "accuracy_k": 0.02,
        "sensors": ["A=stage", "B=base"],
        "heaters": ["1=25"],
    }  # defaults: a small hot stage, 25 W of which warm it by 167 K
    if unknown := simulated.options.keys() - options.keys():
        raise ValueError(f"{name}: no options {', '.join(sorted(unknown))}; there are {', '.join(options)}")
    options.update(simulated.options)
    inputs, outputs = ("ABCD", "1234") if model == "336" else ("AB", "12")
    places = _lines(name, options["sensors"], inputs)
    offsets = world.random(name, "offsets").standard_normal(len(inputs)) * _real(options["accuracy_k"])
    base_k = _real(options["base_k"])
    if wrong := set(places.values()) - {"stage", "base"}:
        raise ValueError(f"{name}: sensors sit on the stage or the base, not on {', '.join(sorted(wrong))}")
    if any(_real(options[key]) <= 0 for key in ("heat_capacity_j_k", "conductance_w_k", "sensor_lag_s")):
        raise ValueError(f"{name}: there is no stage without heat capacity, conductance and sensor lag")
    stage = Stage(
        base_k or world.ambient_k(),
        heat_capacity_j_k=_real(options["heat_capacity_j_k"]),
        conductance_w_k=_real(options["conductance_w_k"]),
        sensor_lag_s=_real(options["sensor_lag_s"]),
    )
    machine = Machine(
        name,
        world,
        model=model,
        stage=stage,
        sensors={
            key: Sensor(places.get(key, ""), offset_k=float(offset))
            for key, offset in zip(inputs, offsets, strict=True)
        },
        heaters={
            key: Heater(float(_lines(name, options["heaters"], outputs).get(key, math.inf)))
            for key in outputs
        },
        noise_k=_real(options["noise_k"]),
        follows_room=not base_k,
    )
    serial, firmware = simulated.serial or "LSA12345/#######", simulated.firmware or "2.9"
    return LakeShoreTwin(name, world, world.lock, machine, f"LSCI,MODEL{model},{serial},{firmware}")


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")  # noqa: TRY004 - as everything wrong with options
    return float(value)


def _lines(name: str, lines: object, keys: str) -> dict[str, str]:
    if not isinstance(lines, list) or not all("=" in str(line) for line in lines):
        raise ValueError(f"{name}: {lines!r} is no list of lines like {keys[0]}=value")
    found = dict(str(line).split("=", 1) for line in lines)
    if unknown := found.keys() - set(keys):
        raise ValueError(f"{name}: there is no {', '.join(sorted(unknown))}; there are {', '.join(keys)}")
    return found
