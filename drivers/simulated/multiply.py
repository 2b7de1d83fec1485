"""The analog matrix-vector multiply: inputs as voltages on the rows, currents summed by the columns.

The cells of a rectangle are looked at once per chunk of vectors. Their conductances with all slow noise are held
through the chunk; what faster states of the 1/f noise add to one output is drawn anew for every output, one normal
number with the variance ``sum_i (V_i w u fast)_ij^2``. So the law of an output is that of single reads, but for two
things that are left out of this variance: the rise of the bit lines, which lowers the voltage of a cell, and the bend
of its law, which is taken as it is at the reference voltage. What is lost is the correlation between outputs of one
chunk that states faster than the chunk would give, between the two passes of one vector too, and the little that
slower states move within a chunk. However many vectors a chunk holds, it disturbs its cells as one read does.

Above the ohmic law each cell is ``I = G sum_k c_k V^(2k+1)``, so a product is a few matrix products. Lines: see
``array_lines``; the voltage of a cell is its input times w, its load on the lines its conductance at the one voltage
that stands for inputs spread evenly from 0 to the read voltage. Sums are in double precision: what the order of a
sum changes does not reach the codes of a converter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.array_lines import RectangleLines, line_transfer
from drivers.simulated.conditions import converter_numbers
from drivers.simulated.multiply_kernel import convert_outputs
from drivers.simulated.random_numbers import key_of

__all__ = ["Conversion", "Matrices", "Multiplier", "Multiplying", "chunk_length", "passes_of"]

FULL_CODE = 127
"""Input that is driven with the read voltage (controller-protocol §7.9)."""
LONGEST_CHUNK_NS = 100_000_000
"""A chunk lasts at most so long: a cell read 1 s after its pulse has drifted by half a percent of its conductance."""
MOST_NUMBERS = 1 << 20
"""Of inputs or outputs of one chunk."""
HEADROOM = 0.9
"""Share of a range that automatic ranging fills at most, as for single reads."""
LOAD_SHARE = 0.6
"""Of the square of the read voltage: <V^4> / <V^2> of inputs spread evenly, at which a straight line through the
origin fits a cubic current best."""
_PREVIEW = 512


class Multiplying(Protocol):
    """The silicon as a product needs it."""

    card: Any
    rows: int
    cols: int
    seed: int
    column_gain: NDArray[np.float32]
    column_offset_a: NDArray[np.float32]

    def observe(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        *,
        voltage_v: float,
        samples: int,
        aperture_s: float,
        spacing_s: float,
        held_from_s: float,
        stress_v: float | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return conductances with their slow noise, and the standard deviation of the fast, S."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How each output is converted.

    Attributes
    ----------
    voltage_v : float
        Of input 127.
    samples, aperture_s, spacing_s
        Conversions averaged, the width of one, and from one to the next.
    bits, zero : int
        Converter.
    offset_a : float
        Added to every current.
    """

    voltage_v: float
    samples: int
    aperture_s: float
    spacing_s: float
    bits: int
    zero: int
    offset_a: float = 0.0


@dataclass(frozen=True, slots=True)
class Matrices:
    """A rectangle as it is seen through one chunk.

    Attributes
    ----------
    terms : list of ndarray of float64, shape (rows, cols)
        Current per V, per V^3, ...
    fast_s2 : ndarray of float64, shape (rows, cols)
        Variance of the current per V^2.
    """

    terms: list[NDArray[np.float64]]
    fast_s2: NDArray[np.float64]


def passes_of(inputs: NDArray[np.int8]) -> int:
    """Return 2 where any input of a batch is negative, else 1: a pass drives inputs of one sign."""
    return 2 if inputs.size and int(inputs.min()) < 0 else 1


def chunk_length(rows: int, cols: int, vector_ns: int) -> int:
    """Return how many vectors share one look at the cells."""
    return max(1, min(LONGEST_CHUNK_NS // vector_ns, MOST_NUMBERS // max(rows, cols)))


class Multiplier:
    """One rectangle of a chip, ready to multiply.

    Parameters
    ----------
    chip : Multiplying
    bank, row, col, rows, cols : int
        The rectangle.
    mask : ndarray of bool, shape (cells of the chip,), optional
        Cells that add nothing and load nothing.
    """

    def __init__(
        self,
        chip: Multiplying,
        bank: int,
        row: int,
        col: int,
        rows: int,
        cols: int,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        self._chip, self.rows, self.cols = chip, rows, cols
        first = (bank * chip.rows + np.arange(row, row + rows, dtype=np.int64)) * chip.cols
        cells = np.add.outer(first, np.arange(col, col + cols)).astype(np.uint32)
        self._wanted = None if mask is None or not mask[cells].any() else ~mask[cells]
        self._cells = cells.ravel() if self._wanted is None else cells[self._wanted]
        laws = chip.card.laws
        self._lines = chip.card.lines if "lines" in laws else None
        self._rectangle = RectangleLines(
            self._lines.bit_line_ohm if self._lines is not None else 0.0,
            self._lines.word_line_ohm if self._lines is not None else 0.0,
            row,
            col,
        )
        self._bent = chip.card.current_voltage if "current_voltage" in laws else None
        self._gain = chip.column_gain[col : col + cols].astype(np.float64)
        self._offset_a = chip.column_offset_a[col : col + cols].astype(np.float64)
        self._first_column = bank * chip.cols + col  # of another bank another number
        self._key = key_of(chip.seed)
        self._noise = float(chip.card.read_chain.noise_fraction_of_range)

    # ---- the cells ----------------------------------------------------------------------------------------
    def look(self, at_ns: int, conversion: Conversion, held_from_s: float) -> Matrices:
        """Look at the cells, which counts as one read of each, and return what the rectangle does with inputs.

        Parameters
        ----------
        at_ns : int
            Chip time.
        conversion : Conversion
        held_from_s : float
            Noise states at least this slow are held, seconds.
        """
        reference_v = conversion.voltage_v if self._bent is None else self._bent.reference_v
        seen, fast = self._chip.observe(
            self._cells,
            np.full(self._cells.size, at_ns, np.int64),
            voltage_v=reference_v,
            samples=conversion.samples,
            aperture_s=conversion.aperture_s,
            spacing_s=conversion.spacing_s,
            held_from_s=held_from_s,
            stress_v=conversion.voltage_v,
        )
        g, fast_s = self._placed(seen), self._placed(fast)
        series_ohm = 0.0 if self._lines is None else self._lines.series_ohm
        divided = 1.0 + series_ohm * g
        loaded = g / divided
        odd_terms = [loaded * coefficient for coefficient in self._odd_terms(g)]
        squared = LOAD_SHARE * conversion.voltage_v**2
        load = sum(odd_term * squared**k for k, odd_term in enumerate(odd_terms))
        transfer = line_transfer(load, self._rectangle)
        terms = [
            odd_term * transfer.bit * transfer.word ** (2 * k + 1) for k, odd_term in enumerate(odd_terms)
        ]
        if transfer.cross_s is not None:
            terms[0] += transfer.cross_s
        return Matrices(terms, (fast_s / divided**2 * transfer.bit * transfer.word) ** 2)

    def _placed(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return values of the unmasked cells as a rectangle; masked ones are 0."""
        if self._wanted is None:
            return values.astype(np.float64).reshape(self.rows, self.cols)
        placed = np.zeros((self.rows, self.cols))
        placed[self._wanted] = values
        return placed

    def _odd_terms(self, g_s: NDArray[np.float64]) -> Any:
        if self._bent is None:
            return [1.0]
        return self._bent.odd_terms(g_s / self._chip.card.g_max_s)

    # ---- the columns --------------------------------------------------------------------------------------
    @staticmethod
    def _driven_v(inputs: NDArray[np.int8], voltage_v: float, sign: int) -> NDArray[np.float64]:
        """Voltages of the pass that drives the inputs of one sign, the others at 0 V."""
        return np.maximum(inputs.astype(np.float64) * (sign * voltage_v / FULL_CODE), 0.0)

    @staticmethod
    def _flows(driven_v: NDArray[np.float64], matrices: Matrices) -> NDArray[np.float64]:
        """Currents into the feet of all columns, fast noise aside, shape (k, cols)."""
        flows: NDArray[np.float64] = driven_v @ matrices.terms[0]
        if len(matrices.terms) > 1:
            squared, power = driven_v * driven_v, driven_v
            for term in matrices.terms[1:]:
                power = power * squared
                flows += power @ term
        return flows

    def choose_range_a(
        self,
        inputs: NDArray[np.int8],
        matrices: Matrices,
        conversion: Conversion,
        ranges_a: tuple[float, ...],
    ) -> float:
        """Return the smallest range in which no output of the batch, as the cells are now, passes nine tenths of it.

        The largest one where there is none.
        """
        highest = -math.inf
        for sign in (1, -1)[: passes_of(inputs)]:
            for start in range(0, len(inputs), _PREVIEW):
                driven = self._driven_v(inputs[start : start + _PREVIEW], conversion.voltage_v, sign)
                shown = self._flows(driven, matrices) * self._gain + (self._offset_a + conversion.offset_a)
                highest = max(highest, float(shown.max()))
        return next((range_a for range_a in ranges_a if highest <= HEADROOM * range_a), ranges_a[-1])

    def convert(
        self,
        inputs: NDArray[np.int8],
        passes: int,
        matrices: Matrices,
        conversion: Conversion,
        range_a: float,
        first_number: int,
    ) -> NDArray[np.int16]:
        """Multiply vectors and convert the outputs.

        Parameters
        ----------
        inputs : ndarray of int8, shape (k, rows)
        passes : int
            2 measures negative inputs in a pass of their own and subtracts.
        matrices : Matrices
        conversion : Conversion
        range_a : float
            Full scale of every converter.
        first_number : int
            Running number of the first vector, which its noise depends on.

        Returns
        -------
        ndarray of int16, shape (k, cols)
            In counts of ``range_a / 32768``; -32768 where any conversion of either pass clipped high.
        """
        total = len(inputs) * self.cols
        current, variance = np.empty((passes, total)), np.empty((passes, total))
        for index in range(passes):
            driven = self._driven_v(inputs, conversion.voltage_v, 1 - 2 * index)
            current[index] = self._flows(driven, matrices).ravel()
            variance[index] = (driven * driven @ matrices.fast_s2).ravel()
        out = np.empty(total, np.int16)
        converter = converter_numbers(self._noise, conversion.bits, conversion.zero, conversion.samples)
        convert_outputs(
            0, total, current, variance, self._first_column, first_number & 0xFFFFFFFF, self.cols, self._gain,
            self._offset_a + conversion.offset_a, range_a, converter, conversion.samples, self._key, out,
        )  # fmt: skip
        return out.reshape(len(inputs), self.cols)
