"""What a B1500A was told about measurements: modes, sweeps, samplings, pulses, formats; ``*RST`` forgets it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.twins import b1500_adc
from drivers.simulated.twins.b1500_adc import Adc
from drivers.simulated.twins.b1500_smu import Forced

__all__ = ["Pulse", "Sampled", "Setup", "Staircase"]


@dataclass(slots=True)
class Staircase:
    """A sweep source: WV, WI, or the source in step with it, WSV, WSI.

    Attributes
    ----------
    slot, mode : int
        Mode 1 linear, 2 logarithmic, 3 and 4 the same up and down.
    at_start, at_stop : Forced
        What is forced at the two ends.
    steps : int
    power_w : float or None
        Power compliance.
    """

    slot: int
    mode: int
    at_start: Forced
    at_stop: Forced
    steps: int
    power_w: float | None = None

    @property
    def quantity(self) -> str:
        """V or I."""
        return self.at_start.quantity

    def levels(self) -> NDArray[np.float64]:
        """Return every step's level; up and down repeats the last point (seen on an E5270B)."""
        start, stop = self.at_start.level, self.at_stop.level
        if self.steps == 1:
            up = np.array([start])
        else:
            spacing = np.geomspace if self.mode in (2, 4) else np.linspace
            up = spacing(start, stop, self.steps)
        return np.concatenate([up, up[::-1]]) if self.mode in (3, 4) else up

    def forced(self, level: float) -> Forced:
        """Return what is forced at a step."""
        span = max(self.at_start.range, self.at_stop.range)
        wider = max(self.at_start, self.at_stop, key=lambda each: each.limit_range)
        limit = wider.limit
        if self.power_w is not None and level:
            limit = min(abs(limit), self.power_w / abs(level))
        return replace(wider, level=level, range=span, limit=limit)


@dataclass(slots=True)
class Sampled:
    """A source of a sampling measurement (MV, MI): what it forces before and while samples are taken."""

    base: Forced
    bias: Forced


@dataclass(slots=True)
class Pulse:
    """A pulsed source (PV, PI, PWV, PWI): where a pulse starts from, and what it goes to."""

    slot: int
    base: Forced
    peaks: Staircase


@dataclass(slots=True)
class Setup:
    """Everything the commands set that is no channel's own.

    Attributes
    ----------
    style, style_mode : int
        Of FMT.
    trigger, parallel, stamps, calibrates, auto_zero
        TM, PAD, TSC, CM, AZ.
    mode : (int, tuple of int) or None
        MM and its channels.
    """

    style: int = 1
    style_mode: int = 0
    trigger: int = 1
    parallel: bool = False
    stamps: bool = False
    calibrates: bool = True
    auto_zero: bool = False
    mode: tuple[int, tuple[int, ...]] | None = None
    adcs: dict[int, Adc] = field(default_factory=b1500_adc.initial)
    waits: dict[int, tuple[float, float]] = field(default_factory=lambda: {1: (1.0, 0.0), 2: (1.0, 0.0)})
    sweep: Staircase | None = None
    in_step: Staircase | None = None
    sweep_timing: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    sweep_end: tuple[int, int] = (1, 1)
    sampling: tuple[float, float, int, float] = (0.0, 0.002, 1000, 0.0)
    sampling_mode: int = 1
    sampling_end: tuple[int, int] = (1, 2)
    sampled: dict[int, Sampled] = field(default_factory=dict)
    pulse_timing: tuple[float, float, float] | None = None
    pulse: Pulse | None = None
    io_control: int = 0
    selector: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(4), 0))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that measure."""
        return () if self.mode is None else self.mode[1]
