"""What pulses do to the simulated cells beside the numbers of the acceptance tables.

Means, spreads and tails of populations are rows P1 to P12 of ``labkit.acceptance``.
"""

from __future__ import annotations

import numpy as np
import pytest
from silicon import IBM90, US, Silicon

RESET_A, SET_A = 480e-6, 90e-6


def accumulate(silicon: Silicon, pulses: int, current_a: float = SET_A) -> dict[int, np.ndarray]:
    silicon.pulse(RESET_A)
    found = {}
    for number in range(1, pulses + 1):
        silicon.wait(38.6)
        silicon.pulse(current_a)
        found[number] = silicon.truth() / US
    return found


def test_devices_differ_in_their_steps() -> None:
    # The same cells stay ahead: what a device gains after two RESETs is correlated, pulses alone are not.
    silicon = Silicon(10_000)
    first = accumulate(silicon, 10)[10]
    second = accumulate(silicon, 10)[10]
    correlation = np.corrcoef(first, second)[0, 1]
    # share of the variance bound to the device: (0.1 x 7.8 uS)^2 of (2.46 uS)^2
    assert 0.05 < correlation < 0.16


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
