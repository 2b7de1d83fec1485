"""A device card made ready for the kernels: its laws as broken lines, its constants in float32.

The formulas stay in ``calibration.laws``; nothing here knows them. A law that depends on the conductance
becomes a broken line over log2(G), within a stated tolerance; the published clipped logarithms come out
exactly. A broken line ``y(x) = y0 + sum of bend_k max(x - knot_k, 0)`` needs no table look-up, so the
kernels vectorise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["CellModel", "compile_card", "thermal_line"]

POINTS_PER_OCTAVE = 64
LOG2_LOWEST = -30  # 0.93 nS
OCTAVES = 17  # up to 122 uS
MEMORY_POINTS = 64
GRID_STEPS_PER_TAU = 8.0
"""A noise state is held for 1/8 of its time constant, then stepped exactly; the noise between two reads,
averaged over when they fall, keeps its variance, and for a given moment it is within 2 % of it from lags of
10 ms on."""
FORGOTTEN_AFTER = 8.0
"""A state is drawn anew once 8 of its time constants have passed (correlation below 3.4e-4)."""

CORRECTION_FROM_S = 1e-6
"""Below this conductance the slow noise of the pulse is not taken out of it (device-physics §1.6 b, §2.5)."""
REFERENCE_WINDOW = 0.15
"""Up to this relative distance from the reference current a SET pulse may lower the conductance as the published
law does above its asymptote; from twice the distance on it only raises it (device-physics §3.5). A default."""

_EXPONENT_TOLERANCE = 1e-4
_LOG2_STRENGTH_TOLERANCE = 5e-3
_LOG2_THERMAL_TOLERANCE = 5e-3
_REMAINING_TOLERANCE = 1e-3
_CYCLE_TOLERANCE = 1e-2
_MELT_POINTS = 4097


class CellModel(NamedTuple):
    """Constants and tables of one card; conductances in siemens, currents in ampere, times in seconds.

    Attributes
    ----------
    drift_mean_curve, drift_spread_curve, log2_strength_curve : float32, shape (k, 2)
        Broken lines over log2 of the conductance: drift exponent, its spread, log2 of Q_s.
    melt_curve : float32, shape (k, 2)
        Broken line of the fraction of the conductance that is left over the normalised melt current 0..1.
    cycle_curve : float32, shape (k, 2)
        Broken line over the memory factor of the part of the spread that is drawn anew at a pulse.
    log2_memory : float32
        log2 of the memory factor of the first pulse; that of pulse p is its p-th power.
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
    cycle_curve: NDArray[np.float32]
    weight: NDArray[np.float32]
    low_weight: NDArray[np.float32]
    high_weight: NDArray[np.float32]
    inverse_pitch_per_ns: NDArray[np.float64]
    first_slow: int
    noise_from_zero: bool
    log2_memory: np.float32
    log2_forget_s: np.float32
    states_per_octave: np.float32
    log2_decay_per_step: np.float32
    reference_age_s: np.float32
    onset_s: np.float32
    device_part: np.float32
    event_part: np.float32
    correction_from_s: np.float32
    boost_s: np.float32
    spread_slope: np.float32
    spread_offset_s: np.float32
    spread_boost_s: np.float32
    saturation_slope_s_per_a: np.float32
    saturation_offset_a: np.float32
    saturation_reference_s: np.float32
    ceiling_over_saturation: np.float32
    reference_a: np.float32
    inverse_window_per_a: np.float32
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


def _over_conductance() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the grid of all curves over the conductance: its binary logarithm, and the conductance (S)."""
    log2_g = LOG2_LOWEST + np.arange(OCTAVES * POINTS_PER_OCTAVE + 1) / POINTS_PER_OCTAVE
    return log2_g, np.exp2(log2_g)


def compile_card(card: DeviceCard) -> CellModel:
    """Make a card ready for the kernels.

    Parameters
    ----------
    card : DeviceCard
        With the laws drift, read_noise, accumulation and programming_curve.

    Raises
    ------
    MissingLawError
        The card lacks one of them.
    """
    drift, noise, steps, curve = card.drift, card.read_noise, card.accumulation, card.programming_curve
    log2_g, g_s = _over_conductance()
    g = g_s / card.g_max_s
    # Equal steps of the cube root: the branch is steepest where melting begins.
    depth = np.linspace(0.0, 1.0, _MELT_POINTS) ** 3
    tau_s, variance = noise.time_constants_s(), noise.state_variances()
    below = np.concatenate([[0.0], np.cumsum(variance)])
    from_here = np.concatenate([np.cumsum(variance[::-1])[::-1], [0.0]])
    spacing = float(np.log2(tau_s[1] / tau_s[0])) if len(tau_s) > 1 else 1.0
    pulses = np.arange(MEMORY_POINTS, 0, -1)  # ascending memory
    strength = np.log2(np.maximum(noise.strength(g), 2.0**-60))
    reference_a = curve.reference_current_a
    log2_e = float(np.log2(np.e))
    f32 = np.float32
    return CellModel(
        drift_mean_curve=broken_line(log2_g, drift.mean_exponent(g), _EXPONENT_TOLERANCE),
        drift_spread_curve=broken_line(log2_g, drift.spread_exponent(g), _EXPONENT_TOLERANCE),
        log2_strength_curve=broken_line(log2_g, strength, _LOG2_STRENGTH_TOLERANCE),
        melt_curve=broken_line(depth, curve.remaining_share(depth), _REMAINING_TOLERANCE),
        cycle_curve=broken_line(steps.memory(pulses), steps.cycle_factor(pulses), _CYCLE_TOLERANCE),
        weight=np.sqrt(variance).astype(f32),
        low_weight=np.sqrt(below).astype(f32),
        high_weight=np.sqrt(from_here).astype(f32),
        inverse_pitch_per_ns=GRID_STEPS_PER_TAU / (tau_s * 1e9),
        first_slow=int(np.searchsorted(tau_s, drift.pulse_reference_age_s, side="right")),
        noise_from_zero=noise.start == "zero",
        log2_memory=f32(np.log2(steps.memory(1))),
        log2_forget_s=f32(np.log2(FORGOTTEN_AFTER * tau_s[0])),
        states_per_octave=f32(1.0 / spacing),
        log2_decay_per_step=f32(-log2_e / GRID_STEPS_PER_TAU),
        reference_age_s=f32(drift.pulse_reference_age_s),
        onset_s=f32(drift.onset_s),
        device_part=f32(np.sqrt(drift.device_share)),
        event_part=f32(np.sqrt(1.0 - drift.device_share)),
        correction_from_s=f32(CORRECTION_FROM_S),
        boost_s=f32(steps.boost_s),
        spread_slope=f32(steps.spread_slope),
        spread_offset_s=f32(steps.spread_offset_s),
        spread_boost_s=f32(steps.spread_boost_s),
        saturation_slope_s_per_a=f32(curve.saturation_slope_s_per_a),
        saturation_offset_a=f32(curve.saturation_offset_a),
        saturation_reference_s=f32(curve.saturation_s(reference_a)),
        ceiling_over_saturation=f32(steps.highest_s / float(curve.saturation_s(reference_a))),
        reference_a=f32(reference_a),
        inverse_window_per_a=f32(1.0 / (REFERENCE_WINDOW * reference_a)),
        dead_zone_a=f32(curve.dead_zone_a),
        floor_s=f32(curve.floor_s),
        reset_median_s=f32(curve.reset_median_s),
        reset_log2_spread=f32(log2_e * curve.reset_ln_spread),
        cycle_log2_spread=f32(log2_e * curve.cycle_spread),
    )


def thermal_line(card: DeviceCard, temperature_k: float) -> NDArray[np.float32]:
    """Broken line over log2 of the conductance of log2 of the thermal factor (device-physics §4.6).

    Returns
    -------
    ndarray of float32, shape (k, 2)
        Without rows at the reference temperature, where nothing changes.
    """
    law = card.temperature
    if temperature_k == law.reference_k:
        return np.empty((0, 2), np.float32)
    log2_g, g_s = _over_conductance()
    factor = law.log_factor(g_s / card.g_max_s, temperature_k) / np.log(2.0)
    return broken_line(log2_g, factor, _LOG2_THERMAL_TOLERANCE)
