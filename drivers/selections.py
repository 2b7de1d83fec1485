"""Handles of cell lists on the board: each list is sent once and then known by its number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.blocks import block_of
from drivers.errors import InstrumentError
from drivers.products import Rectangle
from drivers.visa import Unit

__all__ = ["Selections"]

_REMEMBERED = 8
"""Lists kept in memory to recognise them by; a board has more handles than a program has lists."""


_LAST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class _Known:
    handle: int
    cells: NDArray[np.uint32]
    rectangle: Rectangle | None = None


class Selections:
    """Which handle stands for which list of cells.

    Parameters
    ----------
    cells : int
        Cells of the chip.
    handles : int
        Selections the board holds.
    block_max_bytes : int
        Its largest block.
    """

    def __init__(self, cells: int, handles: int, block_max_bytes: int) -> None:
        self._cells, self._block_max_bytes = cells, block_max_bytes
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

        Raises
        ------
        InstrumentError
            The list is empty, or longer than the board's largest block.
        """
        if not cells.size:
            raise InstrumentError("the list of cells is empty: give at least one")
        cells = _unsigned(cells)
        if cells.size == self._cells and cells[0] == 0 and cells[-1] == self._cells - 1 and _ascends(cells):
            return 0, []
        for known in reversed(self._known.values()):
            same = (
                known.cells.size == cells.size and known.cells[0] == cells[0] and known.cells[-1] == cells[-1]
            )
            if same and np.array_equal(known.cells, cells):
                self._known.move_to_end(known.handle)
                return known.handle, []
        kind, contents = self._definition(cells)
        if contents.nbytes > self._block_max_bytes:
            raise InstrumentError(
                f"a list of {cells.size} cells out of order is {contents.nbytes} bytes, the board takes "
                f"{self._block_max_bytes} in one message: sort it, or use fewer cells at once"
            )
        handle = self._next()
        self._known[handle] = _Known(handle, cells.copy())
        return handle, [(f"SEL:{kind} {handle},", block_of(contents))]

    def rectangle(self, rectangle: Rectangle) -> tuple[int, list[Unit]]:
        """As :meth:`find`, for the cells of a rectangle that the board must know as one."""
        for known in self._known.values():
            if known.rectangle == rectangle:
                self._known.move_to_end(known.handle)
                return known.handle, []
        handle = self._next()
        self._known[handle] = _Known(handle, np.empty(0, np.uint32), rectangle)
        r = rectangle
        return handle, [f"SEL:RECT {handle},{r.bank},{r.row},{r.col},{r.rows},{r.cols}"]

    def _next(self) -> int:
        """Return a free handle, or that of the list not used for the longest time."""
        return self._free.pop() if self._free else self._known.popitem(last=False)[0]

    def _definition(self, cells: NDArray[np.uint32]) -> tuple[str, NDArray[Any]]:
        """Return a bit map for lists in index order, where it is shorter; else the list itself."""
        if self._cells // 8 < 4 * cells.size and cells[-1] < self._cells and _ascends(cells):
            bits = np.zeros(self._cells, np.bool_)
            bits[cells] = True
            return "BITM", np.packbits(bits, bitorder="little")
        return "LIST", cells  # a cell that does not exist is left for the board to refuse


def _unsigned(cells: NDArray[Any]) -> NDArray[np.uint32]:
    """Return whole numbers as the board takes them: 32 bits, since other lists would say something else on the wire."""
    if cells.dtype == np.uint32:
        return cells
    if cells.dtype.kind not in "iu" or cells.min() < 0 or cells.max() > _LAST:
        raise InstrumentError(f"cells are whole numbers from 0 on, not {cells.dtype} from {cells.min()} on")
    return cells.astype(np.uint32)


def _ascends(cells: NDArray[np.uint32]) -> bool:
    return bool((cells[1:] > cells[:-1]).all())
