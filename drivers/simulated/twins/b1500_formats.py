"""The data words of a B1500A, byte for byte: ASCII with 12 or 13 digits, 4-byte and 8-byte binary.

Layouts are those of the Programming Guide, 1-26 to 1-53 (instruments §2.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["FORMATS", "Datum", "general", "number", "words"]

OVERFLOW, OSCILLATES, OTHER_LIMITED, LIMITED, NOT_FOUND, STOPPED, END_OF_DATA = 1, 2, 4, 8, 16, 32, 128
"""Bits of a status."""

FORMATS = (1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 21, 22, 25)

_LETTERS = (
    (OSCILLATES, "X"),
    (OVERFLOW, "V"),
    (LIMITED, "C"),
    (OTHER_LIMITED, "T"),
    (STOPPED, "S"),
    (NOT_FOUND, "G"),
)
_CODES = ((LIMITED, 4), (OTHER_LIMITED, 3), (OSCILLATES, 2), (OVERFLOW, 1), (STOPPED, 7), (NOT_FOUND, 6))
_TERMINATORS = {3: b"\r\n", 4: b"", 13: b"\r\n", 14: b""}

MISC_CHANNEL = 31
"""Channel number of data of no channel in binary words: a default [K]; the letter is Z."""

_PARAMETERS = {"V": 0, "I": 1, "T": 3, "X": 6}
"""Of 8-byte words; the time's is published with an example, the sampling index's is a default [K]."""

_VOLTAGE_CODES = {0.2: 10, 0.5: 8, 2.0: 11, 5.0: 9, 20.0: 12, 40.0: 13, 100.0: 14, 200.0: 15}
"""Range codes of voltages in binary words; 11 to 15 are also those of commands, the others are defaults [K]."""

_COUNT_8 = 1_000_000
_COUNT_4, _COUNT_4_SOURCE = 50_000, 20_000
"""Counts of a full range, measured and sourced: defaults [K]."""


@dataclass(frozen=True, slots=True)
class Datum:
    """One word of the output.

    Attributes
    ----------
    kind : str
        V, I, T (time) or X (sampling index).
    value : float or None
        None: there is none, 199.999E+99 is sent for it.
    span : float
        Range it was measured or sourced on.
    slot, sub : int
        Channel; slot 0: of none.
    status : int
        Bits.
    source : bool
        A sweep's level, not measured.
    last : bool
        Of the sweep's last step.
    adc : int
        0 high speed, 1 high resolution.
    """

    kind: str
    value: float | None
    span: float
    slot: int
    sub: int = 1
    status: int = 0
    source: bool = False
    last: bool = False
    adc: int = 0

    @property
    def letter(self) -> str:
        """Of the channel."""
        if not self.slot:
            return "Z"
        return (" ABCDEFGHIJ" if self.sub == 1 else " abcdefghij")[self.slot]

    @property
    def channel(self) -> int:
        """Number in binary words; second sub-channels behind the first ones are a default [K]."""
        return self.slot + (10 if self.sub == 2 else 0) if self.slot else MISC_CHANNEL


def number(value: float, span: float, digits: int = 12) -> str:
    """Spell a value of a range: snnn.nnnEsnn, snn.nnnnEsnn or sn.nnnnnEsnn, one place more with 13 digits."""
    decade = math.floor(round(math.log10(span), 9))
    exponent = 3 * (decade // 3)
    places = digits - 6 - (decade - exponent + 1)
    return f"{value / 10.0**exponent:+0{digits - 4}.{places}f}E{exponent:+03d}"


def general(value: float) -> str:
    """Spell a number that belongs to no range, with a capital E."""
    return f"{value:.9g}".upper()


def _spelled(datum: Datum, digits: int) -> str:
    if datum.value is None:
        return f"+199.{'9' * (digits - 9)}E+99"
    if datum.kind in "TX":
        return number(datum.value, 10.0 ** max(0, math.floor(math.log10(max(abs(datum.value), 1.0)))), digits)
    return number(datum.value, datum.span, digits)


def _letter(datum: Datum) -> str:
    if datum.source:
        return "E" if datum.last else "W"
    return next((letter for bit, letter in _LETTERS if datum.status & bit), "N")


def _text(datum: Datum, style: int, *, last: bool) -> str:
    digits = 12 if style in (1, 2, 5) else 13
    spelled = _spelled(datum, digits)
    if style in (2, 12, 22):
        return spelled
    if style in (21, 25):
        status = (
            f"  {_letter(datum)}" if datum.source else f"{datum.status | (END_OF_DATA if last else 0):03d}"
        )
        kind = datum.kind.lower() if datum.source else datum.kind
        return f"{status}{datum.letter}{kind}{spelled}"
    return f"{_letter(datum)}{datum.letter}{datum.kind}{spelled}"


def _range_code(datum: Datum) -> int:
    if datum.kind == "V":
        return _VOLTAGE_CODES[datum.span]
    return 20 + round(math.log10(datum.span)) if datum.kind == "I" else 0


def _eight(datum: Datum) -> bytes:
    if datum.kind == "T":
        count = round((datum.value or 0.0) * 1e6)
        return bytes((_PARAMETERS["T"],)) + count.to_bytes(6, "big", signed=True) + bytes((datum.channel,))
    kind = _PARAMETERS[datum.kind] | (0 if datum.source or datum.kind == "X" else 0x80)
    if datum.value is None:
        count = -(2**31)
    else:
        count = round(datum.value if datum.kind == "X" else datum.value / datum.span * _COUNT_8)
    status = (2 if datum.last else 1) if datum.source else datum.status
    head = bytes((kind, _range_code(datum)))
    return head + count.to_bytes(4, "big", signed=True) + bytes((status, datum.adc << 5 | datum.channel))


def _four(datum: Datum) -> bytes:
    """Of measured and sourced data and indices; there are no times in this format."""
    measured = not datum.source and datum.kind != "X"
    if datum.value is None:
        count = -(2**16)
    elif datum.kind == "X":
        count = round(datum.value)
    else:
        count = round(datum.value / datum.span * (_COUNT_4 if measured else _COUNT_4_SOURCE))
    measured_state = next((code for bit, code in _CODES if datum.status & bit), 0)
    status = measured_state if not datum.source else 2 if datum.last else 1
    word = measured << 31 | (datum.kind == "I") << 30 | _range_code(datum) << 25
    return (word | (count & 0x1FFFF) << 8 | status << 5 | datum.channel).to_bytes(4, "big")


def words(data: Sequence[Datum], style: int) -> bytes:
    """Return the data of one measurement as ``FMT style`` sends them."""
    if style in (3, 4):
        return b"".join(_four(datum) for datum in data if datum.kind != "T") + _TERMINATORS[style]
    if style in (13, 14):
        return b"".join(map(_eight, data)) + _TERMINATORS[style]
    end = len(data) - 1
    spelled = ",".join(_text(datum, style, last=at == end) for at, datum in enumerate(data))
    return (spelled + ("," if style in (5, 15, 25) else "\r\n")).encode()
