"""The programming curve: regression of its defaults (device-physics §3.5, §3.6, P11, P12)."""

import numpy as np
import pytest

from calibration import DeviceCard

CARD = DeviceCard.load("ibm90")
CURVE = CARD.programming_curve


def melted_us(current_a: float, *, floored: bool, devices: int = 100_000, seed: int = 3) -> np.ndarray:
    """Conductance in uS of a population after one melting pulse, with or without the RESET floor."""
    random = np.random.default_rng(seed)
    melt, full, top, cycle, reset = random.standard_normal((5, devices))
    left = CURVE.remaining_share(
        CURVE.melt_depth(
            current_a,
            CURVE.melt_current_mean_a + CURVE.melt_current_spread_a * melt,
            CURVE.full_current_mean_a + CURVE.full_current_spread_a * full,
        )
    )
    g_s = (CURVE.full_conductance_mean_s + CURVE.full_conductance_spread_s * top) * left
    g_s = g_s * np.exp(CURVE.cycle_spread * cycle)
    lowest_s = CURVE.reset_median_s * np.exp(CURVE.reset_ln_spread * reset) if floored else 0.0
    return np.asarray(np.maximum(g_s, lowest_s) * 1e6)


@pytest.mark.parametrize(
    ("current_a", "mean_us", "std_us"),
    [
        (250e-6, 20.4, 3.9),
        (287e-6, 14.0, 2.8),
        (300e-6, 12.1, 2.6),
        (350e-6, 5.5, 2.4),
        (400e-6, 0.96, 1.4),
    ],
)
def test_melt_branch_of_a_population(current_a: float, mean_us: float, std_us: float) -> None:
    g_us = melted_us(current_a, floored=False)
    assert g_us.mean() == pytest.approx(mean_us, rel=0.03, abs=0.05)
    assert g_us.std() == pytest.approx(std_us, rel=0.03, abs=0.05)


@pytest.mark.parametrize(("current_a", "percent"), [(450e-6, 0.6), (440e-6, 1.9)])
def test_low_resistance_tail_of_reset(current_a: float, percent: float) -> None:
    g_us = melted_us(current_a, floored=True)
    assert 100.0 * np.mean(g_us > 1.0) == pytest.approx(percent, abs=0.3)
    assert np.median(g_us) == pytest.approx(0.1, rel=0.05)


def test_mean_branch_and_its_inverse() -> None:
    g_s = np.linspace(0.2e-6, 27.9e-6, 50)
    np.testing.assert_allclose(CURVE.mean_melt_conductance_s(CURVE.current_for_a(g_s)), g_s, rtol=1e-9)
    assert CURVE.current_for_a([-1e-6, 0.0, 28e-6, 40e-6]).tolist() == pytest.approx(
        [400e-6, 400e-6, 220e-6, 220e-6]
    )
    assert CURVE.mean_melt_conductance_s(200e-6) == 28e-6
    assert CURVE.mean_melt_conductance_s(450e-6) == CURVE.reset_median_s


def test_mid_range_slope() -> None:
    assert CURVE.slope_s_per_a == pytest.approx(0.147, abs=0.001)
    currents = CURVE.current_for_a([14.01e-6, 13.99e-6])
    assert 0.02e-6 / (currents[1] - currents[0]) == pytest.approx(CURVE.slope_s_per_a, rel=1e-3)


def test_melt_fraction_is_what_is_gone() -> None:
    current_a = np.array([200e-6, 300e-6, 500e-6])
    np.testing.assert_allclose(
        CURVE.melt_fraction(current_a), 1.0 - CURVE.remaining_share(CURVE.melt_depth(current_a))
    )
    assert CURVE.melt_fraction(current_a)[[0, 2]].tolist() == [0.0, 1.0]
    assert CURVE.melt_depth(310e-6) == pytest.approx(0.5)


def test_set_branch_meets_the_accumulation_law_at_the_reference_pulse() -> None:
    law = CARD.accumulation
    rate = CURVE.set_rate(CURVE.reference_width_s)
    saturation_s = CURVE.saturation_s(CURVE.reference_current_a)
    assert rate == pytest.approx(-law.slope, rel=1e-9)
    assert rate * saturation_s == pytest.approx(law.offset_s, rel=1e-9)


def test_saturation_over_current() -> None:
    saturation_us = CURVE.saturation_s([30e-6, 60e-6, 160e-6, 210e-6]) * 1e6
    np.testing.assert_allclose(saturation_us, [0.0, 4.2, 25.2, 28.0], atol=0.06)
    assert CURVE.saturation_s(210e-6, 20e-6) == 20e-6


def test_slow_trailing_edges_crystallise_again() -> None:
    shares = CURVE.recrystallised_share([0.0, 10e-9, 50e-9, 10e-6])
    assert shares[:2].tolist() == [0.0, 0.0]
    assert shares[2] == pytest.approx(0.084, abs=1e-4)
    assert shares[3] > 0.999


def test_temperature_factor() -> None:
    warm = CARD.temperature
    ratio = warm.factor([0.0, 0.1, 0.4, 1.0], 358.15) / warm.factor([0.0, 0.1, 0.4, 1.0], 298.15)
    np.testing.assert_allclose(ratio, [8.1, 5.6, 2.3, 1.14], rtol=0.03)
    ratio = warm.factor([0.0, 0.1, 0.4, 1.0], 308.15) / warm.factor([0.0, 0.1, 0.4, 1.0], 298.15)
    np.testing.assert_allclose(ratio, [1.50, 1.39, 1.18, 1.03], rtol=0.01)
    assert warm.factor(0.3, warm.reference_k) == 1.0
    assert warm.factor(0.0, 358.15, 1.0) == pytest.approx(warm.factor(0.0, 358.15) ** 1.15)
    assert warm.activation_energy_ev([-0.1, 0.0, 1.0, 1.1]).tolist() == pytest.approx(
        [0.32, 0.32, 0.02, 0.02]
    )


def test_converter_step() -> None:
    chain = CARD.read_chain
    assert chain.ranges_a == (1e-7, 1e-6, 1e-5, 1e-4)
    assert isinstance(chain.adc_bits, int)
    assert chain.step_a(10e-6) == pytest.approx(39e-9, rel=0.01)
    assert chain.step_a(10e-6) / chain.read_voltage_v == pytest.approx(0.195e-6, rel=0.01)
