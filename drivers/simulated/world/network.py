"""The part of the bench that carries current: what live sources reach through wires, resistors and closed relays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.terminals import Amperes, Operating, Resistor, Source, Volts
from drivers.simulated.world.cells import Cells
from drivers.simulated.world.circuit_kernel import AMPERES, VOLTS, Circuit, solve
from drivers.simulated.world.copper import Copper
from drivers.simulated.world.defaults import (
    HOLD_V,
    LEAK_S,
    ON_OHM,
    PAD_F,
    RELAY_LEAK_S,
    RELAY_OFFSET_A,
    RELAY_OHM,
    SHARED_OHM,
)

__all__ = ["Contacts", "Live", "Network"]


class Contacts:
    """Where the contacts of a chip are connected.

    Attributes
    ----------
    cells : Cells
    common : int
        Node of ``bottom`` or ``sl``.
    lines : dict of int to list of int
        Cells by the node of their ``top``, columns by the node of their ``bl``.
    gates : dict of int to list of int
        Rows by the node of their ``wl``.
    """

    def __init__(self, cells: Cells, copper: Copper) -> None:
        self.cells = cells
        self.lines: dict[int, list[int]] = {}
        self.gates: dict[int, list[int]] = {}
        stem, count = ("bl", cells.cols) if cells.has_transistors else ("top", cells.rows * cells.cols)
        for number in range(count):
            self.lines.setdefault(copper.node(f"{cells.name}.{stem}{number}"), []).append(number)
        for row in range(cells.rows if cells.has_transistors else 0):
            self.gates.setdefault(copper.node(f"{cells.name}.wl{row}"), []).append(row)
        self.common = copper.node(f"{cells.name}.{'sl' if cells.has_transistors else 'bottom'}")

    @property
    def pads(self) -> set[int]:
        """All nodes with a contact of the chip."""
        return {self.common, *self.lines, *self.gates}


@dataclass(frozen=True, slots=True)
class Live:
    """A terminal with something inside: its name, its node, and what it presents."""

    name: str
    node: int
    source: Source


class Network:
    """The circuit of a set of live terminals and closed relays; levels may change, what is connected may not.

    Parameters
    ----------
    copper : Copper
    chips : sequence of Contacts
    relays : iterable of (int, int)
        Nodes that closed relays join.
    live : sequence of Live

    Attributes
    ----------
    circuit : Circuit
    where : list of (Cells, int)
        The chip and cell of each cell of the circuit.
    v, mode, current
        Voltages of the nodes, sides and currents of the sources: of the last solution.
    on : ndarray of bool
        Which cells are on.
    """

    def __init__(
        self,
        copper: Copper,
        chips: Sequence[Contacts],
        relays: Iterable[tuple[int, int]],
        live: Sequence[Live],
    ) -> None:
        closed: dict[int, list[int]] = {}
        for a, b in relays:
            if a != b:
                closed.setdefault(a, []).append(b)
                closed.setdefault(b, []).append(a)
        self._index = _reached({0} | {each.node for each in live}, copper, closed)
        ohms: list[tuple[int, int, float]] = []
        extra: dict[int, tuple[float, float]] = {}
        for node, i in self._index.items():
            for other, siemens in copper.resistors.get(node, ()):
                if node < other and other in self._index:
                    ohms.append((i, self._index[other], siemens))
            for other in closed.get(node, ()):
                if node < other:  # both are reached: relays lead on
                    ohms.append((i, self._index[other], 1.0 / RELAY_OHM))
                    leak, offset = extra.get(i, (0.0, 0.0))
                    extra[i] = (leak + RELAY_LEAK_S, offset + RELAY_OFFSET_A)
        self.where: list[tuple[Cells, int]] = []
        self._cells: list[tuple[int, int]] = []
        self._gated: list[tuple[int, int, int]] = []
        pads: set[int] = set()
        for contacts in chips:
            self._place(contacts)
            pads |= contacts.pads
        self._sources = [each for each in live if not isinstance(each.source, Resistor)]
        ohms += [
            (self._index[each.node], 0, 1.0 / each.source.ohm)
            for each in live
            if isinstance(each.source, Resistor)
        ]
        self._made_of = _kinds(live)
        self._loads = {each.name: each.source.ohm for each in live if isinstance(each.source, Resistor)}
        self.number = {each.name: s for s, each in enumerate(self._sources)}
        n = len(self._index)
        leak_s, inject_a, farad = np.full(n, LEAK_S), np.zeros(n), np.zeros(n)
        for i, (leak, offset) in extra.items():
            leak_s[i] += leak
            inject_a[i] += offset
        farad[[i for node, i in self._index.items() if node in pads]] = PAD_F
        ends = np.array([pair[:2] for pair in ohms], np.int64).reshape(-1, 2)
        cells = np.array(self._cells, np.int64).reshape(-1, 2)
        gated = np.array(self._gated, np.int64).reshape(-1, 3)
        self.circuit = Circuit(
            leak_s, inject_a, farad,
            np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1]), np.array([pair[2] for pair in ohms]),
            np.ascontiguousarray(cells[:, 0]), np.ascontiguousarray(cells[:, 1]), np.zeros((len(cells), 1)),
            np.ascontiguousarray(gated[:, 0]), np.ascontiguousarray(gated[:, 1]), np.ascontiguousarray(gated[:, 2]),
            np.array([self._index[each.node] for each in self._sources], np.int64),
            np.zeros(len(self._sources), np.int64), np.zeros(len(self._sources)), np.zeros(len(self._sources)),
        )  # fmt: skip
        self._shared = np.array([self._is_shared(s) for s in range(len(self._sources))], np.bool_)
        self.level = np.zeros(len(self._sources))
        self.mode = np.zeros(len(self._sources), np.int64)
        self.current = np.zeros(len(self._sources))
        self.on = np.zeros(len(cells), np.bool_)
        self.threshold_v = np.full(len(cells), np.inf)
        self.overdrive = np.full(len(gated), -1.0)
        self.v = np.zeros(n)
        self._nothing = np.zeros(n)
        self._parts = _parts(self.circuit, n)

    def _place(self, contacts: Contacts) -> None:
        """Add the cells a current can pass: those whose own contact is reached, with their gate where they have one."""
        found: list[tuple[int, int, int]] = []  # node of the contact, cell, node of the gate
        chip = contacts.cells
        for node in [node for node in self._index if node in contacts.lines]:
            for number in contacts.lines[node]:
                if not chip.has_transistors:
                    found.append((node, number, -1))
                    continue
                for gate in [gate for gate in self._index if gate in contacts.gates]:
                    found += [(node, row * chip.cols + number, gate) for row in contacts.gates[gate]]
        if found:
            common = self._index.setdefault(contacts.common, len(self._index))
        for node, cell, gate in found:
            self.where.append((chip, cell))
            if gate < 0:
                self._cells.append((self._index[node], common))
                continue
            inner = self._index.setdefault(-1 - len(self._index), len(self._index))
            self._cells.append((self._index[node], inner))
            self._gated.append((self._index[gate], inner, common))

    def is_of(self, live: Sequence[Live]) -> bool:
        """Whether these are the live terminals it was made of, whatever their levels."""
        return self._made_of == _kinds(live)

    def _is_shared(self, s: int) -> bool:
        nodes = self.circuit.node
        return bool(nodes[s] == 0 or np.count_nonzero(nodes == nodes[s]) > 1)

    # ---- its state ------------------------------------------------------------------------------------------
    def present(self, sources: Mapping[str, Source]) -> None:
        """Set the levels and limits of the sources."""
        c = self.circuit
        for name, s in self.number.items():
            source = sources[name]
            least = SHARED_OHM if self._shared[s] else 0.0
            if isinstance(source, Volts):
                c.kind[s], c.ohm[s], c.limit[s] = VOLTS, max(source.series_ohm, least), source.limit_a
                self.level[s] = source.level_v
            elif isinstance(source, Amperes):
                c.kind[s], c.ohm[s], c.limit[s] = AMPERES, least, source.limit_v
                self.level[s] = source.level_a

    def know(self, now_ns: int, noisy_s: Mapping[int, float] | None = None) -> None:
        """Take the present state of the cells; of some the conductance that was observed just now, S."""
        terms: list[NDArray[np.float64]] = []
        threshold_v = np.full(len(self.where), np.inf)
        for chip in dict.fromkeys(chip for chip, _ in self.where):
            mine = [k for k, (other, _) in enumerate(self.where) if other is chip]
            cells = np.array([self.where[k][1] for k in mine], np.uint32)
            found = chip.terms(cells, now_ns)
            if noisy_s:
                given = [k for k, number in enumerate(mine) if number in noisy_s]
                if given:
                    values = np.array([noisy_s[mine[k]] for k in given])
                    found[given] = chip.terms(cells[given], now_ns, values)
            threshold_v[mine] = chip.threshold_v(cells, now_ns)
            terms.append(np.column_stack([mine, found]))
        if terms:
            width = max(each.shape[1] for each in terms) - 1
            table = np.zeros((len(self.where), width))
            for each in terms:
                table[each[:, 0].astype(np.int64), : each.shape[1] - 1] = each[:, 1:]
            self.circuit = self.circuit._replace(terms=table)
            lit = self.on & (self.threshold_v > 0.0) & np.isfinite(threshold_v)
            self.on = lit | (threshold_v == 0.0)
            self.threshold_v = threshold_v

    def solve(self) -> bool:
        """Find the operating point; False where the method did not come to an end."""
        good: bool = solve(
            self.circuit, self.level, self.mode, self.on, self.overdrive, self._nothing, self._nothing, self.v,
            self.current,
        )  # fmt: skip
        if good and np.isfinite(self.v).all():
            return True
        self.v[:] = 0.0
        self.mode[:] = 0
        return bool(
            solve(
                self.circuit, self.level, self.mode, self.on, self.overdrive, self._nothing, self._nothing,
                self.v, self.current,
            )
        )  # fmt: skip

    # ---- what it shows --------------------------------------------------------------------------------------
    def index(self, node: int) -> int | None:
        """Return the place of a node of the bench in this circuit, None where nothing reaches it."""
        return self._index.get(node)

    def voltage_v(self, node: int) -> float:
        """Return the voltage of a node, V; 0 where nothing reaches it."""
        i = self._index.get(node)
        return 0.0 if i is None else float(self.v[i])

    def operating(self, name: str, node: int) -> Operating:
        """Return what a terminal sees."""
        s = self.number.get(name)
        volts = self.voltage_v(node)
        if s is None:
            return Operating(volts, 0.0, limited=False)
        return Operating(volts, float(self.current[s]), limited=bool(self.mode[s]))

    def cell_voltages(self) -> NDArray[np.float64]:
        """Return the voltage across each cell, V."""
        across: NDArray[np.float64] = self.v[self.circuit.cell_a] - self.v[self.circuit.cell_b]
        return across

    def cell_currents(self) -> NDArray[np.float64]:
        """Return the current through each cell, A."""
        volts, terms = self.cell_voltages(), self.circuit.terms
        below = sum((terms[:, k] * volts ** (2 * k + 1) for k in range(terms.shape[1])), np.zeros(len(volts)))
        beyond = np.where(self.on, np.maximum(np.abs(volts) - HOLD_V, 0.0) / ON_OHM, 0.0)
        found: NDArray[np.float64] = below + np.sign(volts) * beyond
        return found

    def load_ohm(self, name: str) -> float:
        """Return the load that a terminal is, Ohm; infinite where it is none."""
        return self._loads.get(name, float("inf"))

    def together(self, nodes: Iterable[int]) -> set[int]:
        """Return the places in this circuit of all nodes in the same parts of it as some nodes of the bench."""
        parts = {int(self._parts[i]) for node in nodes if (i := self._index.get(node)) is not None}
        return {i for i in range(len(self._parts)) if int(self._parts[i]) in parts}

    def beside(self, node: int) -> NDArray[np.bool_]:
        """Tell which cells lie in the same part of the circuit as a node."""
        i = self._index.get(node)
        if i is None or i == 0:
            return np.zeros(len(self.where), np.bool_)
        found: NDArray[np.bool_] = (self._parts[self.circuit.cell_a] == self._parts[i]) | (
            self._parts[self.circuit.cell_b] == self._parts[i]
        )
        return found


def _kinds(live: Sequence[Live]) -> list[tuple[str, float]]:
    return [(each.name, each.source.ohm if isinstance(each.source, Resistor) else 0.0) for each in live]


def _reached(start: set[int], copper: Copper, closed: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Give numbers to what wires, resistors and relays lead to from live sources and from ground, which is 0."""
    index: dict[int, int] = {}
    waiting = [*sorted(start - {0}), 0]
    while waiting:
        node = waiting.pop()
        if node in index:
            continue
        index[node] = len(index)
        waiting += [other for other, _ in copper.resistors.get(node, ())]
        waiting += closed.get(node, ())
    return index


def _parts(c: Circuit, n: int) -> NDArray[np.int64]:
    """Label the parts of a circuit that only ground has in common."""
    label = np.arange(n)
    pairs = [
        *zip(c.ohm_a, c.ohm_b, strict=True),
        *zip(c.cell_a, c.cell_b, strict=True),
        *zip(c.drain, c.body, strict=True),
    ]
    for a, b in pairs:
        if a and b and label[a] != label[b]:
            label[label == label[a]] = label[b]
    return label
