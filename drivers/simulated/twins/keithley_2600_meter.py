"""What a channel of the 2600 makes of the true voltage and current: settling, noise, offset, gain, resolution.

Numbers that no source states are named here; the derating below 1 PLC is a third of the figures of the datasheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drivers.simulated.twins.keithley_2600_models import FULL_SCALE

__all__ = ["CONVERSION_S", "Meter", "residue", "settling_s"]

CONVERSION_S = 33e-6
"""Seconds a reading takes beyond its aperture: 20000 readings/s at 0.001 PLC and 60 Hz (instruments §2.1)."""

SETTLING_S = {100e-12: 0.15, 1e-9: 50e-3, 10e-9: 10e-3, 100e-9: 2e-3, 1e-6: 0.5e-3, 10e-6: 0.2e-3}
"""Seconds until a current range has settled to 0.1 %: defaults (instruments §2.1: 1 nA, tens of ms)."""

SETTLING_REST_S = 80e-6
"""The same of every other range: a default."""

NOISE_AT_1_PLC = 2.7e-6
"""Standard deviation at 1 PLC as a fraction of the range; in inverse proportion below (0.8 % at 0.001 PLC)."""

OFFSET = 30e-6
"""Standard deviation of a range's offset, as a fraction of the range: a default."""

SMALLEST_OFFSET_A = 20e-15
"""The same of the lowest current ranges: a default."""

GAIN = 50e-6
"""Standard deviation of a range's gain error: a default."""

DIGITS = 1e-6
"""Resolution as a fraction of the range: 100 fA on 100 nA (datasheet)."""

_LN_1000 = math.log(1000.0)


def settling_s(range_a: float) -> float:
    """Return how long a current range takes to settle, seconds."""
    return next(
        (seconds for each, seconds in SETTLING_S.items() if math.isclose(each, range_a)), SETTLING_REST_S
    )


class Meter:
    """The meter of one quantity.

    Parameters
    ----------
    ranges : sequence of float
        V or A.
    individual : Generator
        Draws what this very meter is like.
    noise : Generator
        Draws its noise.
    smallest_offset : float
        V or A.
    """

    def __init__(
        self,
        ranges: Sequence[float],
        individual: np.random.Generator,
        noise: np.random.Generator,
        smallest_offset: float = 0.0,
    ) -> None:
        self.ranges = tuple(ranges)
        self._noise = noise
        self._offset = [
            float(individual.normal()) * max(OFFSET * each, smallest_offset) for each in self.ranges
        ]
        self._gain = [1.0 + float(individual.normal()) * GAIN for _ in self.ranges]

    def reading(self, value: float, range_: float, plc: float) -> float | None:
        """Return what is displayed for a value; None where it is over the range."""
        at = self.ranges.index(range_)
        spread = NOISE_AT_1_PLC * range_ / (plc if plc < 1.0 else math.sqrt(plc))
        found = value * self._gain[at] + self._offset[at] + spread * float(self._noise.normal())
        if abs(value) > FULL_SCALE * range_:
            return None
        step = DIGITS * range_
        return round(found / step) * step


def residue(before: float, now: float, since_s: float, range_a: float) -> float:
    """Return what a range that is still settling shows of a step from `before` to `now`."""
    left = math.exp(-since_s * _LN_1000 / settling_s(range_a))
    return now + (before - now) * left
