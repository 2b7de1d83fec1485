"""Where the weights of a network lie on a chip: each layer a rectangle of word lines by pairs of bit lines.

Rectangles are packed on shelves (first fit, decreasing height); a layer larger than a bank is cut into tiles.
Where that wastes too much of a chip that is large enough, the weights take consecutive cells instead. Rows that
hold reference resistors are left out; they part a bank into strips, and no rectangle lies across them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
class _Strip:
    """Word lines ``row .. row+rows-1`` of a bank, none of them a reference, filled from the first one."""

    bank: int
    row: int
    rows: int
    filled: int = 0


@dataclass(slots=True)
class _Shelf:
    """Word lines across a strip, filled from their left."""

    bank: int
    row: int
    height: int
    used: int = 0


def place_layers(
    shapes: Sequence[tuple[int, int]], geometry: Geometry, *, reference_rows: Collection[int] = ()
) -> NDArray[np.uint32]:
    """Choose a pair of cells for every weight.

    Parameters
    ----------
    shapes : sequence of (rows, outputs)
        Of the layers.
    geometry : Geometry
        The chip.
    reference_rows : collection of int
        Rows of every bank that hold no memory cells.

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
    strips = _strips(geometry, reference_rows)
    available = geometry.cols * sum(strip.rows for strip in strips)
    if needed > available:
        beside = " beside its reference rows" if available < geometry.cells else ""
        raise TooManyCells(
            f"the weights need {needed:,} cells, two each, and the chip has {available:,}{beside}; program "
            "fewer layers, or use a larger chip",
            needed=needed,
            available=available,
        )
    places = _packed(list(_tiles(shapes, geometry, strips)), geometry, strips) if geometry.cols >= 2 else None
    if places is None:
        return _consecutive(needed, geometry, strips)
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


def _strips(geometry: Geometry, reference_rows: Collection[int]) -> list[_Strip]:
    ends = [*sorted({row for row in reference_rows if row < geometry.rows}), geometry.rows]
    starts = [0, *(row + 1 for row in ends[:-1])]
    return [
        _Strip(bank, start, end - start)
        for bank in range(geometry.banks)
        for start, end in zip(starts, ends, strict=True)
        if end > start
    ]


def _consecutive(needed: int, geometry: Geometry, strips: list[_Strip]) -> NDArray[np.uint32]:
    """Return the first cells of the chip that are no references."""
    parts, left = [], needed
    for strip in strips:
        count = min(left, strip.rows * geometry.cols)
        parts.append(np.arange(count, dtype=np.uint32) + np.uint32(geometry.index(strip.bank, strip.row, 0)))
        left -= count
    return np.concatenate(parts)


def _tiles(shapes: Sequence[tuple[int, int]], geometry: Geometry, strips: list[_Strip]) -> Iterator[_Tile]:
    widest = geometry.cols // 2
    tallest = max(strip.rows for strip in strips)
    for layer, (rows, outs) in enumerate(shapes):
        for row in range(0, rows, tallest):
            for out in range(0, outs, widest):
                yield _Tile(layer, row, out, min(tallest, rows - row), min(widest, outs - out))


def _packed(
    tiles: list[_Tile], geometry: Geometry, strips: list[_Strip]
) -> list[tuple[_Tile, int, int, int]] | None:
    """Return each tile with its bank, row and column, or None where they do not fit this way."""
    shelves: list[_Shelf] = []
    places = []
    for tile in sorted(tiles, key=lambda tile: (-tile.rows, -tile.outs)):
        width = 2 * tile.outs
        shelf = next((s for s in shelves if tile.rows <= s.height and s.used + width <= geometry.cols), None)
        if shelf is None:
            strip = next((s for s in strips if s.filled + tile.rows <= s.rows), None)
            if strip is None:
                return None
            shelf = _Shelf(strip.bank, strip.row + strip.filled, tile.rows)
            strip.filled += tile.rows
            shelves.append(shelf)
        places.append((tile, shelf.bank, shelf.row, shelf.used))
        shelf.used += width
    return places
