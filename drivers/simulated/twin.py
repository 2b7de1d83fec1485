"""A simulated bench instrument and the links to it: messages in, replies out, by the rules of the interface.

What an instrument says is its own business (:meth:`Twin.obey`); how its output queue behaves depends on what it is
reached over. Where messages end by a line (GPIB, USB, VXI-11, HiSLIP) a new message discards what was not read
(-410), and asking for a reply that is not there is an error too (-420). On a bare stream neither exists: old and new
replies follow each other for ever (instruments §3).
"""

# ruff: noqa: B027 - most kinds of instrument have nothing to add to most of these

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any

from drivers.simulated.locks import FairLock, signals_deferred
from drivers.simulated.scpi_framing import Buffer
from drivers.simulated.scpi_output import Output, Piece, Reply
from drivers.simulated.terminals import Bench

__all__ = ["Transport", "Twin", "TwinLink"]


class Transport(Enum):
    """What an instrument is reached over."""

    SOCKET = "SOCKET"
    SERIAL = "SERIAL"
    GPIB = "GPIB"
    USB = "USB"
    VXI11 = "VXI11"
    HISLIP = "HISLIP"

    @property
    def is_stream(self) -> bool:
        """Whether there are only bytes: no END, no serial poll, no device clear, no trigger."""
        return self in (Transport.SOCKET, Transport.SERIAL)

    @property
    def message_s(self) -> float:
        """Seconds a message takes to arrive and be read: defaults, orders of magnitude only (instruments §4)."""
        return _MESSAGE_S[self]

    @property
    def byte_s(self) -> float:
        """Seconds per byte: defaults, orders of magnitude only (instruments §4)."""
        return _BYTE_S[self]

    @classmethod
    def of(cls, address: str) -> Transport:
        """Tell it from a VISA address."""
        parts = address.upper().split("::")
        if parts[-1] == "SOCKET":
            return cls.SOCKET
        if parts[0].startswith("ASRL"):
            return cls.SERIAL
        if parts[0].startswith("GPIB"):
            return cls.GPIB
        if parts[0].startswith("USB"):
            return cls.USB
        return cls.HISLIP if any(part.startswith("HISLIP") for part in parts) else cls.VXI11


_MESSAGE_S = {
    Transport.SOCKET: 0.3e-3,
    Transport.SERIAL: 0.0,
    Transport.GPIB: 0.5e-3,
    Transport.USB: 1.0e-3,
    Transport.VXI11: 1.5e-3,
    Transport.HISLIP: 0.4e-3,
}
_BYTE_S = {
    Transport.SOCKET: 1e-8,
    Transport.SERIAL: 10 / 57_600,
    Transport.GPIB: 1e-6,
    Transport.USB: 1 / 30e6,
    Transport.VXI11: 1e-7,
    Transport.HISLIP: 1e-8,
}


class Twin(ABC):
    """A simulated instrument; every method but :meth:`connect` is called with :attr:`lock` held.

    Parameters
    ----------
    name : str
        In the bench file; its sockets are ``name.something``.
    bench : Bench
        What it is wired to, and its time.
    lock : FairLock
        The bench's: instruments of one bench act one after the other.

    Attributes
    ----------
    message_end : bytes
        What ends a message on a stream.
    discards_unread : bool
        A new message discards the reply nobody read, where messages end by a line (IEEE 488.2); False: it stays.
    """

    message_end = b"\n"
    discards_unread = True

    def __init__(self, name: str, bench: Bench, lock: FairLock) -> None:
        self.name, self.bench, self.lock = name, bench, lock
        self.links: list[TwinLink] = []

    def connect(self, transport: Transport = Transport.SOCKET) -> TwinLink:
        """Open a link; takes the lock."""
        with signals_deferred(), self.lock:
            link = TwinLink(self, transport)
            self.links.append(link)
            self.connected(link)
            return link

    # ---- what a kind of instrument says ---------------------------------------------------------------------
    @abstractmethod
    def obey(self, message: bytes, link: TwinLink) -> None:
        """Act on one message (without what ended it); replies go to ``link.answer``."""

    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Take the next complete message out of `data`, None where none is complete.

        Parameters
        ----------
        ended : bool
            The interface said that the message ends here.
        """
        found = data.find(self.message_end)
        if found < 0:
            if not (ended and data):
                return None
            message = bytes(data)
            data.clear()
            return message
        message = bytes(data[:found])
        del data[: found + len(self.message_end)]
        return message

    def connected(self, link: TwinLink) -> None:
        """Note a new link."""

    def status_byte(self, link: TwinLink) -> int:
        """Return what a serial poll reads, and clear what it clears."""
        return 0x10 if link.output else 0

    def cleared(self, link: TwinLink) -> None:
        """Note a device clear; input and output of the link are empty already."""

    def triggered(self, link: TwinLink) -> None:
        """Act on the interface's trigger."""

    def interrupted(self, link: TwinLink) -> None:
        """Note that a message came before the last reply was read (-410); the reply is discarded already."""

    def unterminated(self, link: TwinLink) -> None:
        """Note that a reply was asked for where there is none (-420)."""

    def save(self) -> None:
        """Write what outlives a session."""

    def close(self) -> None:
        """Switch off."""


class TwinLink:
    """One link to a twin; see :class:`drivers.simulated.link.Link` for what the faces do with it."""

    unasked = False

    def __init__(self, twin: Twin, transport: Transport) -> None:
        self.instrument = twin
        self.transport = transport
        self.output = Output()
        self.closed = False
        self.ended = False
        self.settings: dict[str, Any] = {}
        self.look_ahead: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._input = bytearray()
        self._gone = False

    # ---- the instrument's side --------------------------------------------------------------------------------
    def answer(self, reply: bytes | list[Piece]) -> None:
        """Put a reply, with what ends it, into the output queue."""
        pieces: list[Piece] = [reply] if isinstance(reply, bytes) else reply
        self.output.put(Reply(pieces, has_block=any(isinstance(piece, memoryview) for piece in pieces)))

    def hang_up(self) -> None:
        """Close the link from the instrument's side."""
        self.closed = self.ended = True

    # ---- the faces' side ------------------------------------------------------------------------------------
    def feed(self, data: Buffer, *, end: bool = False) -> None:
        """Receive bytes and act on every message that is complete; `end`: the interface ended the message here."""
        with signals_deferred(), self.instrument.lock:
            self._input += data
            self._act(end)

    def receive(self, data: Buffer) -> None:
        """Receive bytes without acting on them; the lock must be held."""
        self._input += data

    def pump(self, messages: int | None = None) -> None:
        """Act on what waits."""
        with signals_deferred(), self.instrument.lock:
            self._act(False)

    def _act(self, ended: bool) -> None:
        while not self.closed:
            message = self.instrument.frame(self._input, ended=ended)
            if message is None:
                break
            if self.output and self.instrument.discards_unread and not self.transport.is_stream:
                self.output.clear()
                self.instrument.interrupted(self)
            self.instrument.bench.pass_s(
                self.transport.message_s + self.transport.byte_s * (len(message) + 1)
            )
            self.instrument.obey(message, self)
        if self.on_change is not None:
            self.on_change()

    def poll(self) -> int:
        """Return the status byte by serial poll."""
        with signals_deferred(), self.instrument.lock:
            return self.instrument.status_byte(self)

    def clear(self) -> None:
        """Device clear."""
        with signals_deferred(), self.instrument.lock:
            self._input.clear()
            self.output.clear()
            self.instrument.cleared(self)

    def trigger(self) -> None:
        """Act on the interface's trigger."""
        with signals_deferred(), self.instrument.lock:
            self.instrument.triggered(self)
            if self.on_change is not None:
                self.on_change()

    def starved(self) -> None:
        """Tell that a reply was asked for and there is none."""
        if not self.transport.is_stream:
            with signals_deferred(), self.instrument.lock:
                self.instrument.unterminated(self)

    def end(self) -> None:
        """Tell that the link is closed from the other side."""
        with signals_deferred(), self.instrument.lock:
            self.ended = True
            if not self._gone:
                self._gone = True
                self.instrument.links.remove(self)

    def receive_space(self) -> memoryview | None:
        """None: bytes go through :meth:`receive`."""
        return None

    def received_into_space(self, count: int) -> None:
        """Never called."""
        raise NotImplementedError

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
