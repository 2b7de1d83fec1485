"""The base of all twins that speak SCPI: messages, errors, status, IEEE 488.2, and operations that take time.

A model states its identity, its table of commands (:meth:`ScpiTwin.commands`), its settings
(:mod:`drivers.simulated.twins.scpi_settings`) and its ways: how it spells numbers and errors, how long its error queue
is, whether it clips. Parser, framer and status are those of the controller, which speaks the same language
(instruments §3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from drivers.simulated.locks import FairLock
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Framer, Message
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit, units
from drivers.simulated.terminals import Bench
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins.scpi_common import common_commands, status_commands, system_commands
from drivers.simulated.twins.scpi_registers import Service, TwinStatus
from drivers.simulated.twins.scpi_settings import Setting, Settings, nr3
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand, TwinTable, Until, arguments

__all__ = ["Answer", "Operation", "ScpiTwin", "Until"]


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


class ScpiTwin(Twin):
    """A SCPI instrument.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    maker, model, serial, firmware : str
        Fields of ``*IDN?``.

    Attributes
    ----------
    channels : int
        Largest number behind a marked node, where a command does not say another one.
    queue_size : int
        Entries of the error queue.
    plus : bool
        Error codes from 0 up have a sign: ``+0,"No error"``.
    joint : str
        What parts an error's text from its information.
    texts : dict
        Texts of its own error codes, and of standard ones it words otherwise.
    names_header : bool
        An undefined header stands behind the text of -113.
    clips : bool
        A value out of range is brought to the limit, and -222 queued; otherwise it is refused.
    number : callable
        Spells numbers of replies.
    text_max, block_max : int
        Bytes of a message's text (-363 beyond) and of its blocks (-223 beyond).
    input_size, output_size : int
        Bytes of input buffer and output queue: a longer message whose replies do not fit is a deadlock (-430).
    version : str
        Of SCPI.
    options : str
        Reply to ``*OPT?``.
    """

    channels = 1
    queue_size = 20
    plus = False
    joint = ";"
    texts: ClassVar[Mapping[int, str]] = {}
    names_header = False
    clips = False
    number: Callable[[float], str] = staticmethod(nr3())
    text_max = 65_536
    block_max = 1 << 26
    input_size = 4096
    output_size = 16_384
    version = "1999.0"
    options = "0"

    def __init__(
        self, name: str, bench: Bench, lock: FairLock, *, maker: str, model: str, serial: str, firmware: str
    ) -> None:
        super().__init__(name, bench, lock)
        self.maker, self.model, self.serial, self.firmware = maker, model, serial, firmware
        self.status = TwinStatus(
            size=self.queue_size, texts=dict(self.texts), plus=self.plus, joint=self.joint
        )
        self.operations: list[Operation] = []
        self.settings = Settings(self, self.rows())
        self.table = TwinTable(self.channels)
        self.table.add(common_commands(self))
        self.table.add(status_commands(self))
        self.table.add(system_commands(self))
        for row in self.settings.rows.values():
            self.table.add(row.commands(self))
        self.table.add(self.commands())
        self.memory: dict[int, Any] = {}

    # ---- what a model states --------------------------------------------------------------------------------
    def rows(self) -> list[Setting]:
        """Return its settings."""
        return []

    def commands(self) -> Iterable[TwinCommand]:
        """Return its other commands; one that is spelled like a common one replaces it."""
        return ()

    def reset(self) -> None:
        """Do what ``*RST`` does beyond :attr:`settings`, which are at their defaults already."""

    def changed(self, name: str, n: int) -> None:
        """Act on a setting that was set by its command."""

    def recalled(self) -> None:
        """Act on settings that ``*RCL`` brought back."""

    def trigger(self, link: TwinLink) -> None:
        """Act on ``*TRG`` and on the interface's trigger; -211 where nothing waits for one."""
        raise ScpiError(-211)

    def self_test(self) -> int:
        """Return the result of ``*TST?``, 0 for passed."""
        return 0

    def operation_condition(self) -> int:
        """Return the operation condition register."""
        return 0

    def questionable_condition(self) -> int:
        """Return the questionable condition register."""
        return 0

    # ---- errors and operations ------------------------------------------------------------------------------
    def error(self, code: int, info: str = "") -> None:
        """Queue an error."""
        self.status.error(code, info)

    def get(self, name: str, n: int = 1) -> Any:
        """Return a setting."""
        return self.settings.get(name, n)

    def put(self, name: str, value: Any, n: int = 1) -> None:
        """Store a setting; nothing acts on it."""
        self.settings.put(name, value, n)

    def begin(self, seconds: float | None = None, then: Callable[[], None] | None = None) -> Operation:
        """Begin an overlapped operation that ends after `seconds`, or when it is told to (:meth:`end`)."""
        end_ns = None if seconds is None else self.bench.now_ns + round(seconds * 1e9)
        operation = Operation(end_ns, then)
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation) -> None:
        """End an operation now, if it is still going on."""
        if operation in self.operations:
            self.operations.remove(operation)
            if operation.then is not None:
                operation.then()

    def abort(self) -> None:
        """Drop all operations; nothing is called."""
        self.operations.clear()

    def settle(self) -> None:
        """Bring operations and registers up to the time of the bench."""
        due = [op for op in self.operations if op.end_ns is not None and op.end_ns <= self.bench.now_ns]
        for operation in sorted(due, key=lambda op: op.end_ns or 0):
            self.end(operation)
        if not self.operations:
            self.status.operation_complete()
        self.status.operation.update(self.operation_condition())
        self.status.questionable.update(self.questionable_condition())

    def status_value(self, link: TwinLink) -> int:
        """Return the status byte without bit 6."""
        answering = bool(link.output) or bool(_session(link).replies)
        return (self.status.byte() & ~0x40) | (0x10 if answering else 0)

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

    def cleared(self, link: TwinLink) -> None:
        """Forget the messages of a link; settings and the error queue stay."""
        _session(link).forget()
        self.status.opc_pending = False

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
            self.bench.pass_s(max(0, min(ends) - self.bench.now_ns) / 1e9)
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
        session.service.update(self.status_value(link), self.status.sre)


def _session(link: TwinLink) -> _Session:
    found: _Session | None = link.settings.get("session")
    if found is None:
        found = link.settings["session"] = _Session()
    return found
