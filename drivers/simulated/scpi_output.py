"""What an instrument has to send: replies as lists of buffers, never joined until somebody reads them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

__all__ = ["Output", "Reply"]

Piece = bytes | memoryview


@dataclass(slots=True)
class Reply:
    """One reply line: its pieces, and the wall time (``time.monotonic``) before which it is held back.

    One that has no `end` was cut off on the way: whoever reads it goes on waiting.
    """

    pieces: list[Piece]
    not_before: float = 0.0
    has_block: bool = False
    end: bool = True

    @property
    def size(self) -> int:
        """Bytes of the reply."""
        return sum(len(piece) for piece in self.pieces)

    def cut(self, size: int) -> None:
        """Drop everything behind the first `size` bytes."""
        kept: list[Piece] = []
        for piece in self.pieces:
            if size <= 0:
                break
            kept.append(piece[:size])
            size -= len(piece)
        self.pieces = kept


class _Cut(deque[memoryview]):
    """The pieces of a reply whose end never comes."""


class Output:
    """Replies that wait to be read, oldest first."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a take-over clears it from another link's thread
        self._replies: deque[deque[memoryview]] = deque()
        self._times: deque[float] = deque()

    def __bool__(self) -> bool:
        return bool(self._replies)

    def __len__(self) -> int:
        return len(self._replies)

    def held(self) -> AbstractContextManager[bool]:
        """Keep other threads from clearing it between a look and a take: ``with output.held():``."""
        return self._guard

    def put(self, reply: Reply) -> None:
        """Append a reply; it never overtakes one before it."""
        pieces = (deque if reply.end else _Cut)(memoryview(piece) for piece in reply.pieces if len(piece))
        if pieces:
            with self._guard:
                self._replies.append(pieces)
                self._times.append(reply.not_before)

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of everything; where nothing is left, their end has not come yet."""
        if not data:
            return
        with self._guard:
            if self._replies:
                self._replies[0].appendleft(memoryview(data))
            else:
                self._replies.append(_Cut((memoryview(data),)))
                self._times.append(0.0)

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._replies.clear()
            self._times.clear()

    def wait_s(self) -> float | None:
        """Wall seconds until the first reply may go, None where there is none."""
        if not self._times:
            return None
        return max(0.0, self._times[0] - time.monotonic()) if self._times[0] else 0.0

    @property
    def ready(self) -> bool:
        """Whether bytes can be taken now."""
        times = self._times
        return bool(times) and (times[0] == 0.0 or times[0] <= time.monotonic())

    @property
    def size(self) -> int:
        """Bytes that can be taken now."""
        with self._guard:
            return sum(len(piece) for pieces in self._replies for piece in pieces) if self.ready else 0

    def drain(self, send: Callable[[memoryview], int]) -> None:
        """Give what is ready to `send`, which returns how many bytes it took, until it raises BlockingIOError."""
        with self._guard:
            while self.ready:
                try:
                    sent = send(self.peek())
                except BlockingIOError:
                    return
                self.skip(sent)

    def take(self, count: int, termchar: bytes | None, *, stops_at_end: bool) -> tuple[bytes, str]:
        """Take what is ready, at most `count` bytes, and up to the next `termchar` or the end of a reply.

        Returns the bytes and what stopped them: "termchar", "end", "count", or "" where nothing more is ready.
        """
        parts: list[bytes] = []
        got = 0
        with self._guard:
            while got < count and self.ready:
                piece = self._replies[0][0]
                if len(piece) > count - got:
                    piece = piece[: count - got]
                data = bytes(piece)
                found = -1 if termchar is None else data.find(termchar)
                if found >= 0:
                    data = data[: found + 1]
                parts.append(data)
                got += len(data)
                at_end = self.skip(len(data))
                if found >= 0:
                    return b"".join(parts), "termchar"
                if at_end and stops_at_end:
                    return b"".join(parts), "end"
        return b"".join(parts), "count" if got >= count else ""

    def peek(self) -> memoryview:
        """Return the first piece of the first reply."""
        return self._replies[0][0]

    def skip(self, count: int) -> bool:
        """Drop `count` bytes of the first piece; True where that ended a reply."""
        pieces = self._replies[0]
        if count < len(pieces[0]):
            pieces[0] = pieces[0][count:]
            return False
        pieces.popleft()
        if pieces:
            return False
        self._replies.popleft()
        self._times.popleft()
        return type(pieces) is deque
