"""A simulated bench instrument: what it says is its own business, how it is reached is not.

How its output queue behaves depends on the interface (:mod:`drivers.simulated.twin_link`).
"""

# ruff: noqa: B027 - most kinds of instrument have nothing to add to most of these

from __future__ import annotations

from abc import ABC, abstractmethod

from drivers.simulated.locks import FairLock, signals_deferred
from drivers.simulated.terminals import Bench
from drivers.simulated.transport import Transport
from drivers.simulated.twin_link import TwinLink

__all__ = ["Transport", "Twin", "TwinLink"]


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
    watched : int
        Links on which somebody waits for service requests.
    discards_unread : bool
        A new message discards the reply nobody read, where messages end by a line (IEEE 488.2); False: it stays.
    """

    message_end = b"\n"
    discards_unread = True

    def __init__(self, name: str, bench: Bench, lock: FairLock) -> None:
        self.name, self.bench, self.lock = name, bench, lock
        self.links: list[TwinLink] = []
        self.watched = 0

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

    def peek_status(self, link: TwinLink) -> int:
        """Return what a serial poll would read, and clear nothing; bit 6: it asks for service."""
        return 0x10 if link.output else 0

    def due_s(self) -> float | None:
        """Return bench seconds until something under way ends, None where nothing is.

        A read that finds no reply and a wait for a service request let that time pass, then call :meth:`time_passed`.
        """
        return None

    def time_passed(self) -> None:
        """Note that the bench's time has moved on by itself."""

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
