"""The bench around the simulated instruments: one time, one lock, and the circuit between their sockets."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from drivers.bench_instruments import DiscreteChip
from drivers.simulated.clock import TIME_END_NS, VirtualClock
from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Opened, Operating, Resistor, Seen, Source, Volts, Wave
from drivers.simulated.world.burst import longest_s, play_burst
from drivers.simulated.world.cells import Cells
from drivers.simulated.world.copper import Copper
from drivers.simulated.world.defaults import AMBIENT_K, HEAT_STEP_K
from drivers.simulated.world.network import Contacts, Live, Network
from drivers.simulated.world.relays import Crosspoints, Relays
from drivers.simulated.world.standing import Standing
from drivers.simulated.world.transient import Record

if TYPE_CHECKING:
    from drivers.bench import BenchFile

__all__ = ["Socket", "World"]


class World:
    """One bench, as :class:`~drivers.simulated.terminals.Bench` describes it.

    Parameters
    ----------
    bench : BenchFile
        Whose wiring and cells it has.

    Attributes
    ----------
    lock : FairLock
        Held by whoever acts on the bench.
    clock : VirtualClock
        Begins when the bench is opened.
    chips : dict of str to Cells
        The chips on it by name: what they really are, for tests. No twin asks them.
    seed : int
        Of all random numbers of the instruments: that of the first chip, or 0.

    Raises
    ------
    ValueError
        A chip knows no pulses.
    StateFileError
        The file of a chip cannot be used.
    """

    def __init__(self, bench: BenchFile) -> None:
        self.lock = FairLock()
        self._copper = Copper(bench.connections)
        self._wired = {self._copper.node(name) for name in bench.connections.nodes}
        self._relays = Relays(self._copper)
        self.chips: dict[str, Cells] = {}
        entries = [
            (name, entry)
            for name, entry in bench.chips.items()
            if isinstance(entry, DiscreteChip) and entry.simulated is not None
        ]
        try:
            for name, entry in entries:
                self.chips[name] = Cells(name, entry, bench.path, bench.references)
        except BaseException:
            for cells in self.chips.values():
                cells.close(0)
            raise
        self._contacts = [Contacts(cells, self._copper) for cells in self.chips.values()]
        simulated = [entry.simulated for _, entry in entries if entry.simulated is not None]
        self.clock = VirtualClock(max((each.rate for each in simulated), default=0.0))
        self.seed = simulated[0].seed if simulated else 0
        self._terminals: dict[str, Socket] = {}
        self._sources: dict[str, Source] = {}
        self._traces: dict[str, Seen] = {}
        self._standing = Standing()
        self._network: Network | None = None
        self._moved = True
        self._going_on: dict[Callable[[], int], int] = {}

    # ---- time -----------------------------------------------------------------------------------------------
    @property
    def now_ns(self) -> int:
        """Time of the bench, nanoseconds."""
        self.clock.reach(self.clock.target_ns())
        return self.clock.now_ns

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._pass_until(self.now_ns + max(round(seconds * 1e9), 0))

    def _pass_until(self, end_ns: int) -> None:
        end_ns = min(end_ns, TIME_END_NS - 1)
        self._settle()
        if not self._going_on:
            self.clock.jump(end_ns)
            return
        while self.clock.now_ns < end_ns:
            self._settle()  # what goes on by itself may have changed something
            self.clock.jump(min(end_ns, *self._going_on.values()))
            for callback in self._going_on:
                self._going_on[callback] = max(callback(), self.clock.now_ns + 1)

    def on_time(self, callback: Callable[[], int]) -> None:
        """Call `callback` whenever time has passed; see :meth:`drivers.simulated.terminals.Bench.on_time`."""
        self._going_on[callback] = max(callback(), self.clock.now_ns + 1)

    # ---- sockets and relays -----------------------------------------------------------------------------------
    def terminal(self, name: str) -> Socket:
        """Return a socket by its name; one that nothing is wired to is open."""
        if name not in self._terminals:
            self._terminals[name] = Socket(self, name, self._copper.node(name))
        return self._terminals[name]

    def relays(self, matrix: str, closed: Crosspoints) -> float:
        """Tell that exactly these crosspoints of a matrix are asked to be closed.

        Returns the largest voltage across a relay that was switched, V: before it closes, or after it opened.
        """
        self._settle()
        closing, opening = self._relays.ask(matrix, closed)
        if not closing and not opening:
            return 0.0
        worst = self._across(self._relays.ends(matrix, closing))
        self._change()
        self._network = None
        if opening:
            self._settle()
            worst = max(worst, self._across(self._relays.ends(matrix, opening)))
        return worst

    def weld(self, matrix: str, crosspoints: Crosspoints) -> None:
        """Damage relays: they stay closed for ever."""
        self._settle()
        self._relays.weld(matrix, crosspoints)
        self._change()
        self._network = None

    def welded(self, matrix: str) -> Crosspoints:
        """Crosspoints that do not open any more."""
        return self._relays.welded(matrix)

    # ---- waveforms --------------------------------------------------------------------------------------------
    def play(self, waves: Mapping[str, Wave]) -> dict[str, Seen]:
        """Play waveforms at terminals, all from now on; returns what those terminals saw of the last repetition.

        What other terminals saw of the first repetition, :meth:`Socket.trace` tells. A waveform in which no cell
        comes to the holding voltage is a read of the cells it reaches.

        Raises
        ------
        ArithmeticError
            The circuit has no solution that the method finds.
        """
        self._settle()
        start_ns = self.now_ns
        sockets = {name: self.terminal(name) for name in waves}
        before = dict(self._sources)
        for name, wave in waves.items():
            self._sources[name] = _presented(wave, 0)
        self._change()
        self._settle()
        network = self._standing.network
        assert network is not None  # noqa: S101 - it has just settled

        def rest(playing: Mapping[str, Wave], at_ns: int) -> None:
            levels = {name: _presented(wave, 0 if name in playing else -1) for name, wave in waves.items()}
            self._standing.settle(network, {**self._sources, **levels}, at_ns)

        try:
            first, last = play_burst(network, waves, start_ns, rest)
        except BaseException:
            self._sources = before
            self._change()
            raise
        self._traces = self._seen(network, first, [socket.node for socket in sockets.values()])
        seen = {name: _of(last, network, socket) for name, socket in sockets.items()}
        self._traces.update(seen)
        for name, wave in waves.items():
            self._sources[name] = _presented(wave, -1)
        self._pass_until(start_ns + round(1e9 * longest_s(waves)))
        self._change()
        return seen

    # ---- surroundings ------------------------------------------------------------------------------------------
    def random(self, *names: str) -> np.random.Generator:
        """Return a stream of random numbers of its own for this bench and these names."""
        return np.random.default_rng([self.seed, *(zlib.crc32(name.encode()) for name in names)])

    def ambient_k(self) -> float:
        """Return the temperature of the room, K."""
        return AMBIENT_K

    def heat(self, stage_k: float) -> None:
        """Tell the temperature of the stage the devices lie on, from now on, K."""
        if any(abs(stage_k - cells.temperature_k) >= HEAT_STEP_K for cells in self.chips.values()):
            self._settle()
            self._change()
            for cells in self.chips.values():
                cells.heat(stage_k, self.now_ns)

    def save(self) -> None:
        """Write the chips that live in files."""
        self._settle()
        self._standing.leave(self.now_ns)
        for cells in self.chips.values():
            cells.save(self.now_ns)

    def close(self) -> None:
        """Switch everything off, write the chips and let go of them."""
        try:
            self._settle()
            self._standing.end(self.now_ns)
        finally:
            for cells in self.chips.values():
                cells.close(self.now_ns)

    # ---- inside ------------------------------------------------------------------------------------------------
    def _present(self, name: str, source: Source) -> None:
        if self._sources.get(name, Opened()) != source:
            self._change()
            self._sources[name] = source

    def _look(self, socket: Socket, aperture_s: float) -> Operating:
        self._settle()
        now_ns = self.now_ns
        source = self._sources.get(socket.name, Opened())
        network = self._standing.network
        if isinstance(source, Opened) or network is None:
            found = Operating(0.0, 0.0, limited=False)
        else:
            self._standing.look(socket.node, now_ns, aperture_s)
            found = network.operating(socket.name, socket.node)
            if isinstance(source, Resistor):
                found = Operating(found.voltage_v, -found.voltage_v / source.ohm, limited=False)
        self._pass_until(now_ns + max(round(aperture_s * 1e9), 0))
        return found

    def _trace(self, name: str) -> Seen | None:
        return self._traces.get(name)

    def _change(self) -> None:
        """Leave what stands, since something changes now."""
        if not self._moved:
            self._standing.leave(self.now_ns)
        self._moved = True

    def _settle(self) -> None:
        if not self._moved:
            return
        live = [
            Live(name, socket.node, source)
            for name, socket in self._terminals.items()
            if not isinstance(source := self._sources.get(name, Opened()), Opened)
            and not (isinstance(source, Resistor) and socket.node not in self._wired)
        ]
        if self._network is None or not self._network.is_of(live):
            self._network = Network(self._copper, self._contacts, self._relays, live)
        self._standing.settle(self._network, self._sources, self.now_ns)
        self._moved = False

    def _across(self, ends: list[tuple[int, int]]) -> float:
        network = self._standing.network
        if network is None:
            return 0.0
        return max((abs(network.voltage_v(a) - network.voltage_v(b)) for a, b in ends), default=0.0)

    def _seen(self, network: Network, record: Record, played: list[int]) -> dict[str, Seen]:
        reached = network.together(played)
        return {
            name: _of(record, network, socket)
            for name, socket in self._terminals.items()
            if network.index(socket.node) in reached
        }


class Socket:
    """One socket of an instrument, as :class:`~drivers.simulated.terminals.Terminal` describes it.

    Attributes
    ----------
    name : str
        As the wiring of the bench file calls it.
    node : int
        Of the bench.
    """

    def __init__(self, world: World, name: str, node: int) -> None:
        self._world, self.name, self.node = world, name, node

    def present(self, source: Source) -> None:
        """Show `source` to the outside from now on; takes no time."""
        self._world._present(self.name, source)

    def look(self, aperture_s: float = 0.0) -> Operating:
        """Return the mean operating point over an aperture that begins now; time moves on by it."""
        return self._world._look(self, aperture_s)

    def trace(self) -> Seen | None:
        """Return what this terminal saw of the last waveform anybody played, None where nothing of it came here."""
        return self._world._trace(self.name)


def _presented(wave: Wave, at: int) -> Volts:
    return Volts(float(wave.level_v[at]), wave.series_ohm, wave.limit_a)


def _of(record: Record, network: Network, socket: Socket) -> Seen:
    return record.seen(network, socket.name, socket.node)
