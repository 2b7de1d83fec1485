"""Where the weights of a network lie on a chip: each layer a rectangle of word lines by pairs of bit lines.

Rectangles are packed on shelves (first fit, decreasing height); a layer larger than a bank is cut into tiles.
Where that wastes too much of a chip that is large enough, the weights take consecutive cells instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Geometry
from labkit.errors import TooManyCells

__all__ = ["place_layers"]


@dataclass(frozen=True, slots=True)
class _Tile:
    """A rectangle of a layer: weights ``row .. row+rows-1`` by outputs ``out .. out+outs-1``."""

    layer: int
    row: int
    out: int
    rows: int
    outs: int


@dataclass(slots=True)
class _Shelf:
    """A strip of word lines across a bank, filled from its left."""

    bank: int
    row: int
    height: int
    used: int = 0


def place_layers(shapes: Sequence[tuple[int, int]], geometry: Geometry) -> NDArray[np.uint32]:
    """Choose a pair of cells for every weight.

    Parameters
    ----------
    shapes : sequence of (rows, outputs)
        Of the layers.
    geometry : Geometry
        The chip.

    Returns
    -------
    ndarray of uint32, shape (cells,)
        Cell indices, no cell twice: layer by layer, row by row, output by output, of each pair the positive
        device first. The devices of a pair lie side by side on one word line.

    Raises
    ------
    TooManyCells
        The chip is too small.
    """
    ends = np.cumsum([2 * rows * outs for rows, outs in shapes])
    needed = int(ends[-1])
    if needed > geometry.cells:
        raise TooManyCells(
            f"the weights need {needed:,} cells, two each, and the chip has {geometry.cells:,}; program "
            "fewer layers, or use a larger chip",
            needed=needed,
            available=geometry.cells,
        )
    places = _packed(list(_tiles(shapes, geometry)), geometry) if geometry.cols >= 2 else None
    if places is None:
        return np.arange(needed, dtype=np.uint32)
    cells = np.empty(needed, np.uint32)
    layers = [
        part.reshape(rows, 2 * outs)
        for part, (rows, outs) in zip(np.split(cells, ends[:-1]), shapes, strict=True)
    ]
    for tile, bank, row, col in places:
        first = geometry.index(bank, row, col)
        word_lines = first + geometry.cols * np.arange(tile.rows, dtype=np.int64)
        bit_lines = np.arange(2 * tile.outs, dtype=np.int64)
        inside = layers[tile.layer][
            tile.row : tile.row + tile.rows, 2 * tile.out : 2 * (tile.out + tile.outs)
        ]
        inside[...] = word_lines[:, np.newaxis] + bit_lines
    return cells


def _tiles(shapes: Sequence[tuple[int, int]], geometry: Geometry) -> Iterator[_Tile]:
    widest = geometry.cols // 2
    for layer, (rows, outs) in enumerate(shapes):
        for row in range(0, rows, geometry.rows):
            for out in range(0, outs, widest):
                yield _Tile(layer, row, out, min(geometry.rows, rows - row), min(widest, outs - out))


def _packed(tiles: list[_Tile], geometry: Geometry) -> list[tuple[_Tile, int, int, int]] | None:
    """Return each tile with its bank, row and column, or None where they do not fit this way."""
    filled = [0] * geometry.banks
    shelves: list[_Shelf] = []
    places = []
    for tile in sorted(tiles, key=lambda tile: (-tile.rows, -tile.outs)):
        width = 2 * tile.outs
        shelf = next((s for s in shelves if tile.rows <= s.height and s.used + width <= geometry.cols), None)
        if shelf is None:
            bank = next((b for b, used in enumerate(filled) if used + tile.rows <= geometry.rows), None)
            if bank is None:
                return None
            shelf = _Shelf(bank, filled[bank], tile.rows)
            filled[bank] += tile.rows
            shelves.append(shelf)
        places.append((tile, shelf.bank, shelf.row, shelf.used))
        shelf.used += width
    return places
