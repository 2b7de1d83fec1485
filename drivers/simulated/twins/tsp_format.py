"""How a TSP instrument spells what it prints: numbers, nil, blocks of REAL32 and REAL64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from lupa.lua51 import lua_type

from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_objects import NOT_ALLOWED, TOO_BIG, WRONG_TYPE, Column, Node, one_of, whole

__all__ = ["NOT_A_NUMBER", "Format"]

ASCII, REAL32, REAL64 = 1, 2, 3
BIG_ENDIAN, LITTLE_ENDIAN = 0, 1

NOT_A_NUMBER = 9.91e37
"""What stands for a value there is not (instruments §2.1)."""


class Format(Node):
    """The ``format`` object: data, asciiprecision, byteorder (instruments §2.1; little-endian after a reset)."""

    def __init__(self) -> None:
        super().__init__()
        self.add(ASCII=ASCII, SREAL=REAL32, REAL32=REAL32, REAL=REAL64, REAL64=REAL64, DREAL=REAL64)
        self.add(NORMAL=BIG_ENDIAN, NETWORK=BIG_ENDIAN, BIGENDIAN=BIG_ENDIAN)
        self.add(SWAPPED=LITTLE_ENDIAN, LITTLEENDIAN=LITTLE_ENDIAN)
        self.setting("data", ASCII, one_of(ASCII, REAL32, REAL64))
        self.setting("asciiprecision", 6, whole(1, 16))
        self.setting("byteorder", LITTLE_ENDIAN, one_of(BIG_ENDIAN, LITTLE_ENDIAN))

    def number(self, value: float) -> str:
        """Spell a number: ``1.00000e-03``."""
        return f"{float(value):.{self['asciiprecision'] - 1}e}"

    def value(self, value: Any) -> str:
        """Spell what ``print`` gets; tables and functions have their kind for a name."""
        if value is None:
            return "nil"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return self.number(value)
        if isinstance(value, str):
            return value
        return "table" if isinstance(value, Node) else str(lua_type(value))

    def line(self, values: Iterable[Any]) -> bytes:
        """Return the message of one ``print``."""
        return "\t".join(map(self.value, values)).encode("latin-1", "replace") + b"\n"

    def numbers(self, values: list[float]) -> bytes:
        """Return the message of one ``printnumber`` or ``printbuffer``."""
        if self["data"] == ASCII:
            return ", ".join(map(self.number, values)).encode() + b"\n"
        order = "<" if self["byteorder"] == LITTLE_ENDIAN else ">"
        kind = "f4" if self["data"] == REAL32 else "f8"
        with np.errstate(over="ignore"):
            block = np.asarray(values, dtype=order + kind).tobytes()
        return b"#0" + block + b"\n"

    def printed_numbers(self, *values: Any) -> list[float]:
        """Return the numbers ``printnumber`` was given."""
        if not values or not all(isinstance(value, int | float) for value in values):
            raise Refused(*WRONG_TYPE)
        return [float(value) for value in values]

    def printed_buffers(self, *arguments: Any) -> tuple[list[float], Refused | None]:
        """Return what ``printbuffer(first, last, ...)`` prints, several sub-tables interleaved.

        An index with no reading behind it prints 9.91e37 and is an error besides (instruments §2.1).
        """
        if len(arguments) < 3:
            raise Refused(-109, "Missing parameter")
        first, last, *sources = arguments
        if not all(isinstance(edge, int | float) for edge in (first, last)):
            raise Refused(*WRONG_TYPE)
        if first < 1 or last < first:
            raise Refused(*NOT_ALLOWED)
        columns = [_numbers_of(source) for source in sources]
        indices = range(int(first) - 1, int(last))
        if len(indices) * len(columns) > _MOST_NUMBERS:
            raise Refused(*TOO_BIG)
        printed = [
            column[index] if index < len(column) else NOT_A_NUMBER for index in indices for column in columns
        ]
        beyond = any(int(last) > len(column) for column in columns)
        return printed, Refused(*TOO_BIG) if beyond else None


_MOST_NUMBERS = 1_000_000


def _numbers_of(source: Any) -> list[float]:
    if isinstance(source, Node):
        column = source if isinstance(source, Column) else source["readings"]
        if isinstance(column, Column):
            return [float(value) for value in column.values()]
    elif hasattr(source, "values"):
        values = [source[index] for index in range(1, len(source) + 1)]
        if all(isinstance(value, int | float) for value in values):
            return [float(value) for value in values]
    raise Refused(*WRONG_TYPE)
