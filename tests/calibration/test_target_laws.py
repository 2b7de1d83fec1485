"""Published values of the target-level laws (device-physics §9.1)."""

import numpy as np
import pytest

from calibration import DeviceCard
from calibration.laws.programming_error import PolynomialProgrammingError

CARD = DeviceCard.load("ibm90")


def test_programming_error_peaks_as_published() -> None:
    g = np.linspace(0.0, 1.0, 10_001)
    sigma = CARD.programming_error.sigma_s(g)
    assert sigma.max() == pytest.approx(1.086e-6, rel=0.01)
    assert g[sigma.argmax()] == pytest.approx(0.84, abs=0.01)
    assert np.sqrt(np.mean(sigma**2)) / CARD.g_max_s == pytest.approx(0.0356, rel=0.01)


def test_programming_error_at_the_measured_points() -> None:
    g = [0.025, 0.04, 0.06, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    expected = [0.312, 0.340, 0.377, 0.448, 0.610, 0.747, 0.862, 0.953, 1.020, 1.064, 1.085, 1.082, 1.055]
    np.testing.assert_allclose(CARD.programming_error.sigma_s(g) * 1e6, expected, atol=0.0006)
    measured = [0.31, 0.37, 0.51, 0.68, 0.77, 0.94, 0.91, 0.97, 0.98, 1.09, 1.17, 1.05]
    np.testing.assert_allclose(CARD.programming_error.sigma_s(g[1:]) * 1e6, measured, rtol=0.15)


def test_programming_error_scales_with_full_scale_and_never_goes_below_zero() -> None:
    other = CARD.with_values({"g_max": 50e-6}, source="larger full scale")
    np.testing.assert_allclose(
        other.programming_error.sigma_s([0.1, 0.5]),
        2.0 * CARD.programming_error.sigma_s([0.1, 0.5]),
        rtol=1e-12,
    )
    assert CARD.programming_error.sigma_s(3.0) == 0.0


def test_independent_refit_lies_slightly_above() -> None:
    refit = PolynomialProgrammingError(
        g_max_s=25e-6,
        reference_g_max_s=25e-6,
        constant_s=0.28638599e-6,
        linear_s=0.07585724e-6 * 25.0,
        quadratic_s=-0.00178767e-6 * 625.0,
    )
    g = np.linspace(0.01, 1.0, 1000)
    excess_us = (refit.sigma_s(g) - CARD.programming_error.sigma_s(g)) * 1e6
    assert excess_us.min() == pytest.approx(0.002, abs=0.0006)
    assert excess_us.max() == pytest.approx(0.022, abs=0.0006)


def test_drift_exponents_and_their_knees() -> None:
    g = [0.01, 0.04, 0.1, 0.2, 0.4, 1.0]
    drift = CARD.drift
    np.testing.assert_allclose(
        drift.mean_exponent(g), [0.0958, 0.0743, 0.0601, 0.0493, 0.0490, 0.0490], atol=6e-5
    )
    np.testing.assert_allclose(
        drift.spread_exponent(g), [0.0450, 0.0343, 0.0229, 0.0142, 0.0080, 0.0080], atol=6e-5
    )
    assert drift.mean_exponent([0.2040, 0.2050])[0] > 0.049 == drift.mean_exponent(0.2050)
    assert drift.mean_exponent([0.0, 0.0075]).tolist() == [0.1, 0.1]
    assert drift.spread_exponent(0.0) == 0.045


def test_mean_drift_factors() -> None:
    ages_s = [100.0, 1e3, 1e4, 86400.0, 1e6, 365.25 * 86400.0]
    expected = [0.924, 0.826, 0.738, 0.664, 0.589, 0.497]
    np.testing.assert_allclose(CARD.drift.factor(ages_s, 0.049), expected, atol=0.004)


def test_drift_between_reference_ages() -> None:
    drift = CARD.drift
    assert drift.pulse_reference_age_s == 38.6
    np.testing.assert_allclose(
        drift.factor([20.0, 25.0], 0.04, drift.pulse_reference_age_s), [1.0266, 1.0175], atol=6e-5
    )
    there_and_back = drift.factor(25.0, 0.06, 38.6) * drift.factor(38.6, 0.06, 25.0)
    assert there_and_back == pytest.approx(1.0, rel=1e-12)


def test_drift_onset_softens_early_ages() -> None:
    late = CARD.with_values({"laws.drift.parameters.onset_s": "1 s"}, source="trial").drift
    assert late.factor(0.0, 0.05) == pytest.approx((1.0 / 21.0) ** -0.05)
    assert late.factor(1e-3, 0.05) < CARD.drift.factor(1e-3, 0.05)
    assert late.factor(20.0, 0.05) == 1.0


def test_mean_at_the_first_read_without_pre_correction() -> None:
    # E6 of the acceptance table: what drift alone takes between the verify age and 25 s.
    factors = CARD.drift.factor(25.0, 0.049, np.array([2.5e-6, 1e-4, 1e-2, 2.0]))
    np.testing.assert_allclose(factors, [0.454, 0.544, 0.682, 0.884], rtol=0.002)


def test_read_noise_strength() -> None:
    g = [0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
    expected = [0.0713, 0.0393, 0.0251, 0.0160, 0.0123, 0.0102, 0.0088]
    np.testing.assert_allclose(CARD.read_noise.strength(g), expected, atol=6e-5)
    assert CARD.read_noise.strength([0.0, 0.008]).tolist() == [0.2, 0.2]
    assert CARD.read_noise.strength(0.0084) < 0.2


def test_accumulated_spread() -> None:
    noise = CARD.read_noise
    relative = noise.strength(0.1) * noise.accumulated_sigma([1.0, 25.0, 1e5])
    np.testing.assert_allclose(relative, [0.150, 0.166, 0.201], rtol=0.005)
    assert noise.accumulated_sigma(0.0) == 0.0
