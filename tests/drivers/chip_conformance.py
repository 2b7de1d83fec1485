"""What every chip must keep, whatever its board: assertions on the interface alone (controller-protocol §14).

Each takes an energised chip; `pulses(cells)` tells how many pulses cells have really had.
Cells named here are pulsed a few times with the amplitude given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.chip import Batch, Chip, EntryCode, Pulse, ReadFlag, ReadSetup, State
from drivers.errors import BatchRefused, InstrumentError
from drivers.products import MatrixVector, Rectangle

Cells = NDArray[np.uint32]
Pulses = Callable[[Cells], NDArray[Any]]

NAN = np.float32(np.nan)


def pulse_for(chip: Chip) -> Pulse:
    """A pulse in the middle of what the board can do."""
    limits = chip.limits()
    rise_s, top_s, fall_s = (max(low, 5e-8) for low, _ in (limits.rise_s, limits.top_s, limits.fall_s))
    return Pulse(rise_s, top_s, fall_s, 1e-5, limits.current_max_a)


def give(chip: Chip, cells: Cells, amplitude: NDArray[np.float32], count: int = 1) -> int:
    """Program one batch to its end; returns its id."""
    batch_id = chip.next_batch_id()
    chip.program(Batch(batch_id, cells, pulse_for(chip), amplitude, count))
    assert chip.wait(60.0) is State.DONE
    return batch_id


def agrees_with_itself(chip: Chip) -> None:
    """Identity, capabilities, geometry and limits fit together."""
    assert isinstance(chip, Chip)
    identity, groups, geometry, limits = chip.identify(), chip.capabilities(), chip.geometry(), chip.limits()
    assert identity.maker
    assert identity.model
    assert identity.simulated == ("SIM" in groups)
    assert "CORE" in groups
    assert geometry.cells == geometry.banks * geometry.rows * geometry.cols > 0
    assert limits.block_max_bytes >= -(-geometry.cells // 8)
    assert "U8" in limits.program_formats
    assert "COND32" in limits.read_formats
    assert (chip.temperature_k() is None) == ("TEMP" not in groups)


def reads_keep_order(chip: Chip, cells: Cells) -> None:
    """Any order, any part: each cell its own value, within what a second read of the whole differs by."""
    whole = chip.read(cells, ReadSetup())
    order = np.random.default_rng(1).permutation(cells.size)
    mixed = chip.read(cells[order], ReadSetup())
    single = chip.read(cells[-1:], ReadSetup(), stamps=False)
    assert whole.g_s.dtype == np.float32
    assert whole.flags.dtype == np.uint8
    assert whole.t_ns is not None
    assert mixed.t_ns is not None
    assert whole.t_ns.dtype == np.uint64
    assert single.t_ns is None
    assert mixed.g_s.shape == mixed.flags.shape == mixed.t_ns.shape == cells.shape
    assert np.array_equal(mixed.g_s, whole.g_s[order])
    assert single.g_s.tolist() == whole.g_s[-1:].tolist()
    assert mixed.read_id == whole.read_id + 1 == single.read_id - 1


def skips_touch_nothing(chip: Chip, cells: Cells, ampere: float, pulses: Pulses) -> None:
    """NaN entries keep their place and get no pulse, no counter step and no time stamp."""
    before, counted = pulses(cells).copy(), chip.cycles(cells)
    amplitude = np.full(cells.size, ampere, np.float32)
    skipped = np.arange(cells.size) % 3 == 1
    amplitude[skipped] = NAN
    give(chip, cells, amplitude)
    flags, times_ns = chip.batch_flags(), chip.pulse_times_ns()
    assert flags.shape == times_ns.shape == cells.shape
    assert (flags[skipped] == EntryCode.SKIPPED).all()
    assert (flags[~skipped] == EntryCode.PULSED).all()
    assert (times_ns[skipped] == 0).all()
    assert (times_ns[~skipped] > 0).all()
    assert np.array_equal(pulses(cells) - before, ~skipped)
    assert np.array_equal(chip.cycles(cells) - counted, ~skipped)
    report = chip.last_batch()
    assert (report.mine, report.done, report.open, report.total) == (True, cells.size, 0, cells.size)
    assert report.pulsed == np.count_nonzero(~skipped)


def masks_forbid(chip: Chip, cells: Cells, ampere: float, pulses: Pulses) -> None:
    """Masked cells keep their place, are not pulsed and not read."""
    masked = np.arange(cells.size) % 4 == 2
    before = pulses(cells).copy()
    chip.mask(cells[masked])
    give(chip, cells, np.full(cells.size, ampere, np.float32))
    assert np.array_equal(chip.batch_flags(), np.where(masked, EntryCode.MASKED, EntryCode.PULSED))
    assert np.array_equal(pulses(cells) - before, ~masked)
    reading = chip.read(cells, ReadSetup())
    assert np.array_equal(reading.flags & ReadFlag.MASKED != 0, masked)
    assert np.isnan(reading.g_s[masked]).all()
    assert np.isfinite(reading.g_s[~masked]).all()
    chip.mask(cells[:0])
    assert not chip.read(cells, ReadSetup(), stamps=False).flags.any()


def an_id_pulses_once(chip: Chip, cells: Cells, ampere: float, pulses: Pulses) -> None:
    """The same id again is refused; a refused batch leaves id and counters alone."""
    amplitude = np.full(cells.size, ampere, np.float32)
    batch_id = give(chip, cells, amplitude)
    before, counted = pulses(cells).copy(), chip.cycles(cells)
    for old in (batch_id, max(1, batch_id - 1)):
        with pytest.raises(BatchRefused):
            chip.program(Batch(old, cells, pulse_for(chip), amplitude))
    wrong = amplitude.copy()
    wrong[-1] = 2 * chip.limits().current_max_a
    with pytest.raises(BatchRefused):
        chip.program(Batch(batch_id + 1, cells, pulse_for(chip), wrong))
    chip.outputs(False)
    with pytest.raises(BatchRefused):
        chip.program(Batch(batch_id + 1, cells, pulse_for(chip), amplitude))
    chip.outputs(True)
    assert np.array_equal(pulses(cells), before)
    assert np.array_equal(chip.cycles(cells), counted)
    assert chip.next_batch_id() == batch_id + 1
    assert chip.last_batch().mine
    chip.program(Batch(batch_id + 1, cells, pulse_for(chip), amplitude, 2))
    assert chip.wait(60.0) is State.DONE
    assert np.array_equal(pulses(cells), before + 2)


def the_clock_is_monotonic(chip: Chip, cells: Cells, ampere: float) -> None:
    """Board time never goes back over reads and programs, and stamps lie within the operation they stamp."""
    error_ns = round(chip.limits().stamp_error_s * 1e9)
    moments = [chip.clock_ns()]
    for _turn in range(2):
        give(chip, cells, np.full(cells.size, ampere, np.float32))
        report, times_ns = chip.last_batch(), chip.pulse_times_ns()
        assert int(times_ns.min()) >= report.t_start_ns - error_ns
        assert int(times_ns.max()) <= report.t_end_ns + error_ns
        moments += [report.t_start_ns, report.t_end_ns, chip.clock_ns()]
        reading = chip.read(cells, ReadSetup(samples=2))
        assert reading.t_ns is not None
        assert moments[-1] <= int(reading.t_ns.min()) + error_ns
        assert int(reading.t_ns.max()) <= reading.clock_ns + error_ns
        moments += [reading.clock_ns, chip.clock_ns()]
    assert moments == sorted(moments)


def products_are_sums_of_cells(chip: Chip, rectangle: Rectangle, relative: float = 0.0) -> None:
    """Each input drives its own row, each column sums its own cells, and masked cells add nothing.

    Compared with readings, to two steps of the converter and a share `relative` of each current.
    """
    assert isinstance(chip, MatrixVector)
    assert "MVM" in chip.capabilities()
    cells, range_a = rectangle.cells(chip.geometry()), chip.limits().read_ranges_a[-2]
    setup = ReadSetup(range_a=range_a)
    step_a = range_a / 2 ** chip.limits().adc_bits
    g_s = chip.read(cells.ravel(), setup, stamps=False).g_s.reshape(cells.shape).astype(np.float64)
    one_by_one = (127 * np.eye(rectangle.rows)).astype(np.int8)
    inputs = np.concatenate([one_by_one, -one_by_one, one_by_one - one_by_one[::-1]])
    product = chip.multiply(rectangle, inputs, setup)
    expected = inputs @ g_s * (setup.voltage_v / 127)
    assert product.current_a.shape == expected.shape
    assert product.current_a.dtype == np.float32
    assert (np.abs(product.current_a - expected) <= 2 * step_a + relative * np.abs(expected).max()).all()
    chip.mask(cells[:, 0])
    masked = chip.multiply(rectangle, inputs, setup).current_a
    chip.mask(cells[:0, 0])
    assert (np.abs(masked[:, 0]) <= 2 * step_a).all()
    assert masked[:, 1:] == pytest.approx(product.current_a[:, 1:], abs=2 * step_a, rel=relative)
    assert chip.multiply(rectangle, inputs, setup).mvm_id == product.mvm_id + 2


def a_stop_latches(chip: Chip, cells: Cells, ampere: float, pulses: Pulses) -> None:
    """After ``safe()`` nothing runs until the power was switched off and on."""
    chip.safe()
    before = pulses(cells).copy()
    for switch_on in (chip.power, chip.outputs):
        with pytest.raises(InstrumentError):
            switch_on(True)
    with pytest.raises(BatchRefused):
        give(chip, cells, np.full(cells.size, ampere, np.float32))
    assert np.array_equal(pulses(cells), before)
    chip.power(False)
    chip.power(True)
    chip.outputs(True)
    give(chip, cells, np.full(cells.size, ampere, np.float32))
