"""Drift and read noise of the simulated cells against the published laws (device-physics §9.1)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal
from silicon import IBM90, NOISELESS_CONVERTER, SECOND_NS, US, Silicon, card_with

G_MAX_US = 25.0
DAY_S, YEAR_S = 86_400.0, 31_557_600.0


def exponents(silicon: Silicon) -> np.ndarray:
    """Exponent of every working cell, from its noise-free conductance at two ages."""
    early, late = silicon.truth(20 * SECOND_NS), silicon.truth(2_000_000 * SECOND_NS)
    return np.asarray(np.log(early / late) / np.log(1e5))


def at_level(g: float, cells: int, **changes: object) -> Silicon:
    """Cells melted so that many end near one conductance; the device spread does the rest."""
    silicon = Silicon(cells, card_with(**changes))
    silicon.melt_to(g * G_MAX_US * US)
    return silicon


@pytest.mark.parametrize(
    ("g", "mean", "spread", "tolerance"),
    [
        (0.04, 0.0743, 0.0343, 0.002),
        (0.1, 0.0601, 0.0229, 0.001),
        (0.2, 0.0493, 0.0142, 0.001),
        (0.4, 0.0490, 0.0080, 0.001),
        (0.6, 0.0490, 0.0080, 0.001),
        (0.8, 0.0490, 0.0080, 0.001),
    ],
)
def test_drift_exponents_follow_the_published_law(
    g: float, mean: float, spread: float, tolerance: float
) -> None:  # T6
    silicon = at_level(g, 400_000 if g < 0.2 else 150_000)
    reached = silicon.truth() / (G_MAX_US * US)
    near = np.abs(reached / g - 1.0) < 0.02
    assert np.count_nonzero(near) > 2500
    nu = exponents(silicon)[near]
    assert nu.mean() == pytest.approx(mean, abs=tolerance)
    assert nu.std() == pytest.approx(spread, rel=0.06)


def test_half_of_the_variance_of_drift_belongs_to_the_device() -> None:
    silicon = Silicon(40_000)
    found = []
    for _ in range(2):
        silicon.wait(100.0)
        silicon.pulse(300e-6)
        found.append((exponents(silicon), silicon.truth()))
    middle = (found[0][1] > 9 * US) & (found[1][1] > 9 * US)  # where mean and spread do not depend on g
    assert np.corrcoef(found[0][0][middle], found[1][0][middle])[0, 1] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("age_s", "factor"),
    [(100.0, 0.924), (1e3, 0.826), (1e4, 0.738), (DAY_S, 0.664), (1e6, 0.589), (YEAR_S, 0.497)],
)
def test_the_mean_drift_factor(age_s: float, factor: float) -> None:  # T7
    silicon = at_level(0.6, 30_000)
    start = silicon.truth(20 * SECOND_NS)
    high = start > 0.33 * G_MAX_US * US
    ratio = silicon.truth(round(age_s * SECOND_NS))[high] / start[high]
    assert ratio.mean() == pytest.approx(factor, abs=0.004)


@pytest.mark.parametrize(("age_s", "percent"), [(1e3, 3.1), (DAY_S, 6.7), (YEAR_S, 11.4)])
def test_the_spread_that_global_scaling_leaves(age_s: float, percent: float) -> None:  # T8
    silicon = at_level(0.6, 60_000)
    start = silicon.truth(20 * SECOND_NS)
    high = start > 0.34 * G_MAX_US * US
    ratio = silicon.truth(round(age_s * SECOND_NS))[high] / start[high]
    assert 100.0 * ratio.std() / ratio.mean() == pytest.approx(percent, rel=0.05)


# ---------------------------------------------------------------- noise


SAMPLING_S = 0.004
SLOW = {"read_noise__tau_min_s": "1 ms", "read_chain__noise_fraction_of_range": 0.0}
"""Without the states a point sample would fold into the band below."""


def record(silicon: Silicon) -> np.ndarray:
    """Point samples of every working cell over 65 s, a minute after the pulse, over their mean."""
    silicon.wait(60.0)
    trace = []
    for _ in range(16_384):
        silicon.wait(SAMPLING_S)
        trace.append(silicon.read(aperture_s=1e-7))
    values = np.array(trace).T
    return np.asarray(values / values.mean(axis=1, keepdims=True))


def spectrum(relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies from 0.3 to 20 Hz and the power density of each cell there."""
    f_hz, power = signal.welch(relative, fs=1.0 / SAMPLING_S, nperseg=4096, detrend="linear")
    band = (f_hz >= 0.3) & (f_hz <= 20.0)
    return f_hz[band], power[:, band]


@pytest.fixture(scope="module")
def traces() -> tuple[np.ndarray, np.ndarray]:
    """Traces of cells of many conductances, and their conductances over full scale at the reference age."""
    silicon = Silicon(1500, card_with(**SLOW))
    silicon.pulse(np.linspace(230e-6, 390e-6, 1500).astype(np.float32))
    g = silicon.truth() / (G_MAX_US * US)
    return record(silicon), g


@pytest.mark.parametrize(
    ("g", "strength"), [(0.1, 0.0393), (0.2, 0.0251), (0.4, 0.0160), (0.6, 0.0123), (0.8, 0.0102)]
)
def test_the_spectrum_has_the_published_strength_and_slope(  # T9, T10
    traces: tuple[np.ndarray, np.ndarray], g: float, strength: float
) -> None:
    relative, level = traces
    near = np.abs(level / g - 1.0) < 0.15
    assert np.count_nonzero(near) > 30
    assert IBM90.read_noise.strength(g) == pytest.approx(strength, rel=0.005)
    f_hz, power = spectrum(relative[near])
    flat = (power / IBM90.read_noise.strength(level[near])[:, np.newaxis] ** 2).mean(axis=0) * f_hz
    # of Q_s^2; few cells lie near the low levels, 4 standard errors there
    assert flat.mean() == pytest.approx(1.0, abs=0.06 if g > 0.3 else 0.14)
    assert abs(np.polyfit(np.log(f_hz), np.log(flat), 1)[0]) < 0.05


def test_a_steeper_spectrum_is_an_option() -> None:  # T14
    silicon = Silicon(500, card_with(read_noise__spectral_slope=1.21, **SLOW))
    silicon.pulse(300e-6)
    f_hz, power = spectrum(record(silicon))
    slope = np.polyfit(np.log(f_hz), np.log(power.mean(axis=0)), 1)[0]
    assert slope == pytest.approx(-1.21, abs=0.05)


@pytest.mark.parametrize(("age_s", "accumulated"), [(1.0, 3.81), (25.0, 4.21), (1e5, 5.10)])
def test_the_accumulated_spread_of_states_that_start_at_zero(age_s: float, accumulated: float) -> None:  # T11
    # sqrt(ln((t + t_read) / (2 t_read))), t_read = 250 ns, with tau_min = 7.12 t_read (device-physics §1.6)
    assert IBM90.read_noise.accumulated_sigma(age_s) == pytest.approx(accumulated, abs=0.01)
    card = card_with(
        read_noise__start="zero", read_noise__tau_min_s="1.78 us", read_chain__noise_fraction_of_range=0.0
    )
    silicon = Silicon(40_000, card)
    silicon.pulse(280e-6)
    strength = IBM90.read_noise.strength(silicon.truth() / (G_MAX_US * US))
    silicon.wait(age_s)
    y = (silicon.read(aperture_s=1e-7) / silicon.truth(0) - 1.0) / strength
    high = strength < 0.03
    assert y[high].std() == pytest.approx(accumulated, rel=0.04)


def test_noise_from_read_to_read() -> None:  # T12
    silicon = Silicon(60_000, NOISELESS_CONVERTER)
    silicon.pulse(290e-6)
    strength = IBM90.read_noise.strength(silicon.truth() / (G_MAX_US * US))
    high = strength < 0.02
    silicon.wait(25.0)
    spread_ns = np.arange(60_000) * 2000  # as a serial board reads them, so that no moment is special
    for lag_s, expected in ((10e-6, 2.28), (1e-3, 3.13), (1.0, 4.09)):
        silicon.wait(1.0)
        first = silicon.read(aperture_s=1e-9, at_ns=silicon.now_ns + spread_ns)
        silicon.wait(lag_s)
        second = silicon.read(aperture_s=1e-9, at_ns=silicon.now_ns + spread_ns)
        ratio = np.log(second / first)[high]
        half = np.sqrt(0.5 * np.mean(((ratio - ratio.mean()) / strength[high]) ** 2))
        assert half == pytest.approx(expected, rel=0.05)


def test_averaging_helps_across_time_only() -> None:  # T13, a direction
    silicon = Silicon(40_000, NOISELESS_CONVERTER)
    silicon.pulse(290e-6)
    high = silicon.truth() > 8 * US
    silicon.wait(2.0)
    one = silicon.read()
    burst = [one, *(silicon_read_after(silicon, 10e-6) for _ in range(3))]
    spread = [one, *(silicon_read_after(silicon, 0.3) for _ in range(3))]
    silicon.wait(60.0)
    late = np.mean([silicon_read_after(silicon, 0.05) for _ in range(20)], axis=0)

    def error(reads: list[np.ndarray]) -> float:
        return float(np.std((np.mean(reads, axis=0) / late)[high]))

    gain_burst, gain_spread = 1 - error(burst) / error([one]), 1 - error(spread) / error([one])
    assert gain_spread > 2 * gain_burst > 0


def silicon_read_after(silicon: Silicon, seconds: float) -> np.ndarray:
    silicon.wait(seconds)
    return silicon.read()


def test_the_same_noise_is_not_drawn_twice() -> None:
    # The slow part of the noise at the pulse is taken out of what the pulse left (device-physics §1.6 b): an
    # average over a minute at the reference age is centred on the noise-free conductance.
    silicon = Silicon(20_000, NOISELESS_CONVERTER)
    silicon.pulse(280e-6)
    silicon.wait(20.0)
    reads, truths = [], []
    for _ in range(40):
        reads.append(silicon_read_after(silicon, 1.0))
        truths.append(silicon.truth(0))
    ratio = np.mean(reads, axis=0) / np.mean(truths, axis=0)
    strength = IBM90.read_noise.strength(silicon.truth(0) / (G_MAX_US * US))
    slow = 1.07 * np.sqrt(np.log(1e6 / 38.6))  # what the states slower than the reference age would add
    assert (ratio.std() / np.median(strength)) < 0.75 * slow
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)
