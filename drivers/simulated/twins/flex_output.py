"""The two buffers a B1500A answers from: one reply of a query, and measured data that stay until they are read."""

from __future__ import annotations

from collections import deque

from drivers.simulated.scpi_output import Output, Reply

__all__ = ["FlexOutput"]


class FlexOutput(Output):
    """Measured data in the order they were taken, and at most one reply of a query in front of them.

    A query's reply replaces the one nobody read; data stay over any number of messages, until they are read or BC,
    FMT, ``*RST`` or a device clear drops them (Programming Guide 1-56, 4-45). That the query goes
    first is a default [K].
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._counts: deque[int] = deque()

    @property
    def data_waiting(self) -> int:
        """Data (not bytes) that wait to be read; one reply counts until all of it is read."""
        return sum(self._counts)

    def reply(self, text: bytes) -> None:
        """Put the reply of a query in front."""
        with self._guard:
            if self._asked:
                self._replies.popleft()
                self._times.popleft()
            self._asked = True
            self._replies.appendleft(deque((memoryview(text),)))
            self._times.appendleft(0.0)

    def measured(self, data: bytes, count: int) -> None:
        """Append measured data."""
        with self._guard:
            self.put(Reply([data], has_block=True))
            self._counts.append(count)

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            super().clear()
            self._counts.clear()
            self._asked = False

    def skip(self, count: int) -> bool:
        """Drop `count` bytes of the first piece; True where that ended a reply."""
        ended = super().skip(count)
        if ended:
            if self._asked:
                self._asked = False
            else:
                self._counts.popleft()
        return ended
