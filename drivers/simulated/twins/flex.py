"""FLEX, the command language of the B1500A: how a message is cut into commands, and what can be wrong with them.

A command is a header of letters and numbers behind it, separated by commas; a semicolon separates commands, CR LF
with END closes a message (instruments §2.2, Programming Guide 1-22). There are no strings, no blocks, no tree.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ERRORS", "Command", "Entry", "ErrorQueue", "FlexError", "Table", "parse"]

_MESSAGE_BYTES = 256
"""Longest message with its terminator: a default [K]."""

_HEADER = re.compile(r"\s*(\*?[A-Za-z]+\??)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?")

UNDEFINED, SYNTAX, COUNT, VALUE, CHANNEL, CHANNELS = 100, 102, 103, 120, 121, 122
COMPLIANCE, RANGE, FULL, FOREIGN = 123, 124, 150, 151
OUTPUT_OFF, INTERLOCK, NOT_ZEROED = 200, 202, 205
NO_TRIGGER, NO_SWEEP, NO_PULSE, NO_PULSE_TIME, NO_SAMPLING, NO_CHANNELS, WRONG_IO = (
    211,
    220,
    222,
    223,
    225,
    226,
    620,
)

ERRORS: dict[int, str] = {
    0: "No Error.",
    UNDEFINED: "Undefined GPIB command.",
    SYNTAX: "Incorrect numeric data syntax.",
    COUNT: "Incorrect terminator position.",
    VALUE: "Incorrect parameter value.",
    CHANNEL: "Channel number must be 1 to 10.",
    CHANNELS: "Number of channels must be corrected.",
    COMPLIANCE: "Compliance must be set correctly.",
    RANGE: "Incorrect range value for this channel.",
    FULL: "Command input buffer is full.",
    FOREIGN: "This command is not allowed to this channel.",
    OUTPUT_OFF: "Channel output switch must be ON.",
    INTERLOCK: "Interlock circuit must be closed.",
    NOT_ZEROED: "DZ must be sent before RZ.",
    NO_TRIGGER: "TM1 must be sent to use GET.",
    NO_SWEEP: "Send WV or WI to set primary sweep source.",
    NO_PULSE: "Send PV or PI to set pulse source.",
    NO_PULSE_TIME: "Send PT to set pulse time.",
    NO_SAMPLING: "Send MT to set sampling measurement.",
    NO_CHANNELS: "Send MM before measurement trigger.",
    305: "Excess current in HPSMU.",
    WRONG_IO: "TGP specified incorrect I/O port.",
}
"""Codes and texts. 100, 102, 103, 120, 122-124, 200, 305 and 620 are published, for this instrument or for the E5270B
that speaks the same language; 121 has the number of slots of this one. The others are defaults [K]: their meaning is
what a B1500A complains of, their numbers and words have no source."""


class FlexError(Exception):
    """A command cannot be carried out.

    Attributes
    ----------
    code : int
        A key of :data:`ERRORS`.
    detail : str
        What ``ERRX?`` adds behind a semicolon: ``SLOT1``.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its header in capitals and the text of its parameters."""

    header: str
    parameters: str

    def values(self) -> list[float]:
        """Return the numbers behind the header.

        Raises
        ------
        FlexError
            102: something is no number.
        """
        if not self.parameters:
            return []
        found = [part.strip() for part in self.parameters.split(",")]
        if not all(_NUMBER.fullmatch(part) for part in found):
            raise FlexError(SYNTAX)
        return [float(part) for part in found]


def parse(message: bytes) -> list[Command]:
    """Cut a message into commands.

    Raises
    ------
    FlexError
        150: the message is too long; nothing of it is carried out.
    """
    if len(message) + 2 > _MESSAGE_BYTES:
        raise FlexError(FULL)
    found = []
    for part in message.decode("latin-1").strip().split(";"):
        head = _HEADER.match(part)
        if head is not None:
            found.append(Command(head[1].upper(), part[head.end() :].strip()))
        elif part.strip():
            found.append(Command("", part.strip()))
    return found


Handler = Callable[[Any, list[float]], str | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What carries out a command, and how many numbers it takes; `alone`: never together with others."""

    run: Handler
    fewest: int
    most: int
    alone: bool = False


class Table(dict[str, Entry]):
    """Commands by header."""

    def command(
        self, header: str, fewest: int = 0, most: int | None = None, *, alone: bool = False
    ) -> Callable[[Handler], Handler]:
        """Enter the function below as a command; it gets the instrument and the numbers, a query returns its reply."""

        def enter(run: Handler) -> Handler:
            self[header] = Entry(run, fewest, fewest if most is None else most, alone)
            return run

        return enter


class ErrorQueue:
    """What went wrong and was not asked for yet: 30 errors, later ones are lost (instruments §2.2)."""

    SIZE = 30

    def __init__(self, sign: str) -> None:
        self._sign = sign
        self._waiting: deque[FlexError] = deque()

    def put(self, error: FlexError) -> None:
        """Note an error."""
        if len(self._waiting) < self.SIZE:
            self._waiting.append(error)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def next(self, *, code_only: bool) -> str:
        """Take the oldest out and word it for ``ERRX?``."""
        error = self._waiting.popleft() if self._waiting else FlexError(0)
        code = f"{self._sign}{error.code}"
        detail = f"; {error.detail}" if error.detail else ""
        return code if code_only else f'{code},"{ERRORS[error.code]}{detail}"'

    def four(self) -> str:
        """Word the oldest four codes for ``ERR?``, which forgets all."""
        codes = [str(error.code) for error in list(self._waiting)[:4]]
        self.clear()
        return ",".join([*codes, *["0"] * (4 - len(codes))])
