"""The safe-operating envelope: what no batch and no read may exceed, checked before anything is sent.

:class:`GuardedChip` is a chip like any other and wraps one. It checks every batch against the limits of the
bench file (the board's own limits apply anyway) and keeps count of the pulses each cell was given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import (
    Batch,
    BatchReport,
    BoardError,
    Chip,
    Geometry,
    Identity,
    Limits,
    Reading,
    ReadSetup,
    State,
)
from drivers.errors import BatchRefused, InstrumentError
from drivers.products import MatrixVector, Product, Rectangle
from labkit.batch_checks import (
    check_amplitudes,
    check_cells,
    check_pulse,
    check_read_voltage,
    check_rectangle,
    check_references,
    check_shape,
    reference_cells,
)
from labkit.wear import WearLedger

if TYPE_CHECKING:
    from drivers.bench import Envelope, References

__all__ = ["GuardedChip"]


class GuardedChip:
    """A chip that refuses what lies outside the envelope, and counts pulses per cell.

    Every other call goes to the chip unchanged. A batch costs about 2 ms of checks per million cells.

    Parameters
    ----------
    chip : Chip
        The chip to guard; it must be open.
    envelope : Envelope
        Limits of the bench file.
    references : References, optional
        Rows of the bench file that hold resistors; no batch may pulse their cells.
    message : callable, optional
        Context manager put around every call to the chip; the station holds signals back with it.

    Attributes
    ----------
    ledger : WearLedger
        Pulses per cell; starts at 0, or at the board's own counters after :meth:`load_wear`.

    Raises
    ------
    StationError
        A reference row is not on the chip.
    """

    def __init__(
        self,
        chip: Chip,
        envelope: Envelope,
        *,
        references: References | None = None,
        message: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.chip = chip
        self.envelope = envelope
        self._message = message
        with message():
            self._geometry = chip.geometry()
            self._limits = chip.limits()
        self._references = reference_cells(references, self._geometry)
        self.ledger = WearLedger(self._geometry.cells, envelope.pulses_per_cell_max)
        self._maybe_energised = True  # what an earlier program left is not known

    def __repr__(self) -> str:
        return f"<GuardedChip of {self.chip!r}>"

    # ------------------------------------------------------------------ envelope and wear

    @property
    def wear(self) -> NDArray[np.uint32]:
        """Pulses booked per cell, shape (cells,); a read-only view."""
        return self.ledger.pulses

    @property
    def maybe_energised(self) -> bool:
        """False only where this very object switched the power off and not on again."""
        return self._maybe_energised

    def load_wear(self) -> bool:
        """Raise the ledger to the board's own pulse counters; False where it has none."""
        if not self._limits.cycle_counters:
            return False
        self.ledger.raise_to(self.cycles(np.arange(self._geometry.cells, dtype=np.uint32)))
        return True

    def book_wear(self, cells: NDArray[np.uint32], pulses: NDArray[np.uint32] | int) -> None:
        """Book pulses that were given elsewhere or whose fate is unknown.

        Parameters
        ----------
        cells : ndarray of uint32, shape (n,)
            Cell indices without duplicates.
        pulses : ndarray of uint32, shape (n,), or int
            Pulses to add.

        Raises
        ------
        EnvelopeExceeded
            A cell that is not on the chip, or twice in the list.
        """
        check_cells(cells, self._geometry.cells)
        self.ledger.book(cells, pulses)

    def check(self, batch: Batch) -> None:
        """Raise what :meth:`program` would raise for `batch`, without sending or booking anything.

        Raises
        ------
        EnvelopeExceeded
            With the first offending cell and the numbers.
        ReferencesProtected
            It would pulse cells of a reference row.
        WearBudgetSpent
            A cell would be pulsed more often than ``pulses_per_cell_max``.
        """
        self._checked(batch)

    def _checked(self, batch: Batch) -> NDArray[np.bool_]:
        """Check a batch; returns which entries it pulses."""
        check_shape(batch)
        check_pulse(batch.pulse, self.envelope, self._limits)
        check_cells(batch.cells, self._geometry.cells)
        check_amplitudes(batch, self.envelope, self._limits)
        active: NDArray[np.bool_] = batch.amplitude > 0
        check_references(batch, self._references, self._geometry)
        self.ledger.check(batch.cells, active, batch.count)
        return active

    # ------------------------------------------------------------------ guarded calls

    def program(self, batch: Batch) -> None:
        """Check a batch, book its pulses, start it.

        Raises
        ------
        EnvelopeExceeded, ReferencesProtected, WearBudgetSpent
            As :meth:`check`; nothing was sent.
        BatchRefused
            The board refused it; nothing was pulsed and nothing is booked.
        """
        active = self._checked(batch)
        with self._message():
            self.ledger.charge(batch.id, batch.cells, active, batch.count)
            try:
                self.chip.program(batch)
            except BatchRefused:
                self.ledger.refund()
                raise

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch."""
        with self._message():
            report = self.chip.last_batch()
        if report.mine and report.state is not State.RUN:
            self.ledger.mark_ended(report.id)
        return report

    def batch_flags(self) -> NDArray[np.uint8]:
        """One flag per entry of the last accepted batch.

        Once :meth:`last_batch` has shown the batch ended, entries that were not pulsed leave the ledger.
        """
        with self._message():
            flags = self.chip.batch_flags()
        self.ledger.settle(flags)
        return flags

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells.

        Raises
        ------
        EnvelopeExceeded
            Too large a read voltage, or a cell that is not on the chip; nothing was sent.
        """
        check_read_voltage(setup.voltage_v, self.envelope)
        check_cells(cells, self._geometry.cells)
        with self._message():
            return self.chip.read(cells, setup, stamps=stamps)

    def multiply(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> Product:
        """Multiply vectors by the conductances of a rectangle; see :class:`drivers.products.MatrixVector`.

        Raises
        ------
        EnvelopeExceeded
            Too large a read voltage, or a rectangle that is not on the chip; nothing was sent.
        InstrumentError
            The chip cannot multiply.
        """
        check_read_voltage(setup.voltage_v, self.envelope)
        check_rectangle(rectangle, self._geometry)
        if not isinstance(self.chip, MatrixVector):
            raise InstrumentError(f"{self.chip!r} has no multiply: read its cells and multiply on the host")
        with self._message():
            return self.chip.multiply(rectangle, inputs, setup)

    def power(self, on: bool) -> None:
        """Switch the array supply."""
        if on:
            self._maybe_energised = True
        with self._message():
            self.chip.power(on)
            self._maybe_energised = on

    def safe(self) -> None:
        """Open the outputs and latch the power off; never raises, never waits."""
        self.chip.safe()

    # ------------------------------------------------------------------ passed through

    def identify(self) -> Identity:
        """Who answers."""
        with self._message():
            return self.chip.identify()

    def capabilities(self) -> frozenset[str]:
        """Command groups present."""
        with self._message():
            return self.chip.capabilities()

    def geometry(self) -> Geometry:
        """Banks, rows and columns."""
        return self._geometry

    def limits(self) -> Limits:
        """Limits of the board."""
        return self._limits

    def boot_id(self) -> int:
        """Return a number that changes whenever volatile board state was lost."""
        with self._message():
            return self.chip.boot_id()

    def clock_ns(self) -> int:
        """Board time, nanoseconds since boot."""
        with self._message():
            return self.chip.clock_ns()

    def set_epoch(self, unix_ns: int) -> int:
        """Tie board time to Unix time; returns the board time at which it was set."""
        with self._message():
            return self.chip.set_epoch(unix_ns)

    def errors(self) -> list[BoardError]:
        """Drain the error queue."""
        with self._message():
            return self.chip.errors()

    def outputs(self, on: bool) -> None:
        """Connect or open the outputs."""
        with self._message():
            self.chip.outputs(on)

    def abort(self) -> None:
        """End the running operation at the next cell boundary."""
        with self._message():
            self.chip.abort()

    def mask(self, cells: NDArray[np.uint32]) -> None:
        """Forbid exactly these cells to every later batch and read."""
        check_cells(cells, self._geometry.cells)
        with self._message():
            self.chip.mask(cells)

    def next_batch_id(self) -> int:
        """Return the smallest id the board will accept."""
        with self._message():
            return self.chip.next_batch_id()

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""
        with self._message():
            return self.chip.pulse_times_ns()

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Pulses given per cell, by the board's own counters."""
        with self._message():
            return self.chip.cycles(cells)

    def wait(self, timeout_s: float) -> State:
        """Wait until the running operation has finished (not: succeeded)."""
        with self._message():
            return self.chip.wait(timeout_s)

    def temperature_k(self) -> float | None:
        """Chip temperature, or None where no sensor is fitted."""
        with self._message():
            return self.chip.temperature_k()

    def messages(self) -> int:
        """Messages sent over the link since it was opened."""
        return self.chip.messages()

    def close(self) -> None:
        """Release the board; its outputs are left as they are."""
        self.chip.close()
