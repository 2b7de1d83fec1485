"""What is set and read on a Lake Shore 335 / 336 in several numbers at once, and what goes wrong there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from drivers.properties import Control, Part

__all__ = [
    "Checked",
    "ControlMode",
    "Filter",
    "HeaterSetup",
    "Pid",
    "Ramp",
    "Reading",
    "SensorType",
]

T = TypeVar("T")

STATUS_BITS = {
    1: "invalid reading",
    16: "temperature below the curve",
    32: "temperature above the curve",
    64: "sensor at zero: shorted",
    128: "sensor above its range: open",
}
"""Bits of ``RDGST?`` (instruments §2.9)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of an input.

    Attributes
    ----------
    kelvin : float
        Temperature; NaN where the instrument says that it is none.
    sensor : float
        In sensor units: V, Ohm or mV; NaN where the sensor is open or shorted.
    status : tuple of str
        Why there is no temperature; empty where there is one.
    """

    kelvin: float
    sensor: float
    status: tuple[str, ...] = ()

    @classmethod
    def parse(cls, kelvin: str, sensor: str, status: str) -> Reading:
        """Read the three replies of ``KRDG?``, ``SRDG?`` and ``RDGST?``."""
        bits = int(status)
        reasons = tuple(text for bit, text in STATUS_BITS.items() if bits & bit)
        if bits and not reasons:
            reasons = (f"status {bits}",)
        units = math.nan if bits & 0xC0 else float(sensor)
        return cls(math.nan if bits else float(kelvin), units, reasons)


def _in(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(f"{name} {value:g} is outside {low:g} .. {high:g}")
    return value


@dataclass(frozen=True, slots=True)
class Pid:
    """Control parameters: gain 0.1..1000, reset 0.1..1000 (1000 / seconds), rate 0..200 %."""

    p: float
    i: float
    d: float = 0.0

    @classmethod
    def parse(cls, reply: str) -> Pid:
        """Read the reply to ``PID?``."""
        p, i, d = (float(word) for word in reply.split(","))
        return cls(p, i, d)

    @staticmethod
    def spell(value: Pid) -> str:
        """Return what is sent."""
        p, i, d = _in("p", value.p, 0.1, 1000), _in("i", value.i, 0.1, 1000), _in("d", value.d, 0, 200)
        return f"{p:.1f},{i:.1f},{d:.0f}"


@dataclass(frozen=True, slots=True)
class Ramp:
    """How the setpoint moves to a new value: at once, or at `rate_k_s` (up to 100 K/min), kelvin per second."""

    on: bool
    rate_k_s: float = 0.0

    @classmethod
    def parse(cls, reply: str) -> Ramp:
        """Read the reply to ``RAMP?``, kelvin per minute."""
        on, rate = reply.split(",")
        return cls(bool(int(on)), float(rate) / 60.0)

    @staticmethod
    def spell(value: Ramp) -> str:
        """Return what is sent."""
        return f"{int(value.on)},{_in('rate, K/min,', value.rate_k_s * 60.0, 0.0, 100.0):.3f}"


_MODES = ("off", "closed-loop", "zone", "open-loop", "monitor", "warm-up")


@dataclass(frozen=True, slots=True)
class ControlMode:
    """What drives an output.

    Attributes
    ----------
    mode : str
        "off", "closed-loop", "zone", "open-loop"; "monitor" and "warm-up" on voltage outputs.
    input : str
        Letter of the input it controls; "" for none.
    after_power_on : bool
        Whether the heater stays on after a power failure.
    """

    mode: str
    input: str = ""
    after_power_on: bool = False

    @classmethod
    def parse(cls, reply: str) -> ControlMode:
        """Read the reply to ``OUTMODE?``."""
        mode, source, power_up = (int(word) for word in reply.split(","))
        return cls(_MODES[mode], " ABCD"[source].strip(), bool(power_up))

    @staticmethod
    def spell(value: ControlMode) -> str:
        """Return what is sent."""
        if value.mode not in _MODES or value.input not in ("", "A", "B", "C", "D"):
            raise ValueError(f"possible is {', '.join(_MODES)} with input A .. D or none")
        return f"{_MODES.index(value.mode)},{' ABCD'.index(value.input or ' ')},{int(value.after_power_on)}"


@dataclass(frozen=True, slots=True)
class HeaterSetup:
    """The load of an output: heater of 25 or 50 Ohm, greatest current, and what ``HTR?`` is a percentage of."""

    ohm: int
    limit_a: float
    percent_of: str = "current"

    @classmethod
    def parse(cls, reply: str, presets: tuple[float, ...]) -> HeaterSetup:
        """Read the reply to ``HTRSET?`` of a current output."""
        ohm, preset, user, shown = reply.split(",")[-4:]
        return cls(
            {1: 25, 2: 50}[int(ohm)],
            presets[int(preset)] or float(user),
            ("current", "power")[int(shown) - 1],
        )

    @staticmethod
    def spell(value: HeaterSetup, highest_a: float) -> str:
        """Return what is sent; the limit goes as the user's own."""
        code = {25: 1, 50: 2}[value.ohm]
        shown = {"current": 1, "power": 2}[value.percent_of]
        return f"{code},0,{_in('limit, A,', value.limit_a, 0.001, highest_a):.3f},{shown}"


_TYPES = ("disabled", "diode", "platinum", "ntc", "thermocouple", "capacitance")
_UNITS = ("kelvin", "celsius", "sensor")


@dataclass(frozen=True, slots=True)
class SensorType:
    """What an input measures with: type, range (None: automatic), current reversal, and the setpoint's units."""

    type: str
    range: int | None = None
    compensated: bool = True
    units: str = "kelvin"

    @classmethod
    def parse(cls, reply: str) -> SensorType:
        """Read the reply to ``INTYPE?``."""
        kind, auto, chosen, compensated, units = (int(word) for word in reply.split(","))
        return cls(_TYPES[kind], None if auto else chosen, bool(compensated), _UNITS[units - 1])

    @staticmethod
    def spell(value: SensorType) -> str:
        """Return what is sent."""
        if value.type not in _TYPES or value.units not in _UNITS:
            raise ValueError(f"possible is {', '.join(_TYPES)} in {', '.join(_UNITS)}")
        return (
            f"{_TYPES.index(value.type)},{int(value.range is None)},{value.range or 0},{int(value.compensated)},"
            f"{_UNITS.index(value.units) + 1}"
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """Averaging of an input: over 2..64 readings, begun anew after a step of 1..10 % of full scale."""

    on: bool
    readings: int = 8
    window_percent: int = 10

    @classmethod
    def parse(cls, reply: str) -> Filter:
        """Read the reply to ``FILTER?``."""
        on, readings, window = (int(word) for word in reply.split(","))
        return cls(bool(on), readings, window)

    @staticmethod
    def spell(value: Filter) -> str:
        """Return what is sent."""
        _in("readings", value.readings, 2, 64)
        return f"{int(value.on)},{value.readings},{_in('window, %,', value.window_percent, 1, 10):g}"


class Checked(Control[T], Generic[T]):
    """A command that is read back after it was sent: without an error queue only that shows what was taken.

    The read-back travels in the same message as the command.
    """

    def __set__(self, part: Part, value: T) -> None:
        unit: Any = part
        with unit.together():
            super().__set__(part, value)
            query = (self.query or "").format(**part.names)
            unit.expect(query, self._parse, self._parse(self._spell(value)), f"{self.name} of {part!r}")
