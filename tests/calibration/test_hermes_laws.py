"""Published fits of the 14 nm chips (device-physics §2.8, §2.9; T16, T17), and the noise of target-level cards."""

import numpy as np
import pytest

from calibration import DeviceCard
from calibration.laws.read_noise_short import short_read_noise_s

ONE, PAIR = DeviceCard.load("hermes14"), DeviceCard.load("hermes14-pair")


@pytest.mark.parametrize(
    ("card", "rms", "percent"),
    [
        (ONE, 0.0781, [1.97, 3.57, 5.94, 8.36, 9.42, 9.73]),
        (PAIR, 0.0431, [1.24, 2.69, 4.29, 4.79, 4.41, 5.28]),
    ],
)
def test_programming_error(card: DeviceCard, rms: float, percent: list[float]) -> None:
    sigma = card.programming_error.sigma_s(np.linspace(0.0, 1.0, 10_001)) / card.g_max_s
    assert np.sqrt(np.mean(sigma**2)) == pytest.approx(rms, rel=0.03)
    at = card.programming_error.sigma_s([0.02, 0.1, 0.25, 0.5, 0.75, 1.0]) / card.g_max_s
    np.testing.assert_allclose(at * 100.0, percent, atol=0.006)


def test_reference_ages() -> None:
    assert (ONE.g_max_s, ONE.t0_s) == (pytest.approx(10.35e-6), 200.0)
    assert (PAIR.g_max_s, PAIR.t0_s) == (pytest.approx(20.7e-6), 300.0)
    assert ONE.read_noise.read_width_s == PAIR.read_noise.read_width_s == 512e-9


def test_drift_below_and_above_its_knees() -> None:
    for card in (ONE, PAIR):
        below = np.clip(-0.0387 * np.log([0.001, 0.05, 0.0944]) - 0.0182, 0.072, 0.13)
        np.testing.assert_allclose(card.drift.mean_exponent([0.001, 0.05, 0.0944]), below, rtol=1e-12)
        np.testing.assert_allclose(
            card.drift.mean_exponent([0.0945, 0.5, 1.0]), [0.072020, 0.0564, 0.0174], atol=1e-6
        )
        assert card.drift.mean_exponent(0.0) == 0.13
    g = [0.01, 0.1, 0.3, 0.5]
    np.testing.assert_allclose(ONE.drift.spread_exponent(g), [0.04, 0.02533, 0.0124, 0.01208], atol=1e-5)
    np.testing.assert_allclose(PAIR.drift.spread_exponent(g), [0.04, 0.02124, 0.0091, 0.009], atol=1e-5)


def test_read_noise_below_and_above_its_knee() -> None:
    g = [0.001, 0.1, 0.159, 0.5, 1.0]
    one, pair = ONE.read_noise.strength(g), PAIR.read_noise.strength(g)
    np.testing.assert_allclose(one, [0.04, 0.02176, 0.01814, 0.0217, 0.0168], atol=1e-5)
    np.testing.assert_allclose(pair, [0.04, 0.02004, 0.015, 0.01671, 0.0123], atol=1e-5)


def test_fits_are_held_where_no_device_was_fitted() -> None:
    # A parabola taken literally would be negative from g = 1.2 on.
    for card in (ONE, PAIR):
        for curve in (card.drift.mean_exponent, card.drift.spread_exponent, card.read_noise.strength):
            assert curve(1.3) == curve(1.0)
            assert np.all(curve(np.linspace(0.0, 3.0, 301)) > 0.0)


def test_target_level_cards_say_which_laws_they_lack() -> None:
    for card in (ONE, PAIR):
        assert card.has("programming_error")
        assert not card.has("accumulation")
        assert not card.has("programming_curve")


@pytest.mark.parametrize(
    ("integration_s", "per_siemens", "floor_us"),
    [(1e-9, 0.0258, 0.118), (10e-9, 0.0161, 0.073), (100e-9, 0.0113, 0.050)],
)
def test_short_reads(integration_s: float, per_siemens: float, floor_us: float) -> None:
    # T17, to the digits the reference gives
    at_zero, at_ten = short_read_noise_s([0.0, 10e-6], integration_s)
    assert at_zero * 1e6 == pytest.approx(floor_us, abs=0.0005)
    assert (at_ten - at_zero) / 10e-6 == pytest.approx(per_siemens, abs=0.00006)


def test_short_reads_refuse_what_was_not_fitted() -> None:
    assert short_read_noise_s(np.ones((3, 1)) * 1e-6, [1e-9, 1e-8]).shape == (3, 2)
    with pytest.raises(ValueError, match=r"1e-06 s is outside .* use the card's read_noise"):
        short_read_noise_s(1e-6, [1e-8, 1e-6])
    with pytest.raises(ValueError, match="negative"):
        short_read_noise_s([1e-6, -1e-6], 1e-8)
    with pytest.raises(ValueError, match="negative"):
        short_read_noise_s(np.nan, 1e-8)


@pytest.mark.parametrize("card", [ONE, PAIR, DeviceCard.load("ibm90")], ids=lambda card: card.name)
def test_states_from_zero_have_the_published_accumulated_spread(card: DeviceCard) -> None:
    noise = card.read_noise.for_target_level()
    assert noise.start == "zero"
    assert noise.tau_min_s == pytest.approx(7.12 * noise.read_width_s, rel=1e-3)
    age_s = np.array([1.0, 25.0, 1e3, 1e5])
    # an Ornstein-Uhlenbeck state that starts at zero has the variance 1 - exp(-2 t / tau) of its own
    from_zero = (1.0 - np.exp(-2.0 * age_s[:, None] / noise.time_constants_s())) @ noise.state_variances()
    np.testing.assert_allclose(np.sqrt(from_zero), noise.accumulated_sigma(age_s), rtol=0.02)
    assert noise.strength(0.5) == card.read_noise.strength(0.5)


def test_states_from_zero_over_the_short_band_would_have_more() -> None:
    noise = DeviceCard.load("ibm90").read_noise
    from_zero = (1.0 - np.exp(-2.0 / noise.time_constants_s())) @ noise.state_variances()
    assert np.sqrt(from_zero) > 1.06 * noise.accumulated_sigma(1.0)
