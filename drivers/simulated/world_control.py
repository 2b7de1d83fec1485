"""The side door of a simulated bench: its time, and the truth about its cells, over the commands of §11.

No instrument stands behind it and no real bench has it. A connection chooses one of the chips made of instruments with
``SIM:CHIP "name"`` (the first one until then), and what it asks takes no time. The commands are those of the simulated
controller (controller-protocol §11) that make sense without a board: :class:`drivers.sim_control.SimControl` speaks
them to both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.clock import TIME_END_NS
from drivers.simulated.resource_lock import ResourceLock
from drivers.simulated.scpi import Connection, block, nr3
from drivers.simulated.scpi_commands import Bytes, Command, CommandTable, Float, Int, Str, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Message
from drivers.simulated.scpi_output import Piece, Reply
from drivers.simulated.scpi_parser import Unit
from drivers.simulated.status import Status
from drivers.simulated.twin import Transport

if TYPE_CHECKING:
    from drivers.simulated.world import World
    from drivers.simulated.world.cells import Cells

__all__ = ["WorldControl", "WorldPort"]


_BLOCK_MAX = 1 << 24
_HANDLE = Int(1, 1)
_TEXTS = {101: "Address out of range", 102: "Selection undefined", 103: "Block length"}


class WorldControl:
    """What answers at the side door.

    Parameters
    ----------
    world : World
        The bench.
    """

    text_max = 4096
    block_max = _BLOCK_MAX

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = world.lock
        self.table = CommandTable(_COMMANDS)

    def connect(self) -> Connection:
        """Open a link."""
        return Connection(self)

    # ---- the engine's questions (scpi.Instrument) -----------------------------------------------------------
    def new_status(self) -> Status:
        """Status of a new connection."""
        return Status(texts=_TEXTS)

    def express(self, connection: Connection, message: Message) -> bool:
        """Nothing comes before its turn."""
        return False

    def heard(self, connection: Connection) -> None:
        """No watchdog counts here."""

    def begin(self, connection: Connection, message: Message) -> None:
        """No time passes."""

    def authorised(self, connection: Connection) -> bool:
        """Everybody may do everything."""
        return True

    def after_unit(self, connection: Connection) -> None:
        """There are no registers."""

    def wait(self, connection: Connection, operation: Any) -> bool:
        """Nothing is ever waited for."""
        return True

    def wall_s(self, operation: Any) -> float:
        """Nothing is ever waited for."""
        return 0.0

    def receive_limit(self) -> int | None:
        """Links do not break."""
        return None

    def received(self, count: int) -> bool:
        """Links do not break."""
        return True

    def deliver(self, connection: Connection, reply: Reply) -> None:
        """Hand a reply to the link."""
        connection.output.put(reply)

    def disconnected(self, connection: Connection) -> None:
        """Nothing is kept of a connection."""


@dataclass
class WorldPort:
    """Where links to the side door are made."""

    _world: Callable[[], World]
    lock: ResourceLock = field(default_factory=ResourceLock)
    name: str = "simulation"

    def connect(self, transport: Transport = Transport.SOCKET) -> Connection:
        """Open a link."""
        return WorldControl(self._world()).connect()


def _world_of(link: Connection) -> World:
    control = link.instrument
    if not isinstance(control, WorldControl):
        raise TypeError("these commands belong to the side door of a bench")
    return control.world


def _chip_of(link: Connection) -> Cells:
    chips = _world_of(link).chips
    found: str = link.settings.get("chip") or next(iter(chips))
    return chips[found]


def _choose(link: Connection, unit: Unit, name: str) -> None:
    if name not in _world_of(link).chips:
        raise ScpiError(-224, f"no chip {name}")
    link.settings["chip"] = name
    link.settings.pop("cells", None)


def _advance(link: Connection, unit: Unit, seconds: float) -> None:
    world = _world_of(link)
    moment_ns = _chip_of(link).absolute_ns(world.now_ns) + round(seconds * 1e9)
    if moment_ns >= TIME_END_NS:
        raise ScpiError(-222)
    world.pass_s(seconds)


def _time(link: Connection, unit: Unit) -> str:
    cells = _chip_of(link)
    return f"{cells.absolute_ns(_world_of(link).now_ns)},{cells.born_unix_ns}"


def _set_rate(link: Connection, unit: Unit, rate: float) -> None:
    _world_of(link).clock.rate = rate


def _set_temperature(link: Connection, unit: Unit, kelvin: float) -> None:
    _world_of(link).heat(kelvin)


def _list(link: Connection, unit: Unit, handle: int, data: memoryview) -> None:
    if len(data) % 4:
        raise ScpiError(103, f"expected {len(data) // 4 * 4} got {len(data)}")
    cells = np.frombuffer(data, "<u4").astype(np.uint32)
    if cells.size and int(cells.max()) >= _chip_of(link).chip.cells:
        raise ScpiError(101)
    if np.unique(cells).size != cells.size:
        raise ScpiError(-224)
    link.settings["cells"] = cells


def _per_cell(header: str, tell: Callable[[Cells, NDArray[np.uint32], int], Any], dtype: str) -> Command:
    """Make a query ``handle,start,n`` that answers one number per cell of the list."""

    def query(link: Connection, unit: Unit, handle: int, start: int, count: int) -> list[Piece]:
        cells: NDArray[np.uint32] | None = link.settings.get("cells")
        if cells is None:
            raise ScpiError(102)
        if start + count > cells.size or count * np.dtype(dtype).itemsize > _BLOCK_MAX:
            raise ScpiError(-222)
        world, chip = _world_of(link), _chip_of(link)
        values = tell(chip, cells[start : start + count], chip.absolute_ns(world.now_ns))
        return block(f"{handle},{start},", np.ascontiguousarray(values, dtype))

    return Command(header, query, (_HANDLE, Int(), Int()), missing=_missing)


def _missing(link: Connection, handle: int, start: int, count: int) -> list[Piece]:
    return block(f"{handle},{start},", b"")


def _place(link: Connection, unit: Unit, handle: int, data: memoryview) -> None:
    raise ScpiError(-221, "cells of pulses cannot be placed at targets")


def _stick(link: Connection, unit: Unit, name: str, cell: int, kind: str) -> None:
    chip = _chip_of(link).chip
    if cell >= chip.cells:
        raise ScpiError(-222)
    chip.stick(cell, kind)


_COMMANDS: list[Command] = [
    Command("SYSTem:TAG?", lambda link, unit, tag: str(tag), (Int(),)),
    Command("SYSTem:ERRor[:NEXT]?", lambda link, unit: link.status.next_error()),
    Command("SYSTem:ERRor:COUNt?", lambda link, unit: str(len(link.status.errors))),
    Command("SYSTem:LOCK:OWNer?", lambda link, unit: "1"),
    Command("XLAB:TIME?", _time),
    Command("SELect:LIST", _list, (_HANDLE, Bytes())),
    Command("SIM:CHIP", _choose, (Str(1, 255),)),
    Command("SIM:CHIP?", lambda link, unit: f'"{_chip_of(link).name}"'),
    Command("SIM:TIME:ADVance", _advance, (Float(0.0, 9e9),)),
    Command("SIM:TIME:RATE", _set_rate, (Float(0.0, 1e6),)),
    Command("SIM:TIME:RATE?", lambda link, unit: nr3(_world_of(link).clock.rate)),
    Command("SIM:SEED?", lambda link, unit: str(_chip_of(link).chip.seed)),
    Command("SIM:TEMPerature", _set_temperature, (Float(77.0, 500.0),)),
    Command("SIM:TEMPerature?", lambda link, unit: nr3(_chip_of(link).chip.temperature_k)),
    Command("SIM:FAULt", _stick, (Word(words=("CELL",)), Int(), Word(words=("SET", "RES", "OPEN")))),
    Command("SIM:TARGet", _place, (_HANDLE, Bytes())),
    _per_cell("SIM:TRUTh?", lambda found, cells, now_ns: found.chip.truth(cells, now_ns), "<f4"),
    _per_cell("SIM:PULSes?", lambda found, cells, now_ns: found.chip.pulses(cells), "<u4"),
    _per_cell("SIM:HEALth?", lambda found, cells, now_ns: found.chip.health(cells), "u1"),
]
