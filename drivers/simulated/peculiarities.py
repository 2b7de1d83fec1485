"""What the builders of a simulated chip know of it and its users have to find out: columns and resistors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.simulated import layout
from drivers.simulated.device_kernel import draw_normals
from drivers.simulated.random_numbers import Draw, Kind

if TYPE_CHECKING:
    from calibration.card import DeviceCard
    from drivers.simulated.layout import CellArrays

__all__ = ["References", "column_errors", "fit_resistors"]

_GAIN, _OFFSET = 0, 1


@dataclass(frozen=True)
class References:
    """Rows of poly-silicon resistors on the chip, for the calibration of its read path.

    Attributes
    ----------
    rows : mapping of int to float
        Row, in every bank, and its nominal conductance, S.
    tolerance : float
        How well the nominal values are known, relative; true values differ by half of it (one sigma).
    """

    rows: Mapping[int, float] = field(default_factory=dict)
    tolerance: float = 0.0


def column_errors(
    card: DeviceCard, cols: int, key: NDArray[np.uint32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw gain and offset (A) of the read path of every column; 1 and 0 where the card has no such errors."""
    if not card.has("columns"):
        return np.ones(cols, np.float32), np.zeros(cols, np.float32)
    columns = np.arange(cols, dtype=np.uint32)
    gain, offset = np.empty(cols, np.float32), np.empty(cols, np.float32)
    draw_normals(columns, int(Kind.COLUMN), _GAIN, key, gain)
    draw_normals(columns, int(Kind.COLUMN), _OFFSET, key, offset)
    law = card.columns
    return np.float32(1.0) + np.float32(law.gain_spread) * gain, np.float32(law.offset_spread_a) * offset


def fit_resistors(
    arrays: CellArrays, references: References, banks: int, rows: int, cols: int, key: NDArray[np.uint32]
) -> None:
    """Put resistors in the place of the cells of the reference rows."""
    for row, nominal_s in references.rows.items():
        lines = np.arange(banks) * rows + row
        cells = (lines[:, np.newaxis] * cols + np.arange(cols)).reshape(-1).astype(np.uint32)
        deviation = np.empty(cells.size, np.float32)
        draw_normals(cells, int(Kind.DEVICE), int(Draw.REFERENCE), key, deviation)
        block, lane = cells >> 8, cells & 255
        state = arrays.state
        for quantity in range(layout.STATE_ROWS):
            state[block, quantity, lane] = 0.0
        true_s = nominal_s * (1.0 + 0.5 * references.tolerance * deviation.astype(np.float64))
        state[block, layout.CONDUCTANCE, lane] = true_s
        state[block, layout.DIVISOR, lane] = 1.0
        arrays.mark[block, layout.STUCK, lane] = layout.RESISTOR
