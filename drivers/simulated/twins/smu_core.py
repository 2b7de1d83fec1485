"""The analogue side of a simulated SCPI source-meter: source, compliance, ranges, noise and settling.

Ranges are the model's; that a range reaches 5 % beyond its name, noise, digits and settling are defaults of this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drivers.simulated.terminals import Amperes, Bench, Opened, Terminal, Volts

__all__ = ["OVER", "Measured", "SmuCore", "SmuRanges"]

OVER = 1.05
"""A range holds values up to this times its name."""

_NOISE = 3e-6
"""Noise of a reading over one power line cycle, of the range."""

_DIGIT = 1e-6
"""Resolution of a reading, of the range: 6 1/2 digits."""

_SETTLE_S = 200e-6
"""Settling after a change of source or range (instruments §2.12: the 2450 on its 20 V range)."""


@dataclass(frozen=True)
class SmuRanges:
    """Names of the ranges, ascending, volt and ampere."""

    volts: tuple[float, ...]
    amperes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement.

    Attributes
    ----------
    voltage_v, current_a : float
    limited : bool
        Compliance acted.
    over : bool
        A fixed range was exceeded: the value of that function is none.
    t_s : float
        Bench time at its end.
    """

    voltage_v: float
    current_a: float
    limited: bool
    over: bool
    t_s: float


class SmuCore:
    """One channel.

    Parameters
    ----------
    bench : Bench
    terminal : Terminal
    rng : Generator
    ranges : SmuRanges

    Attributes
    ----------
    on, sources_voltage : bool
    level, limit : float
        Of the source, and of the other quantity.
    range_v, range_a : float or None
        Fixed measuring ranges; None: automatic.
    aperture_s : float
    """

    def __init__(self, bench: Bench, terminal: Terminal, rng: np.random.Generator, ranges: SmuRanges) -> None:
        self.bench, self.terminal, self.ranges = bench, terminal, ranges
        self._rng = rng
        self.on, self.sources_voltage = False, True
        self.level, self.limit = 0.0, 105e-6
        self.range_v: float | None = None
        self.range_a: float | None = None
        self.aperture_s = 1 / 50
        self._used: tuple[float, float] | None = None

    @staticmethod
    def fitting(value: float, ranges: tuple[float, ...]) -> float:
        """Return the smallest range that holds a value, the largest where none does."""
        return next((name for name in ranges if abs(value) <= OVER * name), ranges[-1])

    def show(self) -> None:
        """Present the source at the terminal; a changed one needs its settling time."""
        if not self.on:
            self.terminal.present(Opened())
        elif self.sources_voltage:
            self.terminal.present(Volts(self.level, limit_a=self._limit(self.range_a)))
        else:
            self.terminal.present(Amperes(self.level, limit_v=self._limit(self.range_v)))
        self._used = None

    def _limit(self, fixed: float | None) -> float:
        """Return the compliance, which a fixed measuring range holds down (range compliance)."""
        return self.limit if fixed is None else min(self.limit, OVER * fixed)

    def measure(self) -> Measured:
        """Measure both quantities once; the bench's time moves by settling and aperture."""
        if self._used is None:
            self.bench.pass_s(_SETTLE_S)
        point = self.terminal.look(self.aperture_s)
        range_v = self.range_v or self.fitting(point.voltage_v, self.ranges.volts)
        range_a = self.range_a or self.fitting(point.current_a, self.ranges.amperes)
        if self._used not in (None, (range_v, range_a)):
            self.bench.pass_s(_SETTLE_S)
        self._used = range_v, range_a
        over = abs(point.voltage_v) > OVER * range_v * (1 + 1e-9) or abs(point.current_a) > OVER * range_a * (
            1 + 1e-9
        )
        return Measured(
            self._read(point.voltage_v, range_v),
            self._read(point.current_a, range_a),
            point.limited,
            over,
            self.bench.now_ns / 1e9,
        )

    def _read(self, value: float, name: float) -> float:
        cycles = max(self.aperture_s * 50, 1e-4)
        noisy = value + name * _NOISE / math.sqrt(cycles) * float(self._rng.standard_normal())
        return round(noisy / (name * _DIGIT)) * name * _DIGIT
