"""The events of the 2600's trigger system, and what makes and joins them: timers, blenders, generators, the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_objects import NOT_ALLOWED, Node, between, boolean, whole

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2600 import Keithley2600Twin

__all__ = ["Detector", "Events"]

TIMERS, BLENDERS, GENERATORS, STIMULI = 8, 6, 2, 4
"""Trigger objects: defaults."""

LONGEST_S = 100_000.0
_MOST_EVENTS = 255


class Detector:
    """What waits for an event: latches it, and remembers that one came too early.

    Attributes
    ----------
    stimulus : int
        Event it listens to, 0 for none.
    """

    def __init__(self, events: Events, heard: Callable[[], None] | None = None) -> None:
        self.stimulus = 0
        self.latched = self.overrun = False
        self._heard = heard
        self._events = events
        events.detectors.append(self)

    def hear(self) -> None:
        """Note that its event came."""
        self.overrun |= self.latched
        self.latched = True
        if self._heard is not None:
            self._heard()

    def take(self) -> bool:
        """Return whether its event has come, and wait for the next one."""
        found, self.latched = self.latched, False
        return found

    def clear(self) -> None:
        """Forget what came."""
        self.latched = self.overrun = False

    def attach(self, node: Node, name: str = "stimulus") -> None:
        """Let scripts choose what it listens to."""
        check = whole(0, _MOST_EVENTS)

        def choose(value: Any) -> None:
            self.stimulus = check(value)

        node.attribute(name, lambda: self.stimulus, choose)

    def waits(self) -> Iterator[int | None]:
        """Wait for the event, where it listens to any."""
        if self.stimulus:
            while not self.take():
                yield None


class _Numbered(Node):
    """Objects by number: ``trigger.timer[1]``."""

    def __init__(self, made: list[Node]) -> None:
        super().__init__()
        self._made = made

    def item(self, index: int) -> Any:
        """Return one of them."""
        return self._made[index - 1] if 1 <= index <= len(self._made) else None

    def reset(self) -> None:
        """Reset all of them."""
        for each in self._made:
            each.reset()


class Events:
    """All detectors and the numbers of all events; ``trigger`` for scripts.

    Attributes
    ----------
    bus : int
        Event of ``*TRG`` and of the interface's trigger.
    """

    def __init__(self, twin: Keithley2600Twin) -> None:
        self._twin = twin
        self._last = 0
        self.detectors: list[Detector] = []
        self.bus = self.new()
        self._bus_seen = False
        self.node = Node()
        self.node.add(
            EVENT_ID=self.bus,
            timer=_Numbered([_Timer(self, twin) for _ in range(TIMERS)]),
            blender=_Numbered([_Blender(self) for _ in range(BLENDERS)]),
            generator=_Numbered([_generator(self) for _ in range(GENERATORS)]),
            clear=self._clear,
            wait=self._wait,
        )

    def new(self) -> int:
        """Return the number of a new event."""
        self._last += 1
        return self._last

    def post(self, event: int) -> None:
        """Let an event happen."""
        if event == self.bus:
            self._bus_seen = True
        for each in self.detectors:
            if each.stimulus == event:
                each.hear()
        self._twin.overlapped.happened()

    def _clear(self) -> None:
        self._bus_seen = False

    def _wait(self, seconds: Any) -> bool:
        """Wait for ``*TRG``: it cannot come while a command is obeyed, so either it came before or time is up."""
        found, self._bus_seen = self._bus_seen, False
        if not found:
            self._twin.overlapped.wait_s(between(0.0, LONGEST_S)(seconds))
        return found


class _Timer(Node):
    """``trigger.timer[n]``: events at a distance from its stimulus."""

    def __init__(self, events: Events, twin: Keithley2600Twin) -> None:
        super().__init__()
        self._events, self._twin = events, twin
        self._event = events.new()
        self._running: Iterator[int | None] | None = None
        self._detector = Detector(events, self._begin)
        self._detector.attach(self)
        self.setting("delay", 10e-6, between(0.0, LONGEST_S))
        self.setting("count", 1, whole(0, 1_048_575))
        self.setting("passthrough", False, boolean)
        self.attribute("overrun", lambda: self._detector.overrun)
        self.add(EVENT_ID=self._event, clear=self._detector.clear, reset=self.reset)

    def _begin(self) -> None:
        self._detector.latched = False
        running = self._running
        if running is not None:
            self._twin.overlapped.stop(running)
        self._running = self._run()
        self._twin.overlapped.add(self._running)

    def _run(self) -> Iterator[int | None]:
        begun_ns, delay_ns = self._twin.bench.now_ns, round(self["delay"] * 1e9)
        if self["passthrough"]:
            self._events.post(self._event)
        number = 0
        while self["count"] == 0 or number < self["count"]:
            number += 1
            yield begun_ns + number * delay_ns
            self._events.post(self._event)

    def reset(self) -> None:
        """Stop it and bring its settings to their defaults."""
        super().reset()
        self._detector.stimulus = 0
        self._detector.clear()
        if self._running is not None:
            self._twin.overlapped.stop(self._running)
            self._running = None


class _Blender(Node):
    """``trigger.blender[n]``: one event of up to four, any or all of them."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events, self._event = events, events.new()
        self._inputs = [Detector(events, self._heard) for _ in range(STIMULI)]
        self.setting("orenable", False, boolean)
        self.attribute("overrun", lambda: any(each.overrun for each in self._inputs))
        self.add(EVENT_ID=self._event, stimulus=_Inputs(self._inputs), clear=self._clear, reset=self.reset)

    def _heard(self) -> None:
        used = [each for each in self._inputs if each.stimulus]
        if self["orenable"] or all(each.latched for each in used):
            for each in used:
                each.latched = False
            self._events.post(self._event)

    def _clear(self) -> None:
        for each in self._inputs:
            each.clear()

    def reset(self) -> None:
        """Bring its settings to their defaults."""
        super().reset()
        for each in self._inputs:
            each.stimulus = 0
        self._clear()


class _Inputs(Node):
    """``trigger.blender[n].stimulus[m]``."""

    def __init__(self, inputs: list[Detector]) -> None:
        super().__init__()
        self._inputs = inputs

    def item(self, index: int) -> Any:
        """Return the event an input listens to."""
        return self._inputs[index - 1].stimulus if 1 <= index <= len(self._inputs) else None

    def write(self, name: Any, value: Any) -> None:
        """Choose the event of an input."""
        if not isinstance(name, int) or not 1 <= name <= len(self._inputs):
            raise Refused(*NOT_ALLOWED)
        self._inputs[name - 1].stimulus = whole(0, _MOST_EVENTS)(value)


def _generator(events: Events) -> Node:
    """Return ``trigger.generator[n]``: an event a script makes."""
    made, event = Node(), events.new()
    made.add(EVENT_ID=event, **{"assert": lambda: events.post(event)})
    return made
