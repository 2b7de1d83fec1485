"""Settings of the simulated controller: pulse templates, read settings, supply rails."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["PulseTemplate", "ReadSettings", "Shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """The trapezoid given to a cell, integer nanoseconds; `peak` is its height as a fraction of the amplitude."""

    rise_ns: int
    top_ns: int
    fall_ns: int
    peak: float = 1.0

    @property
    def width_ns(self) -> int:
        """From the first rise to the end of the fall."""
        return self.rise_ns + self.top_ns + self.fall_ns

    def cut(self, elapsed_ns: int) -> Shape:
        """Return what a cell sees of the pulse when the outputs open `elapsed_ns` after its start."""
        if elapsed_ns >= self.width_ns:
            return self
        if elapsed_ns <= self.rise_ns:
            return Shape(max(elapsed_ns, 1), 0, 0, self.peak * max(elapsed_ns, 1) / self.rise_ns)
        top = min(elapsed_ns - self.rise_ns, self.top_ns)
        return Shape(self.rise_ns, top, max(0, elapsed_ns - self.rise_ns - top), self.peak)


@dataclass(slots=True)
class PulseTemplate:
    """A pulse template as the board keeps it (controller-protocol §7.5).

    Attributes
    ----------
    shape : Shape
    period_ns : int
        From start to start on one drive.
    word_line_v : float or None
        None follows the rail.
    full_scale : float or None
        None until it is sent; a batch is refused before.
    """

    shape: Shape
    period_ns: int
    limit_a: float
    kind: str = "SET"
    unit: str = "A"
    word_line_v: float | None = None
    full_scale: float | None = None
    trapezoid: Shape = field(init=False)

    def __post_init__(self) -> None:
        self.trapezoid = self.shape

    def set_segments(self, times_ns: NDArray[np.int64], fractions: NDArray[np.float32]) -> None:
        """Replace the trapezoid by the one that encloses a list of segments.

        The chip model knows trapezoids. What melts and what anneals is ruled by the time at the top and by the
        fall behind it, so the edges run to the first and from the last moment of the greatest fraction.
        """
        peak = float(fractions.max())
        at_peak = np.flatnonzero(fractions == fractions.max())
        first, last = int(times_ns[at_peak[0]]), int(times_ns[at_peak[-1]])
        end = int(times_ns[-1])
        rise = max(first, 1)
        self.shape = Shape(rise, max(last - first, 0), max(end - rise - max(last - first, 0), 0), peak)


@dataclass(slots=True)
class ReadSettings:
    """How the next read is made; `range_a` None chooses the range for every cell."""

    voltage_v: float = 0.2
    samples: int = 1
    aperture_s: float = 1e-6
    range_a: float | None = None

    def copy(self) -> ReadSettings:
        """Return the settings as they are now."""
        return ReadSettings(self.voltage_v, self.samples, self.aperture_s, self.range_a)
