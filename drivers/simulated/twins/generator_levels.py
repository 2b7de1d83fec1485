"""Levels of a pulse generator: high, low, amplitude and offset are four views of two voltages behind 50 Ohm.

What is programmed is what the configured load would see. Kept is the voltage of the open output; a change of the
configured load changes what is answered and not what is given, and that is the trap (instruments §2.3). Ranges are
those into 50 Ohm, scaled to the configured load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch

__all__ = ["LevelLimits", "Levelled", "level_rows", "scale"]

INSIDE_OHM = 50.0
_INFINITE = 9.9e37


@dataclass(frozen=True)
class LevelLimits:
    """Ranges into 50 Ohm, volt."""

    amplitude_v: tuple[float, float]
    high_v: tuple[float, float]
    low_v: tuple[float, float]
    offset_v: tuple[float, float]
    load_ohm: tuple[float, float]
    infinite: bool


class Levelled(Protocol):
    """What this file needs of a twin."""

    levels: LevelLimits

    def get(self, name: str, n: int = 1) -> Any:
        """Return a setting."""

    def put(self, name: str, value: Any, n: int = 1) -> None:
        """Store a setting."""

    def error(self, code: int, info: str = "") -> None:
        """Queue an error."""


def scale(twin: Levelled, n: int) -> float:
    """Return what the configured load sees of the open output."""
    load = float(twin.get("load", n))
    return 1.0 if load >= _INFINITE else load / (load + INSIDE_OHM)


def _spans(twin: Levelled, n: int, span: tuple[float, float]) -> tuple[float, float]:
    factor = 2 * scale(twin, n)
    return span[0] * factor, span[1] * factor


def _level(twin: Levelled, n: int, name: str) -> float:
    high, low = twin.get("high_open", n), twin.get("low_open", n)
    value = {"high": high, "low": low, "amplitude": high - low, "offset": (high + low) / 2}[name]
    return float(value * scale(twin, n))


def _view(name: str) -> Callable[[Levelled, int], float]:
    """Return what answers a level: without the digits of arithmetic, and never -0."""
    return lambda twin, n: round(_level(twin, n, name), 9) + 0.0


def _store(twin: Levelled, n: int, high: float, low: float) -> None:
    """Take levels over, as the configured load sees them, unless a voltage limit forbids it."""
    if twin.get("limited", n) and (
        high > twin.get("limit_high", n) + 1e-9 or low < twin.get("limit_low", n) - 1e-9
    ):
        raise ScpiError(-222, "level exceeds voltage limit")
    factor = scale(twin, n)
    twin.put("high_open", round(high / factor, 12), n)
    twin.put("low_open", round(low / factor, 12), n)


def _write_edge(name: str) -> Callable[[Levelled, int, float], None]:
    """Return what sets the upper or the lower level; the other one gives way."""
    other = "low" if name == "high" else "high"

    def write(twin: Levelled, n: int, value: float) -> None:
        least, most = _spans(twin, n, twin.levels.amplitude_v)
        kept = _level(twin, n, other)
        apart = value - kept if name == "high" else kept - value
        if not least * (1 - 1e-9) <= apart <= most * (1 + 1e-9):
            wanted = min(max(apart, least), most)
            kept = value - wanted if name == "high" else value + wanted
            low, high = _spans(twin, n, twin.levels.low_v if name == "high" else twin.levels.high_v)
            if not low - 1e-9 <= kept <= high + 1e-9:
                raise ScpiError(-222)
            twin.error(-221, f"{other} level changed due to {name} level")
        _store(twin, n, *((value, kept) if name == "high" else (kept, value)))

    return write


def _write_amplitude(twin: Levelled, n: int, value: float) -> None:
    value = value / _unit_factor(twin, n) if twin.get("unit", n) != "DBM" else _volts_of_dbm(twin, n, value)
    least, most = _spans(twin, n, twin.levels.amplitude_v)
    if not least * (1 - 1e-9) <= value <= most * (1 + 1e-9):
        raise ScpiError(-222)
    bottom, top = _spans(twin, n, (twin.levels.low_v[0], twin.levels.high_v[1]))
    offset = _level(twin, n, "offset")
    fitting = min(max(offset, bottom + value / 2), top - value / 2)
    if not math.isclose(fitting, offset, abs_tol=1e-9):
        twin.error(-221, "offset changed due to amplitude")
        offset = fitting
    _store(twin, n, offset + value / 2, offset - value / 2)


def _write_offset(twin: Levelled, n: int, value: float) -> None:
    bottom, top = _spans(twin, n, (twin.levels.low_v[0], twin.levels.high_v[1]))
    least, _ = _spans(twin, n, twin.levels.amplitude_v)
    amplitude = _level(twin, n, "amplitude")
    if twin.get("shape", n) != "DC":
        fitting = min(amplitude, 2 * min(top - value, value - bottom))
        if fitting < least * (1 - 1e-9):
            raise ScpiError(-222)
        if fitting < amplitude - 1e-9:
            twin.error(-221, "amplitude changed due to offset")
            amplitude = fitting
    _store(twin, n, value + amplitude / 2, value - amplitude / 2)


# ---- units of the amplitude --------------------------------------------------------------------------------------


def _unit_factor(twin: Levelled, n: int) -> float:
    """Return the amplitude in its unit over the amplitude from peak to peak."""
    if twin.get("unit", n) == "VPP":
        return 1.0
    return {"SIN": 1 / (2 * math.sqrt(2)), "RAMP": 1 / (2 * math.sqrt(3)), "TRI": 1 / (2 * math.sqrt(3))}.get(
        twin.get("shape", n), 0.5
    )


def _volts_of_dbm(twin: Levelled, n: int, dbm: float) -> float:
    watt = 1e-3 * 10 ** (min(dbm, 100.0) / 10)
    return math.sqrt(watt * float(twin.get("load", n))) / _unit_factor(twin, n)


def _read_amplitude(twin: Levelled, n: int) -> float:
    value = _view("amplitude")(twin, n) * _unit_factor(twin, n)
    if twin.get("unit", n) == "DBM":
        return 10 * math.log10(value**2 / float(twin.get("load", n)) / 1e-3)
    return value


def _amplitude_span(twin: Levelled, n: int) -> tuple[float, float]:
    if twin.get("unit", n) == "DBM":
        return -100.0, 100.0  # what it means in volts is judged where it is stored
    low, high = _spans(twin, n, twin.levels.amplitude_v)
    return low * _unit_factor(twin, n), high * _unit_factor(twin, n)


def _unit_changed(twin: Levelled, n: int, old: Any) -> None:
    if twin.get("unit", n) == "DBM" and twin.get("load", n) >= _INFINITE:
        raise ScpiError(-221, "amplitude units changed to Vpp due to high-Z load")


def _limits_changed(twin: Levelled, n: int, old: Any) -> None:
    if not twin.get("limited", n):
        return
    if twin.get("high", n) > twin.get("limit_high", n) or twin.get("low", n) < twin.get("limit_low", n):
        raise ScpiError(-221, "voltage limit conflicts with level")


def _load_changed(twin: Levelled, n: int, old: Any) -> None:
    if twin.get("unit", n) == "DBM" and twin.get("load", n) >= _INFINITE:
        twin.put("unit", "VPP", n)
        twin.error(-221, "amplitude units changed to Vpp due to high-Z load")


def level_rows(
    headers: Mapping[str, tuple[str, ...]],
    limits: LevelLimits,
    load_reply: Callable[[float], str] | None,
) -> list[Setting]:
    """Return the settings of levels and load.

    Parameters
    ----------
    headers : mapping of str to tuple of str
        Headers of each setting by its name.
    limits : LevelLimits
    load_reply : callable, optional
        Spells the load, where it is spelled unlike other numbers.
    """

    def span(field: str) -> Callable[[Levelled, int], tuple[float, float]]:
        return lambda twin, n: _spans(twin, n, getattr(twin.levels, field))

    volts = ("V",)
    doubled = tuple(2 * edge for edge in (limits.low_v[0], limits.high_v[1]))
    return [
        Setting("high_open", (), Quantity(), 0.1),
        Setting("low_open", (), Quantity(), -0.1),
        Setting(
            "load",
            headers["load"],
            Quantity("OHM", span=limits.load_ohm, infinite=limits.infinite, reply=load_reply),
            50.0,
            then=_load_changed,
        ),
        Setting("unit", headers["unit"], Choice(("VPP", "VRMS", "DBM")), "VPP", then=_unit_changed),
        Setting(
            "amplitude",
            headers["amplitude"],
            Quantity(("V", "VPP", "VRMS", "DBM"), span=_amplitude_span),
            0.1,
            reads=_read_amplitude,
            writes=_write_amplitude,
        ),
        Setting(
            "offset",
            headers["offset"],
            Quantity(volts, span=span("offset_v")),
            0.0,
            reads=_view("offset"),
            writes=_write_offset,
        ),
        Setting(
            "high",
            headers["high"],
            Quantity(volts, span=span("high_v")),
            0.05,
            reads=_view("high"),
            writes=_write_edge("high"),
        ),
        Setting(
            "low",
            headers["low"],
            Quantity(volts, span=span("low_v")),
            -0.05,
            reads=_view("low"),
            writes=_write_edge("low"),
        ),
        Setting("limited", headers["limited"], Switch(), False, then=_limits_changed),
        Setting(
            "limit_high",
            headers["limit_high"],
            Quantity(volts, span=(doubled[0] + 0.01, doubled[1])),
            doubled[1],
            then=_limits_changed,
        ),
        Setting(
            "limit_low",
            headers["limit_low"],
            Quantity(volts, span=(doubled[0], doubled[1] - 0.01)),
            doubled[0],
            then=_limits_changed,
        ),
    ]
