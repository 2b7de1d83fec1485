"""Products of simulated cells as they are: programmed, drifting, noisy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from silicon import IBM90, SECOND_NS

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip
from drivers.simulated.multiply import Conversion, Multiplier, passes_of
from drivers.simulated.multiply_kernel import CLIPPED, COUNTS

FINE = Conversion(voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, bits=24, zero=1 << 22)
EIGHT_BITS = Conversion(voltage_v=0.05, samples=3, aperture_s=1e-6, spacing_s=2e-6, bits=8, zero=8)
CHUNK_S = 0.01


def programmed(card: DeviceCard, rows: int, cols: int, threads: int = 1, banks: int = 1) -> SimulatedChip:
    """A chip whose cells were melted to all kinds of conductances one second after it was made."""
    chip = SimulatedChip.create(card, banks=banks, rows=rows, cols=cols, seed=77, threads=threads)
    cells = np.arange(chip.cells, dtype=np.uint32)
    amplitude_a = np.random.default_rng(1).uniform(240e-6, 380e-6, chip.cells).astype(np.float32)
    moment = np.full(chip.cells, SECOND_NS, np.int64)
    chip.pulse(cells, amplitude_a, moment, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
    return chip


def vectors(k: int, rows: int) -> NDArray[np.int8]:
    return np.random.default_rng(2).integers(-127, 128, (k, rows)).astype(np.int8)


def counts(
    chip: SimulatedChip,
    x: NDArray[np.int8],
    at_ns: int,
    conversion: Conversion,
    range_a: float,
    bank: int = 0,
) -> NDArray[np.int16]:
    multiplier = Multiplier(chip, bank, 0, 0, chip.rows, chip.cols)
    matrices = multiplier.look(at_ns, conversion, CHUNK_S)
    return multiplier.convert(x, passes_of(x), matrices, conversion, range_a, 0)


def test_an_ideal_chip_multiplies_by_its_conductances() -> None:
    chip = programmed(IBM90.without("all"), 100, 40)
    truth_s = chip.truth(np.arange(4000, dtype=np.uint32), 30 * SECOND_NS).astype(np.float64)
    assert truth_s.std() > 3e-6
    x = vectors(9, 100)
    got = counts(chip, x, 30 * SECOND_NS, FINE, 1e-3)
    assert np.abs(got * (1e-3 / COUNTS) - x @ truth_s.reshape(100, 40) * 0.2 / 127).max() < 1.01e-3 / COUNTS


def test_the_same_bits_on_one_thread_and_on_two() -> None:
    x = vectors(40, 130)
    once, twice = (programmed(IBM90, 130, 140, threads) for threads in (1, 2))
    for turn in range(3):
        at_ns = (20 + 30 * turn) * SECOND_NS
        one, two = (counts(chip, x, at_ns, EIGHT_BITS, 1e-4) for chip in (once, twice))
        assert np.array_equal(one, two)
        assert (one != CLIPPED).mean() > 0.9


def test_banks_have_cells_and_noise_of_their_own() -> None:
    chip = programmed(IBM90, 16, 32, banks=2)
    x = np.zeros((50, 16), np.int8)  # nothing but the converters
    empty = [counts(chip, x, 20 * SECOND_NS, EIGHT_BITS, 1e-5, bank) for bank in (0, 1)]
    assert not np.array_equal(*empty)
    full = [counts(chip, x + 100, 21 * SECOND_NS, EIGHT_BITS, 1e-4, bank).mean(axis=0) for bank in (0, 1)]
    assert np.corrcoef(*full)[0, 1] < 0.8


def test_a_product_looks_at_each_cell_once() -> None:
    chip = programmed(IBM90, 8, 32)
    before = chip.arrays.count.copy()
    multiplier = Multiplier(chip, 0, 2, 3, 4, 5)
    multiplier.look(20 * SECOND_NS, FINE, CHUNK_S)
    read = (chip.arrays.count[:, 1] - before[:, 1]).ravel().reshape(8, 32)
    assert read[2:6, 3:8].tolist() == [[1] * 5] * 4
    assert read.sum() == 20


@pytest.mark.parametrize("chunk_s", [1e-6, 1e-3, 0.1])
def test_the_law_of_one_output_is_that_of_one_read(chunk_s: float) -> None:
    """One row: every output is one cell. Variance over 20,000 cells beyond five sigma (p = 6e-7) is a failure.

    However much of the noise is held and however much drawn, a product sees what a read sees.
    """
    card = IBM90.without("converter", "columns", "lines", "faults")
    cols = 20_000
    spreads = []
    for product in (True, False):
        chip = programmed(card, 1, cols)
        cells = np.arange(cols, dtype=np.uint32)
        at_ns = 100 * SECOND_NS
        truth_s = chip.truth(cells, at_ns).astype(np.float64)
        if product:
            multiplier = Multiplier(chip, 0, 0, 0, 1, cols)
            matrices = multiplier.look(at_ns, FINE, chunk_s)
            full = np.full((1, 1), 127, np.int8)
            seen = multiplier.convert(full, 1, matrices, FINE, 1e-5, 0)[0] * (1e-5 / COUNTS)
        else:
            seen, _ = chip.read(
                cells, np.full(cols, at_ns, np.int64), voltage_v=0.2, samples=1, aperture_s=1e-6,
                spacing_s=2e-6, ranges_a=[1e-5], adc_bits=24, adc_zero=1 << 22,
            )  # fmt: skip
        high = truth_s > 5e-6
        spreads.append(np.log(seen[high].astype(np.float64) / 0.2 / truth_s[high]))
    assert abs(spreads[0].mean() - spreads[1].mean()) < 5 * spreads[1].std() * np.sqrt(2 / len(spreads[0]))
    assert spreads[0].var() == pytest.approx(spreads[1].var(), rel=5 * np.sqrt(4 / len(spreads[0])))


def test_drift_and_heat_move_products_as_they_move_reads() -> None:
    card = IBM90.without("converter", "columns", "lines", "read_noise", "telegraph_noise", "faults")
    chip, x = programmed(card, 60, 30), np.full((1, 60), 127, np.int8)
    sums = []
    for at_s in (20, 2_000, 200_000):
        truth_s = chip.truth(np.arange(1800, dtype=np.uint32), at_s * SECOND_NS).astype(np.float64)
        got = counts(chip, x, at_s * SECOND_NS, FINE, 1e-3)[0] * (1e-3 / COUNTS)
        assert got == pytest.approx(0.2 * truth_s.reshape(60, 30).sum(axis=0), rel=1e-3)
        sums.append(got.sum())
    assert sums[0] > 1.1 * sums[1] > 1.2 * sums[2]
    chip.set_temperature(350.0, 200_000 * SECOND_NS)
    hot = counts(chip, x, 200_001 * SECOND_NS, FINE, 1e-3)[0] * (1e-3 / COUNTS)
    assert hot.sum() > 1.2 * sums[2]
