"""Commands of the simulated controller: batches of pulses (controller-protocol §6, §7.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_array_commands import ANY_HANDLE
from drivers.simulated.controller_program import Drive, ProgramOperation
from drivers.simulated.controller_pulse_commands import TEMPLATE
from drivers.simulated.controller_settings import PulseTemplate
from drivers.simulated.controller_system_commands import board_of
from drivers.simulated.scpi import Connection, block
from drivers.simulated.scpi_commands import Bytes, Command, Float, Int, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit

__all__ = ["PROGRAM_COMMANDS", "shifted_stamps"]

_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("<u1"), "U16": np.dtype("<u2"), "F32": np.dtype("<f4")}


def _first(refused: NDArray[np.bool_]) -> None:
    if refused.any():
        raise ScpiError(-222, f"entry {int(np.argmax(refused))}")


def _first_checks(
    board: SimulatedController, batch_id: int, handle: int, index: int
) -> tuple[NDArray[np.uint32], PulseTemplate, float]:
    """Check what controller-protocol §6.2 checks up to the template."""
    if board.operation is not None:
        raise ScpiError(-213)
    last = board.last_batch.id if board.last_batch is not None else 0
    if batch_id <= last:
        raise ScpiError(106, f"last {last} got {batch_id}")
    cells = board.selection(handle)
    template = board.template(index)
    if template.full_scale is None:
        raise ScpiError(104)
    return cells, template, template.full_scale


def _integer_scale(codes: NDArray[np.generic], template: PulseTemplate, full_scale: float) -> float:
    scale = full_scale / (2.0 ** (8 * codes.itemsize) - 1)
    if template.unit == "A" and full_scale > template.limit_a:
        _first(codes.astype(np.float64) * scale > template.limit_a)
    return scale


def _check_floats(codes: NDArray[np.float32], template: PulseTemplate, full_scale: float) -> None:
    ceiling = min(full_scale, template.limit_a) if template.unit == "A" else full_scale
    # Compared as sent: the float nearest to the full scale may lie above its decimal.
    _first(~((codes >= 0) & (codes <= np.float32(ceiling)) | np.isnan(codes)))


def _run(
    link: Connection,
    unit: Unit,
    batch_id: int,
    handle: int,
    index: int,
    cells: NDArray[np.uint32],
    codes: NDArray[np.generic],
    scale: float,
    count: int,
) -> None:
    board = board_of(link)
    if board.chip.mode != "physics":
        raise ScpiError(-221, "target-shortcut knows no pulses; SIM:TARG places cells")
    board.obey_card(cells, pulses=True)
    template = board.template(index)
    if template.unit == "V":
        drive = Drive(scale, 1.0 / board.chip.drive_resistance_ohm, template.limit_a)
    else:
        drive = Drive(scale)
    operation = ProgramOperation(
        batch_id,
        unit.crc32(board.access.token.encode("latin-1")),
        codes=codes,
        cells=cells,
        mask=board.mask,
        parallel=int(board.limits.values["par_prog"]),
        drive=drive,
        shape=template.shape,
        period_ns=template.period_ns,
        count=count,
    )
    if board.cycle_limit:
        targets = operation.would_pulse()
        worn = board.cycles[targets].astype(np.int64) + count > board.cycle_limit
        if worn.any():
            raise ScpiError(
                205, f"first cell {targets[int(np.argmax(worn))]}, {np.count_nonzero(worn)} cells"
            )
    if not board.energised:
        raise ScpiError(207)
    operation.handle, operation.template = handle, index
    slow = board.faults.number("SLOW", 1.0)
    operation.start(board.now_ns, board.chip, board.cycles, board.absolute_ns - board.now_ns, slow)
    fault = board.faults.take_at_entry()
    if fault is not None:
        operation.strike(*fault)
    board.last_batch = operation
    board.start(operation)


def _program_one(
    link: Connection, unit: Unit, batch_id: int, handle: int, index: int, amplitude: float, count: int
) -> None:
    cells, template, full_scale = _first_checks(board_of(link), batch_id, handle, index)
    codes = np.full(len(cells), amplitude, np.float32)
    if not codes[0] > 0:
        raise ScpiError(-222, "entry 0")
    _check_floats(codes[:1], template, full_scale)
    _run(link, unit, batch_id, handle, index, cells, codes, 1.0, count)


def _program_cells(
    link: Connection, unit: Unit, batch_id: int, handle: int, index: int, data: memoryview, count: int
) -> None:
    cells, template, full_scale = _first_checks(board_of(link), batch_id, handle, index)
    dtype = _DTYPES[link.settings["format"]]
    if len(data) != len(cells) * dtype.itemsize:
        raise ScpiError(103, f"expected {len(cells) * dtype.itemsize} got {len(data)}")
    codes: NDArray[np.generic]
    if dtype.kind == "f":
        floats = np.frombuffer(data, np.float32).copy()
        _check_floats(floats, template, full_scale)
        codes, scale = floats, 1.0
    else:
        # One copy, which also makes the codes aligned wherever the block lay in its message.
        codes = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=True)
        scale = _integer_scale(codes, template, full_scale)
    _run(link, unit, batch_id, handle, index, cells, codes, scale, count)


def _last(link: Connection, unit: Unit) -> str:
    batch = board_of(link).last_batch
    return "0,0,0" if batch is None else f"{batch.id},{batch.done},{batch.crc}"


def _state(link: Connection, unit: Unit) -> str:
    batch = board_of(link).last_batch
    if batch is None:
        return "0,IDLE,0,0,0,0,0,0,0"
    end_ns = batch.end_ns if batch.ended else 0
    progress = f"{batch.done},{batch.open},{batch.total},{batch.pulsed}"
    return f"{batch.id},{batch.state},{progress},{batch.code},{batch.start_ns},{end_ns}"


def _prefix(link: Connection, start: int) -> str:
    batch = board_of(link).last_batch
    return f"{batch.id if batch is not None else 0},{start},"


def _missing(link: Connection, start: int, count: int) -> list[Piece]:
    return block(_prefix(link, start), b"")


def _entries(link: Connection, start: int, count: int, size: int) -> ProgramOperation | None:
    """Return the report a window lies in; None for an empty window before the first batch."""
    board = board_of(link)
    if count * size > board.block_max:
        raise ScpiError(-222)
    total = board.last_batch.total if board.last_batch is not None else 0
    if start + count > total:
        raise ScpiError(105, f"available {total}")
    return board.last_batch


def _flags(link: Connection, unit: Unit, start: int, count: int) -> list[Piece]:
    batch = _entries(link, start, count, 1)
    data = b"" if batch is None else batch.flags(start, count)
    return block(_prefix(link, start), data)


def shifted_stamps(board: SimulatedController, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return stamps as sent: unsigned, moved by the fault that shifts them, 0 left alone."""
    shift_ns = round(board.faults.number("STAM", 0.0) * 1e9)
    if shift_ns:
        stamps = np.where(stamps != 0, np.maximum(stamps + shift_ns, 1), 0)
    return np.ascontiguousarray(stamps, np.int64)


def _stamps(link: Connection, unit: Unit, start: int, count: int) -> list[Piece]:
    batch = _entries(link, start, count, 8)
    data = b"" if batch is None else shifted_stamps(board_of(link), batch.stamps(start, count))
    return block(_prefix(link, start), data)


def _set_format(link: Connection, unit: Unit, word: str) -> None:
    link.settings["format"] = word


_BATCH = (Int(1), ANY_HANDLE, TEMPLATE)
_COUNT = Int(1, 1_000_000, optional=True, default=1)

PROGRAM_COMMANDS: list[Command] = [
    Command("PROGram:SELect", _program_one, (*_BATCH, Float(), _COUNT), protected=True),
    Command("PROGram:CELL", _program_cells, (*_BATCH, Bytes(), _COUNT), protected=True),
    Command("PROGram:LAST?", _last),
    Command("PROGram:STATe?", _state),
    Command("PROGram:FLAG?", _flags, (Int(), Int()), missing=_missing),
    Command("PROGram:TSTamp?", _stamps, (Int(), Int()), missing=_missing),
    Command("FORMat:PROGram", _set_format, (Word(words=("U8", "U16", "F32")),)),
    Command("FORMat:PROGram?", lambda link, unit: str(link.settings["format"])),
]
