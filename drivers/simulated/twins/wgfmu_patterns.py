"""Patterns inside the simulated WGFMU library: points, what is measured between them, and patterns made of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from drivers.instruments import keysight_wgfmu_library as lib

__all__ = ["CURRENT_A", "Event", "Pattern", "Patterns"]

OUT_OF_RANGE, ILLEGAL, NO_PATTERN, EXISTS, NOT_READY, OUT_OF_DATE = -1, -2, -10, -12, -14, -15

_GRID_S = 10e-9
_STEP_S = (10e-9, 10_995.1)
_INTERVAL_S = (10e-9, 1.342)
_AVERAGE_S = (10e-9, 20e-3)
_SLACK = 1e-9

CURRENT_A = {6001: 1e-6, 6002: 1e-5, 6003: 1e-4, 6004: 1e-3, 6005: 1e-2}
"""Code of a current range -> its amperes."""


@dataclass(slots=True)
class Event:
    """Measurements in a pattern."""

    start_s: float
    points: int
    interval_s: float
    average_s: float
    raw: bool


@dataclass(slots=True)
class Pattern:
    """Points in time and voltage, with what is measured and which ranges are chosen on the way."""

    times_s: list[float]
    levels_v: list[float]
    measures: dict[str, Event] = field(default_factory=dict)
    ranges: list[tuple[float, int]] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """How long it takes, seconds."""
        return self.times_s[-1]


class Patterns:
    """The functions of the library that make patterns; each returns an error code, and deletes results not read yet."""

    # ruff: noqa: D102 - the functions are described in drivers.instruments.keysight_wgfmu_library

    def __init__(self) -> None:
        self._patterns: dict[str, Pattern] = {}
        self._results = NOT_READY
        self._said: list[str] = []

    def _fail(self, code: int, why: str) -> int:
        self._said.append(why)
        return code

    def _outdate(self) -> None:
        """Note a change of the set-up: it deletes what was not read."""
        if self._results == 0:
            self._results = OUT_OF_DATE

    def create_pattern(self, pattern: str, start_v: float) -> int:
        if pattern in self._patterns:
            return self._fail(EXISTS, f"there is a pattern {pattern}")
        if not pattern:
            return self._fail(ILLEGAL, "a pattern needs a name")
        self._patterns[pattern] = Pattern([0.0], [start_v])
        self._outdate()
        return 0

    def add_vectors(self, pattern: str, steps_s: Sequence[float], levels_v: Sequence[float]) -> int:
        made = self._patterns.get(pattern)
        if made is None:
            return self._fail(NO_PATTERN, f"there is no pattern {pattern}")
        if not all(_STEP_S[0] * (1 - _SLACK) <= each <= _STEP_S[1] for each in steps_s):
            return self._fail(OUT_OF_RANGE, "a vector takes 10 ns to 10995.1 s")
        for step_s, level in zip(steps_s, levels_v, strict=True):
            made.times_s.append(_grid(made.times_s[-1] + step_s))
            made.levels_v.append(level)
        self._outdate()
        return 0

    def set_vectors(self, pattern: str, times_s: Sequence[float], levels_v: Sequence[float]) -> int:
        made = self._patterns.get(pattern)
        if made is None:
            return self._fail(NO_PATTERN, f"there is no pattern {pattern}")
        if min(times_s, default=0.0) < 0:
            return self._fail(OUT_OF_RANGE, "a point lies before the pattern")
        points = dict(zip(made.times_s, made.levels_v, strict=True))
        points |= {_grid(time): level for time, level in zip(times_s, levels_v, strict=True)}
        made.times_s, made.levels_v = (list(each) for each in zip(*sorted(points.items()), strict=True))
        self._outdate()
        return 0

    def create_merged_pattern(self, pattern: str, first: str, second: str, axis: int) -> int:
        made = self._derived(pattern, first, second)
        if isinstance(made, int):
            return made
        one, two = made
        if axis == lib.AXIS_TIME:
            times = [*one.times_s, *(_grid(one.duration_s + each) for each in two.times_s[1:])]
            self._patterns[pattern] = Pattern(times, [*one.levels_v, *two.levels_v[1:]])
        elif axis == lib.AXIS_VOLTAGE:
            times = sorted({*one.times_s, *two.times_s})
            total = sum(np.interp(times, each.times_s, each.levels_v) for each in made)
            self._patterns[pattern] = Pattern(times, np.asarray(total).tolist())
        else:
            return self._fail(OUT_OF_RANGE, f"there is no axis {axis}")
        return 0

    def create_multiplied_pattern(
        self, pattern: str, of: str, time_factor: float, voltage_factor: float
    ) -> int:
        made = self._derived(pattern, of)
        if isinstance(made, int):
            return made
        if time_factor <= 0:
            return self._fail(OUT_OF_RANGE, "time is stretched by positive factors")
        times = [_grid(each * time_factor) for each in made[0].times_s]
        self._patterns[pattern] = Pattern(times, [each * voltage_factor for each in made[0].levels_v])
        return 0

    def create_offset_pattern(self, pattern: str, of: str, time_s: float, voltage_v: float) -> int:
        made = self._derived(pattern, of)
        if isinstance(made, int):
            return made
        if time_s < 0:
            return self._fail(OUT_OF_RANGE, "a pattern is shifted to later times only")
        levels = [each + voltage_v for each in made[0].levels_v]
        times = [_grid(each + time_s) for each in made[0].times_s]
        early = ([0.0], [levels[0]]) if time_s else ([], [])
        self._patterns[pattern] = Pattern([*early[0], *times], [*early[1], *levels])
        return 0

    def _derived(self, pattern: str, *sources: str) -> int | list[Pattern]:
        if pattern in self._patterns:
            return self._fail(EXISTS, f"there is a pattern {pattern}")
        if any(each not in self._patterns for each in sources):
            return self._fail(NO_PATTERN, f"there is no pattern {sources}")
        self._outdate()
        return [self._patterns[each] for each in sources]

    def set_measure_event(
        self,
        pattern: str,
        event: str,
        time_s: float,
        points: int,
        interval_s: float,
        average_s: float,
        raw: int,
    ) -> int:
        made = self._patterns.get(pattern)
        if made is None:
            return self._fail(NO_PATTERN, f"there is no pattern {pattern}")
        averages = average_s == 0 or _AVERAGE_S[0] * (1 - _SLACK) <= average_s <= _AVERAGE_S[1]
        stop_s = time_s + interval_s * (points - 1) + average_s
        if not (
            averages
            and points >= 1
            and _INTERVAL_S[0] * (1 - _SLACK) <= interval_s <= _INTERVAL_S[1]
            and time_s >= 0
        ):
            return self._fail(OUT_OF_RANGE, f"{event} cannot be measured")
        if stop_s > made.duration_s + 1e-12:
            return self._fail(OUT_OF_RANGE, f"{event} ends behind {pattern}")
        made.measures[event] = Event(time_s, points, interval_s, average_s, raw == lib.RAW)
        self._outdate()
        return 0

    def set_range_event(self, pattern: str, event: str, time_s: float, code: int) -> int:
        made = self._patterns.get(pattern)
        if made is None:
            return self._fail(NO_PATTERN, f"there is no pattern {pattern}")
        if code not in CURRENT_A or not 0 <= time_s <= made.duration_s:
            return self._fail(OUT_OF_RANGE, f"{event} changes to no range")
        made.ranges.append((time_s, code))
        self._outdate()
        return 0

    def set_trigger_out_event(self, pattern: str, event: str, time_s: float, duration_s: float) -> int:
        made = self._patterns.get(pattern)
        if made is None:
            return self._fail(NO_PATTERN, f"there is no pattern {pattern}")
        inside = time_s >= 0 and time_s + duration_s <= made.duration_s
        return 0 if inside else self._fail(OUT_OF_RANGE, f"{event} leaves {pattern}")


def _grid(time_s: float) -> float:
    return round(time_s / _GRID_S) * _GRID_S
