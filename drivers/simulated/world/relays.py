"""The relays of a bench's matrices: what is asked to be closed, and what is welded."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.simulated.world.copper import Copper

__all__ = ["Crosspoints", "Relays"]

Crosspoints = frozenset[tuple[str, int]]


class Relays:
    """State of all relays.

    Parameters
    ----------
    copper : Copper
    """

    def __init__(self, copper: Copper) -> None:
        self._copper = copper
        self._asked: dict[str, Crosspoints] = {}
        self._welded: dict[str, Crosspoints] = {}

    def ask(self, matrix: str, closed: Crosspoints) -> tuple[Crosspoints, Crosspoints]:
        """Ask for exactly these to be closed; returns which of them close and which open."""
        before = self.closed(matrix)
        self._asked[matrix] = closed
        after = self.closed(matrix)
        return after - before, before - after

    def weld(self, matrix: str, crosspoints: Crosspoints) -> None:
        """Let relays stay closed for ever."""
        self._welded[matrix] = self.welded(matrix) | crosspoints

    def welded(self, matrix: str) -> Crosspoints:
        """Return those that do not open any more."""
        return self._welded.get(matrix, frozenset())

    def closed(self, matrix: str) -> Crosspoints:
        """Return those that are closed."""
        return self._asked.get(matrix, frozenset()) | self.welded(matrix)

    def ends(self, matrix: str, crosspoints: Crosspoints) -> list[tuple[int, int]]:
        """Return the nodes of the row and of the column of relays."""
        node = self._copper.node
        return [(node(f"{matrix}.{row}"), node(f"{matrix}.{column}")) for row, column in sorted(crosspoints)]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for matrix in sorted(self._asked.keys() | self._welded.keys()):
            yield from self.ends(matrix, self.closed(matrix))
