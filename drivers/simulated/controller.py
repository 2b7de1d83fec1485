"""The simulated PCM controller board: what it knows, how its time passes and what ends its operations.

The protocol is controller-protocol.md, groups CORE, TEMP and SIM. The commands stand in
``controller_*_commands``; this file is the board between them and the silicon: power, lock, watchdog, the one
overlapped operation and the virtual clock that drives it. Every method expects the board's lock to be held
unless it says otherwise.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.clock import TIME_END_NS, VirtualClock
from drivers.simulated.controller_access import DEFAULT_WATCHDOG_S, Access, Watchdog
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_operation import Operation, Ramp
from drivers.simulated.controller_program import ProgramOperation
from drivers.simulated.controller_read import ReadOperation
from drivers.simulated.controller_settings import PulseTemplate, ReadSettings
from drivers.simulated.faults import Faults
from drivers.simulated.locks import FairLock, signals_deferred
from drivers.simulated.scpi import SAFE_ALONE, Connection
from drivers.simulated.scpi_commands import CommandTable
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Message
from drivers.simulated.scpi_output import Reply
from drivers.simulated.status import Status

__all__ = ["DEFAULT_PROTECTION_K", "ChipState", "SimulatedController"]

RAMP_NS = 5_000_000
DEFAULT_PROTECTION_K = 400.0
# Time a message takes: link 0.3 ms + 100 MB/s (instruments §4), parser 0.3 ms + 10 ns a byte
# (controller-protocol §11).
MESSAGE_NS, BYTE_NS = 600_000, 20

_TEXTS = {
    101: "Cell index out of range",
    102: "Selection empty or undefined",
    103: "Block length does not match selection",
    104: "Pulse template undefined",
    105: "Result buffer empty",
    106: "Batch id not newer",
    201: "Rail not in tolerance",
    202: "Over-current shutdown",
    203: "Over-temperature",
    204: "Interlock open",
    205: "Endurance guard",
    206: "Busy: overlapped operation active",
    207: "Array power or outputs off",
    208: "Watchdog expired",
    209: "Supply failure",
}
_TAG = re.compile(rb"^[\x00-\x20;]*:?SYST(?:EM)?:TAG\?\s+[^;]*;", re.IGNORECASE)
_POLL = re.compile(rb"^[\x00-\x20;:]*(PROG(?:RAM)?|READ):STAT(?:E)?\?[\x00-\x20;]*$", re.IGNORECASE)


class ChipState(Protocol):
    """A chip and what outlives a session with it; see ``drivers.simulated.state_file``."""

    chip: Any
    board: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def save(self) -> None:
        """Write everything."""

    def close(self) -> None:
        """Write everything and let go."""


class SimulatedController:
    """One board with one chip; connections are made with :meth:`connect`.

    Parameters
    ----------
    state : ChipState
        The chip, and the board's non-volatile facts in ``board`` and ``arrays``.
    serial : str
        Third field of ``*IDN?``.
    temperature_k, rate : float
        Temperature of the chip, and board seconds per wall second (0 = virtual time only).
    born_unix_ns : int
        Unix time of the chip's first moment, used where `state` has none yet.
    make_chip : callable, optional
        ``make_chip(seed)`` returns another chip of the same kind, for ``SIM:SEED``.
    links : int
        Connections served at once.
    """

    access: Access
    boot_id: int
    watchdog: Watchdog
    clock: VirtualClock
    faults: Faults
    limits: BoardLimits
    read_settings: ReadSettings
    mask: NDArray[np.bool_]
    masked: bool
    cycle_limit: int
    protection_k: float
    epoch: tuple[int, int]
    block_max: int
    operation: Operation | None
    last_batch: ProgramOperation | None
    last_read: ReadOperation | None
    selections: dict[int, NDArray[np.uint32]]
    templates: dict[int, PulseTemplate]

    def __init__(
        self,
        state: ChipState,
        *,
        serial: str = "0001",
        temperature_k: float = 300.0,
        rate: float = 0.0,
        born_unix_ns: int = 1_767_225_600_000_000_000,
        make_chip: Callable[[int], Any] | None = None,
        links: int = 4,
    ) -> None:
        from drivers.simulated.controller_table import TABLE

        self.table: CommandTable = TABLE
        self.lock = FairLock()
        self.state = state
        self.serial = serial
        self.make_chip = make_chip
        self.clock = VirtualClock(rate)
        self.faults = Faults()
        self.connections: list[Connection] = []
        self.chip: Any = state.chip
        self.limits = BoardLimits.of(self.chip.banks, self.chip.rows, self.chip.cols, links=links)
        self.text_max = int(self.limits.values["text_max"])
        self.block_max = int(self.limits.values["block_max"])
        self._temperature_k = temperature_k
        self.chip.temperature_k = temperature_k
        board = state.board
        self.born_unix_ns = int(board.get("born_unix_ns", born_unix_ns))
        self.boots = int(board.get("boots", 0))
        self.cycle_limit = int(board.get("cycle_limit", 0))
        self.cycles = self._array("cycles", np.zeros(self.chip.cells, np.uint32))
        packed = self._array("mask", np.zeros(-(-self.chip.cells // 8), np.uint8))
        self.mask = np.unpackbits(packed, count=self.chip.cells, bitorder="little").astype(np.bool_)
        self.masked = bool(self.mask.any())
        self.all_cells = np.arange(self.chip.cells, dtype=np.uint32)
        self._offset_ns = int(board.get("absolute_ns", 0))
        self.boot_id = 0
        self._heard: dict[Connection, int] = {}
        self._messages = 0
        self._conditions = (0, 0)
        self._looking_ahead = False
        self._boot_now()

    def _array(self, name: str, default: NDArray[Any]) -> NDArray[Any]:
        kept = self.state.arrays.get(name)
        return default if kept is None or kept.shape != default.shape else np.array(kept, default.dtype)

    # ---- life
    # ---------------------------------------------------------------------------------------------------
    def connect(self) -> Connection:
        """Open a link; when all are taken the one silent longest that does not own the lock is closed.

        Takes the board's lock.
        """
        with signals_deferred(), self.lock:
            self.live()
            others = [link for link in self.connections if not link.ended]
            if len(others) >= self.limits.values["links"]:
                silent = min(
                    (link for link in others if link is not self.access.owner), key=self._heard.__getitem__
                )
                silent.close()
                silent.output.clear()
                silent.settle()
            connection = Connection(self)
            connection.settings["format"] = "U8"
            self.connections.append(connection)
            self._note(connection)
            return connection

    def save(self) -> None:
        """Write chip and board facts to the state; takes the board's lock."""
        with signals_deferred(), self.lock:
            self.live()
            self._store()
            self.state.save()

    def close(self) -> None:
        """Close all links, write the state and let go of it; takes the board's lock."""
        with signals_deferred(), self.lock:
            self.live()
            if self.operation is not None:
                self._cut("ABOR", 0)
            self._store()
            for link in list(self.connections):
                link.close(discard=True)
            self.connections.clear()
            self.state.close()

    def _store(self) -> None:
        self.state.board.update(
            absolute_ns=self.absolute_ns,
            boots=self.boots,
            cycle_limit=self.cycle_limit,
            born_unix_ns=self.born_unix_ns,
        )
        self.state.arrays["cycles"] = self.cycles
        self.state.arrays["mask"] = np.packbits(self.mask, bitorder="little")

    def boot(self) -> None:
        """Restart: all links closed, volatile state lost, a new boot id."""
        if self.operation is not None:
            self._cut("ABOR", 0)
        for link in list(self.connections):
            link.close(discard=True)
        self.connections.clear()
        self._offset_ns = self.absolute_ns
        self.clock.restart()
        self._boot_now()

    def _boot_now(self) -> None:
        before = self.boot_id
        self.boots += 1
        self.boot_id = zlib.crc32(f"boot {self.boots} of chip {self.chip.seed}".encode()) or 1
        if self.boot_id == before:
            self.boot_id = self.boot_id % 0xFFFFFFFF + 1
        self.access = Access()
        self.watchdog = Watchdog()
        self.operation = None
        self.last_batch = None
        self.last_read = None
        self.epoch = (0, 0)
        self.protection_k = DEFAULT_PROTECTION_K
        self.faults.after_boot()
        self._reset_settings()

    def _reset_settings(self) -> None:
        self.power = "OFF"
        self.outputs = False
        self.over_current = self.supply_failed = False
        self.rails = {name: float(volts) for name, volts in self.limits.values["rails_def"].items()}
        self.selections = {}
        self.templates = {}
        self.read_settings = ReadSettings()
        self.watchdog.limit_s = DEFAULT_WATCHDOG_S

    def reset(self, connection: Connection) -> None:
        """``*RST`` once nothing runs any more (controller-protocol §5.3)."""
        self._reset_settings()
        connection.settings["format"] = "U8"
        connection.status.opc_pending = False

    def replace_chip(self, seed: int) -> None:
        """``SIM:SEED``: another chip; board state as after a boot, connections and lock stay."""
        if self.make_chip is None:
            raise ScpiError(-241)
        access, links = self.access, self.connections
        if self.operation is not None:
            self._cut("ABOR", 0)
        chip = self.make_chip(seed)
        self.born_unix_ns += self.absolute_ns  # the world goes on, the chip's own time begins
        self._offset_ns = 0
        self.clock.restart()
        self.state.chip = self.chip = chip
        self.chip.temperature_k = self._temperature_k
        self.cycles = np.zeros(chip.cells, np.uint32)
        self.cycle_limit = 0
        self.faults.disarm()
        self._boot_now()
        self.access, self.connections = access, links
        for link in links:
            link.settings["format"] = "U8"
        self.watchdog.fed(0)

    # ---- time
    # ---------------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        """Board time: nanoseconds since boot."""
        return self.clock.now_ns

    @property
    def absolute_ns(self) -> int:
        """Chip time: nanoseconds since the chip was made."""
        return self._offset_ns + self.clock.now_ns

    def live(self) -> None:
        """Catch up with the wall clock where time flows by itself."""
        if self.clock.rate:
            self.advance(self.clock.target_ns())

    def advance(self, target_ns: int, connection: Connection | None = None) -> None:
        """Let the board live up to `target_ns`; other links, and what `connection` receives, are served meanwhile."""
        boots = self.boots
        while self.boots == boots:  # a board that restarts on the way begins at another time
            moment, event = target_ns, ""
            deadline = self._watchdog_deadline_ns()
            if deadline is not None and deadline <= moment:
                moment, event = deadline, "watchdog"
            operation = self.operation
            if operation is not None:
                if operation.next_stop_ns() <= moment:
                    moment, event = operation.next_stop_ns(), "slice"
                if operation.fault is not None and operation.fault[0] <= moment:
                    moment, event = operation.fault[0], "fault"
            moment = max(moment, self.now_ns)
            self.clock.reach(moment)
            if operation is not None:
                operation.run_to(moment)
            if event == "watchdog":
                self._stop("WDOG", 208)
                self.watchdog.fired = True
                self.queue_all(208)
            elif event == "fault" and operation is not None and operation.fault is not None:
                self._strike(operation.fault[1])
            elif event == "slice" and operation is not None and moment >= operation.end_ns:
                self._end(operation)
            if not event:
                return
            if connection is not None and connection.look_ahead is not None and not self._looking_ahead:
                self._looking_ahead = True
                try:
                    connection.look_ahead()
                finally:
                    self._looking_ahead = False
            self.lock.give_way()

    def _watchdog_deadline_ns(self) -> int | None:
        if self.power not in ("RAMP", "ON"):
            return None
        return self.watchdog.deadline_ns(self.access.owner)

    # ---- the engine's questions (scpi.Instrument)
    # -----------------------------------------------------------------
    def new_status(self) -> Status:
        """Status of a new connection."""
        return Status(int(self.limits.values["err_queue"]), _TEXTS)

    def express(self, connection: Connection, message: Message) -> bool:
        """Act on ``SYST:SAFE`` the moment its line feed arrives."""
        if message.error or message.blocks or not SAFE_ALONE.fullmatch(message.text):
            return False
        if not self._looking_ahead:
            self.begin(connection, message)
        self.safe()
        self.after_unit(connection)
        return True

    def heard(self, connection: Connection) -> None:
        """Note that a complete message came."""
        self._note(connection)
        if self.access.owner is connection:
            self.live()
            self.watchdog.fed(self.now_ns)

    def _note(self, connection: Connection) -> None:
        self._messages += 1
        self._heard[connection] = self._messages

    def begin(self, connection: Connection, message: Message) -> None:
        """Let the message's time pass; a repeated poll moves on so that polling ends (controller-protocol §11)."""
        if self.clock.rate:
            self.live()
        else:
            spent_ns = MESSAGE_NS + BYTE_NS * message.received
            self.advance(min(self.now_ns + spent_ns, TIME_END_NS - 1), connection)
            self._poll(connection, message)
        if self.access.owner is connection:
            self.watchdog.fed(self.now_ns)

    def _poll(self, connection: Connection, message: Message) -> None:
        text = _TAG.sub(b"", message.text)
        poll = _POLL.match(text)
        kind = "" if poll is None else {b"P": "program", b"R": "read"}[poll.group(1)[:1].upper()]
        operation = self.operation
        if not kind or operation is None or operation.kind != kind:
            connection.settings["polled"] = None
            return
        if connection.settings.get("polled") == (text, operation):
            left = operation.end_ns - self.now_ns
            self.advance(self.now_ns + max(left // 10, 1_000_000))
        connection.settings["polled"] = (text, operation)

    def authorised(self, connection: Connection) -> bool:
        """Whether a connection holds the lock."""
        return self.access.may_change(connection)

    def wait(self, connection: Connection, operation: Operation) -> bool:
        """Jump to the end of the operation in virtual time, or live up to now."""
        if self.clock.rate:
            self.live()
        else:
            while not operation.ended and not connection.discarded:
                self.advance(operation.end_ns, connection)
        if operation.ended and self.access.owner is connection and not connection.ended:
            self.watchdog.fed(self.now_ns)
        return operation.ended

    def wall_s(self, operation: Operation) -> float:
        """Wall seconds until an operation ends."""
        moment = operation.end_ns if operation.fault is None else min(operation.end_ns, operation.fault[0])
        return 0.0 if operation.ended else self.clock.wall_s_until(moment)

    def receive_limit(self) -> int | None:
        """Bytes until the armed fault breaks the link."""
        return self.faults.receive_limit()

    def received(self, count: int) -> bool:
        """Count bytes for the fault that breaks the link."""
        return self.faults.received(count)

    def deliver(self, connection: Connection, reply: Reply) -> None:
        """Send a reply, spoilt by the armed faults of the link."""
        spoilt, close = self.faults.spoil(reply)
        if spoilt is not None:
            connection.output.put(spoilt)
        if close:
            connection.close()

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection; the lock ends with its owner's."""
        self.access.disconnected(connection)
        if connection in self.connections:
            self.connections.remove(connection)
        self._heard.pop(connection, None)

    # ---- status
    # -------------------------------------------------------------------------------------------------
    @property
    def too_hot(self) -> bool:
        """Whether the temperature protection acts."""
        return self.faults.has("OTP") or self._temperature_k > self.protection_k

    @property
    def temperature_k(self) -> float:
        """Temperature of the chip."""
        return self._temperature_k

    @temperature_k.setter
    def temperature_k(self, value: float) -> None:
        self._temperature_k = self.chip.temperature_k = value

    def conditions(self) -> tuple[int, int]:
        """Operation and questionable condition registers (controller-protocol §8.1)."""
        kind = self.operation.kind if self.operation is not None else ""
        operation = {"ramp": 1 << 1, "read": 1 << 4, "program": 1 << 8}.get(kind, 0)
        read = self.last_read
        operation |= (1 << 11) if read is not None and read.available else 0
        questionable = int(self.faults.has("RAIL")) | self.over_current << 1 | self.supply_failed << 3
        questionable |= self.too_hot << 4 | self.faults.has("ILOC") << 11
        questionable |= (1 << 9) if read is not None and read.ended and read.any_clipped else 0
        return operation, questionable

    def update_conditions(self) -> None:
        """Tell every connection about edges of the condition registers."""
        before, self._conditions = self._conditions, self.conditions()
        if before != self._conditions:
            for link in self.connections:
                link.status.operation.follow(before[0], self._conditions[0])
                link.status.questionable.follow(before[1], self._conditions[1])

    def after_unit(self, connection: Connection) -> None:
        """Bring the condition registers up to date."""
        self.update_conditions()

    def queue_all(self, code: int, info: str = "") -> None:
        """Put an asynchronous error into every queue."""
        for link in self.connections:
            link.status.error(code, info)
        nobody = self.new_status()
        nobody.error(code, info)
        self.access.error(nobody.next_error())

    # ---- power and protection
    # -----------------------------------------------------------------------------------
    @property
    def energised(self) -> bool:
        """Whether batches and reads may run."""
        return self.power == "ON" and self.outputs

    def power_on(self) -> None:
        """``ARR:POW ON`` (controller-protocol §5.1)."""
        if self.operation is not None:
            raise ScpiError(206)
        if self.power in ("TRIP", "SAFE"):
            raise ScpiError(-221)
        if self.power == "OFF":
            self.power = "RAMP"
            self.start(Ramp(self.now_ns, self.now_ns + round(RAMP_NS * self.faults.number("SLOW", 1.0))))
            self.protect()

    def power_off(self) -> None:
        """``ARR:POW OFF``: ends what runs first, clears a latch."""
        operation = self.operation
        if operation is not None and operation.kind != "ramp":
            operation.power_off_behind = True
            self.abort()
            return
        self.abort()
        self._power_off_now()

    def _power_off_now(self) -> None:
        self.power, self.outputs = "OFF", False
        self.over_current = self.supply_failed = False

    def outputs_on(self) -> None:
        """``OUTP ON``."""
        if self.operation is not None:
            raise ScpiError(206)
        if self.power != "ON":
            raise ScpiError(207)
        if self.faults.has("ILOC"):
            raise ScpiError(204)
        self.outputs = True

    def outputs_off(self) -> None:
        """``OUTP OFF``: ends what runs first."""
        operation = self.operation
        if operation is not None and operation.kind != "ramp":
            operation.outputs_off_behind = True
            self.abort()
        else:
            self.outputs = False

    def abort(self) -> None:
        """``SYST:ABOR``: end the running operation at its next cell boundary."""
        operation = self.operation
        if operation is None:
            return
        operation.abort(self.now_ns)
        if operation.end_ns <= self.now_ns:
            self._end(operation)

    def safe(self) -> None:
        """``SYST:SAFE``: stop everything now and latch the power off."""
        self._stop("SAFE", 0)

    def _stop(self, state: str, code: int) -> None:
        self.outputs = False
        if self.power != "TRIP":
            self.power = "SAFE"
        if self.operation is not None:
            self._cut(state, code)
        self.update_conditions()

    def protect(self) -> None:
        """Trip where an armed fault or the temperature demands it (controller-protocol §5.2)."""
        if self.power in ("RAMP", "ON") and self.too_hot:
            self.trip(203)
        elif self.power == "ON" and self.faults.has("RAIL"):
            self.trip(201, str(self.faults.values["RAIL"][0]))
        elif self.outputs and self.faults.has("ILOC"):
            self.trip(204)

    def trip(self, code: int, info: str = "") -> None:
        """Hardware protection: outputs first, then the operation."""
        self.outputs, self.power = False, "TRIP"
        operation = self.operation
        if operation is not None:
            self._cut("TRIP", code)
            if isinstance(operation, ProgramOperation) and code in (202, 209):
                info = f"batch {operation.id} done {operation.done} open {operation.open}"
        self.over_current = self.over_current or code == 202
        self.supply_failed = self.supply_failed or code == 209
        self.queue_all(code, info)
        self.update_conditions()

    def _strike(self, name: str) -> None:
        if name == "BOOT":
            self.boot()
        else:
            self.trip({"OCP": 202, "SUPP": 209}[name])

    # ---- the one operation
    # --------------------------------------------------------------------------------------
    def start(self, operation: Operation) -> None:
        """Run an operation; one without any work is over at once."""
        self.operation = operation
        self.update_conditions()
        if operation.end_ns <= self.now_ns:
            self._end(operation)

    def _end(self, operation: Operation) -> None:
        operation.finish(operation.end_ns)
        self.operation = None
        if operation.kind == "ramp":
            self._ramp_over(operation)
        if operation.outputs_off_behind:
            self.outputs = False
        if operation.power_off_behind:
            self._power_off_now()
        self._completed()

    def _ramp_over(self, ramp: Operation) -> None:
        if ramp.state == "ABOR":
            self._power_off_now()
        elif self.faults.has("RAIL"):
            self._power_off_now()
            self.queue_all(201, str(self.faults.values["RAIL"][0]))
        else:
            self.power = "ON"

    def _cut(self, state: str, code: int) -> None:
        operation, self.operation = self.operation, None
        if operation is not None:
            operation.cut(self.now_ns, state, code)
            self._completed()

    def _completed(self) -> None:
        for link in self.connections:
            link.status.operation_complete()
        self.update_conditions()

    def selection(self, handle: int) -> NDArray[np.uint32]:
        """Cells of a selection; raises ScpiError 102 where it is undefined."""
        if handle == 0:
            return self.all_cells
        cells = self.selections.get(handle)
        if cells is None:
            raise ScpiError(102)
        return cells

    def template(self, index: int) -> PulseTemplate:
        """Pulse template; raises ScpiError 104 where it is undefined."""
        template = self.templates.get(index)
        if template is None:
            raise ScpiError(104)
        return template
