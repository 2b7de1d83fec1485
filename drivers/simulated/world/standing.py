"""What stands at the cells between two changes of the bench: switching, stress, and currents that programme.

A change of a source or relay takes no time; what counts is where the circuit stands once time passes. A cell whose
threshold is exceeded there is switched for good, since the current stays and crystallises it. A current above the
dead zone of the programming curve is a long pulse: it is booked as one when it ends, or at once where it might
destroy the cell.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drivers.simulated.terminals import Source
from drivers.simulated.world.cells import Cells
from drivers.simulated.world.defaults import HOLD_V, SMU_EDGE_S
from drivers.simulated.world.network import Network

__all__ = ["Standing"]

_MOST_SWITCHES = 16
_LEAST_PULSE_S = 1e-6
_LEAST_V = 1e-9
_ABOVE = 1.001

Key = tuple[int, int]


class Standing:
    """The operating point the bench stands at.

    Attributes
    ----------
    network : Network or None
        The circuit; None before the first change.
    """

    def __init__(self) -> None:
        self.network: Network | None = None
        self._since_ns = 0
        self._looked_s: dict[int, float] = {}
        self._borne: list[tuple[int, float]] = []
        self._driven: dict[Key, _Driven] = {}

    def leave(self, now_ns: int) -> None:
        """Book what the cells have borne so far; what stands goes on from here."""
        for k, volts in self._borne:
            seconds = 1e-9 * (now_ns - self._since_ns) - self._looked_s.get(k, 0.0)
            if seconds > 0.0 and self.network is not None:
                cells, cell = self.network.where[k]
                cells.stress(cell, now_ns, volts, seconds)
        self._since_ns = now_ns
        self._looked_s.clear()

    def settle(self, network: Network, sources: Mapping[str, Source], now_ns: int) -> None:
        """Come to the operating point that these sources have now.

        Raises
        ------
        ArithmeticError
            The circuit has no solution that the method finds.
        """
        self.network = network
        network.present(sources)
        network.know(now_ns)
        for _ in range(_MOST_SWITCHES):
            _solve(network)
            across = np.abs(network.cell_voltages())
            network.on &= (across >= HOLD_V) | (network.threshold_v == 0.0)
            turns = np.flatnonzero(~network.on & (across > network.threshold_v))
            for k in turns:
                cells, cell = network.where[k]
                cells.switch(cell, now_ns, max(across[k], network.threshold_v[k] * _ABOVE))
                network.on[k] = True
            if not len(turns) and not self._drive(network, now_ns):
                break
            network.know(now_ns)
        across = np.abs(network.cell_voltages())
        self._since_ns = now_ns
        self._looked_s.clear()
        self._borne = [
            (int(k), float(across[k]))
            for k in np.flatnonzero(~network.on | (network.threshold_v == 0.0))
            if across[k] > _LEAST_V
        ]

    def look(self, node: int, now_ns: int, aperture_s: float) -> None:
        """Look at the cells in the same part of the circuit as a node, each once, and solve for what they show."""
        network = self.network
        if network is None or not network.where:
            return
        volts = network.cell_voltages()
        noisy_s: dict[int, float] = {}
        for k in np.flatnonzero(network.beside(node) & (np.abs(volts) > _LEAST_V)):
            cells, cell = network.where[k]
            borne_v = min(abs(volts[k]), HOLD_V) if network.on[k] else abs(volts[k])
            held = cells.observe(
                np.array([cell], np.uint32),
                now_ns,
                aperture_s=aperture_s,
                sign=float(np.sign(volts[k])),
                stress_v=float(borne_v),
            )
            noisy_s[int(k)] = float(held[0])
            self._looked_s[int(k)] = self._looked_s.get(int(k), 0.0) + aperture_s
        if noisy_s:
            network.know(now_ns, noisy_s)
            _solve(network)

    # ---- currents that programme ----------------------------------------------------------------------------
    def _drive(self, network: Network, now_ns: int) -> bool:
        """Follow the currents above the dead zone; True where a cell may have changed: solve again."""
        driven: set[Key] = set()
        changed = False
        for k, amperes in enumerate(np.abs(network.cell_currents())):
            cells, cell = network.where[k]
            if amperes < cells.dead_zone_a:
                continue
            key = (id(cells), cell)
            driven.add(key)
            here = self._driven.setdefault(key, _Driven(cells, cell, now_ns))
            if amperes > here.peak_a:
                here.peak_a = float(amperes)
                if amperes >= cells.risky_a:
                    here.book(now_ns)
                    changed = True
        for key in self._driven.keys() - driven:
            self._driven.pop(key).book(now_ns)
            changed = True
        return changed

    def end(self, now_ns: int) -> None:
        """Let go of everything: the bench is switched off."""
        self.leave(now_ns)
        for key in list(self._driven):
            self._driven.pop(key).book(now_ns)


class _Driven:
    """A current that stands in a cell since some time."""

    def __init__(self, cells: Cells, cell: int, since_ns: int) -> None:
        self.cells, self.cell, self.since_ns, self.peak_a = cells, cell, since_ns, 0.0

    def book(self, now_ns: int) -> None:
        """Book it as one pulse that ends now, as slowly as a source-meter switches off."""
        top_s = max(1e-9 * (now_ns - self.since_ns), _LEAST_PULSE_S)
        self.cells.pulse(self.cell, now_ns, self.peak_a, rise_s=SMU_EDGE_S, top_s=top_s, fall_s=SMU_EDGE_S)


def _solve(network: Network) -> None:
    if not network.solve():
        raise ArithmeticError("the circuit of the simulated bench has no operating point that can be found")
