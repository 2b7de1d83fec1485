"""What the array adds to its cells: correlation over place, resistance of the lines, errors of the columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = ["Columns", "Lines", "SpatialCorrelation"]


@dataclass(frozen=True)
class SpatialCorrelation(Law):
    """Shares of the variance over devices that whole dies, rows and columns have in common.

    They apply alike to the quantities of the programming curve and the accumulation law that differ from device
    to device, and to the device's part of the drift exponent; the rest is each cell's own.

    Attributes
    ----------
    die_share, row_share, column_share : float
    """

    form: ClassVar[str] = "variance-shares"

    die_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    row_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    column_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]

    @property
    def cell_share(self) -> float:
        """Share of the variance that is each cell's own."""
        return 1.0 - self.die_share - self.row_share - self.column_share

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        if self.cell_share < 0.0:
            yield "die_share", f"the shares add up to {1.0 - self.cell_share!r}, more than the variance"


@dataclass(frozen=True)
class Lines(Law):
    """Resistances in series with a cell (device-physics §4.4).

    Row 0 lies at the foot of the bit lines where currents are collected, column 0 at the driver of the word
    lines; a cell at (row, col) sees ``R_s + row r_b + col r_w``.

    Attributes
    ----------
    series_ohm : float
        R_s: selector and periphery, Ohm.
    bit_line_ohm, word_line_ohm : float
        Of one line from cell to cell, Ohm.
    """

    form: ClassVar[str] = "ohmic"

    series_ohm: Annotated[float, Quantity("Ohm", low=0.0)]
    bit_line_ohm: Annotated[float, Quantity("Ohm", low=0.0)]
    word_line_ohm: Annotated[float, Quantity("Ohm", low=0.0)]

    def resistance_ohm(self, row: ArrayLike, col: ArrayLike) -> Floats:
        """Return the resistance in series with the cell at a place, Ohm, in the broadcast shape."""
        return floats(self.series_ohm + self.bit_line_ohm * floats(row) + self.word_line_ohm * floats(col))

    def measured_s(self, g_s: ArrayLike, row: ArrayLike = 0, col: ArrayLike = 0) -> Floats:
        """Return the conductance that a cell of conductance `g_s` shows, ``G / (1 + G R)``, both S."""
        g = floats(g_s)
        return floats(g / (1.0 + g * self.resistance_ohm(row, col)))


@dataclass(frozen=True)
class Columns(Law):
    """Errors of the read path of each column: ``I_read = (1 + gain error) I + offset``.

    They are what is left after the board's own calibration; ``labkit calibrate reads`` finds them.

    Attributes
    ----------
    gain_spread : float
        Standard deviation over columns of the gain error.
    offset_spread_a : float
        Standard deviation over columns of the offset, A, in every range.
    """

    form: ClassVar[str] = "gain-offset"

    gain_spread: Annotated[float, Quantity("1", low=0.0, high=0.2)]
    offset_spread_a: Annotated[float, Quantity("A", low=0.0)]
