"""SCPI errors of a simulated instrument: codes, texts and the exception that carries them to the queue."""

from __future__ import annotations

__all__ = ["STANDARD_TEXTS", "ScpiError"]

STANDARD_TEXTS: dict[int, str] = {
    0: "No error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -111: "Header separator error",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -120: "Numeric data error",
    -138: "Suffix not allowed",
    -148: "Character data not allowed",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -203: "Command protected",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -225: "Out of memory",
    -230: "Data corrupt or stale",
    -240: "Hardware error",
    -241: "Hardware missing",
    -310: "System error",
    -330: "Self-test failed",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
    -440: "Query UNTERMINATED after indefinite response",
}
"""Texts of the standard codes (instruments §3)."""


class ScpiError(Exception):
    """A unit of a message is refused: goes to the error queue, ends its message.

    Attributes
    ----------
    code : int
        Negative for the standard's codes, positive for the instrument's own.
    info : str
        Device-dependent information behind the text, empty where there is none.
    """

    def __init__(self, code: int, info: str = "") -> None:
        super().__init__(code, info)
        self.code = code
        self.info = info

    @property
    def unanswered(self) -> bool:
        """Whether a query refused with this error gives no reply (controller-protocol §3.2)."""
        return -200 < self.code <= -100 or self.code == -440
