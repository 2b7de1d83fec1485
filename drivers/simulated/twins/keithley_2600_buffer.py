"""A reading buffer of the 2600: readings with times, source values and status bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_objects import Column, Node, one_of, whole

__all__ = [
    "AUTORANGED",
    "COMPLIANCE",
    "FILTERED",
    "RELATIVE",
    "REMOTE",
    "SOURCE_AUTORANGED",
    "Buffer",
    "Reading",
]

AUTORANGED, SOURCE_AUTORANGED, REMOTE, RELATIVE, COMPLIANCE, FILTERED = 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
"""Status bits of a reading (2600B reference manual, "Buffer status bits")."""

CAPACITY = 60_000
"""Readings a dedicated buffer holds with times and source values: a default."""

BUFFER_FULL = (5048, "Reading buffer is full")
NOT_EMPTY = (5043, "Reading buffer contains data")
"""Codes and words are defaults."""

_FUNCTIONS = {"i": "Current", "v": "Voltage", "r": "Resistance", "p": "Power"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One stored reading."""

    value: float
    at_ns: int
    source: float
    status: int
    function: str
    range: float
    sourced: str
    source_range: float


class _Words(Node):
    """A list of words as scripts see it."""

    def __init__(self, buffer: Buffer, attribute: str) -> None:
        super().__init__(cached=False)
        self._buffer, self._attribute = buffer, attribute

    def item(self, index: int) -> Any:
        """Return an element by its number from 1, None where there is none."""
        found = self._buffer.readings
        return _FUNCTIONS[getattr(found[index - 1], self._attribute)] if 1 <= index <= len(found) else None


class Buffer(Node):
    """One buffer.

    Parameters
    ----------
    capacity : int
        Readings it holds.
    cached : bool
        It belongs to the instrument, not to a script.
    """

    def __init__(self, capacity: int = CAPACITY, *, cached: bool = True) -> None:
        super().__init__(cached=cached)
        self.readings: list[Reading] = []
        self.capacity = capacity
        self.add(clear=self.readings.clear, clearcache=lambda: None, FILL_ONCE=0, FILL_WINDOW=1)
        self.setting("appendmode", 0, one_of(0, 1))
        self.setting("cachemode", 1, one_of(0, 1))
        self.setting("fillmode", 0, one_of(0, 1))
        self.setting("fillcount", capacity, whole(1, capacity))
        self.setting("timestampresolution", 1e-6, lambda value: max(1e-6, float(value)))
        for name in ("collecttimestamps", "collectsourcevalues"):
            self.setting(name, 0, self._when_empty)
        self.attribute("n", lambda: len(self.readings))
        self.attribute("next", lambda: len(self.readings) % capacity + 1)
        self.attribute("capacity", lambda: capacity)
        self.attribute("basetimestamp", lambda: self.readings[0].at_ns * 1e-9 if self.readings else 0)
        for name, read in {
            "readings": lambda: [each.value for each in self.readings],
            "timestamps": self._times_s,
            "sourcevalues": self._source_values,
            "statuses": lambda: [float(each.status) for each in self.readings],
            "measureranges": lambda: [each.range for each in self.readings],
            "sourceranges": lambda: [each.source_range for each in self.readings],
            "sourceoutputstates": lambda: [1.0 for _ in self.readings],
        }.items():
            column = Column(read)
            self.attribute(name, lambda column=column: column)  # type: ignore[misc]
        functions, sources = _Words(self, "function"), _Words(self, "sourced")
        self.attribute("measurefunctions", lambda: functions)
        self.attribute("sourcefunctions", lambda: sources)

    def _when_empty(self, value: Any) -> Any:
        if self.readings:
            raise Refused(*NOT_EMPTY)
        return one_of(0, 1)(value)

    def _times_s(self) -> list[float]:
        if not self["collecttimestamps"]:
            return []
        step = self["timestampresolution"]
        return [round((each.at_ns - self.readings[0].at_ns) * 1e-9 / step) * step for each in self.readings]

    def _source_values(self) -> list[float]:
        return [each.source for each in self.readings] if self["collectsourcevalues"] else []

    def item(self, index: int) -> Any:
        """Return a reading by its number from 1, None where there is none."""
        return self.readings[index - 1].value if 1 <= index <= len(self.readings) else None

    def begin(self) -> None:
        """Make room for what a new measurement stores: all of it, unless it appends."""
        if not self["appendmode"]:
            self.readings.clear()

    def store(self, reading: Reading) -> None:
        """Append a reading; refuses it where there is no room."""
        if len(self.readings) >= min(self.capacity, self["fillcount"] if self["fillmode"] else self.capacity):
            if not self["fillmode"]:
                raise Refused(*BUFFER_FULL)
            del self.readings[0]
        self.readings.append(reading)

    def statistics(self) -> Node:
        """Return mean, deviation and extremes (``smuX.buffer.getstats``)."""
        values = [each.value for each in self.readings]
        found, count = Node(cached=False), len(values)
        mean = sum(values) / count if count else 0.0
        spread = sum((value - mean) ** 2 for value in values)
        found.add(n=count, mean=mean, stddev=math.sqrt(spread / (count - 1)) if count > 1 else 0.0)
        for name, pick in {"min": min, "max": max}.items():
            if values:
                at = values.index(pick(values))
                extreme = Node(cached=False)
                extreme.add(
                    reading=values[at], timestamp=(self.readings[at].at_ns - self.readings[0].at_ns) * 1e-9
                )
                found.add(**{name: extreme})
        return found
