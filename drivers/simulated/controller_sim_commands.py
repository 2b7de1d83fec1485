"""Commands only a simulated controller has: time, faults and the truth (controller-protocol §11)."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivers.simulated.clock import TIME_END_NS
from drivers.simulated.controller_array_commands import ANY_HANDLE, window_of_cells
from drivers.simulated.controller_system_commands import board_of
from drivers.simulated.faults import FAULT_PARAMETERS
from drivers.simulated.scpi import Connection, nr3
from drivers.simulated.scpi_commands import Bytes, Command, Float, Int, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_parser import Unit

__all__ = ["SIM_COMMANDS"]

_NAME = Word(words=tuple(FAULT_PARAMETERS))


def _advance(link: Connection, unit: Unit, seconds: float) -> None:
    board = board_of(link)
    board.live()
    target_ns = board.now_ns + round(seconds * 1e9)
    if target_ns >= TIME_END_NS or board.absolute_ns + round(seconds * 1e9) >= TIME_END_NS:
        raise ScpiError(-222)
    board.advance(target_ns, link)
    board.clock.jump(board.now_ns)


def _set_rate(link: Connection, unit: Unit, rate: float) -> None:
    board = board_of(link)
    board.live()
    board.clock.rate = rate


def _set_seed(link: Connection, unit: Unit, seed: int) -> None:
    board = board_of(link)
    if board.outputs:
        raise ScpiError(-221)
    board.replace_chip(seed)


def _set_temperature(link: Connection, unit: Unit, kelvin: float) -> None:
    board = board_of(link)
    board.temperature_k = kelvin
    board.protect()


def _place(link: Connection, unit: Unit, handle: int, data: memoryview) -> None:
    board = board_of(link)
    cells = board.selection(handle)
    if len(data) != 4 * len(cells):
        raise ScpiError(103, f"expected {4 * len(cells)} got {len(data)}")
    targets_s = np.frombuffer(data, np.float32).copy()
    if board.operation is not None:
        raise ScpiError(-213)
    if board.chip.mode != "target-shortcut":
        raise ScpiError(-221, "a chip of pulses; its cells cannot be placed at targets")
    if (targets_s < 0).any() or np.isinf(targets_s).any():
        raise ScpiError(-222, f"entry {int(np.argmax((targets_s < 0) | np.isinf(targets_s)))}")
    if not board.energised:
        raise ScpiError(207)
    board.chip.place(cells, targets_s, np.full(len(cells), board.absolute_ns, np.int64))


def _arm(link: Connection, unit: Unit, name: str, *arguments: Any) -> None:
    board = board_of(link)
    if name == "CELL":
        cell, kind = arguments
        if cell >= board.chip.cells:
            raise ScpiError(-222)
        board.chip.stick(cell, kind)
    if name == "BOOT" and arguments[0] is None:
        board.boot()
        return
    board.faults.arm(name, *arguments)
    board.protect()


def _disarm(link: Connection, unit: Unit, name: str | None) -> None:
    board_of(link).faults.disarm(name)


SIM_COMMANDS: list[Command] = [
    Command("SIM:TIME:ADVance", _advance, (Float(0.0, 9e9),), protected=True),
    Command("SIM:TIME:RATE", _set_rate, (Float(0.0, 1e6),), protected=True),
    Command("SIM:TIME:RATE?", lambda link, unit: nr3(board_of(link).clock.rate)),
    Command("SIM:SEED", _set_seed, (Int(0, 2**64 - 1),), protected=True),
    Command("SIM:SEED?", lambda link, unit: str(board_of(link).chip.seed)),
    Command("SIM:TEMPerature", _set_temperature, (Float(77.0, 500.0),), protected=True),
    Command("SIM:TEMPerature?", lambda link, unit: nr3(board_of(link).temperature_k)),
    Command("SIM:FAULt", _arm, (_NAME,), protected=True, variants=FAULT_PARAMETERS),
    Command("SIM:FAULt?", lambda link, unit: board_of(link).faults.names()),
    Command(
        "SIM:FAULt:CLEar", _disarm, (Word(words=tuple(FAULT_PARAMETERS), optional=True),), protected=True
    ),
    window_of_cells("SIM:TRUTh?", lambda board, cells: board.chip.truth(cells, board.absolute_ns), "<f4"),
    window_of_cells("SIM:HEALth?", lambda board, cells: board.chip.health(cells), "u1"),
    Command("SIM:TARGet", _place, (ANY_HANDLE, Bytes()), protected=True),
    window_of_cells("SIM:PULSes?", lambda board, cells: board.chip.pulses(cells), "<u4"),
]
