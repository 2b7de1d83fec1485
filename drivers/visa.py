"""The VISA link to a controller: messages out, tagged replies back, broken rather than out of step.

Whatever the backend (pyvisa-py over a raw socket, the simulated bench in this process), three rules hold
(visa-backend §7, controller-protocol §2): a query and its reply are one step that no other thread enters; a
reply that does not begin with the query's own number is dropped; and a time-out, an unexpected length or an
error of the operating system closes the link, since nothing that comes later can be told apart.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drivers.transcript import received_line, sent_line
from drivers.wire import Wire

__all__ = ["Answer", "Unit", "VisaLink"]

_SHORT = 256
_MORE = re.compile(rb'[;#"\n]')
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


class VisaLink(Wire):
    """A link to a controller whose every query is numbered (controller-protocol §2).

    Parameters, errors and attributes are those of :class:`~drivers.wire.Wire`; the transcript shows blocks as
    length and CRC-32.
    """

    def __init__(
        self, address: str, *, backend: str = "@py", timeout_s: float = 60.0, transcript: Any = None
    ) -> None:
        self._tag = 0
        super().__init__(address, backend=backend, timeout_s=timeout_s, transcript=transcript)

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
        self._opened()
        message = b"".join(parts)
        if self._note is not None:
            self._note(sent_line(message[:-1]))
        self._send(message)

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
        if self._tape is not None:
            self._reply_is_over()
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

    def _next_byte(self, deadline: float) -> bytes:
        return self._exactly(1, deadline)


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
