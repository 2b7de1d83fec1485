"""The states behind the 1/f noise (device-physics §1.4, §2.5, §9.1)."""

import numpy as np
import pytest

from calibration import DeviceCard
from calibration.laws.read_noise import ReadNoise

CARD = DeviceCard.load("ibm90")
SLOPE = "laws.read_noise.parameters.spectral_slope"


def spectrum(noise: ReadNoise, f_hz: np.ndarray) -> np.ndarray:
    """One-sided spectrum in units of Q_s^2: the sum of the Lorentzians of all states."""
    tau = noise.time_constants_s()
    lorentzians = 4.0 * tau / (1.0 + (2.0 * np.pi * f_hz[:, None] * tau) ** 2)
    return np.asarray(lorentzians @ noise.state_variances())


def test_states_are_centred_in_their_cells() -> None:
    tau = CARD.read_noise.time_constants_s()
    np.testing.assert_allclose(tau, 1e-7 * 10.0 ** ((np.arange(26) + 0.5) / 2.0), rtol=1e-12)
    assert CARD.read_noise.state_variances().sum() == pytest.approx(13.0 * np.log(10.0), rel=1e-12)


def test_spectrum_is_one_over_f() -> None:
    f_hz = np.geomspace(0.1, 50.0, 200)
    flat = spectrum(CARD.read_noise, f_hz) * f_hz
    assert flat.min() > 0.995
    assert flat.max() < 1.005


@pytest.mark.parametrize("slope", [0.9, 1.0, 1.21])
def test_other_spectral_slopes_keep_the_strength_at_one_hertz(slope: float) -> None:
    noise = CARD.with_values({SLOPE: slope}, source="trial").read_noise
    f_hz = np.geomspace(0.1, 50.0, 200)
    fitted = np.polyfit(np.log(f_hz), np.log(spectrum(noise, f_hz)), 1)
    assert fitted[0] == pytest.approx(-slope, abs=0.03)
    assert spectrum(noise, np.array([1.0]))[0] == pytest.approx(1.0, rel=0.01)


def test_noise_from_read_to_read() -> None:
    expected = [2.28, 3.13, 4.09]
    sigma = np.sqrt(CARD.read_noise.structure_half_variance([10e-6, 1e-3, 1.0]))
    np.testing.assert_allclose(sigma, expected, rtol=0.05)


def test_noise_from_read_to_read_with_the_shorter_band() -> None:
    card = CARD.with_values({"laws.read_noise.parameters.tau_min_s": "1.78 us"}, source="trial")
    sigma = np.sqrt(card.read_noise.structure_half_variance([10e-6, 1e-3, 1.0]))
    np.testing.assert_allclose(sigma, [1.52, 2.63, 3.72], rtol=0.05)


def test_structure_function_limits() -> None:
    noise = CARD.read_noise
    assert noise.structure_half_variance(0.0) == 0.0
    assert noise.structure_half_variance(1e9) == pytest.approx(noise.state_variances().sum())
    assert noise.structure_half_variance(np.ones((2, 3))).shape == (2, 3)


def test_boxcar_factor_against_a_direct_average() -> None:
    noise = CARD.read_noise
    for x in (0.3, 2.0, 40.0):
        t = (np.arange(2000) + 0.5) * (x / 2000)
        direct = np.mean(np.exp(-np.abs(t[:, None] - t[None, :])))
        assert noise.boxcar_factor(x) == pytest.approx(direct, rel=1e-3)


def test_boxcar_factor_is_smooth_through_its_series() -> None:
    factor = CARD.read_noise.boxcar_factor
    assert factor(0.0) == 1.0
    just_below, just_above = factor([1e-3 * (1 - 1e-9), 1e-3 * (1 + 1e-9)])
    assert just_below == pytest.approx(just_above, rel=1e-11)
    x = np.geomspace(1e-9, 1e6, 500)
    assert np.all(np.diff(factor(x)) <= 0.0)
    assert factor(1e6) * 1e6 == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    ("aperture_s", "spacing_s", "samples"),
    [(1e-6, 2e-6, 1), (1e-6, 2e-6, 8), (1e-7, 1.1e-6, 300), (1e-2, 1.0001e-2, 100)],
)
def test_averaging_leaves_what_the_covariance_of_all_windows_says(
    aperture_s: float, spacing_s: float, samples: int
) -> None:
    noise = CARD.read_noise
    tau = noise.time_constants_s()
    in_range = aperture_s / (2 * tau) < 300  # sinh overflows for states faster than that
    tau = tau[in_range, np.newaxis, np.newaxis]
    start = np.arange(samples) * spacing_s
    apart = np.abs(np.subtract.outer(start, start))
    # exp(-|t - t'| / tau) over two windows; sinh by its product, exact for slow states too
    half = aperture_s / (2 * tau)
    shape = np.where(half < 1e-4, 1 + half**2 / 6, np.sinh(half) / half)
    covariance = np.where(apart > 0, np.exp(-apart / tau) * shape**2, noise.boxcar_factor(2 * half))
    expected = covariance.mean(axis=(1, 2))
    found = noise.averaging_factor(aperture_s, spacing_s, samples)[in_range]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_longer_reading_leaves_less_of_the_fast_states_and_all_of_the_slow() -> None:
    noise = CARD.read_noise
    one, many = noise.averaging_factor(1e-6, 2e-6, 1), noise.averaging_factor(1e-6, 2e-6, 64)
    assert np.all(many <= one)
    assert many[0] < 0.05 * one[0]
    assert many[-1] == pytest.approx(1.0)
