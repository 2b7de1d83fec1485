"""Commands of the simulated controller: power, rails, mask, counters, selections, temperature (§7.3, §7.4, §7.12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_system_commands import board_of
from drivers.simulated.scpi import Connection, block, nr3
from drivers.simulated.scpi_commands import Bool, Bytes, Command, Float, Int
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit

__all__ = ["ARRAY_COMMANDS", "window_of_cells"]

_LIMITS = BoardLimits.of(1, 1, 1)  # ranges of handles and rails are the electronics' own, whatever the chip
SELECTIONS = int(_LIMITS.values["sel_max"])
HANDLE = Int(1, SELECTIONS)
ANY_HANDLE = Int(0, SELECTIONS)


def _missing_window(link: Connection, handle: int, start: int, count: int) -> list[Piece]:
    return block(f"{handle},{start},", b"")


def window_of_cells(
    header: str, per_cell: Callable[[Any, NDArray[np.uint32]], NDArray[Any]], dtype: str
) -> Command:
    """Make a query ``sel,start,n`` that answers one number per cell; beyond the selection is -222."""
    size = np.dtype(dtype).itemsize

    def query(link: Connection, unit: Unit, handle: int, start: int, count: int) -> list[Piece]:
        board = board_of(link)
        if count * size > board.block_max:
            raise ScpiError(-222)
        cells = board.selection(handle)
        if start + count > len(cells):
            raise ScpiError(-222)
        values = per_cell(board, cells[start : start + count]) if count else np.empty(0)
        data = np.ascontiguousarray(values, dtype)
        return block(f"{handle},{start},", data)

    return Command(header, query, (ANY_HANDLE, Int(), Int()), missing=_missing_window)


# ---- power
# --------------------------------------------------------------------------------------------------------
def _set_power(link: Connection, unit: Unit, on: bool) -> None:
    board = board_of(link)
    if on:
        board.power_on()
    else:
        board.power_off()


def _set_outputs(link: Connection, unit: Unit, on: bool) -> None:
    board = board_of(link)
    if on:
        board.outputs_on()
    else:
        board.outputs_off()


def _rail_commands(name: str) -> list[Command]:
    low, high = _LIMITS.rail(name)

    def set_rail(link: Connection, unit: Unit, volts: float) -> None:
        board = board_of(link)
        if board.operation is not None:
            raise ScpiError(206)
        board.rails[name] = volts

    def rail(link: Connection, unit: Unit) -> str:
        board = board_of(link)
        measured = board.rails[name] if board.power == "ON" else 0.0
        if board.faults.has("RAIL") and board.faults.values["RAIL"][0] == name:
            measured *= 0.8
        return f"{nr3(board.rails[name])},{nr3(measured)}"

    return [
        Command(f"ARRay:RAIL:{name}", set_rail, (Float(low, high),), protected=True),
        Command(f"ARRay:RAIL:{name}?", rail, missing="9.91E37,9.91E37"),
    ]


# ---- mask and counters
# --------------------------------------------------------------------------------------------
def _bits(data: memoryview, cells: int) -> NDArray[np.bool_]:
    expected = -(-cells // 8)
    if len(data) != expected:
        raise ScpiError(103, f"expected {expected} got {len(data)}")
    packed = np.frombuffer(data, np.uint8)
    return np.unpackbits(packed, count=cells, bitorder="little").view(np.bool_)


def _set_mask(link: Connection, unit: Unit, data: memoryview) -> None:
    board = board_of(link)
    if board.operation is not None:
        raise ScpiError(206)
    board.mask = _bits(data, board.chip.cells)
    board.masked = bool(board.mask.any())


def _mask(link: Connection, unit: Unit) -> list[Piece]:
    return block("", np.packbits(board_of(link).mask, bitorder="little"))


def _set_cycle_limit(link: Connection, unit: Unit, limit: int) -> None:
    board_of(link).cycle_limit = limit


# ---- selections
# ---------------------------------------------------------------------------------------------------
def _define(link: Connection, handle: int, make: Callable[[], NDArray[Any]]) -> None:
    board = board_of(link)
    if board.operation is not None and board.operation.handle == handle:
        raise ScpiError(206)
    cells = np.ascontiguousarray(make(), dtype=np.uint32)
    board.rectangles.pop(handle, None)
    if len(cells):
        board.selections[handle] = cells
    else:
        board.selections.pop(handle, None)


def _rectangle(link: Connection, bank: int, r0: int, c0: int, nr: int, nc: int) -> NDArray[np.int64]:
    chip = board_of(link).chip
    if not nr or not nc:
        return np.empty(0, np.int64)
    if bank >= chip.banks or r0 + nr > chip.rows or c0 + nc > chip.cols:
        raise ScpiError(101)
    first = bank * chip.rows * chip.cols
    rows = first + np.arange(r0, r0 + nr, dtype=np.int64) * chip.cols
    cells: NDArray[np.int64] = np.add.outer(rows, np.arange(c0, c0 + nc, dtype=np.int64)).ravel()
    return cells


def _select_all(link: Connection, unit: Unit, handle: int) -> None:
    _define(link, handle, lambda: board_of(link).all_cells)


def _select_row(link: Connection, unit: Unit, handle: int, bank: int, row: int) -> None:
    _define(link, handle, lambda: _rectangle(link, bank, row, 0, 1, board_of(link).chip.cols))


def _select_column(link: Connection, unit: Unit, handle: int, bank: int, col: int) -> None:
    _define(link, handle, lambda: _rectangle(link, bank, 0, col, board_of(link).chip.rows, 1))


def _select_rectangle(link: Connection, unit: Unit, handle: int, *corner: int) -> None:
    bank, r0, c0, nr, nc = corner
    _define(link, handle, lambda: _rectangle(link, bank, r0, c0, nr, nc))
    if nr and nc:
        board_of(link).rectangles[handle] = (bank, r0, c0, nr, nc)


def _select_list(link: Connection, unit: Unit, handle: int, data: memoryview) -> None:
    def make() -> NDArray[np.uint32]:
        if len(data) % 4:
            raise ScpiError(103, f"expected {len(data) // 4 * 4} got {len(data)}")
        cells = np.frombuffer(data, "<u4").copy()
        size = board_of(link).chip.cells
        if len(cells) and int(cells.max()) >= size:
            raise ScpiError(101)
        seen = np.zeros(size, np.bool_)
        seen[cells] = True
        if int(np.count_nonzero(seen)) != len(cells):
            raise ScpiError(-224)
        return cells

    _define(link, handle, make)


def _select_bitmap(link: Connection, unit: Unit, handle: int, data: memoryview) -> None:
    _define(link, handle, lambda: np.flatnonzero(_bits(data, board_of(link).chip.cells)))


def _selection_count(link: Connection, unit: Unit, handle: int) -> str:
    return str(len(board_of(link).selection(handle)))


# ---- temperature
# --------------------------------------------------------------------------------------------------
def _set_protection(link: Connection, unit: Unit, kelvin: float) -> None:
    board = board_of(link)
    board.protection_k = kelvin
    board.protect()


ARRAY_COMMANDS: list[Command] = [
    Command("ARRay:POWer", _set_power, (Bool(),), protected=True),
    Command("ARRay:POWer?", lambda link, unit: board_of(link).power),
    Command("OUTPut", _set_outputs, (Bool(),), protected=True),
    Command("OUTPut?", lambda link, unit: str(int(board_of(link).outputs))),
    *_rail_commands("VDD"),
    *_rail_commands("VWL"),
    Command("ARRay:MASK", _set_mask, (Bytes(),), protected=True),
    Command("ARRay:MASK?", _mask, missing="#10"),
    window_of_cells("ARRay:CYCLes?", lambda board, cells: board.cycles[cells], "<u4"),
    Command("ARRay:CYCLes:LIMit", _set_cycle_limit, (Int(),), protected=True),
    Command("ARRay:CYCLes:LIMit?", lambda link, unit: str(board_of(link).cycle_limit)),
    Command("SELect:ALL", _select_all, (HANDLE,), protected=True),
    Command("SELect:ROW", _select_row, (HANDLE, Int(), Int()), protected=True),
    Command("SELect:COLumn", _select_column, (HANDLE, Int(), Int()), protected=True),
    Command("SELect:RECT", _select_rectangle, (HANDLE, *(Int(),) * 5), protected=True),
    Command("SELect:LIST", _select_list, (HANDLE, Bytes()), protected=True),
    Command("SELect:BITM", _select_bitmap, (HANDLE, Bytes()), protected=True),
    Command("SELect:COUNt?", _selection_count, (ANY_HANDLE,)),
    Command("ARRay:TEMPerature?", lambda link, unit: f"{board_of(link).temperature_k:.3f}"),
    Command("ARRay:TEMPerature:PROTection", _set_protection, (Float(200.0, 500.0),), protected=True),
    Command("ARRay:TEMPerature:PROTection?", lambda link, unit: nr3(board_of(link).protection_k)),
]
