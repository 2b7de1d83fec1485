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

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.chip import (
    Batch,
    BatchReport,
    BoardError,
    Drive,
    EntryCode,
    Geometry,
    Identity,
    Limits,
    ReadFlag,
    Reading,
    ReadSetup,
    State,
)
from drivers.discrete_book import batch_record, end_record, outcome_record, started_record
from drivers.discrete_journal import Journal, JournalError
from drivers.discrete_pulses import DriveModel, check_batch, open_voltages, plan_of, shape_of
from drivers.discrete_reads import check_read, conductance_of
from drivers.discrete_routes import Relays
from drivers.errors import BatchRefused, DriverError, InstrumentError, LinkError

if TYPE_CHECKING:
    from drivers.discrete_routes import Ways
    from drivers.discrete_simulation import BenchSimulation
    from drivers.roles import (
        CrosspointMatrix,
        Oscilloscope,
        PulseShape,
        PulseSource,
        SourceMeter,
        Thermometer,
        Trace,
    )
    from drivers.visa import Answer, Unit

__all__ = ["DiscreteChip", "DiscreteParts", "DiscreteSettings"]

_SAFE_S = 0.25
_LAST_PATIENCE_S = 30.0
_TOP_MIN_S = 1e-10
"""Shortest top a template may have: a triangle is none."""
_CELL_S = 30e-3
"""Relays, messages and settling of one cell operation: an order of magnitude (instruments §4)."""


@dataclass(frozen=True, slots=True)
class DiscreteSettings:
    """What no instrument tells of a chip; every number is a default.

    Attributes
    ----------
    on_ohm, holding_v : float
        Of a cell under a programming pulse, see :class:`~drivers.discrete_pulses.DriveModel`: what turns a current
        into the generator's voltage. Holding voltages are 0.3 V to 0.5 V (device-physics §4.2).
    relay_ohm : float
        Of the closed relays and cables of one way.
    load_ohm : float
        Of a resistor from the generator's output to ground, which the wiring shows; infinite where there is none.
    current_max_a : float
        Largest programming current the chip takes; the envelope of the bench file lies within it.
    read_voltage_v : (float, float)
        Smallest and largest read voltage.
    read_limit_a : float
        Compliance of reads: far below what melts a cell.
    read_ranges_a : tuple of float
        Current ranges of reads.
    noise_floor_a : float
        Mean currents below are flagged as clipped low.
    word_line_read_v, word_line_pulse_v, word_line_limit_a : float
        What gates are held at during reads and during pulses that do not say, and its compliance.
    stamp_error_s : float
        How far a time stamp may be off: half of what stands between two looks at the clock, but for the burst itself.
    """

    on_ohm: float = 2600.0
    holding_v: float = 0.4
    relay_ohm: float = 1.0
    load_ohm: float = math.inf
    current_max_a: float = 1e-3
    read_voltage_v: tuple[float, float] = (0.01, 1.0)
    read_limit_a: float = 100e-6
    read_ranges_a: tuple[float, ...] = (1e-7, 1e-6, 1e-5, 1e-4)
    noise_floor_a: float = 1e-10
    word_line_read_v: float = 2.0
    word_line_pulse_v: float = 3.0
    word_line_limit_a: float = 1e-6
    stamp_error_s: float = 5e-3


@dataclass(frozen=True, slots=True)
class DiscreteParts:
    """The instruments of a chip, by what they are to it.

    Attributes
    ----------
    smu, pulser, word_line, matrix, thermometer
        Channels with those roles; None where there is none.
    scope, scope_channel
        The oscilloscope and its channel.
    instruments : mapping of str to object
        The opened instruments all these belong to, by their names in the bench file.
    sources_in : tuple of str
        Names of those that can put a voltage on a cell, in the order they are made safe.
    """

    smu: SourceMeter
    pulser: PulseSource
    word_line: SourceMeter | None = None
    matrix: CrosspointMatrix | None = None
    thermometer: Thermometer | None = None
    scope: Oscilloscope | None = None
    scope_channel: str = ""
    instruments: Mapping[str, Any] = field(default_factory=dict)
    sources_in: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, Any]:
        """Everything that can put a voltage on a cell, by role."""
        found = {"smu": self.smu, "pulser": self.pulser, "word_line": self.word_line}
        return {name: source for name, source in found.items() if source is not None}


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
        self._parts, self._ways, self._journal = parts, ways, journal
        self.settings = settings or DiscreteSettings()
        self._simulation = simulation
        self._relays = Relays(parts.matrix, parts.sources)
        self._token = secrets.token_hex(8)
        self._power = self._outputs = self._lost = self._closed = False
        self._stopped = threading.Event()
        self._aborted = threading.Event()
        self._mine = threading.RLock()
        self._safety: threading.Thread | None = None
        self._errors: deque[BoardError] = deque(maxlen=100)
        self._ended = State.IDLE
        self._reads = 0
        self._prepared: PulseShape | None = None
        self._watching = False
        self._source = parts.pulser.pulse_limits()
        self._series_ohm = np.array([ways.to_pulse(cell).series_ohm for cell in range(self._geometry.cells)])
        self._model = DriveModel(
            self._source.source_ohm,
            self.settings.on_ohm,
            self.settings.holding_v,
            self.settings.relay_ohm,
            self.settings.load_ohm,
        )
        self._limits = self._learned_limits()
        self._identity = self._learned_identity()
        self._start_clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DiscreteChip {self._name}>"

    # ---- who and what -------------------------------------------------------------------------------------
    def _learned_limits(self) -> Limits:
        source, settings, book = self._source, self.settings, self._journal
        most_v = source.open_v[1]
        most_a = float(self._model.current_a(np.array([most_v]), self._series_ohm.max(keepdims=True))[0])
        shortest_s = source.rise_s[0] + source.top_s[0] + source.fall_s[0]
        return Limits(
            block_max_bytes=1 << 24,
            parallel_program=1,
            parallel_read=1,
            rise_s=source.rise_s,
            top_s=(max(source.top_s[0], _TOP_MIN_S), source.top_s[1]),
            fall_s=source.fall_s,
            off_min_s=max(0.0, source.period_s[0] - shortest_s),
            period_max_s=source.period_s[1],
            current_max_a=min(most_a, settings.current_max_a),
            voltage_max_v=most_v,
            read_voltage_v=settings.read_voltage_v,
            read_samples=(1, 1000),
            read_aperture_s=(1e-7, 10.0),
            read_overhead_s=_CELL_S,
            read_ranges_a=settings.read_ranges_a,
            adc_bits=20,
            adc_zero=0,
            program_formats=("F32", "U16", "U8"),
            read_formats=("COND32",),
            drives=(Drive.CURRENT, Drive.VOLTAGE),
            selections=1,
            templates=1,
            clock_hz=1_000_000_000,
            cycle_counters=True,
            pulse_stamps=True,
            stamp_error_s=settings.stamp_error_s,
            nonvolatile=("CYCL", "MASK") if book.path is not None else (),
        )

    def _learned_identity(self) -> Identity:
        found = [one.identify() for one in self._parts.instruments.values()]
        serials, firmware = ("+".join(getattr(one, key) for one in found) for key in ("serial", "firmware"))
        models = "+".join(one.model for one in found)
        return Identity(
            "labkit",
            f"discrete {models}",
            f"{self._name}/{serials}",
            firmware,
            simulated=self._simulation is not None,
        )

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
        found = list(self._errors)
        self._errors.clear()
        for instrument in self._parts.instruments.values():
            with suppress(LinkError):  # a link that broke has been reported; its instrument says nothing more
                found += instrument.errors()
        return found

    @property
    def instruments(self) -> dict[str, Any]:
        """The opened instruments by name; whoever asks may switch anything, so the next operation trusts nothing."""
        self._relays.distrust()
        self._prepared = None
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
        """Bring the sources to 0 V and open the relays, over links opened again where they broke; off switches all off.

        Raises
        ------
        InstrumentError
            It was stopped by :meth:`safe` and not switched off since.
        DriverError
            An instrument does not obey.
        """
        self._await_safety(_LAST_PATIENCE_S)
        with self._mine:
            self._find_links_again()
            if not on:
                self._outputs = self._power = False
                self._rest()
                for instrument in self._source_instruments():
                    instrument.make_safe()
                self._relays.distrust()
                self._stopped.clear()
                return
            self._check_not_stopped()
            self._rest()
            self._power = True

    def _find_links_again(self) -> None:
        if self._lost:
            for instrument in self._parts.instruments.values():
                instrument.link.reopen()
            self._journal.reboot()
            self._lost = False

    def outputs(self, on: bool) -> None:
        """Allow voltages on cells, or bring the sources to 0 V and open the relays.

        Raises
        ------
        InstrumentError
            The power is off, or it was stopped by :meth:`safe`.
        DriverError
            An instrument does not obey.
        """
        with self._mine:
            if on:
                self._check_not_stopped()
                if not self._power:
                    raise InstrumentError(f"the power of {self!r} is off; switch it on before the outputs")
            self._outputs = False
            self._rest()
            self._outputs = on

    def _rest(self) -> None:
        """Bring every source to 0 V and open all relays, whatever was known."""
        self._relays.distrust()
        self._prepared = None
        with self._losing():
            self._relays.connect(None)

    def _check_not_stopped(self) -> None:
        if self._stopped.is_set():
            raise InstrumentError(
                f"{self!r} was stopped; find out why, then switch its power off and on again"
            )

    def _source_instruments(self) -> list[Any]:
        return [self._parts.instruments[name] for name in self._parts.sources_in]

    def safe(self) -> None:
        """Switch every source off, then open the relays, and latch it; never raises.

        It is done on a thread of its own, whose start is waited for a quarter of a second at most: an instrument in
        the middle of a measurement listens when that is over. An operation under way ends at the next cell.
        """
        with suppress(Exception):
            self._stopped.set()
            self._power = self._outputs = False
            running = self._safety
            if running is None or not running.is_alive():
                running = self._safety = threading.Thread(target=self._make_safe, name=f"safe {self._name}")
                running.start()
            running.join(_SAFE_S)

    def _make_safe(self) -> None:
        self._stop(self._source_instruments())
        ended = self._mine.acquire(blocking=False)
        try:
            if not ended:
                # What is under way may have one more message to send before it sees that it was stopped.
                ended = self._mine.acquire(timeout=_LAST_PATIENCE_S)
                self._stop(self._source_instruments())
            if self._parts.matrix is not None:
                self._stop([self._parts.matrix])
            self._relays.distrust()
            self._prepared = None
        finally:
            if ended:
                self._mine.release()

    @staticmethod
    def _stop(instruments: Sequence[Any]) -> None:
        for instrument in instruments:
            with suppress(Exception):  # the next one must not depend on it
                instrument.safe()

    def _await_safety(self, seconds: float) -> None:
        running = self._safety
        if running is not None and running is not threading.current_thread():
            running.join(seconds)

    def abort(self) -> None:
        """End the running operation at the next cell."""
        self._aborted.set()

    def mask(self, cells: NDArray[np.uint32]) -> None:
        """Forbid exactly these cells to every later batch and read, in this session and later ones."""
        if cells.size and cells.max() >= self._geometry.cells:
            raise InstrumentError(f"cell {cells.max()} is outside the chip of {self._geometry.cells} cells")
        bits = np.zeros(self._geometry.cells, np.bool_)
        bits[cells] = True
        with self._mine:
            self._journal.note(self._journal.book.mask_record(bits), sync=True)

    def close(self) -> None:
        """Release the instruments and the journal; the outputs are left as they are."""
        if self._closed:
            return
        self._closed = True
        self._await_safety(_LAST_PATIENCE_S)
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

    # ---- programming --------------------------------------------------------------------------------------
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
        with self._mine:
            book, masked = self._journal.book, self._journal.book.masked
            check_batch(batch, book.batch_id, self._geometry.cells, self._limits, self._source)
            plan = plan_of(batch, masked)
            volts = open_voltages(
                batch, self._series_ohm[batch.cells], self._model, self._limits, self._source
            )
            if batch.pulse.word_line_v is not None and self._parts.word_line is None:
                self._refuse(-221, "Settings conflict", "no channel holds word lines")
            if self._stopped.is_set() or not (self._power and self._outputs):
                self._refuse(207, "Array not energised", "switch power and outputs on")
            self._accept(batch, plan)
            self._aborted.clear()
            self._give(batch, plan, volts)

    def _accept(self, batch: Batch, plan: NDArray[np.uint8]) -> None:
        """Prepare the generator and write the acceptance down: the last two things that may refuse a batch."""
        shape = shape_of(batch.pulse)
        try:
            self._journal.tidy()
            with self._losing():
                if shape != self._prepared:
                    self._relays.connect(None)
                    self._prepared = None
                    self._parts.pulser.prepare(shape)
                    self._prepared = shape
            record = batch_record(
                batch.id,
                batch.cells,
                plan,
                count=batch.count,
                token=self._token,
                started_ns=self.clock_ns(),
                host=self._journal.host,
            )
            self._journal.note(record, sync=True)
        except (DriverError, OSError) as error:
            raise BatchRefused(
                f"nothing was pulsed: {error}", errors=tuple(getattr(error, "errors", ()) or ())
            ) from error

    def _give(self, batch: Batch, plan: NDArray[np.uint8], volts: NDArray[np.float64]) -> None:
        state, code = State.TRIP, 0
        try:
            state = self._give_each(batch, plan, volts)
        except DriverError as error:
            code = self._note_failure(error)
        except BaseException as error:
            state = State.ABORTED
            code = self._note_failure(error)
            raise
        finally:
            self._ended = state
            with suppress(
                JournalError
            ):  # a batch that could not be ended is ended when the file is opened again
                self._journal.note(end_record(state, code, self._clock_or_latest()), sync=True)

    def _give_each(self, batch: Batch, plan: NDArray[np.uint8], volts: NDArray[np.float64]) -> State:
        for entry in np.flatnonzero(plan == EntryCode.PULSED).tolist():
            if (ended := self._interrupted()) is not None:
                return ended
            self._journal.reserve(entry)
            with self._losing():
                self._relays.connect(self._ways.to_pulse(int(batch.cells[entry])))
                self._hold_word_line(batch.pulse.word_line_v, self.settings.word_line_pulse_v)
                self._journal.note(started_record(entry))
                self._fire(float(volts[entry]), batch.count)
                stamp_ns = self.clock_ns()
            self._journal.note(outcome_record(entry, EntryCode.PULSED, stamp_ns))
            with self._losing():
                self._relays.rest()
        return State.DONE

    def _fire(self, open_v: float, count: int) -> None:
        if self._watching and self._parts.scope is not None:
            shape = self._prepared
            assert shape is not None  # noqa: S101 - a batch is prepared before it is given
            window_s = 2.0 * (shape.rise_s + shape.top_s + shape.fall_s)
            self._parts.scope.arm(self._parts.scope_channel, level_v=0.5 * open_v, window_s=window_s)
        self._relays.live("pulser")
        while count > 0:
            part = min(count, self._source.count_max)
            self._parts.pulser.fire(open_v, part)
            count -= part

    def _hold_word_line(self, asked_v: float | None, usual_v: float) -> None:
        word_line = self._parts.word_line
        if word_line is not None:
            self._relays.live("word_line")
            level_v = usual_v if asked_v is None else asked_v
            word_line.hold(level_v, limit_a=self.settings.word_line_limit_a)

    def _interrupted(self) -> State | None:
        if self._stopped.is_set():
            return State.SAFE
        return State.ABORTED if self._aborted.is_set() else None

    def _note_failure(self, error: BaseException) -> int:
        """Queue what ended an operation; returns its code."""
        known = tuple(getattr(error, "errors", ()) or ())
        self._errors.extend(known or [BoardError(-200, "Execution error", str(error))])
        with suppress(DriverError):
            self._rest()
        return int(known[0].code) if known else -200

    def _clock_or_latest(self) -> int:
        try:
            return self.clock_ns()
        except DriverError:
            return self._journal.book.latest_ns

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """Remember that a link broke, so that switching the power on opens it again."""
        try:
            yield
        except LinkError:
            self._lost = True
            self._power = self._outputs = False
            raise

    @staticmethod
    def _refuse(code: int, text: str, info: str) -> None:
        refusal = BoardError(code, text, info)
        raise BatchRefused(f"nothing was pulsed: {refusal}", errors=(refusal,))

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch, of this or an earlier session."""
        return self._journal.book.report(self._token)

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

    # ---- reading ------------------------------------------------------------------------------------------
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
        with self._mine:
            check_read(cells, setup, self._geometry.cells, self._limits)
            if self._stopped.is_set() or not (self._power and self._outputs):
                raise InstrumentError(f"{self!r} is not energised: switch power and outputs on")
            self._reads += 1
            self._aborted.clear()
            g_s = np.full(cells.size, np.nan, np.float32)
            flags = np.full(cells.size, ReadFlag.NOT_READ, np.uint8)
            t_ns = np.zeros(cells.size, np.uint64)
            masked = self._journal.book.masked[cells]
            flags[masked] = ReadFlag.MASKED
            self._ended = State.DONE
            try:
                # By cell, not in the order of the list: neighbours share relays.
                for entry in np.argsort(cells, kind="stable").tolist():
                    if (ended := self._interrupted()) is not None:
                        self._ended = ended
                        break
                    if not masked[entry]:
                        g_s[entry], flags[entry], t_ns[entry] = self._read_one(int(cells[entry]), setup)
            except BaseException as error:
                self._ended = State.TRIP
                self._note_failure(error)
                raise
            now_ns = self.clock_ns()
            return Reading(g_s, flags, t_ns if stamps else None, self._reads, now_ns, time.time_ns())

    def _read_one(self, cell: int, setup: ReadSetup) -> tuple[float, int, int]:
        """Return conductance, flag and board time of one cell."""
        settings = self.settings
        limit_a = (
            settings.read_limit_a if setup.range_a is None else min(setup.range_a, settings.read_limit_a)
        )
        with self._losing():
            self._relays.connect(self._ways.to_read(cell))
            self._hold_word_line(None, settings.word_line_read_v)
            self._relays.live("smu")
            before_ns = self.clock_ns()
            burst = self._parts.smu.burst(
                setup.voltage_v,
                samples=setup.samples,
                aperture_s=setup.aperture_s,
                limit_a=limit_a,
                range_a=setup.range_a,
            )
            after_ns = self.clock_ns()
            self._relays.rest()
        g_s, flag = conductance_of(
            burst, setup.voltage_v, settings.noise_floor_a, automatic=setup.range_a is None
        )
        return g_s, flag, (before_ns + after_ns) // 2

    # ---- waiting and watching -----------------------------------------------------------------------------
    def wait(self, timeout_s: float) -> State:
        """Return how the last operation ended: operations are over when their call returns."""
        return self._ended

    def watch(self, on: bool) -> None:
        """Arm the scope before every pulse from now on, or leave it alone.

        Raises
        ------
        InstrumentError
            There is no scope.
        """
        if on and self._parts.scope is None:
            raise InstrumentError(f"{self!r} has no scope; name its channel as `scope` in the bench file")
        self._watching = on

    def trace(self) -> Trace:
        """Fetch what the scope recorded of the last pulse.

        Raises
        ------
        InstrumentError
            There is no scope, or it was not told to :meth:`watch`.
        """
        if self._parts.scope is None or not self._watching:
            raise InstrumentError(f"no scope watches the pulses of {self!r}; call watch(True) before them")
        return self._parts.scope.trace(self._parts.scope_channel)
