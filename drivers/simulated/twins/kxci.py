"""The command language of KXCI: two-letter commands of the HP 4145 line, and headers that begin with a colon.

::

    US;DV1,0,3.3,0.01               two commands, DV with four arguments
    CH 1, 'VS', 'IS', 1, 3          blanks after the letters do not matter, names are quoted
    SM DM2                          a page, then a command of it
    :PMU:MEASURE:RANGE 1, 2, 1e-3   header up to the first blank
    EX lib module(1.5,,100)         one command to the end of the message, semicolons and all
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from drivers.simulated.twins.kxci_errors import KxciError

__all__ = ["PAGES", "Command", "commands", "number", "numbers", "spell", "whole"]

PAGES = ("DE", "SS", "SM", "MD", "US", "UL")
"""Words that choose a page of the system mode, the user mode or the user libraries."""

_PIECE = re.compile(r"""((?:'[^']*'|"[^"]*"|[^;'"]|['"])*?)(?:;|$)""", re.DOTALL)
_ARGUMENT = re.compile(r"""\s*('[^']*'|"[^"]*"|[^,]*)\s*(?:,|$)""")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it is called, in capitals, and what follows it.

    Attributes
    ----------
    header : str
        ``DV``, ``*IDN?``, ``:PMU:INIT``.
    arguments : list of str
        Without blanks around them and without quotes.
    rest : str
        Everything behind the header, as it was sent.
    """

    header: str
    arguments: list[str]
    rest: str


def commands(message: str) -> list[Command]:
    """Take a message apart.

    Raises
    ------
    KxciError
        -992 for what is no command at all.
    """
    found: list[Command] = []
    for piece in _pieces(message):
        while piece:
            command, piece = _first(piece)
            found.append(command)
    return found


def _pieces(message: str) -> list[str]:
    pieces: list[str] = []
    rest = message.strip()
    while rest:
        if rest[:2].upper() == "EX":
            return [*pieces, rest]
        match = _PIECE.match(rest)
        end = match.end() if match and match.end() else len(rest)
        piece = (match.group(1) if match else rest).strip()
        if piece:
            pieces.append(piece)
        rest = rest[end:].lstrip()
    return pieces


def _first(piece: str) -> tuple[Command, str]:
    """Return the first command of a piece, and the commands of the page it chooses."""
    if piece.startswith((":", "*")):
        header, _, rest = piece.partition(" ")
        return Command(header.upper(), _arguments(rest), rest), ""
    header, rest = piece[:2].upper(), piece[2:].strip()
    if not header.isalpha():
        raise KxciError(-992)
    if header in PAGES:
        return Command(header, [], ""), rest
    return Command(header, _arguments(rest), rest), ""


def _arguments(text: str) -> list[str]:
    if not text.strip():
        return []
    found, at = [], 0
    while at <= len(text):
        match = _ARGUMENT.match(text, at)
        if match is None:
            raise KxciError(-993)
        value = match.group(1).strip()
        found.append(value[1:-1] if value[:1] in ("'", '"') else value)
        if match.end() == len(text) and not text.endswith(","):
            break
        if match.end() == at:
            break
        at = match.end()
    return found


def number(text: str, *, code: int = -993) -> float:
    """Read a number; KxciError `code` for what is none."""
    try:
        value = float(text)
    except ValueError:
        raise KxciError(code) from None
    if not math.isfinite(value):
        raise KxciError(code)
    return value


def numbers(texts: list[str], *, least: int, most: int | None = None, code: int = -993) -> list[float]:
    """Read between `least` and `most` numbers."""
    if not least <= len(texts) <= (least if most is None else most):
        raise KxciError(code)
    return [number(text, code=code) for text in texts]


def whole(text: str, *, low: int, high: int, code: int = -993) -> int:
    """Read an integer between two others."""
    value = number(text, code=code)
    if value != int(value) or not low <= value <= high:
        raise KxciError(code)
    return int(value)


def spell(value: float, digits: int = 5) -> str:
    """Write a reading the way of the instrument, with an exponent that is a multiple of three: ``22.329E-09``."""
    if value == 0.0:
        return f"{0:.{digits - 1}f}E+00"
    exponent = 3 * math.floor(math.log10(abs(value)) / 3)
    mantissa = value / 10.0**exponent
    places = max(digits - 1 - max(0, math.floor(math.log10(abs(mantissa)))), 0)
    if abs(round(mantissa, places)) >= 1000.0:
        exponent, mantissa = exponent + 3, mantissa / 1000.0
        places = digits - 1
    return f"{mantissa:.{places}f}E{exponent:+03d}"
