"""The meter of a channel of the 2600 as scripts use it: ranges, speed, filter, relative offset, buffers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from drivers.simulated.terminals import Operating
from drivers.simulated.twins.keithley_2600_buffer import (
    AUTORANGED,
    COMPLIANCE,
    FILTERED,
    RELATIVE,
    REMOTE,
    SOURCE_AUTORANGED,
    Buffer,
    Reading,
)
from drivers.simulated.twins.keithley_2600_meter import CONVERSION_S, Meter, residue, settling_s
from drivers.simulated.twins.keithley_2600_models import FULL_SCALE, Model
from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_format import NOT_A_NUMBER
from drivers.simulated.twins.tsp_objects import WRONG_TYPE, Node, between, nearest_up, one_of, whole

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2600_smu import Smu

__all__ = ["SmuMeasure"]

AUTOZERO_CONVERSIONS = 3
"""Conversions of a reading with automatic zeroing, one without: a default."""

_OFF, _ONCE, _AUTO = 0, 1, 2
_MOVING, _REPEAT, _MEDIAN = 0, 1, 2


class SmuMeasure(Node):
    """``smuX.measure``."""

    def __init__(self, smu: Smu, model: Model, meters: dict[str, Meter]) -> None:
        super().__init__()
        self._smu, self._model, self._meters = smu, model, meters
        self.setting("nplc", 1.0, between(0.001, 25.0))
        self.setting("delay", -1 if model.auto_delay else 0, between(-1.0, 100.0))
        self.setting("delayfactor", 1.0, between(0.0, 1000.0))
        self.setting("count", 1, whole(1, 100_000))
        self.setting("interval", 0.0, between(0.0, 1.0))
        self.setting("autozero", _AUTO, one_of(_OFF, _ONCE, _AUTO))
        self.filter, self.rel = Node(), Node()
        self.filter.setting("enable", 0, one_of(0, 1), lambda _: self._window.clear())
        self.filter.setting(
            "type", _REPEAT, one_of(_MOVING, _REPEAT, _MEDIAN), lambda _: self._window.clear()
        )
        self.filter.setting("count", 1, whole(1, 100), lambda _: self._window.clear())
        self._window: deque[dict[str, float]] = deque()
        for name in ("i", "v", "r", "p"):
            self.rel.setting(f"enable{name}", 0, one_of(0, 1))
            self.rel.setting(f"level{name}", 0.0, between(-math.inf, math.inf))
        for name, meter in meters.items():
            check = nearest_up(meter.ranges)
            self.setting(f"lowrange{name}", meter.ranges[0], check)
            self.setting(f"autorange{name}", 1, one_of(0, 1, 2), self._ranged(name))
            self.setting(f"range{name}", meter.ranges[-1 if name == "v" else -3], check)
            self.attribute(f"range{name}", partial(self.range, name), self._range_writer(name, check))
        self.add(
            filter=self.filter,
            rel=self.rel,
            iv=lambda buffer_i=None, buffer_v=None: self.take("iv", (buffer_i, buffer_v)),
            **{name: self._one(name) for name in ("i", "v", "r", "p")},
        )

    def _ranged(self, name: str) -> Callable[[Any], None]:
        return lambda _: self._smu.ranged(name)

    def _one(self, name: str) -> Any:
        return lambda buffer=None: self.take(name, (buffer,))[0]

    def _range_writer(self, name: str, check: Any) -> Any:
        def write(value: Any) -> None:
            self.kept[f"range{name}"] = check(value)
            self.kept[f"autorange{name}"] = 0
            self._smu.ranged(name)

        return write

    # ---- ranges -----------------------------------------------------------------------------------------------------
    def range(self, name: str) -> float:
        """Return the range a quantity is measured on: that of the source for what is sourced."""
        source = self._smu.source
        if (name == "v") == source.is_volts:
            return source.range
        return float(self.kept[f"range{name}"])

    def _is_auto(self, name: str) -> bool:
        return bool(self.kept[f"autorange{name}"]) and (name == "v") != self._smu.source.is_volts

    def _find_range(self, name: str, point: Operating) -> None:
        """Go range by range to where the value fits; each takes its time to settle."""
        value = abs(point.current_a if name == "i" else point.voltage_v)
        ranges = self._meters[name].ranges
        least = max(self.kept[f"lowrange{name}"], value / FULL_SCALE)
        target = next((at for at, each in enumerate(ranges) if each >= least * (1 - 1e-9)), len(ranges) - 1)
        at = ranges.index(self.kept[f"range{name}"])
        while at != target:
            at += 1 if target > at else -1
            self._smu.wait_s(settling_s(ranges[at]) if name == "i" else settling_s(1.0))
        self.kept[f"range{name}"] = ranges[at]

    # ---- measuring --------------------------------------------------------------------------------------------------
    def take(
        self, function: str, buffers: tuple[Any, ...] = (), count: int | None = None
    ) -> tuple[float, ...]:
        """Measure, `count` times (as set, when left out), into buffers; returns the last values.

        Parameters
        ----------
        function : str
            "i", "v", "r", "p" or "iv".
        """
        for buffer in buffers:
            if buffer is not None and not isinstance(buffer, Buffer):
                raise Refused(*WRONG_TYPE)
        for buffer in buffers:
            if buffer is not None:
                buffer.begin()
        self._wait_delay()
        return self.burst(function, buffers, self.kept["count"] if count is None else count)

    def layer(self, function: str, buffers: tuple[Buffer, ...]) -> None:
        """Measure as the trigger model does: into buffers that are ready; errors go to the queue."""
        try:
            self._wait_delay()
            self.burst(function, buffers, self.kept["count"])
        except Refused as error:
            self._smu.refuse(error)

    def burst(self, function: str, buffers: tuple[Any, ...], count: int) -> tuple[float, ...]:
        """Measure without preparing the buffers and without delay."""
        values: tuple[float, ...] = ()
        for number in range(count):
            begun_ns = self._smu.bench.now_ns
            values = self._filtered(function, buffers)
            if number + 1 < count:
                spent_s = (self._smu.bench.now_ns - begun_ns) * 1e-9
                self._smu.wait_s(max(0.0, self.kept["interval"] - spent_s))
        return values

    def _wait_delay(self) -> None:
        delay = self.kept["delay"]
        if delay < 0:
            delay = max(
                0.0, settling_s(self.range("i")) * self.kept["delayfactor"] - self._smu.since_step_s()
            )
        self._smu.wait_s(delay)

    def _filtered(self, function: str, buffers: tuple[Any, ...]) -> tuple[float, ...]:
        kept = self.filter.kept
        status = 0
        if not kept["enable"]:
            found, at_ns, limited = self._once(function)
        else:
            many = kept["count"] if kept["type"] != _MOVING else 1
            samples = [self._once(function) for _ in range(many)]
            found, at_ns, limited = samples[-1]
            if kept["type"] == _MOVING:
                self._window.append(found)
                while len(self._window) > kept["count"]:
                    self._window.popleft()
            history = list(self._window) if kept["type"] == _MOVING else [each[0] for each in samples]
            merge = median if kept["type"] == _MEDIAN else fmean
            found = {name: float(merge([each[name] for each in history if name in each])) for name in found}
            status |= FILTERED
        return self._kept(function, found, buffers, at_ns, status | (COMPLIANCE if limited else 0))

    def _once(self, function: str) -> tuple[dict[str, float], int, bool]:
        """Make one reading of voltage and current; over the range it is 9.91e37."""
        smu, plc = self._smu, self.kept["nplc"]
        needed = ("i", "v") if function in ("iv", "r", "p") else (function,)
        for name in needed:
            if self._is_auto(name):
                self._find_range(name, smu.terminal.look())
        at_ns = smu.bench.now_ns
        since_s = smu.since_step_s()
        aperture_s = plc / smu.line_hz
        if self.kept["autozero"] == _AUTO:
            smu.bench.pass_s((AUTOZERO_CONVERSIONS - 1) * aperture_s)
        point = smu.terminal.look(aperture_s)
        smu.bench.pass_s(CONVERSION_S)
        limited = point.limited and smu.source.is_on
        shown = residue(smu.before_a, point.current_a, since_s + aperture_s, self.range("i"))
        smu.last_a = point.current_a
        values = {}
        over = False
        for name, true in (("i", shown), ("v", point.voltage_v)):
            if name in needed:
                reading = self._meters[name].reading(true, self.range(name), plc)
                over |= reading is None
                values[name] = NOT_A_NUMBER if reading is None else reading
        if function in ("r", "p"):
            values[function] = _derived(function, values["i"], values["v"])
        smu.note_measured(limited=limited, over=over)
        return values, at_ns, limited

    def _kept(
        self, function: str, found: dict[str, float], buffers: tuple[Any, ...], at_ns: int, status: int
    ) -> tuple[float, ...]:
        source = self._smu.source
        sourced = "v" if source.is_volts else "i"
        results = []
        for name, buffer in zip(function, (*buffers, None, None), strict=False):
            value, bits = found[name], status
            if self.rel.kept[f"enable{name}"] and value != NOT_A_NUMBER:
                value -= self.rel.kept[f"level{name}"]
                bits |= RELATIVE
            bits |= REMOTE if self._smu.node["sense"] == 1 else 0
            bits |= AUTORANGED if name in self._meters and self._is_auto(name) else 0
            bits |= SOURCE_AUTORANGED if source.kept[f"autorange{sourced}"] else 0
            results.append(value)
            if buffer is not None:
                ranged = name if name in self._meters else "i"
                buffer.store(
                    Reading(value, at_ns, source.level, bits, name, self.range(ranged), sourced, source.range)
                )
                self._smu.note_stored()
        return tuple(results)


def _derived(function: str, current: float, voltage: float) -> float:
    if NOT_A_NUMBER in (current, voltage) or (function == "r" and current == 0):
        return NOT_A_NUMBER
    return voltage / current if function == "r" else voltage * current
