"""Patterns of the waveform generator of a B1500A as Python objects, checked when they are made (instruments §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from drivers.errors import SettingOutOfRange
from drivers.roles import PulseShape

__all__ = ["CURRENTS", "MeasureEvent", "Pattern", "RangeEvent", "coded", "refused"]

GRID_S = 10e-9
_STEP_S = (10e-9, 10_995.1)
_INTERVAL_S = (10e-9, 1.342)
_AVERAGE_S = (10e-9, 20e-3)

CURRENTS = {1e-6: 6001, 10e-6: 6002, 100e-6: 6003, 1e-3: 6004, 10e-3: 6005}
"""Measuring range -> its code."""


@dataclass(frozen=True, slots=True)
class MeasureEvent:
    """Measurements in a pattern.

    Attributes
    ----------
    name : str
    start_s : float
        From the pattern's beginning, on the 10 ns grid.
    points : int
    interval_s : float
        10 ns to 1.342 s.
    average_s : float
        0, or 10 ns to 20 ms.
    raw : bool
        Every 5 ns sample instead of their average.
    """

    name: str
    start_s: float
    points: int
    interval_s: float
    average_s: float = 0.0
    raw: bool = False

    @property
    def stop_s(self) -> float:
        """When the last point is over."""
        return self.start_s + self.interval_s * (self.points - 1) + self.average_s


@dataclass(frozen=True, slots=True)
class RangeEvent:
    """A change of the current range in a pattern: ``range_a`` from `start_s` on."""

    name: str
    start_s: float
    range_a: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """Straight lines between points, and what is measured on the way.

    Attributes
    ----------
    name : str
    start_v : float
        Voltage at its beginning.
    vectors : tuple of (float, float)
        How long a line takes, seconds on the 10 ns grid, and the voltage it ends at.
    measures, ranges : tuple of MeasureEvent, RangeEvent

    Raises
    ------
    SettingOutOfRange
        The module cannot play it.
    """

    name: str
    start_v: float
    vectors: tuple[tuple[float, float], ...]
    measures: tuple[MeasureEvent, ...] = ()
    ranges: tuple[RangeEvent, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.name or not self.name.isascii():
            raise refused("name", self.name, "a pattern needs a name of ASCII characters")
        if not self.vectors:
            raise refused("vectors", 0, f"pattern {self.name} has no vectors")
        for step_s, _ in self.vectors:
            _on_grid(f"step of {self.name}", step_s, *_STEP_S)
        for event in self.measures:
            self._check(event)
        for change in self.ranges:
            _on_grid(f"start of {change.name}", change.start_s, 0.0, self.duration_s)
            coded(CURRENTS, "range_a", change.range_a)

    def _check(self, event: MeasureEvent) -> None:
        _on_grid(f"start of {event.name}", event.start_s, 0.0, self.duration_s)
        _on_grid(f"interval of {event.name}", event.interval_s, *_INTERVAL_S)
        if event.average_s:
            _on_grid(f"average of {event.name}", event.average_s, *_AVERAGE_S)
        if event.points < 1 or event.average_s > event.interval_s * (1 + 1e-9):
            raise refused("points", event.points, f"{event.name} needs points that do not overlap")
        if event.stop_s > self.duration_s + 1e-12:
            raise refused(
                "points", event.points, f"{event.name} ends behind the {self.duration_s:g} s of {self.name}"
            )

    @property
    def duration_s(self) -> float:
        """How long it takes, seconds."""
        return round(sum(step_s for step_s, _ in self.vectors) / GRID_S) * GRID_S

    @property
    def levels_v(self) -> NDArray[np.float64]:
        """Every voltage it goes through."""
        return np.array([self.start_v, *(level for _, level in self.vectors)])

    @classmethod
    def pulse(cls, name: str, shape: PulseShape, level_v: float) -> Pattern:
        """Return a trapezoid from 0 V, its period the pattern's length; times are put on the 10 ns grid."""
        steps = [max(1, round(each / GRID_S)) for each in (shape.rise_s, shape.top_s, shape.fall_s)]
        rest = max(1, round(shape.period_s / GRID_S) - sum(steps))
        ends = (level_v, level_v, 0.0, 0.0)
        return cls(name, 0.0, tuple((n * GRID_S, end) for n, end in zip([*steps, rest], ends, strict=True)))

    def then(self, other: Pattern, name: str) -> Pattern:
        """Return this pattern and another one behind it, without what they measure."""
        joint = () if other.start_v == self.vectors[-1][1] else ((GRID_S, other.start_v),)
        return Pattern(name, self.start_v, (*self.vectors, *joint, *other.vectors))

    def scaled(self, name: str, *, time: float = 1.0, voltage: float = 1.0) -> Pattern:
        """Return it stretched in time and voltage, without what it measures."""
        vectors = tuple((step_s * time, level * voltage) for step_s, level in self.vectors)
        return Pattern(name, self.start_v * voltage, vectors)

    def measuring(self, *events: MeasureEvent) -> Pattern:
        """Return it with measurements."""
        return replace(self, measures=(*self.measures, *events))


def refused(setting: str, value: object, why: str) -> SettingOutOfRange:
    """Return the error for a setting that the module cannot take."""
    return SettingOutOfRange(
        f"{setting} = {value!r} cannot be set: {why}; nothing was sent", setting=setting, value=value
    )


def coded(codes: Mapping[float, int], setting: str, value: float) -> int:
    """Return the code of a value that comes in steps."""
    for known, code in codes.items():
        if abs(value - known) <= 1e-6 * known:
            return code
    raise refused(setting, value, f"there are {', '.join(f'{each:g}' for each in codes)}")


def _on_grid(what: str, value_s: float, low_s: float, high_s: float) -> None:
    if not low_s - 1e-12 <= value_s <= high_s * (1 + 1e-12) or abs(
        value_s / GRID_S - round(value_s / GRID_S)
    ) > max(1e-3, 1e-9 * value_s / GRID_S):
        raise SettingOutOfRange(
            f"{what} = {value_s:g} s has to be {low_s:g} .. {high_s:g} s in steps of 10 ns; nothing was sent",
            setting=what,
            value=value_s,
            low=low_s,
            high=high_s,
        )
