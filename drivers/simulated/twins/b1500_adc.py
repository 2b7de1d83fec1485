"""The converters of a B1500A: how long a measurement integrates, how finely and how quietly it measures."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["HIGH_RESOLUTION", "HIGH_SPEED", "PULSED", "Adc"]

HIGH_SPEED, HIGH_RESOLUTION, PULSED = 0, 1, 2
AUTO, MANUAL, POWER_LINE, TIME = range(4)

OVERHEAD_S = 40e-6
"""Of one measurement beside its integration: a default [K], short enough for the published 100 us of sampling."""

_AUTO_S = {HIGH_SPEED: 20e-6, HIGH_RESOLUTION: 1e-3, PULSED: 20e-6}
_MANUAL_S = {HIGH_SPEED: 8e-6, HIGH_RESOLUTION: 80e-6, PULSED: 8e-6}
"""Of one sample: defaults [K]. Auto takes ten times longer per decade below 1 uA."""

_AUTO_DECADE_A = 1e-6
_SLOWEST = 1000.0

_RESOLUTION = {HIGH_SPEED: 2e-5, HIGH_RESOLUTION: 1e-6, PULSED: 2e-5}
"""Of the range: defaults [K]."""

_NOISE = {HIGH_SPEED: 6e-5, HIGH_RESOLUTION: 1.5e-6, PULSED: 6e-5}
"""Standard deviation of the range at 20 us (high speed) or 20 ms (high resolution): defaults [K]."""

_NOISE_S = {HIGH_SPEED: 20e-6, HIGH_RESOLUTION: 20e-3, PULSED: 20e-6}


@dataclass(slots=True)
class Adc:
    """One kind of converter with what AIT and AV set."""

    kind: int
    mode: int
    count: float

    def aperture_s(self, current_range_a: float, line_hz: float, *, auto_zero: bool) -> float:
        """Return how long it integrates on a current range (voltages count as large ones), seconds."""
        if self.mode == TIME:
            once_s = self.count
        elif self.mode == POWER_LINE:
            once_s = self.count / line_hz
        elif self.mode == MANUAL:
            once_s = self.count * _MANUAL_S[self.kind]
        else:
            slower = min(_SLOWEST, max(1.0, _AUTO_DECADE_A / current_range_a))
            once_s = self.count * _AUTO_S[self.kind] * slower
        # "AZ 0 roughly halves the integration time" (Programming Guide 4-45)
        return once_s * (2.0 if auto_zero and self.kind == HIGH_RESOLUTION else 1.0)

    def resolution(self) -> float:
        """Return the smallest step, of the range."""
        return _RESOLUTION[self.kind]

    def noise(self, aperture_s: float) -> float:
        """Return the standard deviation of a reading, of the range."""
        return _NOISE[self.kind] * math.sqrt(_NOISE_S[self.kind] / aperture_s)


def initial() -> dict[int, Adc]:
    """Return the converters as after a reset: published for the first two (instruments §2.2)."""
    return {
        HIGH_SPEED: Adc(HIGH_SPEED, AUTO, 1),
        HIGH_RESOLUTION: Adc(HIGH_RESOLUTION, AUTO, 6),
        PULSED: Adc(PULSED, TIME, 2e-6),
    }
