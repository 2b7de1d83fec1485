"""What the wires of a bench join for good: sockets that one piece of copper connects are one node."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.bench_wiring import GROUND, Wiring

__all__ = ["Copper"]


class Copper:
    """Nodes of the bench; node 0 is ground.

    Parameters
    ----------
    wiring : Wiring
    sockets : iterable of str
        More sockets that exist, wired or not.

    Attributes
    ----------
    resistors : dict of int to list of (int, float)
        By node: the node at the other end, and the conductance, S.
    """

    def __init__(self, wiring: Wiring, sockets: Iterable[str] = ()) -> None:
        self._parent: dict[str, str] = {GROUND: GROUND}
        for wire in wiring.wires:
            a, b = self._root(wire.a), self._root(wire.b)
            if wire.ohm == 0.0 and a != b:
                keep, drop = (b, a) if b == GROUND else (a, b)
                self._parent[drop] = keep
        self._number: dict[str, int] = {GROUND: 0}
        for socket in sockets:
            self.node(socket)
        self.resistors: dict[int, list[tuple[int, float]]] = {}
        for wire in wiring.wires:
            near, far = self.node(wire.a), self.node(wire.b)
            if wire.ohm > 0.0 and near != far:
                self.resistors.setdefault(near, []).append((far, 1.0 / wire.ohm))
                self.resistors.setdefault(far, []).append((near, 1.0 / wire.ohm))

    def node(self, socket: str) -> int:
        """Return the node a socket belongs to."""
        return self._number.setdefault(self._root(socket), len(self._number))

    def _root(self, socket: str) -> str:
        parent = self._parent.setdefault(socket, socket)
        while parent != self._parent[parent]:
            parent = self._parent[parent]
        self._parent[socket] = parent
        return parent
