"""What destroys a state or a cell: telegraph noise apart, heat, reading too high, wear and too much current."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from silicon import CELLS, FINE, SECOND_NS, US, Silicon
from test_cell_array import only


def reset(silicon: Silicon) -> None:
    silicon.pulse(450e-6)


def health(silicon: Silicon) -> NDArray[np.uint8]:
    return silicon.chip.health(silicon.cells)


# ---- telegraph noise ----------------------------------------------------------------------------------------


def test_telegraph_noise_has_the_variance_and_the_memory_of_its_law() -> None:
    silicon = Silicon(40_000, only("telegraph_noise", telegraph_noise__fluctuators_max=2))
    law = silicon.chip.card.telegraph_noise
    silicon.pulse(300e-6)
    truth = silicon.truth(0)
    first = silicon.read() / truth - 1.0
    # fourth moments included a variance over 40,000 devices is known to 1 %; 5 standard errors
    assert first.var() == pytest.approx(float(law.autocovariance(0.0)), rel=0.05)
    for lag_s in (1e-3, 1.0, 100.0):
        silicon.wait(lag_s)
        later = silicon.read() / truth - 1.0
        expected = float(law.autocovariance(0.0) - law.autocovariance(lag_s))
        assert 0.5 * np.mean((later - first) ** 2) == pytest.approx(expected, rel=0.08)
        silicon.pulse(300e-6)
        first = silicon.read() / truth - 1.0


def test_a_third_of_the_devices_has_no_fluctuator() -> None:
    silicon = Silicon(30_000, only("telegraph_noise", telegraph_noise__fluctuators_max=2))
    silicon.pulse(300e-6)
    quiet = np.ones(30_000, bool)
    first = silicon.read()
    for _ in range(12):
        silicon.wait(3000.0)
        quiet &= np.abs(silicon.read() / first - 1.0) < 1e-3
    assert quiet.mean() == pytest.approx(1 / 3, abs=0.015)  # 5 standard errors


# ---- heat ---------------------------------------------------------------------------------------------------


def test_heat_crystallises_what_was_amorphous() -> None:
    silicon = Silicon(4000, only("retention", "device_spread"))
    law = silicon.chip.card.retention
    reset(silicon)
    before, full = silicon.truth(0), silicon.chip.arrays.device[:, 0, :].reshape(-1)[:4000]
    silicon.wait(10.0)
    silicon.chip.set_temperature(453.15, silicon.now_ns)  # 180 C: a lifetime of 27 s for this card
    silicon.wait(float(1.0 / law.rate_per_s(453.15)))
    silicon.chip.set_temperature(300.0, silicon.now_ns)
    share = (silicon.truth(0) - before) / (full - before)
    assert np.median(share) == pytest.approx(1.0 - np.exp(-1.0), abs=0.02)
    dose = (-np.log1p(-share)) ** (1.0 / law.exponent)
    assert np.log(dose).std() == pytest.approx(law.ln_spread, rel=0.06)  # 4,000 devices, 5 SE
    silicon.wait(1e7)
    np.testing.assert_allclose((silicon.truth(0) - before) / (full - before), share, rtol=1e-3)
    np.testing.assert_allclose(silicon.read(), silicon.truth(0), rtol=1e-3)
    reset(silicon)
    np.testing.assert_allclose(silicon.truth(0), before, rtol=1e-3)


def test_a_pulse_meets_the_state_that_heat_has_left() -> None:
    silicon = Silicon(1000, only("retention"))
    reset(silicon)
    silicon.chip.set_temperature(453.15, silicon.now_ns)
    silicon.wait(60.0)
    silicon.chip.set_temperature(300.0, silicon.now_ns)
    hot = silicon.truth(0)
    silicon.pulse(90e-6)
    set_s = silicon.truth(0)
    assert np.median(hot) > 10 * US
    np.testing.assert_allclose(set_s, hot, rtol=0.15)  # a SET step from there, not from the RESET


def test_a_pulse_that_does_nothing_leaves_a_hot_cell_as_it_is() -> None:
    silicon = Silicon(1000, only("retention"))
    reset(silicon)
    silicon.chip.set_temperature(453.15, silicon.now_ns)
    silicon.wait(10.0)
    before = silicon.truth(0)
    assert np.median(before) > 1 * US
    silicon.pulse(0.5 * silicon.chip.card.programming_curve.dead_zone_a)
    silicon.pulse(300e-6, width_s=6e-9, fall_s=1e-9)
    np.testing.assert_array_equal(silicon.truth(0), before)


def test_ten_years_at_room_temperature_change_nothing() -> None:
    silicon = Silicon(1000, only("retention"))
    reset(silicon)
    before = silicon.truth(0)
    silicon.wait(3e8)
    np.testing.assert_allclose(silicon.truth(0), before, rtol=1e-3)


def test_a_chip_remembers_its_heat_when_it_is_made_again() -> None:
    from drivers.simulated.chip import SimulatedChip

    silicon = Silicon(1000, only("retention"))
    reset(silicon)
    silicon.chip.set_temperature(430.0, silicon.now_ns)
    silicon.wait(100.0)
    chip = silicon.chip
    again = SimulatedChip(
        chip.card, chip.arrays, banks=1, rows=1, cols=1000, seed=chip.seed,
        past_heat=chip.past_heat(silicon.now_ns),
    )  # fmt: skip
    np.testing.assert_array_equal(
        again.truth(silicon.cells, silicon.now_ns), chip.truth(silicon.cells, silicon.now_ns)
    )
    assert np.median(silicon.truth(0)) > 0.2 * US


# ---- reading too high ---------------------------------------------------------------------------------------


def test_a_read_above_threshold_destroys_the_state() -> None:
    silicon = Silicon(5000, only("threshold_switching", "device_spread"))
    law = silicon.chip.card.threshold_switching
    reset(silicon)
    silicon.wait(1.0)
    before = silicon.truth(0)
    silicon.read(voltage_v=0.4)
    np.testing.assert_array_equal(silicon.truth(0), before)
    threshold_v = float(law.voltage_v(np.median(before) / silicon.chip.card.g_max_s, 1.0))
    silicon.read(voltage_v=threshold_v)
    switched = health(silicon) == 8
    assert switched.mean() == pytest.approx(0.5, abs=0.06)  # the spread of the devices around the median
    after = silicon.chip.truth(silicon.cells, silicon.now_ns)
    full = silicon.chip.arrays.device[:, 0, :].reshape(-1)[:5000]
    np.testing.assert_allclose(after[switched], law.share_after * full[switched], rtol=1e-4)
    np.testing.assert_array_equal(after[~switched], before[~switched].astype(np.float32))
    reset(silicon)
    assert not health(silicon).any()


def test_no_read_is_too_low_for_thresholds_that_spread_and_drift_as_far_as_a_card_may_say() -> None:
    extreme = {"threshold_switching__spread": 0.5, "threshold_switching__drift_per_efold": 0.1}
    silicon = Silicon(5000, only("threshold_switching", "device_spread", **extreme))
    law = silicon.chip.card.threshold_switching
    reset(silicon)
    silicon.wait(1.0)
    g = np.median(silicon.truth(0)) / silicon.chip.card.g_max_s
    silicon.read(voltage_v=float(law.voltage_v(g, 1.0, -1.5)))  # the weakest 6.7 % of the devices
    assert (health(silicon) == 8).mean() == pytest.approx(0.067, abs=0.02)  # 5 standard errors


def test_thresholds_rise_with_age_and_fall_with_conductance() -> None:
    shares = []
    for target_s, wait_s in ((0.1 * US, 1e-3), (0.1 * US, 1e7), (8 * US, 1e-3)):
        silicon = Silicon(4000, only("threshold_switching", "device_spread"))
        silicon.melt_to(target_s)
        silicon.wait(wait_s)
        silicon.read(voltage_v=1.1)
        shares.append(float((health(silicon) == 8).mean()))
    young, old, partial = shares
    assert old < young < partial


def test_long_reading_disturbs_where_the_voltage_is_high() -> None:
    silicon = Silicon(2000, only("read_disturb"))
    law = silicon.chip.card.read_disturb
    reset(silicon)
    before, full = silicon.truth(0), silicon.chip.card.programming_curve.full_conductance_mean_s
    for _ in range(20):
        silicon.read(samples=1000, aperture_s=1e-3)
    np.testing.assert_allclose(silicon.truth(0), before, rtol=1e-3)
    doses = 0.0
    for _ in range(20):
        silicon.read(samples=1000, aperture_s=1e-4, voltage_v=0.55)
        doses += law.dose(0.55, 1000 * (1e-4 + 1e-6))
    share = (silicon.truth(0) - before) / (full - before)
    np.testing.assert_allclose(share, 1.0 - np.exp(-doses), rtol=0.01)
    reset(silicon)
    np.testing.assert_allclose(silicon.truth(0), before, rtol=1e-3)


# ---- death --------------------------------------------------------------------------------------------------


def test_cells_wear_out_as_their_law_says() -> None:  # C9
    card = only("endurance", endurance__scale_pulses=1000.0)
    silicon = Silicon(20_000, card)
    law = card.endurance
    for pulses in (200, 600, 1000, 2000):
        given = int(silicon.chip.pulses(silicon.cells[:1])[0])
        silicon.pulse(450e-6, count=pulses - given)
        failed = health(silicon) != 0
        expected = float(law.failed_share(pulses))
        assert failed.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 20_000))
    worn = health(silicon)
    kinds = np.bincount(worn, minlength=4)
    share = kinds[1] / (kinds[1] + kinds[2])
    assert kinds[3] == 0
    assert share == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / failed.sum()))
    everyone = silicon.chip.truth(silicon.cells, silicon.now_ns)
    silicon.pulse(300e-6)
    after = silicon.chip.truth(silicon.cells, silicon.now_ns)
    np.testing.assert_array_equal(after[failed], everyone[failed])
    assert (everyone[worn == 1] > 5 * US).all()
    assert (everyone[worn == 2] < 1 * US).all()


def test_the_same_cells_wear_out_however_the_pulses_come() -> None:
    card = only("endurance", endurance__scale_pulses=300.0)
    at_once, one_by_one = Silicon(3000, card), Silicon(3000, card)
    at_once.pulse(450e-6, count=200)
    for _ in range(200):
        one_by_one.pulse(450e-6)
    np.testing.assert_array_equal(health(at_once), health(one_by_one))


def test_too_much_current_opens_a_cell_for_good() -> None:
    silicon = Silicon(10_000, only("damage", "device_spread"))
    law = silicon.chip.card.damage
    silicon.pulse(law.current_mean_a - 5 * law.current_spread_a)
    assert not health(silicon).any()
    silicon.pulse(law.current_mean_a)
    dead = health(silicon) == 3
    assert dead.mean() == pytest.approx(0.5, abs=0.025)  # 5 standard errors
    silicon.pulse(300e-6)
    assert not silicon.read()[dead[silicon.works]].any()
    assert (silicon.chip.pulses(silicon.cells) == 3).all()


def test_a_dead_cell_reads_no_current() -> None:
    silicon = Silicon(2000, CELLS.without("converter"))
    silicon.pulse(900e-6)
    assert (health(silicon)[silicon.works] == 3).all()
    at_ns = np.full(2000, silicon.now_ns + SECOND_NS)
    current, _ = silicon.chip.read(
        silicon.cells, at_ns, voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, **FINE
    )
    assert not current[silicon.works].any()
