"""An open VISA resource as bytes: opening, a lock, what is sent and received, and what breaks it.

Below both kinds of link: :class:`drivers.visa.VisaLink`, whose replies are tagged, and
:class:`drivers.message_link.MessageLink`, for instruments that answer in the order they were asked. Whatever goes
wrong on the way closes the resource, since nothing that comes later can be told apart (visa-backend §7).
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from drivers.errors import LinkError, LinkTimeout, MalformedAnswer, ReplayMismatch
from drivers.recording import Tape
from drivers.visa_resource import manager_of, opened_resource, release_manager, socket_of

__all__ = ["Wire"]

_RECEIVE = 1 << 20


class Wire:
    """An open VISA resource behind a lock.

    Parameters
    ----------
    address : str
        VISA address.
    backend : str
        As for ``pyvisa.ResourceManager``: ``"@py"``, ``"bench.yaml@pcm"``.
    timeout_s : float
        How long an answer may take.
    transcript : callable, list or Tape, optional
        Gets one line per message and reply; a tape (:class:`drivers.recording.Recorder`) gets their very bytes.

    Raises
    ------
    LinkError
        Nothing answers at the address, or the backend cannot be used.

    Attributes
    ----------
    messages : int
        Sent so far.
    """

    def __init__(
        self, address: str, *, backend: str = "@py", timeout_s: float = 60.0, transcript: Any = None
    ) -> None:
        self.address, self.backend, self.timeout_s = address, backend, timeout_s
        self.messages = 0
        self._lock = threading.RLock()
        self._tape: Tape | None = transcript if isinstance(transcript, Tape) else None
        self._note: Callable[[str], object] | None = None
        if self._tape is None:
            self._note = transcript.append if hasattr(transcript, "append") else transcript
        self._heard = bytearray()
        self._manager: Any = None
        self._resource: Any = None
        self._buffer = bytearray()
        self._at_end = False
        self.open()
        from pyvisa.constants import StatusCode

        self._more_to_come = StatusCode.success_max_count_read
        self._message_ends = StatusCode.success
        self._termchar_read = StatusCode.success_termination_character_read

    # ---- opening and closing ------------------------------------------------------------------------------
    def open(self) -> None:
        """Open the link, or do nothing where it is open."""
        with self._lock:
            if self._resource is not None:
                return
            if self._manager is None:
                self._manager = manager_of(self.backend)
            try:
                self._resource = opened_resource(self._manager, self.address, self.backend, self.timeout_s)
            except BaseException:
                self.close()
                raise
            # Looked up once, since every message needs them.
            self._library, self._session = self._resource.visalib, self._resource.session
            self._socket = socket_of(self._resource)
            self._buffer.clear()
            self._termchar: bool | None = None
            self._waits_s = self.timeout_s
            if self._tape is not None:
                self._tape.event(self.address, "open")

    def _hang_up(self) -> None:
        """Close the resource and keep the manager: a simulated bench would be saved and let go with it."""
        resource, self._resource = self._resource, None
        self._buffer.clear()
        if self._tape is not None and resource is not None:
            with suppress(ReplayMismatch):  # half a reply: what broke the link is being raised
                self._reply_is_over()
            self._heard.clear()
            self._tape.event(self.address, "close")
        if resource is not None:
            with suppress(Exception):  # a broken link cannot be closed in good order
                resource.close()

    def close(self) -> None:
        """Close the link; raises only where a simulated bench that it let go of cannot be saved."""
        with self._lock:
            self._hang_up()
            manager, self._manager = self._manager, None
            if manager is not None:
                release_manager(self.backend)

    def reopen(self) -> None:
        """Close the link and open it again; whatever was under way on it is lost."""
        with self._lock:
            self._hang_up()
            self.open()

    # ---- bytes --------------------------------------------------------------------------------------------
    def _send(self, data: bytes) -> None:
        """Send bytes as one message."""
        self._opened()
        if self._tape is not None:
            self._reply_is_over()
            self._tape.sent(self.address, data)
        self.messages += 1
        try:
            self._library.write(self._session, data)
        except Exception as error:  # noqa: BLE001 - told apart and raised in _break
            self._break(error)

    def _opened(self) -> None:
        if self._resource is None:
            raise LinkError(f"the link to {self.address} is closed; open it again", address=self.address)

    def _reply_is_over(self) -> None:
        """Give the tape what was received and is not waiting in the buffer."""
        count = len(self._heard) - len(self._buffer)
        if self._tape is not None and count > 0:
            data = bytes(self._heard[:count])
            del self._heard[:count]
            self._tape.heard(self.address, data)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _exactly(self, count: int, deadline: float) -> bytes:
        """Take `count` bytes; what has not begun to arrive goes to the caller without a copy."""
        if len(self._buffer) >= count:
            return self._take(count)
        parts = [self._take(count)] if self._buffer else []
        got = sum(map(len, parts))
        while got < count:
            parts.append(self._receive(count - got, deadline, termchar=False))
            got += len(parts[-1])
            if self._at_end and got < count:
                self._malformed(f"a reply ended after {got} of {count} bytes")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _receive(self, count: int, deadline: float, *, termchar: bool) -> bytes:
        """Return some of the next `count` bytes, at least one; all of them up to a line feed from a backend."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            self._timed_out()
        library = self._library
        try:
            if self._socket is not None:
                data = self._receive_from(self._socket, count, left_s)
                if self._tape is not None:
                    self._heard += data
                return data
            if self._termchar is not termchar:
                self._set_termchar(termchar)
            with library.ignore_warning(self._session, self._more_to_come):
                data, status = library.read(self._session, count)
            # pyvisa-py calls the END of a HiSLIP message a termination character.
            self._at_end = status == self._message_ends or (
                status == self._termchar_read and not self._ends_with_termchar(data)
            )
        except Exception as error:  # noqa: BLE001 - told apart and raised in _break
            self._break(error)
        if self._tape is not None:
            self._heard += data
        return bytes(data) if not isinstance(data, bytes) else data

    def _receive_from(self, connection: socket.socket, count: int, timeout_s: float) -> bytes:
        """Receive from a pyvisa-py socket past its own read, which takes a closed link for a slow one.

        It would spin until the time-out, in the middle of a reply too (visa-backend §6).
        """
        if not select.select([connection], [], [], timeout_s)[0]:
            self._timed_out()
        data = connection.recv(min(count, _RECEIVE))
        if not data:
            raise ConnectionResetError("the other end closed the link")
        return data

    def _set_timeout(self, seconds: float) -> None:
        if self._waits_s != seconds:
            self._resource.timeout = round(seconds * 1000)
            self._waits_s = seconds

    def _set_termchar(self, on: bool) -> None:
        from pyvisa.constants import ResourceAttribute

        self._resource.set_visa_attribute(ResourceAttribute.termchar_enabled, on)
        self._termchar = on

    def _ends_with_termchar(self, data: bytes) -> bool:
        """Whether what was read ends with the character that may have stopped it."""
        return data[-1:] == b"\n"

    # ---- what goes wrong ----------------------------------------------------------------------------------
    def _break(self, error: Exception) -> NoReturn:
        """Close the link and raise what happened in our words; anything unexpected goes on as it is."""
        import pyvisa
        from pyvisa.constants import StatusCode

        self._hang_up()
        if isinstance(error, LinkError):
            raise error
        if isinstance(error, pyvisa.errors.VisaIOError) and error.error_code == StatusCode.error_timeout:
            self._timed_out(error)
        # pyvisa-py raises a bare RuntimeError where a HiSLIP link is cut or out of step.
        bare = type(error) is RuntimeError
        if bare or isinstance(error, pyvisa.errors.Error | OSError | AttributeError):
            raise LinkError(
                f"the link to {self.address} broke ({error}); check the board and its cable",
                address=self.address,
            ) from error
        raise error

    def _timed_out(self, cause: Exception | None = None) -> NoReturn:
        self._hang_up()
        raise LinkTimeout(
            f"{self.address} did not answer within {self._waits_s:g} s; check that the board runs",
            address=self.address,
            timeout_s=self._waits_s,
        ) from cause

    def _malformed(self, what: str) -> NoReturn:
        self._hang_up()
        raise MalformedAnswer(f"{self.address} answered out of form: {what}", address=self.address)
