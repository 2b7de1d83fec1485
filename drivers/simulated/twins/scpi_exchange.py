"""Messages of a SCPI twin: cut, executed unit by unit, answered, held back until something is over.

What the commands mean is said by :class:`drivers.simulated.twins.scpi_twin.ScpiTwin`; this is the message exchange of
IEEE 488.2 (instruments §3), per link.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Framer, Message
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit, units
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins.scpi_registers import Service, TwinStatus
from drivers.simulated.twins.scpi_table import Answer, Call, TwinTable, Until, arguments

__all__ = ["Operation", "ScpiExchange"]


@dataclass(slots=True, eq=False)
class Operation:
    """Something overlapped that goes on.

    Attributes
    ----------
    end_ns : int or None
        When it ends, bench time; None: not before something happens, a trigger say.
    then : callable, optional
        Called at its end.
    """

    end_ns: int | None
    then: Callable[[], None] | None = None


@dataclass(slots=True, eq=False)
class _Session:
    """What a link has under way."""

    inbox: deque[bytes] = field(default_factory=deque)
    units: Iterator[Unit] | None = None
    path: str = ""
    indefinite: bool = False
    deadlocked: bool = False
    size: int = 0
    replies: list[list[Piece]] = field(default_factory=list)
    until: Until | None = None
    running: bool = False
    service: Service = field(default_factory=Service)

    def forget(self) -> None:
        """Forget what is under way."""
        self.inbox.clear()
        self.units, self.until, self.replies = None, None, []


class ScpiExchange(Twin):
    """The message exchange of a SCPI instrument.

    Attributes
    ----------
    registers : TwinStatus
    table : TwinTable
    operations : list of Operation
        What goes on.
    text_max, block_max : int
        Bytes of a message's text (-363 beyond) and of its blocks (-223 beyond).
    input_size, output_size : int
        Bytes of input buffer and output queue: a longer message whose replies do not fit is a deadlock (-430).
    names_header : bool
        An undefined header stands behind the text of -113.
    """

    text_max = 65_536
    block_max = 1 << 26
    input_size = 4096
    output_size = 16_384
    names_header = False
    registers: TwinStatus
    table: TwinTable
    operations: list[Operation]

    @abstractmethod
    def error(self, code: int, info: str = "") -> None:
        """Queue an error."""

    @abstractmethod
    def settle(self) -> None:
        """Bring operations and registers up to the time of the bench."""

    @abstractmethod
    def trigger(self, link: TwinLink) -> None:
        """Act on ``*TRG`` and on the interface's trigger; -211 where nothing waits for one."""

    def status_value(self, link: TwinLink) -> int:
        """Return the status byte without bit 6."""
        answering = bool(link.output) or bool(_session(link).replies)
        return (self.registers.byte() & ~0x40) | (0x10 if answering else 0)

    # ---- the link's side --------------------------------------------------------------------------------------
    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Take the next message: up to a line feed outside its blocks, or all there is where it ended."""
        if not data:
            return None
        whole = bytes(data)
        framer = self._framer()
        message, reached = framer.take(whole, 0)
        if message is None:
            if len(whole) > self.text_max + self.block_max:
                data.clear()
                self.error(-363)
            if not ended or not data:
                return None
            data.clear()
            return whole
        del data[:reached]
        return whole[: reached - 1]

    def obey(self, message: bytes, link: TwinLink) -> None:
        """Execute a message, or keep it until what its link waits for is over."""
        _session(link).inbox.append(message)
        self._go_on()

    def status_byte(self, link: TwinLink) -> int:
        """Return the status byte with RQS, and take RQS back."""
        self._go_on()
        return self.status_value(link) | (0x40 if _session(link).service.polled() else 0)

    def peek_status(self, link: TwinLink) -> int:
        """Return what a serial poll would read, and take nothing back."""
        self._note(link, _session(link))
        return self.status_value(link) | (0x40 if _session(link).service.requested else 0)

    def due_s(self) -> float | None:
        """Return seconds until the next operation ends that ends by itself."""
        ends = [operation.end_ns for operation in self.operations if operation.end_ns is not None]
        return max(0, min(ends) - self.bench.now_ns) / 1e9 if ends else None

    def time_passed(self) -> None:
        """End what is over, and go on with what waited for it."""
        self._go_on()

    def cleared(self, link: TwinLink) -> None:
        """Forget the messages of a link; settings and the error queue stay."""
        _session(link).forget()
        self.registers.opc_pending = False

    def triggered(self, link: TwinLink) -> None:
        """Act on the interface's trigger as on ``*TRG``."""
        self.settle()
        try:
            self.trigger(link)
        except ScpiError as error:
            self.error(error.code, error.info)
        self._go_on()

    def interrupted(self, link: TwinLink) -> None:
        """Queue -410."""
        self.error(-410)

    def unterminated(self, link: TwinLink) -> None:
        """Queue -420, unless an answer is being waited for."""
        session = _session(link)
        if session.until is None and not session.inbox:
            self.error(-420)
            self._note(link, session)

    # ---- executing ------------------------------------------------------------------------------------------
    def _framer(self) -> Framer:
        return Framer(self.text_max, self.block_max, lenient=True)

    def _go_on(self) -> None:
        """Let every link do what it can; what one does may be what another waits for."""
        self.settle()
        moved = True
        while moved:
            moved = False
            for link in list(self.links):
                session = _session(link)
                if not session.running and not link.closed:
                    session.running = True
                    try:
                        moved = self._run(link, session) or moved
                    finally:
                        session.running = False

    def _run(self, link: TwinLink, session: _Session) -> bool:
        moved = False
        while True:
            if session.until is not None:
                if not self._wait(session.until):
                    break
                self._resume(session)
            elif session.units is not None:
                self._step(link, session)
            elif session.inbox:
                self._note(link, session)  # a reply that was read leaves MAV
                self._begin(link, session, session.inbox.popleft())
            else:
                break
            moved = True
            self.settle()
            self._note(link, session)
        self._note(link, session)
        return moved

    def _wait(self, until: Until) -> bool:
        """Let time pass up to what is waited for; False where only an event can bring it."""
        while not until.done():
            ends = [op.end_ns for op in self.operations if op.end_ns is not None]
            if not ends:
                return False
            before_ns = self.bench.now_ns
            self.bench.pass_s(max(1, min(ends) - before_ns) / 1e9)
            if self.bench.now_ns == before_ns:  # the clock of the bench has an end
                return False
            self.settle()
        return True

    def _begin(self, link: TwinLink, session: _Session, data: bytes) -> None:
        message, _ = self._framer().take(data + b"\n", 0)
        if message is None:  # it ended in the middle of a block
            message = Message(error=-161)
        if message.error:
            self.error(message.error)
            return
        session.units = units(message, rich=True)
        session.path, session.indefinite, session.deadlocked = "", False, False
        session.size = len(data)
        session.replies = []

    def _resume(self, session: _Session) -> None:
        until, session.until = session.until, None
        if until is None:
            return
        try:
            self._answer(session, until.resume())
        except ScpiError as error:
            self.error(error.code, error.info)

    def _step(self, link: TwinLink, session: _Session) -> None:
        iterator = session.units
        if iterator is None:
            return
        try:
            unit = next(iterator, None)
            if unit is None:
                self._finish(link, session)
                return
            self._execute(link, session, unit)
        except ScpiError as error:
            known = self.names_header or error.code not in (-112, -113)
            self.error(error.code, error.info if known else "")
            # What follows a command error cannot be trusted to mean what it says; other errors end their unit only.
            if -200 < error.code <= -100 or error.code == -440:
                self._finish(link, session)

    def _execute(self, link: TwinLink, session: _Session, unit: Unit) -> None:
        found = self.table.find(unit, session.path)
        session.path = found.path
        values = arguments(found.command, unit.tokens)
        if found.command.is_query and session.indefinite:
            raise ScpiError(-440)
        result = found.command.handler(Call(link, unit, found.suffixes), *values)
        session.indefinite = session.indefinite or found.command.indefinite
        if isinstance(result, Until):
            session.until = result
        else:
            self._answer(session, result)

    def _answer(self, session: _Session, reply: Answer) -> None:
        if reply is None or session.deadlocked:
            return
        session.replies.append([reply.encode("latin-1", "replace")] if isinstance(reply, str) else reply)
        waiting = sum(
            len(piece) for pieces in session.replies for piece in pieces if isinstance(piece, bytes)
        )
        if waiting > self.output_size and session.size > self.input_size:
            session.deadlocked, session.replies = True, []
            self.error(-430)

    def _finish(self, link: TwinLink, session: _Session) -> None:
        replies, session.units, session.replies = session.replies, None, []
        if not replies:
            return
        pieces: list[Piece] = []
        for index, reply in enumerate(replies):
            if index:
                pieces.append(b";")
            pieces.extend(reply)
        pieces.append(b"\n")
        link.answer(pieces)
        if link.on_change is not None:
            link.on_change()

    def _note(self, link: TwinLink, session: _Session) -> None:
        session.service.update(self.status_value(link), self.registers.sre)


def _session(link: TwinLink) -> _Session:
    found: _Session | None = link.settings.get("session")
    if found is None:
        found = link.settings["session"] = _Session()
    return found
