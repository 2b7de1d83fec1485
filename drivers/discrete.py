"""A chip made of instruments: a source-meter reads its cells, a pulse generator programs them, relays choose.

::

    with open_station("bench.yaml") as station:      # a `discrete` chip in the file
        station.energise()
        station.chip.read(cells, ReadSetup())

It is a chip like any other (:class:`drivers.chip.Chip`); cells are addressed one at a time. The instruments are asked
for by their roles (:mod:`drivers.roles`) and never by a model, and what they cannot remember is kept in a journal
(:mod:`drivers.discrete_journal`), so that no pulse is given twice and none is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.chip import (
    Batch,
    BatchReport,
    BoardError,
    Geometry,
    Identity,
    Limits,
    Reading,
    ReadSetup,
    State,
)
from drivers.discrete_batches import DiscreteBatches
from drivers.discrete_parts import DiscreteParts, DiscreteSettings, identity_of, limits_of, model_of
from drivers.discrete_reads import DiscreteReads
from drivers.discrete_supply import Supply
from drivers.errors import BatchRefused, DriverError, InstrumentError, LinkError

if TYPE_CHECKING:
    from drivers.discrete_journal import Journal
    from drivers.discrete_routes import Ways
    from drivers.discrete_simulation import BenchSimulation
    from drivers.roles import Trace
    from drivers.visa import Answer, Unit

__all__ = ["DiscreteChip", "DiscreteParts", "DiscreteSettings"]


class DiscreteChip:
    """Cells reached by a source-meter, a pulse generator and relays.

    One cell at a time: the sources go to 0 V, the relays of one cell are closed, a burst is measured or pulses are
    fired, the sources go to 0 V. Relays that are closed already stay; a batch prepares the generator once, for its
    template; reads go cell by cell in ascending order whatever the order of the list, so that word lines stay.

    Amplitudes of ``Drive.VOLTAGE`` are voltages of the generator's open output: what its settings say and what no
    current depends on. Amplitudes of ``Drive.CURRENT`` are turned into such a voltage by the circuit of
    :class:`~drivers.discrete_pulses.DriveModel`, with the generator's resistance, the resistors of the wiring,
    :attr:`DiscreteSettings.relay_ohm`, ``on_ohm`` and ``holding_v``: a cell whose own resistance differs gets
    another current, as on every bench without a clamp.

    Parameters
    ----------
    name : str
        In the bench file.
    rows, cols : int
    parts : DiscreteParts
    ways : Ways
        From the instruments to the cells.
    journal : Journal
        Owned from now on.
    settings : DiscreteSettings, optional
    simulation : BenchSimulation, optional
        The side door of a simulated bench.

    Raises
    ------
    DriverError
        An instrument does not do what its role says; none is left with a voltage on its terminals.
    """

    def __init__(
        self,
        name: str,
        rows: int,
        cols: int,
        parts: DiscreteParts,
        ways: Ways,
        journal: Journal,
        *,
        settings: DiscreteSettings | None = None,
        simulation: BenchSimulation | None = None,
    ) -> None:
        self._name, self._geometry = name, Geometry(1, rows, cols)
        self._parts, self._journal, self._simulation = parts, journal, simulation
        self.settings = settings or DiscreteSettings()
        self._closed = False
        self._ended = State.IDLE
        source = parts.pulser.pulse_limits()
        series_ohm = np.array([ways.to_pulse(cell).series_ohm for cell in range(self._geometry.cells)])
        self._limits = limits_of(source, self.settings, series_ohm, kept=journal.path is not None)
        self._identity = identity_of(name, parts, simulated=simulation is not None)
        self._supply = Supply(name, parts, journal.reboot)
        self._batches = DiscreteBatches(
            parts,
            ways,
            journal,
            self.settings,
            self._supply,
            self._limits,
            model_of(source, self.settings),
            series_ohm,
            self.clock_ns,
        )
        self._reads = DiscreteReads(
            parts, ways, journal, self.settings, self._supply, self._limits, self.clock_ns
        )
        self._start_clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DiscreteChip {self._name}>"

    # ---- who and what -------------------------------------------------------------------------------------
    def _start_clock(self) -> None:
        """Let board time go on behind everything the journal knows; where it cannot, something was lost."""
        book = self._journal.book
        self._base_ns = time.time_ns() - book.born_unix_ns
        self._mono_ns = time.monotonic_ns()
        if self.clock_ns() <= book.latest_ns:
            self._base_ns = book.latest_ns + 1
            self._journal.reboot()

    def identify(self) -> Identity:
        """Who answers: the models, serial numbers and firmware of its instruments."""
        return self._identity

    def capabilities(self) -> frozenset[str]:
        """``CORE``, ``TEMP`` with a thermometer, ``SIM`` on a simulated bench."""
        groups = {"CORE"}
        if self._parts.thermometer is not None:
            groups.add("TEMP")
        if self._simulation is not None:
            groups.add("SIM")
        return frozenset(groups)

    def geometry(self) -> Geometry:
        """One bank of word lines and bit lines."""
        return self._geometry

    def limits(self) -> Limits:
        """Limits of its generator and source-meter together, SI units."""
        return self._limits

    def boot_id(self) -> int:
        """Return a number that changes where the journal is new, time went back, or a link broke and came again.

        Nothing else is volatile: mask and counters are in the journal, and the instruments are set up anew for
        every operation.
        """
        return self._journal.book.boot_id

    def clock_ns(self) -> int:
        """Board time: nanoseconds since the journal was begun, by the host's monotonic clock; simulated, the cells'."""
        if self._simulation is not None:
            return self._simulation.now_ns()
        return self._base_ns + time.monotonic_ns() - self._mono_ns

    def set_epoch(self, unix_ns: int) -> int:
        """Return the board time that goes with a Unix time given now."""
        return self.clock_ns()

    def temperature_k(self) -> float | None:
        """Chip temperature, or None where no thermometer is fitted."""
        thermometer = self._parts.thermometer
        return None if thermometer is None else thermometer.temperature_k()

    def errors(self) -> list[BoardError]:
        """Drain what went wrong here, and what the instruments have waiting."""
        found = list(self._supply.errors)
        self._supply.errors.clear()
        for instrument in self._parts.instruments.values():
            with suppress(LinkError):  # a link that broke has been reported; its instrument says nothing more
                found += instrument.errors()
        return found

    @property
    def instruments(self) -> dict[str, Any]:
        """The opened instruments by name; whoever asks may switch anything, so the next operation trusts nothing."""
        self._supply.distrust()
        return dict(self._parts.instruments)

    def messages(self) -> int:
        """Messages sent over all links since they were opened."""
        links = [instrument.link for instrument in self._parts.instruments.values()]
        if self._simulation is not None:
            links.append(self._simulation.link)
        return sum(link.messages for link in links)

    def ask(
        self, units: Sequence[Unit], *, lengths: Sequence[int | None] = (), timeout_s: float | None = None
    ) -> list[Answer]:
        """Ask the simulation behind the instruments.

        Raises
        ------
        InstrumentError
            The instruments are real, or a unit was refused.
        """
        return self._simulated().ask(units, lengths=lengths, timeout_s=timeout_s)

    def send(self, units: Sequence[Unit]) -> None:
        """Tell the simulation behind the instruments something; a refusal is seen in :meth:`errors`.

        Raises
        ------
        InstrumentError
            The instruments are real.
        """
        self._simulated().send(units)

    def _simulated(self) -> BenchSimulation:
        if self._simulation is None:
            raise InstrumentError(f"{self!r} is made of real instruments: there is no simulation to ask")
        return self._simulation

    # ---- power and safety ---------------------------------------------------------------------------------
    def power(self, on: bool) -> None:
        """Switch the sources on, at 0 V and with all relays open, or off; links that broke are opened again.

        Raises
        ------
        InstrumentError
            It was stopped by :meth:`safe` and not switched off since.
        DriverError
            An instrument does not obey.
        """
        self._supply.power(on)

    def outputs(self, on: bool) -> None:
        """Allow voltages on cells, or bring the sources to 0 V and open the relays.

        Raises
        ------
        InstrumentError
            The power is off, or it was stopped by :meth:`safe`.
        DriverError
            An instrument does not obey.
        """
        self._supply.outputs(on)

    def safe(self) -> None:
        """Switch every source off, then open the relays, and latch it; never raises, see :meth:`Supply.stop`."""
        self._supply.stop()

    def abort(self) -> None:
        """End the running operation at the next cell."""
        self._supply.abort()

    def mask(self, cells: NDArray[np.uint32]) -> None:
        """Forbid exactly these cells to every later batch and read, in this session and later ones."""
        if cells.size and cells.max() >= self._geometry.cells:
            raise InstrumentError(f"cell {cells.max()} is outside the chip of {self._geometry.cells} cells")
        bits = np.zeros(self._geometry.cells, np.bool_)
        bits[cells] = True
        with self._supply.mine:
            self._journal.note(self._journal.book.mask_record(bits), sync=True)

    def close(self) -> None:
        """Release the instruments and the journal; the outputs are left as they are."""
        if self._closed:
            return
        self._closed = True
        self._supply.await_stop()
        problem: Exception | None = None
        for instrument in reversed(list(self._parts.instruments.values())):
            try:
                instrument.close()
            except (DriverError, OSError) as error:
                problem = error
        if self._simulation is not None:
            self._simulation.close()
        self._journal.close()
        if problem is not None:
            raise problem

    # ---- programming and reading --------------------------------------------------------------------------
    def next_batch_id(self) -> int:
        """Return the smallest id that will be accepted."""
        return self._journal.book.batch_id + 1

    def program(self, batch: Batch) -> None:
        """Give a batch, cell by cell; returns when it has ended.

        What goes wrong in the middle ends it: :meth:`last_batch` then tells how far it got, with the entry in flight
        in doubt, and :meth:`errors` why.

        Raises
        ------
        BatchRefused
            Nothing was pulsed and the id is free.
        """
        try:
            self._ended = self._batches.program(batch)
        except BatchRefused:
            raise
        except BaseException:
            self._ended = self._journal.book.state
            raise

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch, of this or an earlier session."""
        return self._batches.report()

    def batch_flags(self) -> NDArray[np.uint8]:
        """One :class:`~drivers.chip.EntryCode` per entry of the last accepted batch."""
        return self._journal.book.flags.copy()

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""
        return self._journal.book.stamps_ns.copy()

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Pulses given per cell, by the journal; those of an entry in doubt count as given."""
        found: NDArray[np.uint32] = self._journal.book.counts[cells]
        return found

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells one by one, each with one burst of the source-meter.

        Conductances are the mean of current over voltage at the source-meter's terminals; what lies between those
        and the cell is in them, and a read calibration takes it out.

        Raises
        ------
        InstrumentError
            It cannot be read like this, or it is not energised.
        DriverError
            An instrument failed; no reading is returned.
        """
        reading = self._reads.read(cells, setup, stamps=stamps)
        self._ended = self._reads.ended
        return reading

    # ---- waiting and watching -----------------------------------------------------------------------------
    def wait(self, timeout_s: float) -> State:
        """Return how the last operation ended: operations are over when their call returns."""
        return self._ended

    def watch(self, on: bool) -> None:
        """Arm the scope before every pulse from now on, or leave it alone; its vertical scale stays as it was set.

        Raises
        ------
        InstrumentError
            There is no scope.
        """
        self._batches.watch(on)

    def trace(self) -> Trace:
        """Fetch what the scope recorded of the last pulse.

        Raises
        ------
        InstrumentError
            There is no scope, or it was not told to :meth:`watch`.
        """
        return self._batches.trace()
