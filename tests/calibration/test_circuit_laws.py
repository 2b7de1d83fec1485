"""Current over voltage, resistance of the lines, telegraph noise (device-physics §2.3, §4.1, §4.4; C1-C3, C10)."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import DeviceCard
from calibration.laws.array import Lines
from calibration.laws.current_voltage import HoppingCurrentVoltage, hopping_voltage_v
from calibration.laws.telegraph_noise import TelegraphNoise

IBM90 = DeviceCard.load("ibm90")
HOPPING = HoppingCurrentVoltage(
    reference_v=0.2, polarity_spread=0.0, thickness_m=20e-9, hopping_distance_m=6e-9
)
G = np.linspace(0.0, 1.0, 11)


def test_hopping_path_bends_as_derived() -> None:  # C1
    ohmic = HOPPING.factor(0.0, 1e-4)
    assert HOPPING.factor(0.0, 0.2) / ohmic == pytest.approx(1.24, rel=0.01)


def test_voltage_of_the_hopping_path() -> None:  # C2
    voltages = hopping_voltage_v([10e-9, 20e-9, 40e-9], 6e-9, 300.0)
    np.testing.assert_allclose(voltages, [0.0862, 0.1723, 0.3447], atol=1e-4)
    assert hopping_voltage_v(20e-9, 6e-9, 330.0) == pytest.approx(1.1 * voltages[1])


def test_series_of_the_hopping_path_is_its_sinh() -> None:
    # six terms are enough up to 0.5 V, where the argument of sinh is 2.9
    v0 = float(hopping_voltage_v(20e-9, 6e-9, 300.0))
    for voltage_v in (0.05, 0.2, 0.3, 0.5):
        sinh = v0 * np.sinh(voltage_v / v0) / voltage_v
        at_reference = v0 * np.sinh(0.2 / v0) / 0.2
        mixed = (G + (1.0 - G) * sinh) / (G + (1.0 - G) * at_reference)
        np.testing.assert_allclose(HOPPING.factor(G, voltage_v), mixed, rtol=1e-3)


@pytest.mark.parametrize("law", [IBM90.current_voltage, HOPPING], ids=["cubic", "hopping"])
def test_conductances_are_those_at_the_reference_voltage(law: HoppingCurrentVoltage) -> None:  # C10
    np.testing.assert_allclose(law.factor(G, 0.2), 1.0, rtol=1e-12)
    np.testing.assert_allclose(law.factor(G, -0.2), 1.0, rtol=1e-12)
    np.testing.assert_allclose(law.factor(1.0, 0.3), 1.0, rtol=1e-12)
    above = law.factor(G, 0.3)
    assert np.all(np.diff(above) < 0.0), "the less crystalline, the more bent"
    assert np.all(law.factor(G[:-1], 0.1) < 1.0)


def test_cubic_form_is_its_formula() -> None:
    b = 0.1 * (1.0 - G)
    expected = (1.0 + b * (0.3 / 0.2) ** 2) / (1.0 + b)
    np.testing.assert_allclose(IBM90.current_voltage.factor(G, 0.3), expected, rtol=1e-12)


def test_series_resistance_takes_its_share() -> None:  # C3
    shown = [
        float(Lines(series_ohm=ohm, bit_line_ohm=0.0, word_line_ohm=0.0).measured_s(25e-6)) / 25e-6 - 1.0
        for ohm in (2e3, 4e3, 5e3)
    ]
    np.testing.assert_allclose(shown, [-0.048, -0.09, -0.11], atol=0.002)


def test_lines_grow_along_rows_and_columns() -> None:
    lines = Lines(series_ohm=100.0, bit_line_ohm=0.5, word_line_ohm=0.25)
    row, col = np.array([[0], [1000]]), np.array([0, 2000])
    np.testing.assert_allclose(lines.resistance_ohm(row, col), [[100.0, 600.0], [600.0, 1100.0]])
    np.testing.assert_allclose(lines.measured_s(20e-6, 1000, 2000), 1.0 / (1.0 / 20e-6 + 1100.0), rtol=1e-12)
    assert lines.measured_s(0.0, 1000, 2000) == 0.0


def test_shares_of_the_spread_leave_the_rest_to_the_cells() -> None:
    assert IBM90.spatial_correlation.cell_share == pytest.approx(0.91)


def test_telegraph_autocovariance_against_a_direct_simulation() -> None:
    # 1,000,000 devices, each fluctuator flipped as often as a Poisson process of rate 1/(2 tau) says. The mean
    # product has a standard error below 0.4 % of the variance (checked below), so 2 % is five of them.
    law = TelegraphNoise(
        fluctuators_max=2, amplitude_low=0.01, amplitude_high=0.05, tau_min_s=1e-3, tau_max_s=10.0
    )
    random = np.random.default_rng(3)
    devices = 1_000_000
    number = random.integers(0, 3, devices)
    present = np.arange(2)[:, None] < number
    amplitude = np.where(present, random.uniform(0.01, 0.05, (2, devices)), 0.0)
    tau_s = np.exp(random.uniform(np.log(1e-3), np.log(10.0), (2, devices)))
    before = random.choice([-0.5, 0.5], (2, devices))
    variance = float(law.autocovariance(0.0))
    for lag_s in (0.0, 1e-3, 0.1, 1.0, 20.0):
        flips = random.poisson(lag_s / (2.0 * tau_s))
        after = np.where(flips % 2 == 0, before, -before)
        product = (amplitude * before).sum(axis=0) * (amplitude * after).sum(axis=0)
        assert product.std() / np.sqrt(devices) < 0.004 * variance
        assert product.mean() == pytest.approx(float(law.autocovariance(lag_s)), abs=0.02 * variance)


def test_telegraph_variance_is_the_arithmetic_of_the_card() -> None:
    # one fluctuator on average, E[A^2] = (0.01^2 + 0.01 0.05 + 0.05^2) / 3, levels half an amplitude away
    law = replace(IBM90.telegraph_noise, fluctuators_max=2)
    assert law.autocovariance(0.0) == pytest.approx(0.0031 / 3.0 / 4.0, rel=1e-9)
    lags = law.autocovariance([0.0, 1.0, 1e5])
    assert lags[0] > lags[1] > lags[2] >= 0.0
    assert lags[2] < 1e-6 * lags[0]
