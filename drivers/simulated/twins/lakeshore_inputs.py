"""The inputs of a Lake Shore 335 / 336: what their sensors see, and what the instrument makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from drivers.simulated.twins.lakeshore_plant import Stage
from drivers.simulated.twins.lakeshore_sensors import (
    INVALID,
    SENSOR_OVER,
    SENSOR_ZERO,
    STANDARD,
    Curve,
    Sensor,
)
from drivers.simulated.twins.lakeshore_settings import Value

__all__ = ["Inputs"]

_PT100, _PT100_K = 6, (30.0, 800.0)  # number and range of the curve


class Inputs:
    """Sensors, curves and readings.

    Parameters
    ----------
    stage : Stage
    sensors : dict of str to Sensor
        By input.
    noise_k : float
        Standard deviation of a reading.
    stream : callable
        Returns a stream of random numbers of an input.
    get : callable
        Returns the values of a setting: ``get("INTYPE", "A")``.

    Attributes
    ----------
    keys : tuple of str
        "A" .. "D".
    curves : dict of int to Curve
        Of the user.
    extremes : dict of str to (float, float)
        Lowest and highest readings since they were forgotten, K.
    tick : int
        Of the present readings.
    """

    def __init__(
        self,
        stage: Stage,
        sensors: dict[str, Sensor],
        *,
        noise_k: float,
        stream: Callable[[str], np.random.Generator],
        get: Callable[..., tuple[Value, ...]],
    ) -> None:
        self.stage, self.sensors, self.noise_k, self._get = stage, sensors, noise_k, get
        self.keys = tuple(sensors)
        self.curves: dict[int, Curve] = {}
        self.extremes: dict[str, tuple[float, float]] = {}
        self.tick = 0
        self._streams = {key: stream(key) for key in sensors}
        self._seen: dict[str, tuple[int, float]] = {}
        self._straight: list[bool] = []

    def touched(self) -> None:
        """Note that settings or sensors changed: look again which curve undoes exactly what its sensor does."""
        self._straight = [False] + [
            bool(sensor.place)
            and not sensor.fault
            and self._get("INCRV", key)[0] == _PT100
            and self._get("INTYPE", key)[0] == 2
            for key, sensor in self.sensors.items()
        ]

    def _place_k(self, key: str) -> float:
        return self.stage.sensor_k if self.sensors[key].place == "stage" else self.stage.base_k

    def curve_of(self, key: str) -> Curve | None:
        """Return the curve of an input, None where it has none."""
        number = int(self._get("INCRV", key)[0])
        return self.curve(number) if number else None

    def curve(self, number: int) -> Curve:
        """Return a standard or user curve."""
        return STANDARD.get(number) or self.curves.setdefault(number, Curve())

    def _converted(self, key: str, noise_k: float) -> tuple[float, float, int]:
        """Return temperature (NaN where there is none), sensor units and status bits of an input."""
        sensor_type = int(self._get("INTYPE", key)[0])
        ohm = self.sensors[key].ohm(self._place_k(key) + noise_k)
        if not sensor_type:
            return math.nan, 0.0, INVALID
        if math.isinf(ohm):
            return math.nan, 0.0, SENSOR_OVER
        if not ohm:
            return math.nan, 0.0, SENSOR_ZERO
        units = ohm * 1e-5 if sensor_type == 1 else ohm  # a diode input drives 10 uA and shows volts
        curve = self.curve_of(key)
        if curve is None:
            return math.nan, units, INVALID
        kelvin, status = curve.kelvin(units)
        return kelvin, units, status

    def truth_k(self, number: int) -> float:
        """Return what control loop and limits see of input 1..4: without the noise of a reading."""
        if not number:
            return math.nan
        key = self.keys[number - 1]
        if self._straight[number]:
            kelvin = self._place_k(key) + self.sensors[key].offset_k
            if _PT100_K[0] < kelvin < _PT100_K[1]:
                return kelvin
        return self._converted(key, 0.0)[0]

    def reading(self, key: str) -> tuple[float, float, int]:
        """Return the reading of the present tick: the same to everybody who asks."""
        found = self._seen.get(key)
        if found is None or found[0] != self.tick:
            found = self._seen[key] = self.tick, self.noise_k * float(self._streams[key].standard_normal())
        kelvin, units, status = self._converted(key, found[1])
        if not status:
            low, high = self.extremes.get(key, (kelvin, kelvin))
            self.extremes[key] = min(low, kelvin), max(high, kelvin)
        return kelvin, units, status

    def status(self, key: str) -> int:
        """Return the status bits of an input, without taking a reading."""
        return self._converted(key, 0.0)[2]
