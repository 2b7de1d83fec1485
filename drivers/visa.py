"""The VISA link to a controller: messages out, tagged replies back, broken rather than out of step.

Whatever the backend (pyvisa-py over a raw socket, the simulated bench in this process), three rules hold
(visa-backend §7, controller-protocol §2): a query and its reply are one step that no other thread enters; a
reply that does not begin with the query's own number is dropped; and a time-out, an unexpected length or an
error of the operating system closes the link, since nothing that comes later can be told apart.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from drivers.errors import LinkError, LinkTimeout, MalformedAnswer
from drivers.transcript import received_line, sent_line
from drivers.visa_resource import manager_of, opened_resource, release_manager, socket_of

__all__ = ["Answer", "Unit", "VisaLink"]

_SHORT = 256
_MORE = re.compile(rb'[;#"\n]')
_RECEIVE = 1 << 20
_STALE_MOST = 1 << 31
_LF = b"\n"

Unit = str | tuple[str | bytes, ...]
"""One unit of a message: text, or text and blocks in the order they are sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to one query.

    Attributes
    ----------
    text : str
        All of it, or what stands in front of its block.
    block : bytes or None
        Contents of the block it ends with.
    """

    text: str
    block: bytes | None = None


class VisaLink:
    """An open VISA resource behind a lock.

    Parameters
    ----------
    address : str
        VISA address.
    backend : str
        As for ``pyvisa.ResourceManager``: ``"@py"``, ``"bench.yaml@pcm"``.
    timeout_s : float
        How long an answer may take.
    transcript : callable or list, optional
        Gets one line per message and reply: direction, host time in seconds, text with blocks as length and
        CRC-32.

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
        self._tag = 0
        self._lock = threading.RLock()
        self._note: Callable[[str], object] | None = (
            transcript.append if hasattr(transcript, "append") else transcript
        )
        self._manager: Any = None
        self._resource: Any = None
        self._buffer = bytearray()
        self.open()
        from pyvisa.constants import StatusCode

        self._more_to_come = StatusCode.success_max_count_read

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
            self._buffer.clear()
            self._termchar: bool | None = None
            self._waits_s = self.timeout_s

    def _hang_up(self) -> None:
        """Close the resource and keep the manager: a simulated bench would be saved and let go with it."""
        resource, self._resource = self._resource, None
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

    # ---- messages -----------------------------------------------------------------------------------------
    def send(self, units: Sequence[Unit]) -> None:
        """Send a message without queries.

        Raises
        ------
        LinkError
            The link broke; how much arrived is not known.
        """
        with self._lock:
            self._write(_joined(units))

    def ask(
        self, units: Sequence[Unit], *, lengths: Sequence[int | None] = (), timeout_s: float | None = None
    ) -> list[Answer]:
        """Send a message with queries; returns the answers in order, fewer where a unit was refused.

        Parameters
        ----------
        units : sequence of Unit
        lengths : sequence of int or None
            Bytes that each block must have, in order; an empty block is always let through, since it is how a
            board says that there is nothing. None: any length.
        timeout_s : float, optional
            In place of the link's own.

        Raises
        ------
        LinkTimeout, MalformedAnswer, LinkError
            The link is closed then.
        """
        with self._lock:
            self._tag += 1
            tag = str(self._tag)
            self._write(_joined([f"SYST:TAG? {tag}", *units]))
            wait_s = self.timeout_s if timeout_s is None else timeout_s
            deadline = time.monotonic() + wait_s
            try:
                self._set_timeout(wait_s)
                while True:
                    answers = self._reply(tag, lengths, deadline)
                    if answers is not None:
                        return answers
            except BaseException:
                self._hang_up()  # half a reply has been read: what follows cannot be told apart
                raise

    def _write(self, parts: list[bytes]) -> None:
        if self._resource is None:
            raise LinkError(f"the link to {self.address} is closed; open it again", address=self.address)
        message = b"".join(parts)
        if self._note is not None:
            self._note(sent_line(message[:-1]))
        self.messages += 1
        try:
            self._resource.visalib.write(self._resource.session, message)
        except Exception as error:  # noqa: BLE001 - told apart and raised in _break
            self._break(error)

    def _reply(self, tag: str, lengths: Sequence[int | None], deadline: float) -> list[Answer] | None:
        """Read one line; None where it belongs to another query."""
        answers: list[Answer] = []
        text = bytearray()
        mine: bool | None = None
        quoted = False
        at = 0  # where to look on in what has come
        while True:
            found = _MORE.search(self._buffer, at)
            if found is None:
                at = len(self._buffer)
                # Byte by byte where a block is due, so that its megabytes arrive in one piece of their own.
                due = _blocks(answers) < len(lengths)
                self._buffer += self._receive(1 if due else _SHORT, deadline, termchar=True)
                continue
            at, mark = found.end(), found.group()
            if mark == b'"':
                quoted = not quoted
            elif quoted and mark != _LF:
                continue
            elif mark == b"#":
                text += self._take(at - 1)
                wanted = lengths[_blocks(answers)] if mine and _blocks(answers) < len(lengths) else None
                answers.append(Answer(text.decode("latin-1"), self._block(wanted, deadline)))
                text.clear()
                at = 0
                ended = self._next_byte(deadline)
                if ended == _LF:
                    return self._received(answers) if mine else None
                if ended != b";":
                    self._malformed(f"{ended!r} follows a block")
            else:
                text += self._take(at)
                at = 0
                answer = text[:-1].decode("latin-1")
                text.clear()
                if mine is None:
                    mine = answer == tag
                    answers.clear()
                else:
                    answers.append(Answer(answer))
                if mark == _LF:
                    return self._received(answers) if mine else None

    def _received(self, answers: list[Answer]) -> list[Answer]:
        if self._note is not None:
            self._note(received_line(self._tag, answers))
        return answers

    def _block(self, wanted: int | None, deadline: float) -> bytes:
        """Read a block behind its ``#``; its length is judged before its contents are awaited."""
        head = self._exactly(2, deadline)
        if head[1:] not in (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"):
            self._malformed(f"a block begins with {head!r}")
        digits = self._exactly(int(head[1:]), deadline)
        if not digits.isdigit():
            self._malformed(f"a block has the length {digits!r}")
        size = int(digits)
        if (wanted is not None and size not in (0, wanted)) or size > _STALE_MOST:
            self._malformed(f"a block of {size} bytes came where {wanted} were asked for")
        return self._exactly(size, deadline)

    # ---- bytes --------------------------------------------------------------------------------------------
    def _next_byte(self, deadline: float) -> bytes:
        return self._exactly(1, deadline)

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
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _receive(self, count: int, deadline: float, *, termchar: bool) -> bytes:
        """Return some of the next `count` bytes, at least one; all of them up to a line feed from a backend."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            self._timed_out()
        resource = self._resource
        try:
            connection = socket_of(resource)
            if connection is not None:
                return self._receive_from(connection, count, left_s)
            self._set_termchar(termchar)
            with resource.visalib.ignore_warning(resource.session, self._more_to_come):
                data, _ = resource.visalib.read(resource.session, count)
        except Exception as error:  # noqa: BLE001 - told apart and raised in _break
            self._break(error)
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
        if self._termchar is not on:
            from pyvisa.constants import ResourceAttribute

            self._resource.set_visa_attribute(ResourceAttribute.termchar_enabled, on)
            self._termchar = on

    # ---- what goes wrong ----------------------------------------------------------------------------------
    def _break(self, error: Exception) -> None:
        """Close the link and raise what happened in our words; anything unexpected goes on as it is."""
        import pyvisa
        from pyvisa.constants import StatusCode

        self._hang_up()
        if isinstance(error, LinkError):
            raise error
        if isinstance(error, pyvisa.errors.VisaIOError) and error.error_code == StatusCode.error_timeout:
            self._timed_out(error)
        if isinstance(error, pyvisa.errors.Error | OSError | AttributeError):
            raise LinkError(
                f"the link to {self.address} broke ({error}); check the board and its cable",
                address=self.address,
            ) from error
        raise error

    def _timed_out(self, cause: Exception | None = None) -> None:
        self._hang_up()
        raise LinkTimeout(
            f"{self.address} did not answer within {self._waits_s:g} s; check that the board runs",
            address=self.address,
            timeout_s=self._waits_s,
        ) from cause

    def _malformed(self, what: str) -> None:
        self._hang_up()
        raise MalformedAnswer(f"{self.address} answered out of form: {what}", address=self.address)


def _blocks(answers: list[Answer]) -> int:
    return sum(answer.block is not None for answer in answers)


def _joined(units: Sequence[Unit]) -> list[bytes]:
    """Join units to a message: ``;:`` returns to the root, common commands need no path."""
    parts: list[bytes] = []
    for number, unit in enumerate(units):
        pieces = (unit,) if isinstance(unit, str) else unit
        head = pieces[0] if isinstance(pieces[0], str) else pieces[0].decode("latin-1")
        if number:
            parts.append(b";" if head.startswith("*") else b";:")
        parts.extend(piece.encode("latin-1") if isinstance(piece, str) else piece for piece in pieces)
    parts.append(_LF)
    return parts
