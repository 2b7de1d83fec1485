"""A device card made ready for the kernels: its laws as broken lines, its constants in float32.

The formulas stay in ``calibration.laws``; nothing here knows them. A law that depends on the conductance
becomes a broken line over log2(G), within a stated tolerance; the published clipped logarithms come out
exactly. A broken line ``y(x) = y0 + sum of bend_k max(x - knot_k, 0)`` needs no table look-up, so the
kernels vectorise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["SURELY_SIGMA", "CellModel", "compile_card", "current_line", "thermal_line", "zero_start_line"]

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

_LOG2_E = float(np.log2(np.e))
_EXPONENT_TOLERANCE = 1e-4
_LOG2_STRENGTH_TOLERANCE = 5e-3
_LOG2_THERMAL_TOLERANCE = 5e-3
_REMAINING_TOLERANCE = 1e-3
_CYCLE_TOLERANCE = 1e-2
_MELT_POINTS = 4097
_LARGEST_G, _ERROR_POINTS = 1.5, 3001
_SIGMA_TOLERANCE = 2e-3  # of the largest error
_LOG2_VOLTAGE_TOLERANCE = 2e-4
_LOG2_AGE_LOWEST, _AGE_OCTAVES = -30, 64  # 1 ns to 500 years
_LOG2_ZERO_START_TOLERANCE = 1e-3
_NEVER = float(np.float32(3e38))
SURELY_SIGMA = 6.7
"""Normals of the kernels reach no further (libraries-and-speed §3.3)."""
_LEAST_RANK = 2.0**-24


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
    zero_start_curve : float32, shape (k, 2)
        Noise that starts at zero: broken line over log2 of the age (s) of log2 of the spread of all states
        together, in units of Q_s; no rows otherwise.
    error_cubic, error_curve : float32, shapes (4,) and (k, 2)
        Programming error (S) over the target (S): a cubic, highest power first, or where it is none a broken
        line. Only of the target level.
    earliest_failure, least_damage_a : float32
        Pulses before which, and current below which, no device can die.
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
    inverse_tau_per_s: NDArray[np.float32]
    zero_start_curve: NDArray[np.float32]
    error_cubic: NDArray[np.float32]
    error_curve: NDArray[np.float32]
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
    step_scales_slope: bool
    full_mean_s: np.float32
    jump_s: np.float32
    log2_jump_decay_per_s: np.float32
    earliest_failure: np.float32
    lifetime_pulses: np.float32
    inverse_lifetime_shape: np.float32
    stuck_set_share: np.float32
    least_damage_a: np.float32
    damage_mean_a: np.float32
    damage_spread_a: np.float32
    switch_amorphous_v: np.float32
    switch_smallest_v: np.float32
    switch_largest_s: np.float32
    switch_drift: np.float32
    switch_spread: np.float32
    switch_share: np.float32


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
    bends = np.diff(slopes)
    rows = [(x[0], y[0]), *((x[knot], bend) for knot, bend in zip(knots, bends, strict=True) if bend != 0.0)]
    rows += [(x[0], 0.0)] * (4 - len(rows))  # the kernels are fastest with three knots
    return np.array(rows, np.float32)


def _over_conductance() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the grid of all curves over the conductance: its binary logarithm, and the conductance (S)."""
    log2_g = LOG2_LOWEST + np.arange(OCTAVES * POINTS_PER_OCTAVE + 1) / POINTS_PER_OCTAVE
    return log2_g, np.exp2(log2_g)


def compile_card(card: DeviceCard, *, target_level: bool = False) -> CellModel:
    """Make a card ready for the kernels.

    Parameters
    ----------
    card : DeviceCard
        With the laws drift and read_noise; for the physics mode also accumulation and programming_curve, for
        the target level programming_error.
    target_level : bool
        Conductances are stated at t0 instead of at the reference age of the pulse laws.

    Raises
    ------
    MissingLawError
        The card lacks one of them.
    """
    drift = card.drift
    reference_age_s = drift.t0_s if target_level else drift.pulse_reference_age_s
    f32 = np.float32
    return CellModel(
        **_drift_and_noise(card, reference_age_s),
        **(_nothing_of_pulses(card) if target_level else _pulses(card)),
        **_deaths(card),
        **_switching(card),
        **(
            _error(card)
            if target_level
            else {"error_cubic": np.zeros(4, np.float32), "error_curve": _NO_LINE}
        ),
        reference_age_s=f32(reference_age_s),
        onset_s=f32(drift.onset_s),
        device_part=f32(np.sqrt(drift.device_share)),
        event_part=f32(np.sqrt(1.0 - drift.device_share)),
        correction_from_s=f32(CORRECTION_FROM_S),
    )


_NO_LINE = np.empty((0, 2), np.float32)


def _drift_and_noise(card: DeviceCard, reference_age_s: float) -> dict[str, Any]:
    drift, noise, f32 = card.drift, card.read_noise, np.float32
    log2_g, g_s = _over_conductance()
    g = g_s / card.g_max_s
    tau_s, variance = noise.time_constants_s(), noise.state_variances()
    below = np.concatenate([[0.0], np.cumsum(variance)])
    from_here = np.concatenate([np.cumsum(variance[::-1])[::-1], [0.0]])
    spacing = float(np.log2(tau_s[1] / tau_s[0])) if len(tau_s) > 1 else 1.0
    strength = np.log2(np.maximum(noise.strength(g), 2.0**-60))
    from_zero = noise.start == "zero"
    return {
        "drift_mean_curve": broken_line(log2_g, drift.mean_exponent(g), _EXPONENT_TOLERANCE),
        "drift_spread_curve": broken_line(log2_g, drift.spread_exponent(g), _EXPONENT_TOLERANCE),
        "log2_strength_curve": broken_line(log2_g, strength, _LOG2_STRENGTH_TOLERANCE),
        "weight": np.sqrt(variance).astype(f32),
        "low_weight": np.sqrt(below).astype(f32),
        "high_weight": np.sqrt(from_here).astype(f32),
        "inverse_pitch_per_ns": GRID_STEPS_PER_TAU / (tau_s * 1e9),
        "inverse_tau_per_s": (1.0 / tau_s).astype(f32),
        "first_slow": int(np.searchsorted(tau_s, reference_age_s, side="right")),
        "noise_from_zero": from_zero,
        "zero_start_curve": _zero_start_sigma(card) if from_zero else _NO_LINE,
        "log2_forget_s": f32(np.log2(FORGOTTEN_AFTER * tau_s[0])),
        "states_per_octave": f32(1.0 / spacing),
        "log2_decay_per_step": f32(-_LOG2_E / GRID_STEPS_PER_TAU),
    }


def _pulses(card: DeviceCard) -> dict[str, Any]:
    steps, curve, f32 = card.accumulation, card.programming_curve, np.float32
    # Equal steps of the cube root: the branch is steepest where melting begins.
    depth = np.linspace(0.0, 1.0, _MELT_POINTS) ** 3
    pulses = np.arange(MEMORY_POINTS, 0, -1)  # ascending memory
    reference_a = curve.reference_current_a
    return {
        "melt_curve": broken_line(depth, curve.remaining_share(depth), _REMAINING_TOLERANCE),
        "cycle_curve": broken_line(steps.memory(pulses), steps.cycle_factor(pulses), _CYCLE_TOLERANCE),
        "log2_memory": f32(np.log2(steps.memory(1))),
        "boost_s": f32(steps.boost_s),
        "spread_slope": f32(steps.spread_slope),
        "spread_offset_s": f32(steps.spread_offset_s),
        "spread_boost_s": f32(steps.spread_boost_s),
        "saturation_slope_s_per_a": f32(curve.saturation_slope_s_per_a),
        "saturation_offset_a": f32(curve.saturation_offset_a),
        "saturation_reference_s": f32(curve.saturation_s(reference_a)),
        "ceiling_over_saturation": f32(steps.highest_s / float(curve.saturation_s(reference_a))),
        "reference_a": f32(reference_a),
        "inverse_window_per_a": f32(1.0 / (REFERENCE_WINDOW * reference_a)),
        "dead_zone_a": f32(curve.dead_zone_a),
        "floor_s": f32(curve.floor_s),
        "reset_median_s": f32(curve.reset_median_s),
        "reset_log2_spread": f32(_LOG2_E * curve.reset_ln_spread),
        "cycle_log2_spread": f32(_LOG2_E * curve.cycle_spread),
        "step_scales_slope": steps.device_scales_slope,
        "full_mean_s": f32(curve.full_conductance_mean_s),
        "jump_s": f32(steps.jump_s),
        "log2_jump_decay_per_s": f32(-_LOG2_E / steps.jump_range_s),
    }


def _nothing_of_pulses(card: DeviceCard) -> dict[str, Any]:
    """Return the numbers of the pulse laws where there are no pulses; a RESET draw is kept where the card has one."""
    zero = np.float32(0.0)
    names = (
        "log2_memory", "boost_s", "spread_slope", "spread_offset_s", "spread_boost_s", "saturation_slope_s_per_a",
        "saturation_offset_a", "saturation_reference_s", "ceiling_over_saturation", "reference_a",
        "inverse_window_per_a", "dead_zone_a", "floor_s", "cycle_log2_spread", "jump_s", "log2_jump_decay_per_s",
    )  # fmt: skip
    curve = card.programming_curve if card.has("programming_curve") else None
    return {
        **dict.fromkeys(names, zero),
        "step_scales_slope": False,
        "full_mean_s": zero,
        "melt_curve": _NO_LINE,
        "cycle_curve": _NO_LINE,
        "reset_median_s": np.float32(0.0 if curve is None else curve.reset_median_s),
        "reset_log2_spread": np.float32(0.0 if curve is None else _LOG2_E * curve.reset_ln_spread),
    }


def _deaths(card: DeviceCard) -> dict[str, Any]:
    f32 = np.float32
    wear = card.endurance if card.has("endurance") else None
    damage = card.damage if card.has("damage") else None
    mean, spread = (_NEVER, 0.0) if damage is None else (damage.current_mean_a, damage.current_spread_a)
    return {
        "earliest_failure": f32(_NEVER if wear is None else wear.lifetime_pulses(1.0 - _LEAST_RANK)),
        "lifetime_pulses": f32(_NEVER if wear is None else wear.scale_pulses),
        "inverse_lifetime_shape": f32(1.0 if wear is None else 1.0 / wear.shape),
        "stuck_set_share": f32(0.0 if wear is None else wear.stuck_set_share),
        "least_damage_a": f32(mean - SURELY_SIGMA * spread),
        "damage_mean_a": f32(mean),
        "damage_spread_a": f32(spread),
    }


def _switching(card: DeviceCard) -> dict[str, Any]:
    f32 = np.float32
    law = card.threshold_switching if card.has("threshold_switching") else None
    return {
        "switch_amorphous_v": f32(_NEVER if law is None else law.amorphous_voltage_v),
        "switch_smallest_v": f32(_NEVER if law is None else law.smallest_voltage_v),
        "switch_largest_s": f32(1.0 if law is None else law.largest_g * card.g_max_s),
        "switch_drift": f32(0.0 if law is None else law.drift_per_efold * np.log(2.0)),  # per octave
        "switch_spread": f32(0.0 if law is None else law.spread),
        "switch_share": f32(0.0 if law is None else law.share_after),
    }


def _error(card: DeviceCard) -> dict[str, Any]:
    """Return the error over the target as a cubic (S), or as a broken line where it is none."""
    g = np.linspace(0.0, _LARGEST_G, _ERROR_POINTS)
    sigma_s = card.programming_error.sigma_s(g)
    cubic = np.polyfit(g, sigma_s, 3)
    if np.allclose(np.polyval(cubic, g), sigma_s, rtol=0.0, atol=1e-6 * float(sigma_s.max())):
        scaled = cubic / card.g_max_s ** np.arange(3, -1, -1)
        return {"error_cubic": scaled.astype(np.float32), "error_curve": _NO_LINE}
    line = broken_line(g * card.g_max_s, sigma_s, _SIGMA_TOLERANCE * float(sigma_s.max()))
    return {"error_cubic": np.zeros(4, np.float32), "error_curve": line}


def _over_age() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the grid of curves over the age: its binary logarithm, and the age (s)."""
    log2_age = _LOG2_AGE_LOWEST + np.arange(16 * _AGE_OCTAVES + 1) / 16.0
    return log2_age, np.exp2(log2_age)


def _grown(card: DeviceCard, age_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each state an age after it was zero, ``var_k (1 - exp(-2 a / tau_k))``, shape (ages, states)."""
    noise = card.read_noise
    share = -np.expm1(-2.0 * age_s[:, np.newaxis] / noise.time_constants_s())
    return np.asarray(share * noise.state_variances(), np.float64)


def _zero_start_sigma(card: DeviceCard) -> NDArray[np.float32]:
    log2_age, age_s = _over_age()
    sigma = 0.5 * np.log2(_grown(card, age_s).sum(axis=1))
    return broken_line(log2_age, sigma, _LOG2_ZERO_START_TOLERANCE)


def zero_start_line(card: DeviceCard, left: NDArray[np.float64]) -> NDArray[np.float32]:
    """Broken line over log2 of the age (s) of what averaging leaves of noise that began at zero.

    Parameters
    ----------
    left : ndarray, shape (states,)
        Share of each state's variance that is left.

    Returns
    -------
    ndarray of float32, shape (k, 2)
        Of log2 of the factor on the sum of all states; without rows where the noise starts stationary.
    """
    if card.read_noise.start != "zero":
        return _NO_LINE
    log2_age, age_s = _over_age()
    grown = _grown(card, age_s)
    factor = 0.5 * np.log2((grown * left).sum(axis=1) / grown.sum(axis=1))
    return broken_line(log2_age, factor, _LOG2_ZERO_START_TOLERANCE)


def current_line(card: DeviceCard, voltage_v: float) -> NDArray[np.float32]:
    """Broken line over log2 of the conductance of log2 of the current over ``G V`` (device-physics §4.1).

    Returns
    -------
    ndarray of float32, shape (k, 2)
        Without rows where nothing changes: at the reference voltage, or without the law.
    """
    if not card.has("current_voltage") or voltage_v == card.current_voltage.reference_v:
        return _NO_LINE
    log2_g, g_s = _over_conductance()
    factor = np.log2(card.current_voltage.factor(g_s / card.g_max_s, voltage_v))
    return broken_line(log2_g, factor, _LOG2_VOLTAGE_TOLERANCE)


def thermal_line(card: DeviceCard, temperature_k: float) -> NDArray[np.float32]:
    """Broken line over log2 of the conductance of log2 of the thermal factor (device-physics §4.6).

    Returns
    -------
    ndarray of float32, shape (k, 2)
        Without rows at the reference temperature, where nothing changes.
    """
    law = card.temperature
    if temperature_k == law.reference_k:
        return _NO_LINE
    log2_g, g_s = _over_conductance()
    factor = law.log_factor(g_s / card.g_max_s, temperature_k) / np.log(2.0)
    return broken_line(log2_g, factor, _LOG2_THERMAL_TOLERANCE)
