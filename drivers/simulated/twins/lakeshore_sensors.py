"""A platinum sensor on an input of a temperature controller: its resistance, what may break, what the input says.

Resistance after IEC 60751 (Callendar-Van Dusen), which is the standard curve 6 of the instrument within its range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = [
    "INVALID",
    "OVERRANGE",
    "SENSOR_OVER",
    "SENSOR_ZERO",
    "STANDARD",
    "UNDERRANGE",
    "Curve",
    "Sensor",
    "pt100_k",
    "pt100_ohm",
]

INVALID, UNDERRANGE, OVERRANGE, SENSOR_ZERO, SENSOR_OVER = 1, 16, 32, 64, 128
"""Bits of ``RDGST?`` (instruments §2.9)."""

ZERO_K = 273.15
_A, _B, _C = 3.9083e-3, -5.775e-7, -4.183e-12  # IEC 60751


def pt100_ohm(kelvin: float) -> float:
    """Return the resistance of a Pt100 at a temperature, Ohm."""
    t = kelvin - ZERO_K
    ohm = 1.0 + t * (_A + t * _B)
    if t < 0.0:
        ohm += _C * (t - 100.0) * t**3
    return 100.0 * ohm


def pt100_k(ohm: float) -> float:
    """Return the temperature at which a Pt100 has a resistance, K; NaN where it never has it."""
    relative = ohm / 100.0
    root = _A * _A - 4.0 * _B * (1.0 - relative)
    if not math.isfinite(relative) or root < 0.0:
        return math.nan
    kelvin = ZERO_K + (math.sqrt(root) - _A) / (2.0 * _B)
    for _ in range(20 if relative < 1.0 else 0):  # the cubic term below 0 C, by Newton's rule
        step = (pt100_ohm(kelvin) - ohm) / (pt100_ohm(kelvin + 0.005) - pt100_ohm(kelvin - 0.005)) * 0.01
        kelvin -= step
        if abs(step) < 1e-9:
            break
    return kelvin


@dataclass
class Curve:
    """A curve that turns sensor units into kelvin.

    Attributes
    ----------
    name, serial : str
        Of its header.
    format : int
        1 mV/K, 2 V/K, 3 Ohm/K, 4 log Ohm/K.
    limit_k : float
        Setpoints go up to this.
    coefficient : int
        1 negative, 2 positive.
    ohm_scale : float
        A standard platinum curve: of how many Pt100 in series; 0 for one that only its points describe.
    points : dict
        Number of a point -> (sensor units, kelvin).
    """

    name: str = "User Curve"
    serial: str = ""
    format: int = 2
    limit_k: float = 375.0
    coefficient: int = 1
    ohm_scale: float = 0.0
    points: dict[int, tuple[float, float]] = field(default_factory=dict)

    def fits(self, sensor_type: int) -> bool:
        """Tell whether it may be used with a sensor type of ``INTYPE`` (1 diode, 2 platinum, 3 NTC)."""
        return self.format == {1: 2, 2: 3, 3: 4, 4: 1}.get(sensor_type)

    def kelvin(self, units: float) -> tuple[float, int]:
        """Return the temperature and status bits for a sensor reading."""
        if self.ohm_scale:
            kelvin = pt100_k(units / self.ohm_scale)
            low = 30.0
        else:
            found = sorted(
                (math.log10(u) if self.format == 4 else u, k) for u, k in self.points.values() if k
            )
            if len(found) < 2 or (self.format == 4 and units <= 0):
                return math.nan, INVALID
            kelvin = _between(found, math.log10(units) if self.format == 4 else units)
            low = min(k for _, k in found)
            if math.isnan(kelvin):
                return kelvin, OVERRANGE if (units > found[-1][0]) == (self.coefficient == 2) else UNDERRANGE
        if not kelvin >= low:
            return math.nan, UNDERRANGE
        return (kelvin, 0) if kelvin <= self.limit_k else (math.nan, OVERRANGE)


STANDARD = {
    1: Curve("DT-470", "STANDARD C", 2, 475.0, 1),
    2: Curve("DT-670", "STANDARD C", 2, 500.0, 1),
    3: Curve("DT-500-D", "STANDARD C", 2, 365.0, 1),
    4: Curve("DT-500-E1", "STANDARD C", 2, 330.0, 1),
    6: Curve("PT-100", "STANDARD C", 3, 800.0, 2, ohm_scale=1.0),
    7: Curve("PT-1000", "STANDARD C", 3, 800.0, 2, ohm_scale=10.0),
    8: Curve("RX-102A-AA", "STANDARD C", 4, 40.0, 1),
    9: Curve("RX-202A-AA", "STANDARD C", 4, 40.0, 1),
}
"""Headers of the standard curves by number; only those of platinum convert."""


def _between(found: list[tuple[float, float]], units: float) -> float:
    for (low, cold), (high, warm) in pairwise(found):
        if low <= units <= high and high > low:
            return cold + (units - low) / (high - low) * (warm - cold)
    return math.nan


@dataclass
class Sensor:
    """A Pt100, where it sits, and what is broken about it.

    Attributes
    ----------
    place : str
        "stage", "base" (cold head, or room), or "" where none is plugged in.
    fault : str
        "", "open" or "short".
    offset_k : float
        Calibration error.
    """

    place: str
    fault: str = ""
    offset_k: float = 0.0

    def ohm(self, kelvin: float) -> float:
        """Return what the input sees at a temperature."""
        if self.fault == "short":
            return 0.0
        return pt100_ohm(kelvin + self.offset_k) if self.place and not self.fault else math.inf
