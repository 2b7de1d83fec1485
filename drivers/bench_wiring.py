"""The wiring of a bench: what is connected to what, as the bench file's ``wiring`` lines say.

A line names two or more sockets and what lies between them: ``pulser.1 -- 3.3 kOhm -- chip.top0``. Both sides use
it: a chip made of instruments finds its relays and series resistors here, the simulated bench its circuit.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from calibration.units import parse
from drivers.wiring_channels import GROUND, channel_problem, matrix_line_of

__all__ = ["GROUND", "Route", "Wire", "Wiring"]

_PART = re.compile(
    r"([A-Za-z_][A-Za-z0-9_-]*)\.([A-Za-z0-9_]*)(?:\[([A-Za-z0-9]+):([A-Za-z0-9]+)\])?", re.ASCII
)
_LONGEST_RANGE = 65_536


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection between two nodes.

    Attributes
    ----------
    a, b : str
        Nodes: ``instrument.channel`` or ``ground``.
    ohm : float
        Resistance between them; 0 for a wire.
    line : str
        The line of the bench file.
    """

    a: str
    b: str
    ohm: float
    line: str


@dataclass(frozen=True, slots=True)
class Route:
    """A way through a matrix of relays.

    Attributes
    ----------
    crosspoints : frozenset of (str, int)
        Relays to close, (row letter, column from 1).
    ohm : float
        Resistors on the way.
    """

    crosspoints: frozenset[tuple[str, int]]
    ohm: float


class Wiring:
    """All wires of a bench.

    Parameters
    ----------
    wires : iterable of Wire
    matrices : iterable of str
        Names of the instruments that are matrices of relays.
    """

    def __init__(self, wires: Iterable[Wire] = (), matrices: Iterable[str] = ()) -> None:
        self.wires = tuple(wires)
        self.matrices = frozenset(matrices)
        self._at: dict[str, list[Wire]] = {}
        for wire in self.wires:
            self._at.setdefault(wire.a, []).append(wire)
            self._at.setdefault(wire.b, []).append(wire)

    @classmethod
    def read(cls, lines: Iterable[str], instruments: Mapping[str, Any]) -> tuple[Wiring, tuple[str, ...]]:
        """Read the lines of a bench file.

        Parameters
        ----------
        lines : iterable of str
        instruments : mapping
            The sections of the bench file, by name.

        Returns
        -------
        wiring : Wiring
            What could be read.
        problems : tuple of str
            One line each, with the line of the file in quotes.
        """
        wires: dict[tuple[str, str], Wire] = {}
        problems: list[str] = []
        for line in lines:
            try:
                found = list(_wires_of(line, instruments))
            except ValueError as error:
                problems.append(f"{line!r}: {error}")
                continue
            for wire in found:
                pair = (min(wire.a, wire.b), max(wire.a, wire.b))
                if pair in wires:
                    problems.append(
                        f"{line!r}: {wire.a} and {wire.b} are connected already by {wires[pair].line!r}"
                    )
                else:
                    wires[pair] = wire
        matrices = [name for name, entry in instruments.items() if entry.driver == "keithley-707b"]
        return cls(wires.values(), matrices), tuple(problems)

    @property
    def nodes(self) -> frozenset[str]:
        """Every node a wire ends at."""
        return frozenset(self._at)

    def neighbours(self, node: str) -> tuple[tuple[str, float], ...]:
        """Return the nodes a wire or resistor leads to from here, with the resistance, Ohm."""
        return tuple((wire.b if wire.a == node else wire.a, wire.ohm) for wire in self._at.get(node, ()))

    def reach(self, node: str) -> dict[str, float]:
        """Return every node that wires and resistors lead to, with the least resistance on the way, Ohm.

        Not through relays, and not beyond ground.
        """
        found = {node: 0.0}
        waiting = deque([node])
        while waiting:
            here = waiting.popleft()
            if here == GROUND and here != node:
                continue
            for there, ohm in self.neighbours(here):
                total = found[here] + ohm
                if total < found.get(there, float("inf")):
                    found[there] = total
                    waiting.append(there)
        return found

    def path(self, start: str, end: str) -> tuple[Wire, ...] | None:
        """Return the wires that lead from one node to another by the least resistance, None where none do.

        Not through relays, and not through ground.
        """
        ohm = self.reach(start)
        if end not in ohm:
            return None
        way: list[Wire] = []
        seen = {end}
        here = end
        while here != start:
            for wire in self._at[here]:
                there = wire.b if wire.a == here else wire.a
                through = there == start or there != GROUND
                if through and there not in seen and ohm.get(there, float("inf")) + wire.ohm == ohm[here]:
                    way.append(wire)
                    seen.add(there)
                    here = there
                    break
            else:  # pragma: no cover - reach() came this way
                return None
        return tuple(reversed(way))

    def series_ohm(self, start: str, end: str) -> float | None:
        """Return the resistance of :meth:`path`, Ohm; None where there is none."""
        return self.reach(start).get(end)

    def matrix_line(self, node: str) -> tuple[str, str | int] | None:
        """Return what line of a matrix a node is: ``("row", "A")``, ``("column", 7)``; None for any other node."""
        name, _, channel = node.partition(".")
        return matrix_line_of(channel) if name in self.matrices else None

    def routes(self, start: str, end: str, matrix: str) -> tuple[Route, ...]:
        """Return the ways from one node to another that lead through exactly one relay of a matrix.

        The way of least resistance comes first; none where the two do not come to a row and a column.
        """
        lines: list[dict[tuple[str, str | int], float]] = []
        for node in (start, end):
            reached = self.reach(node)
            lines.append(
                {
                    line: ohm
                    for there, ohm in reached.items()
                    if there.startswith(f"{matrix}.") and (line := self.matrix_line(there)) is not None
                }
            )
        found = []
        for near, far in (lines, lines[::-1]):
            for (kind, row), ohm in near.items():
                for (other, column), more in far.items():
                    if kind == "row" and other == "column":
                        found.append(Route(frozenset({(str(row), int(column))}), ohm + more))
        return tuple(sorted(found, key=lambda route: (route.ohm, sorted(route.crosspoints))))


def _wires_of(line: str, instruments: Mapping[str, Any]) -> Iterable[Wire]:
    parts = [part.strip() for part in line.split("--")]
    if len(parts) < 2 or not all(parts):
        raise ValueError("a wire looks like smu.a -- chip.top0, or smu.a -- 3.3 kOhm -- chip.top0")
    nodes: list[list[str]] = []
    ohms: list[float] = []
    pending: float | None = None
    for part in parts:
        if part == GROUND or ("." in part.split()[0] and _PART.fullmatch(part)):
            if nodes:
                ohms.append(pending or 0.0)
            nodes.append([GROUND] if part == GROUND else _nodes_of(part, instruments))
            pending = None
        elif not nodes or pending is not None:
            raise ValueError(f"{part!r} is no socket: instrument.channel, or ground")
        else:
            pending = _ohm(part)
    if pending is not None or len(nodes) < 2:
        raise ValueError("a wire ends at a socket: instrument.channel, or ground")
    for (first, second), ohm in zip(pairwise(nodes), ohms, strict=True):
        yield from _pairs(first, second, ohm, line)


def _pairs(first: list[str], second: list[str], ohm: float, line: str) -> Iterable[Wire]:
    if first == [GROUND]:
        first = first * len(second)
    if second == [GROUND]:
        second = second * len(first)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} sockets cannot be wired pairwise to {len(second)}")
    for a, b in zip(first, second, strict=True):
        if a == b:
            raise ValueError(f"{a} is wired to itself")
        yield Wire(a, b, ohm, line)


def _ohm(text: str) -> float:
    try:
        value = parse(text, "Ohm")
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a socket (instrument.channel, or ground) nor a resistance like 3.3 kOhm"
        ) from None
    if not value > 0.0:
        raise ValueError(f"{text!r}: a resistance is above 0 Ohm; leave it out for a wire")
    return value


def _nodes_of(text: str, instruments: Mapping[str, Any]) -> list[str]:
    match = _PART.fullmatch(text)
    assert match is not None  # noqa: S101 - the caller looked
    name, stem, first, last = match.groups()
    entry = instruments.get(name)
    if entry is None:
        raise ValueError(f"there is no instrument {name!r}; there are {', '.join(instruments)}")
    channels = [stem] if first is None else [f"{stem}{each}" for each in _range(text, first, last)]
    for channel in channels:
        if (problem := channel_problem(entry, channel)) is not None:
            raise ValueError(f"{name}.{channel}: {problem}")
    return [f"{name}.{channel}" for channel in channels]


def _range(text: str, first: str, last: str) -> list[str]:
    if first.isdecimal() and last.isdecimal():
        low, high = int(first), int(last)
        if high - low > _LONGEST_RANGE:
            raise ValueError(f"{text!r} has more than {_LONGEST_RANGE} sockets")
        found = [str(number) for number in range(low, high + 1)]
    elif len(first) == len(last) == 1 and first.isalpha() and last.isalpha():
        found = [chr(code) for code in range(ord(first), ord(last) + 1)]
    else:
        raise ValueError(f"{text!r}: a range goes from number to number, or from letter to letter")
    if not found:
        raise ValueError(f"{text!r}: a range goes upwards")
    return found
