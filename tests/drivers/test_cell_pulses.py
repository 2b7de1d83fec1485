"""What pulses do to the simulated cells, against the published and the default laws (device-physics §9.2)."""

from __future__ import annotations

import numpy as np
import pytest
from silicon import IBM90, US, Silicon, card_with

PULSES = (1, 2, 3, 5, 10, 15, 20)
MEAN = np.array([2.05, 3.43, 4.47, 5.92, 7.83, 8.80, 9.39])
STD = np.array([1.52, 1.97, 2.20, 2.38, 2.46, 2.55, 2.66])
P5 = np.array([0.1, 0.4, 1.2, 2.5, 4.4, 5.3, 5.7])
P95 = np.array([4.8, 6.9, 8.4, 10.2, 12.4, 13.5, 14.3])
RESET_A, SET_A = 480e-6, 90e-6
DEVICES = 40_000  # standard error of a mean below 0.015 uS, of a standard deviation 0.35 %


def accumulate(silicon: Silicon, pulses: int, current_a: float = SET_A) -> dict[int, np.ndarray]:
    silicon.pulse(RESET_A)
    found = {}
    for number in range(1, pulses + 1):
        silicon.wait(38.6)
        silicon.pulse(current_a)
        found[number] = silicon.truth() / US
    return found


@pytest.fixture(scope="module")
def accumulated() -> dict[int, np.ndarray]:
    # Published law: every cell starts at 0.1 uS (device-physics §3.2)
    return accumulate(Silicon(DEVICES, card_with(programming_curve__reset_ln_spread=0.0)), 50)


def test_accumulation_has_the_published_mean_and_spread(accumulated: dict[int, np.ndarray]) -> None:  # P1, P2
    mean = np.array([accumulated[p].mean() for p in PULSES])
    spread = np.array([accumulated[p].std() for p in PULSES])
    np.testing.assert_allclose(mean, MEAN, atol=0.10)
    np.testing.assert_allclose(spread, STD, rtol=0.035)


def test_accumulation_has_the_published_tails(accumulated: dict[int, np.ndarray]) -> None:  # P3
    tails = np.array([np.percentile(accumulated[p], [5, 95]) for p in PULSES])
    np.testing.assert_allclose(tails[:, 0], P5, atol=0.2)
    np.testing.assert_allclose(tails[:, 1], P95, atol=0.2)


def test_accumulation_levels_off(accumulated: dict[int, np.ndarray]) -> None:  # P4
    assert accumulated[50].mean() == pytest.approx(10.35, abs=0.15)
    assert accumulated[50].std() == pytest.approx(2.94, rel=0.04)


def test_a_lower_clip_lowers_the_top(accumulated: dict[int, np.ndarray]) -> None:  # P5
    card = card_with(accumulation__highest_s="12 uS", programming_curve__reset_ln_spread=0.0)
    clipped = accumulate(Silicon(DEVICES, card), 20)[20]
    assert clipped.max() <= 12.0 + 1e-4
    assert clipped.mean() == pytest.approx(8.92, abs=0.1)
    assert clipped.std() == pytest.approx(1.97, rel=0.04)


def test_devices_differ_in_their_steps(accumulated: dict[int, np.ndarray]) -> None:
    # The same cells stay ahead: what a device gains after two RESETs is correlated, pulses alone are not.
    silicon = Silicon(10_000)
    first = accumulate(silicon, 10)[10]
    second = accumulate(silicon, 10)[10]
    correlation = np.corrcoef(first, second)[0, 1]
    # share of the variance bound to the device: (0.1 x 7.8 uS)^2 of (2.46 uS)^2
    assert 0.05 < correlation < 0.16


def test_more_current_gives_more_conductance() -> None:  # P8
    at_50 = [
        accumulate(Silicon(4000), 50, current * 1e-6)[50].mean() for current in (50, 60, 70, 80, 90, 100)
    ]
    assert np.all(np.diff(at_50) > 0)
    assert 9.0 < at_50[-1] < 13.0


def test_weak_and_narrow_pulses_do_nothing() -> None:  # P9
    silicon = Silicon(1000)
    silicon.pulse(300e-6)
    before = silicon.chip.arrays.state.copy()
    silicon.wait(10.0)
    silicon.pulse(24.9e-6)
    silicon.pulse(300e-6, width_s=49e-9)
    np.testing.assert_array_equal(silicon.chip.arrays.state, before)
    assert silicon.chip.pulses(silicon.cells).tolist() == [3] * 1000  # given all the same
    silicon.pulse(300e-6, width_s=50e-9)
    assert not np.array_equal(silicon.chip.arrays.state, before)


@pytest.mark.parametrize(
    ("current_ua", "mean", "spread"),
    [(250, 20.4, 3.9), (287, 14.0, 2.8), (300, 12.1, 2.6), (350, 5.5, 2.4), (400, 0.96, 1.4)],
)
def test_melting_leaves_the_population_of_the_default_branch(
    current_ua: float, mean: float, spread: float
) -> None:
    silicon = Silicon(DEVICES)  # P11; virgin cells are crystalline
    silicon.pulse(current_ua * 1e-6)
    g_us = silicon.truth() / US
    assert g_us.mean() == pytest.approx(mean, abs=max(0.03 * mean, 0.08))
    assert g_us.std() == pytest.approx(spread, abs=max(0.04 * spread, 0.08))


@pytest.mark.parametrize(("current_a", "percent"), [(450e-6, 0.6), (440e-6, 1.9)])
def test_some_cells_resist_a_reset(current_a: float, percent: float) -> None:  # P12
    silicon = Silicon(DEVICES)
    silicon.pulse(current_a)
    assert 100.0 * (silicon.truth() > 1 * US).mean() == pytest.approx(percent, abs=0.3)


def test_a_reset_cell_conducts_a_tenth_of_a_microsiemens() -> None:  # T15
    silicon = Silicon(DEVICES)
    silicon.pulse(RESET_A)
    g_s = silicon.truth()
    assert np.median(g_s) == pytest.approx(0.1 * US, rel=0.02)
    assert g_s.mean() < 0.12 * US


def test_melting_forgets_what_was_before() -> None:
    a, b = Silicon(2000), Silicon(2000)
    a.pulse(RESET_A)
    b.pulse(120e-6)
    for silicon in (a, b):
        silicon.wait(100.0)
        silicon.pulse(320e-6)
    melts = (a.chip.arrays.device[:, 1, :].reshape(-1)[:2000] < 320e-6)[a.works]
    assert melts.mean() > 0.99
    np.testing.assert_array_equal(a.truth()[melts], b.truth()[melts])


def test_a_slow_trailing_edge_anneals_what_it_molt() -> None:
    quenched, annealed = Silicon(2000), Silicon(2000)
    quenched.pulse(RESET_A)
    annealed.pulse(RESET_A, width_s=1.05e-6, fall_s=2e-6)
    expected = IBM90.programming_curve.recrystallised_share(2e-6) * 28.0
    assert np.median(quenched.truth()) < 0.2 * US
    assert np.median(annealed.truth()) / US == pytest.approx(float(expected), rel=0.03)


def test_many_pulses_at_once_are_many_pulses() -> None:
    one, many = Silicon(3000), Silicon(3000)
    for silicon in (one, many):
        silicon.pulse(RESET_A)
        silicon.wait(1.0)
    for _ in range(7):
        one.pulse(SET_A)
    many.pulse(SET_A, count=7)
    np.testing.assert_array_equal(one.truth(), many.truth())


def test_a_twentieth_of_a_percent_of_each_kind_never_worked() -> None:  # C8
    silicon = Silicon(400_000)
    kinds = silicon.chip.arrays.mark[:, 2, :].reshape(-1)[: silicon.cells.size]
    for kind in (1, 2):
        # 200 expected; +-60 is four standard deviations
        assert np.count_nonzero(kinds == kind) == pytest.approx(200, abs=60)
    silicon.pulse(300e-6)
    g_us = silicon.chip.truth(silicon.cells, silicon.now_ns + 38_600_000_000) / US
    assert g_us[kinds == 1].min() > 10.0
    assert g_us[kinds == 2].max() < 0.2
