"""Ways from the instruments to the cells, and the relays on them: never switched under voltage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from drivers.errors import DriverError, HotSwitch, LinkError, WiringError

if TYPE_CHECKING:
    from drivers.roles import CrosspointMatrix

__all__ = ["CellWay", "CellWays", "Relays", "Sockets", "Ways", "ways_through"]

Crosspoints = frozenset[tuple[str, int]]


class Wires(Protocol):
    """What is asked of :class:`drivers.bench_wiring.Wiring`."""

    def series_ohm(self, start: str, end: str) -> float | None:
        """Resistance between two nodes that wires and resistors connect, None where they do not."""

    def routes(self, start: str, end: str, matrix: str) -> tuple[Way, ...]:
        """Ways from one node to another through exactly one relay of a matrix, the best first."""


class Way(Protocol):
    """What is asked of :class:`drivers.bench_wiring.Route`."""

    @property
    def crosspoints(self) -> Crosspoints:
        """Relays to close."""

    @property
    def ohm(self) -> float:
        """Resistors on the way."""


@dataclass(frozen=True, slots=True)
class CellWay:
    """What connects one instrument to one cell.

    Attributes
    ----------
    crosspoints : frozenset of (str, int)
        Relays that must be closed, those of its word line and of its other end included.
    series_ohm : float
        Resistors between the instrument's terminals and the cell.
    """

    crosspoints: Crosspoints
    series_ohm: float


@dataclass(frozen=True, slots=True)
class Sockets:
    """Names of the channels of a chip's instruments, as the wiring has them; None where there is none."""

    smu: str
    pulser: str
    word_line: str | None = None
    matrix: str | None = None


class Ways(Protocol):
    """Ways of the two instruments to every cell."""

    def to_read(self, cell: int) -> CellWay:
        """From the source-meter."""

    def to_pulse(self, cell: int) -> CellWay:
        """From the pulse source."""


class CellWays:
    """Ways by cell number, every one found when it is made.

    Parameters
    ----------
    read, pulse : mapping of int to CellWay
    """

    def __init__(self, read: Mapping[int, CellWay], pulse: Mapping[int, CellWay]) -> None:
        self._read, self._pulse = dict(read), dict(pulse)

    def to_read(self, cell: int) -> CellWay:
        """From the source-meter."""
        return self._read[cell]

    def to_pulse(self, cell: int) -> CellWay:
        """From the pulse source."""
        return self._pulse[cell]


def ways_through(
    wires: Wires, sockets: Sockets, chip: str, rows: int, cols: int, *, transistors: bool
) -> CellWays:
    """Find the ways of a chip of a bench file.

    Parameters
    ----------
    wires : Wires
        Of the bench.
    sockets : Sockets
    chip : str
        Its name in the file.
    rows, cols : int
    transistors : bool
        Whether the cells have access transistors.

    Raises
    ------
    WiringError
        A cell cannot be reached.
    """

    def way(start: str, end: str) -> CellWay:
        direct = wires.series_ohm(start, end)
        if direct is not None:
            return CellWay(frozenset(), direct)
        if sockets.matrix is not None and (found := wires.routes(start, end, sockets.matrix)):
            return CellWay(found[0].crosspoints, found[0].ohm)
        through = f", nor through {sockets.matrix}" if sockets.matrix else ""
        raise WiringError(
            f"nothing leads from {start} to {end} by wire{through}; complete `wiring` in the bench file, like "
            f"'{start} -- {f'{sockets.matrix}.A' if sockets.matrix else end}'"
        )

    def joined(contacts: list[CellWay], gate: CellWay | None) -> CellWay:
        crosspoints = frozenset().union(
            *(part.crosspoints for part in contacts), gate.crosspoints if gate else frozenset()
        )
        return CellWay(crosspoints, sum(part.series_ohm for part in contacts))

    back = way(f"{chip}.{'sl' if transistors else 'bottom'}", "ground")
    gates: list[CellWay | None] = [None] * rows
    if transistors:
        if sockets.word_line is None:
            raise WiringError(f"{chip} has transistors: name the channel that holds their gates as word_line")
        gates = [way(sockets.word_line, f"{chip}.wl{row}") for row in range(rows)]
    both: list[dict[int, CellWay]] = []
    for socket in (sockets.smu, sockets.pulser):
        if transistors:
            lines = [way(socket, f"{chip}.bl{col}") for col in range(cols)]
            both.append(
                {
                    row * cols + col: joined([lines[col], back], gates[row])
                    for row in range(rows)
                    for col in range(cols)
                }
            )
        else:
            both.append(
                {cell: joined([way(socket, f"{chip}.top{cell}"), back], None) for cell in range(rows * cols)}
            )
    return CellWays(*both)


class Source(Protocol):
    """What can be brought to 0 V."""

    def zero(self) -> None:
        """Bring the terminals to 0 V."""


class Relays:
    """The matrix of a chip and the sources on it: relays are switched only with every source at 0 V.

    Parameters
    ----------
    matrix : CrosspointMatrix or None
        None where one cell is wired for good.
    sources : mapping of str to Source
        By what they are called in errors.
    """

    def __init__(self, matrix: CrosspointMatrix | None, sources: Mapping[str, Source]) -> None:
        self._matrix, self._sources = matrix, dict(sources)
        self._closed: Crosspoints | None = None
        self._unsure = set(self._sources)
        self._alone = ""

    def distrust(self) -> None:
        """Note that anything may have been switched by others."""
        self._unsure, self._closed, self._alone = set(self._sources), None, ""

    def resting(self) -> None:
        """Note that every source was switched off, which is as good as 0 V."""
        self._unsure.clear()

    def live(self, name: str) -> None:
        """Note that a source is about to act: it counts as live until it was brought to 0 V.

        Without relays all sources sit on the same cell, so the others' outputs are opened where that is possible: one
        at 0 V would take what the acting one gives.
        """
        if self._matrix is None and name != self._alone:
            for other, source in self._sources.items():
                if other not in (name, "word_line"):
                    _open_output(source)
            self._alone = name
        self._unsure.add(name)

    def rest(self) -> None:
        """Bring every source that may not be at 0 V there.

        Raises
        ------
        HotSwitch
            One refuses.
        LinkError
            One does not answer.
        """
        for name in sorted(self._unsure):
            try:
                self._sources[name].zero()
            except LinkError:
                raise
            except DriverError as error:
                raise HotSwitch(
                    f"{name} could not be brought to 0 V ({error}), so no relay was switched; see what it drives, "
                    "then switch the power off and on"
                ) from error
            self._unsure.discard(name)

    def connect(self, way: CellWay | None) -> None:
        """Close the relays of a way and open all others, with every source at 0 V; None opens all.

        Raises
        ------
        HotSwitch
            A source is not at 0 V; nothing was switched.
        DriverError
            The matrix, or a source, failed.
        """
        crosspoints: Crosspoints = frozenset() if way is None else way.crosspoints
        if crosspoints == self._closed:
            return
        self.rest()
        if self._matrix is not None:
            self._closed = None
            self._matrix.connect(crosspoints)
        self._closed = crosspoints


def _open_output(source: Any) -> None:
    """Open the output of a source that is at rest, as its kind can: a switch of its own, or being off."""
    kind = type(source)  # looked for there, since a property of an instrument is asked for over its link
    if hasattr(kind, "switch_off"):
        source.switch_off()
    elif hasattr(kind, "output"):
        if hasattr(kind, "off_state"):
            source.off_state = "open"
        source.output = False
