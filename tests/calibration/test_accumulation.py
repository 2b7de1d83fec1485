"""Published tables of the accumulation law, 10,000 devices in the paper's form (device-physics §9.2)."""

import numpy as np
import pytest

from calibration import DeviceCard
from calibration.laws.accumulation import Accumulation, mean_step

LAW = DeviceCard.load("ibm90").accumulation
AT = [1, 2, 3, 5, 10, 15, 20]


def population(
    law: Accumulation, pulses: int, *, clip_us: float, devices: int = 10_000, seed: int = 7
) -> np.ndarray:
    """Conductances in uS after each pulse, shape (pulses, devices)."""
    random = np.random.default_rng(seed)
    g_s = np.full(devices, law.lowest_s)
    after = []
    for p in range(1, pulses + 1):
        step = law.mean_step_s(g_s, p) + law.spread_step_s(g_s, p) * random.standard_normal(devices)
        g_s = np.clip(g_s + step, law.lowest_s, clip_us * 1e-6)
        after.append(g_s * 1e6)
    return np.array(after)


@pytest.fixture(scope="module")
def grown() -> np.ndarray:
    return population(LAW, 50, clip_us=20.0)


def test_mean_after_pulses(grown: np.ndarray) -> None:
    means = grown[np.array(AT) - 1].mean(axis=1)
    np.testing.assert_allclose(means, [2.05, 3.43, 4.47, 5.92, 7.83, 8.80, 9.39], atol=0.10)


def test_spread_after_pulses(grown: np.ndarray) -> None:
    spreads = grown[np.array(AT) - 1].std(axis=1)
    np.testing.assert_allclose(spreads, [1.52, 1.97, 2.20, 2.38, 2.46, 2.55, 2.66], rtol=0.035)


def test_tails_after_pulses(grown: np.ndarray) -> None:
    p5, p95 = np.percentile(grown[np.array(AT) - 1], [5, 95], axis=1)
    np.testing.assert_allclose(p5, [0.1, 0.4, 1.2, 2.5, 4.4, 5.3, 5.7], atol=0.2)
    np.testing.assert_allclose(p95, [4.8, 6.9, 8.4, 10.2, 12.4, 13.5, 14.3], atol=0.2)


def test_asymptote(grown: np.ndarray) -> None:
    assert grown[49].mean() == pytest.approx(10.35, abs=0.15)
    assert grown[49].std() == pytest.approx(2.94, rel=0.04)
    assert -LAW.offset_s / LAW.slope * 1e6 == pytest.approx(10.48, abs=0.005)


def test_tighter_clip() -> None:
    last = population(LAW, 20, clip_us=12.0)[19]
    assert last.mean() == pytest.approx(8.92, abs=0.1)
    assert last.std() == pytest.approx(1.97, rel=0.04)


def test_mean_trajectory_follows_the_mean_step() -> None:
    trajectory = LAW.mean_trajectory_s([0, 1, 2, 300])
    assert trajectory[0] == LAW.lowest_s
    assert trajectory[1] == pytest.approx(0.1e-6 + (-0.084 * 0.1 + 0.880 + 1.40 * np.exp(-1 / 2.6)) * 1e-6)
    assert trajectory[2] - trajectory[1] == pytest.approx(float(LAW.mean_step_s(trajectory[1], 2)))
    assert trajectory[3] == pytest.approx(0.880e-6 / 0.084, rel=1e-6)
    assert LAW.mean_trajectory_s(3).shape == ()
    with pytest.raises(ValueError, match="negative"):
        LAW.mean_trajectory_s([-1])


def test_plain_functions_are_the_law() -> None:
    plain = mean_step(np.array([3e-6]), LAW.memory(4), LAW.slope, LAW.offset_s, LAW.boost_s)
    np.testing.assert_array_equal(plain, LAW.mean_step_s([3e-6], 4))


@pytest.mark.parametrize(("cut_it", "inside"), [(True, True), (False, False)])
def test_device_part_stays_inside_the_published_spread(cut_it: bool, inside: bool) -> None:
    # Devices with their own step size and cycles with the rest give the published spread together;
    # without it they exceed it.
    devices, pulses = 50_000, 20
    random = np.random.default_rng(11)
    factor = 1.0 + LAW.step_spread * random.standard_normal(devices)
    cycle = LAW.cycle_factor(np.arange(pulses + 1))
    assert cycle[0] == 1.0
    assert np.all((cycle[1:] > 0.0) & (cycle[1:] < 1.0))
    g_s = np.full(devices, LAW.lowest_s)
    spreads = []
    for p in range(1, pulses + 1):
        spread = LAW.spread_step_s(g_s, p) * (cycle[p] if cut_it else 1.0)
        mean = LAW.slope * g_s + factor * LAW.mean_step_s(0.0, p)
        step = mean + spread * random.standard_normal(devices)
        g_s = np.clip(g_s + step, LAW.lowest_s, LAW.highest_s)
        spreads.append(g_s.std() * 1e6)
    published = np.array([1.52, 1.97, 2.20, 2.38, 2.46, 2.55, 2.66])
    ratio = np.array(spreads)[np.array(AT) - 1] / published
    assert bool(np.all(np.abs(ratio - 1.0) < 0.035)) is inside
    assert g_s[factor > 1.1].mean() - g_s[factor < 0.9].mean() > 0.4e-6
