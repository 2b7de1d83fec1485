"""The temperature of a simulated chip over its life, as far as its cells remember it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.cell_model import thermal_line

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["Heat"]

_CENTURY_S = 3e9
_LEAST_DOSE = 1e-5
"""A temperature that takes less than this share of a lifetime in a century is not remembered."""


class Heat:
    """The present temperature, and when it was hot enough to crystallise (device-physics §5).

    Parameters
    ----------
    card : DeviceCard
    temperature_k : float
        Of all cells now.
    past : ndarray of int64, optional
        What :meth:`past` told of a chip that goes on living: it heats nothing until :meth:`change` says from when.

    Attributes
    ----------
    temperature_k : float
        Of all cells now.
    thermal_curve : float32, shape (k, 2)
        What it does to conductances; see :func:`~drivers.simulated.cell_model.thermal_line`.
    """

    def __init__(self, card: DeviceCard, temperature_k: float, past: NDArray[np.int64] | None = None) -> None:
        self._card = card
        self._law = card.retention if card.has("retention") else None
        self._start_ns: list[int] = []
        self._end_ns: list[int] = []
        self._rate: list[float] = []
        self._open: tuple[int, float] | None = None
        for start_ns, end_ns, rate in () if past is None else past:
            self._book(int(start_ns), int(end_ns), float(rate.view(np.float64)))
        self.change(temperature_k, 0)
        if past is not None:
            self._open = None  # how long ago that past ended, the next change will tell

    def change(self, temperature_k: float, at_ns: int) -> None:
        """Take another temperature from this moment of the chip's time on."""
        if self._open is not None:
            since_ns, rate = self._open
            self._book(since_ns, at_ns, rate)
        self.temperature_k = temperature_k
        self.thermal_curve = thermal_line(self._card, temperature_k)
        rate = 0.0 if self._law is None else float(self._law.rate_per_s(temperature_k)) * 1e-9
        self._open = (at_ns, rate) if rate * 1e9 * _CENTURY_S > _LEAST_DOSE else None

    def segments(self, now_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return start and end (chip ns) and rate (lifetimes per ns) of all hot segments so far."""
        starts, ends, rates = list(self._start_ns), list(self._end_ns), list(self._rate)
        if self._open is not None and now_ns > self._open[0]:
            since_ns, rate = self._open
            if ends and ends[-1] == since_ns and rates[-1] == rate:
                ends[-1] = now_ns  # one sum of the same bits, whether or not the heat was booked on the way
            else:
                starts.append(since_ns)
                ends.append(now_ns)
                rates.append(rate)
        return np.array(starts, np.int64), np.array(ends, np.int64), np.array(rates, np.float64)

    def past(self, now_ns: int) -> NDArray[np.int64]:
        """Return the segments so far as rows (start, end, bits of the rate), for the state file."""
        start_ns, end_ns, rate = self.segments(now_ns)
        return np.stack([start_ns, end_ns, rate.view(np.int64)], axis=1)

    def _book(self, start_ns: int, end_ns: int, rate: float) -> None:
        if end_ns <= start_ns:
            return
        if self._end_ns and self._end_ns[-1] == start_ns and self._rate[-1] == rate:
            self._end_ns[-1] = end_ns
            return
        self._start_ns.append(start_ns)
        self._end_ns.append(end_ns)
        self._rate.append(rate)
