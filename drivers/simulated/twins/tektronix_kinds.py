"""How a Tektronix scope spells: numbers, words in long or short form, headers in front of replies, and its events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from drivers.simulated.scpi_commands import Parameter
from drivers.simulated.scpi_errors import STANDARD_TEXTS, ScpiError
from drivers.simulated.twins.scpi_settings import Choice, Kind, Setting
from drivers.simulated.twins.scpi_values import Number

__all__ = ["Bandwidth", "Events", "OneOfTwo", "Spelled", "header_of", "nr3"]

EVENT_TEXTS = {
    401: "Power on; ",
    2244: "Source waveform is not active",
}
_EMPTY = '0,"No events to report - queue empty"'
_PENDING = '1,"No events to report - new events pending *ESR?"'


def nr3(value: float) -> str:
    """Spell a number with an exponent that is a multiple of three, ``100.0000E-3`` (the spelling is a default)."""
    if value == 0.0 or not math.isfinite(value):
        return "0.0000" if value == 0.0 else "9.9E+37"
    exponent = 3 * math.floor(math.log10(abs(value)) / 3 + 1e-12)
    mantissa = value / 10.0**exponent
    if abs(round(mantissa, 4)) >= 1000.0:
        exponent, mantissa = exponent + 3, mantissa / 1000.0
    return f"{mantissa:.4f}" + (f"E{exponent:+d}" if exponent else "")


def header_of(header: str, suffixes: tuple[int, ...], *, verbose: bool) -> str:
    """Return what stands in front of a reply: ``:CH1:SCALE`` or, short, ``:CH1:SCA``."""
    numbers = iter(suffixes)
    nodes = []
    for node in header.removesuffix("?").replace("[", "").replace("]", "").split(":"):
        name = node.rstrip("#")
        spelled = name.upper() if verbose else "".join(each for each in name if not each.islower())
        nodes.append(spelled + (str(next(numbers)) if node.endswith("#") else ""))
    return ":" + ":".join(nodes)


@dataclass(frozen=True)
class Spelled(Choice):
    """One of some words, answered in the long form with VERBose on and in the short one without."""

    def spelled(self, twin: Any, value: Any) -> str:  # noqa: D102
        if not twin.get("verbose"):
            return str(value)
        shorts = {"".join(c for c in word if not c.islower()): word.upper() for word in self.words}
        return shorts.get(value, str(value))


@dataclass(frozen=True)
class OneOfTwo(Kind):
    """One of two numbers, any other is -224: the termination of a channel."""

    values: tuple[float, float] = (50.0, 1e6)

    def parameter(self) -> Parameter:  # noqa: D102
        return Number(units=("OHM",))

    def taken(self, twin: Any, setting: Setting, n: int, sent: Any) -> float:  # noqa: D102
        if sent not in self.values:
            raise ScpiError(-224)
        return float(sent)

    def spelled(self, twin: Any, value: Any) -> str:  # noqa: D102
        return nr3(value)


@dataclass(frozen=True)
class Bandwidth(Kind):
    """A bandwidth in Hz or FULl, TWOfifty, TWEnty; answered in Hz."""

    def parameter(self) -> Parameter:  # noqa: D102
        return Number(units=("HZ",), words=("FULl", "TWOfifty", "TWEnty"))

    def taken(self, twin: Any, setting: Setting, n: int, sent: Any) -> float:  # noqa: D102
        words = {"FUL": twin.bandwidth_hz, "TWO": 250e6, "TWE": 20e6}
        wanted = words[sent] if isinstance(sent, str) else float(sent)
        limits = [20e6, 250e6, twin.bandwidth_hz]
        return float(next((each for each in limits if wanted <= each * 1.001), twin.bandwidth_hz))

    def spelled(self, twin: Any, value: Any) -> str:  # noqa: D102
        return nr3(value)


class Events:
    """The event queue: what happened is told only after ``*ESR?`` was read, and forgotten by the next ``*ESR?``."""

    def __init__(self) -> None:
        self.pending: list[tuple[int, str]] = []
        self.told: list[tuple[int, str]] = []

    def add(self, code: int, info: str) -> int:
        """Note an event by its SCPI code; returns the bit of the event status register it sets."""
        number = abs(code)
        text = EVENT_TEXTS.get(number) or STANDARD_TEXTS[code]
        self.pending.append((number, f"{text}; {info}" if info else text))
        if number == 401:
            return 0x80
        if 200 <= number < 300 or 2000 <= number < 3000:
            return 0x10
        if 100 <= number < 200:
            return 0x20
        return 0x04 if 400 <= number < 500 else 0x08

    def primed(self) -> None:
        """Act on ``*ESR?``."""
        self.told, self.pending = self.pending, []

    def clear(self) -> None:
        """Act on ``*CLS``."""
        self.told, self.pending = [], []

    def _nothing(self) -> str:
        return _PENDING if self.pending else _EMPTY

    def code(self) -> str:
        """``EVENT?``: the code of the oldest event."""
        return str(self.told.pop(0)[0]) if self.told else self._nothing().split(",", maxsplit=1)[0]

    def message(self) -> str:
        """``EVMsg?``: code and text of the oldest event."""
        return _quoted(self.told.pop(0)) if self.told else self._nothing()

    def all(self) -> str:
        """``ALLEv?``: codes and texts of all events."""
        told, self.told = self.told, []
        return ",".join(map(_quoted, told)) if told else self._nothing()


def _quoted(event: tuple[int, str]) -> str:
    return f'{event[0]},"{event[1].replace(chr(34), chr(34) * 2)}"'
