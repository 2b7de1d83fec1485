"""What can be set on a Lake Shore 335 / 336 by a header, a key and comma-separated values, and how it is answered.

Widths of numbers follow the formats printed in the maker's manuals where one was read (331, 335, 340); the others
are defaults in the same manner.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Field", "Refused", "Setting", "digits", "finite", "pieces", "settings_of"]

Value = float | int | str


class Refused(Exception):  # noqa: N818 - what happened
    """A parameter cannot be: execution error."""


def digits(value: float) -> str:
    """Return a number with a sign and six digits: ``+298.150``."""
    whole = len(str(int(abs(value))))
    return f"{value:+.{max(0, 6 - whole)}f}" if value else "+0.00000"


def pieces(text: str, separator: str) -> list[str]:
    """Split where the separator is not inside quotes."""
    found, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == separator and not quoted:
            found.append("")
        else:
            found[-1] += char
    return found


def finite(words: list[str]) -> list[float]:
    """Return numbers; raises Refused for what is none."""
    try:
        found = [float(word) for word in words]
    except ValueError:
        raise Refused(str(words)) from None
    if not all(map(math.isfinite, found)):
        raise Refused(str(words))
    return found


@dataclass(frozen=True)
class Field:
    """One value of a setting: what it may be and how it is answered."""

    low: float
    high: float
    show: Callable[[float], str]
    whole: bool = False
    text: int = 0

    def parse(self, word: str) -> Value:
        """Return the value a parameter stands for; raises Refused."""
        if self.text:
            return word.strip('"')[: self.text]
        try:
            value = float(word)
        except ValueError:
            raise Refused(word) from None
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            raise Refused(word)
        return int(value) if self.whole else value

    def shown(self, value: Value) -> str:
        """Return it as it is answered."""
        return f"{value:<{self.text}}" if isinstance(value, str) else self.show(value)


def _n(low: int, high: int, width: int = 1) -> Field:
    return Field(low, high, lambda value: f"{int(value):0{width}d}", whole=True)


def _r(low: float, high: float, form: str = "") -> Field:
    return Field(low, high, (lambda value: format(value, form)) if form else digits)


def _s(length: int) -> Field:
    return Field(-math.inf, math.inf, str, text=length)


@dataclass(frozen=True)
class Setting:
    """A header that can be set and asked for.

    Attributes
    ----------
    keys : tuple of str
        What the first parameter may be: inputs, outputs; empty where there is none.
    fields : tuple of Field
    default : tuple
        At power-on of a new instrument.
    key_2 : int
        Values of a second key, 1..n (zones); 0: none.
    """

    keys: tuple[str, ...]
    fields: tuple[Field, ...]
    default: tuple[Value, ...]
    key_2: int = 0


_ANY = 1e6


def settings_of(model: str, inputs: str, outputs: str) -> dict[str, Setting]:
    """Return the settings of a model by header."""
    ins, outs = tuple(inputs), tuple(outputs)
    volts = ("3", "4") if model == "336" else ("2",)
    amps = tuple(key for key in outs if model == "335" or key not in volts)
    setup: tuple[Value, ...] = (1, 2, 1.0, 1)
    heater: tuple[Field, ...] = (
        _n(1, 2),
        _n(0, 4),
        _r(0.0, 2.0 if model == "336" else 1.732, "+.3f"),
        _n(1, 2),
    )
    if model == "335":  # its outputs give current or voltage
        heater, setup = (_n(0, 1), *heater), (0, *setup)
    return {
        "INTYPE": Setting(ins, (_n(0, 5), _n(0, 1), _n(0, 8), _n(0, 1), _n(1, 3)), (2, 1, 0, 1, 1)),
        "INCRV": Setting(ins, (_n(0, 59, 2),), (6,)),
        "INNAME": Setting(ins, (_s(15),), ("",)),
        "TLIMIT": Setting(ins, (_r(0.0, 9999.0, "+05.0f"),), (0.0,)),
        "FILTER": Setting(ins, (_n(0, 1), _n(2, 64, 2), _n(1, 10, 2)), (0, 8, 10)),
        "DIOCUR": Setting(ins, (_n(0, 1),), (0,)),
        "SETP": Setting(outs, (_r(-_ANY, _ANY),), (0.0,)),
        "PID": Setting(
            outs, (_r(0.1, 1000.0, "+07.1f"), _r(0.1, 1000.0, "+07.1f"), _r(0.0, 200.0, "+05.0f")), (50.0, 20.0, 0.0)
        ),
        "RAMP": Setting(outs, (_n(0, 1), _r(0.0, 100.0)), (0, 0.0)),
        "RANGE": Setting(outs, (_n(0, 3),), (0,)),
        "OUTMODE": Setting(outs, (_n(0, 5), _n(0, len(ins)), _n(0, 1)), (1, 1, 0)),
        "HTRSET": Setting(amps, heater, setup),
        "MOUT": Setting(outs, (_r(0.0, 100.0, "+07.2f"),), (0.0,)),
        "WARMUP": Setting(volts, (_n(0, 1), _r(0.0, 100.0, "+07.2f")), (0, 0.0)),
        "ANALOG": Setting(
            volts, (_n(0, len(ins)), _n(1, 3), _r(-_ANY, _ANY), _r(-_ANY, _ANY), _n(0, 1)), (0, 1, 1000.0, 0.0, 0)
        ),
        "ZONE": Setting(
            outs,
            (
                _r(0.0, _ANY), _r(0.1, 1000.0, "+07.1f"), _r(0.1, 1000.0, "+07.1f"), _r(0.0, 200.0, "+05.0f"),
                _r(0.0, 100.0, "+07.2f"), _n(0, 3), _n(0, len(ins)), _r(0.0, 100.0),
            ),
            (0.0, 50.0, 20.0, 0.0, 0.0, 0, 0, 0.0),
            key_2=10,
        ),
        "BRIGT": Setting((), (_n(0, 32, 2),), (25,)),
        "LEDS": Setting((), (_n(0, 1),), (1,)),
        "LOCK": Setting((), (_n(0, 1), _n(0, 999, 3)), (0, 123)),
        "MODE": Setting((), (_n(0, 2),), (0,)),
        "IEEE": Setting((), (_n(1, 30, 2),), (12,)),
        "INTSEL": Setting((), (_n(0, 2),), (1,)),
    }  # fmt: skip
