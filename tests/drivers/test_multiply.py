"""The analog product of the simulated chip: its law cell by cell, line by line, and the noise of its outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from line_network import bent_currents_a, column_currents_a
from numpy.typing import NDArray
from silicon import IBM90

from calibration import DeviceCard
from calibration.effects import EFFECTS
from drivers.simulated.array_lines import RectangleLines, line_transfer
from drivers.simulated.multiply import Conversion, Multiplier, chunk_length, passes_of
from drivers.simulated.multiply_kernel import CLIPPED, COUNTS

Floats = NDArray[np.float64]
RANGE_A = 1e-3
FINE = Conversion(voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, bits=24, zero=1 << 22)
EIGHT_BITS = Conversion(voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, bits=8, zero=8)


def only(*effects: str, **values: float) -> DeviceCard:
    """The ibm90 card with nothing but some effects, and parameters ``law__parameter`` of its own."""
    card = IBM90.without(*(set(EFFECTS) - set(effects)))
    names = {f"laws.{name.replace('__', '.parameters.')}": value for name, value in values.items()}
    return card.with_values(names, source="test") if names else card


class Stand:
    """Cells of known conductance and known fast noise behind the interface of a chip."""

    seed = 2020

    def __init__(self, g_s: Floats, card: DeviceCard, fast_s: float | Floats = 0.0) -> None:
        self.card = card
        self.rows, self.cols = g_s.shape
        self.g_s = g_s.astype(np.float32)
        self.fast_s = np.broadcast_to(np.float32(fast_s), g_s.shape).ravel()
        self.column_gain = np.ones(self.cols, np.float32)
        self.column_offset_a = np.zeros(self.cols, np.float32)
        self.voltages_v: list[float] = []

    def observe(
        self, cells: NDArray[np.uint32], at_ns: NDArray[np.int64], *, voltage_v: float, **_: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.voltages_v.append(voltage_v)
        return self.g_s.ravel()[cells], self.fast_s[cells]

    def whole(self, mask: NDArray[np.bool_] | None = None) -> Multiplier:
        return Multiplier(self, 0, 0, 0, self.rows, self.cols, mask)


def conductances(rows: int, cols: int, mean_s: float = 5e-6, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).uniform(0.02 * mean_s, 1.98 * mean_s, (rows, cols))


def vectors(k: int, rows: int, low: int = -127, seed: int = 2) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(low, 128, (k, rows)).astype(np.int8)


def product_a(
    multiplier: Multiplier,
    x: NDArray[np.int8],
    conversion: Conversion = FINE,
    range_a: float = RANGE_A,
    number: int = 0,
) -> Floats:
    """Currents of a product in one fixed range; NaN where it clipped."""
    matrices = multiplier.look(0, conversion, 0.1)
    counts = multiplier.convert(x, passes_of(x), matrices, conversion, range_a, number)
    return np.where(counts == CLIPPED, np.nan, counts * (range_a / COUNTS))


# ---- without any effect
@pytest.mark.parametrize(("rows", "cols"), [(64, 33), (1, 1), (1, 300), (300, 1)])
def test_an_ideal_chip_multiplies_to_half_a_count(rows: int, cols: int) -> None:
    stand, x = Stand(conductances(rows, cols), only()), vectors(21, rows)
    got = product_a(stand.whole(), x)
    assert np.abs(got - x @ stand.g_s.astype(np.float64) * 0.2 / 127).max() <= 0.51 * RANGE_A / COUNTS


def test_masked_cells_neither_conduct_nor_load_the_lines() -> None:
    card = only("lines", lines__bit_line_ohm=50.0, lines__word_line_ohm=50.0)
    g, x = conductances(40, 30), vectors(5, 40)
    mask = np.random.default_rng(3).random(g.shape) < 0.2
    masked = product_a(Stand(g, card).whole(mask.ravel()), x)
    absent = product_a(Stand(np.where(mask, 0.0, g), card).whole(), x)
    assert np.array_equal(masked, absent)
    assert np.abs(masked - product_a(Stand(g, card).whole(), x)).max() > 1e-6


# ---- the law of a cell
def test_currents_follow_the_law_of_current_over_voltage() -> None:
    card = only("current_voltage", current_voltage__curvature=0.8)
    stand, x = Stand(conductances(50, 20, 12e-6), card), vectors(30, 50)
    g_s, law = stand.g_s.astype(np.float64), card.current_voltage
    for voltage_v in (0.1, 0.2, 0.3):
        volts = x * (voltage_v / 127)
        exact = sum(volts ** (2 * k + 1) @ (g_s * c) for k, c in enumerate(law.odd_terms(g_s / card.g_max_s)))
        conversion = Conversion(voltage_v, 1, 1e-6, 2e-6, 24, 1 << 22)
        got = product_a(stand.whole(), x, conversion)
        assert np.abs(got - exact).max() <= 0.51 * RANGE_A / COUNTS
        assert np.abs(got - volts @ g_s).max() > 10 * RANGE_A / COUNTS
    assert set(stand.voltages_v) == {law.reference_v}  # conductances of that voltage, whatever is applied
    full = np.full((1, 50), 127, np.int8)
    at_reference = product_a(stand.whole(), full)[0]
    assert np.abs(at_reference - 0.2 * g_s.sum(axis=0)).max() <= 0.51 * RANGE_A / COUNTS


# ---- the lines
LINES = {"lines__bit_line_ohm": 0.35, "lines__word_line_ohm": 0.35}
PATTERNS: dict[str, Callable[[int], Floats]] = {
    "random": lambda n: conductances(n, n),
    "pairs": lambda n: (
        np.stack([np.maximum(w := np.random.default_rng(4).normal(0, 12e-6, (n, n // 2)), 1e-7),
                  np.maximum(-w, 1e-7)], axis=-1).reshape(n, n)
    ),
    "uneven": lambda n: (
        conductances(n, n) * np.where(np.arange(n) % 4 == 0, 3.0, 0.33)
        * np.where(np.random.default_rng(5).random((n, 1)) < 0.5, 1.6, 0.4)
    ),
}  # fmt: skip


def worst(size: int, pattern: str, *, cross: bool = True) -> float:
    """Largest error of any output of five vectors, over the largest output."""
    g = PATTERNS[pattern](size)
    volts = 0.2 * np.random.default_rng(6).random((5, size))
    volts[0], volts[1] = 0.2, 0.0
    volts[1, -1] = 0.2  # one row, at the far end of the bit lines
    volts[2] *= np.random.default_rng(7).random(size) < 0.2
    exact = column_currents_a(g, volts, 0.35, 0.35)
    transfer = line_transfer(g, RectangleLines(0.35, 0.35))
    matrix = g * transfer.word * transfer.bit
    assert transfer.cross_s is not None
    if cross:
        matrix = matrix + transfer.cross_s
    error = np.abs(volts @ matrix - exact).max(axis=1) / np.abs(exact).max(axis=1)
    return float(error.max())


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("size", "ladders", "whole"), [(64, 3e-5, 5e-6), (128, 4e-4, 3e-5)])
def test_lines_agree_with_a_solution_of_every_node(
    pattern: str, size: int, ladders: float, whole: float
) -> None:
    """Found at 64 x 64 and 128 x 128: ladders alone up to 2.6e-5 and 3.8e-4, with the coupling 1.3e-6 and 8.1e-6."""
    assert worst(size, pattern) < whole
    alone = worst(size, pattern, cross=False)
    assert worst(size, pattern) < alone < ladders


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_lines_of_a_large_rectangle(pattern: str) -> None:
    """Found at 512 x 512, where lines take over a quarter: ladders alone 2 to 5 %, with the coupling 1e-4 to 8e-4."""
    assert worst(512, pattern) < 1e-3
    assert worst(512, pattern, cross=False) > 0.01


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 7), (7, 1), (2, 2), (9, 12), (30, 5)])
@pytest.mark.parametrize(("row", "col"), [(0, 0), (100, 0), (0, 60), (1000, 700)])
def test_small_rectangles_anywhere_are_exact(rows: int, cols: int, row: int, col: int) -> None:
    g, volts = conductances(rows, cols), 0.2 * np.random.default_rng(8).random((4, rows))
    exact = column_currents_a(g, volts, 20.0, 10.0, row, col)
    transfer = line_transfer(g, RectangleLines(20.0, 10.0, row, col))
    matrix = g * transfer.word * transfer.bit + transfer.cross_s
    # the solution of every node has ends of a microohm where a line begins at its first cell
    limit = 1e-6 if max(rows, cols) <= 12 else 1e-3
    assert np.abs(volts @ matrix / exact - 1).max() < limit


def test_one_cell_shows_what_a_single_read_of_it_shows() -> None:
    card = only("lines", lines__series_ohm=4000.0, lines__bit_line_ohm=5.0, lines__word_line_ohm=3.0)
    stand = Stand(conductances(20, 30, 12e-6), card)
    for row, col in ((0, 0), (19, 0), (0, 29), (11, 17)):
        cell = Multiplier(stand, 0, row, col, 1, 1)
        got = product_a(cell, np.array([[127]], np.int8), range_a=1e-5)
        shown = card.lines.measured_s(float(stand.g_s[row, col]), row, col)
        assert got[0, 0] == pytest.approx(0.2 * float(shown), abs=0.51e-5 / COUNTS)


@pytest.mark.parametrize("off", ["bit_line_ohm", "word_line_ohm"])
def test_one_line_without_resistance_leaves_an_exact_ladder(off: str) -> None:
    ohm = {"bit_line_ohm": 30.0, "word_line_ohm": 30.0, off: 0.0}
    g, volts = conductances(60, 50), np.full((1, 60), 0.2)
    transfer = line_transfer(g, RectangleLines(**ohm))
    assert transfer.cross_s is None
    exact = column_currents_a(g, volts, *(max(value, 1e-6) for value in ohm.values()))
    assert volts @ (g * transfer.word * transfer.bit) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(("size", "limit"), [(64, 2e-4), (128, 6e-4)])
@pytest.mark.parametrize("voltage_v", [0.05, 0.2])
def test_lines_of_bent_cells_agree_with_a_solution_of_every_node(
    size: int, limit: float, voltage_v: float
) -> None:
    """Found: 1.4e-4 at 64 x 64 and 5.2e-4 at 128 x 128, of 4 % to 9 % that bend and lines take."""
    card = only("lines", "current_voltage")
    g = conductances(size, size).astype(np.float32).astype(np.float64)
    x = np.random.default_rng(12).integers(0, 128, (1, size)).astype(np.int8)
    volts = x[0] * (voltage_v / 127)
    terms = [g * c for c in card.current_voltage.odd_terms(g / card.g_max_s)]
    exact = bent_currents_a(terms, volts, card.lines.bit_line_ohm)
    matrices = Stand(g, card).whole().look(0, Conversion(voltage_v, 1, 1e-6, 2e-6, 24, 1 << 22), 0.1)
    got = sum(volts ** (2 * k + 1) @ term for k, term in enumerate(matrices.terms))
    assert np.abs(got - exact).max() < limit * exact.max()
    assert np.abs(volts @ g - exact).max() > 0.02 * exact.max()


def test_lines_survive_rows_and_columns_that_do_not_conduct() -> None:
    g = conductances(64, 64)
    g[10:40] = 0.0
    g[:, 5:30] = 0.0
    volts = 0.2 * np.random.default_rng(9).random((3, 64))
    transfer = line_transfer(g, RectangleLines(10.0, 10.0))
    exact = column_currents_a(g, volts, 10.0, 10.0)
    got = volts @ (g * transfer.word * transfer.bit + transfer.cross_s)
    assert np.abs(got - exact).max() < 1e-3 * exact.max()
    assert np.isfinite(line_transfer(np.zeros((20, 20)), RectangleLines(1.0, 1.0)).cross_s).all()


# ---- columns and converters
def test_each_column_has_its_own_gain_and_offset() -> None:
    stand, x = Stand(conductances(30, 12), only()), vectors(9, 30, low=0)
    random = np.random.default_rng(10)
    stand.column_gain = random.normal(1.0, 0.05, 12).astype(np.float32)
    stand.column_offset_a = random.normal(0.0, 1e-6, 12).astype(np.float32)
    exact = x @ stand.g_s.astype(np.float64) * 0.2 / 127
    got = product_a(Multiplier(stand, 0, 0, 2, 30, 10), x)
    shown = exact[:, 2:] * stand.column_gain[2:] + stand.column_offset_a[2:]
    assert np.abs(got - shown).max() <= 0.51 * RANGE_A / COUNTS
    twice = product_a(stand.whole(), np.concatenate([x, -x]))  # two passes: the offset goes out
    assert np.abs(twice[:9] - exact * stand.column_gain).max() <= 0.51 * RANGE_A / COUNTS
    assert np.array_equal(twice[9:], -twice[:9])


def test_what_clips_in_either_pass_is_lost_and_zero_is_not_rectified() -> None:
    stand = Stand(np.full((4, 3), 10e-6), only())
    x = np.array(
        [[127, 0, 0, 0], [127, 127, 127, 0], [0, -127, -127, -127], [127, 127, -127, -127], [0] * 4], np.int8
    )
    got = product_a(stand.whole(), x, EIGHT_BITS, 5e-6)
    assert np.isnan(got[1:3]).all()
    assert got[[0, 3, 4]] == pytest.approx(np.repeat([[2e-6], [0.0], [0.0]], 3, axis=1), abs=5e-6 / 256)
    stand.column_offset_a[:] = -0.05e-6
    assert (product_a(stand.whole(), np.zeros((1, 4), np.int8), EIGHT_BITS, 5e-6) < 0).all()


@pytest.mark.parametrize("samples", [1, 2, 5, 64, 65, 4096])
def test_converter_noise_and_steps_average_out(samples: int) -> None:
    """Mean of k = 4000 outputs and their variance; beyond five sigma each (p = 6e-7) is a failure."""
    k = 4000
    card = only("converter", read_chain__noise_fraction_of_range=0.01)
    stand = Stand(np.full((3, 8), 7.3e-6), card)
    x = np.full((k // 8, 3), 127, np.int8)
    conversion = Conversion(0.2, samples, 1e-6, 2e-6, 8, 8)
    exact, step = 3 * 7.3e-6 * 0.2, 1e-5 / 256
    for sign in (1, -1):
        got = product_a(stand.whole(), sign * x, conversion, 1e-5)
        passes = passes_of(sign * x)
        variance = passes * ((0.01 * 1e-5) ** 2 + step**2 / 12) / samples + (1e-5 / COUNTS) ** 2 / 12
        assert got.mean() == pytest.approx(sign * exact, abs=5 * np.sqrt(variance / k))
        assert got.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / k))


# ---- fast noise
def test_fast_noise_has_the_variance_of_its_cells_in_every_output() -> None:
    """Sum of squares of 20,000 normals beyond five sigma (p = 6e-7) is a failure, eight times."""
    rows, cols, k = 24, 40, 500
    fast_s = np.random.default_rng(11).uniform(0.0, 4e-7, (rows, cols))
    stand = Stand(conductances(rows, cols), only(), fast_s)
    for low in (0, -127):
        x = vectors(1, rows, low=low)
        got = product_a(stand.whole(), np.repeat(x, k, axis=0))
        volts = x[0] * (0.2 / 127)
        sigma = np.sqrt(
            (volts[:, None] ** 2 * stand.fast_s.reshape(rows, cols).astype(np.float64) ** 2).sum(axis=0)
        )
        z = (got - volts @ stand.g_s.astype(np.float64)) / sigma
        bound = 5 / np.sqrt(k * cols)
        assert abs(z.mean()) < bound
        assert (z**2).mean() == pytest.approx(1.0, abs=np.sqrt(2) * bound)
        # neither neighbours in time nor neighbouring columns have anything in common
        assert abs((z[1:] * z[:-1]).mean()) < bound
        assert abs((z[:, 1:] * z[:, :-1]).mean()) < bound


def test_noise_belongs_to_the_column_and_the_number_of_the_vector() -> None:
    stand = Stand(conductances(10, 40), only("converter"), 2e-7)
    whole, x = stand.whole(), vectors(700, 10)
    both = product_a(whole, x, EIGHT_BITS, 1e-4, number=5)
    assert np.array_equal(product_a(whole, x, EIGHT_BITS, 1e-4, number=5), both)
    assert not np.array_equal(product_a(whole, x, EIGHT_BITS, 1e-4, number=6), both)
    for split in (1, 256, 699):  # whatever is computed at once
        first = product_a(whole, x[:split], EIGHT_BITS, 1e-4, number=5)
        if passes_of(x[:split]) == 2:
            assert np.array_equal(first, both[:split])
        assert np.array_equal(product_a(whole, x[split:], EIGHT_BITS, 1e-4, number=5 + split), both[split:])
    part = Multiplier(stand, 0, 0, 13, 10, 20)
    assert np.array_equal(product_a(part, x, EIGHT_BITS, 1e-4, number=5), both[:, 13:33])


def test_the_lines_weaken_fast_noise_as_they_weaken_the_cell() -> None:
    card = only("lines", lines__bit_line_ohm=200.0, lines__word_line_ohm=200.0, lines__series_ohm=2e4)
    g, step_s = conductances(12, 9), 1e-8
    matrices = Stand(g, card, 1e-7).whole().look(0, FINE, 0.1)
    moved = []
    for sign in (1.0, -1.0):
        changed = g.copy()
        changed[7, 4] += sign * step_s
        moved.append(Stand(changed, card).whole().look(0, FINE, 0.1).terms[0][7, 4])
    slope = (moved[0] - moved[1]) / (2 * step_s)
    assert slope < 0.85
    assert np.sqrt(matrices.fast_s2[7, 4]) / 1e-7 == pytest.approx(slope, rel=0.05)


def test_chunks_are_short_in_time_and_small_in_memory() -> None:
    assert chunk_length(512, 512, 32_000) == 2048
    assert chunk_length(16, 16, 2_000) == 50_000
    assert chunk_length(16, 16, 30_000_000) == 3
    assert chunk_length(1024, 8, 655_360_000_000) == 1
