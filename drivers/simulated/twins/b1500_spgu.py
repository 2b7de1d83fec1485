"""The pulse generators of a B1500A (B1525A): both channels of all of them start at once.

Limits are those of the data sheet (open load +-40 V behind 50 ohm, width 10 ns to the period less 10 ns, edges 8 ns
to 400 ms from 10 to 90 %, period 20 ns to 10 s) and of the Programming Guide (4-173: load 0.1 ohm to 1 Mohm).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.terminals import Bench, Opened, Volts, Wave
from drivers.simulated.twins import flex
from drivers.simulated.twins.flex import FlexError

__all__ = ["Generators", "SpguChannel", "Timing"]

SOURCE_OHM = 50.0
OPEN_V = 40.0
LOAD_OHM = (0.1, 1e6)
PERIOD_S, PERIOD_STEP_S = (20e-9, 10.0), 10e-9
WIDTH_S = 10e-9
EDGE_S = (8e-9, 0.4)
EDGE_SHARE = 0.8
"""An edge is programmed from 10 to 90 %, the wave goes from 0 to 100 %."""

_COUNT = 1_000_000
_YEAR_S = 31_556_926.0
_FREE, _COUNTED, _TIMED = 0, 1, 2
_DC, _ONE, _TWO, _BOTH = range(4)


@dataclass(slots=True)
class Timing:
    """Of one signal source of a channel, seconds; the width is between the middles of the edges (a default [K])."""

    delay_s: float = 0.0
    width_s: float = 100e-9
    rise_s: float = 20e-9
    fall_s: float = 20e-9

    def check(self, period_s: float) -> None:
        """Raise FlexError 120 for what the generator cannot do."""
        widest_s = period_s - WIDTH_S + 1e-15
        edges = all(EDGE_S[0] - 1e-15 <= each <= EDGE_S[1] for each in (self.rise_s, self.fall_s))
        fits = self.delay_s + self.width_s + self.fall_s / EDGE_SHARE <= period_s + 1e-15
        if not (edges and fits and WIDTH_S - 1e-15 <= self.width_s <= widest_s and self.delay_s >= 0):
            raise FlexError(flex.VALUE)

    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times and heights (0 to 1) of the pulse, 0 to 100 %."""
        rise_s, fall_s = self.rise_s / EDGE_SHARE, self.fall_s / EDGE_SHARE
        top_s = self.width_s - (rise_s + fall_s) / 2
        height = 1.0
        if top_s < 0:  # the edges meet before the top
            height, top_s = self.width_s * 2 / (rise_s + fall_s), 0.0
            rise_s, fall_s = rise_s * height, fall_s * height
        start = self.delay_s
        times = [start, start + rise_s, start + rise_s + top_s, start + rise_s + top_s + fall_s]
        return np.array(times), np.array([0.0, height, height, 0.0])


@dataclass(slots=True)
class SpguChannel:
    """One output.

    Attributes
    ----------
    number : int
        501: slot 5, first channel.
    """

    number: int
    name: str
    bench: Bench
    on: bool = False
    mode: int = _ONE
    load_ohm: float = SOURCE_OHM
    base_v: dict[int, float] = field(default_factory=lambda: {0: 0.0, 1: 0.0, 2: 0.0})
    peak_v: dict[int, float] = field(default_factory=lambda: {0: 0.0, 1: 0.0, 2: 0.0})
    timing: dict[int, Timing] = field(default_factory=lambda: {1: Timing(), 2: Timing()})

    def open_v(self, level_v: float) -> float:
        """Return the voltage of the open output that gives `level_v` at the load it was told of (SER)."""
        return level_v * (SOURCE_OHM + self.load_ohm) / self.load_ohm

    def check(self, *levels_v: float) -> None:
        """Raise FlexError 120 where a level needs more than the output has."""
        if any(abs(self.open_v(level)) > OPEN_V * (1 + 1e-9) for level in levels_v):
            raise FlexError(flex.VALUE)

    def switch(self, on: bool) -> None:
        """Close or open the output switch."""
        self.on = on
        self.rest(0.0)

    def rest(self, level_v: float | None = None) -> None:
        """Show the base voltage (or another one) to the outside."""
        if level_v is None:
            level_v = self.base_v[0 if self.mode == _DC else 2 if self.mode == _TWO else 1]
        shown = Volts(self.open_v(level_v), SOURCE_OHM) if self.on else Opened()
        self.bench.terminal(self.name).present(shown)

    def wave(self, period_s: float, count: int) -> Wave:
        """Return what it plays: straight lines, of the open output."""
        sources = {_DC: (), _ONE: (1,), _TWO: (2,), _BOTH: (1, 2)}[self.mode]
        base_v = self.base_v[0 if self.mode == _DC else sources[0]]
        corners = [(self.timing[each].corners(), self.peak_v[each] - self.base_v[each]) for each in sources]
        edges = [times for (times, _), _ in corners]
        times = np.unique(np.concatenate([[0.0, period_s], *edges]))
        level = np.full(times.size, base_v)
        for (at, heights), amplitude in corners:
            level += amplitude * np.interp(times, at, heights)
        return Wave(times, level * self.open_v(1.0), SOURCE_OHM, math.inf, count, period_s)


class Generators:
    """All pulse generators of a mainframe: what is set for one of them is set for all (instruments §2.2)."""

    def __init__(self, slots: list[int], name: str, bench: Bench) -> None:
        self.bench = bench
        numbers = [slot * 100 + sub for slot in slots for sub in (1, 2)]
        self._names = {number: f"{name}.{number}" for number in numbers}
        self.channels: dict[int, SpguChannel] = {}
        self.reset()

    def reset(self) -> None:
        """Go to the state after power-on."""
        for number, name in self._names.items():
            self.channels[number] = SpguChannel(number, name, self.bench)
            self.channels[number].switch(False)
        self.operation, self.period_s = 0, 1e-6
        self.output: tuple[int, float] = (_FREE, 0.0)
        self._began_ns: int | None = None

    @property
    def running(self) -> bool:
        """Whether pulses come without end (free run); counted and timed ones are over when the next message comes."""
        return self._began_ns is not None

    def operate(self, mode: int) -> None:
        """Choose pulses or waveforms (SIM); outputs that are on go to 0 V."""
        if mode not in (0, 1):
            raise FlexError(flex.VALUE)
        self.stop()
        self.operation = mode
        for channel in self.channels.values():
            channel.rest(0.0)

    def limit(self, mode: int, condition: float | None) -> None:
        """Choose how long pulses come (SPRM)."""
        spans = {_FREE: (0.0, 0.0), _COUNTED: (1.0, float(_COUNT)), _TIMED: (1e-6, _YEAR_S)}
        if mode not in spans or (condition is None) is not (mode == _FREE):
            raise FlexError(flex.VALUE)
        if condition is not None and not spans[mode][0] <= condition <= spans[mode][1]:
            raise FlexError(flex.VALUE)
        self.stop()
        self.output = (mode, condition or 0.0)

    def set_period(self, period_s: float) -> None:
        """Set the period of all channels."""
        if not PERIOD_S[0] - 1e-15 <= period_s <= PERIOD_S[1]:
            raise FlexError(flex.VALUE)
        self.period_s = round(period_s / PERIOD_STEP_S) * PERIOD_STEP_S

    def start(self) -> None:
        """Give the pulses of all outputs that are on (SRP)."""
        if self.operation != 0:
            raise FlexError(flex.FOREIGN)  # waveforms are loaded as binary blocks, which are not simulated
        self.stop()
        mode, condition = self.output
        for channel in self._on():
            for source in (1, 2):
                channel.timing[source].check(self.period_s)
        if mode == _FREE:
            self._began_ns = self.bench.now_ns
        elif mode == _COUNTED:
            self._play(int(condition))
        else:
            self._play(max(1, math.floor(condition / self.period_s)))

    def stop(self) -> None:
        """Stop a free run (SPP): the pulses of the time that went by are played now, at least one."""
        began_ns, self._began_ns = self._began_ns, None
        if began_ns is not None:
            self._play(max(1, int((self.bench.now_ns - began_ns) * 1e-9 / self.period_s)))

    def _on(self) -> list[SpguChannel]:
        return [channel for channel in self.channels.values() if channel.on]

    def _play(self, count: int) -> None:
        waves = {channel.name: channel.wave(self.period_s, count) for channel in self._on()}
        if waves:
            self.bench.play(waves)
        else:
            self.bench.pass_s(count * self.period_s)
        for channel in self._on():
            channel.rest()
