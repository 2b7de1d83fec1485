"""Commands of the simulated controller: reading (controller-protocol §7.7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_array_commands import ANY_HANDLE
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_program_commands import shifted_stamps
from drivers.simulated.controller_read import ReadOperation
from drivers.simulated.controller_system_commands import board_of
from drivers.simulated.scpi import Connection, Wait, block, nr3
from drivers.simulated.scpi_commands import Command, Float, FloatOrWord, Int, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit

__all__ = ["READ_COMMANDS"]

_LIMITS = BoardLimits.of(
    1, 1, 1
)  # samples and apertures are the electronics' own, whatever the board's limits
_FORMATS = ("COND32", "CURR32", "ADC16", "CODE8")
_LETTERS = {"COND32": "C", "CURR32": "I", "ADC16": "A", "CODE8": "K"}
_SIZES = {"COND32": 4, "CURR32": 4, "ADC16": 2, "CODE8": 1}
_FORMAT = Word(words=_FORMATS, optional=True, default="COND32")
DIRECT_MAX = 65536


def _set_voltage(link: Connection, unit: Unit, volts: float) -> None:
    board = board_of(link)
    low, high = board.limits.pair("v_read")
    if not low <= volts <= high:
        raise ScpiError(-222)
    board.read_settings.voltage_v = volts


def _set_average(link: Connection, unit: Unit, samples: int) -> None:
    board_of(link).read_settings.samples = samples


def _set_aperture(link: Connection, unit: Unit, aperture_s: float) -> None:
    board_of(link).read_settings.aperture_s = aperture_s


def _set_range(link: Connection, unit: Unit, full_scale: float | str) -> None:
    board = board_of(link)
    settings = board.read_settings
    if isinstance(full_scale, str):
        settings.range_a = None
        return
    for range_a in board.converter.ranges_a:
        if full_scale <= range_a:
            settings.range_a = range_a
            return
    raise ScpiError(-222)


def _range(link: Connection, unit: Unit) -> str:
    range_a = board_of(link).read_settings.range_a
    return "AUTO" if range_a is None else nr3(range_a)


def _clips(board: SimulatedController, read_id: int, total: int) -> NDArray[np.bool_] | None:
    if not board.faults.has("CLIP"):
        return None
    random = np.random.default_rng((board.chip.seed, board.boot_id, read_id))
    return random.random(total) < board.faults.number("CLIP", 0.0)


def _start(board: SimulatedController, handle: int, *, most: int | None = None) -> ReadOperation:
    if board.operation is not None:
        raise ScpiError(-213)
    cells = board.selection(handle)
    if most is not None and len(cells) > most:
        raise ScpiError(-222)
    if not board.energised:
        raise ScpiError(207)
    board.obey_card(cells)
    read_id = (board.last_read.id if board.last_read is not None else 0) + 1
    read = ReadOperation(
        read_id,
        now_ns=board.now_ns,
        cells=cells,
        mask=board.mask if board.masked else None,
        settings=board.read_settings.copy(),
        converter=board.converter,
        chip=board.chip,
        board_to_chip_ns=board.absolute_ns - board.now_ns,
        offset_a=board.faults.number("ADCO", 0.0),
        clip=_clips(board, read_id, len(cells)),
        slow=board.faults.number("SLOW", 1.0),
    )
    read.handle = handle
    board.last_read = read
    board.start(read)
    return read


def _init(link: Connection, unit: Unit, handle: int) -> None:
    _start(board_of(link), handle)


def _state(link: Connection, unit: Unit) -> str:
    read = board_of(link).last_read
    return "0,IDLE,0,0" if read is None else f"{read.id},{read.state},{read.done},{read.total}"


def _id(link: Connection) -> int:
    read = board_of(link).last_read
    return 0 if read is None else read.id


def _entries(link: Connection, start: int, count: int, size: int) -> ReadOperation | None:
    board = board_of(link)
    if count * size > board.block_max:
        raise ScpiError(-222)
    available = board.last_read.available if board.last_read is not None else 0
    if start + count > available:
        raise ScpiError(105, f"available {available}")
    return board.last_read


def _readings(read: ReadOperation, start: int, count: int, form: str) -> NDArray[Any]:
    if form == "COND32":
        return read.conductance_s(start, count)
    if form == "CURR32":
        return read.current_a(start, count)
    if read.settings.range_a is None:
        raise ScpiError(-221)
    if form == "ADC16":
        return read.codes(start, count, 16)
    return read.codes(start, count, 8).astype(np.uint8)


def _data(link: Connection, unit: Unit, start: int, count: int, form: str) -> list[Piece]:
    read = _entries(link, start, count, _SIZES[form])
    data = b"" if read is None else _readings(read, start, count, form)
    return block(f"{_id(link)},{start},{_LETTERS[form]},", data)


def _missing_data(link: Connection, start: int, count: int, form: str | None) -> list[Piece]:
    return block(f"{_id(link)},{start},{_LETTERS.get((form or 'COND32').upper(), 'C')},", b"")


def _missing(link: Connection, start: int, count: int) -> list[Piece]:
    return block(f"{_id(link)},{start},", b"")


def _flags(link: Connection, unit: Unit, start: int, count: int) -> list[Piece]:
    read = _entries(link, start, count, 1)
    return block(f"{_id(link)},{start},", b"" if read is None else read.flags(start, count))


def _stamps(link: Connection, unit: Unit, start: int, count: int) -> list[Piece]:
    read = _entries(link, start, count, 8)
    data = b"" if read is None else shifted_stamps(board_of(link), read.stamps(start, count))
    return block(f"{_id(link)},{start},", data)


def _read(link: Connection, unit: Unit, handle: int, form: str) -> Wait:
    board = board_of(link)
    if form in ("ADC16", "CODE8") and board.operation is None and board.read_settings.range_a is None:
        raise ScpiError(-221)
    read = _start(board, handle, most=DIRECT_MAX)
    return Wait(read, lambda: _data(link, unit, 0, read.total, form))


def _missing_read(link: Connection, handle: int, form: str | None) -> list[Piece]:
    return _missing_data(link, 0, 0, form)


_WINDOW = (Int(), Int())

READ_COMMANDS: list[Command] = [
    Command("READ:VOLTage", _set_voltage, (Float(),), protected=True),
    Command("READ:VOLTage?", lambda link, unit: nr3(board_of(link).read_settings.voltage_v)),
    Command("READ:AVERage", _set_average, (Int(*_LIMITS.values["read_aver"]),), protected=True),
    Command("READ:AVERage?", lambda link, unit: str(board_of(link).read_settings.samples)),
    Command("READ:APERture", _set_aperture, (Float(*_LIMITS.pair("read_aper")),), protected=True),
    Command("READ:APERture?", lambda link, unit: nr3(board_of(link).read_settings.aperture_s)),
    Command("READ:RANGe", _set_range, (FloatOrWord(words=("AUTO",)),), protected=True),
    Command("READ:RANGe?", _range),
    Command("READ:INIT", _init, (ANY_HANDLE,), protected=True),
    Command("READ:STATe?", _state),
    Command("READ:DATA?", _data, (*_WINDOW, _FORMAT), missing=_missing_data),
    Command("READ:FLAG?", _flags, _WINDOW, missing=_missing),
    Command("READ:TSTamp?", _stamps, _WINDOW, missing=_missing),
    Command("READ?", _read, (ANY_HANDLE, _FORMAT), protected=True, missing=_missing_read),
]
