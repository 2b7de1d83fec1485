"""The IEEE 488.2 / SCPI status model of one connection: error queue, ESR, event registers, status byte."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from drivers.simulated.scpi_errors import STANDARD_TEXTS

__all__ = ["EventRegister", "Status"]

TEXT_MAX = 255


@dataclass(slots=True)
class EventRegister:
    """Event and enable register over a condition register that belongs to the instrument."""

    event: int = 0
    enable: int = 0

    def follow(self, before: int, after: int) -> None:
        """Set events on the rising edges of the condition."""
        self.event |= after & ~before

    def take(self) -> int:
        """Read and clear the event register."""
        value, self.event = self.event, 0
        return value


@dataclass
class Status:
    """Status of one connection.

    Parameters
    ----------
    size : int
        Entries of the error queue; overflow replaces the last by -350.
    texts : dict
        Texts of the instrument's own (positive) codes, and of those of the standard that it words otherwise.
    plus : bool
        Codes from 0 up are printed with a sign, ``+0,"No error"``.
    joint : str
        What parts a text from the information behind it.
    """

    size: int = 30
    texts: dict[int, str] = field(default_factory=dict)
    operation: EventRegister = field(default_factory=EventRegister)
    questionable: EventRegister = field(default_factory=EventRegister)
    esr: int = 0x80  # power on
    ese: int = 0
    sre: int = 0
    errors: deque[str] = field(default_factory=deque)
    opc_pending: bool = False
    plus: bool = False
    joint: str = ";"

    def error(self, code: int, info: str = "") -> None:
        """Queue an error and set its ESR bit (controller-protocol §8.1)."""
        if -200 < code <= -100:
            self.esr |= 0x20
        elif -300 < code <= -200:
            self.esr |= 0x10
        elif -500 < code <= -400:
            self.esr |= 0x04
        else:
            self.esr |= 0x08
        self._append(self._entry(code, info))

    def _entry(self, code: int, info: str = "") -> str:
        text = self.texts.get(code) or STANDARD_TEXTS[code]
        full = (f"{text}{self.joint}{info}" if info else text)[:TEXT_MAX]
        quoted = full.replace('"', '""')
        sign = "+" if self.plus and code >= 0 else ""
        return f'{sign}{code},"{quoted}"'

    def _append(self, entry: str) -> None:
        if len(self.errors) < self.size:
            self.errors.append(entry)
        else:
            self.errors[-1] = self._entry(-350)

    def prepend(self, older: list[str]) -> None:
        """Put the errors of an earlier connection in front of the own ones."""
        own = list(self.errors)
        self.errors.clear()
        for entry in [*older, *own]:
            self._append(entry)

    def next_error(self) -> str:
        """Take the oldest entry."""
        return self.errors.popleft() if self.errors else self._entry(0)

    def operation_complete(self) -> None:
        """Set the OPC event where ``*OPC`` asked for it."""
        if self.opc_pending:
            self.opc_pending = False
            self.esr |= 0x01

    def clear(self) -> None:
        """``*CLS``: queue, ESR and event registers; enables stay."""
        self.errors.clear()
        self.esr = 0
        self.operation.event = self.questionable.event = 0
        self.opc_pending = False

    def byte(self, *, locked_out: bool = False) -> int:
        """Status byte; MAV is always 0 on a stream (controller-protocol §8.1)."""
        value = 0
        value |= 0x80 if self.operation.event & self.operation.enable else 0
        value |= 0x20 if self.esr & self.ese else 0
        value |= 0x08 if self.questionable.event & self.questionable.enable else 0
        value |= 0x04 if self.errors else 0
        value |= 0x02 if locked_out else 0
        return value | (0x40 if value & self.sre & ~0x40 else 0)
