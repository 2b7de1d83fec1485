"""Drift and read noise of the simulated cells beside the numbers of the acceptance tables.

Exponents, spectra and growth over age are rows T6 to T14 of ``labkit.acceptance``. Here is what a board cannot show,
two reads 10 us apart (T12), and what no table holds.
"""

from __future__ import annotations

import numpy as np
import pytest
from silicon import IBM90, NOISELESS_CONVERTER, SECOND_NS, US, Silicon

G_MAX_US = 25.0


def exponents(silicon: Silicon) -> np.ndarray:
    """Exponent of every working cell, from its noise-free conductance at two ages."""
    early, late = silicon.truth(20 * SECOND_NS), silicon.truth(2_000_000 * SECOND_NS)
    return np.asarray(np.log(early / late) / np.log(1e5))


def test_half_of_the_variance_of_drift_belongs_to_the_device() -> None:
    silicon = Silicon(40_000)
    found = []
    for _ in range(2):
        silicon.wait(100.0)
        silicon.pulse(300e-6)
        found.append((exponents(silicon), silicon.truth()))
    middle = (found[0][1] > 9 * US) & (found[1][1] > 9 * US)  # where mean and spread do not depend on g
    assert np.corrcoef(found[0][0][middle], found[1][0][middle])[0, 1] == pytest.approx(0.5, abs=0.03)


# ---------------------------------------------------------------- noise


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
