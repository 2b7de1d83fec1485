"""Instruments without a language on the sockets of a simulated bench: roles, ideal but for their time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from role_fakes import LIMITS

from drivers.bench import BenchFile
from drivers.chip import Identity
from drivers.discrete import DiscreteChip, DiscreteParts, DiscreteSettings
from drivers.discrete_journal import Journal
from drivers.discrete_opening import journal_of
from drivers.discrete_routes import Sockets, ways_through
from drivers.discrete_simulation import BenchSimulation
from drivers.roles import Burst, PulseLimits, PulseShape
from drivers.simulated.registry import open_bench
from drivers.simulated.terminals import Opened, Volts, Wave

MESSAGE_S = 0.5e-3


class _Role:
    def __init__(self, world: Any, name: str) -> None:
        self.world, self.name = world, name
        self.link = SimpleNamespace(messages=0, reopen=lambda: None)

    def say(self) -> None:
        self.link.messages += 1
        with self.world.lock:
            self.world.pass_s(MESSAGE_S)

    def identify(self) -> Identity:
        return Identity("Fakes", self.name.upper(), "7", "1.0", simulated=True)

    def snapshot(self) -> dict[str, Any]:
        return {"identity": {"model": self.name.upper()}, "settings": {}}

    def errors(self) -> list[Any]:
        return []

    def safe(self) -> None:
        self.make_safe()

    def close(self) -> None:
        pass

    def make_safe(self) -> None:
        raise NotImplementedError


class Smu(_Role):
    def present(self, source: Any) -> None:
        with self.world.lock:
            self.world.terminal(self.name).present(source)

    def zero(self) -> None:
        self.say()
        self.present(Volts(0.0))

    def make_safe(self) -> None:
        self.say()
        self.present(Opened())

    def hold(self, level_v: float, *, limit_a: float) -> None:
        self.say()
        self.present(Volts(level_v, 0.0, limit_a))

    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        self.say()
        aperture_s = max(aperture_s, 20e-6)
        with self.world.lock:
            terminal = self.world.terminal(self.name)
            terminal.present(Volts(level_v, 0.0, limit_a))
            self.world.pass_s(1e-3)
            seen = [terminal.look(aperture_s) for _ in range(samples)]
            terminal.present(Volts(0.0))
        return Burst(
            np.array([one.voltage_v for one in seen]),
            np.array([one.current_a for one in seen]),
            np.array([one.limited for one in seen]),
            np.arange(samples) * aperture_s,
        )


class Pulser(_Role):
    shape: PulseShape | None = None

    def pulse_limits(self) -> PulseLimits:
        return LIMITS

    def zero(self) -> None:
        self.say()
        with self.world.lock:
            self.world.terminal(self.name).present(Volts(0.0, 50.0))

    def make_safe(self) -> None:
        self.say()
        with self.world.lock:
            self.world.terminal(self.name).present(Opened())

    def prepare(self, shape: PulseShape) -> None:
        self.say()
        self.shape = shape

    def fire(self, open_v: float, count: int = 1) -> None:
        self.say()
        shape = self.shape
        assert shape is not None
        times = np.cumsum([0.0, shape.rise_s, shape.top_s, shape.fall_s])
        wave = Wave(times, np.array([0.0, open_v, open_v, 0.0]), 50.0, count=count, period_s=shape.period_s)
        with self.world.lock:
            self.world.play({self.name: wave})


class Matrix(_Role):
    settle_s = 15e-3
    hot_v = 0.0

    def connect(self, crosspoints: frozenset[tuple[str, int]]) -> None:
        self.say()
        with self.world.lock:
            self.hot_v = max(self.hot_v, self.world.relays(self.name, crosspoints))
            self.world.pass_s(self.settle_s)
        self._closed = crosspoints

    def closed(self) -> frozenset[tuple[str, int]]:
        return self._closed

    def make_safe(self) -> None:
        self.connect(frozenset())


def open_roles(bench: BenchFile, entry: Any, transcript: Any = None) -> DiscreteChip:
    """Open the first discrete chip of a bench file over roles: what a station takes as opener."""
    name = next(name for name, found in bench.chips.items() if found is entry)
    held = open_bench(bench.path)
    world = held.world
    smu, pulser, matrix = Smu(world, entry.smu), Pulser(world, entry.pulser), Matrix(world, entry.matrix)
    gate = None if entry.word_line is None else Smu(world, entry.word_line)
    instruments = {"pulser": pulser, "smu": smu, "matrix": matrix} | ({"gate": gate} if gate else {})
    pulser.close = held.release  # type: ignore[method-assign]
    parts = DiscreteParts(
        smu, pulser, gate, matrix, instruments=instruments, sources_in=tuple(set(instruments) - {"matrix"})
    )
    return DiscreteChip(
        name,
        entry.rows,
        entry.cols,
        parts,
        ways_through(
            bench.connections,
            Sockets(entry.smu, entry.pulser, entry.word_line, entry.matrix),
            name,
            entry.rows,
            entry.cols,
            transistors=entry.access == "transistor",
        ),
        Journal(journal_of(bench, name), entry.rows * entry.cols),
        settings=DiscreteSettings(),
        simulation=BenchSimulation(f"{bench.path}@pcm", name),
    )
