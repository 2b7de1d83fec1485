"""The simulated PCM controller board: its boots, its links and how its time passes.

The protocol is controller-protocol.md, groups CORE, MVM, TEMP, EVEN and SIM. The commands stand in
``controller_*_commands``, what the board knows in ``controller_facts``, its power and its one overlapped operation
in ``controller_power``, who listens in ``controller_events``; this file drives them by a virtual clock. Every method
expects the board's lock to be held unless it says otherwise.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from drivers.simulated.clock import TIME_END_NS
from drivers.simulated.controller_access import Access, Watchdog
from drivers.simulated.controller_events import Listener
from drivers.simulated.controller_facts import DEFAULT_PROTECTION_K, ChipState
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_operation import Operation
from drivers.simulated.controller_power import PoweredBoard
from drivers.simulated.locks import FairLock, signals_deferred
from drivers.simulated.scpi import SAFE_ALONE, Connection
from drivers.simulated.scpi_commands import CommandTable
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Message
from drivers.simulated.scpi_output import Reply

__all__ = ["SimulatedController"]

# Time a message takes: link 0.3 ms + 100 MB/s (instruments §4), parser 0.3 ms + 10 ns a byte
# (controller-protocol §11).
MESSAGE_NS, BYTE_NS = 600_000, 20

_TAG = re.compile(rb"^[\x00-\x20;]*:?SYST(?:EM)?:TAG\?\s+[^;]*;", re.IGNORECASE)
_POLL = re.compile(rb"^[\x00-\x20;:]*(PROG(?:RAM)?|READ|MVM):STAT(?:E)?\?[\x00-\x20;]*$", re.IGNORECASE)


class SimulatedController(PoweredBoard):
    """One board with one chip; connections are made with :meth:`connect`, listeners with :meth:`listen`.

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
    limits : BoardLimits, optional
        Of the board; by default the reference board's around a chip of this size.
    """

    def __init__(
        self,
        state: ChipState,
        *,
        serial: str = "0001",
        temperature_k: float = 300.0,
        rate: float = 0.0,
        born_unix_ns: int = 1_767_225_600_000_000_000,
        make_chip: Callable[[int], Any] | None = None,
        limits: BoardLimits | None = None,
    ) -> None:
        from drivers.simulated.controller_table import TABLE

        super().__init__(
            state, temperature_k=temperature_k, rate=rate, born_unix_ns=born_unix_ns, limits=limits
        )
        self.table: CommandTable = TABLE
        self.lock = FairLock()
        self.serial = serial
        self.make_chip = make_chip
        self.boot_id = 0
        self._heard: dict[Connection, int] = {}
        self._messages = 0
        self._looking_ahead = False
        self._boot_now()

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

    def listen(self) -> Listener:
        """Open a link to the event port; any number of them are served. Takes the board's lock."""
        with signals_deferred(), self.lock:
            self.live()
            listener = Listener(self)
            self.events.admit(listener, self.boot_id)
            return listener

    def unlisten(self, listener: Listener) -> None:
        """Forget a listener."""
        self.events.forget(listener)

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
            self.events.hang_up()
            self.state.close()

    def boot(self) -> None:
        """Restart: all links and listeners closed, volatile state lost, a new boot id."""
        if self.operation is not None:
            self._cut("ABOR", 0)
        for link in list(self.connections):
            link.close(discard=True)
        self.connections.clear()
        self.events.hang_up()
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
        self.last_product = None
        self.epoch = (0, 0)
        self.protection_k = DEFAULT_PROTECTION_K
        self.faults.after_boot()
        self._reset_settings()
        self.events.status = self.events.summary(*self.conditions())

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
        self.chip.set_temperature(self._temperature_k, 0)
        self.cycles = np.zeros(chip.cells, np.uint32)
        self.vectors = np.zeros(chip.banks, np.uint64)
        self.cycle_limit = 0
        self.faults.disarm()
        self._boot_now()
        self.access, self.connections = access, links
        for link in links:
            link.settings["format"] = "U8"
        self.events.another_boot_id(self.boot_id)
        self.watchdog.fed(0)

    # ---- time
    # ---------------------------------------------------------------------------------------------------

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

    def next_change_wall_s(self) -> float | None:
        """Wall seconds until the operation ends or the watchdog fires, None where neither comes by itself."""
        deadline = self._watchdog_deadline_ns()
        moments = [] if deadline is None else [deadline]
        operation = self.operation
        if operation is not None:
            moments += [operation.end_ns, *([operation.fault[0]] if operation.fault is not None else [])]
        return self.clock.wall_s_until(min(moments)) if self.clock.rate and moments else None

    def safe_by_event(self, received: int) -> None:
        """``!SAFE`` of a listener: takes the time of a message, then acts as ``SYST:SAFE``."""
        self._let_pass(received, None)
        self.safe()

    # ---- the engine's questions (scpi.Instrument)
    # -----------------------------------------------------------------

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
        self._let_pass(message.received, connection)
        if not self.clock.rate:
            self._poll(connection, message)
        if self.access.owner is connection:
            self.watchdog.fed(self.now_ns)

    def _let_pass(self, received: int, connection: Connection | None) -> None:
        if self.clock.rate:
            self.live()
        else:
            spent_ns = MESSAGE_NS + BYTE_NS * received
            self.advance(min(self.now_ns + spent_ns, TIME_END_NS - 1), connection)

    def _poll(self, connection: Connection, message: Message) -> None:
        text = _TAG.sub(b"", message.text)
        poll = _POLL.match(text)
        kind = "" if poll is None else {b"P": "program", b"R": "read", b"M": "mvm"}[poll.group(1)[:1].upper()]
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

    def after_unit(self, connection: Connection) -> None:
        """Bring the condition registers up to date."""
        self.update_conditions()

    def _strike(self, name: str) -> None:
        if name == "BOOT":
            self.boot()
        else:
            self.trip({"OCP": 202, "SUPP": 209}[name])
