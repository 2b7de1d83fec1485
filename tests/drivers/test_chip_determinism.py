"""The simulated chip depends on its seed and on each cell's own history, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from everything_on import (
    EVERYTHING_ON,
    Results,
    assert_same_life,
    live,
    physics,
    target_shortcut,
    whole,
)
from numpy.typing import NDArray
from silicon import EIGHT_BITS, IBM90, SECOND_NS

from drivers.simulated import layout
from drivers.simulated.chip import Mode, SimulatedChip

Cells = NDArray[np.uint32]
Cut = Callable[[Cells], list[Cells]]
CELLS = 9000


def history(cut: Cut, threads: int, seed: int = 77) -> tuple[SimulatedChip, list[NDArray[np.float32]]]:
    """Pulse and read varying sets of cells; `cut` splits each call into several."""
    chip = SimulatedChip.create(IBM90, banks=1, rows=90, cols=100, seed=seed, threads=threads)
    rng = np.random.default_rng(5)
    now_ns = SECOND_NS
    reads = []
    for turn in range(12):
        everyone = np.arange(CELLS, dtype=np.uint32)
        chosen = everyone if turn % 3 == 0 else np.sort(rng.permutation(everyone)[: rng.integers(1, CELLS)])
        amplitude = np.zeros(CELLS, np.float32)
        amplitude[chosen] = rng.uniform(20e-6, 460e-6, chosen.size)
        for part in cut(chosen):
            end_ns = now_ns + part.astype(np.int64)
            chip.pulse(
                part, amplitude[part], end_ns, rise_s=5e-9, top_s=50e-9, fall_s=5e-9, count=1 + turn % 3
            )
        for samples in (1, 3, 70):
            now_ns += int(10 ** rng.uniform(4, 12))
            out = np.full(CELLS, np.nan, np.float32)
            for part in cut(chosen):
                out[part], _ = chip.read(
                    part, now_ns + part.astype(np.int64), voltage_v=0.2, samples=samples, aperture_s=1e-6,
                    spacing_s=2e-6, **EIGHT_BITS,
                )  # fmt: skip
            reads.append(out)
    return chip, reads


def shuffled(cells: Cells) -> list[Cells]:
    return [np.random.default_rng(1).permutation(cells)]


def in_pieces(cells: Cells) -> list[Cells]:
    return [cells[start : start + 700] for start in range(0, cells.size, 700)][::-1]


def even_and_odd(cells: Cells) -> list[Cells]:
    return [cells[1::2].copy(), cells[::2].copy()]


def at_random(cells: Cells) -> list[Cells]:
    """Pieces of any size, of cells in any order; the smallest piece is one cell."""
    rng = np.random.default_rng(cells.size)
    places = np.unique(np.append(1, rng.integers(1, cells.size + 1, 12)))
    return np.split(rng.permutation(cells), places)


def one_by_one(cells: Cells) -> list[Cells]:
    return list(cells[::-1].reshape(-1, 1))


CUTS = [whole, shuffled, in_pieces, even_and_odd, at_random]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cut", [whole, shuffled, in_pieces, even_and_odd])
def test_order_batches_and_threads_change_no_bit(cut: Cut, threads: int) -> None:
    reference, expected = history(whole, 1)
    chip, reads = history(cut, threads)
    for got, want in zip(reads, expected, strict=True):
        np.testing.assert_array_equal(got, want)
    for name, array in chip.arrays.items().items():
        np.testing.assert_array_equal(array, reference.arrays.items()[name], err_msg=name)


def everything_on(cells: int, mode: Mode, threads: int = 1) -> SimulatedChip:
    return SimulatedChip.create(
        EVERYTHING_ON, banks=1, rows=1, cols=cells, seed=77, threads=threads, mode=mode
    )


@cache
def unbroken(cells: int, mode: Mode) -> tuple[SimulatedChip, Results]:
    """A chip that lived through everything on one thread, each call whole."""
    chip = everything_on(cells, mode)
    return chip, live(chip, STORIES[mode](cells))


STORIES = {"physics": physics, "target-shortcut": target_shortcut}


def test_the_history_visits_everything() -> None:
    chip, told = unbroken(CELLS, "physics")
    kinds = np.bincount(chip.health(np.arange(CELLS, dtype=np.uint32)), minlength=9)
    # Working, stuck crystalline and amorphous by wear (a thousandth are from birth), open, switched.
    assert kinds[0] > CELLS / 2
    assert (kinds[[1, 2]] > 100).all()
    assert (kinds[[3, 8]] >= 5).all()
    assert chip.arrays.state[:, layout.DOSE].max() > 1e-3
    marks = chip.arrays.mark[:, layout.TELEGRAPH]
    assert set(np.unique(marks & 3)) == {0, 1, 2, 3}
    start_ns, end_ns, rate = chip.past_heat(int(chip.arrays.time.max())).T
    lifetimes = (end_ns - start_ns) * rate.view(np.float64)
    assert lifetimes.max() > 0.05
    assert all(np.isfinite(answer).any() for answer in told)


@pytest.mark.parametrize("mode", ["physics", "target-shortcut"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("cut", CUTS)
def test_with_everything_on_only_seed_and_history_matter(cut: Cut, threads: int, mode: Mode) -> None:
    chip = everything_on(CELLS, mode, threads)
    told = live(chip, STORIES[mode](CELLS), cut)
    assert_same_life(chip, told, *unbroken(CELLS, mode))


@pytest.mark.parametrize("mode", ["physics", "target-shortcut"])
def test_cell_by_cell_is_the_same_as_all_at_once(mode: Mode) -> None:
    chip = everything_on(300, mode)
    told = live(chip, STORIES[mode](300), one_by_one)
    assert_same_life(chip, told, *unbroken(300, mode))


def test_a_neighbour_at_risk_changes_nothing() -> None:
    cells = np.arange(512, dtype=np.uint32)
    chips = [everything_on(512, "physics") for _ in range(2)]
    for chip, neighbour_a in zip(chips, (3e-4, 6e-4), strict=True):
        amplitude_a = np.full(512, 3e-4, np.float32)
        amplitude_a[100] = neighbour_a
        chip.pulse(cells, amplitude_a, np.full(512, SECOND_NS), rise_s=5e-9, top_s=5e-8, fall_s=5e-9)
    changed = (chips[0].arrays.state != chips[1].arrays.state).any(axis=1)
    assert np.flatnonzero(changed.reshape(-1)).tolist() == [100]


def test_another_seed_is_another_chip() -> None:
    a, b = history(whole, 1)[1], history(whole, 1, seed=78)[1]
    assert np.mean(a[0] == b[0]) < 0.2
    high = history(whole, 1, seed=77 + (1 << 32))[1]
    assert np.mean(a[0] == high[0]) < 0.2


def test_reading_one_cell_does_not_touch_its_neighbour() -> None:
    chips = [SimulatedChip.create(IBM90, banks=1, rows=4, cols=256, seed=3, threads=1) for _ in range(2)]
    cells = np.arange(1024, dtype=np.uint32)
    chain = {"voltage_v": 0.2, "samples": 1, "aperture_s": 1e-6, "spacing_s": 2e-6, **EIGHT_BITS}
    for extra, chip in enumerate(chips):
        chip.pulse(
            cells,
            np.full(1024, 3e-4, np.float32),
            np.full(1024, 1, np.int64),
            rise_s=5e-9,
            top_s=5e-8,
            fall_s=5e-9,
        )
        for n in range(extra * 5):
            chip.read(cells[500:501], np.array([n * SECOND_NS + 9]), **chain)
    late = np.full(1024, 100 * SECOND_NS, np.int64)
    a, b = (chip.read(cells, late, **chain)[0] for chip in chips)
    assert np.flatnonzero(a != b).tolist() in ([], [500])


def test_memory_is_within_two_hundred_bytes_a_cell() -> None:
    chip = SimulatedChip.create(IBM90, banks=1, rows=256, cols=256, seed=1)
    assert chip.arrays.nbytes / chip.cells < 200
