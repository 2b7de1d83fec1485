"""The data words of a B1500A: parsers of every format FMT chooses, with the status of each value.

Layouts are those of the Programming Guide, 1-26 to 1-53 (instruments §2.2). Where it gives no figure (range codes of
0.5 V and 5 V, full counts of 4-byte words, the parameter of a sampling index) the values are defaults [K]: compare one
reading in FMT 1 and in the binary format before relying on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMITED", "Words", "parse_ascii", "parse_eight", "parse_four", "spell"]

OVERFLOW, OSCILLATES, OTHER_LIMITED, LIMITED, NOT_FOUND, STOPPED, INVALID = 1, 2, 4, 8, 16, 32, 64
"""Bits of a status."""

_LETTERS = {"N": 0, "T": OTHER_LIMITED, "C": LIMITED, "V": OVERFLOW, "X": OSCILLATES, "F": OSCILLATES,
            "G": NOT_FOUND, "S": STOPPED, "U": 0, "D": 0, "W": 0, "E": 0}  # fmt: skip
_CODES = {0: 0, 1: OVERFLOW, 2: OSCILLATES, 3: OTHER_LIMITED, 4: LIMITED, 6: NOT_FOUND, 7: STOPPED}
_NUMBER = re.compile(r"[+-]?\d+\.?\d*(?:E[+-]?\d+)?")
_WORD = re.compile(r"([A-Z])([A-Za-z])([A-Z])([+-].*)")
_WORD_21 = re.compile(r"([ \d]{2}[ \dWE])([A-Za-z])([A-Za-z])([+-].*)")
_DUMMY = 1e99
"""199.999E+99 stands for no value."""

_VOLTS = {8: 0.5, 9: 5.0, 10: 0.2, 11: 2.0, 12: 20.0, 13: 40.0, 14: 100.0, 15: 200.0}
_SPANS = {
    "V": np.array([_VOLTS.get(code, np.nan) for code in range(256)]),
    "I": np.array([float(f"1e{code - 20}") if 8 <= code <= 28 else np.nan for code in range(256)]),
}
_PARAMETERS = {0: "V", 1: "I", 3: "T", 6: "X"}
_COUNT_8, _COUNT_4, _COUNT_4_SOURCE = 1e6, 5e4, 2e4


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Data in the order they came, arrays of one length.

    Attributes
    ----------
    kind : ndarray of str
        V, I, T (time, seconds) or X (sampling index); "" where the format has no headers.
    value : ndarray of float64
        Volt, ampere or second; NaN where the instrument says that there is none.
    status : ndarray of int
        Bits; 8: this channel is in compliance, 4: another one, 1: out of range.
    source : ndarray of bool
        A sweep's level, not measured.
    slot : ndarray of int
        0 where there is none.
    """

    kind: NDArray[np.str_]
    value: NDArray[np.float64]
    status: NDArray[np.int64]
    source: NDArray[np.bool_]
    slot: NDArray[np.int64]


def spell(value: float) -> str:
    """Spell a number as FLEX takes it."""
    return f"{value:.9g}".upper()


def _gathered(rows: list[tuple[str, float, int, bool, int]]) -> Words:
    kinds, values, statuses, sources, slots = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Words(
        np.array(kinds, dtype=np.str_),
        np.array(values, dtype=np.float64),
        np.array(statuses, dtype=np.int64),
        np.array(sources, dtype=np.bool_),
        np.array(slots, dtype=np.int64),
    )


def parse_ascii(text: str) -> Words:
    """Read data of FMT 1, 2, 5, 11, 12, 15, 21, 22 or 25; each word says itself which of them it is.

    Raises
    ------
    ValueError
        Something is no such word.
    """
    items = text.rstrip("\r\n").rstrip(",").split(",")
    return _gathered([_row(item) for item in items if item.strip("\r\n")])


def _row(item: str) -> tuple[str, float, int, bool, int]:
    item = item.strip("\r\n")
    if found := _WORD.fullmatch(item):
        letter, channel, kind, digits = found.groups()
        if letter not in _LETTERS:
            raise ValueError(f"{item!r} has an unknown status")
        return kind, _value(digits), _LETTERS[letter], letter in "WE", _slot(channel)
    if found := _WORD_21.fullmatch(item):
        status, channel, kind, digits = found.groups()
        source = status[2] in "WE" or kind in "vi"
        bits = 0 if source else int(status) & 0x7F
        return kind.upper(), _value(digits), bits, source, _slot(channel)
    return "", _value(item), 0, False, 0


def _value(digits: str) -> float:
    if not _NUMBER.fullmatch(digits):
        raise ValueError(f"{digits!r} is no number")
    value = float(digits)
    return np.nan if abs(value) > _DUMMY else value


def _slot(letter: str) -> int:
    return ord(letter.upper()) - ord("A") + 1 if letter.upper() in "ABCDEFGHIJ" else 0


def parse_eight(data: bytes) -> Words:
    """Read 8-byte words (FMT 13, 14), without what ends them.

    Raises
    ------
    ValueError
        The length is none of whole words, or a word has an unknown parameter or range.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    if raw.size % 8:
        raise ValueError(f"{raw.size} bytes are no whole number of 8-byte words")
    raw = raw.reshape(-1, 8)
    codes = raw[:, 0] & 0x7F
    if unknown := sorted(set(codes.tolist()) - _PARAMETERS.keys()):
        raise ValueError(f"unknown parameter {unknown[0]}")
    kind = np.array([_PARAMETERS[code] for code in codes.tolist()], dtype=np.str_)
    count = raw[:, 2:6].copy().view(">i4")[:, 0].astype(np.float64)
    value = np.where(count == -(2.0**31), np.nan, count)
    for each in "VI":
        mine = kind == each
        value[mine] *= _span(each, raw[mine, 1]) / _COUNT_8
    stamps = kind == "T"
    value[stamps] = _times(raw[stamps, 1:7])
    measured = raw[:, 0] >= 0x80
    status = np.where(measured, raw[:, 6], 0).astype(np.int64)
    source = ~measured & np.isin(kind, ["V", "I"])
    return Words(kind, value, status, source, _slots(raw[:, 7]))


def _span(kind: str, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    spans: NDArray[np.float64] = _SPANS[kind][codes]
    if np.isnan(spans).any():
        raise ValueError(f"unknown range {codes[np.isnan(spans)][0]}")
    return spans


def _times(raw: NDArray[np.uint8]) -> NDArray[np.float64]:
    wide = np.zeros((len(raw), 8), dtype=np.uint8)
    wide[:, 2:] = raw
    wide[:, :2] = np.where(raw[:, :1] >= 0x80, 0xFF, 0)
    times: NDArray[np.float64] = wide.view(">i8")[:, 0].astype(np.float64) * 1e-6
    times[times == -(2.0**47) * 1e-6] = np.nan
    return times


def _slots(channels: NDArray[np.uint8]) -> NDArray[np.int64]:
    number = (channels & 0x1F).astype(np.int64)
    return np.where(number <= 10, number, np.where(number <= 20, number - 10, 0))


def parse_four(data: bytes) -> Words:
    """Read 4-byte words (FMT 3, 4), without what ends them; they hold no times.

    Raises
    ------
    ValueError
        The length is none of whole words, or a word has an unknown range or status.
    """
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes are no whole number of 4-byte words")
    rows = []
    for word in np.frombuffer(data, dtype=">u4").tolist():
        measured, kind = word >> 31, "VI"[word >> 30 & 1]
        code, count, state = word >> 25 & 0x1F, word >> 8 & 0x1FFFF, word >> 5 & 7
        count -= (count & 0x10000) << 1
        if not measured and not code:
            rows.append(("X", float(count), 0, False, 0))
            continue
        span = float(_span(kind, np.array([code], dtype=np.uint8))[0])
        full = _COUNT_4 if measured else _COUNT_4_SOURCE
        value = np.nan if count == -(2**16) else count * span / full
        if measured and state not in _CODES:
            raise ValueError(f"unknown status {state}")
        channel = np.array([word & 0x1F], dtype=np.uint8)
        rows.append((kind, value, _CODES[state] if measured else 0, not measured, int(_slots(channel)[0])))
    return _gathered(rows)
