"""Parameters of bench instruments: numbers with units and keywords, switches, words, channel lists.

They sit in the same tables as the parameters of :mod:`drivers.simulated.scpi_commands`, and are wider: SCPI allows a
unit behind a number, a keyword in place of it, and any number for a switch (instruments §3).
"""

# ruff: noqa: D102 - read and check are said by drivers.simulated.scpi_commands.Parameter

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from drivers.simulated.scpi_commands import Parameter, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_parser import Token, TokenKind

__all__ = ["INFINITE", "KEYWORDS", "Channels", "Many", "Name", "Number", "OnOff", "OneOf", "factor"]

INFINITE = 9.9e37
"""What stands for infinity in SCPI."""

KEYWORDS = {
    "MINIMUM": "MIN", "MAXIMUM": "MAX", "DEFAULT": "DEF", "INFINITY": "INF", "NINFINITY": "NINF",
    "MIN": "MIN", "MAX": "MAX", "DEF": "DEF", "UP": "UP", "DOWN": "DOWN", "INF": "INF", "NINF": "NINF",
    "NAN": "NAN",
}  # fmt: skip
"""Words in place of a number, long and short form -> short form."""

_VALUES = {"INF": INFINITE, "NINF": -INFINITE, "NAN": math.nan}
_MULTIPLIERS = {
    "EX": 1e18, "PE": 1e15, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3, "": 1.0, "M": 1e-3, "U": 1e-6, "N": 1e-9,
    "P": 1e-12, "F": 1e-15, "A": 1e-18,
}  # fmt: skip
_MEGA = ("HZ", "OHM")
_DIGITS_MAX, _EXPONENT_MAX = 255, 32_000
_EXPONENT = re.compile(r"[Ee]([+-]?\d+)$")
_KIND_ERRORS = {
    TokenKind.NUMBER: -128,
    TokenKind.WORD: -148,
    TokenKind.STRING: -158,
    TokenKind.BLOCK: -168,
    TokenKind.EXPRESSION: -178,
}


def factor(suffix: str, units: tuple[str, ...]) -> float:
    """Return what a number with this unit behind it is to be multiplied with.

    Parameters
    ----------
    suffix : str
        As sent.
    units : tuple of str
        Units the parameter has, in capitals; none: -138.

    Raises
    ------
    ScpiError
        -131 for a unit the parameter does not have.
    """
    if not suffix:
        return 1.0
    if not units:
        raise ScpiError(-138)
    upper = suffix.upper()
    for unit in units:
        if upper.endswith(unit):
            multiplier = upper[: -len(unit)]
            if multiplier == "M" and unit in _MEGA:
                return 1e6
            if multiplier in _MULTIPLIERS:
                return _MULTIPLIERS[multiplier]
    raise ScpiError(-131)


def _value(token: Token) -> float:
    exponent = _EXPONENT.search(token.text)
    if sum(letter.isdigit() for letter in token.text[: exponent.start() if exponent else None]) > _DIGITS_MAX:
        raise ScpiError(-124)
    if exponent and (len(exponent.group(1)) > 7 or abs(int(exponent.group(1))) > _EXPONENT_MAX):
        raise ScpiError(-123)
    return float(token.text)


@dataclass(frozen=True)
class Number(Parameter):
    """A number with or without a unit, or one of :data:`KEYWORDS`; its range is the handler's business.

    Attributes
    ----------
    units : tuple of str
        Units it may have behind it, in capitals, without multipliers.
    low, high : float
        -222 outside.
    keywords : tuple of str
        Which words are allowed, short form; MIN, MAX, DEF, UP and DOWN reach the handler as these words.
    words : tuple of str
        Words of its own, each with a short and a long form.
    whole : bool
        It is rounded to an integer.
    """

    units: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    keywords: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    whole: bool = False

    def read(self, token: Token) -> float | str:
        if token.kind is TokenKind.WORD:
            word = KEYWORDS.get(token.text.upper(), "")
            if word in self.keywords:
                return _VALUES.get(word, word)
            if self.words:
                return token.text
            raise ScpiError(-148 if not self.keywords else -224)
        if token.kind is not TokenKind.NUMBER:
            raise ScpiError(_KIND_ERRORS[token.kind])
        return _value(token) * factor(token.suffix, self.units)

    def check(self, value: float | str) -> float | str:
        if isinstance(value, str):
            return value if value in self.keywords else Word(words=self.words).check(value)
        if not (self.low <= value <= self.high or math.isnan(value)):
            raise ScpiError(-222)
        if self.whole:
            if math.isnan(value):
                raise ScpiError(-222)
            return float(round(value)) if abs(value) < 2**63 else value
        return value


@dataclass(frozen=True)
class OnOff(Parameter):
    """ON, OFF or a number, which is rounded: 0 is off, everything else is on (SCPI-99 7.3)."""

    def read(self, token: Token) -> bool:
        if token.kind is TokenKind.WORD:
            if token.text.upper() not in ("ON", "OFF"):
                raise ScpiError(-224)
            return token.text.upper() == "ON"
        if token.kind is not TokenKind.NUMBER:
            raise ScpiError(_KIND_ERRORS[token.kind])
        if token.suffix:
            raise ScpiError(-138)
        return abs(_value(token)) >= 0.5


@dataclass(frozen=True)
class OneOf(Parameter):
    """One of some words with a short and a long form, ``SINusoid``; the handler gets the short form in capitals."""

    words: tuple[str, ...] = ()

    def read(self, token: Token) -> str:
        if token.kind is not TokenKind.WORD:
            raise ScpiError(_KIND_ERRORS[token.kind])
        return token.text

    def check(self, value: str) -> str:
        return Word(words=self.words).check(value)


@dataclass(frozen=True)
class Name(Parameter):
    """A name, in quotes or not."""

    longest: int = 255

    def read(self, token: Token) -> str:
        if token.kind not in (TokenKind.WORD, TokenKind.STRING):
            raise ScpiError(_KIND_ERRORS[token.kind])
        return token.text

    def check(self, value: str) -> str:
        if not 1 <= len(value) <= self.longest:
            raise ScpiError(-224)
        return value


@dataclass(frozen=True)
class Channels(Parameter):
    """A channel list, ``(@1,3:5)``, as a tuple of numbers in the order given."""

    low: int = 1
    high: int = 1

    def read(self, token: Token) -> tuple[int, ...]:
        if token.kind is not TokenKind.EXPRESSION:
            raise ScpiError(_KIND_ERRORS[token.kind])
        inner = token.text.strip()
        if not inner.startswith("@"):
            raise ScpiError(-171)
        found: list[int] = []
        for part in inner[1:].split(","):
            ends = part.strip().split(":")
            if len(ends) > 2 or not all(_plain(end.strip()) for end in ends):
                raise ScpiError(-171)
            first, last = int(ends[0]), int(ends[-1])
            if not (self.low <= first <= self.high and self.low <= last <= self.high):
                raise ScpiError(-222)
            step = 1 if last >= first else -1
            found.extend(range(first, last + step, step))
        return tuple(found)


def _plain(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _SHORT


_SHORT = 6


@dataclass(frozen=True)
class Many(Parameter):
    """The last parameter of a command, once or several times; each value reaches the handler.

    Attributes
    ----------
    of : Parameter
    most : int
        -223 beyond.
    """

    of: Parameter = Parameter()  # noqa: RUF009 - it cannot be changed
    most: int = 1_000_000
