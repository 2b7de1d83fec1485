"""The error queue of a TSP instrument, and the two ways in which something goes wrong inside it."""

# ruff: noqa: N818 - they are entries of the queue, not failures of this program

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Entry", "ErrorQueue", "Refused", "RuntimeFault"]

QUEUE_LENGTH = 100
"""Entries an error queue holds: a default (instruments §3 has 10..30 for SCPI, none for TSP)."""

SERIOUS = 20
"""Severity of an entry (instruments §2.1: names from the manual, numbers unconfirmed)."""

_EMPTY = "Queue Is Empty"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: code, words, severity, TSP-Link node."""

    code: int
    text: str
    severity: int = SERIOUS
    node: int = 1


class Refused(Exception):
    """A command the instrument refuses: an entry of the queue, and the script goes on (instruments §2.1)."""

    def __init__(self, code: int, text: str, severity: int = SERIOUS) -> None:
        super().__init__(text)
        self.entry = Entry(code, text, severity)


class RuntimeFault(Exception):
    """A Lua run-time error (-286), the only one that aborts a script (instruments §2.1)."""


class ErrorQueue:
    """Oldest first; what does not fit replaces the newest by -350.

    Attributes
    ----------
    standard : int
        Bits of the standard event register that entries have set; whoever reads it clears it.
    """

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self.standard = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Put an entry into the queue and set its bit of the standard event register."""
        self.standard |= _standard_bit(entry.code)
        if len(self._entries) >= QUEUE_LENGTH:
            self._entries[-1] = Entry(-350, "Queue overflow")
        else:
            self._entries.append(entry)

    def next(self) -> Entry:
        """Take the oldest entry."""
        return self._entries.popleft() if self._entries else Entry(0, _EMPTY, 0)

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()


def _standard_bit(code: int) -> int:
    """Return QYE, DDE, EXE or CME by the class of the code (instruments §3)."""
    if code > 0:
        return 8
    return {1: 32, 2: 16, 3: 8, 4: 4}.get(-code // 100, 0)
