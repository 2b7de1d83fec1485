"""Handles of cell lists on the board: each list is sent once and then known by its number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.blocks import block_of
from drivers.visa import Unit

__all__ = ["Selections"]

_REMEMBERED = 8
"""Lists kept in memory to recognise them by; a board has more handles than a program has lists."""


@dataclass(frozen=True, slots=True)
class _Known:
    handle: int
    cells: NDArray[np.uint32]


class Selections:
    """Which handle stands for which list of cells.

    Parameters
    ----------
    cells : int
        Cells of the chip.
    handles : int
        Selections the board holds.
    """

    def __init__(self, cells: int, handles: int) -> None:
        self._cells = cells
        self._free = list(range(1, 1 + min(handles, _REMEMBERED)))[::-1]
        self._known: OrderedDict[int, _Known] = OrderedDict()

    def forget(self) -> None:
        """Forget everything: the board has, or may have."""
        for handle in self._known:
            self._free.append(handle)
        self._known.clear()

    def find(self, cells: NDArray[np.uint32]) -> tuple[int, list[Unit]]:
        """Return the handle of a list of cells, and what defines it where the board does not know it yet.

        The definition counts as sent; where it was not, :meth:`forget`.
        """
        if cells.size == self._cells and cells[0] == 0 and _ascends(cells):
            return 0, []
        for known in reversed(self._known.values()):
            same = (
                known.cells.size == cells.size and known.cells[0] == cells[0] and known.cells[-1] == cells[-1]
            )
            if same and np.array_equal(known.cells, cells):
                self._known.move_to_end(known.handle)
                return known.handle, []
        handle = self._free.pop() if self._free else self._known.popitem(last=False)[0]
        self._known[handle] = _Known(handle, cells.copy())
        return handle, [self._define(handle, cells)]

    def _define(self, handle: int, cells: NDArray[np.uint32]) -> Unit:
        """A bit map for lists in index order, where it is shorter; else the list itself."""
        if _ascends(cells) and self._cells // 8 < 4 * cells.size:
            bits = np.zeros(self._cells, np.bool_)
            bits[cells] = True
            return (f"SEL:BITM {handle},", block_of(np.packbits(bits, bitorder="little")))
        return (f"SEL:LIST {handle},", block_of(cells))


def _ascends(cells: NDArray[np.uint32]) -> bool:
    return bool((cells[1:] > cells[:-1]).all())
