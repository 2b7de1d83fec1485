"""The trigger model of a channel of the 2600: sweeps and pulses that run while the host does something else.

Idle, arm layer, then for every point: source, measure, end of pulse; each may wait for an event. A sweep is an
operation under way (:mod:`drivers.simulated.twins.tsp_overlap`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.simulated.twins.keithley_2600_buffer import Buffer
from drivers.simulated.twins.keithley_2600_events import Detector
from drivers.simulated.twins.keithley_2600_models import FULL_SCALE
from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_objects import NOT_ALLOWED, TOO_BIG, WRONG_TYPE, Node, between, one_of, whole

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2600 import Keithley2600Twin
    from drivers.simulated.twins.keithley_2600_smu import Smu

__all__ = ["SmuTrigger"]

BUSY = (-213, "Init ignored")
"""For an initiate while a sweep is under way: a default."""

_IDLE, _HOLD = 0, 1
_DISABLE, _ENABLE, _ASYNC = 0, 1, 2
_LIMIT_AUTO = -1
_MOST_POINTS = 100_000


class SmuTrigger(Node):
    """``smuX.trigger``."""

    def __init__(self, smu: Smu, twin: Keithley2600Twin) -> None:
        super().__init__()
        self._smu, self._twin, events = smu, twin, twin.events
        self._running: Iterator[int | None] | None = None
        self._levels: list[float] = []
        self._function = "v"
        self._measures: tuple[str, tuple[Buffer, ...]] = ("", ())
        self.event_ids = {
            name: events.new()
            for name in ("ARMED", "SOURCE_COMPLETE", "MEASURE_COMPLETE", "PULSE_COMPLETE", "SWEEPING",
                         "SWEEP_COMPLETE", "IDLE")
        }  # fmt: skip
        self.add(**{f"{name}_EVENT_ID": number for name, number in self.event_ids.items()})
        self.add(initiate=self._initiate)
        self.setting("count", 1, whole(0, _MOST_POINTS * 10))
        self.setting("autoclear", 0, one_of(0, 1))
        self._layers: dict[str, tuple[Node, Detector]] = {}
        for name in ("arm", "source", "measure", "endpulse"):
            node, detector = Node(), Detector(events)
            detector.attach(node)
            node.add(set=self._setter(detector))
            self._layers[name] = (node, detector)
            self.add(**{name: node})
        arm, source, measure, endpulse = (node for node, _ in self._layers.values())
        endsweep = Node()
        self.add(endsweep=endsweep)
        arm.setting("count", 1, whole(0, _MOST_POINTS * 10))
        source.setting("action", _DISABLE, one_of(_DISABLE, _ENABLE))
        for name in ("limitv", "limiti"):
            source.setting(name, _LIMIT_AUTO, self._limit(name))
        measure.setting("action", _DISABLE, one_of(_DISABLE, _ENABLE, _ASYNC))
        endpulse.setting("action", _HOLD, one_of(_IDLE, _HOLD))
        endsweep.setting("action", _IDLE, one_of(_IDLE, _HOLD))
        for name in ("v", "i"):
            source.add(
                **{
                    f"linear{name}": self._linear(name),
                    f"log{name}": self._log(name),
                    f"list{name}": self._list(name),
                }
            )
        for name in ("i", "v", "r", "p", "iv"):
            measure.add(**{name: self._measurer(name)})

    def _setter(self, detector: Detector) -> Any:
        def fire() -> None:
            detector.hear()
            self._twin.overlapped.happened()

        return fire

    def _limit(self, name: str) -> Any:
        model = self._smu.model
        low, high = (
            (model.smallest_limit_v, model.ranges_v[-1])
            if name == "limitv"
            else (model.smallest_limit_a, model.source_ranges_a[-1])
        )
        check = between(low, high)
        return lambda value: value if value == _LIMIT_AUTO else check(value)

    # ---- what a sweep is to do ------------------------------------------------------------------------------------
    def _use(self, function: str, levels: Any) -> None:
        """Take the levels of a sweep; all must be within the largest range."""
        ranges = self._smu.model.ranges_v if function == "v" else self._smu.model.source_ranges_a
        found = [float(level) for level in levels]
        if not found:
            raise Refused(*NOT_ALLOWED)
        if max(map(abs, found)) > FULL_SCALE * ranges[-1]:
            raise Refused(*TOO_BIG)
        self._function, self._levels = function, found

    def _linear(self, function: str) -> Any:
        def use(start: Any, stop: Any, points: Any) -> None:
            self._use(function, np.linspace(float(start), float(stop), whole(1, _MOST_POINTS)(points)))

        return use

    def _log(self, function: str) -> Any:
        def use(start: Any, stop: Any, points: Any, asymptote: Any = 0.0) -> None:
            first, last, base = float(start), float(stop), float(asymptote)
            if (first - base) * (last - base) <= 0:
                raise Refused(*NOT_ALLOWED)
            sign = 1.0 if first > base else -1.0
            steps = np.geomspace(abs(first - base), abs(last - base), whole(1, _MOST_POINTS)(points))
            self._use(function, base + sign * steps)

        return use

    def _list(self, function: str) -> Any:
        def use(table: Any) -> None:
            try:
                levels = [table[index] for index in range(1, len(table) + 1)]
            except (TypeError, KeyError):
                raise Refused(*WRONG_TYPE) from None
            if not all(isinstance(level, int | float) for level in levels):
                raise Refused(*WRONG_TYPE)
            self._use(function, levels)

        return use

    def _measurer(self, function: str) -> Any:
        def use(*buffers: Any) -> None:
            if len(buffers) != len(function) or not all(isinstance(each, Buffer) for each in buffers):
                raise Refused(*WRONG_TYPE)
            self._measures = (function, buffers)

        return use

    # ---- running ------------------------------------------------------------------------------------------------
    def _initiate(self) -> None:
        if self._running is not None:
            raise Refused(*BUSY)
        source = self._layers["source"][0]
        if source["action"] and (self._function == "v") != self._smu.source.is_volts:
            raise Refused(-221, "Settings conflict")
        if source["action"] and not self._levels:
            raise Refused(-221, "Settings conflict")
        for buffer in self._measures[1]:
            buffer.begin()
        if self["autoclear"]:
            for _, detector in self._layers.values():
                detector.clear()
        self._running = self._sweep()
        self._smu.note_sweeping(True)
        self._twin.overlapped.start(self._running)

    def stop(self) -> None:
        """End a sweep where it is; the output stays as it is."""
        running, self._running = self._running, None
        if running is not None:
            self._twin.overlapped.stop(running)
            self._smu.note_sweeping(False)

    def reset(self) -> None:
        """Bring every setting to its default."""
        super().reset()
        for _, detector in self._layers.values():
            detector.stimulus = 0
            detector.clear()
        self._levels, self._measures = [], ("", ())

    def _post(self, name: str) -> None:
        self._twin.events.post(self.event_ids[name])

    def _sweep(self) -> Iterator[int | None]:
        smu = self._smu
        idle = smu.source.level
        limit = "limiti" if smu.source.is_volts else "limitv"
        own = smu.source[limit]
        asked = self._layers["source"][0][limit]
        if asked != _LIMIT_AUTO:
            smu.source.keep_limit(limit, asked)
        try:
            yield from self._layered(idle)
        finally:
            smu.source.keep_limit(limit, own)
        self._running = None
        self._post("IDLE")
        smu.note_sweeping(False)

    def _layered(self, idle: float) -> Iterator[int | None]:
        """Go through the layers; what is left of the sweep where it is stopped is not done."""
        self._post("SWEEPING")
        armed = 0
        while self["arm"]["count"] == 0 or armed < self["arm"]["count"]:
            armed += 1
            yield from self._layers["arm"][1].waits()
            self._post("ARMED")
            point = 0
            while self["count"] == 0 or point < self["count"]:
                yield from self._point(point, idle)
                point += 1
            if self["endsweep"]["action"] == _IDLE and self._layers["source"][0]["action"]:
                self._put(idle)
            self._post("SWEEP_COMPLETE")

    def _point(self, number: int, idle: float) -> Iterator[int | None]:
        smu = self._smu
        source, measure, endpulse = (self._layers[name] for name in ("source", "measure", "endpulse"))
        yield from source[1].waits()
        yield smu.bench.now_ns
        if source[0]["action"]:
            self._put(self._levels[number % len(self._levels)])
            delay_s = max(0.0, smu.source["delay"])
            if delay_s:
                yield smu.bench.now_ns + round(delay_s * 1e9)
        self._post("SOURCE_COMPLETE")
        yield from measure[1].waits()
        function, buffers = self._measures
        if measure[0]["action"] and function:
            yield smu.bench.now_ns
            with smu.inside():
                smu.measure.layer(function, buffers)
        self._post("MEASURE_COMPLETE")
        yield from endpulse[1].waits()
        if endpulse[0]["action"] == _IDLE and source[0]["action"]:
            self._put(idle)
        self._post("PULSE_COMPLETE")

    def _put(self, level: float) -> None:
        """Go to a level on the range that is set; an automatic one finds its own."""
        source = self._smu.source
        try:
            source.sweep_to(self._function, level)
        except Refused as error:
            self._twin.errors.add(error.entry)
