"""Proportional programming on the melt branch (device-physics §3.7, algorithms §2).

A melting pulse erases the history of a cell, so its conductance depends on the last current alone, and more
current leaves less conductance: ``I <- I + K (G_read - G_T')``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration import DeviceCard
    from labkit.programming.settings import ProgramSettings

__all__ = ["Proportional"]

_SHALLOWEST = 0.02
"""Melt depth below which the steep beginning of the branch is taken for straight. A default: a cell there is
moved by its spread from melt to melt more than by its current."""


class Proportional:
    """The loop of Papandreou's kind, one gain per cell.

    The first current is that of the card's mean device. K starts at `loop_gain` over the slope of the card's
    curve at the target (gains do not carry over between chips), and is halved whenever a cell crosses its
    target, down to `loop_gain_min` over the slope: the current settles where the cell lands on target in the
    mean, and its spread from pulse to pulse does the rest.

    Parameters
    ----------
    card : DeviceCard
        With programming curve and drift, and with programming error where `margin_s` is open.
    settings : ProgramSettings
        With nothing left open.
    """

    def __init__(self, card: DeviceCard, settings: ProgramSettings) -> None:
        self._card = card
        self._settings = settings
        low_a, high_a = settings.current_min_a, settings.current_max_a
        self._low_a, self._high_a = np.float32(low_a or 0.0), np.float32(high_a)
        empty = np.zeros(0, np.float32)
        self._current_a = self._margin_s = self._gain = self._gain_min = self._error_s = empty

    def first(self, target_s: NDArray[np.float32]) -> NDArray[np.float32]:
        """Begin with these cells and return their first currents, ampere."""
        card, settings = self._card, self._settings
        g = target_s / card.g_max_s
        drift, curve = card.drift, card.programming_curve
        # The curve holds at its own reference age, the target at t0.
        leaves_s = target_s * drift.factor(drift.pulse_reference_age_s, drift.mean_exponent(g))
        current_a = curve.current_for_a(leaves_s)
        slope = _slope(curve.melt_depth(current_a), curve.slope_s_per_a, curve.melt_exponent)
        self._current_a = np.clip(current_a.astype(np.float32), self._low_a, self._high_a)
        self._gain = (settings.loop_gain / slope).astype(np.float32)
        self._gain_min = (settings.loop_gain_min / slope).astype(np.float32)
        if settings.margin_s is None:
            self._margin_s = (settings.margin_sigmas * card.programming_error.sigma_s(g)).astype(np.float32)
        else:
            self._margin_s = np.full(target_s.shape, settings.margin_s, np.float32)
        self._error_s = np.zeros(target_s.shape, np.float32)
        return self._current_a

    def accepts(self, error_s: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which cells lie within their margins."""
        within: NDArray[np.bool_] = np.abs(error_s) <= self._margin_s
        return within

    def keep(self, chosen: NDArray[np.intp]) -> None:
        """Forget all cells but those at these places."""
        self._current_a = self._current_a[chosen]
        self._margin_s = self._margin_s[chosen]
        self._gain = self._gain[chosen]
        self._gain_min = self._gain_min[chosen]
        self._error_s = self._error_s[chosen]

    def next(self, error_s: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the next currents, ampere."""
        crossed = self._error_s * error_s < 0
        self._gain *= np.where(crossed, np.float32(0.5), np.float32(1.0))
        np.maximum(self._gain, self._gain_min, out=self._gain)
        # A new array, since the old one may still be in the hands of the driver.
        current_a = self._gain * error_s
        current_a += self._current_a
        np.clip(current_a, self._low_a, self._high_a, out=current_a)
        self._current_a, self._error_s = current_a, error_s
        return current_a


def _slope(depth: NDArray[np.float64], at_half_s_per_a: float, exponent: float) -> NDArray[np.float64]:
    """Steepness of the melt branch of the mean device at some depths, S/A, positive."""
    half = 0.5 ** (1.0 / exponent)
    shape: NDArray[np.float64] = np.clip(depth, _SHALLOWEST, 1.0) ** (exponent - 1.0) / half ** (
        exponent - 1.0
    )
    return at_half_s_per_a * shape
