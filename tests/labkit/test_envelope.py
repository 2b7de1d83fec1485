from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from toy_chip import ToyChip, ToyError

from drivers.bench import Envelope
from drivers.chip import Batch, BatchReport, Chip, Drive, Pulse, ReadSetup, State
from drivers.errors import BatchRefused, InstrumentError
from drivers.products import MatrixVector, Product, Rectangle
from labkit.envelope import GuardedChip
from labkit.errors import EnvelopeExceeded, WearBudgetSpent

PULSE = Pulse(rise_s=1e-8, top_s=5e-8, fall_s=1e-8, period_s=1e-6, full_scale=460e-6)
LIMIT = np.float32(460e-6)


def guarded(toy: ToyChip | None = None, **envelope: float) -> GuardedChip:
    return GuardedChip(toy or ToyChip(), Envelope(**envelope))


def batch(
    cells: list[int], amplitude: list[float], *, number: int = 1, pulse: Pulse = PULSE, count: int = 1
) -> Batch:
    return Batch(number, np.array(cells, np.uint32), pulse, np.array(amplitude, np.float32), count)


def test_a_guarded_chip_is_a_chip() -> None:
    assert isinstance(guarded(), Chip)


def test_a_batch_inside_the_envelope_reaches_the_chip_unchanged() -> None:
    toy = ToyChip()
    sent = batch([3, 1, 2], [LIMIT, np.nan, 1e-6])
    guarded(toy).program(sent)
    assert toy.batches == [sent]


@pytest.mark.parametrize(
    ("refused", "quantity", "cell", "entry", "value", "limit"),
    [
        (batch([5, 6, 7], [1e-4, 4.7e-4, 4.8e-4]), "amplitude", 6, 1, 4.7e-4, 4.6e-4),
        (batch([5, 6], [1e-4, np.inf]), "amplitude", 6, 1, np.inf, 4.6e-4),
        (batch([5, 6], [-1e-9, 1e-4]), "amplitude", 5, 0, -1e-9, 0.0),
        (
            batch([5], [3e-4], pulse=dataclasses.replace(PULSE, full_scale=2e-4)),
            "amplitude",
            5,
            0,
            3e-4,
            2e-4,
        ),
        (
            batch([5], [1e-4], pulse=dataclasses.replace(PULSE, full_scale=5e-4)),
            "full scale",
            None,
            None,
            5e-4,
            4.6e-4,
        ),
        (
            batch([5], [1e-4], pulse=dataclasses.replace(PULSE, top_s=1e-3)),
            "width",
            None,
            None,
            1.00002e-3,
            1e-3,
        ),
        (
            batch([5], [1e-4], pulse=dataclasses.replace(PULSE, top_s=np.nan)),
            "width",
            None,
            None,
            np.nan,
            1e-3,
        ),
        (batch([5], [1e-4], count=0), "count", None, None, 0, 1),
        (batch([0, 32], [1e-4, 1e-4]), "cell", 32, 1, 32, 31),
        (batch([9, 4, 7, 4, 9], [1e-4] * 5), "duplicate", 4, 3, None, None),
        (batch([1, 2], [1e-4]), "length", None, None, 1, 2),
        (batch([], []), "length", None, None, 0, 0),
    ],
)
def test_what_is_outside_is_refused_with_its_numbers_and_nothing_is_sent(
    refused: Batch,
    quantity: str,
    cell: int | None,
    entry: int | None,
    value: float | None,
    limit: float | None,
) -> None:
    toy = ToyChip()
    chip = guarded(toy)
    with pytest.raises(EnvelopeExceeded) as caught:
        chip.program(refused)
    assert (caught.value.quantity, caught.value.cell, caught.value.entry) == (quantity, cell, entry)
    for got, wanted in ((caught.value.value, value), (caught.value.limit, limit)):
        assert got == (None if wanted is None else pytest.approx(wanted, rel=1e-6, nan_ok=True))
    assert caught.value.exit_code == 3
    assert toy.done == []
    assert not chip.wear.any()


def test_the_message_names_the_first_cell_the_numbers_and_the_way_out() -> None:
    with pytest.raises(
        EnvelopeExceeded, match=r"cell 6 \(entry 1\).*0\.00047 A.*0\.00046 A.*envelope.current_max"
    ) as caught:
        guarded().check(batch([5, 6, 7], [1e-4, 4.7e-4, 4.8e-4]))
    assert caught.value.offenders == 2


def test_the_exact_limits_are_allowed() -> None:
    toy = ToyChip()
    edge = dataclasses.replace(PULSE, rise_s=1e-4, top_s=8e-4, fall_s=1e-4, period_s=2e-3)
    chip = guarded(toy)
    chip.program(batch([0, 31], [LIMIT, LIMIT], pulse=edge))
    chip.read(np.array([0, 31], np.uint32), ReadSetup(voltage_v=0.3))
    assert [name for name, _ in toy.done] == ["program", "read"]


def test_voltage_pulses_need_a_current_clamp_inside_the_envelope() -> None:
    volts = dataclasses.replace(PULSE, drive=Drive.VOLTAGE, full_scale=3.0)
    with pytest.raises(EnvelopeExceeded, match="limit_a") as caught:
        guarded().check(batch([0], [2.5], pulse=volts))
    assert (caught.value.value, caught.value.unit) == (5e-4, "A")
    clamped = dataclasses.replace(volts, limit_a=3e-4)
    guarded().check(batch([0], [2.5], pulse=clamped))
    with pytest.raises(EnvelopeExceeded, match="full scale of 3 V"):
        guarded(voltage_max_v=2.0).check(batch([0], [1.0], pulse=clamped))
    with pytest.raises(EnvelopeExceeded, match=r"2\.9 V is above the pulse's full scale of 2\.8 V"):
        guarded().check(batch([0], [2.9], pulse=dataclasses.replace(clamped, full_scale=2.8)))


@pytest.mark.parametrize("voltage_v", [0.31, 0.0, -0.1, float("nan")])
def test_a_read_voltage_outside_is_refused_before_anything_is_sent(voltage_v: float) -> None:
    toy = ToyChip()
    with pytest.raises(EnvelopeExceeded) as caught:
        guarded(toy).read(np.array([1], np.uint32), ReadSetup(voltage_v=voltage_v))
    assert caught.value.quantity == "read voltage"
    assert toy.done == []


def test_reads_and_masks_stay_on_the_chip() -> None:
    toy = ToyChip()
    for call in (lambda cells: guarded(toy).read(cells, ReadSetup()), guarded(toy).mask):
        with pytest.raises(EnvelopeExceeded, match=r"cells 0 \.\. 31"):
            call(np.array([32], np.uint32))
    assert toy.done == []


# ------------------------------------------------------------------ wear


def test_only_pulsed_entries_are_booked() -> None:
    chip = guarded()
    chip.program(batch([7, 3, 5], [1e-4, np.nan, 0.0], count=4))
    assert chip.wear[[3, 5, 7]].tolist() == [0, 0, 4]
    assert int(chip.wear.sum()) == 4


def test_the_budget_is_kept_before_pulsing_with_the_first_cell_over_it() -> None:
    toy = ToyChip()
    chip = guarded(toy, pulses_per_cell_max=10)
    chip.program(batch([7, 3], [1e-4, np.nan], count=8))
    with pytest.raises(
        WearBudgetSpent, match=r"cell 7 \(entry 1\) has had 8 pulses, 3 more .* budget of 10"
    ) as caught:
        chip.program(batch([3, 7], [1e-4, 1e-4], number=2, count=3))
    assert (caught.value.cell, caught.value.spent, caught.value.asked, caught.value.budget) == (7, 8, 3, 10)
    assert caught.value.offenders == 1
    assert len(toy.batches) == 1
    chip.program(batch([3, 7], [1e-4, 1e-4], number=2, count=2))
    assert chip.wear[[3, 7]].tolist() == [2, 10]
    with pytest.raises(WearBudgetSpent):
        chip.program(batch([4], [1e-4], number=3, count=11))


def test_a_spent_cell_may_still_be_skipped() -> None:
    toy = ToyChip()
    chip = guarded(toy, pulses_per_cell_max=1)
    chip.program(batch([0, 1], [1e-4, np.nan]))
    chip.program(batch([0, 1], [np.nan, 1e-4], number=2))
    assert len(toy.batches) == 2


def test_a_refused_batch_costs_nothing_and_a_batch_in_doubt_counts_as_spent() -> None:
    toy = ToyChip()
    chip = guarded(toy, pulses_per_cell_max=5)
    toy.refuse = True
    with pytest.raises(BatchRefused):
        chip.program(batch([2, 9], [1e-4, 1e-4], count=5))
    assert not chip.wear.any()
    toy.refuse = False
    toy.fail["program"] = ToyError("link broken")
    with pytest.raises(ToyError):
        chip.program(batch([2, 9], [1e-4, 1e-4], count=5))
    assert chip.wear[[2, 9]].tolist() == [5, 5]
    with pytest.raises(WearBudgetSpent):
        chip.program(batch([9], [1e-4], number=2))


def test_flags_of_an_ended_batch_take_off_what_was_never_pulsed() -> None:
    toy = ToyChip()
    chip = guarded(toy)
    chip.program(batch([10, 11, 12, 13, 14], [1e-4, 1e-4, 1e-4, 1e-4, 1e-4], number=4, count=3))
    toy.flags = np.array([1, 1 | 128, 3, 4, 0], np.uint8)
    toy.report = BatchReport(4, True, State.RUN, 0, 0, 5, 0, 0, 0, 0)
    chip.last_batch()
    chip.batch_flags()
    assert chip.wear[10:15].tolist() == [3, 3, 3, 3, 3], "a running batch may still reach every entry"
    toy.report = dataclasses.replace(toy.report, state=State.TRIP)
    chip.last_batch()
    chip.batch_flags()
    chip.batch_flags()
    assert chip.wear[10:15].tolist() == [3, 3, 0, 3, 0]


def test_flags_of_another_batch_change_nothing() -> None:
    toy = ToyChip()
    chip = guarded(toy)
    chip.program(batch([10, 11], [1e-4, 1e-4], number=4))
    toy.flags = np.zeros(2, np.uint8)
    for report in (
        BatchReport(3, True, State.DONE, 2, 0, 2, 0, 0, 0, 0),
        BatchReport(4, False, State.DONE, 2, 0, 2, 0, 0, 0, 0),
    ):
        toy.report = report
        chip.last_batch()
        chip.batch_flags()
    assert chip.wear[[10, 11]].tolist() == [1, 1]


def test_the_ledger_starts_at_the_boards_counters_and_takes_bookings() -> None:
    toy = ToyChip(counted=6)
    chip = guarded(toy, pulses_per_cell_max=8)
    chip.program(batch([0], [1e-4], count=7))
    assert chip.load_wear()
    assert chip.wear[:2].tolist() == [7, 6]
    chip.book_wear(np.array([1, 5], np.uint32), np.array([2, 2**32 - 1], np.uint32))
    assert chip.wear[[1, 5]].tolist() == [8, 2**32 - 1]
    with pytest.raises(WearBudgetSpent):
        chip.check(batch([1], [1e-4]))
    with pytest.raises(ValueError, match="read-only"):
        chip.wear[0] = 0


def test_changing_the_cells_of_a_batch_afterwards_does_not_move_its_booking() -> None:
    chip = guarded()
    sent = batch([1, 2], [1e-4, 1e-4])
    toy = chip.chip
    assert isinstance(toy, ToyChip)
    chip.program(sent)
    sent.cells[:] = [20, 21]
    toy.report, toy.flags = BatchReport(1, True, State.ABORTED, 0, 0, 2, 0, 0, 0, 0), np.zeros(2, np.uint8)
    chip.last_batch()
    chip.batch_flags()
    assert not chip.wear.any()


def test_a_million_cells_are_checked_in_a_few_passes_over_them() -> None:
    cells = np.arange(1 << 20, dtype=np.uint32)
    chip = guarded(ToyChip(rows=1024, cols=1024))
    sent = Batch(1, cells, PULSE, np.full(cells.size, 1e-4, np.float32))
    copy_s = min(_seconds(lambda: [cells.copy() for _ in range(4)]) for _ in range(7))
    check_s = min(_seconds(lambda: chip.check(sent)) for _ in range(7))
    assert check_s < 20 * copy_s + 2e-3


def _seconds(call: object) -> float:
    start = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - start


@pytest.mark.parametrize("energised", [True, False])
def test_it_knows_when_the_power_is_off_for_certain(energised: bool) -> None:
    chip = guarded()
    assert chip.maybe_energised, "an earlier program may have left it on"
    chip.power(False)
    assert not chip.maybe_energised
    if energised:
        chip.power(True)
    assert chip.maybe_energised is energised


class MultiplyingToy(ToyChip):
    """A toy that answers every product with its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[Rectangle, ReadSetup]] = []

    def multiply(self, rectangle: Rectangle, inputs: np.ndarray, setup: ReadSetup) -> Product:
        self.products.append((rectangle, setup))
        return Product(inputs.astype(np.float32), 1e-9, 1, 0, 0)


def test_a_product_passes_within_the_envelope_only() -> None:
    toy = MultiplyingToy()
    chip = guarded(toy, read_voltage_max_v=0.2)
    assert isinstance(chip, MatrixVector)
    inputs, rectangle = np.ones((2, 3), np.int8), Rectangle(0, 0, 0, 1, 2)
    assert np.array_equal(chip.multiply(rectangle, inputs, ReadSetup()).current_a, inputs)
    assert toy.products == [(rectangle, ReadSetup())]
    with pytest.raises(EnvelopeExceeded, match=r"0\.21 V is outside"):
        chip.multiply(rectangle, inputs, ReadSetup(voltage_v=0.21))
    with pytest.raises(EnvelopeExceeded, match="not on the chip"):
        chip.multiply(Rectangle(0, 0, 0, 1, 10_000), inputs, ReadSetup())
    assert len(toy.products) == 1


def test_a_chip_that_cannot_multiply_says_so() -> None:
    with pytest.raises(InstrumentError, match="has no multiply"):
        guarded().multiply(Rectangle(0, 0, 0, 1, 1), np.ones((1, 1), np.int8), ReadSetup())
