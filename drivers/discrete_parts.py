"""What a chip made of instruments is made of, what no instrument tells of it, and what follows from both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Drive, Identity, Limits
from drivers.discrete_pulses import DriveModel

if TYPE_CHECKING:
    from drivers.roles import (
        CrosspointMatrix,
        Oscilloscope,
        PulseLimits,
        PulseSource,
        SourceMeter,
        Thermometer,
    )

__all__ = ["DiscreteParts", "DiscreteSettings", "identity_of", "limits_of", "model_of"]

_TOP_MIN_S = 1e-10
"""Shortest top a template may have: a triangle is none."""
_CELL_S = 30e-3
"""Relays, messages and settling of one cell operation: an order of magnitude (instruments §4)."""
_BLOCK_BYTES = 1 << 24
_SAMPLES, _APERTURE_S = (1, 1000), (1e-7, 10.0)
"""What may be asked of a source-meter, which takes the nearest aperture it can do."""
_BITS = 20
"""Of a source-meter's reading of 6 1/2 digits."""


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
        How far a time stamp may be off: half of what messages and settling take between two looks at the clock.
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
    stamp_error_s: float = 20e-3


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

    @property
    def source_instruments(self) -> list[Any]:
        """The instruments of those, in the order they are made safe."""
        return [self.instruments[name] for name in self.sources_in]


def model_of(source: PulseLimits, settings: DiscreteSettings) -> DriveModel:
    """Return the circuit that turns the generator's voltage into currents."""
    return DriveModel(
        source.source_ohm, settings.on_ohm, settings.holding_v, settings.relay_ohm, settings.load_ohm
    )


def limits_of(
    source: PulseLimits, settings: DiscreteSettings, series_ohm: NDArray[np.float64], *, kept: bool
) -> Limits:
    """Return what a generator and a source-meter can do together.

    Parameters
    ----------
    source : PulseLimits
    settings : DiscreteSettings
    series_ohm : ndarray of float64
        Resistors on the way to each cell.
    kept : bool
        Counters and mask outlive the program.
    """
    most_v = source.open_v[1]
    driven_a = model_of(source, settings).current_a(np.array([most_v]), series_ohm.max(keepdims=True))
    shortest_s = source.rise_s[0] + source.top_s[0] + source.fall_s[0]
    return Limits(
        block_max_bytes=_BLOCK_BYTES,
        parallel_program=1,
        parallel_read=1,
        rise_s=source.rise_s,
        top_s=(max(source.top_s[0], _TOP_MIN_S), source.top_s[1]),
        fall_s=source.fall_s,
        off_min_s=max(0.0, source.period_s[0] - shortest_s),
        period_max_s=source.period_s[1],
        current_max_a=min(float(driven_a[0]), settings.current_max_a),
        voltage_max_v=most_v,
        read_voltage_v=settings.read_voltage_v,
        read_samples=_SAMPLES,
        read_aperture_s=_APERTURE_S,
        read_overhead_s=_CELL_S,
        read_ranges_a=settings.read_ranges_a,
        adc_bits=_BITS,
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
        nonvolatile=("CYCL", "MASK") if kept else (),
    )


def identity_of(name: str, parts: DiscreteParts, *, simulated: bool) -> Identity:
    """Return who answers: the models, serial numbers and firmware of all instruments."""
    found = [one.identify() for one in parts.instruments.values()]
    serials, firmware = ("+".join(getattr(one, key) for one in found) for key in ("serial", "firmware"))
    models = "+".join(one.model for one in found)
    return Identity("labkit", f"discrete {models}", f"{name}/{serials}", firmware, simulated=simulated)
