"""The event port of the simulated controller: lines from the board to whoever listens (controller-protocol §7.11).

A listener is told, never asked and never waited for: one that leaves more than `UNREAD_MAX` lines unread is
dropped. Listeners take none of the board's links, and what they are told moves no time. The one line they may
send is ``!SAFE``.

The status byte of the protocol belongs to a connection: it summarises that connection's error queue, event
registers and enables. ``!STB`` therefore tells what all connections share, from the condition registers alone:

* bit 7 (128, OPER): the board is at work: any operation condition but 11, "results available";
* bit 3 (8, QUES): any questionable condition is set;
* all other bits are 0.

It is sent when this value changes, with the board time of the change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol, cast

from drivers.simulated.clock import VirtualClock
from drivers.simulated.controller_operation import Operation
from drivers.simulated.locks import FairLock, signals_deferred
from drivers.simulated.scpi_framing import Buffer
from drivers.simulated.scpi_output import Output, Reply

__all__ = ["UNREAD_MAX", "EventPort", "Listener"]

UNREAD_MAX = 1024
"""Lines a listener may leave unread, besides what its transport buffers."""

_LINE_MAX = 64
_SAFE = re.compile(rb"[\x00-\x20]*!SAFE[\x00-\x20]*", re.IGNORECASE)
_RESULTS_AVAILABLE = 1 << 11
_WORDS = {"program": "PROG", "read": "READ", "mvm": "MVM"}
"""Operations whose end is told, by their kind; each has the attributes ``id`` and ``done``."""


class Counted(Protocol):
    """An operation whose end is told."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def done(self) -> int:
        """Entries finished."""


class EventBoard(Protocol):
    """The board as a listener sees it; every call but the lock's own needs the lock held."""

    lock: FairLock
    clock: VirtualClock

    def live(self) -> None:
        """Catch up with the wall clock."""

    def next_change_wall_s(self) -> float | None:
        """Wall seconds until the board has something to do by itself, None where time does not flow."""

    def safe_by_event(self, received: int) -> None:
        """Act as on ``SYST:SAFE``; the line was `received` bytes long."""

    def unlisten(self, listener: Listener) -> None:
        """Forget a listener."""


class EventPort:
    """Tells every listener what happens on the board; all calls need the board's lock held.

    Attributes
    ----------
    status : int
        Status summary as it was told last.
    """

    def __init__(self) -> None:
        self.status = 0
        self._listeners: list[Listener] = []

    @staticmethod
    def summary(operation: int, questionable: int) -> int:
        """Status summary of the condition registers; see the module's head."""
        at_work = bool(operation & ~_RESULTS_AVAILABLE)
        return at_work << 7 | bool(questionable) << 3

    def admit(self, listener: Listener, boot_id: int) -> None:
        """Begin to tell a listener, ``!BOOT`` first."""
        self._listeners.append(listener)
        listener.tell(f"!BOOT {boot_id}")

    def forget(self, listener: Listener) -> None:
        """Tell a listener nothing more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def hang_up(self) -> None:
        """Close all listeners, as a boot does."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def another_boot_id(self, boot_id: int) -> None:
        """Tell those who stayed connected that the board's volatile state is gone (``SIM:SEED``)."""
        self._tell(f"!BOOT {boot_id}")

    def conditions(self, operation: int, questionable: int, now_ns: int) -> None:
        """Tell the status summary where it has changed."""
        before, self.status = self.status, self.summary(operation, questionable)
        if self.status != before:
            self._tell(f"!STB {self.status},{now_ns}")

    def ended(self, operation: Operation) -> None:
        """Tell that an operation has ended, in whatever state."""
        word = _WORDS.get(operation.kind)
        if word is not None:
            counted = cast(Counted, operation)
            self._tell(f"!{word} {counted.id},{counted.done}")

    def tripped(self, code: int, now_ns: int) -> None:
        """Tell that the hardware protection has acted."""
        self._tell(f"!TRIP {code},{now_ns}")

    def error(self, code: int, now_ns: int) -> None:
        """Tell that an error went to every queue."""
        self._tell(f"!ERR {code},{now_ns}")

    def _tell(self, line: str) -> None:
        for listener in self._listeners:
            listener.tell(line)
        self._listeners = [listener for listener in self._listeners if not listener.closed]


class Listener:
    """One link to the event port; made by ``SimulatedController.listen``.

    The faces treat it as any other link (:class:`drivers.simulated.link.Link`).
    """

    unasked = True

    def __init__(self, board: EventBoard) -> None:
        self.output = Output()
        self.closed = False
        self.ended = False
        self.look_ahead: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._board = board
        self._line = bytearray()
        self._too_long = False

    @property
    def instrument(self) -> EventBoard:
        """The board."""
        return self._board

    # ---- the board's side ---------------------------------------------------------------------------------------
    def tell(self, line: str) -> None:
        """Queue a line; a listener that has left too many unread is closed."""
        if self.closed:
            return
        if len(self.output) >= UNREAD_MAX:
            self.close()
            return
        self.output.put(Reply([line.encode("ascii") + b"\n"]))
        if self.on_change is not None:
            self.on_change()

    def close(self) -> None:
        """Close the link from the board's side; what was not read is lost."""
        self.closed = self.ended = True
        self.output.clear()
        if self.on_change is not None:
            self.on_change()

    # ---- the link's side ----------------------------------------------------------------------------------------
    def feed(self, data: Buffer) -> None:
        """Receive bytes."""
        with signals_deferred(), self._board.lock:
            self.receive(data)

    def receive(self, data: Buffer) -> None:
        """Receive bytes: ``!SAFE`` is acted on as its line feed arrives, every other line ignored."""
        *lines, rest = bytes(data).split(b"\n")
        for line in lines:
            self._line += line
            complete, self._line = bytes(self._line), bytearray()
            if self._too_long:
                self._too_long = False
            elif _SAFE.fullmatch(complete):
                self._board.safe_by_event(len(complete) + 1)
        self._line += rest
        if len(self._line) > _LINE_MAX:
            self._line.clear()
            self._too_long = True

    def receive_space(self) -> memoryview | None:
        """None: bytes go through :meth:`receive`."""
        return None

    def received_into_space(self, count: int) -> None:
        """Refuse: there is no such room."""
        raise ValueError("a listener takes its bytes through receive()")

    def pump(self, messages: int | None = None) -> None:
        """Let the board live up to now, where its time flows by itself; else nobody's listening moves it."""
        if self._board.clock.rate and not self.closed:
            with signals_deferred(), self._board.lock:
                self._board.live()

    def wall_s(self) -> float | None:
        """Wall seconds until the board does something by itself, None where it needs to be told."""
        return None if self.closed else self._board.next_change_wall_s()

    def end(self) -> None:
        """Tell that the link is closed from the other side."""
        with signals_deferred(), self._board.lock:
            self.closed = self.ended = True
            self._board.unlisten(self)

    @property
    def idle(self) -> bool:
        """True: what is received is acted on at once."""
        return True

    @property
    def receiving(self) -> bool:
        """Whether part of a line has arrived."""
        return bool(self._line)

    @property
    def backlog(self) -> int:
        """0: no line waits for its turn."""
        return 0
