"""The verify loop: what it reaches, what it costs, and what it knows when something goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from melt_chip import BORN_NS, CARD, MeltChip

from drivers.bench import Envelope
from drivers.chip import State
from drivers.errors import BatchRefused
from labkit.clock import VirtualClock
from labkit.envelope import GuardedChip
from labkit.errors import EnvelopeExceeded, Interrupted, StationError, TargetOutOfRange, WearBudgetSpent
from labkit.programming import (
    ProgramLoop,
    ProgramResult,
    ProgramSettings,
    Proportional,
    SettingsError,
    program_cells,
)

G_MAX_S = 25e-6


def loop_for(
    chip: MeltChip,
    target_s: Any,
    *,
    cells: Any = None,
    settings: ProgramSettings | None = None,
    envelope: Envelope | None = None,
    **options: Any,
) -> tuple[ProgramLoop, GuardedChip]:
    guarded = GuardedChip(chip, envelope or Envelope())
    chip.power(True)
    chip.outputs(True)
    target_s = np.asarray(target_s, np.float32)
    cells = np.arange(target_s.size, dtype=np.uint32) if cells is None else np.asarray(cells, np.uint32)
    loop = ProgramLoop(
        guarded, VirtualClock(chip), cells, target_s, CARD, settings or ProgramSettings(), **options
    )
    return loop, guarded


def programmed(chip: MeltChip, target_s: Any, **options: Any) -> ProgramResult:
    loop, _ = loop_for(chip, target_s, **options)
    return loop.run()


def levels(per_level: int, *g: float) -> np.ndarray[Any, Any]:
    return (np.tile(g, per_level) * G_MAX_S).astype(np.float32)


# ---------------------------------------------------------------- what it reaches


def test_a_mean_device_without_noise_is_on_target_at_t0_after_one_pulse() -> None:
    chip = MeltChip(calm=True)
    target_s = levels(4, 0.25, 0.5, 0.9)
    result = programmed(chip, target_s)
    assert result.ended == "all converged"
    assert result.converged.all()
    assert result.pulses.tolist() == [1] * 12
    np.testing.assert_allclose(chip.true_s(result.cells, CARD.t0_s), target_s, rtol=1e-3)
    np.testing.assert_allclose(result.accepted_s, result.verify_target_s, rtol=1e-3)


def test_the_verify_target_follows_the_age_that_was_reached() -> None:
    chip = MeltChip(calm=True)
    chip.during = lambda name: chip.advance(1.0) if name == "wait" else None
    result = programmed(chip, levels(2, 0.5), settings=ProgramSettings(verify_age_s=0.25))
    age_s = 1e-9 * (result.passes[0].board_time_ns - result.pulsed_ns.astype(float))
    assert 1.0 < age_s.min() < 1.01
    np.testing.assert_allclose(result.verify_target_s / result.target_s, (age_s / 20.0) ** -0.049, rtol=1e-4)


def test_a_population_converges_in_a_few_pulses_and_is_on_target_in_the_mean() -> None:
    chip = MeltChip(64, 64)
    target_s = levels(400, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    result = programmed(chip, target_s)
    assert result.converged.mean() > 0.985
    assert 3.0 < result.pulses.mean() < 7.0
    truth_s = chip.true_s(result.cells, CARD.t0_s)
    for level in np.unique(target_s):
        of_level = result.converged & (target_s == level)
        shift_s = truth_s[of_level].mean() - level
        assert abs(shift_s) < 0.015 * level + 3 * truth_s[of_level].std() / np.sqrt(of_level.sum())
    margin_s = 0.5 * CARD.programming_error.sigma_s(target_s / G_MAX_S)
    error_s = np.abs(result.accepted_s - result.verify_target_s)
    assert np.all(error_s[result.converged] <= margin_s[result.converged] * 1.0001)
    assert np.isnan(result.accepted_s[~result.converged]).all()


def test_a_chip_that_was_used_before_is_programmed_as_well() -> None:
    chip = MeltChip(40, 40)
    programmed(chip, np.zeros(1600))
    again = programmed(chip, levels(160, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    assert again.converged.mean() > 0.97


def test_a_wider_margin_costs_fewer_pulses_and_an_absolute_one_is_kept() -> None:
    target_s = levels(600, 0.5)
    close = programmed(MeltChip(), target_s)
    wide = programmed(MeltChip(), target_s, settings=ProgramSettings(margin_s=2e-6))
    assert wide.pulses.mean() < 0.6 * close.pulses.mean()
    error_s = np.abs(wide.accepted_s - wide.verify_target_s)[wide.converged]
    assert 1.5e-6 < error_s.max() <= 2e-6


def test_the_same_chip_gives_the_same_result() -> None:
    first, second = (programmed(MeltChip(seed=5), levels(100, 0.3, 0.0)) for _ in range(2))
    np.testing.assert_array_equal(first.accepted_s, second.accepted_s)
    np.testing.assert_array_equal(first.pulses, second.pulses)


def test_cells_may_come_in_any_order() -> None:
    chip = MeltChip(calm=True)
    cells = np.array([900, 3, 77, 5], np.uint32)
    target_s = np.array([5e-6, 0.0, 20e-6, 10e-6], np.float32)
    result = programmed(chip, target_s, cells=cells)
    assert result.converged.all()
    np.testing.assert_allclose(chip.true_s(cells, 20.0)[[0, 2, 3]], target_s[[0, 2, 3]], rtol=0.02)
    assert chip.g_s[3] < 0.2e-6


def test_the_public_function_checks_and_runs() -> None:
    chip = MeltChip(calm=True)
    guarded = GuardedChip(chip, Envelope())
    chip.power(True)
    chip.outputs(True)
    cells, target_s = np.arange(3, dtype=np.uint32), levels(3, 0.5)
    result = program_cells(guarded, VirtualClock(chip), cells, target_s, CARD, ProgramSettings())
    assert result.converged.all()


# ---------------------------------------------------------------- zero targets


def test_zero_targets_get_one_reset_in_the_first_batch_and_are_judged_by_their_limit() -> None:
    chip = MeltChip()
    chip.full_a[0] = chip.full_a[2] = 600e-6  # these two keep conducting after a full RESET
    target_s = levels(50, 0.0, 0.5)
    result = programmed(chip, target_s)
    zero = target_s == 0
    assert set(result.pulses[zero].tolist()) == {1}
    assert result.converged[zero].tolist() == [False, False] + [True] * 48
    np.testing.assert_array_equal(result.last_amplitude_a[zero], np.float32(450e-6))
    assert chip.batches[0].cells.size == 100
    assert not np.isin(result.cells[zero], np.concatenate([batch.cells for batch in chip.batches[1:]])).any()
    assert result.accepted_s[zero][2:].max() <= 1e-6
    assert result.passes[0].rms_error_s > 0.5e-6  # of the others alone


def test_stubborn_zero_targets_get_as_many_resets_as_allowed() -> None:
    chip = MeltChip()
    chip.stuck_s[4] = 20e-6
    result = programmed(chip, np.zeros(8), settings=ProgramSettings(reset_pulses_max=3))
    assert result.pulses.tolist() == [1, 1, 1, 1, 3, 1, 1, 1]
    assert result.unconverged.tolist() == [4]
    assert result.ended == "pulse budget"
    assert len(result.passes) == 3
    assert np.isnan(result.passes[-1].rms_error_s)


# ---------------------------------------------------------------- what does not converge


def test_stuck_cells_end_with_their_pulses_spent() -> None:
    chip = MeltChip()
    chip.stuck_s[[2, 5]] = 24e-6, 0.1e-6
    settings = ProgramSettings(pulses_max=40, passes_max=None, margin_s=1.5e-6)
    result = programmed(chip, levels(8, 0.4), settings=settings)
    assert result.unconverged.tolist() == [2, 5]
    assert result.pulses[[2, 5]].tolist() == [40, 40]
    assert result.pulses.sum() == chip.counted.sum()
    assert result.ended == "pulse budget"
    assert len(result.passes) == 40
    assert result.last_amplitude_a[2] == np.float32(450e-6)  # pushed to the end of the branch
    assert result.last_amplitude_a[5] == pytest.approx(175e-6)


def test_readings_beyond_the_range_count_as_too_conductive() -> None:
    chip = MeltChip()
    chip.stuck_s[1] = 80e-6
    result = programmed(chip, levels(3, 0.4), settings=ProgramSettings(pulses_max=12))
    amplitudes = [batch.amplitude[batch.cells == 1][0] for batch in chip.batches]
    assert np.all(np.diff(amplitudes) >= 0)
    assert amplitudes[-1] == np.float32(450e-6)
    assert not result.left_out.any()


def test_the_pass_limit_ends_it() -> None:
    result = programmed(MeltChip(), levels(100, 0.5), settings=ProgramSettings(passes_max=2))
    assert result.ended == "pass limit"
    assert len(result.passes) == 2
    assert 0 < result.unconverged.size < 100


def test_masked_cells_are_left_out_and_reported() -> None:
    chip = MeltChip()
    chip.mask(np.array([0, 3, 7], np.uint32))
    result = programmed(chip, levels(6, 0.0, 0.5))
    assert np.flatnonzero(result.left_out).tolist() == [0, 3, 7]
    assert not result.pulses[result.left_out].any()
    assert np.isnan(result.last_amplitude_a[result.left_out]).all()
    assert not result.converged[result.left_out].any()
    assert not np.isin(result.unconverged, [0, 3, 7]).any()
    assert result.passes[0].pulsed == 9
    assert result.passes[0].active == 12
    assert result.converged[~result.left_out].all()
    assert not any(np.isin(cells, [0, 3, 7]).any() for cells in chip.reads)


def test_nothing_but_masked_cells_ends_at_once() -> None:
    chip = MeltChip()
    chip.mask(np.arange(8, dtype=np.uint32))
    result = programmed(chip, levels(4, 0.0, 0.5))
    assert result.left_out.all()
    assert len(result.passes) == 1
    assert chip.reads == []


def test_a_cell_that_stops_giving_readings_is_left_out() -> None:
    chip = MeltChip()
    chip.during = lambda name: chip.mask(np.array([2], np.uint32)) if name == "read" else None
    result = programmed(chip, levels(5, 0.5))
    assert np.flatnonzero(result.left_out).tolist() == [2]
    assert result.pulses[2] == 1
    assert result.converged[[0, 1, 3, 4]].all()


# ---------------------------------------------------------------- what it costs


def test_messages_do_not_grow_with_the_cells() -> None:
    few, many = (programmed(MeltChip(), levels(n, 0.0, 0.3, 0.6)) for n in (5, 300))
    assert {record.messages for record in few.passes} == {record.messages for record in many.passes}
    assert few.passes[0].messages < 12


def test_more_cells_than_one_message_holds_take_several_batches() -> None:
    target_s = levels(150, 0.0, 0.2, 0.5)
    chip = MeltChip()
    chip.board = replace(chip.board, block_max_bytes=4 * 100)
    chip.mask(np.array([120, 449], np.uint32))
    loop, guarded = loop_for(chip, target_s)
    assert loop.settings.batch_cells_max == 100
    result = loop.run()
    first = chip.batches[:5]
    assert [batch.cells.size for batch in first] == [100, 100, 100, 100, 50]
    assert np.concatenate([batch.cells for batch in first]).tolist() == list(range(450))
    assert all(batch.cells.size <= 100 for batch in chip.batches)
    assert all(cells.size <= 100 for cells in chip.reads)
    assert result.passes[0].active == 450
    assert result.passes[0].pulsed == 448
    assert np.flatnonzero(result.left_out).tolist() == [120, 449]
    assert result.converged.sum() > 440
    np.testing.assert_array_equal(result.pulses, guarded.wear[:450])
    np.testing.assert_array_equal(result.pulses, chip.counted[:450])
    alone = programmed(MeltChip(), target_s)
    assert abs(int(result.pulses.sum()) - int(alone.pulses.sum())) < 0.15 * alone.pulses.sum()


def test_every_batch_is_read_at_its_verify_age() -> None:
    chip = MeltChip(calm=True)
    chip.during = lambda name: chip.advance(0.1) if name == "program" else None
    settings = ProgramSettings(batch_cells_max=64, passes_max=1)
    result = programmed(chip, levels(256, 0.5), settings=settings)
    # A mean device without noise ends on its target, if its age at the read was told rightly.
    assert result.converged.all()
    np.testing.assert_allclose(result.accepted_s, result.verify_target_s, rtol=1e-3)
    assert np.unique(result.pulsed_ns // 50_000_000).size == 4


def test_reads_of_a_late_batch_keep_their_interval() -> None:
    chip = MeltChip()
    moments: list[int] = []
    chip.during = lambda name: moments.append(chip.absolute_ns) if name == "read" else None
    settings = ProgramSettings(
        reads_per_pass=3, read_interval_s=0.5, passes_max=1, margin_s=1e-9, batch_cells_max=100
    )
    programmed(chip, levels(250, 0.5), settings=settings)
    at_s = 1e-9 * np.array(moments)
    assert at_s.size == 9
    np.testing.assert_allclose(np.diff(at_s.reshape(3, 3), axis=1), 0.5, atol=0.01)


def test_a_batch_cut_short_behind_others_books_them_all() -> None:
    chip = MeltChip()
    chip.end_at[2] = (40, State.TRIP)
    loop, guarded = loop_for(chip, levels(300, 0.5), settings=ProgramSettings(batch_cells_max=100))
    with pytest.raises(StationError, match="batch 2 is incomplete"):
        loop.run()
    pulses = loop.result.pulses
    assert (pulses[:140] == 1).all()
    assert not pulses[200:].any()
    np.testing.assert_array_equal(pulses, guarded.wear[:300])
    assert not loop.result.converged.any()


def test_the_record_of_the_passes_adds_up() -> None:
    chip = MeltChip()
    chip.stuck_s[9] = 24e-6
    result = programmed(chip, levels(150, 0.0, 0.2, 0.5))
    columns = result.pass_columns()
    assert list(columns) == [
        "pass", "active", "pulsed", "converged_total", "rms_error_s", "seconds_host", "board_time_ns",
        "messages",
    ]  # fmt: skip
    assert columns["pass"].tolist() == list(range(1, len(result.passes) + 1))
    assert columns["active"][0] == 450
    assert columns["pulsed"].sum() == result.pulses.sum()
    assert columns["converged_total"][-1] == result.converged.sum()
    assert np.all(np.diff(columns["converged_total"]) >= 0)
    assert np.all(np.diff(columns["board_time_ns"]) > 1.9e9)


def test_cells_are_read_at_their_verify_age_however_many_passes() -> None:
    chip = MeltChip()
    ages: list[float] = []
    chip.during = lambda name: ages.append(chip.absolute_ns) if name in ("program", "read") else None
    programmed(chip, levels(60, 0.5), settings=ProgramSettings(verify_age_s=7.0, passes_max=3))
    np.testing.assert_allclose(1e-9 * np.diff(ages)[::2], 7.0, atol=0.01)


def test_without_pulse_stamps_every_pulse_is_as_old_as_its_batch() -> None:
    chip = MeltChip()
    chip.board = replace(chip.board, pulse_stamps=False)
    result = programmed(chip, levels(300, 0.0, 0.5))
    assert "times" not in chip.calls
    late_ns = result.pulsed_ns.astype(np.int64) - chip.pulsed_ns[:600]
    assert late_ns.min() > 0
    assert late_ns.max() < 1e6
    assert result.converged.mean() > 0.98


def test_several_reads_are_spread_over_time_and_averaged() -> None:
    chip = MeltChip()
    chip.noise = 0.2
    settings = ProgramSettings(reads_per_pass=4, read_interval_s=0.5, passes_max=1, margin_s=1e-9)
    moments: list[float] = []
    chip.during = lambda name: moments.append(1e-9 * chip.absolute_ns) if name == "read" else None
    averaged = programmed(chip, levels(1000, 0.5), settings=settings)
    np.testing.assert_allclose(np.diff(moments), 0.5, atol=0.01)
    single_chip = MeltChip()
    single_chip.noise = 0.2
    single = programmed(single_chip, levels(1000, 0.5), settings=replace(settings, reads_per_pass=1))
    assert averaged.passes[0].rms_error_s < 0.85 * single.passes[0].rms_error_s
    assert len(chip.reads) == 4


def test_progress_counts_cells_that_are_done() -> None:
    told: list[Any] = []

    class Recorder:
        def start(self, title: str, total: int) -> None:
            told.append((title, total))

        def advance(self, done: int, note: str = "") -> None:
            told.append(done)

        def finish(self) -> None:
            told.append("finished")

    result = programmed(MeltChip(), levels(40, 0.0, 0.5), progress=Recorder())
    assert told[0] == ("Programming", 80)
    assert told[-2:] == [80, "finished"]
    assert told[1:-1] == sorted(told[1:-1])
    assert len(told) == len(result.passes) + 2


# ---------------------------------------------------------------- refused before anything is sent


@pytest.mark.parametrize("value", [np.nan, -1e-6, 30e-6, np.inf])
def test_targets_a_device_cannot_hold_are_refused(value: float) -> None:
    chip = MeltChip()
    with pytest.raises(TargetOutOfRange, match="cell 12 has a target") as caught:
        loop_for(chip, [5e-6, value, value], cells=[10, 12, 14])
    assert caught.value.cell == 12
    assert caught.value.high_s == pytest.approx(28.9e-6, rel=0.01)
    assert chip.batches == []


def test_targets_beyond_the_range_of_the_reads_are_refused() -> None:
    with pytest.raises(TargetOutOfRange, match="read range"):
        loop_for(MeltChip(), levels(1, 0.5), settings=ProgramSettings(read_range_a=1e-6))


@pytest.mark.parametrize(
    ("settings", "envelope", "quantity"),
    [
        ({}, {"current_max_a": 300e-6}, "full scale"),
        ({"read_voltage_v": 0.35}, {}, "read voltage"),
        ({"pulse_top_s": 2e-3, "pulse_period_s": 3e-3}, {}, "width"),
        ({"pulse_rise_s": 1e-9}, {}, "rise"),
        ({"pulse_period_s": 60e-9}, {}, "period"),
    ],
)
def test_what_lies_outside_envelope_or_board_is_refused(
    settings: dict[str, Any], envelope: dict[str, Any], quantity: str
) -> None:
    chip = MeltChip()
    with pytest.raises(EnvelopeExceeded) as caught:
        loop_for(chip, levels(2, 0.5), settings=ProgramSettings(**settings), envelope=Envelope(**envelope))[
            0
        ].check()
    assert caught.value.quantity == quantity
    assert chip.batches == []


def test_cells_that_are_not_on_the_chip_or_twice_are_refused() -> None:
    with pytest.raises(EnvelopeExceeded, match="not on the chip"):
        loop_for(MeltChip(4, 4), levels(2, 0.5), cells=[3, 16])
    with pytest.raises(EnvelopeExceeded, match="twice"):
        loop_for(MeltChip(4, 4), levels(2, 0.5), cells=[3, 3])
    with pytest.raises(ValueError, match="one target per cell"):
        loop_for(MeltChip(4, 4), levels(2, 0.5), cells=[3])


def test_a_cell_without_budget_is_refused_before_any_pulse() -> None:
    chip = MeltChip()
    loop, guarded = loop_for(chip, levels(4, 0.0, 0.5), envelope=Envelope(pulses_per_cell_max=2))
    guarded.book_wear(np.array([5], np.uint32), 2)
    with pytest.raises(WearBudgetSpent) as caught:
        loop.check()
    assert caught.value.cell == 5
    assert chip.batches == []


def test_the_wear_budget_ends_a_cell_and_not_the_loop() -> None:
    chip = MeltChip()
    guarded = GuardedChip(chip, Envelope(pulses_per_cell_max=4))
    guarded.book_wear(np.array([1], np.uint32), 3)
    chip.power(True)
    chip.outputs(True)
    cells, target_s = np.arange(50, dtype=np.uint32), levels(50, 0.5)
    settings = ProgramSettings(margin_s=0.05e-6)
    result = program_cells(guarded, VirtualClock(chip), cells, target_s, CARD, settings)
    assert result.pulses[1] == 1
    assert result.pulses.max() == 4
    assert result.ended == "pulse budget"
    assert guarded.wear.max() == 4


# ---------------------------------------------------------------- what goes wrong on the way


@pytest.mark.parametrize(
    ("state", "words"), [(State.TRIP, "trip"), (State.ABORTED, "aborted"), (State.WATCHDOG, "watchdog")]
)
def test_a_batch_cut_short_says_so_and_books_what_may_have_been_pulsed(state: State, words: str) -> None:
    chip = MeltChip()
    chip.end_at[2] = (10, state)
    loop, guarded = loop_for(chip, levels(20, 0.0, 0.5, 0.8), settings=ProgramSettings(margin_s=0.1e-6))
    with pytest.raises(StationError, match=words) as caught:
        loop.run()
    error, result = caught.value, loop.result
    assert error.numbers["done"] == 10
    assert error.numbers["open"] == 2
    assert error.numbers["total"] == chip.batches[1].cells.size
    assert "Over-current trip" in str(error)
    np.testing.assert_array_equal(result.pulses, chip.counted[:60])
    np.testing.assert_array_equal(guarded.wear[:60], chip.counted[:60])
    reached, missed = chip.batches[1].cells[:12], chip.batches[1].cells[12:]
    assert set(result.pulses[reached].tolist()) == {2}
    assert set(result.pulses[missed].tolist()) == {1}
    first = dict(zip(chip.batches[0].cells.tolist(), chip.batches[0].amplitude.tolist(), strict=True))
    assert result.last_amplitude_a[missed].tolist() == [first[int(cell)] for cell in missed]
    np.testing.assert_array_equal(result.pulsed_ns.astype(np.int64), chip.pulsed_ns[:60])
    assert len(result.passes) == 1
    assert result.ended == ""


def test_a_refused_batch_counts_as_nothing() -> None:
    chip = MeltChip()
    loop, guarded = loop_for(chip, levels(5, 0.5))
    chip.refuse = True
    with pytest.raises(BatchRefused):
        loop.run()
    assert not loop.result.pulses.any()
    assert np.isnan(loop.result.last_amplitude_a).all()
    assert not guarded.wear.any()


@pytest.mark.parametrize("moment", ["program", "wait", "report", "times"])
def test_an_interrupt_leaves_every_pulse_that_may_have_been_given_counted(moment: str) -> None:
    chip = MeltChip()
    loop, guarded = loop_for(chip, levels(30, 0.5, 0.8), settings=ProgramSettings(margin_s=0.1e-6))

    def strike(name: str) -> None:
        if name == moment and len(chip.batches) == 2:
            raise Interrupted

    chip.during = strike
    with pytest.raises(Interrupted):
        loop.run()
    assert len(chip.batches) == 2
    np.testing.assert_array_equal(loop.result.pulses, chip.counted[:60])
    np.testing.assert_array_equal(guarded.wear[:60], chip.counted[:60])
    second = chip.batches[1]
    np.testing.assert_array_equal(loop.result.last_amplitude_a[second.cells], second.amplitude)
    assert not loop.result.pulsed_ns[second.cells].any()  # nobody could ask when


def test_a_read_cut_short_is_an_error_and_not_a_reading() -> None:
    chip = MeltChip()
    loop, _ = loop_for(chip, levels(10, 0.5))
    chip.cut_read = 7
    with pytest.raises(StationError, match="3 of 10 cells were not read"):
        loop.run()
    assert loop.result.pulses.tolist() == [1] * 10
    assert not loop.result.converged.any()


def test_another_programmer_on_the_chip_is_noticed() -> None:
    chip = MeltChip()
    loop, _ = loop_for(chip, levels(10, 0.5))

    def meddle(name: str) -> None:
        if name == "wait":
            chip._report = replace(chip._report, id=999, mine=False)

    chip.during = meddle
    with pytest.raises(StationError, match="someone else programs this chip"):
        loop.run()


# ---------------------------------------------------------------- the strategy


def strategy(**changes: Any) -> tuple[Proportional, ProgramSettings]:
    settings = ProgramSettings(**changes).for_card(CARD, MeltChip(2, 2).limits())
    return Proportional(CARD, settings), settings


def test_the_first_current_is_that_of_the_mean_device_at_the_age_of_the_curve() -> None:
    law, drift = CARD.programming_curve, CARD.drift
    target_s = levels(1, 0.1, 0.5, 1.0)
    current_a = strategy()[0].first(target_s)
    leaves_s = law.mean_melt_conductance_s(current_a)
    at_t0_s = leaves_s / drift.factor(drift.pulse_reference_age_s, drift.mean_exponent(target_s / G_MAX_S))
    np.testing.assert_allclose(at_t0_s, target_s, rtol=1e-4)


def test_the_gain_follows_the_curve_and_halves_on_crossing_down_to_its_least() -> None:
    found, settings = strategy(loop_gain=0.8, loop_gain_min=0.1)
    target_s = levels(1, 0.5)
    start_a = float(found.first(target_s)[0])
    law = CARD.programming_curve
    slope = -float(np.diff(law.mean_melt_conductance_s([start_a - 1e-8, start_a + 1e-8]))[0]) / 2e-8
    error_s = np.array([0.5e-6], np.float32)
    steps = []
    current_a = start_a
    for sign in (1, 1, -1, 1, -1, 1, -1, -1):
        after_a = float(found.next(sign * error_s)[0])
        steps.append(abs(after_a - current_a) * slope / 0.5e-6)
        assert (after_a > current_a) == (sign > 0)
        current_a = after_a
    np.testing.assert_allclose(steps, [0.8, 0.8, 0.4, 0.2, 0.1, 0.1, 0.1, 0.1], rtol=0.02)
    assert settings.current_max_a == 450e-6


def test_currents_stay_within_their_limits() -> None:
    found, settings = strategy()
    found.first(levels(1, 0.1, 0.9))
    assert found.next(np.array([40e-6, 40e-6], np.float32)).max() == np.float32(450e-6)
    assert found.next(np.array([-90e-6, -90e-6], np.float32)).min() == np.float32(settings.current_min_a or 0)


# ---------------------------------------------------------------- settings


def test_open_settings_are_filled_from_the_card() -> None:
    limits = MeltChip(2, 2).limits()
    settings = ProgramSettings().for_card(CARD, limits)
    assert settings.g_max_s == G_MAX_S
    assert settings.current_min_a == pytest.approx(175e-6)
    assert settings.read_range_a == 1e-5
    assert ProgramSettings(verify_age_s=2.5e-6).for_card(CARD, limits).read_range_a == 1e-4
    kept = ProgramSettings(g_max_s=20e-6, current_min_a=100e-6, read_range_a=1e-4).for_card(CARD, limits)
    assert (kept.g_max_s, kept.current_min_a, kept.read_range_a) == (20e-6, 100e-6, 1e-4)


def test_settings_survive_json() -> None:
    settings = ProgramSettings(margin_s=0.4e-6, reads_per_pass=2)
    assert ProgramSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"verify_age_s": 0.0}, "verify_age_s: 0.0 must be above zero"),
        ({"margin_s": -1e-6}, "margin_s: -1e-06 must be above zero"),
        ({"margin_sigmas": float("nan")}, "margin_sigmas: nan is not a number"),
        ({"verify_age_s": "2 s"}, "verify_age_s: '2 s' is not a number"),
        ({"pulses_max": 5.5}, "pulses_max: 5.5 is not a whole number"),
        ({"pulses_max": True}, "pulses_max: True is not a number"),
        ({"reads_per_pass": 0}, "reads_per_pass: 0 is not a whole number"),
        ({"strategy": "guess"}, "strategy: 'guess' is none of proportional"),
        ({"loop_gain": 2.5}, "loop_gain: 2.5"),
        ({"loop_gain": 0.1}, "loop_gain: 0.1"),
        ({"smallest_target": 1.0}, "smallest_target"),
        ({"current_min_a": 460e-6}, "current_min_a"),
        ({"verify_age_s": -1.0, "pulses_max": 0}, "verify_age_s.*pulses_max"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ProgramSettings(**values)


def test_unknown_settings_and_slow_edges_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"no setting verify_age;.*verify_age_s"):
        ProgramSettings.from_dict({"verify_age": 2.0})
    with pytest.raises(SettingsError, match="an edge of 2e-08 s"):
        loop_for(MeltChip(2, 2), levels(1, 0.5), settings=ProgramSettings(pulse_fall_s=20e-9))


def test_the_double_keeps_time() -> None:
    chip = MeltChip(2, 2)
    assert VirtualClock(chip).now_unix_ns() == BORN_NS + chip.absolute_ns
