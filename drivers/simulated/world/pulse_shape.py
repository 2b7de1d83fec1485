"""From the current through a cell over time to the trapezoids that the laws of programming know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.world.defaults import HEATING_S

__all__ = ["PulseShapeSeen", "pulses_of"]


@dataclass(frozen=True, slots=True)
class PulseShapeSeen:
    """A trapezoid of current: plateau, A; edges from 0 to 100 % and top, s; when it ended, s from the start."""

    amplitude_a: float
    rise_s: float
    top_s: float
    fall_s: float
    end_s: float


def pulses_of(
    t_s: NDArray[np.float64], current_a: NDArray[np.float64], floor_a: float
) -> list[PulseShapeSeen]:
    """Return the pulses in a record of current, one for each stretch of at least `floor_a`.

    The plateau is what was reached or exceeded for the heating time in all. The edges are those between the first
    and last crossings of 10 % and 90 % of it; the top is such that the width at half height is that of the record.

    Parameters
    ----------
    t_s, current_a : ndarray of float64, shape (n,)
        Straight lines between the points; the sign of the current does not matter.
    floor_a : float
        Ampere.
    """
    size = np.abs(current_a)
    hot = size >= floor_a
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hot, [False]]).astype(np.int8)))
    found = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        # from the last cold point before to the first cold point behind, down to where the flanks begin
        lo, hi = _foot(size, first, -1), _foot(size, last - 1, 1)
        found.append(_shape(t_s[lo : hi + 1], size[lo : hi + 1]))
    return [shape for shape in found if shape is not None]


def _foot(size: NDArray[np.float64], at: int, step: int) -> int:
    """Return where a flank begins: go on while the current falls."""
    while 0 <= at + step < len(size) and size[at + step] < size[at]:
        at += step
    return at


def _shape(t_s: NDArray[np.float64], size: NDArray[np.float64]) -> PulseShapeSeen | None:
    if len(t_s) < 2:
        return None
    plateau = _plateau(t_s, size)
    rise10, rise50, rise90 = (_first(t_s, size, share * plateau) for share in (0.1, 0.5, 0.9))
    back = t_s[-1] - t_s[::-1]
    fall10, fall50, fall90 = (
        t_s[-1] - _first(back, size[::-1], share * plateau) for share in (0.1, 0.5, 0.9)
    )
    rise, fall = (rise90 - rise10) / 0.8, (fall10 - fall90) / 0.8
    top = max(fall50 - rise50 - 0.5 * (rise + fall), 0.0)
    return PulseShapeSeen(plateau, rise, top, fall, float(fall10 + 0.1 * fall))


def _plateau(t_s: NDArray[np.float64], size: NDArray[np.float64]) -> float:
    """Return the level that the current is at or above for the heating time in all."""
    middle = 0.5 * (size[1:] + size[:-1])
    order = np.argsort(-middle, kind="stable")
    lasting = np.cumsum(np.diff(t_s)[order])
    k = min(int(np.searchsorted(lasting, HEATING_S)), len(order) - 1)
    return float(middle[order[k]])


def _first(t_s: NDArray[np.float64], size: NDArray[np.float64], level: float) -> float:
    """Return when a record first comes to a level, between its points."""
    k = int(np.argmax(size >= level))
    if k == 0 or size[k] <= size[k - 1]:
        return float(t_s[k])
    share = (level - size[k - 1]) / (size[k] - size[k - 1])
    return float(t_s[k - 1] + share * (t_s[k] - t_s[k - 1]))
