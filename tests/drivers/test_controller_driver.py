"""The controller's driver against simulated boards: what goes up, what comes back, what is refused."""

from __future__ import annotations

import dataclasses
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_chip import PULSED_S, Host, unpulsed
from numpy.typing import NDArray
from two_faces import FACES, PULSE, Face, all_cells, batch, opened

from drivers.amplitudes import codes_of
from drivers.chip import Chip, Drive, Geometry, Identity, PulseKind, ReadSetup, State
from drivers.controller import PcmController
from drivers.errors import (
    BatchRefused,
    InstrumentError,
    LinkError,
    LockRefused,
    MalformedAnswer,
    ProtocolMismatch,
)
from drivers.sim_control import SimControl
from drivers.simulated.controller_limits import BoardLimits

CELLS = 256


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Face]:
    yield from opened("process", monkeypatch, tmp_path)


def lists() -> dict[str, NDArray[np.uint32]]:
    order = np.random.default_rng(5).permutation(CELLS)
    chosen = {
        "all": np.arange(CELLS),
        "ascending, many": np.arange(3, 250, 2),
        "ascending, few": np.array([7, 100, 255]),
        "unordered": order[:200],
        "all, unordered": order,
        "backwards": np.arange(CELLS)[::-1],
        "one": np.array([77]),
        "first": np.array([0]),
        "last": np.array([255]),
    }
    return {name: np.ascontiguousarray(cells, np.uint32) for name, cells in chosen.items()}


# ---- identity
def test_identity_geometry_limits_capabilities(chip: PcmController) -> None:
    assert isinstance(chip, Chip)
    assert chip.identify() == Identity("PCMLAB", "PCMC-1M-SIM", "0001", "1.0.0", True)
    assert chip.geometry() == Geometry(1, 16, 16)
    assert chip.capabilities() == {"CORE", "MVM", "TEMP", "EVEN", "SIM"}
    assert chip.protocol_version == "1.1"
    limits = chip.limits()
    assert (limits.block_max_bytes, limits.selections, limits.templates) == (16777216, 64, 32)
    assert limits.drives == (Drive.CURRENT, Drive.VOLTAGE)
    assert chip.temperature_k() == 300.0
    assert chip.boot_id() == chip.boot_id() != 0


@pytest.mark.parametrize(
    ("old", "new"), [('"block_max":16777216,', ""), ('"i_max":5e-4', '"i_max":[]'), ('"proto"', "proto")]
)
def test_limits_that_cannot_be_used(inside: Face, old: str, new: str) -> None:
    values = inside.board.limits.values
    inside.board.limits = BoardLimits(inside.board.limits.text.replace(old, new), values)
    with pytest.raises(ProtocolMismatch, match="limits of the board"):
        inside.open()


# ---- reading
@pytest.mark.parametrize("name", lists())
def test_each_cells_own_value_comes_back(chip: PcmController, name: str) -> None:
    cells = lists()[name]
    for stamps in (True, False):
        reading = chip.read(cells, ReadSetup(), stamps=stamps)
        assert np.allclose(reading.g_s, unpulsed(cells), rtol=1e-5)
        assert not reading.flags.any()
        assert (reading.t_ns is not None) is stamps
    assert reading.read_id == 2
    assert chip.errors() == []


def test_readings_are_stamped_within_the_read(chip: PcmController) -> None:
    before = chip.clock_ns()
    reading = chip.read(all_cells(chip), ReadSetup(samples=3, aperture_s=2e-6))
    assert reading.t_ns is not None
    assert before < reading.t_ns.min()
    assert (np.diff(reading.t_ns.astype(np.int64)) >= 0).all()
    assert reading.t_ns.max() < reading.clock_ns <= chip.clock_ns()


def test_read_settings_go_with_the_read_and_are_sent_once(face: Face, chip: PcmController) -> None:
    setup = ReadSetup(voltage_v=0.1, samples=4, aperture_s=5e-6, range_a=1e-5)
    for _ in range(2):
        chip.read(all_cells(chip), setup)
    board = face.board.read_settings
    assert (board.voltage_v, board.samples, board.aperture_s, board.range_a) == (0.1, 4, 5e-6, 1e-5)
    chip.read(all_cells(chip), ReadSetup())
    assert (face.board.read_settings.voltage_v, face.board.read_settings.range_a) == (0.2, None)
    assert [line.count("READ:VOLT") for line in face.sent()] == [1, 0, 1]


def test_a_refused_read_says_why_and_is_forgotten(face: Face, chip: PcmController) -> None:
    with pytest.raises(InstrumentError, match=r"-222,\"Data out of range") as caught:
        chip.read(np.array([9, 3], np.uint32), ReadSetup(voltage_v=9.0))
    assert [error.code for error in caught.value.errors] == [-222]
    chip.outputs(False)
    with pytest.raises(InstrumentError, match="207"):
        chip.read(np.array([9, 3], np.uint32), ReadSetup())
    chip.outputs(True)
    assert np.allclose(chip.read(np.array([9, 3], np.uint32), ReadSetup()).g_s, unpulsed(np.array([9, 3])))


def test_lists_nobody_can_read(chip: PcmController) -> None:
    with pytest.raises(InstrumentError, match="list of cells is empty"):
        chip.read(np.empty(0, np.uint32), ReadSetup())
    for cells, code in (([5, 256], 101), ([256], 101), (range(1, 257), 101), ([5, 5], -224)):
        with pytest.raises(InstrumentError) as caught:
            chip.read(np.array(cells, np.uint32), ReadSetup())
        assert [error.code for error in caught.value.errors] == [code]
        for _ in range(2):  # the second time it must not be taken for a list the board has
            with pytest.raises(InstrumentError) as caught:
                chip.cycles(np.array(cells, np.uint32))
            assert [error.code for error in caught.value.errors] == [code]
    with pytest.raises(InstrumentError, match="cell 256 is outside the chip of 256"):
        chip.mask(np.array([256], np.uint32))
    assert np.allclose(chip.read(all_cells(chip), ReadSetup()).g_s, unpulsed(all_cells(chip)))


# ---- selections
def test_a_list_is_sent_once(face: Face, chip: PcmController) -> None:
    cells = lists()["unordered"]
    chip.read(cells, ReadSetup())
    chip.program(batch(chip, cells))
    chip.wait(10.0)
    chip.read(cells.copy(), ReadSetup())
    chip.cycles(cells)
    assert [len(re.findall(r"SEL:\w+", line)) for line in face.sent()] == [1, 0, 0, 0, 0, 0]
    assert "SEL:LIST" in face.sent()[0]
    chip.read(lists()["ascending, many"], ReadSetup())
    assert "SEL:BITM" in face.sent()[-1]
    chip.read(all_cells(chip), ReadSetup())
    assert "SEL:" not in face.sent()[-1]


def test_a_refusal_forgets_lists(face: Face, chip: PcmController) -> None:
    cells = lists()["unordered"]
    chip.program(batch(chip, cells))
    chip.wait(10.0)
    chip.outputs(False)
    with pytest.raises(BatchRefused):
        chip.program(batch(chip, cells))
    chip.outputs(True)
    chip.program(batch(chip, cells))
    assert "SEL:LIST" in face.sent()[-1]


def test_cells_may_be_any_whole_numbers(face: Face, chip: PcmController) -> None:
    """Wider integers said as they are would be read as other cells."""
    wide = np.array([200, 7, 31], np.int64)
    narrow = wide.astype(np.uint32)
    setup = ReadSetup()
    assert np.array_equal(chip.read(wide, setup).g_s, chip.read(narrow, setup).g_s)
    chip.program(batch(chip, wide))
    chip.wait(10.0)
    assert np.flatnonzero(face.count()).tolist() == [7, 31, 200]
    for wrong in (np.array([-1, 3]), np.array([2**32]), np.array([0.5])):
        with pytest.raises(InstrumentError, match="whole numbers"):
            chip.read(wrong, setup)


def test_opening_sets_the_watchdog_again(face: Face) -> None:
    with face.open() as first:
        first.ask(["SYST:WDOG 0", "SYST:WDOG?"])
    with face.open():
        assert face.board.watchdog.limit_s == 600.0


def test_an_old_id_is_refused_though_its_answer_would_be_lost(face: Face, chip: PcmController) -> None:
    sent = batch(chip)
    chip.program(sent)
    chip.wait(10.0)
    face.arm("MUTE", 1)
    with pytest.raises(BatchRefused, match="106"):
        chip.program(sent)
    face.board.faults.disarm("MUTE")
    assert (face.count() <= 1).all()


def test_a_list_whose_message_was_refused_does_not_count_as_sent(face: Face, chip: PcmController) -> None:
    """The template or the cycles query fails first; later the board must not take an older list's cells."""
    old, new = np.array([1, 2, 3], np.uint32), np.array([30, 20, 10], np.uint32)
    for first in range(8):  # every handle the driver uses holds a list of three
        chip.read(old + np.uint32(4 * first), ReadSetup())
    with pytest.raises(BatchRefused):
        chip.program(batch(chip, new, pulse=dataclasses.replace(PULSE, top_s=1.0)))
    chip.program(batch(chip, new))
    chip.wait(10.0)
    assert np.array_equal(np.flatnonzero(face.count()), [10, 20, 30])
    with pytest.raises(InstrumentError):
        chip.cycles(np.array([300, 20, 10], np.uint32))
    assert np.array_equal(chip.cycles(np.array([11, 20, 10], np.uint32)), [0, 1, 1])
    with face.board.lock:
        face.board.faults.arm("ILOC")
        face.board.protect()
    with pytest.raises(InstrumentError):
        chip.read(np.array([40, 20, 10], np.uint32), ReadSetup())
    with face.board.lock:
        face.board.faults.disarm("ILOC")
    chip.power(False)
    chip.power(True)
    chip.outputs(True)
    got = chip.read(np.array([40, 50, 60], np.uint32), ReadSetup()).g_s
    assert np.allclose(got, unpulsed(np.array([40, 50, 60])), rtol=1e-5)


def test_more_lists_than_are_remembered(face: Face, chip: PcmController) -> None:
    rng = np.random.default_rng(11)
    many = [rng.permutation(CELLS)[: rng.integers(1, 40)].astype(np.uint32) for _ in range(20)]
    for _ in range(2):
        for cells in many:
            assert np.allclose(chip.read(cells, ReadSetup(), stamps=False).g_s, unpulsed(cells), rtol=1e-5)
    assert sum(line.count("SEL:") for line in face.sent()) == 40
    handles = {int(found[1]) for line in face.sent() if (found := re.search(r"SEL:\w+ (\d+),", line))}
    assert handles == set(range(1, 9))


# ---- programming
@pytest.mark.parametrize("name", lists())
def test_each_cell_gets_its_own_pulse(face: Face, chip: PcmController, name: str) -> None:
    cells = lists()[name]
    amplitude = (np.linspace(0.1, 1.0, cells.size) * 5e-4).astype(np.float32)
    chip.program(batch(chip, cells, amplitude))
    assert chip.wait(10.0) is State.DONE
    expected = unpulsed(np.arange(CELLS))
    expected[cells] = PULSED_S * amplitude / 5e-4
    assert np.allclose(chip.read(all_cells(chip), ReadSetup()).g_s, expected, rtol=1e-4)
    assert np.array_equal(chip.cycles(cells), np.ones(cells.size))
    assert face.count().sum() == cells.size


def test_the_report_of_a_batch(chip: PcmController) -> None:
    began = chip.clock_ns()
    chip.program(batch(chip, count=3))
    assert chip.wait(10.0) is State.DONE
    report = chip.last_batch()
    assert (report.id, report.mine, report.state) == (1, True, State.DONE)
    assert (report.done, report.open, report.total, report.pulsed, report.code) == (CELLS, 0, CELLS, CELLS, 0)
    assert began < report.t_start_ns
    assert report.t_end_ns - report.t_start_ns == 8 * 3 * 1000
    stamps = chip.pulse_times_ns()
    assert np.array_equal(stamps, report.t_start_ns + 2060 + 3000 * (np.arange(CELLS) // 32))
    assert (chip.batch_flags() == 1).all()
    assert (chip.cycles(all_cells(chip)) == 3).all()
    assert chip.next_batch_id() == 2


def test_the_report_before_any_batch(chip: PcmController) -> None:
    report = chip.last_batch()
    assert (report.id, report.mine, report.state, report.total) == (0, False, State.IDLE, 0)
    assert chip.batch_flags().size == 0
    assert chip.pulse_times_ns().size == 0
    assert chip.wait(1.0) is State.IDLE


def test_another_hosts_batch_is_not_mine(face: Face) -> None:
    with face.ready() as first:
        first.program(batch(first, [4, 5, 6]))
        first.wait(10.0)
    with face.open() as second:
        report = second.last_batch()
        assert (report.id, report.mine, report.total) == (1, False, 3)
        assert second.batch_flags().tolist() == [1, 1, 1]
        assert second.next_batch_id() == 2
        second.program(batch(second, [4]))
        assert second.last_batch().mine


def test_nan_and_masked_cells_are_passed_over(chip: PcmController) -> None:
    chip.mask(np.array([1, 8], np.uint32))
    cells = np.array([9, 8, 7, 6, 1], np.uint32)
    amplitude = np.array([1e-4, 1e-4, np.nan, 2e-4, np.nan], np.float32)
    chip.program(batch(chip, cells, amplitude, count=2))
    assert chip.wait(10.0) is State.DONE
    assert chip.batch_flags().tolist() == [1, 3, 2, 1, 3]
    assert chip.cycles(cells).tolist() == [2, 0, 0, 2, 0]
    assert chip.last_batch().pulsed == 2
    assert (chip.pulse_times_ns() > 0).tolist() == [True, False, False, True, False]
    reading = chip.read(cells, ReadSetup())
    assert reading.flags.tolist() == [0, 4, 0, 0, 4]
    assert np.isnan(reading.g_s).tolist() == [False, True, False, False, True]
    assert np.isclose(reading.g_s[2], unpulsed(cells)[2], rtol=1e-5)
    chip.mask(np.empty(0, np.uint32))
    assert not chip.read(cells, ReadSetup()).flags.any()


def test_voltage_pulses(face: Face, chip: PcmController) -> None:
    pulse = dataclasses.replace(
        PULSE, drive=Drive.VOLTAGE, full_scale=3.0, kind=PulseKind.SET, word_line_v=1.5, limit_a=2e-4
    )
    chip.program(batch(chip, [3, 4], [0.5, 3.0], pulse=pulse))
    chip.wait(10.0)
    assert chip.batch_flags().tolist() == [1, 129]
    template = face.board.templates[1]
    assert (template.kind, template.unit, template.full_scale) == ("SET", "V", 3.0)
    assert (template.word_line_v, template.limit_a) == (1.5, 2e-4)


# ---- amplitudes
@pytest.mark.parametrize("form", ["U8", "U16"])
@pytest.mark.parametrize("limit_a", [None, 5e-4, 4.999e-4, 3.3e-4, 1e-5, 4e-6])
def test_codes_are_the_nearest_within_the_limits(form: str, limit_a: float | None) -> None:
    top = {"U8": 255, "U16": 65535}[form]
    pulse = dataclasses.replace(PULSE, limit_a=limit_a)
    limit = PULSE.full_scale if limit_a is None else limit_a
    step = PULSE.full_scale / top
    weak = np.array([1e-30, 1e-12, 0.4 * step, 0.5 * step, 0.6 * step, np.float32(limit)], np.float32)
    amplitude = np.concatenate((weak, np.linspace(step, limit, 5000).astype(np.float32)))
    codes = codes_of(amplitude, pulse, form)
    assert codes.dtype == {"U8": np.dtype("<u1"), "U16": np.dtype("<u2")}[form]
    assert codes.min() == 1
    assert (codes * step <= limit).all()
    error = np.abs(codes * step - amplitude)
    inside = (amplitude >= step) & (amplitude <= limit - step)
    assert (error[inside] <= 0.51 * step).all()
    assert (error <= 1.01 * step).all()


@pytest.mark.parametrize("form", ["U8", "U16", "F32"])
def test_nan_and_zero_are_skips_and_nothing_else_is(form: str) -> None:
    amplitude = np.array([np.nan, 0.0, -0.0, 1e-20, 5e-4], np.float32)
    codes = codes_of(amplitude, PULSE, form)
    assert (codes != 0).tolist() == [False, False, False, True, True]
    assert not np.isnan(codes).any()


@pytest.mark.parametrize("wrong", [-1e-6, 5.001e-4, np.inf, -np.inf])
def test_amplitudes_outside_their_range_are_refused(face: Face, chip: PcmController, wrong: float) -> None:
    for limit_a in (None, 4e-4):
        pulse = dataclasses.replace(PULSE, limit_a=limit_a)
        with pytest.raises(BatchRefused, match=r'-222,"Data out of range;entry 2"') as caught:
            chip.program(batch(chip, [1, 2, 3, 4], [1e-4, np.nan, wrong, wrong], pulse=pulse))
        assert [(error.code, error.info) for error in caught.value.errors] == [(-222, "entry 2")]
    with pytest.raises(BatchRefused, match=r"not within 0 to 0\.0004"):
        chip.program(batch(chip, [1], 4.5e-4, pulse=pulse))
    assert not face.count().any()
    assert chip.next_batch_id() == 1


@pytest.mark.parametrize("limit_a", [5e-4, 4.5e-4, 3.3e-4, 1.23456e-4])
def test_the_board_takes_the_largest_amplitude(chip: PcmController, limit_a: float) -> None:
    pulse = dataclasses.replace(PULSE, limit_a=limit_a)
    chip.program(batch(chip, [5], limit_a, pulse=pulse))
    chip.wait(10.0)
    assert np.isclose(
        chip.read(np.array([5], np.uint32), ReadSetup()).g_s[0], PULSED_S * limit_a / 5e-4, rtol=1e-3
    )


# ---- templates
@pytest.mark.parametrize("change", [{"fall_s": 7e-9}, {"top_s": 5.2e-8}, {"period_s": 1.001e-6}])
def test_a_pulse_the_board_would_round_is_refused(
    face: Face, chip: PcmController, change: dict[str, float]
) -> None:
    for _ in range(2):
        with pytest.raises(BatchRefused, match="choose multiples of its clock, 5e-09 s"):
            chip.program(batch(chip, pulse=dataclasses.replace(PULSE, **change)))
    assert not face.count().any()
    chip.program(batch(chip))
    assert chip.wait(10.0) is State.DONE


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"top_s": 1.0}, -222),
        ({"period_s": 7e-8}, -221),
        ({"full_scale": 1e-3}, -222),
        ({"word_line_v": 99.0}, -222),
        ({"limit_a": 1e-3}, -222),
    ],
)
def test_a_pulse_beyond_the_board_is_refused(
    face: Face, chip: PcmController, change: dict[str, float], code: int
) -> None:
    with pytest.raises(BatchRefused) as caught:
        chip.program(batch(chip, pulse=dataclasses.replace(PULSE, **change)))
    assert [error.code for error in caught.value.errors] == [code]
    assert not face.count().any()
    chip.program(batch(chip))
    assert chip.wait(10.0) is State.DONE


def test_templates_are_sent_once_and_make_room(face: Face, chip: PcmController) -> None:
    pulses = [dataclasses.replace(PULSE, top_s=(10 + k) * 5e-9) for k in range(40)]
    for pulse in [*pulses, *pulses[-30:]]:
        chip.program(batch(chip, [1], pulse=pulse))
        chip.wait(10.0)
    assert sum("PULS:DEF " in line for line in face.sent()) == 40
    assert [round(shape[1] * 1e9) for shape in face.board.chip.shapes] == [
        round(pulse.top_s * 1e9) for pulse in [*pulses, *pulses[-30:]]
    ]
    chip.program(batch(chip, [1], pulse=pulses[0]))
    chip.wait(10.0)
    assert round(face.board.chip.shapes[-1][1] * 1e9) == 50


def test_long_periods_are_not_taken_for_rounded(chip: PcmController) -> None:
    chip.program(batch(chip, [1], pulse=dataclasses.replace(PULSE, period_s=0.123456785)))
    assert chip.wait(10.0) is State.DONE


# ---- refused batches
def test_refused_batches_pulse_nothing(face: Face, chip: PcmController) -> None:
    sim = SimControl(chip)
    chip.program(batch(chip, [200]))
    chip.wait(10.0)
    before = chip.cycles(all_cells(chip))
    refusals = [
        (batch(chip, batch_id=1), 106, "Batch id not newer"),
        (batch(chip, [300, 1]), 101, "Cell index out of range"),
        (batch(chip, [7, 7]), -224, "Illegal parameter value"),
        (batch(chip, count=1_000_001), -222, "Data out of range"),
        (dataclasses.replace(batch(chip), amplitude=np.full(3, 1e-4, np.float32)), 103, "Block length"),
    ]
    for refused, code, text in refusals:
        with pytest.raises(BatchRefused, match=text) as caught:
            chip.program(refused)
        assert [error.code for error in caught.value.errors] == [code]
    with pytest.raises(BatchRefused, match="list of cells is empty"):
        chip.program(batch(chip, []))
    chip.outputs(False)
    with pytest.raises(BatchRefused, match="Array power or outputs off"):
        chip.program(batch(chip))
    chip.power(False)
    with pytest.raises(BatchRefused, match="Array power or outputs off"):
        chip.program(batch(chip))
    expected = np.zeros(CELLS)
    expected[200] = 1
    assert np.array_equal(sim.pulses(all_cells(chip)), expected)
    assert np.array_equal(chip.cycles(all_cells(chip)), before)
    assert chip.next_batch_id() == 2
    assert chip.last_batch().id == 1
    assert chip.errors() == []


def test_a_batch_while_another_runs_is_refused(face: Face, chip: PcmController) -> None:
    chip.program(batch(chip, count=100_000))
    with pytest.raises(BatchRefused, match="-213"):
        chip.program(batch(chip))
    report = chip.last_batch()
    assert (report.id, report.state, report.mine) == (1, State.RUN, True)
    assert chip.wait(10.0) is State.DONE
    assert (face.count() == 100_000).all()


# ---- a board with small blocks
def test_results_beyond_the_largest_block_come_in_windows(face: Face) -> None:
    face.shrink_blocks(600)
    with face.ready() as chip:
        assert chip.limits().block_max_bytes == 600
        cells = all_cells(chip)
        assert np.allclose(chip.read(cells, ReadSetup()).g_s, unpulsed(cells), rtol=1e-5)
        amplitude = (np.linspace(0.1, 1.0, CELLS) * 5e-4).astype(np.float32)
        chip.program(batch(chip, cells, amplitude))
        chip.wait(10.0)
        reading = chip.read(cells, ReadSetup())
        assert np.allclose(reading.g_s, PULSED_S * amplitude / 5e-4, rtol=1e-4)
        assert reading.t_ns is not None
        assert np.array_equal(reading.t_ns, np.repeat(reading.t_ns[::64], 64))
        assert np.array_equal(reading.t_ns[::64] - reading.t_ns[0], 2000 * np.arange(4))
        report = chip.last_batch()
        stamps = report.t_start_ns + 60 + 1000 * (np.arange(CELLS) // 32)
        assert np.array_equal(chip.pulse_times_ns(), stamps)
        assert (chip.cycles(cells) == 1).all()
        assert chip.errors() == []
        windows = [line for line in face.sent() if "READ:TST?" in line]
        assert len(windows) == 2 * 4  # 75 stamps a window


@pytest.mark.parametrize(("count", "messages"), [(99, 1), (102, 2), (150, 2)])
def test_a_list_too_long_to_go_with_its_amplitudes_goes_ahead(face: Face, count: int, messages: int) -> None:
    face.shrink_blocks(600)
    cells = np.random.default_rng(3).permutation(CELLS)[:count].astype(np.uint32)
    with face.ready() as chip:
        chip.program(batch(chip, cells))
        chip.wait(10.0)
        assert np.array_equal(np.flatnonzero(face.count()), np.sort(cells))
        together = sum("SEL:" in line and "PROG:CELL" in line for line in face.sent())
        assert together == (1 if messages == 1 else 0)


def test_what_no_message_can_hold(face: Face) -> None:
    face.shrink_blocks(600)
    backwards = np.arange(200, dtype=np.uint32)[::-1].copy()
    with face.ready() as chip:
        with pytest.raises(InstrumentError, match="800 bytes, the board takes 600"):
            chip.read(backwards, ReadSetup())
        with pytest.raises(BatchRefused, match="sort it, or use fewer cells"):
            chip.program(batch(chip, backwards))
    face.shrink_blocks(600)
    face.board.block_max = 100
    face.board.limits = BoardLimits(
        face.board.limits.text.replace('"block_max":600', '"block_max":100'), face.board.limits.values
    )
    with face.ready() as chip:
        with pytest.raises(BatchRefused, match="512 bytes, the board takes 100"):
            chip.program(batch(chip))
        chip.program(batch(chip, np.arange(34)))
    assert face.count().sum() == 34


# ---- time, temperature, errors, power
def test_time_and_temperature(chip: PcmController) -> None:
    sim = SimControl(chip)
    before = chip.clock_ns()
    sim.advance(5.0)
    assert chip.clock_ns() - before > 5e9
    assert before < chip.set_epoch(1_800_000_000_000_000_000) < chip.clock_ns()
    absolute_ns, born_ns = sim.absolute_time()
    assert absolute_ns >= chip.clock_ns() - 1e9
    assert born_ns == 1_767_225_600_000_000_000
    sim.temperature_k = 350.0
    assert (sim.temperature_k, chip.temperature_k()) == (350.0, 350.0)
    assert sim.rate == 0.0
    sim.rate = 1e6
    assert sim.rate == 1e6
    assert sim.seed() == 7


def test_the_simulated_truth(chip: PcmController) -> None:
    sim = SimControl(chip)
    cells = lists()["unordered"]
    assert np.array_equal(sim.truth_s(cells), unpulsed(cells))
    chip.program(batch(chip, cells[:50], count=4))
    chip.wait(10.0)
    assert sim.pulses(cells).tolist() == [4] * 50 + [0] * 150
    sim.fault("CLIP", 1.0)
    assert chip.read(cells, ReadSetup()).flags.all()
    sim.clear_faults()
    assert not chip.read(cells, ReadSetup()).flags.any()


def test_a_real_board_has_no_simulation(chip: PcmController) -> None:
    chip._capabilities = frozenset({"CORE"})
    with pytest.raises(InstrumentError, match="no simulated board"):
        SimControl(chip)
    assert chip.temperature_k() is None


def test_errors_are_drained_oldest_first(chip: PcmController) -> None:
    chip.send(["FOO:BAR"])
    chip.send(["SEL:ROW 1,9,9"])
    chip.send(["PULS:KIND 3,NONE"])
    assert [error.code for error in chip.errors()][:2] == [-113, 101]
    assert chip.errors() == []
    chip.send(["FOO:BAR"])
    (error,) = chip.errors()
    assert (error.code, error.text, error.info) == (-113, "Undefined header", "FOO:BAR")


def test_more_errors_than_the_queue_holds(chip: PcmController) -> None:
    for _ in range(40):
        chip.send(["FOO"])
    found = chip.errors()
    assert len(found) == 30
    assert found[-1].code == -350


def test_an_open_interlock(face: Face) -> None:
    with face.open() as chip:
        chip.power(True)
        SimControl(chip).fault("ILOC")
        with pytest.raises(InstrumentError, match=r'204,"Interlock open"') as caught:
            chip.outputs(True)
        assert [error.code for error in caught.value.errors] == [204]
        SimControl(chip).clear_faults()
        chip.outputs(True)
        assert face.board.outputs
        chip.outputs(False)
        assert not face.board.outputs
        chip.power(False)
        assert face.board.power == "OFF"


def test_a_rail_that_does_not_come_up(face: Face) -> None:
    with face.open() as chip:
        SimControl(chip).fault("RAIL", "VWL")
        with pytest.raises(InstrumentError, match=r'array power is OFF.*201,"Rail not in tolerance;VWL"'):
            chip.power(True)
        with pytest.raises(InstrumentError, match="207"):
            chip.outputs(True)
        SimControl(chip).clear_faults()
        chip.power(True)
        chip.outputs(True)


def test_a_latch_is_not_switched_on_by_accident(face: Face, chip: PcmController) -> None:
    chip.safe()
    with pytest.raises(InstrumentError, match="-221"):
        chip.power(True)
    chip.power(False)
    chip.power(True)


# ---- the lock
def test_a_second_host_is_refused(face: Face, chip: PcmController) -> None:
    with pytest.raises(LockRefused, match="another host controls the board"):
        face.open()
    chip.close()
    chip.close()
    with face.open() as second:
        assert second.boot_id()


def test_closing_leaves_the_outputs_and_gives_the_lock_back(face: Face, chip: PcmController) -> None:
    chip.close()
    assert face.board.access.owner is None
    assert face.board.outputs
    assert Host(face.board, token=None).ask("SYST:LOCK:OWN?") == "0"


def test_a_failed_opening_leaves_no_lock(inside: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.controller.PROTOCOL", "2.0")
    with pytest.raises(
        ProtocolMismatch, match=r"speaks 1\.1,CORE,MVM,TEMP,EVEN,SIM, this driver 2\.0"
    ) as caught:
        inside.open()
    assert (caught.value.version, caught.value.wanted) == ("1.1", "2.0")
    monkeypatch.undo()
    assert inside.board.access.owner is None


def test_another_instrument_at_the_address() -> None:
    """One that knows tags and refuses all else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"1\n")
                peer.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(MalformedAnswer, match="no PCM controller"):
            PcmController.open(f"TCPIP0::127.0.0.1::{listener.getsockname()[1]}::SOCKET")
        thread.join()


def test_nobody_there(inside: Face) -> None:
    with pytest.raises(LinkError, match="nothing answers at TCPIP0::away::5025::SOCKET"):
        PcmController.open("TCPIP0::away::5025::SOCKET", backend=inside.backend)


# ---- round trips
def passes(chip: PcmController, cells: NDArray[np.uint32]) -> None:
    chip.program(batch(chip, cells))
    chip.wait(60.0)
    chip.last_batch()
    chip.batch_flags()
    chip.read(cells, ReadSetup(), stamps=False)


@pytest.mark.parametrize("kind", FACES)
def test_messages_of_a_pass_do_not_grow_with_the_array(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent = []
    for face in opened(kind, monkeypatch, tmp_path, rows=64, cols=64):
        for cells in (np.arange(5, 21), np.arange(4096), np.arange(4096)[::-1]):
            with face.ready() as chip:
                passes(chip, np.ascontiguousarray(cells, np.uint32))
                face.lines.clear()
                began = chip.messages()
                passes(chip, np.ascontiguousarray(cells, np.uint32))
                sent.append(len(face.sent()))
                assert chip.messages() - began == sent[-1]
                assert len(face.lines) == 2 * sent[-1]
    assert sent == [5, 5, 5]
