"""HiSLIP messages on a socket (IVI-6.1): 16 bytes of header, then a payload (visa-backend §9)."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["MESSAGE_MAX", "Channel", "Ended", "Fatal", "Kind", "Malformed", "Message"]

MESSAGE_MAX = 1 << 20
"""Largest message the server takes, header and all, bytes."""

_HEADER = struct.Struct("!2sBBIQ")
_HOPELESS = 1 << 31
_SLICE_S = 0.1


class Kind(IntEnum):
    """Types of messages."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL_CONTROL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    INTERRUPTED = 13
    ASYNC_INTERRUPTED = 14
    ASYNC_MAX_MSG_SIZE = 15
    ASYNC_MAX_MSG_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_SERVICE_REQUEST = 20
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


class Fatal(IntEnum):
    """Codes of errors after which both channels are closed."""

    UNIDENTIFIED = 0
    HEADER = 1
    BOTH_CHANNELS = 2
    SEQUENCE = 3
    CLIENTS = 4


class Malformed(Exception):  # noqa: N818 - says what happened
    """What came is no HiSLIP; `code` and words are for the other side."""

    def __init__(self, code: Fatal, words: str) -> None:
        super().__init__(words)
        self.code = code


class Ended(Exception):  # noqa: N818 - says what happened
    """The other side closed the channel, or the server stops."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came; a payload that was too large is not kept."""

    kind: int
    control: int
    parameter: int
    payload: bytes
    too_large: bool = False


class Channel:
    """One of the two connections of a session.

    Parameters
    ----------
    peer : socket
    stopping : callable
        Whether to give up waiting.
    """

    def __init__(self, peer: socket.socket, stopping: Callable[[], bool]) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setblocking(False)
        self._peer = peer
        self._stopping = stopping
        self._sending = threading.Lock()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        try:
            self._wake_in.send(b"!")
        except OSError:  # full or closed: whoever is to wake is awake, or gone
            return

    def wait(self, seconds: float) -> bool:
        """Wait until a message begins to arrive, somebody wakes, or the time is over; True where one does."""
        try:
            ready = select.select([self._peer, self._wake_out], [], [], seconds)[0]
            if self._wake_out in ready:
                self._wake_out.recv(4096)
        except (OSError, ValueError):
            raise Ended from None
        return self._peer in ready

    @property
    def readable(self) -> bool:
        """Whether something waits to be received."""
        try:
            return bool(select.select([self._peer], [], [], 0)[0])
        except (OSError, ValueError):
            return False

    def receive(self) -> Message:
        """Receive one message.

        Raises
        ------
        Malformed, Ended
        """
        prologue, kind, control, parameter, size = _HEADER.unpack(self._exactly(_HEADER.size))
        if prologue != b"HS":
            raise Malformed(Fatal.HEADER, "poorly formed message header")
        if size > _HOPELESS:
            raise Malformed(Fatal.HEADER, f"a payload of {size} bytes")
        if size + _HEADER.size > MESSAGE_MAX:
            left = size
            while left:
                left -= len(self._some(min(left, 1 << 16)))
            return Message(kind, control, parameter, b"", too_large=True)
        return Message(kind, control, parameter, self._exactly(size) if size else b"")

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            parts.append(self._some(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def _some(self, count: int) -> bytes:
        while not self._stopping():
            try:
                data = self._peer.recv(count)
            except BlockingIOError:
                select.select([self._peer], [], [], _SLICE_S)
                continue
            except (OSError, ValueError):
                break
            if not data:
                break
            return data
        raise Ended

    def send(self, kind: Kind, control: int = 0, parameter: int = 0, payload: bytes = b"") -> None:
        """Send one message, whole.

        Raises
        ------
        Ended
        """
        data = memoryview(_HEADER.pack(b"HS", kind, control, parameter, len(payload)) + payload)
        with self._sending:
            while data:
                if self._stopping():
                    raise Ended
                try:
                    data = data[self._peer.send(data) :]
                except BlockingIOError:
                    select.select([], [self._peer], [], _SLICE_S)
                except (OSError, ValueError):
                    raise Ended from None

    def close(self) -> None:
        """Close the connection; whoever waits for it ends."""
        with suppress(OSError):  # the other side was quicker
            self._peer.shutdown(socket.SHUT_RDWR)
        self.wake()

    def release(self) -> None:
        """Give back the sockets, when nobody uses them any more."""
        for each in (self._peer, self._wake_in, self._wake_out):
            each.close()
