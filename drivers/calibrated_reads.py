"""A chip whose readings and products are corrected for the gain and offset of its read path."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
from drivers.errors import InstrumentError
from drivers.products import MatrixVector, Product, Rectangle
from drivers.read_calibration import ReadCalibration

__all__ = ["CalibratedChip"]


class CalibratedChip:
    """A chip like any other that wraps one and takes its read path's errors out of every reading.

    A reading becomes ``(G_read - offset / V) / gain`` of its column. What could not be read stays NaN, flags
    are kept, and clipped-low readings stay finite: corrected, they may lie below zero. Products are corrected
    where the chip can multiply. Every other call goes to the chip unchanged, those of its own driver included.

    Parameters
    ----------
    chip : Chip
        The chip; it must be open.
    calibration : ReadCalibration
        Measured on this very chip.

    Raises
    ------
    ReadCalibrationError
        It was measured on another one.
    """

    def __init__(self, chip: Chip, calibration: ReadCalibration) -> None:
        self._geometry = chip.geometry()
        calibration.check_chip(chip.identify(), self._geometry)
        self.chip = chip
        self.calibration = calibration
        self._per_gain = (1.0 / calibration.gain).astype(np.float32)
        self._offset_a = calibration.offset_a.astype(np.float32)

    def __repr__(self) -> str:
        return f"<CalibratedChip of {self.chip!r}>"

    def __getattr__(self, name: str) -> Any:
        # Reached for what is not in the chip interface. Names of this class never are, and asking the chip for
        # them would not end where __init__ has not run.
        if name.startswith("_") or name == "chip":
            raise AttributeError(name)
        return getattr(self.chip, name)

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells, corrected; ``stamps=False`` spares the transfer of the time stamps."""
        reading = self.chip.read(cells, setup, stamps=stamps)
        columns = np.remainder(cells, self._geometry.cols)
        g_s = reading.g_s - (self._offset_a / np.float32(setup.voltage_v))[columns]
        g_s *= self._per_gain[columns]
        return replace(reading, g_s=g_s)

    def multiply(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> Product:
        """Multiply vectors by the conductances of a rectangle, the currents of its columns corrected.

        A vector with negative inputs is measured in two passes that are subtracted, in which the offset of a
        column cancels; one without takes one pass and has it once. What a board does with a vector of the
        second kind among some of the first is its own affair (controller-protocol §7.9 does not say), so the
        two kinds are sent apart.

        Raises
        ------
        InstrumentError
            The chip cannot multiply.
        """
        if not isinstance(self.chip, MatrixVector):
            raise InstrumentError(f"{self.chip!r} has no multiply: read its cells and multiply on the host")
        twice = np.asarray((inputs < 0).any(axis=-1))
        if inputs.ndim != 2 or not twice.any() or twice.all():
            product = self.chip.multiply(rectangle, inputs, setup)
            return replace(product, current_a=self._corrected(product.current_a, rectangle.col, twice))
        parts = [self.chip.multiply(rectangle, inputs[kind], setup) for kind in (~twice, twice)]
        current_a = np.empty((len(inputs), rectangle.cols), np.float32)
        current_a[~twice], current_a[twice] = parts[0].current_a, parts[1].current_a
        return replace(
            parts[1],
            current_a=self._corrected(current_a, rectangle.col, twice),
            scale_a=max(part.scale_a for part in parts),
        )

    def _corrected(
        self, current_a: NDArray[np.float32], first: int, twice: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Correct currents of shape (k, cols) of the columns from `first` on."""
        columns = slice(first, first + current_a.shape[1])
        once = (~twice).astype(np.float32)[:, np.newaxis]
        corrected: NDArray[np.float32] = (current_a - once * self._offset_a[columns]) * self._per_gain[
            columns
        ]
        return corrected

    # ------------------------------------------------------------------ passed through

    def identify(self) -> Identity:
        """Who answers."""
        return self.chip.identify()

    def capabilities(self) -> frozenset[str]:
        """Command groups present."""
        return self.chip.capabilities()

    def geometry(self) -> Geometry:
        """Banks, rows and columns."""
        return self._geometry

    def limits(self) -> Limits:
        """Limits of the board."""
        return self.chip.limits()

    def boot_id(self) -> int:
        """Return a number that changes whenever volatile board state was lost."""
        return self.chip.boot_id()

    def clock_ns(self) -> int:
        """Board time, nanoseconds since boot."""
        return self.chip.clock_ns()

    def set_epoch(self, unix_ns: int) -> int:
        """Tie board time to Unix time; returns the board time at which it was set."""
        return self.chip.set_epoch(unix_ns)

    def errors(self) -> list[BoardError]:
        """Drain the error queue."""
        return self.chip.errors()

    def power(self, on: bool) -> None:
        """Switch the array supply."""
        self.chip.power(on)

    def outputs(self, on: bool) -> None:
        """Connect or open the outputs."""
        self.chip.outputs(on)

    def safe(self) -> None:
        """Open the outputs and latch the power off; never raises, never waits."""
        self.chip.safe()

    def abort(self) -> None:
        """End the running operation at the next cell boundary."""
        self.chip.abort()

    def mask(self, cells: NDArray[np.uint32]) -> None:
        """Forbid exactly these cells to every later batch and read."""
        self.chip.mask(cells)

    def next_batch_id(self) -> int:
        """Return the smallest id the board will accept."""
        return self.chip.next_batch_id()

    def program(self, batch: Batch) -> None:
        """Start a batch; raises BatchRefused with nothing pulsed."""
        self.chip.program(batch)

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch."""
        return self.chip.last_batch()

    def batch_flags(self) -> NDArray[np.uint8]:
        """One flag per entry of the last accepted batch."""
        return self.chip.batch_flags()

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""
        return self.chip.pulse_times_ns()

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Pulses given per cell, by the board's own counters."""
        return self.chip.cycles(cells)

    def wait(self, timeout_s: float) -> State:
        """Wait until the running operation has finished (not: succeeded)."""
        return self.chip.wait(timeout_s)

    def temperature_k(self) -> float | None:
        """Chip temperature, or None where no sensor is fitted."""
        return self.chip.temperature_k()

    def messages(self) -> int:
        """Messages sent over the link since it was opened."""
        return self.chip.messages()

    def close(self) -> None:
        """Release the board; its outputs are left as they are."""
        self.chip.close()
