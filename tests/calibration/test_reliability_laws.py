"""Switching, crystallisation, disturb and wear (device-physics §4.2, §5)."""

import numpy as np
import pytest

from calibration import DeviceCard
from calibration.laws.temperature import BOLTZMANN_EV_PER_K

IBM90, ST90, BINARY = (DeviceCard.load(name) for name in ("ibm90", "st90", "binary"))


def test_threshold_falls_with_the_conductance_and_ends() -> None:
    law = IBM90.threshold_switching
    np.testing.assert_allclose(law.voltage_v([0.0, 0.4, 0.7999]), [1.2, 0.9, 0.6], atol=1e-3)
    assert np.all(np.isinf(law.voltage_v([0.8, 1.0])))


def test_threshold_drifts_linearly_in_the_logarithm_of_time() -> None:
    law = IBM90.threshold_switching
    ages_s = np.exp([0.0, 1.0, 2.0, 10.0])
    np.testing.assert_allclose(np.diff(law.voltage_v(0.0, ages_s)), 1.2 * 0.01 * np.array([1, 1, 8]))
    assert law.voltage_v(0.0, 0.0) == law.voltage_v(0.0, 1e-6) > 0.0
    assert law.voltage_v(0.0, 1.0, 2.0) == pytest.approx(1.2 * 1.1)


def test_usual_reads_stay_below_every_threshold() -> None:
    # the youngest read, a cell five standard deviations down, the highest read voltage of the card
    for card in (IBM90, ST90):
        weakest = card.threshold_switching.voltage_v(np.linspace(0.0, 1.0, 101), 1e-6, -5.0)
        assert weakest.min() > card.read_chain.read_voltage_max_v


def test_retention_is_arrhenius() -> None:
    law = IBM90.retention
    assert 1.0 / law.rate_per_s(358.15) == pytest.approx(3650 * 86400.0)
    inverse = np.array([1.0 / 300.0, 1.0 / 400.0, 1.0 / 500.0])
    slope = np.polyfit(inverse, np.log(law.rate_per_s(1.0 / inverse)), 1)[0]
    assert -slope * BOLTZMANN_EV_PER_K == pytest.approx(2.4, rel=1e-9)
    assert np.isfinite(law.rate_per_s(1.0))


def test_crystallised_share_is_avrami() -> None:
    law = IBM90.retention
    np.testing.assert_allclose(
        law.crystallised_share([-1.0, 0.0, 1.0, 50.0]), [0.0, 0.0, 1 - np.exp(-1), 1.0]
    )
    dose = np.array([0.01, 0.1])
    grown = np.log(-np.log1p(-law.crystallised_share(dose)))
    assert np.diff(grown) / np.diff(np.log(dose)) == pytest.approx(1.5)


def test_ge_rich_cell_outlives_a_bake_the_other_does_not() -> None:
    # one day at 180 C, after which the 20 kb chip of the family still multiplied well
    dose = [float(card.retention.rate_per_s(453.15)) * 86400.0 for card in (ST90, IBM90)]
    ge_rich, gst225 = ST90.retention.crystallised_share(dose[0]), IBM90.retention.crystallised_share(dose[1])
    assert ge_rich < 0.02
    assert gst225 > 0.99
    ten_years_at_85 = ST90.retention.rate_per_s(358.15) * 3650 * 86400.0
    assert ST90.retention.crystallised_share(ten_years_at_85) < 1e-6


def test_disturb_grows_exponentially_with_the_voltage_of_either_sign() -> None:
    law = IBM90.read_disturb
    assert law.dose(law.reference_v, law.lifetime_s) == pytest.approx(1.0)
    beyond_v = law.reference_v + law.voltage_step_v
    assert law.dose(-beyond_v, 2.0 * law.lifetime_s) == pytest.approx(2.0 * np.e)
    assert law.dose(0.2, 1e6 * 8e-6) < 1e-4, "a million usual reads"


def test_lifetimes_are_the_inverse_of_the_failed_share() -> None:
    for card in (IBM90, ST90, BINARY):
        law = card.endurance
        survival = np.array([0.999999, 0.9, 0.5, 0.1])
        np.testing.assert_allclose(law.failed_share(law.lifetime_pulses(survival)), 1.0 - survival, rtol=1e-6)
        assert law.failed_share(law.scale_pulses) == pytest.approx(1.0 - np.exp(-1.0))
        assert law.failed_share(0.0) == 0.0


def test_drawn_lifetimes_are_weibull() -> None:
    # the largest distance from the distribution is below 1.63 / sqrt(n) in 99 % of all samples
    survival = np.random.default_rng(5).uniform(size=10_000)
    drawn = np.sort(IBM90.endurance.lifetime_pulses(survival))
    rank = (np.arange(drawn.size) + 0.5) / drawn.size
    assert np.abs(IBM90.endurance.failed_share(drawn) - rank).max() < 1.63 / np.sqrt(drawn.size)


def test_embedded_memory_holds_its_specified_cycles() -> None:
    np.testing.assert_allclose(ST90.endurance.failed_share([1e5, 1e6]), [1e-6, 1e-4], rtol=1e-3)
    assert BINARY.endurance.failed_share(2e4) < 1e-6


def test_usual_pulses_do_no_damage() -> None:
    for card in (IBM90, ST90, BINARY):
        weakest_a = card.damage.current_mean_a - 5.0 * card.damage.current_spread_a
        assert weakest_a > 460e-6, "the largest current of the bench's envelope"
