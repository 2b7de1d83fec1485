"""The simulated bench of a bench file: one object per file and process, whoever opens it and however often.

Two programs' worth of links (the in-process VISA library, the socket server, tests) that name the same file
reach the same boards. A bench lives as long as somebody holds it; then its chips are saved and let go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.bench_instruments import BenchInstrument
from drivers.discrete_simulation import SIMULATION_ADDRESS
from drivers.events import event_address
from drivers.simulated.link_faults import LinkFaults
from drivers.simulated.resource_lock import ResourceLock
from drivers.simulated.shared_bench import SharedBench, shared
from drivers.simulated.transport import Transport
from drivers.simulated.twin import Twin, TwinLink

if TYPE_CHECKING:
    from drivers.bench import BenchFile
    from drivers.simulated.controller import SimulatedController
    from drivers.simulated.controller_events import Listener
    from drivers.simulated.link import Port
    from drivers.simulated.replay import ReplayBench
    from drivers.simulated.scpi import Connection
    from drivers.simulated.world import World
    from drivers.simulated.world_control import WorldPort

__all__ = [
    "SimulatedBench",
    "SimulatedEvents",
    "SimulatedInstrument",
    "TwinPort",
    "build_controller",
    "open_bench",
    "open_recording",
    "open_shared",
]

MODELS: dict[str, Callable[[Any, Path, Any], SimulatedController]] = {}
"""Makers of simulated instruments by the ``model`` of a bench file."""


@dataclass
class SimulatedInstrument:
    """A simulated controller of a bench; its board is built when it is first reached."""

    name: str
    address: str
    timeout_s: float
    _build: Callable[[], SimulatedController]
    lock: ResourceLock = field(default_factory=ResourceLock)
    _board: SimulatedController | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)

    @property
    def board(self) -> SimulatedController:
        """The board, built now if nobody has reached it yet."""
        with self._making:
            if self._board is None:
                self._board = self._build()
            return self._board

    def connect(self, transport: Transport = Transport.SOCKET) -> Connection:
        """Open a link to the board, which speaks over raw sockets whatever its address says."""
        return self.board.connect()

    def save(self) -> None:
        """Write the board's state where it has any."""
        if self._board is not None:
            self._board.save()

    def close(self) -> None:
        """Save the board and let go of it."""
        with self._making:
            board, self._board = self._board, None
        if board is not None:
            board.close()


@dataclass
class TwinPort:
    """The twin of a bench instrument; it is built when it is first reached.

    Attributes
    ----------
    faults : LinkFaults
        What is to go wrong on the links to it; a test arms them.
    """

    name: str
    address: str
    timeout_s: float
    _build: Callable[[], Twin]
    lock: ResourceLock = field(default_factory=ResourceLock)
    faults: LinkFaults = field(default_factory=LinkFaults)
    _twin: Twin | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)

    @property
    def twin(self) -> Twin:
        """The twin, built now if nobody has reached it yet."""
        with self._making:
            if self._twin is None:
                self._twin = self._build()
            return self._twin

    def connect(self, transport: Transport | None = None) -> TwinLink:
        """Open a link over what the address says, or over another interface.

        Raises
        ------
        ConnectionRefusedError
            A fault has made the instrument vanish.
        """
        if self.faults.gone:
            raise ConnectionRefusedError(f"{self.name} has vanished from {self.address}")
        link = self.twin.connect(Transport.of(self.address) if transport is None else transport)
        link.faults = self.faults
        return link

    def save(self) -> None:
        """Write the twin's state where it has any."""
        if self._twin is not None:
            self._twin.save()

    def close(self) -> None:
        """Switch the twin off."""
        with self._making:
            twin, self._twin = self._twin, None
        if twin is not None:
            twin.close()


@dataclass
class SimulatedEvents:
    """The event port of a simulated instrument, at the TCP port behind the instrument's own."""

    instrument: SimulatedInstrument
    lock: ResourceLock = field(default_factory=ResourceLock)

    @property
    def name(self) -> str:
        """Of the instrument, in the bench file."""
        return f"{self.instrument.name} (events)"

    def connect(self, transport: Transport = Transport.SOCKET) -> Listener:
        """Open a link that is told what happens."""
        return self.instrument.board.listen()


class SimulatedBench(SharedBench):
    """The simulated instruments of one bench file.

    Made by :func:`open_bench`; a context manager that gives the bench back.

    Attributes
    ----------
    path : Path
        Absolute path of the file.
    instruments : dict of str to SimulatedInstrument or TwinPort
        By VISA address, upper case.
    events : dict of str to SimulatedEvents
        Event ports by name of their instrument.
    """

    def __init__(self, path: Path, bench: BenchFile) -> None:
        super().__init__(path)
        self.events: dict[str, SimulatedEvents] = {}
        self._bench = bench
        self._world: World | None = None
        self._making = threading.Lock()
        self._event_addresses: dict[str, SimulatedEvents] = {}
        self._side_door: WorldPort | None = None
        for name, instrument in bench.instruments.items():
            if instrument.simulated is None:
                continue
            if instrument.simulated.model == "pcm-controller":
                maker = partial(MODELS["pcm-controller"], instrument.simulated, path, bench.references)
                made = SimulatedInstrument(name, instrument.address, instrument.timeout_s, maker)
                self.instruments[instrument.address.upper()] = made
                self.events[name] = SimulatedEvents(made)
                beside = event_address(instrument.address)
                if beside is not None:
                    self._event_addresses[beside.upper()] = self.events[name]
            elif instrument.simulated.model == "pcm-cells":
                from drivers.simulated.world_control import WorldPort

                self._side_door = WorldPort(lambda: self.world)
            elif isinstance(instrument, BenchInstrument):
                self.instruments[instrument.address.upper()] = TwinPort(
                    name, instrument.address, instrument.timeout_s, partial(self._twin, name)
                )

    @property
    def world(self) -> World:
        """What the twins are wired to, built now if nobody needed it yet."""
        with self._making:
            if self._world is None:
                from drivers.simulated.world import World

                self._world = World(self._bench)
            return self._world

    def _twin(self, name: str) -> Twin:
        from drivers.simulated.twins import build_twin

        entry = self._bench.instruments[name]
        assert isinstance(entry, BenchInstrument)  # noqa: S101 - made in __init__
        assert entry.simulated is not None  # noqa: S101
        return build_twin(name, entry.simulated, self.world)

    def find(self, address: str) -> Port | None:
        """Return the instrument or event port behind a VISA address, None where there is none."""
        if address.upper() == SIMULATION_ADDRESS.upper():
            return self._side_door
        return self.instruments.get(address.upper()) or self._event_addresses.get(address.upper())

    @property
    def models(self) -> dict[str, str]:
        """What is simulated, by name in the bench file."""
        names = [each.name for each in self.instruments.values()]
        entries = ((name, self._bench.instruments[name].simulated) for name in names)
        return {name: entry.model for name, entry in entries if entry is not None}

    @property
    def boards(self) -> dict[str, SimulatedInstrument]:
        """The simulated chip controllers, by name in the bench file."""
        found = self.instruments.values()
        return {each.name: each for each in found if isinstance(each, SimulatedInstrument)}

    @property
    def twins(self) -> dict[str, TwinPort]:
        """The simulated bench instruments, by name in the bench file."""
        return {each.name: each for each in self.instruments.values() if isinstance(each, TwinPort)}

    def named(self, name: str) -> SimulatedInstrument:
        """Return the controller of that name in the bench file; KeyError where none is simulated."""
        try:
            return self.boards[name]
        except KeyError:
            raise KeyError(f"{self.path} simulates no controller named {name!r}") from None

    def save(self) -> None:
        """Write the state of every board."""
        for instrument in self.instruments.values():
            instrument.save()
        if self._world is not None:
            self._world.save()

    def _close(self) -> None:
        super()._close()
        world, self._world = self._world, None
        if world is not None:
            world.close()


def _load(path: Path) -> BenchFile:
    from drivers.bench import load_bench  # pydantic and yaml only where a file is opened

    return load_bench(path)


def open_bench(path: str | Path) -> SimulatedBench:
    """Open the simulated bench of a bench file, or join whoever has it open; give it back with ``release()``.

    Raises
    ------
    Whatever ``drivers.bench.load_bench`` raises for a file that cannot be read.
    """
    bench = shared(path, lambda absolute: SimulatedBench(absolute, _load(absolute)))
    assert isinstance(bench, SimulatedBench)  # noqa: S101 - no bench file is a recording
    return bench


def open_recording(path: str | Path) -> ReplayBench:
    """Open a recording as a bench, or join whoever has it open; give it back with ``release()``.

    Raises
    ------
    RecordingError
        It cannot be read.
    """
    from drivers.simulated.replay import ReplayBench

    bench = shared(path, ReplayBench)
    assert isinstance(bench, ReplayBench)  # noqa: S101 - no recording is a bench file
    return bench


def open_shared(path: str | Path) -> SharedBench:
    """Open a bench file, or a recording (``.rec``)."""
    return open_recording(path) if Path(path).suffix.lower() == ".rec" else open_bench(path)


def build_controller(simulated: Any, bench_path: Path, references: Any = None) -> SimulatedController:
    """Build the board a ``simulated`` section describes, its chip from the state file where one is named.

    Parameters
    ----------
    simulated
        The section, as ``drivers.bench`` models it.
    bench_path : Path
        Paths of cards are relative to its folder.
    references
        The section of the bench file that names rows of resistors, None where it has none.
    """
    from drivers.simulated.chip_of_bench import chip_of_bench
    from drivers.simulated.controller import SimulatedController as Board
    from drivers.simulated.controller_limits import BoardLimits

    geometry = {"banks": simulated.banks, "rows": simulated.rows, "cols": simulated.cols}
    state, make = chip_of_bench(simulated, bench_path, references)
    read_chain = state.chip.card.read_chain
    return Board(
        state,
        serial=str(simulated.serial),
        temperature_k=simulated.temperature_k,
        rate=simulated.rate,
        born_unix_ns=simulated.born_unix_ns,
        make_chip=make,
        limits=BoardLimits.of(
            **geometry,
            links=simulated.links,
            current_max_a=simulated.limits.current_max_a,
            voltage_max_v=simulated.limits.voltage_max_v,
            read_voltage_max_v=simulated.limits.read_voltage_max_v,
            ranges_a=read_chain.ranges_a,
            adc_bits=read_chain.adc_bits,
            adc_zero=read_chain.adc_zero,
        ),
    )


MODELS["pcm-controller"] = build_controller
