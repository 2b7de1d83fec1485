"""Timing of a pulse generator: period, width, two edges, and the rule that ties them.

``period >= width + 1.6 x edge time`` (instruments §2.3; with two edges each counts half), and a plateau that is
reached: the width is no shorter than the halves of both edges. What does not fit is adjusted by the instrument and an
error is queued as well; which value gives way, and the words, are those of the 33220A family: width and edges to the
period, edges to the width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch
from drivers.simulated.twins.wave_shapes import FULL_EDGE

__all__ = ["Timed", "TimingLimits", "fit", "timing_rows"]

RULE = 0.8
"""How much of each edge counts against the period: 1.6 for two that are alike."""


@dataclass(frozen=True)
class TimingLimits:
    """Ranges of the times of a pulse, seconds; `frequency_hz` the highest by shape."""

    period_s: tuple[float, float]
    width_s: tuple[float, float]
    edge_s: tuple[float, float]
    duty_pct: tuple[float, float]
    frequency_hz: Mapping[str, float]


class Timed(Protocol):
    """What this file needs of a twin."""

    timing: TimingLimits

    def get(self, name: str, n: int = 1) -> Any:
        """Return a setting."""

    def put(self, name: str, value: Any, n: int = 1) -> None:
        """Store a setting."""

    def error(self, code: int, info: str = "") -> None:
        """Queue an error."""


def fit(twin: Timed, n: int, asked: str) -> None:
    """Adjust what does not fit to what was `asked` for: ``period``, ``width`` or ``edge``."""
    timing = twin.timing
    if asked == "period" and twin.get("hold", n) == "DCYC":
        twin.put("width", max(twin.get("duty", n) / 100 * twin.get("period", n), timing.width_s[0]), n)
    period, width = float(twin.get("period", n)), float(twin.get("width", n))
    lead, trail = float(twin.get("lead", n)), float(twin.get("trail", n))
    shortest = timing.edge_s[0]
    slack = 1e-9 * period
    if RULE * (lead + trail) + width > period + slack and asked in ("edge", "period"):
        room = max((period - width) / RULE, 2 * shortest)
        if room < lead + trail - slack:
            lead, trail = _shortened(lead, trail, room, shortest)
            twin.error(-221, "edge time decreased due to period")
    if RULE * (lead + trail) + width > period + slack:
        width = max(period - RULE * (lead + trail), timing.width_s[0])
        twin.error(-221, "pulse width decreased due to period")
    room = 2 * width / FULL_EDGE
    if lead + trail > max(room, 2 * shortest) * (1 + 1e-9):
        lead, trail = _shortened(lead, trail, max(room, 2 * shortest), shortest)
        twin.error(-221, "edge time decreased due to pulse width")
    twin.put("width", width, n)
    twin.put("lead", lead, n)
    twin.put("trail", trail, n)
    twin.put("duty", 100 * width / period, n)


def _shortened(lead: float, trail: float, room: float, shortest: float) -> tuple[float, float]:
    """Return both edges shortened alike to `room` in all, neither below the shortest."""
    lead = max(lead * room / (lead + trail), shortest)
    trail = max(min(trail, room - lead), shortest)
    return min(lead, room - trail), trail


def _shape_changed(twin: Timed, n: int, old: Any) -> None:
    shape = twin.get("shape", n)
    highest = twin.timing.frequency_hz.get(shape)
    if highest is not None and 1 / twin.get("period", n) > highest * (1 + 1e-9):
        twin.put("period", 1 / highest, n)
        twin.error(-221, f"frequency reduced for {_LONG.get(shape, 'user')} function")
    if shape == "PULS":
        fit(twin, n, "period")


_LONG = {"PULS": "pulse", "RAMP": "ramp", "TRI": "triangle", "SQU": "square", "PRBS": "PRBS", "SIN": "sine"}


def _frequency_span(twin: Timed, n: int) -> tuple[float, float]:
    return 1e-6, twin.timing.frequency_hz.get(twin.get("shape", n), 1 / twin.timing.period_s[0])


def _write_frequency(twin: Timed, n: int, value: float) -> None:
    twin.put("period", 1 / value, n)
    if twin.get("shape", n) == "PULS":
        fit(twin, n, "period")


def _then(asked: str) -> Callable[[Timed, int, Any], None]:
    return lambda twin, n, old: fit(twin, n, asked)


def _write_both(twin: Timed, n: int, value: float) -> None:
    twin.put("lead", value, n)
    twin.put("trail", value, n)
    twin.put("trail_follows", True, n)
    fit(twin, n, "edge")


def _lead_changed(twin: Timed, n: int, old: Any) -> None:
    if twin.get("trail_follows", n):
        twin.put("trail", twin.get("lead", n), n)
    fit(twin, n, "edge")


def _trail_changed(twin: Timed, n: int, old: Any) -> None:
    twin.put("trail_follows", False, n)
    fit(twin, n, "edge")


def _follow_changed(twin: Timed, n: int, old: Any) -> None:
    if twin.get("trail_follows", n):
        twin.put("trail", twin.get("lead", n), n)
        fit(twin, n, "edge")


def _write_duty(twin: Timed, n: int, value: float) -> None:
    low, high = twin.timing.width_s
    twin.put("width", min(max(value / 100 * twin.get("period", n), low), high), n)
    fit(twin, n, "width")


def _write_trailing_delay(twin: Timed, n: int, value: float) -> None:
    twin.put("width", max(value - twin.get("delay", n), twin.timing.width_s[0]), n)
    fit(twin, n, "width")


def timing_rows(
    headers: Mapping[str, tuple[str, ...]], limits: TimingLimits, shapes: tuple[str, ...]
) -> list[Setting]:
    """Return the settings of shape and times; see :func:`drivers.simulated.twins.generator_levels.level_rows`."""
    seconds = ("S",)

    def edge(name: str, then: Callable[[Timed, int, Any], None]) -> Setting:
        return Setting(
            name, headers[name], Quantity(seconds, span=limits.edge_s), limits.edge_s[0], then=then
        )

    return [
        Setting("shape", headers["shape"], Choice(shapes), "SIN", then=_shape_changed),
        Setting(
            "frequency",
            headers["frequency"],
            Quantity(("HZ",), span=_frequency_span),
            1e6,
            reads=lambda twin, n: 1 / twin.get("period", n),
            writes=_write_frequency,
        ),
        Setting(
            "period", headers["period"], Quantity(seconds, span=limits.period_s), 1e-6, then=_then("period")
        ),
        Setting(
            "width", headers["width"], Quantity(seconds, span=limits.width_s), 100e-9, then=_then("width")
        ),
        Setting(
            "duty_read",
            headers["duty"],
            Quantity(("PCT",), span=limits.duty_pct),
            10.0,
            reads=lambda twin, n: 100 * twin.get("width", n) / twin.get("period", n),
            writes=_write_duty,
        ),
        Setting("duty", (), Quantity(), 10.0),
        Setting(
            "trailing_delay",
            headers["trailing_delay"],
            Quantity(seconds, span=limits.width_s),
            100e-9,
            reads=lambda twin, n: twin.get("delay", n) + twin.get("width", n),
            writes=_write_trailing_delay,
        ),
        Setting("delay", headers["delay"], Quantity(seconds, span=(0.0, limits.period_s[1])), 0.0),
        Setting("hold", headers["hold"], Choice(("WIDTh", "DCYCle", "TDELay")), "WIDT"),
        edge("lead", _lead_changed),
        edge("trail", _trail_changed),
        Setting(
            "edges",
            headers["edges"],
            Quantity(seconds, span=limits.edge_s),
            limits.edge_s[0],
            reads=lambda twin, n: twin.get("lead", n),
            writes=_write_both,
        ),
        Setting("trail_follows", headers["trail_follows"], Switch(), True, then=_follow_changed),
        Setting("square_duty", headers["square_duty"], Quantity(("PCT",), span=(0.01, 99.99)), 50.0),
        Setting("symmetry", headers["symmetry"], Quantity(("PCT",), span=(0.0, 100.0)), 100.0),
        Setting("phase", headers["phase"], Quantity(("DEG",), span=(-360.0, 360.0)), 0.0),
    ]
