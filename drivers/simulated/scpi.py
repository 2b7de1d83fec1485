"""A connection to a simulated instrument: bytes in, messages executed in order, reply lines out.

The engine knows message exchange and errors; what the commands mean, who may send them and how time passes is the
instrument's business (:class:`Instrument`). One connection may be fed and read from several threads.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.locks import FairLock, signals_deferred
from drivers.simulated.scpi_commands import Command, CommandTable, bind, check
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Buffer, Framer, Message
from drivers.simulated.scpi_output import Output, Piece, Reply
from drivers.simulated.scpi_parser import Unit, units
from drivers.simulated.status import Status

__all__ = ["NO_VALUE", "SAFE_ALONE", "Connection", "Instrument", "Wait", "block", "nr3"]

NO_VALUE = "9.91E37"
"""SCPI's text for a value that is not there (controller-protocol §3.2)."""

SAFE_ALONE = re.compile(rb"[\x00-\x20;]*:?SYST(?:EM)?1?:SAFE1?[\x00-\x20;]*", re.IGNORECASE)
"""A message that is the emergency stop and nothing else (controller-protocol §5.2)."""


def nr3(value: float) -> str:
    """Spell a float with 10 significant digits, ``2.500000000E-05``."""
    return f"{value:.9E}"


def block(prefix: str, data: NDArray[Any] | bytes) -> list[Piece]:
    """Reply pieces of a definite block behind `prefix`; the contents are not copied."""
    view = memoryview(b"")
    if len(data):
        view = (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast("B")
    size = str(len(view))
    return [f"{prefix}#{len(size)}{size}".encode("latin-1"), view]


@dataclass(frozen=True, slots=True)
class Wait:
    """A unit that goes on when an operation of the instrument has finished.

    Attributes
    ----------
    operation : object
        What is waited for; the instrument knows it.
    resume : callable
        Returns the unit's reply once the wait is over.
    """

    operation: Any
    resume: Callable[[], str | list[Piece] | None]


class Instrument(Protocol):
    """What the engine asks of an instrument; every call comes with the instrument's lock held."""

    lock: FairLock
    table: CommandTable
    text_max: int
    block_max: int

    def new_status(self) -> Status:
        """Status of a new connection."""

    def express(self, connection: Connection, message: Message) -> bool:
        """Act on a message that never waits its turn; False where it is none."""

    def heard(self, connection: Connection) -> None:
        """Note that a complete message came."""

    def begin(self, connection: Connection, message: Message) -> None:
        """Let pass the time a message takes to arrive and be read."""

    def authorised(self, connection: Connection) -> bool:
        """Whether protected commands are executed."""

    def after_unit(self, connection: Connection) -> None:
        """Bring the status registers up to date."""

    def wait(self, connection: Connection, operation: Any) -> bool:
        """Wait as far as no wall time is needed; True where the operation has ended."""

    def wall_s(self, operation: Any) -> float:
        """Wall seconds until an operation ends."""

    def receive_limit(self) -> int | None:
        """Bytes that will still arrive before the link breaks, None = no limit."""

    def received(self, count: int) -> bool:
        """Count bytes received; False where the link breaks behind them."""

    def deliver(self, connection: Connection, reply: Reply) -> None:
        """Hand a reply to the link."""

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection whose last message is executed."""


class Connection:
    """One link to an instrument.

    Attributes
    ----------
    status : Status
    output : Output
        Replies not read yet.
    closed : bool
        The board closed the link, or it broke: nothing more is received or sent behind what is in `output`.
    ended : bool
        Nothing more will be received; complete messages are still executed.
    settings : dict
        What the instrument keeps per connection.
    look_ahead : callable, optional
        Called between two slices of a long operation, to receive what the link has waiting.
    on_change : callable, optional
        Called whenever there may be something new to send or the link was closed.
    """

    unasked = False

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.status = instrument.new_status()
        self.output = Output()
        self.closed = False
        self.ended = False
        self.discarded = False
        self.settings: dict[str, Any] = {}
        self.look_ahead: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._framer = Framer(instrument.text_max, instrument.block_max)
        self._inbox: deque[Message] = deque()
        self._units: Iterator[Unit] | None = None
        self._path = ""
        self._indefinite = False
        self._replies: list[list[Piece]] = []
        self._wait: Wait | None = None
        self._running = False
        self._gone = False

    # ---- the link's side ----------------------------------------------------------------------------------------
    def feed(self, data: Buffer) -> None:
        """Receive bytes and execute, as they complete, all messages that need no wall time."""
        with signals_deferred(), self.instrument.lock:
            position = 0
            while position < len(data) and not self.closed:
                position = self._take(data, position)
                self._run(None)
            self.settle()

    def pump(self, messages: int | None = None) -> None:
        """Go on with whatever waits; at most `messages` messages are begun."""
        with signals_deferred(), self.instrument.lock:
            self._run(messages)
            self.settle()

    def receive(self, data: Buffer) -> None:
        """Receive bytes without executing more than what never waits; the instrument's lock must be held."""
        position = 0
        while position < len(data) and not self.closed:
            position = self._take(data, position)

    def receive_space(self) -> memoryview | None:
        """Room in a block now arriving, None where bytes must go through :meth:`receive`."""
        return None if self.instrument.receive_limit() is not None else self._framer.space

    def received_into_space(self, count: int) -> None:
        """Tell that `count` bytes were put into :meth:`receive_space`."""
        self._framer.filled(count)

    def end(self) -> None:
        """Tell that the link is closed from the other side: complete messages are executed, then it is forgotten."""
        with signals_deferred(), self.instrument.lock:
            self.ended = True
            self._run(None)
            self.settle()

    def wall_s(self) -> float | None:
        """Wall seconds until :meth:`pump` can achieve something, None where only input can."""
        wait = self._wait
        if wait is None:
            return 0.0 if self._inbox or self._units is not None else None
        return self.instrument.wall_s(wait.operation)

    @property
    def idle(self) -> bool:
        """Whether every complete message has been executed."""
        return self._units is None and not self._inbox and not self._running

    @property
    def receiving(self) -> bool:
        """Whether part of a message has arrived."""
        return self._framer.pending

    @property
    def waiting(self) -> bool:
        """Whether a unit waits for an operation."""
        return self._wait is not None

    @property
    def backlog(self) -> int:
        """Complete messages that wait for their turn."""
        return len(self._inbox)

    # ---- the instrument's side ----------------------------------------------------------------------------------
    def close(self, *, discard: bool = False) -> None:
        """Close the link from the board's side; with `discard` messages not yet executed are dropped."""
        self.closed = self.ended = True
        if discard:
            self.discarded = True
            self._inbox.clear()
            self.output.clear()
        if self.on_change is not None:
            self.on_change()

    def drop_replies_of_message(self) -> None:
        """Forget what the message now executed has answered so far."""
        self._replies.clear()

    # ---- inside -------------------------------------------------------------------------------------------------
    def _take(self, data: Buffer, position: int) -> int:
        limit = self.instrument.receive_limit()
        view = memoryview(data)
        if limit is not None:
            view = view[: position + limit]
        message, reached = self._framer.take(view, position) if len(view) > position else (None, position)
        intact = self.instrument.received(reached - position)
        if message is not None:
            self.instrument.heard(self)
            if not self.instrument.express(self, message):
                self._inbox.append(message)
        if not intact:
            self.close()
            self.output.clear()
        return reached

    def settle(self) -> None:
        """Let the instrument forget the connection once it is over; the instrument's lock must be held."""
        if self.ended and not self._gone and (self.discarded or self.idle):
            self._gone = True
            self._units, self._wait = None, None
            self.instrument.disconnected(self)
        if self.on_change is not None:
            self.on_change()

    def _run(self, messages: int | None) -> None:
        if self._running:  # another thread is at it and will see what was appended
            return
        self._running = True
        try:
            while not self.discarded:
                if self._wait is not None:
                    if not self.instrument.wait(self, self._wait.operation):
                        return
                    self._resume()
                elif self._units is not None:
                    self._step()
                else:
                    if not self._inbox or messages == 0:
                        return
                    messages = None if messages is None else messages - 1
                    self._begin(self._inbox.popleft())
        finally:
            self._running = False

    def _begin(self, message: Message) -> None:
        self.instrument.begin(self, message)
        if self.discarded:
            return
        if message.error:
            self.status.error(message.error)
            self.instrument.after_unit(self)
            if message.error == -161:
                self.close()
            return
        self._path, self._indefinite, self._replies = "", False, []
        self._units = units(message)

    def _resume(self) -> None:
        wait, self._wait = self._wait, None
        if wait is None or self.discarded:
            return
        try:
            self._answer(wait.resume())
        except ScpiError as error:
            self._refuse(error)
        self.instrument.after_unit(self)

    def _step(self) -> None:
        iterator = self._units
        if iterator is None:
            return
        try:
            unit = next(iterator, None)
            if unit is None:
                self._finish()
                return
            self._execute(unit)
        except ScpiError as error:
            self._refuse(error)
        self.instrument.after_unit(self)

    def _execute(self, unit: Unit) -> None:
        command, self._path = self.instrument.table.find(unit, self._path)
        values = bind(command, unit.tokens)
        if command.is_query and self._indefinite:
            raise ScpiError(-440)
        try:
            self._permit(command)
            result = command.handler(self, unit, *check(command, unit.tokens, values))
        except ScpiError as error:
            if command.is_query and not error.unanswered:
                self._answer(self._missing(command, values))
            raise
        self._indefinite = self._indefinite or command.header == "*IDN?"
        if isinstance(result, Wait):
            self._wait = result
        else:
            self._answer(result)

    def _permit(self, command: Command) -> None:
        if command.protected and not self.instrument.authorised(self):
            raise ScpiError(-203)
        if not command.fitted:
            raise ScpiError(-241)

    def _missing(self, command: Command, values: list[Any]) -> str | list[Piece]:
        if isinstance(command.missing, str):
            return command.missing
        answer: str | list[Piece] = command.missing(self, *values)
        return answer

    def _answer(self, reply: str | list[Piece] | None) -> None:
        if reply is not None:
            self._replies.append([reply.encode("latin-1", "replace")] if isinstance(reply, str) else reply)

    def _refuse(self, error: ScpiError) -> None:
        self.status.error(error.code, error.info)
        self._finish()

    def _finish(self) -> None:
        self._units = None
        if not self._replies or self.closed or self.discarded:
            self._replies = []
            return
        pieces: list[Piece] = []
        for index, reply in enumerate(self._replies):
            if index:
                pieces.append(b";")
            pieces.extend(reply)
        pieces.append(b"\n")
        has_block = any(isinstance(piece, memoryview) for piece in pieces)
        self._replies = []
        self.instrument.deliver(self, Reply(pieces, has_block=has_block))
        if self.on_change is not None:
            self.on_change()
