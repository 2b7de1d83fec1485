"""The standard pulses of a simulated 4225-PMU: settings of a channel, what is refused when it is executed, the waves.

Limits are those of the KXCI manual (instruments §2.6); ``width`` is the full width at half maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.terminals import Wave
from drivers.simulated.twins.keithley_4200_samples import ranges_of
from drivers.simulated.twins.kxci_errors import KxciError

__all__ = ["LLEC_OHM", "OUTPUT_OHM", "POINTS_MAX", "PulseChannel", "drive", "output_limit_a"]

OUTPUT_OHM = 50.0
LLEC_OHM = 0.5
"""Default: what load-line effect compensation leaves of the output resistance; its trial pulses are not played."""
POINTS_MAX = 65536
_SHORTEST_S = {10.0: (60e-9, 40e-9, 20e-9), 40.0: (500e-9, 250e-9, 50e-9)}
"""Source range -> shortest period, width, edge."""
_EDGE_MAX_S, _PERIOD_MAX_S, _OFF_MIN_S = 33e-3, 1.0, 40e-9
_TINY = 1e-12


@dataclass(slots=True)
class PulseChannel:
    """What one channel is set to; the defaults are those after ``:PMU:INIT``."""

    source_v: float = 10.0
    range_type: int = 2
    range_a: float = 1e-2
    load_ohm: float = 1e6
    llec: bool = False
    base_v: float = 0.0
    amplitude_v: float = 0.0
    width_s: float = 500e-9
    rise_s: float = 100e-9
    fall_s: float = 100e-9
    delay_s: float = 0.0
    output: bool = False
    retain: bool = False
    spot: tuple[float, float] = (0.75, 0.90)
    acquire: tuple[bool, bool] = (True, True)
    margins: tuple[float, float] = (0.2, 0.2)
    sweep: list[tuple[float, float]] = field(default_factory=list)
    step: list[tuple[float, float]] = field(default_factory=list)

    @property
    def auto(self) -> bool:
        """Whether the current range is looked for."""
        return self.range_type != 2

    @property
    def top_s(self) -> float:
        """Time at the amplitude."""
        return self.width_s - (self.rise_s + self.fall_s) / 2

    def measuring_a(self, *, rpm: bool) -> float:
        """Return the current range the output works on: the fixed one, or the largest; -967 for one it lacks."""
        ranges = ranges_of(self.source_v, rpm=rpm)
        if self.range_type == 0:
            return ranges[-1]
        found = next((each for each in ranges if abs(each / self.range_a - 1) < 1e-6), None)
        if found is None:
            raise KxciError(-967)
        return ranges[-1] if self.auto else found

    def check(self, period_s: float) -> None:
        """Refuse times that cannot be had (-967)."""
        period_min, width_min, edge_min = _SHORTEST_S[self.source_v]
        half = (self.rise_s + self.fall_s) / 2
        fits = (
            period_min - _TINY <= period_s <= _PERIOD_MAX_S
            and self.width_s >= width_min - _TINY
            and all(edge_min - _TINY <= each <= _EDGE_MAX_S + _TINY for each in (self.rise_s, self.fall_s))
            and self.width_s > half
            and self.rise_s <= self.width_s + _TINY
            and (self.delay_s == 0.0 or self.delay_s >= 20e-9 - _TINY)
            and period_s - self.delay_s - self.width_s - half > _OFF_MIN_S - _TINY
        )
        if not fits:
            raise KxciError(-967)

    def wave(self, base_v: float, amplitude_v: float, period_s: float, count: int, limit_a: float) -> Wave:
        """Return the wave of `count` pulses."""
        base, high, ohm = *drive(self, base_v, amplitude_v), LLEC_OHM if self.llec else OUTPUT_OHM
        ends = np.cumsum([self.delay_s, self.rise_s, self.top_s, self.fall_s])
        points = [(0.0, base), (ends[0], base), (ends[1], high), (ends[2], high), (ends[3], base)]
        points.append((max(period_s, ends[3]), base))
        times, levels = [0.0], [base]
        for time_s, level in points[1:]:
            if time_s > times[-1]:
                times.append(float(time_s))
                levels.append(level)
        return Wave(np.array(times), np.array(levels), ohm, limit_a, count, period_s)

    def windows(self, period_s: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return where spot means are taken, at the amplitude and at the base behind the pulse, seconds."""
        top = self.delay_s + self.rise_s
        low = top + self.top_s + self.fall_s
        first, last = self.spot
        high = (top + first * self.top_s, top + last * self.top_s)
        return high, (low + first * (period_s - low), low + last * (period_s - low))

    def captured(self, period_s: float) -> tuple[float, float]:
        """Return what a waveform measurement records: the pulse and its margins, in widths, seconds."""
        end = self.delay_s + self.rise_s + self.top_s + self.fall_s
        before, after = (each * self.width_s for each in self.margins)
        return max(0.0, self.delay_s - before), min(period_s, end + after)


def drive(channel: PulseChannel, *levels_v: float) -> tuple[float, ...]:
    """Return what the open output must be for these levels at the load, which LLEC need not be told.

    Raises
    ------
    KxciError
        -967 where base and amplitude lie further apart than the source range, -964 where the load needs more than
        the output has.
    """
    if max(levels_v) - min(levels_v) > channel.source_v * (1 + 1e-9):
        raise KxciError(-967)
    if any(abs(level) > channel.source_v * (1 + 1e-9) for level in levels_v):
        raise KxciError(-967)
    if channel.llec:
        return levels_v
    scale = (OUTPUT_OHM + channel.load_ohm) / channel.load_ohm
    # A load of 1 MOhm or more counts as open: 10 V are 10 V then.
    scale = 1.0 if channel.load_ohm >= 1e6 else scale
    if any(abs(level) * scale > channel.source_v * (1 + 1e-9) for level in levels_v):
        raise KxciError(-964)
    return tuple(level * scale for level in levels_v)


def output_limit_a(source_v: float) -> float:
    """Return what the output can give into a short circuit, ampere."""
    return source_v / OUTPUT_OHM


def sample_times(window_s: tuple[float, float], rate_hz: float) -> NDArray[np.float64]:
    """Return when samples are taken in a window; at least one, in its middle."""
    first, last = window_s
    count = int((last - first) * rate_hz + 1e-6)
    if count < 1:
        return np.array([(first + last) / 2])
    return first + np.arange(count) / rate_hz
