"""A simulated WGFMU library: the vendor's functions over the simulated bench, for the modules of a B1500A twin.

It stands at the level of the library, since nothing is published of what that says to the instrument. Its channels are
the sockets ``name.601`` and ``name.602`` of a mainframe with a B1530A in slot 6. Sequences are played when they are
executed; time is the bench's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.instruments import keysight_wgfmu_library as lib
from drivers.simulated.locks import FairLock
from drivers.simulated.registry import SimulatedBench, TwinPort
from drivers.simulated.terminals import Opened, Seen, Volts, Wave
from drivers.simulated.twins import b1500_modules
from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin
from drivers.simulated.twins.wgfmu_patterns import (
    CURRENT_A,
    NO_PATTERN,
    NOT_READY,
    OUT_OF_RANGE,
    Event,
    Pattern,
    Patterns,
)

__all__ = ["SimulatedWgfmuLibrary"]

CONTEXT, UNSUPPORTED, COMMUNICATION, NO_CHANNEL, NOT_RUNNING = -3, -4, -5, -9, -13

_PG_OHM = 50.0
_MOST_A = 10e-3
"""What a channel gives at most: a default [K], its largest range."""

_NOISE = 2e-3
"""Standard deviation of a single 5 ns sample, of the range: a default [K]."""

_SAMPLE_S = 5e-9
_POINTS = 200_000
"""Corner points of a sequence that is played as one waveform; longer ones are not simulated."""

_FORCE_V = {3000: (-10.0, 10.0), 3001: (-3.0, 3.0), 3002: (-5.0, 5.0), 3003: (-10.0, 0.0), 3004: (0.0, 10.0)}
_VOLTAGE_V = {lib.VOLTAGE_5V: 5.0, lib.VOLTAGE_10V: 10.0}


@dataclass(slots=True)
class _Channel:
    name: str
    mode: int = lib.MODE_SMU
    force: int = lib.FORCE_AUTO
    measures: int = lib.MEASURE_CURRENT
    current: int = lib.CURRENT_10MA
    voltage: int = lib.VOLTAGE_10V
    enabled: bool = True
    connected: bool = False
    force_delay_s: float = 0.0
    measure_delay_s: float = 0.0
    level_v: float = 0.0
    sequence: list[tuple[str, int]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def source_ohm(self) -> float:
        return _PG_OHM if self.mode == lib.MODE_PG else 0.0


class SimulatedWgfmuLibrary(Patterns):
    """The vendor's library for one simulated bench, described in :mod:`drivers.instruments.keysight_wgfmu_library`.

    Parameters
    ----------
    bench : SimulatedBench
        Whose B1500A a session is opened to, by its address.
    """

    # ruff: noqa: D102 - the functions are described there

    def __init__(self, bench: SimulatedBench) -> None:
        super().__init__()
        self._bench = bench
        self._channels: dict[int, _Channel] = {}
        self._open = False
        self._total_s = 0.0
        self._random: np.random.Generator | None = None

    @property
    def _lock(self) -> FairLock:
        return self._bench.world.lock

    # ---- session ------------------------------------------------------------------------------------------
    def open_session(self, address: str) -> int:
        port = self._bench.find(address)
        if self._open:
            return self._fail(CONTEXT, "a session is open already")
        if not isinstance(port, TwinPort) or not isinstance(port.twin, KeysightB1500Twin):
            return self._fail(COMMUNICATION, f"no B1500A answers at {address}")
        twin = port.twin
        if not twin.listens:
            return self._fail(COMMUNICATION, f"nothing answers at {address}")
        slots = [slot for slot, model in twin.slots.items() if model == b1500_modules.WGFMU]
        self._channels = {
            slot * 100 + sub: _Channel(f"{port.name}.{slot * 100 + sub}") for slot in slots for sub in (1, 2)
        }
        self._random = self._bench.world.random(port.name, "wgfmu")
        self._open = True
        self._forget()
        return 0

    def close_session(self) -> int:
        if not self._open:
            return self._fail(CONTEXT, "no session is open")
        self._open = False
        return 0

    def initialize(self) -> int:
        with self._lock:
            for number, channel in self._channels.items():
                self._channels[number] = _Channel(channel.name)
                self._show(self._channels[number])
        self._forget()
        return 0 if self._open else self._fail(CONTEXT, "no session is open")

    def set_timeout(self, seconds: float) -> int:
        return 0 if seconds >= 1.0 else self._fail(OUT_OF_RANGE, "the time-out is at least 1 s")

    def get_channel_ids(self) -> tuple[int, tuple[int, ...]]:
        return (0 if self._open else CONTEXT), tuple(self._channels)

    def get_error_summary(self) -> tuple[int, str]:
        return 0, "\n".join(self._said)

    def do_self_calibration(self) -> tuple[int, int, str]:
        return 0, 0, ""

    # ---- channels -----------------------------------------------------------------------------------------
    def _set(self, channel: int, name: str, value: object, *allowed: object) -> int:
        if channel not in self._channels:
            return self._fail(NO_CHANNEL, f"channel {channel} is not there")
        if allowed and value not in allowed:
            return self._fail(OUT_OF_RANGE, f"{name} cannot be {value}")
        setattr(self._channels[channel], name, value)
        self._outdate()
        return 0

    def set_operation_mode(self, channel: int, mode: int) -> int:
        return self._set(channel, "mode", mode, 2000, 2001, 2002, 2003)

    def set_force_voltage_range(self, channel: int, code: int) -> int:
        return self._set(channel, "force", code, *_FORCE_V)

    def set_measure_mode(self, channel: int, code: int) -> int:
        return self._set(channel, "measures", code, lib.MEASURE_VOLTAGE, lib.MEASURE_CURRENT)

    def set_measure_voltage_range(self, channel: int, code: int) -> int:
        return self._set(channel, "voltage", code, *_VOLTAGE_V)

    def set_measure_current_range(self, channel: int, code: int) -> int:
        return self._set(channel, "current", code, *CURRENT_A)

    def set_measure_enabled(self, channel: int, code: int) -> int:
        if code not in (lib.DISABLED, lib.ENABLED):
            return self._fail(OUT_OF_RANGE, f"enabled cannot be {code}")
        return self._set(channel, "enabled", code == lib.ENABLED)

    def set_force_delay(self, channel: int, delay_s: float) -> int:
        return self._delay(channel, "force_delay_s", delay_s)

    def set_measure_delay(self, channel: int, delay_s: float) -> int:
        return self._delay(channel, "measure_delay_s", delay_s)

    def _delay(self, channel: int, name: str, delay_s: float) -> int:
        if not -50e-9 <= delay_s <= 50e-9:
            return self._fail(OUT_OF_RANGE, "delays are within 50 ns")
        return self._set(channel, name, delay_s)

    def connect(self, channel: int) -> int:
        return self._switch(channel, on=True)

    def disconnect(self, channel: int) -> int:
        return self._switch(channel, on=False)

    def _switch(self, channel: int, *, on: bool) -> int:
        if channel not in self._channels:
            return self._fail(NO_CHANNEL, f"channel {channel} is not there")
        with self._lock:
            self._channels[channel].connected = on
            self._show(self._channels[channel])
        return 0

    def _show(self, channel: _Channel) -> None:
        shown = Volts(channel.level_v, channel.source_ohm, _MOST_A) if channel.connected else Opened()
        self._bench.world.terminal(channel.name).present(shown)

    def dc_force_voltage(self, channel: int, level_v: float) -> int:
        found = self._channels.get(channel)
        if found is None:
            return self._fail(NO_CHANNEL, f"channel {channel} is not there")
        low, high = _FORCE_V[found.force]
        if found.mode != lib.MODE_DC or not low <= level_v <= high:
            return self._fail(CONTEXT if found.mode != lib.MODE_DC else OUT_OF_RANGE, "no DC output")
        with self._lock:
            found.level_v = level_v
            self._show(found)
        return 0

    def dc_measure_value(self, channel: int) -> tuple[int, float]:
        found = self._channels.get(channel)
        if found is None or found.mode != lib.MODE_DC:
            return self._fail(NO_CHANNEL if found is None else CONTEXT, "no DC measurement"), math.nan
        with self._lock:
            point = self._bench.world.terminal(found.name).look(10e-6)
        ideal = point.current_a if found.measures == lib.MEASURE_CURRENT else point.voltage_v
        return 0, self._reading(found, ideal, 10e-6)

    # ---- patterns -----------------------------------------------------------------------------------------
    def _forget(self) -> None:
        self._patterns.clear()
        for channel in self._channels.values():
            channel.sequence = []
        self._results = NOT_READY

    def clear(self) -> int:
        self._outdate()
        results = self._results
        self._forget()
        self._results = results
        return 0

    def add_sequence(self, channel: int, pattern: str, count: float) -> int:
        if channel not in self._channels:
            return self._fail(NO_CHANNEL, f"channel {channel} is not there")
        if pattern not in self._patterns:
            return self._fail(NO_PATTERN, f"there is no pattern {pattern}")
        if not 1 <= count <= 1e12:
            return self._fail(OUT_OF_RANGE, "a pattern is played 1 to 10^12 times")
        self._channels[channel].sequence.append((pattern, int(count)))
        self._outdate()
        return 0

    # ---- playing ------------------------------------------------------------------------------------------
    def execute(self) -> int:
        playing = [channel for channel in self._channels.values() if channel.sequence]
        waves: dict[str, Wave] = {}
        for channel in playing:
            if channel.mode not in (lib.MODE_FAST_IV, lib.MODE_PG) or not channel.connected:
                return self._fail(CONTEXT, f"{channel.name} is not connected in fast IV or PG mode")
            wave = self._wave(channel)
            if wave is None:
                return self._fail(UNSUPPORTED, f"the sequence of {channel.name} is too long to be simulated")
            low, high = _FORCE_V[channel.force]
            if wave.level_v.min() < low or wave.level_v.max() > high:
                return self._fail(OUT_OF_RANGE, f"{channel.name} leaves its range")
            waves[channel.name] = wave
        with self._lock:
            seen = self._bench.world.play(waves) if waves else {}
            for channel in playing:
                channel.level_v = float(waves[channel.name].level_v[-1])
                self._show(channel)
        self._total_s = max((_length_s(wave) for wave in waves.values()), default=0.0)
        for channel in playing:
            self._measure(channel, seen[channel.name])
        self._results = 0
        return 0

    def _wave(self, channel: _Channel) -> Wave | None:
        """Return what a channel plays; many repetitions of one pattern without measurements stay what they are."""
        sequence = [(self._patterns[name], count) for name, count in channel.sequence]
        points = sum(len(pattern.times_s) * count for pattern, count in sequence)
        if points <= _POINTS:
            times, levels, at = [], [], 0.0
            for pattern, count in sequence:
                for _ in range(count):
                    times.append(np.array(pattern.times_s) + at)
                    levels.append(np.array(pattern.levels_v))
                    at += pattern.duration_s
            return Wave(_rising(np.concatenate(times)), np.concatenate(levels), channel.source_ohm, _MOST_A)
        pattern, count = sequence[0]
        if len(sequence) > 1 or pattern.measures:
            return None
        return Wave(
            np.array(pattern.times_s),
            np.array(pattern.levels_v),
            channel.source_ohm,
            _MOST_A,
            count,
            pattern.duration_s,
        )

    def _measure(self, channel: _Channel, seen: Seen) -> None:
        channel.times_s, channel.values = [], []
        if not channel.enabled:
            return
        at = 0.0
        for name, count in channel.sequence:
            pattern = self._patterns[name]
            if not pattern.measures:
                at += pattern.duration_s * count
                continue
            for _ in range(count):
                for event in pattern.measures.values():
                    self._points(channel, pattern, event, at, seen)
                at += pattern.duration_s

    def _points(self, channel: _Channel, pattern: Pattern, event: Event, at: float, seen: Seen) -> None:
        quantity = seen.current_a if channel.measures == lib.MEASURE_CURRENT else seen.voltage_v
        for point in range(event.points):
            start_s = event.start_s + point * event.interval_s
            for code in (code for time_s, code in pattern.ranges if time_s <= start_s):
                channel.current = code
            averages = max(1, round(event.average_s / _SAMPLE_S))
            moments = at + start_s + np.arange(averages) * _SAMPLE_S + channel.measure_delay_s
            ideal = np.interp(moments, seen.t_s, quantity)
            if event.raw:
                channel.times_s += moments.tolist()
                channel.values += [self._reading(channel, float(each), _SAMPLE_S) for each in ideal]
            else:
                channel.times_s.append(at + start_s)
                channel.values.append(self._reading(channel, float(ideal.mean()), averages * _SAMPLE_S))

    def _reading(self, channel: _Channel, ideal: float, average_s: float) -> float:
        current = channel.measures == lib.MEASURE_CURRENT
        span = CURRENT_A[channel.current] if current else _VOLTAGE_V[channel.voltage]
        assert self._random is not None  # noqa: S101 - made with the session
        noise = self._random.normal(0.0, _NOISE * span * math.sqrt(_SAMPLE_S / average_s))
        return float(np.clip(ideal + noise, -span, span))

    def abort(self) -> int:
        return 0 if self._open else self._fail(CONTEXT, "no session is open")

    def wait_until_completed(self) -> int:
        return 0 if self._results == 0 else self._fail(NOT_RUNNING, "nothing plays")

    def get_status(self) -> tuple[int, int, float, float]:
        state = lib.COMPLETED if self._results == 0 else lib.IDLE
        return 0, state, self._total_s, self._total_s

    def get_measure_value_size(self, channel: int) -> tuple[int, int, int]:
        if channel not in self._channels:
            return self._fail(NO_CHANNEL, f"channel {channel} is not there"), 0, 0
        if self._results:
            return self._fail(self._results, "there are no results of this set-up"), 0, 0
        size = len(self._channels[channel].values)
        return 0, size, size

    def get_measure_values(
        self, channel: int, index: int, length: int
    ) -> tuple[int, list[float], list[float]]:
        code, size, _ = self.get_measure_value_size(channel)
        if code or not 0 <= index <= size:
            return code or self._fail(OUT_OF_RANGE, "no such index"), [], []
        found = self._channels[channel]
        chosen = slice(index, index + length)
        return 0, found.times_s[chosen], found.values[chosen]


def _rising(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part the points in which one pattern ends and the next begins: a step takes the shortest time there is."""
    together = np.concatenate([[False], np.diff(times_s) <= 0])
    return np.where(together, times_s + 1e-9, times_s)


def _length_s(wave: Wave) -> float:
    return (wave.count - 1) * wave.period_s + float(wave.t_s[-1])
