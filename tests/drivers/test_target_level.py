"""Noise that starts at zero, observation, and the target level with and without a chip (device-physics §1.5, §1.6)."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from silicon import FINE, IBM90, SECOND_NS, US
from test_cell_array import only

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip
from drivers.simulated.target_level import TargetLevel

CELLS = 30_000


def placed(card: DeviceCard, target_s: float, cells: int = CELLS, **options: object) -> SimulatedChip:
    chip = SimulatedChip.create(
        card, banks=1, rows=1, cols=cells, seed=5, threads=1, mode="target-shortcut", **options
    )  # type: ignore[arg-type]
    indices = np.arange(cells, dtype=np.uint32)
    chip.place(indices, np.full(cells, target_s, np.float32), np.zeros(cells, np.int64))
    return chip


def read_s(chip: SimulatedChip, at_s: float) -> np.ndarray:
    cells = np.arange(chip.cells, dtype=np.uint32)
    current, _ = chip.read(
        cells, np.full(cells.size, round(at_s * SECOND_NS)), voltage_v=0.2, samples=1, aperture_s=1e-7,
        spacing_s=1e-6, **FINE,
    )  # fmt: skip
    return current.astype(np.float64) / 0.2


def noise(chip: SimulatedChip, at_s: float) -> np.ndarray:
    """The noise of a reading in units of Q_s."""
    cells = np.arange(chip.cells, dtype=np.uint32)
    truth = chip.truth(cells, round(at_s * SECOND_NS)).astype(float)
    return (read_s(chip, at_s) / truth - 1.0) / float(chip.card.read_noise.strength(0.8))


@pytest.mark.parametrize("ages_s", [(1.0, 25.0), (25.0, 26.0), (20.0, 20_000.0), (3.0, 1e6)])
def test_two_reads_share_the_noise_that_the_first_one_saw(ages_s: tuple[float, float]) -> None:
    # States that began at zero: Cov(a, b) = sum var (exp(-(b-a)/tau) - exp(-(a+b)/tau)). The variance of a
    # covariance from 30,000 pairs is about 0.8 % of the variances; 5 standard errors.
    chip = placed(only("read_noise"), 20 * US)
    law = chip.card.read_noise
    first, second = noise(chip, ages_s[0]), noise(chip, ages_s[1])
    a, b = ages_s
    tau = law.time_constants_s()
    expected = float((np.exp(-(b - a) / tau) - np.exp(-(a + b) / tau)) @ law.state_variances())
    assert first.var() == pytest.approx(law.from_zero_variance(a), rel=0.04)
    assert second.var() == pytest.approx(law.from_zero_variance(b), rel=0.05)
    assert np.mean(first * second) == pytest.approx(expected, abs=0.04 * law.from_zero_variance(b))


@pytest.mark.parametrize("stationary", [False, True])
@pytest.mark.parametrize("held_from_s", [0.0, 1e-3, 1.0, 1e9])
def test_an_observer_sees_the_slow_states_and_is_told_of_the_fast_ones(
    held_from_s: float, stationary: bool
) -> None:
    if stationary:
        chip = SimulatedChip.create(only("read_noise"), banks=1, rows=1, cols=CELLS, seed=5, threads=1)
        current_a = chip.card.programming_curve.current_for_a(20 * US)
        amplitude = np.full(CELLS, current_a, np.float32)
        cells = np.arange(CELLS, dtype=np.uint32)
        chip.pulse(cells, amplitude, np.zeros(CELLS, np.int64), rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
    else:
        chip = placed(only("read_noise"), 20 * US)
    law = chip.card.read_noise
    cells, at_ns = np.arange(CELLS, dtype=np.uint32), np.full(CELLS, 100 * SECOND_NS)
    held, fast = chip.observe(
        cells, at_ns, voltage_v=0.2, samples=1, aperture_s=1e-7, spacing_s=1e-6, held_from_s=held_from_s
    )
    truth = chip.truth(cells, 100 * SECOND_NS).astype(float)
    strength = float(law.strength(0.8))
    tau, variance = law.time_constants_s(), law.state_variances()
    slow = tau >= held_from_s
    reached = variance if stationary else variance * -np.expm1(-200.0 / tau)
    left = law.averaging_factor(1e-7, 1e-6, 1)
    spread = strength * np.sqrt((variance * left)[~slow].sum())
    # a pulse leaves the mean over its slow noise, so that single cells stand off by what that was
    each = {"rtol": 0.25 if stationary else 0.01, "atol": 1e-9}
    np.testing.assert_allclose(fast / truth, spread, **each)
    assert np.mean(fast / truth) == pytest.approx(spread, rel=0.02, abs=1e-9)
    seen = (held / truth - 1.0) / strength
    if stationary:  # the slow sum at the pulse has been taken out of the state
        correction = variance[tau > 38.6].sum()
        assert 0.0 <= seen.var() <= reached[slow].sum() + correction
    else:
        assert seen.var() == pytest.approx((reached * left)[slow].sum(), rel=0.04, abs=1e-9)
    again, _ = chip.observe(
        cells, at_ns, voltage_v=0.2, samples=1, aperture_s=1e-7, spacing_s=1e-6, held_from_s=held_from_s
    )
    np.testing.assert_allclose(again, held, rtol=1e-6 if held_from_s >= 1e-3 else 0.2)


@pytest.mark.parametrize("name", ["ibm90", "hermes14", "hermes14-pair"])
def test_sampling_without_a_chip_follows_the_same_laws(name: str) -> None:
    card = DeviceCard.load(name)
    plain = card.without(
        *(
            set(card.laws)
            & {"telegraph_noise", "columns", "lines", "faults", "current_voltage", "spatial_correlation"}
        )
    )
    plain = plain.without("converter")
    sampler = TargetLevel(card, seed=5, threads=1)
    t0_s = card.t0_s
    for g in (0.1, 0.5, 1.0):
        target_s = g * card.g_max_s
        for age_s in (1.001 * t0_s, 1e4 * t0_s):
            chip = placed(plain, target_s, 20_000)
            chip_s = read_s(chip, age_s)
            sampled_s = sampler.sample(np.full(20_000, target_s, np.float32), age_s).astype(float)
            # means and spreads of 20,000 draws each; 5 standard errors of a difference
            assert sampled_s.mean() == pytest.approx(
                chip_s.mean(), abs=5 * chip_s.std() * np.sqrt(2 / 20_000)
            )
            assert sampled_s.std() == pytest.approx(chip_s.std(), rel=0.04)


def test_a_sample_depends_on_seed_device_and_realisation_alone() -> None:
    targets = np.linspace(0, 25e-6, 40_000, dtype=np.float32)
    one, two = (TargetLevel(IBM90, seed=9, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.sample(targets, 1e3), two.sample(targets, 1e3))
    np.testing.assert_array_equal(one.sample(targets, 1e3)[:777], one.sample(targets[:777], 1e3))
    assert np.mean(one.sample(targets, 1e3) == one.sample(targets, 1e3, realisation=1)) < 5e-3
    early, late = one.sample(targets, 1e3), one.sample(targets, 1e6)
    assert np.corrcoef(early[20_000:], late[20_000:])[0, 1] > 0.95  # the same devices, older


def test_a_sample_goes_where_it_is_wanted() -> None:
    device, targets = TargetLevel(IBM90, seed=9, threads=1), np.full((20, 30), 5e-6, np.float32)
    out = np.empty((20, 30), np.float32)
    assert device.sample(targets, 100.0, out=out) is out
    np.testing.assert_array_equal(out, device.sample(targets, 100.0))
    for wrong in (np.empty(600, np.float32), np.empty((20, 30)), np.empty((30, 20), np.float32).T):
        with pytest.raises(ValueError, match=r"contiguous float32 \(20, 30\)"):
            device.sample(targets, 100.0, out=wrong)


@pytest.mark.parametrize(
    ("targets", "age_s"), [([-1e-6], 1.0), ([np.nan], 1.0), ([np.inf], 1.0), ([1e-6], 0.0)]
)
def test_targets_and_ages_that_cannot_be(targets: list[float], age_s: float) -> None:
    with pytest.raises(ValueError, match=r"target|age_s"):
        TargetLevel(IBM90, seed=1).sample(np.array(targets, np.float32), age_s)


_SCRIPT = """
import hashlib
import numpy as np
from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip
card = DeviceCard.load("ibm90")
chip = SimulatedChip.create(card, banks=1, rows=8, cols=256, seed=7, threads=1)
cells = np.arange(2048, dtype=np.uint32)
out = hashlib.sha256()
for turn in range(4):
    at = np.full(2048, (1 + 40 * turn) * 10**9)
    amplitude = np.linspace(60e-6, 460e-6, 2048, dtype=np.float32)
    chip.pulse(cells, amplitude, at, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
    for wait in (2, 30):
        current, _ = chip.read(
            cells, at + wait * 10**9, voltage_v=0.3, samples=3, aperture_s=1e-6, spacing_s=2e-6,
            ranges_a=[1e-6, 1e-5], adc_bits=8, adc_zero=8,
        )
        out.update(current.tobytes())
for array in chip.arrays.items().values():
    out.update(array.tobytes())
print(out.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_another_cpu_gives_the_same_bits(tmp_path: object) -> None:
    digests = set()
    for target in ("", "generic"):
        environment = {**os.environ, "XDG_CACHE_HOME": f"{tmp_path}/{target or 'native'}"}
        if target:
            environment["NUMBA_CPU_NAME"] = target
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1
