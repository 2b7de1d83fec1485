"""One period of a function generator's output: straight lines between (time, level), from level 0 below to 1 above.

What has edges is drawn corner by corner; a sine by :data:`POINTS` points, which is this file's default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FULL_EDGE", "POINTS", "Drawn", "arbitrary", "pulse", "ramp", "sine", "square"]

POINTS = 200
FULL_EDGE = 1.25
"""An edge from 0 to 100 % over the same edge from 10 to 90 %, the way makers state it."""

Line = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A curve from time 0; `level` from 0 (lower) to 1 (upper)."""

    t_s: Line
    level: Line

    @property
    def mean(self) -> float:
        """Mean level over its duration."""
        return float(np.trapezoid(self.level, self.t_s) / (self.t_s[-1] - self.t_s[0]))


def _drawn(points: list[tuple[float, float]]) -> Drawn:
    """Join points, those that add no time left out."""
    kept = [points[0]]
    for time, level in points[1:]:
        if time > kept[-1][0]:
            kept.append((time, level))
        else:
            kept[-1] = (kept[-1][0], level)
    if len(kept) == 1:
        kept.append((kept[0][0] + 1e-12, kept[0][1]))
    return Drawn(np.array([time for time, _ in kept]), np.array([level for _, level in kept]))


def pulse(
    width_s: float, lead_s: float, trail_s: float, delay_s: float = 0.0, period_s: float = 0.0
) -> Drawn:
    """Draw a trapezoid; the width is at half the height, the edges are from 10 to 90 %."""
    rise, fall = FULL_EDGE * lead_s, FULL_EDGE * trail_s
    top = max(width_s - (rise + fall) / 2, 0.0)
    end = delay_s + rise + top + fall
    points = [(0.0, 0.0), (delay_s, 0.0), (delay_s + rise, 1.0), (delay_s + rise + top, 1.0), (end, 0.0)]
    if period_s > end:
        points.append((period_s, 0.0))
    return _drawn(points)


def square(period_s: float, duty: float, edge_s: float) -> Drawn:
    """Draw a square wave, upper half first; `duty` from 0 to 1, edges from 10 to 90 %."""
    edge = min(FULL_EDGE * edge_s, period_s / 4)
    high = duty * period_s
    return _drawn(
        [(0.0, 0.0), (edge, 1.0), (max(high, edge), 1.0), (min(high + edge, period_s), 0.0), (period_s, 0.0)]
    )


def ramp(period_s: float, symmetry: float) -> Drawn:
    """Draw a ramp that rises for a part `symmetry` of its period."""
    return _drawn([(0.0, 0.0), (symmetry * period_s, 1.0), (period_s, 0.0)])


def sine(period_s: float) -> Drawn:
    """Draw one period of a sine from its middle."""
    t = np.linspace(0.0, 1.0, POINTS + 1)
    return Drawn(t * period_s, 0.5 + 0.5 * np.sin(2 * np.pi * t))


def arbitrary(points: NDArray[np.float64], period_s: float, *, steps: bool = False) -> Drawn:
    """Draw points from -1 to 1 spread over a period, joined by lines or, with `steps`, held."""
    level = (1 + points) / 2
    if not steps:
        return Drawn(np.linspace(0.0, period_s, len(level) + 1), np.append(level, level[0]))
    starts = np.arange(len(level)) * (period_s / len(level))
    ends = starts + period_s / len(level) * (1 - 1e-6)
    return Drawn(np.column_stack([starts, ends]).ravel(), np.repeat(level, 2))
