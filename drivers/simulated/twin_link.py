"""One link to a twin: messages in, replies out, by the rules of the interface.

Where messages end by a line (GPIB, USB, VXI-11, HiSLIP) a new message discards what was not read (-410), and asking
for a reply that is not there is an error too (-420). On a bare stream neither exists: old and new replies follow each
other for ever (instruments §3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drivers.simulated.locks import signals_deferred
from drivers.simulated.scpi_framing import Buffer
from drivers.simulated.scpi_output import Output, Piece, Reply
from drivers.simulated.transport import Transport

if TYPE_CHECKING:
    from drivers.simulated.link_faults import LinkFaults
    from drivers.simulated.twin import Twin

__all__ = ["TwinLink"]


class TwinLink:
    """One link to a twin; see :class:`drivers.simulated.link.Link` for what the faces do with it.

    Attributes
    ----------
    settings : dict
        What the instrument keeps per link.
    faults : LinkFaults or None
        What is to go wrong on the way.
    """

    unasked = False

    def __init__(self, twin: Twin, transport: Transport) -> None:
        self.instrument = twin
        self.transport = transport
        self.output = Output()
        self.closed = False
        self.ended = False
        self.settings: dict[str, Any] = {}
        self.faults: LinkFaults | None = None
        self.look_ahead: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._on_service: Callable[[int], None] | None = None
        self._asks = False
        self._stream = transport.is_stream
        self._message_s, self._byte_s = transport.message_s, transport.byte_s
        self._input = bytearray()
        self._gone = False

    # ---- the instrument's side --------------------------------------------------------------------------------
    def answer(self, reply: bytes | list[Piece]) -> None:
        """Put a reply, with what ends it, into the output queue."""
        made = Reply([reply]) if isinstance(reply, bytes) else Reply(reply, has_block=len(reply) > 1)
        if self.faults is not None and self.faults.armed:
            self.faults.spoil(self, made)
        self.output.put(made)

    def hang_up(self) -> None:
        """Close the link from the instrument's side; what is in the output may still be read."""
        self.closed = self.ended = True
        if self.on_change is not None:
            self.on_change()

    # ---- the faces' side: bytes -------------------------------------------------------------------------------
    def feed(self, data: Buffer, *, end: bool = False) -> None:
        """Receive bytes and act on every message that is complete; `end`: the interface ended the message here."""
        with signals_deferred(), self.instrument.lock:
            self._input += data
            self._act(end)

    def receive(self, data: Buffer) -> None:
        """Receive bytes without acting on them; the lock must be held."""
        self._input += data

    def pump(self, messages: int | None = None) -> None:
        """Act on what waits, and let the instrument see what others did to the bench meanwhile."""
        with signals_deferred(), self.instrument.lock:
            self.instrument.time_passed()
            if self._input:
                self._act(False)

    def _act(self, ended: bool) -> None:
        twin = self.instrument
        while not self.closed:
            message = twin.frame(self._input, ended=ended)
            if message is None:
                break
            if not self._stream and self.output and twin.discards_unread:
                self.output.clear()
                twin.interrupted(self)
            twin.bench.pass_s(self._message_s + self._byte_s * (len(message) + 1))
            twin.obey(message, self)
            if self.faults is not None and self.faults.armed:
                self.faults.obeyed(self)
        if twin.watched:
            look_for_service(twin)
        if self.on_change is not None:
            self.on_change()

    def receive_space(self) -> memoryview | None:
        """None: bytes go through :meth:`receive`."""
        return None

    def received_into_space(self, count: int) -> None:
        """Never called."""
        raise NotImplementedError

    # ---- the faces' side: beside the bytes ----------------------------------------------------------------------
    def poll(self) -> int:
        """Return the status byte by serial poll."""
        with signals_deferred(), self.instrument.lock:
            byte = self.instrument.status_byte(self)
            if self.instrument.watched:
                look_for_service(self.instrument)
            return byte

    def clear(self) -> None:
        """Device clear."""
        with signals_deferred(), self.instrument.lock:
            self._input.clear()
            self.output.clear()
            self.instrument.cleared(self)
            if self.instrument.watched:
                look_for_service(self.instrument)

    def trigger(self) -> None:
        """Act on the interface's trigger."""
        with signals_deferred(), self.instrument.lock:
            self.instrument.triggered(self)
            if self.instrument.watched:
                look_for_service(self.instrument)
            if self.on_change is not None:
                self.on_change()

    def starved(self) -> None:
        """Tell that a reply was asked for and there is none."""
        if not self._stream:
            with signals_deferred(), self.instrument.lock:
                self.instrument.unterminated(self)

    def interrupted(self) -> None:
        """Tell that a message came before the last reply, which has left already, was read."""
        with signals_deferred(), self.instrument.lock:
            self.output.clear()
            self.instrument.interrupted(self)

    def end(self) -> None:
        """Tell that the link is closed from the other side."""
        self.watch(None)
        with signals_deferred(), self.instrument.lock:
            self.ended = True
            if not self._gone:
                self._gone = True
                self.instrument.links.remove(self)

    # ---- service requests and time ------------------------------------------------------------------------------
    def watch(self, told: Callable[[int], None] | None) -> None:
        """Have `told` called with the status byte whenever the instrument begins to ask for service, or has begun.

        It is called with the lock held, in the thread of whoever caused it. None: no more.
        """
        twin = self.instrument
        with signals_deferred(), twin.lock:
            twin.watched += (told is not None) - (self._on_service is not None)
            self._on_service, self._asks = told, False
            if told is not None:
                self.look_for_service()

    def look_for_service(self) -> None:
        """Tell whoever watches where the instrument has begun to ask for service; the lock must be held."""
        if self._on_service is None:
            return
        byte = self.instrument.peek_status(self)
        before, self._asks = self._asks, bool(byte & 0x40)
        if self._asks and not before:
            self._on_service(byte)

    def due_s(self) -> float | None:
        """Bench seconds until something under way in the instrument ends, None where nothing is."""
        with signals_deferred(), self.instrument.lock:
            return self.instrument.due_s()

    def pass_s(self, seconds: float) -> None:
        """Wait: let the bench's time pass until something in the instrument may have ended."""
        with signals_deferred(), self.instrument.lock:
            self.instrument.bench.pass_s(seconds)
            self.instrument.time_passed()
            if self.instrument.watched:
                look_for_service(self.instrument)
            if self.on_change is not None:
                self.on_change()

    def wall_s(self) -> float | None:
        """None: only input brings anything new."""
        return None

    @property
    def idle(self) -> bool:
        """Whether every complete message has been acted on."""
        return True

    @property
    def receiving(self) -> bool:
        """Whether part of a message has arrived."""
        return bool(self._input)

    @property
    def backlog(self) -> int:
        """Complete messages that wait for their turn: none, they are acted on at once."""
        return 0


def look_for_service(twin: Twin) -> None:
    """Tell everybody who watches a twin where it has begun to ask for service; its lock must be held."""
    for link in twin.links:
        link.look_for_service()
