"""One repetition of waveforms through a network: what every terminal and every cell saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.terminals import Seen, Wave
from drivers.simulated.world.network import Network
from drivers.simulated.world.transient_kernel import SHORTEST_S, run

__all__ = ["Record", "play_once"]

_PARTS_IN_ALL, _FEWEST, _MOST = 1200, 2, 80
_SPARE, _MOST_ROOM = 1000, 20_000
"""Room for the steps that refinement adds, and the largest piece that is recorded at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A transient.

    Attributes
    ----------
    t_s : float64, shape (n,)
        From the start of the waves.
    volts : float64, shape (n, nodes)
    amperes, limited : shape (n, sources)
    across_v, through_a : float64, shape (n, cells)
        Voltage and current of the cells.
    """

    t_s: NDArray[np.float64]
    volts: NDArray[np.float64]
    amperes: NDArray[np.float64]
    limited: NDArray[np.bool_]
    across_v: NDArray[np.float64]
    through_a: NDArray[np.float64]

    def seen(self, network: Network, name: str, node: int) -> Seen:
        """Return what a terminal saw whose node is in the network."""
        i, s = network.index(node), network.number.get(name)
        volts = np.zeros(len(self.t_s)) if i is None else self.volts[:, i].copy()
        if s is None:
            return Seen(self.t_s, volts, -volts / network.load_ohm(name), np.zeros(len(volts), np.bool_))
        return Seen(self.t_s, volts, self.amperes[:, s].copy(), self.limited[:, s].copy())


def play_once(network: Network, waves: Mapping[str, Wave]) -> Record:
    """Play waves at sources of a network that stands at their first levels; it ends at their last ones.

    Raises
    ------
    ArithmeticError
        The circuit has no solution that the method finds.
    """
    knots = np.unique(np.concatenate([np.asarray(wave.t_s, np.float64) for wave in waves.values()]))
    levels = np.tile(network.level, (len(knots), 1))
    for name, wave in waves.items():
        levels[:, network.number[name]] = np.interp(knots, wave.t_s, wave.level_v)
    knots, levels = _with_jumps(knots, levels, network, waves)
    parts = int(np.clip(_PARTS_IN_ALL // max(len(knots) - 1, 1), _FEWEST, _MOST))
    room = min(parts * len(knots) + _SPARE, _MOST_ROOM)
    scale_v = max(float(np.abs(levels).max()), 1e-3)
    cells = len(network.where)
    clock = np.array([knots[0], SHORTEST_S])
    since, flips = np.full(cells, np.inf), np.zeros(cells, np.int64)
    pieces = [_start(network, float(knots[0]))]
    n = room
    while n == room:
        piece = _room(network, room)
        n, good = run(
            network.circuit, knots, levels, parts, network.threshold_v, clock, since, flips, network.mode,
            network.on, network.overdrive, network.v, network.current, scale_v, *piece,
        )  # fmt: skip
        pieces.append([part[:n] for part in piece])
        if not good:
            raise ArithmeticError(
                "the circuit of the simulated bench has no solution at some moment of a waveform"
            )
    network.level[:] = levels[-1]
    return Record(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _room(network: Network, room: int) -> list[NDArray[Any]]:
    nodes, sources, cells = len(network.v), len(network.level), len(network.where)
    shapes = (nodes, sources, sources, cells, cells)
    kinds = (np.float64, np.float64, np.bool_, np.float64, np.float64)
    return [np.empty(room), *(np.empty((room, n), kind) for n, kind in zip(shapes, kinds, strict=True))]


def _start(network: Network, t_s: float) -> list[NDArray[Any]]:
    """Return the operating point the waves begin at, as a record of one moment."""
    first: tuple[NDArray[Any], ...] = (
        network.v, network.current, network.mode != 0, network.cell_voltages(), network.cell_currents()
    )  # fmt: skip
    return [np.array([t_s]), *(each[np.newaxis].copy() for each in first)]


def _with_jumps(
    knots: NDArray[np.float64],
    levels: NDArray[np.float64],
    network: Network,
    waves: Mapping[str, Wave],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep vertical edges: a moment that a wave names twice becomes two knots."""
    twice = sorted(
        {float(t) for wave in waves.values() for t in wave.t_s[1:][np.diff(wave.t_s) == 0.0].tolist()}
    )
    for t in twice:
        k = int(np.searchsorted(knots, t))
        before, after = levels[k].copy(), levels[k].copy()
        for name, wave in waves.items():
            at = np.flatnonzero(wave.t_s == t)
            if len(at):
                s = network.number[name]
                before[s], after[s] = wave.level_v[at[0]], wave.level_v[at[-1]]
        levels[k] = before
        knots = np.insert(knots, k + 1, t)
        levels = np.insert(levels, k + 1, after, axis=0)
    return knots, levels
