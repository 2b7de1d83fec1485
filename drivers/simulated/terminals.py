"""Where a simulated instrument touches the bench: what it presents to its sockets, and what it sees there.

An instrument twin knows nothing of wires, relays and cells. It presents sources and plays waveforms at its own
terminals; the bench (:mod:`drivers.simulated.world`) knows what is connected and lets time pass. The bench's lock is
held in every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Amperes",
    "Bench",
    "Opened",
    "Operating",
    "Resistor",
    "Seen",
    "Source",
    "Terminal",
    "Volts",
    "Wave",
]


@dataclass(frozen=True, slots=True)
class Opened:
    """Nothing inside touches the terminal: an output that is off, or in its high-impedance state."""


@dataclass(frozen=True, slots=True)
class Volts:
    """A voltage source behind a resistance, whose current is held within ``+- limit_a``."""

    level_v: float
    series_ohm: float = 0.0
    limit_a: float = math.inf


@dataclass(frozen=True, slots=True)
class Amperes:
    """A current source, whose voltage is held within ``+- limit_v``."""

    level_a: float
    limit_v: float = math.inf


@dataclass(frozen=True, slots=True)
class Resistor:
    """A load to ground: the input of a scope, 1 MOhm or 50 Ohm."""

    ohm: float


Source = Opened | Volts | Amperes | Resistor


@dataclass(frozen=True, slots=True)
class Operating:
    """The operating point of a terminal: volt, ampere out of the instrument, and whether its limit acts."""

    voltage_v: float
    current_a: float
    limited: bool


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """A waveform of the open output: straight lines between (t_s, level_v); t_s ascends from 0.

    Attributes
    ----------
    series_ohm, limit_a : float
        As of :class:`Volts`.
    count, period_s
        How often it is played, and from start to start. Terminals that play see the last repetition recorded,
        others the first one, as a scope that waits for a trigger does.
    """

    t_s: NDArray[np.float64]
    level_v: NDArray[np.float64]
    series_ohm: float = 0.0
    limit_a: float = math.inf
    count: int = 1
    period_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a terminal saw while a waveform was played, arrays of one length; t_s from the start of the wave."""

    t_s: NDArray[np.float64]
    voltage_v: NDArray[np.float64]
    current_a: NDArray[np.float64]
    limited: NDArray[np.bool_]


class Terminal(Protocol):
    """One socket of an instrument: ``smu.a``, ``pulser.1``, ``scope.2``."""

    @property
    def name(self) -> str:
        """As the wiring of the bench file calls it."""

    def present(self, source: Source) -> None:
        """Show `source` to the outside from now on; takes no time."""

    def look(self, aperture_s: float = 0.0) -> Operating:
        """Return the mean operating point over an aperture that begins now; time moves on by it.

        It is free of the instrument's own noise, offset and resolution: those are the twin's business.
        """

    def trace(self) -> Seen | None:
        """Return what this terminal saw of the last waveform anybody played, None where nothing reached it yet."""


class Bench(Protocol):
    """The bench as its instruments know it."""

    @property
    def now_ns(self) -> int:
        """Time of the bench, nanoseconds."""

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""

    def terminal(self, name: str) -> Terminal:
        """Return a socket by its name; one that nothing is wired to is open."""

    def play(self, waves: Mapping[str, Wave]) -> dict[str, Seen]:
        """Play waveforms at terminals, all from now on; returns what those terminals saw. Time passes meanwhile.

        Each terminal presents its waveform's first level before and its last level afterwards.
        """

    def random(self, *names: str) -> np.random.Generator:
        """Return a stream of random numbers of its own for this bench and these names (never shared, seeded)."""

    def relays(self, matrix: str, closed: frozenset[tuple[str, int]]) -> float:
        """Tell that exactly these crosspoints (row letter, column from 1) of a matrix are asked to be closed.

        Returns the largest voltage across a relay that was switched just now, V: what the twin judges hot switching
        by. Relays that were welded stay closed; see :meth:`welded`. Takes no time: the twin lets it pass.
        """

    def weld(self, matrix: str, crosspoints: frozenset[tuple[str, int]]) -> None:
        """Damage relays: they stay closed for ever."""

    def welded(self, matrix: str) -> frozenset[tuple[str, int]]:
        """Crosspoints that do not open any more."""

    def ambient_k(self) -> float:
        """Return the temperature of the room, K."""

    def heat(self, stage_k: float) -> None:
        """Tell the temperature of the stage the devices lie on, from now on, K."""

    def on_time(self, callback: Callable[[], int]) -> None:
        """Call `callback` whenever time has passed: for what goes on by itself, as a stage that warms up.

        It returns the time, ns, beyond which time must not pass in one step without calling it again; it is called
        once now, and registered again where that time has changed in between.
        """
