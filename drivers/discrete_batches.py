"""Batches over instruments: cell by cell, each intent written down before its pulse and each outcome after it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Batch, BatchReport, BoardError, EntryCode, State
from drivers.discrete_book import batch_record, end_record, outcome_record, started_record
from drivers.discrete_journal import JournalError
from drivers.discrete_pulses import check_batch, open_voltages, plan_of, shape_of
from drivers.errors import BatchRefused, DriverError, InstrumentError

if TYPE_CHECKING:
    from drivers.chip import Limits
    from drivers.discrete_journal import Journal
    from drivers.discrete_parts import DiscreteParts, DiscreteSettings
    from drivers.discrete_pulses import DriveModel
    from drivers.discrete_routes import Ways
    from drivers.discrete_supply import Supply
    from drivers.roles import Trace

__all__ = ["DiscreteBatches"]


class DiscreteBatches:
    """The programming side of a chip made of instruments.

    Parameters
    ----------
    parts, ways, journal, settings
        As of :class:`~drivers.discrete.DiscreteChip`.
    supply : Supply
    limits : Limits
        Of the chip.
    model : DriveModel
    series_ohm : ndarray of float64, shape (cells,)
        Resistors on the way to each cell.
    clock_ns : callable
        Tells the board time.
    """

    def __init__(
        self,
        parts: DiscreteParts,
        ways: Ways,
        journal: Journal,
        settings: DiscreteSettings,
        supply: Supply,
        limits: Limits,
        model: DriveModel,
        series_ohm: NDArray[np.float64],
        clock_ns: Callable[[], int],
    ) -> None:
        self._parts, self._ways, self._journal, self._settings = parts, ways, journal, settings
        self._supply, self._limits, self._model, self._clock_ns = supply, limits, model, clock_ns
        self._source, self._series_ohm = parts.pulser.pulse_limits(), series_ohm
        self._token = secrets.token_hex(8)
        self._watching = False

    def program(self, batch: Batch) -> State:
        """Give a batch; returns how it ended; see :meth:`drivers.discrete.DiscreteChip.program`.

        Raises
        ------
        BatchRefused
            Nothing was pulsed and the id is free.
        """
        with self._supply.mine:
            book = self._journal.book
            check_batch(batch, book.batch_id, book.cells, self._limits, self._source)
            plan = plan_of(batch, book.masked)
            series_ohm = self._series_ohm[batch.cells]
            volts = open_voltages(batch, series_ohm, self._model, self._limits, self._source)
            if batch.pulse.word_line_v is not None and self._parts.word_line is None:
                _refuse(-221, "Settings conflict", "no channel holds word lines")
            if not self._supply.energised:
                _refuse(207, "Array not energised", "switch power and outputs on")
            self._accept(batch, plan)
            self._supply.begin()
            return self._give(batch, plan, volts)

    def _accept(self, batch: Batch, plan: NDArray[np.uint8]) -> None:
        """Prepare the generator and write the acceptance down: the last two things that may refuse a batch."""
        shape, supply = shape_of(batch.pulse), self._supply
        try:
            self._journal.tidy()
            with supply.losing():
                if shape != supply.prepared:
                    supply.relays.connect(None)
                    supply.prepared = None
                    self._parts.pulser.prepare(shape)
                    supply.prepared = shape
            record = batch_record(
                batch.id,
                batch.cells,
                plan,
                count=batch.count,
                token=self._token,
                started_ns=self._clock_ns(),
                host=self._journal.host,
            )
            self._journal.note(record, sync=True)
        except (DriverError, OSError) as error:
            raise BatchRefused(
                f"nothing was pulsed: {error}", errors=tuple(getattr(error, "errors", ()) or ())
            ) from error

    def _give(self, batch: Batch, plan: NDArray[np.uint8], volts: NDArray[np.float64]) -> State:
        state, code = State.TRIP, 0
        try:
            state = self._give_each(batch, plan, volts)
        except DriverError as error:
            code = self._supply.note_failure(error)
        except BaseException as error:
            state = State.ABORTED
            code = self._supply.note_failure(error)
            raise
        finally:
            with suppress(
                JournalError
            ):  # a batch that could not be ended is ended when the file is opened again
                self._journal.note(end_record(state, code, self._clock_or_latest()), sync=True)
        return state

    def _give_each(self, batch: Batch, plan: NDArray[np.uint8], volts: NDArray[np.float64]) -> State:
        supply, settings, asked_v = self._supply, self._settings, batch.pulse.word_line_v
        gate_v = settings.word_line_pulse_v if asked_v is None else asked_v
        for entry in np.flatnonzero(plan == EntryCode.PULSED).tolist():
            if (ended := supply.interrupted()) is not None:
                return ended
            self._journal.reserve(entry)
            with supply.losing():
                supply.relays.connect(self._ways.to_pulse(int(batch.cells[entry])))
                supply.hold_word_line(gate_v, settings.word_line_limit_a)
                self._arm(float(volts[entry]))
                self._journal.note(started_record(entry))
                self._fire(float(volts[entry]), batch.count)
                stamp_ns = self._clock_ns()
            self._journal.note(outcome_record(entry, stamp_ns))
            with supply.losing():
                supply.relays.rest()
        return State.DONE

    def _arm(self, open_v: float) -> None:
        """Let the scope wait for the pulse, where it was told to watch."""
        scope, shape = self._parts.scope, self._supply.prepared
        if self._watching and scope is not None and shape is not None:
            window_s = 2.0 * (shape.rise_s + shape.top_s + shape.fall_s)
            scope.arm(self._parts.scope_channel, level_v=0.5 * open_v, window_s=window_s)

    def _fire(self, open_v: float, count: int) -> None:
        self._supply.relays.live("pulser")
        while count > 0:
            part = min(count, self._source.count_max)
            self._parts.pulser.fire(open_v, part)
            count -= part

    def _clock_or_latest(self) -> int:
        try:
            return self._clock_ns()
        except DriverError:
            return self._journal.book.latest_ns

    # ---- what is known of the last one ------------------------------------------------------------------------
    def report(self) -> BatchReport:
        """Report of the last accepted batch, of this or an earlier session."""
        return self._journal.book.report(self._token)

    # ---- the scope --------------------------------------------------------------------------------------------
    def watch(self, on: bool) -> None:
        """Arm the scope before every pulse from now on, or leave it alone.

        Raises
        ------
        InstrumentError
            There is no scope.
        """
        if on and self._parts.scope is None:
            raise InstrumentError("this chip has no scope; name its channel as `scope` in the bench file")
        self._watching = on

    def trace(self) -> Trace:
        """Fetch what the scope recorded of the last pulse.

        Raises
        ------
        InstrumentError
            There is no scope, or it was not told to watch.
        """
        if self._parts.scope is None or not self._watching:
            raise InstrumentError("no scope watches the pulses of this chip; call watch(True) before them")
        return self._parts.scope.trace(self._parts.scope_channel)


def _refuse(code: int, text: str, info: str) -> None:
    refusal = BoardError(code, text, info)
    raise BatchRefused(f"nothing was pulsed: {refusal}", errors=(refusal,))
