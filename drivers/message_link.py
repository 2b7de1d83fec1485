"""The VISA link to a bench instrument: messages out, replies back in the order they were asked.

Instruments do not number their replies, so the rule that keeps a late answer from being taken for the next one is
stricter here: whatever goes wrong between a question and its whole answer closes the link (visa-backend §7), and
:meth:`MessageLink.reopen` clears the instrument's output, where the interface can, before anything is asked again.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any

from drivers.wire import Wire

__all__ = ["MessageLink"]

_MOST_DIGITS = 9
_CHUNK = 1 << 16
_NOISE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class MessageLink(Wire):
    """An open VISA resource to an instrument.

    Parameters
    ----------
    address, backend, timeout_s, transcript
        As of :class:`~drivers.wire.Wire`.
    write_end, read_end : str
        What closes a message and a reply. On interfaces with an END line (GPIB, USB, VXI-11, HiSLIP) a reply also
        ends with that.

    Raises
    ------
    LinkError
        Nothing answers at the address, or the backend cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        backend: str = "@py",
        timeout_s: float = 10.0,
        write_end: str = "\n",
        read_end: str = "\n",
        transcript: Any = None,
    ) -> None:
        self._write_end, self._read_end = write_end.encode("latin-1"), read_end.encode("latin-1")
        super().__init__(address, backend=backend, timeout_s=timeout_s, transcript=transcript)

    @property
    def is_stream(self) -> bool:
        """Whether the interface is a bare stream of bytes: no END, no serial poll, no device clear."""
        return self.address.upper().endswith("::SOCKET") or self.address.upper().startswith("ASRL")

    def open(self) -> None:
        """Open the link, or do nothing where it is open."""
        with self._lock:
            closed = self._resource is None
            super().open()
            if closed and self._read_end:
                from pyvisa.constants import ResourceAttribute

                with suppress(Exception):  # pyvisa-py streams are read past the backend
                    self._resource.set_visa_attribute(ResourceAttribute.termchar, self._read_end[-1])

    def reopen(self) -> None:
        """Close the link, open it again and drop what the instrument still had to say."""
        with self._lock:
            super().reopen()
            if not self.is_stream:
                self.clear()

    # ---- messages -----------------------------------------------------------------------------------------
    def write(self, message: str | bytes) -> None:
        """Send a message that has no reply.

        Raises
        ------
        LinkError
            The link broke; how much arrived is not known.
        """
        data = message.encode("latin-1") if isinstance(message, str) else message
        with self._lock:
            if self._note is not None:
                self._note(_noted(">", data))
            self._send(data + self._write_end)

    def query(self, message: str | bytes, *, timeout_s: float | None = None) -> str:
        """Send a message and return its reply without what closes it.

        Raises
        ------
        LinkTimeout, MalformedAnswer, LinkError
            The link is closed then.
        """
        with self._lock:
            self._asked(message)
            return self.read(timeout_s=timeout_s)

    def read(self, *, timeout_s: float | None = None) -> str:
        """Return the next reply, for instruments that speak without being asked (FLEX after ``XE``).

        Raises
        ------
        LinkTimeout, MalformedAnswer, LinkError
            The link is closed then. A reply that holds control characters is no text: it was garbled on its way.
        """
        with self._lock:
            deadline = self._deadline(timeout_s)
            try:
                data = self._reply(deadline)
                if (noise := _NOISE.search(data)) is not None:
                    self._malformed(f"byte {noise[0][0]:#04x} in {data[:60]!r} is no part of a text")
            except BaseException:
                self._hang_up()
                raise
            if self._note is not None:
                self._note(_noted("<", data))
            if self._tape is not None:
                self._reply_is_over()
            return data.decode("latin-1")

    def query_bytes(self, message: str | bytes, count: int, *, timeout_s: float | None = None) -> bytes:
        """Send a message and return exactly `count` bytes of reply, whatever their values.

        For replies whose length only the asker knows, as the 2600's ``#0`` blocks: count their prefix and their line
        feed in.

        Raises
        ------
        LinkTimeout, LinkError
            The link is closed then.
        """
        with self._lock:
            self._asked(message)
            return self.read_bytes(count, timeout_s=timeout_s)

    def read_bytes(self, count: int, *, timeout_s: float | None = None) -> bytes:
        """Return exactly `count` bytes of replies nobody asks for, whatever their values (FLEX binary data).

        Raises
        ------
        LinkTimeout, LinkError
            The link is closed then.
        """
        with self._lock:
            deadline = self._deadline(timeout_s)
            try:
                data = self._exactly(count, deadline)
            except BaseException:
                self._hang_up()
                raise
            if self._note is not None:
                self._note(_noted("<", data))
            if self._tape is not None:
                self._reply_is_over()
            return data

    def query_block(self, message: str | bytes, *, timeout_s: float | None = None) -> bytes:
        """Send a message and return the contents of the definite block (``#<d><length>...``) it answers with.

        Raises
        ------
        LinkTimeout, MalformedAnswer, LinkError
            The link is closed then.
        """
        with self._lock:
            self._asked(message)
            deadline = self._deadline(timeout_s)
            try:
                head = self._exactly(2, deadline)
                if head[:1] != b"#" or not head[1:].isdigit() or head[1:] == b"0":
                    self._malformed(f"{head!r} begins no block")
                digits = self._exactly(int(head[1:]), deadline)
                if not digits.isdigit() or len(digits) > _MOST_DIGITS:
                    self._malformed(f"a block has the length {digits!r}")
                data = self._exactly(int(digits), deadline)
                rest = self._reply(deadline)
                if rest:
                    self._malformed(f"{rest[:20]!r} follows a block")
            except BaseException:
                self._hang_up()
                raise
            if self._note is not None:
                self._note(_noted("<", head + digits + data))
            if self._tape is not None:
                self._reply_is_over()
            return data

    def query_open_block(self, message: str | bytes, size: int, *, timeout_s: float | None = None) -> bytes:
        """Send a message and return the `size` bytes of the indefinite block (``#0...``) it answers with.

        Such a block does not say how long it is and may hold line feeds: only who asked knows where it ends.

        Raises
        ------
        LinkTimeout, MalformedAnswer, LinkError
            The link is closed then.
        """
        with self._lock:
            block = self.query_bytes(message, 2 + size + len(self._read_end), timeout_s=timeout_s)
            if not block.startswith(b"#0") or not block.endswith(self._read_end):
                self._malformed(f"{block[:12]!r} .. {block[-4:]!r} is no block #0 of {size} bytes")
            return block[2 : 2 + size]

    # ---- beside the messages ------------------------------------------------------------------------------
    def status_byte(self) -> int:
        """Return the status byte by serial poll.

        Raises
        ------
        LinkError
            The interface has none (a raw socket), or the link broke.
        """
        with self._lock:
            self._opened()
            try:
                byte = int(self._resource.read_stb())
            except Exception as error:  # noqa: BLE001 - told apart and raised in _break
                self._break(error)
            if self._tape is not None:
                self._tape.event(self.address, "poll", byte)
            return byte

    def clear(self) -> None:
        """Device clear: the instrument forgets what it was told and what it had to say."""
        with self._lock:
            self._opened()
            self._buffer.clear()
            if self._tape is not None:
                self._reply_is_over()
                self._tape.event(self.address, "clear")
            try:
                self._resource.clear()
            except Exception as error:  # noqa: BLE001 - told apart and raised in _break
                self._break(error)

    def trigger(self) -> None:
        """Send the interface's trigger (GET)."""
        with self._lock:
            self._opened()
            if self._tape is not None:
                self._reply_is_over()
                self._tape.event(self.address, "trigger")
            try:
                self._resource.assert_trigger()
            except Exception as error:  # noqa: BLE001 - told apart and raised in _break
                self._break(error)

    # ---- inside -------------------------------------------------------------------------------------------
    def _asked(self, message: str | bytes) -> None:
        """Send a question; what came before it belongs to nobody, so nothing behind it could be told apart."""
        if self._buffer:
            self._malformed(f"{bytes(self._buffer[:60])!r} came though nothing was asked")
        self.write(message)

    def _ends_with_termchar(self, data: bytes) -> bool:
        return data[-1:] == (self._read_end or b"\n")[-1:]

    def _deadline(self, timeout_s: float | None) -> float:
        wait_s = self.timeout_s if timeout_s is None else timeout_s
        self._opened()
        self._set_timeout(wait_s)
        return time.monotonic() + wait_s

    def _reply(self, deadline: float) -> bytes:
        """Take a reply up to what closes it, or up to END."""
        at = 0
        while True:
            found = self._buffer.find(self._read_end, at) if self._read_end else -1
            if found >= 0:
                data = self._take(found + len(self._read_end))
                return data[:found]
            at = max(0, len(self._buffer) - len(self._read_end) + 1)
            self._buffer += self._receive(_CHUNK, deadline, termchar=bool(self._read_end))
            if self._at_end and not self.is_stream:
                data = self._take(len(self._buffer))
                return data.removesuffix(self._read_end) if self._read_end else data


def _noted(direction: str, data: bytes) -> str:
    return f"{direction} {time.time():.6f} {data.decode('latin-1').encode('unicode_escape').decode('ascii')}"
