"""The chip interface: all that the floors above may ask of a PCM test chip.

Everything in ``labkit`` (program-and-verify, campaigns, experiments) is written against :class:`Chip`; a
board with another protocol joins by implementing it (controller-protocol §14). Values are SI, conductances in
siemens, temperatures in kelvin, times of the board in integer nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Batch",
    "BatchReport",
    "BoardError",
    "Chip",
    "Drive",
    "EntryCode",
    "Geometry",
    "Identity",
    "Limits",
    "Pulse",
    "PulseKind",
    "ReadFlag",
    "ReadSetup",
    "Reading",
    "State",
]

CURRENT_LIMITED = 128
"""Bit 7 of an entry flag: the current limit acted on this entry (controller-protocol §6.4)."""


class State(StrEnum):
    """How an operation of the board stands or ended (controller-protocol §5.2)."""

    IDLE = "IDLE"
    RUN = "RUN"
    DONE = "DONE"
    ABORTED = "ABOR"
    SAFE = "SAFE"
    TRIP = "TRIP"
    WATCHDOG = "WDOG"


class PulseKind(StrEnum):
    """Label of a pulse template; the physics follows from its amplitude and shape alone."""

    SET = "SET"
    RESET = "RES"


class Drive(StrEnum):
    """What a pulse amplitude is: a forced current or a voltage."""

    CURRENT = "A"
    VOLTAGE = "V"


class EntryCode(IntEnum):
    """What a batch did to one entry, the low seven bits of its flag (controller-protocol §6.4)."""

    NOT_REACHED = 0
    PULSED = 1
    SKIPPED = 2
    MASKED = 3
    IN_DOUBT = 4


class ReadFlag(IntFlag):
    """What is wrong with one reading (controller-protocol §7.7); NaN in the data for all but CLIPPED_LOW."""

    OK = 0
    CLIPPED_HIGH = 1
    CLIPPED_LOW = 2
    MASKED = 4
    NOT_READ = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers at the address."""

    maker: str
    model: str
    serial: str
    firmware: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class BoardError:
    """One entry of the board's error queue."""

    code: int
    text: str
    info: str = ""

    def __str__(self) -> str:
        return f'{self.code},"{self.text}{";" + self.info if self.info else ""}"'


@dataclass(frozen=True, slots=True)
class Geometry:
    """Banks, rows (word lines) and columns (bit lines) of a chip."""

    banks: int
    rows: int
    cols: int

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.banks * self.rows * self.cols

    def index(self, bank: int, row: int, col: int) -> int:
        """Index of a cell: ``bank * rows * cols + row * cols + col``.

        Raises
        ------
        IndexError
            The address lies outside the chip.
        """
        if not (0 <= bank < self.banks and 0 <= row < self.rows and 0 <= col < self.cols):
            raise IndexError(
                f"cell ({bank}, {row}, {col}) is outside {self.banks} x {self.rows} x {self.cols}"
            )
        return (bank * self.rows + row) * self.cols + col


@dataclass(frozen=True, slots=True)
class Limits:
    """What a board can do: the JSON of ``SYST:LIM?`` (controller-protocol §7.3) with units in the names."""

    block_max_bytes: int
    parallel_program: int
    parallel_read: int
    rise_s: tuple[float, float]
    top_s: tuple[float, float]
    fall_s: tuple[float, float]
    off_min_s: float
    period_max_s: float
    current_max_a: float
    voltage_max_v: float | None
    read_voltage_v: tuple[float, float]
    read_samples: tuple[int, int]
    read_aperture_s: tuple[float, float]
    read_overhead_s: float
    read_ranges_a: tuple[float, ...]
    adc_bits: int
    adc_zero: int
    program_formats: tuple[str, ...]
    read_formats: tuple[str, ...]
    drives: tuple[Drive, ...]
    selections: int
    templates: int
    clock_hz: int
    cycle_counters: bool
    pulse_stamps: bool
    stamp_error_s: float
    nonvolatile: tuple[str, ...]

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Limits:
        """Read the keys of ``SYST:LIM?``; unknown keys are ignored, a missing CORE key is a KeyError."""
        return cls(
            block_max_bytes=int(text["block_max"]),
            parallel_program=int(text["par_prog"]),
            parallel_read=int(text["par_read"]),
            rise_s=(float(text["t_rise"][0]), float(text["t_rise"][1])),
            top_s=(float(text["t_top"][0]), float(text["t_top"][1])),
            fall_s=(float(text["t_fall"][0]), float(text["t_fall"][1])),
            off_min_s=float(text["t_off_min"]),
            period_max_s=float(text["period_max"]),
            current_max_a=float(text["i_max"]),
            voltage_max_v=float(text["v_max"]) if "v_max" in text else None,
            read_voltage_v=(float(text["v_read"][0]), float(text["v_read"][1])),
            read_samples=(int(text["read_aver"][0]), int(text["read_aver"][1])),
            read_aperture_s=(float(text["read_aper"][0]), float(text["read_aper"][1])),
            read_overhead_s=float(text["read_ovh"]),
            read_ranges_a=tuple(float(x) for x in text["read_rang"]),
            adc_bits=int(text["adc_bits"]),
            adc_zero=int(text["adc_zero"]),
            program_formats=tuple(text["form_prog"]),
            read_formats=tuple(text["form_read"]),
            drives=tuple(Drive(x) for x in text["puls_unit"]),
            selections=int(text["sel_max"]),
            templates=int(text["puls_max"]),
            clock_hz=int(text["clock_hz"]),
            cycle_counters=bool(text.get("cycl", 0)),
            pulse_stamps=bool(text.get("prog_tst", 0)),
            stamp_error_s=float(text.get("tst_err", 0.0)),
            nonvolatile=tuple(text.get("nv", ())),
        )


@dataclass(frozen=True, slots=True)
class Pulse:
    """A pulse template: a trapezoid and how its per-cell amplitude is driven.

    Attributes
    ----------
    rise_s, top_s, fall_s : float
        Edges and the plateau at full amplitude, seconds. FWHM = top + (rise + fall) / 2.
    period_s : float
        From start to start on one drive.
    full_scale : float
        Amplitude of the largest DAC code, ampere or volt. It has no default: nobody's number reaches a cell.
    kind, drive
        Label, and whether amplitudes are currents or voltages.
    word_line_v : float, optional
        Word-line voltage; the rail when left out.
    limit_a : float, optional
        Current limit; the board's ``i_max`` when left out.
    """

    rise_s: float
    top_s: float
    fall_s: float
    period_s: float
    full_scale: float
    kind: PulseKind = PulseKind.RESET
    drive: Drive = Drive.CURRENT
    word_line_v: float | None = None
    limit_a: float | None = None

    @property
    def fwhm_s(self) -> float:
        """Full width at half maximum, seconds."""
        return self.top_s + 0.5 * (self.rise_s + self.fall_s)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One pulse template applied to an ordered list of cells, each with its own amplitude.

    Attributes
    ----------
    id : int
        Chosen by the caller, greater than the last accepted one; see :meth:`Chip.next_batch_id`.
    cells : ndarray of uint32, shape (n,)
        Cell indices without duplicates; their order is the order of every result.
    amplitude : ndarray of float32, shape (n,)
        Ampere or volt; NaN means no pulse of any kind for that cell.
    count : int
        Pulses per cell.
    """

    id: int
    cells: NDArray[np.uint32]
    pulse: Pulse
    amplitude: NDArray[np.float32]
    count: int = 1


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How far the last accepted batch got (controller-protocol §6.4).

    Entries ``0 .. done-1`` are finished, the ``open`` entries behind them may have been touched, all later ones
    are untouched. ``mine`` is True only for a batch this very driver object sent.
    """

    id: int
    mine: bool
    state: State
    done: int
    open: int
    total: int
    pulsed: int
    code: int
    t_start_ns: int
    t_end_ns: int


@dataclass(frozen=True, slots=True)
class ReadSetup:
    """How cells are read.

    Attributes
    ----------
    voltage_v : float
        Read voltage; conductances are current over this voltage.
    samples : int
        Conversions averaged per reading.
    aperture_s : float
        Integration time of one conversion.
    range_a : float, optional
        Full scale of the current range; automatic per cell when left out.
    """

    voltage_v: float = 0.2
    samples: int = 1
    aperture_s: float = 1e-6
    range_a: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The readings of an ordered list of cells.

    Attributes
    ----------
    g_s : ndarray of float32, shape (n,)
        Conductance, siemens; NaN where the flag says why. Clipped-low readings are finite.
    flags : ndarray of uint8, shape (n,)
        Bits of :class:`ReadFlag`.
    t_ns : ndarray of uint64, shape (n,), or None
        Board time in the middle of each reading; None where stamps were not asked for.
    read_id : int
        The board's count of reads since boot.
    clock_ns : int
        Board time right after the read.
    host_unix_ns : int
        Host time when the answer was complete.
    """

    g_s: NDArray[np.float32]
    flags: NDArray[np.uint8]
    t_ns: NDArray[np.uint64] | None
    read_id: int
    clock_ns: int
    host_unix_ns: int


@runtime_checkable
class Chip(Protocol):
    """A PCM test chip behind some controller.

    Rules every implementation keeps (controller-protocol §14): a refused batch has pulsed nothing; ids strictly
    increase; :meth:`last_batch` is right after any failure; results keep length and order; ``safe()`` never
    raises, never waits and may be called from any thread.
    """

    def identify(self) -> Identity:
        """Who answers."""

    def capabilities(self) -> frozenset[str]:
        """Command groups present, ``CORE`` always among them."""

    def geometry(self) -> Geometry:
        """Banks, rows and columns."""

    def limits(self) -> Limits:
        """Tell what the board can do, SI units."""

    def boot_id(self) -> int:
        """Return a number that changes whenever volatile board state was lost."""

    def clock_ns(self) -> int:
        """Board time, monotonic, nanoseconds since boot."""

    def set_epoch(self, unix_ns: int) -> int:
        """Tie board time to Unix time; returns the board time at which it was set."""

    def errors(self) -> list[BoardError]:
        """Drain the error queue."""

    def power(self, on: bool) -> None:
        """Switch the array supply; returns when the rails are in tolerance."""

    def outputs(self, on: bool) -> None:
        """Connect or open the outputs."""

    def safe(self) -> None:
        """Open the outputs and latch the power off; never raises, never waits."""

    def abort(self) -> None:
        """End the running operation at the next cell boundary."""

    def mask(self, cells: NDArray[np.uint32]) -> None:
        """Forbid exactly these cells to every later batch and read."""

    def next_batch_id(self) -> int:
        """Return the smallest id the board will accept."""

    def program(self, batch: Batch) -> None:
        """Start a batch; raises BatchRefused with nothing pulsed."""

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch."""

    def batch_flags(self) -> NDArray[np.uint8]:
        """One :class:`EntryCode` per entry of the last accepted batch."""

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Pulses given per cell, by the board's own counters."""

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells; ``stamps=False`` spares the transfer of the time stamps."""

    def wait(self, timeout_s: float) -> State:
        """Wait until the running operation has finished (not: succeeded)."""

    def temperature_k(self) -> float | None:
        """Chip temperature, or None where no sensor is fitted."""

    def messages(self) -> int:
        """Messages sent over the link since it was opened."""

    def close(self) -> None:
        """Release the board; its outputs are left as they are."""
