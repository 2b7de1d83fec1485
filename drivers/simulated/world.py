"""The bench around the simulated instruments: one time, one lock, and the wires between their sockets.

(Stand-in: sockets are open or have one resistor to ground.)
"""

# ruff: noqa: D102 - said by drivers.simulated.terminals.Bench

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from calibration.units import parse
from drivers.simulated.clock import TIME_END_NS, VirtualClock
from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Amperes, Opened, Operating, Resistor, Seen, Source, Volts, Wave

if TYPE_CHECKING:
    from drivers.bench import BenchFile

__all__ = ["World"]


class World:
    """One bench.

    Parameters
    ----------
    bench : BenchFile
        Whose wiring and cells it has.
    """

    def __init__(self, bench: BenchFile) -> None:
        self.lock = FairLock()
        self.clock = VirtualClock()
        self.seed = 0
        self._ohm: dict[str, float] = {}
        self._terminals: dict[str, _Terminal] = {}
        self._welded: dict[str, frozenset[tuple[str, int]]] = {}
        self._watchers: dict[Callable[[], int], int] = {}
        for line in bench.wiring:
            socket, ohm, ground = (part.strip() for part in line.split("--"))
            if ground != "ground":
                raise NotImplementedError(line)
            self._ohm[socket] = parse(ohm, "Ohm")

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns

    def pass_s(self, seconds: float) -> None:
        end = min(self.now_ns + round(seconds * 1e9), TIME_END_NS - 1)
        while self.now_ns < end:
            self.clock.reach(min(end, *self._watchers.values()) if self._watchers else end)
            for callback in self._watchers:
                self._watchers[callback] = max(callback(), self.now_ns + 1)

    def on_time(self, callback: Callable[[], int]) -> None:
        self._watchers[callback] = max(callback(), self.now_ns + 1)

    def terminal(self, name: str) -> _Terminal:
        if name not in self._terminals:
            self._terminals[name] = _Terminal(self, name, self._ohm.get(name, 1e15))
        return self._terminals[name]

    def play(self, waves: Mapping[str, Wave]) -> dict[str, Seen]:
        seen = {}
        longest = 0.0
        for name, wave in waves.items():
            terminal = self.terminal(name)
            times = np.unique(np.concatenate([wave.t_s, np.linspace(0.0, wave.t_s[-1], 400)]))
            points = [
                terminal.at(Volts(float(level), wave.series_ohm, wave.limit_a))
                for level in np.interp(times, wave.t_s, wave.level_v)
            ]
            seen[name] = Seen(
                times,
                np.array([point.voltage_v for point in points]),
                np.array([point.current_a for point in points]),
                np.array([point.limited for point in points]),
            )
            terminal.seen = seen[name]
            terminal.present(Volts(float(wave.level_v[-1]), wave.series_ohm, wave.limit_a))
            longest = max(longest, (wave.count - 1) * wave.period_s + float(wave.t_s[-1]))
        self.pass_s(longest)
        return seen

    def random(self, *names: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *(zlib.crc32(name.encode()) for name in names)])

    def relays(self, matrix: str, closed: frozenset[tuple[str, int]]) -> float:
        return 0.0

    def weld(self, matrix: str, crosspoints: frozenset[tuple[str, int]]) -> None:
        self._welded[matrix] = self.welded(matrix) | crosspoints

    def welded(self, matrix: str) -> frozenset[tuple[str, int]]:
        return self._welded.get(matrix, frozenset())

    def ambient_k(self) -> float:
        return 296.0

    def heat(self, stage_k: float) -> None:
        self.stage_k = stage_k

    def save(self) -> None:
        """Write what outlives a session."""

    def close(self) -> None:
        """Let go of the cells."""


class _Terminal:
    def __init__(self, world: World, name: str, ohm: float) -> None:
        self._world, self.name, self._ohm = world, name, ohm
        self._source: Source = Opened()
        self.seen: Seen | None = None

    def present(self, source: Source) -> None:
        self._source = source

    def look(self, aperture_s: float = 0.0) -> Operating:
        self._world.pass_s(aperture_s)
        return self.at(self._source)

    def trace(self) -> Seen | None:
        return self.seen

    def at(self, source: Source) -> Operating:
        if isinstance(source, Opened | Resistor):
            return Operating(0.0, 0.0, limited=False)
        if isinstance(source, Amperes):
            volts = source.level_a * self._ohm
            limited = abs(volts) > source.limit_v
            volts = float(np.clip(volts, -source.limit_v, source.limit_v))
            return Operating(volts, volts / self._ohm, limited=limited)
        amperes = source.level_v / (self._ohm + source.series_ohm)
        limited = abs(amperes) > source.limit_a
        amperes = float(np.clip(amperes, -source.limit_a, source.limit_a))
        return Operating(amperes * self._ohm, amperes, limited=limited)
