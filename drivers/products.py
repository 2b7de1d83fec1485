"""Analog products: which cells hold the matrix, and what its columns say to a batch of vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Geometry, ReadSetup

__all__ = ["MatrixVector", "Product", "Rectangle"]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows and columns of one bank: what a matrix is stored in."""

    bank: int
    row: int
    col: int
    rows: int
    cols: int

    def cells(self, geometry: Geometry) -> NDArray[np.uint32]:
        """Return the indices of its cells, shape (rows, cols).

        Raises
        ------
        IndexError
            It reaches beyond the chip, or has no cells.
        """
        first = geometry.index(self.bank, self.row, self.col)
        geometry.index(self.bank, self.row + self.rows - 1, self.col + self.cols - 1)
        if self.rows < 1 or self.cols < 1:
            raise IndexError(f"a rectangle of {self.rows} x {self.cols} cells holds no matrix")
        down = np.arange(self.rows, dtype=np.uint32) * np.uint32(geometry.cols)
        cells: NDArray[np.uint32] = np.add.outer(
            np.uint32(first) + down, np.arange(self.cols, dtype=np.uint32)
        )
        return cells


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """Column currents of a batch of input vectors.

    Attributes
    ----------
    current_a : ndarray of float32, shape (k, cols)
        Ampere; NaN where a conversion clipped. A column's current is ``sum_i G_ij V_i``, V_i = input / 127 x the read
        voltage.
    scale_a : float
        Step of the currents, A; the coarsest one where the batch was too long for one message.
    mvm_id : int
        The board's count of products since boot.
    clock_ns : int
        Board time right after the product.
    host_unix_ns : int
        Host time when the answer was complete.
    """

    current_a: NDArray[np.float32]
    scale_a: float
    mvm_id: int
    clock_ns: int
    host_unix_ns: int

    @property
    def clipped(self) -> NDArray[np.bool_]:
        """Outputs that clipped, shape (k, cols)."""
        return np.isnan(self.current_a)

    def differential(self, layout: str = "interleaved") -> NDArray[np.float32]:
        """Return currents of G+ minus those of G-, A, shape (k, cols / 2); NaN where one of both clipped.

        Parameters
        ----------
        layout : str
            "interleaved": G+ in the even columns, G- right behind; "halves": G+ in the left half, G- in the right.

        Raises
        ------
        ValueError
            Another layout, or an odd number of columns.
        """
        current, cols = self.current_a, self.current_a.shape[1]
        if layout not in ("interleaved", "halves"):
            raise ValueError(f"layout {layout!r} is not known: interleaved, or halves")
        if cols % 2:
            raise ValueError(
                f"{cols} columns are no pairs of G+ and G-: choose a rectangle with an even number"
            )
        if layout == "interleaved":
            return current[:, 0::2] - current[:, 1::2]
        return current[:, : cols // 2] - current[:, cols // 2 :]


@runtime_checkable
class MatrixVector(Protocol):
    """A chip that multiplies by analog means; announced as ``MVM`` in :meth:`drivers.chip.Chip.capabilities`."""

    def multiply(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> Product:
        """Drive the rows with vectors of inputs, shape (k, rows), 127 = the read voltage, and read all columns."""
