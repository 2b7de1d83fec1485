"""A device card made ready for the kernels: its laws as broken lines, its constants in float32.

The formulas stay in ``calibration.laws``; nothing here knows them. A law that depends on the conductance becomes a
broken line over log2(G), within a stated tolerance; the published clipped logarithms come out exactly. A broken
line ``y(x) = y0 + sum of bend_k max(x - knot_k, 0)`` needs no table look-up, so the kernels vectorise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["CellModel", "compile_card"]

POINTS_PER_OCTAVE = 64
LOG2_LOWEST = -30  # 0.93 nS
OCTAVES = 17  # up to 122 uS
MEMORY_POINTS = 64
GRID_STEPS_PER_TAU = 32.0
"""A noise state is held for 1/32 of its time constant, then stepped exactly."""
FORGOTTEN_AFTER = 8.0
"""A state is drawn anew once 8 of its time constants have passed (correlation below 3.4e-4)."""

_NS = 1e-9


class CellModel(NamedTuple):
    """Constants and tables of one card; conductances in siemens, currents in ampere, times in seconds.

    Attributes
    ----------
    drift_mean_curve, drift_spread_curve, log2_strength_curve : float32, shape (k, 2)
        Broken lines over log2 of the conductance: drift exponent, its spread, log2 of Q_s.
    melt_curve : float32, shape (k, 2)
        Broken line of the fraction of the conductance that is left over the normalised melt current 0..1.
    memory_table, device_cut_s2 : float32, shape (k,)
        History factor and the variance that the device-bound step size already explains, per pulse number.
    weight, low_weight, high_weight : float32
        Per state: standard deviation in units of Q_s. Per boundary b: standard deviation of the sum of the
        states below b and from b on.
    inverse_pitch_per_ns : float64
        Grid points of each state per nanosecond.
    """

    drift_mean_curve: NDArray[np.float32]
    drift_spread_curve: NDArray[np.float32]
    log2_strength_curve: NDArray[np.float32]
    melt_curve: NDArray[np.float32]
    memory_table: NDArray[np.float32]
    device_cut_s2: NDArray[np.float32]
    weight: NDArray[np.float32]
    low_weight: NDArray[np.float32]
    high_weight: NDArray[np.float32]
    inverse_pitch_per_ns: NDArray[np.float64]
    first_slow: int
    noise_from_zero: bool
    log2_forget_s: np.float32
    states_per_octave: np.float32
    log2_decay_per_step: np.float32
    reference_age_s: np.float32
    onset_s: np.float32
    device_part: np.float32
    event_part: np.float32
    correction_from_s: np.float32
    slope: np.float32
    offset_s: np.float32
    boost_s: np.float32
    spread_slope: np.float32
    spread_offset_s: np.float32
    spread_boost_s: np.float32
    saturation_slope_s_per_a: np.float32
    saturation_offset_a: np.float32
    saturation_reference_s: np.float32
    reference_low_a: np.float32
    reference_high_a: np.float32
    dead_zone_a: np.float32
    floor_s: np.float32
    reset_median_s: np.float32
    reset_log2_spread: np.float32
    cycle_log2_spread: np.float32


def broken_line(x: NDArray[np.float64], y: NDArray[np.float64], tolerance: float) -> NDArray[np.float32]:
    """Chords through points of a curve, as few as the tolerance allows.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Points of the curve, x ascending.
    tolerance : float
        Largest distance in y between curve and chord at the given points.

    Returns
    -------
    ndarray of float32, shape (k, 2)
        Row 0 is (x0, y0), every further row a knot and the change of slope there. The curve is held constant
        outside the points.
    """
    knots = [0]
    while knots[-1] < len(x) - 1:
        start, good, step = knots[-1], knots[-1] + 1, 1
        while step:
            end = min(good + step, len(x) - 1)
            inner = slice(start, end + 1)
            chord = y[start] + (y[end] - y[start]) / (x[end] - x[start]) * (x[inner] - x[start])
            fits = end > good and bool(np.all(np.abs(chord - y[inner]) <= tolerance))
            good, step = (end, step * 2) if fits else (good, step // 2)
        knots.append(good)
    slopes = np.concatenate([[0.0], np.diff(y[knots]) / np.diff(x[knots]), [0.0]])
    rows = [(x[0], y[0]), *zip(x[knots], np.diff(slopes), strict=True)]
    return np.array(rows, np.float32)
