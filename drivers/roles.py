"""What instruments are to a chip made of them: a source-meter, a pulse source, a matrix, a thermometer, a scope.

:mod:`drivers.discrete` asks for these roles and never for a model; a driver has a role by having its methods. One
channel of an instrument is one object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Burst",
    "CrosspointMatrix",
    "Oscilloscope",
    "PulseLimits",
    "PulseShape",
    "PulseSource",
    "SourceMeter",
    "Thermometer",
    "Trace",
]


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """What a source-meter measured in one go, every array of shape (n,).

    Attributes
    ----------
    voltage_v, current_a : ndarray of float64
        At the instrument's terminals, volt and ampere; the sourced one is the programmed level where the instrument
        does not measure it. NaN where the instrument says that the value is none.
    limited : ndarray of bool
        Compliance acted on this reading.
    t_s : ndarray of float64
        Instrument time since the first trigger of the burst, seconds.
    """

    voltage_v: NDArray[np.float64]
    current_a: NDArray[np.float64]
    limited: NDArray[np.bool_]
    t_s: NDArray[np.float64]


@runtime_checkable
class SourceMeter(Protocol):
    """One channel that sources a voltage and measures the current."""

    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure `samples` times at one voltage, one after the other, on the instrument; 0 V before and after.

        Parameters
        ----------
        level_v : float
            Volt.
        samples : int
        aperture_s : float
            Integration time of one sample; the nearest the instrument can do.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Fixed measuring range that holds this current; automatic when left out.
        """

    def sweep(
        self,
        levels_v: NDArray[np.float64],
        *,
        aperture_s: float,
        limit_a: float,
        range_a: float | None = None,
    ) -> Burst:
        """Measure once at each voltage, on the instrument; 0 V before and after."""

    def hold(self, level_v: float, *, limit_a: float) -> None:
        """Put a voltage on the terminals and leave it there (a word line)."""

    def zero(self) -> None:
        """Bring the terminals to 0 V, so that relays may be switched."""


@dataclass(frozen=True, slots=True)
class PulseShape:
    """A trapezoid; ``fwhm = top + (rise + fall) / 2``. Edges are from 0 to 100 %."""

    rise_s: float
    top_s: float
    fall_s: float
    period_s: float


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """What a pulse source can do, SI units; voltages are of the open output.

    Attributes
    ----------
    rise_s, top_s, fall_s, period_s : (float, float)
        Shortest and longest.
    open_v : (float, float)
        Lowest and highest plateau into an open circuit.
    source_ohm : float
        Output resistance.
    count_max : int
        Pulses of one burst.
    """

    rise_s: tuple[float, float]
    top_s: tuple[float, float]
    fall_s: tuple[float, float]
    period_s: tuple[float, float]
    open_v: tuple[float, float]
    source_ohm: float
    count_max: int


@runtime_checkable
class PulseSource(Protocol):
    """One channel that gives trapezoidal voltage pulses on a baseline of 0 V."""

    def pulse_limits(self) -> PulseLimits:
        """Return what the channel can do."""

    def prepare(self, shape: PulseShape) -> None:
        """Set up the trapezoid; the output stays off."""

    def fire(self, open_v: float, count: int = 1) -> None:
        """Give pulses of `open_v` (into an open circuit) with the prepared shape; returns when they are over.

        Between calls the output is connected and at 0 V, or open.
        """

    def zero(self) -> None:
        """Bring the terminals to 0 V, so that relays may be switched."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A recorded waveform: times in seconds from the trigger, and volts."""

    t_s: NDArray[np.float64]
    voltage_v: NDArray[np.float64]


@runtime_checkable
class Oscilloscope(Protocol):
    """A scope."""

    def arm(self, channel: str, *, level_v: float, window_s: float) -> None:
        """Wait for one rising edge through `level_v` on a channel, and record `window_s` around it."""

    def trace(self, channel: str) -> Trace:
        """Fetch what the last trigger recorded."""


@runtime_checkable
class CrosspointMatrix(Protocol):
    """A matrix of relays; crosspoints are (row letter, column number from 1)."""

    settle_s: float

    def connect(self, crosspoints: frozenset[tuple[str, int]]) -> None:
        """Close exactly these crosspoints and open all others, the opening ones first; returns when settled."""

    def closed(self) -> frozenset[tuple[str, int]]:
        """Ask which crosspoints are closed."""


@runtime_checkable
class Thermometer(Protocol):
    """One input of a temperature controller."""

    def temperature_k(self) -> float:
        """Return the temperature, kelvin."""
