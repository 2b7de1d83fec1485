"""What a batch is to a pulse generator: which entries are pulsed, at which voltage, and what is refused beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Batch, BoardError, Drive, EntryCode, Limits, Pulse
from drivers.errors import BatchRefused
from drivers.roles import PulseShape

if TYPE_CHECKING:
    from drivers.roles import PulseLimits

__all__ = ["DriveModel", "check_batch", "open_voltages", "plan_of", "shape_of"]

_ROUNDING = 1.0 + 1e-6  # of float32 amplitudes, and of durations that were added up
_IDS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class DriveModel:
    """The circuit that turns a generator's voltage into the current of a cell that has switched on.

    ``I = (V_open - holding_v) / (source_ohm + series_ohm + on_ohm)``: a cell under a programming pulse is a small
    resistance above its holding voltage, whatever state it was in (device-physics §3.4, §4.2). With a load at the
    generator's output, ``V_open`` and ``source_ohm`` are those of the two together.

    Attributes
    ----------
    source_ohm : float
        Of the generator, as it tells.
    on_ohm : float
        Of a cell that is on.
    holding_v : float
        Voltage at which it lets go.
    relay_ohm : float
        Of the closed relays and the cables of one way.
    load_ohm : float
        Of a resistor from the generator's output to ground; infinite where there is none.
    """

    source_ohm: float
    on_ohm: float
    holding_v: float
    relay_ohm: float
    load_ohm: float = math.inf

    def open_v(self, current_a: NDArray[np.float64], series_ohm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the open-circuit voltages that drive currents, volt."""
        return (self.holding_v + current_a * self._all_ohm(series_ohm)) / self._share

    def current_a(self, open_v: NDArray[np.float64], series_ohm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the currents that open-circuit voltages drive, ampere."""
        driven: NDArray[np.float64] = np.maximum(open_v * self._share - self.holding_v, 0.0) / self._all_ohm(
            series_ohm
        )
        return driven

    @property
    def _share(self) -> float:
        """Of the open voltage that the load leaves."""
        return 1.0 / (1.0 + self.source_ohm / self.load_ohm)

    def _all_ohm(self, series_ohm: NDArray[np.float64]) -> NDArray[np.float64]:
        inside_ohm = self.source_ohm * self._share
        total: NDArray[np.float64] = inside_ohm + self.relay_ohm + self.on_ohm + series_ohm
        return total


def shape_of(pulse: Pulse) -> PulseShape:
    """Return the trapezoid of a template."""
    return PulseShape(pulse.rise_s, pulse.top_s, pulse.fall_s, pulse.period_s)


def plan_of(batch: Batch, masked: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return what is to become of each entry: PULSED, SKIPPED (zero or NaN) or MASKED."""
    plan = np.where(batch.amplitude > 0, EntryCode.PULSED, EntryCode.SKIPPED).astype(np.uint8)
    plan[masked[batch.cells]] = EntryCode.MASKED
    return plan


def check_batch(batch: Batch, latest: int, cells: int, limits: Limits, source: PulseLimits) -> None:
    """Refuse what cannot be given as asked, in the order of controller-protocol §6.2.

    Raises
    ------
    BatchRefused
        Nothing was pulsed.
    """
    if not 1 <= batch.id <= _IDS:
        _refuse(-222, "Data out of range", f"id {batch.id}")
    if batch.count < 1:
        _refuse(-222, "Data out of range", f"count {batch.count}")
    if batch.id <= latest:
        _refuse(106, "Batch id not newer", f"last {latest} got {batch.id}")
    _check_cells(batch, cells)
    _check_shape(batch.pulse, source)
    _check_full_scale(batch.pulse, limits)
    amplitude = batch.amplitude
    if amplitude.shape != batch.cells.shape:
        _refuse(103, "Block length", f"{amplitude.size} amplitudes for {batch.cells.size} cells")
    bad = (amplitude < 0) | (amplitude > np.float32(batch.pulse.full_scale * _ROUNDING))
    if bad.any():
        entry = int(bad.argmax())
        _refuse(-222, "Data out of range", f"entry {entry}", f"{amplitude[entry]:g} {batch.pulse.drive}")


def _check_cells(batch: Batch, cells: int) -> None:
    if batch.cells.ndim != 1 or not batch.cells.size:
        _refuse(102, "Selection empty", "a batch is a list of at least one cell")
    if batch.cells.max() >= cells:
        _refuse(102, "Selection out of range", f"cell {batch.cells.max()} of {cells}")
    if np.unique(batch.cells).size != batch.cells.size:
        _refuse(102, "Selection holds a cell twice")


def _check_shape(pulse: Pulse, source: PulseLimits) -> None:
    for name, value, (low, high) in (
        ("rise", pulse.rise_s, source.rise_s),
        ("top", pulse.top_s, source.top_s),
        ("fall", pulse.fall_s, source.fall_s),
        ("period", pulse.period_s, source.period_s),
    ):
        if not low <= value * _ROUNDING or not value <= high * _ROUNDING:
            _refuse(-222, "Data out of range", f"{name} {value:g} s, possible is {low:g} .. {high:g} s")
    length_s = pulse.rise_s + pulse.top_s + pulse.fall_s
    if length_s > pulse.period_s * _ROUNDING:
        _refuse(-221, "Settings conflict", f"a pulse of {length_s:g} s in a period of {pulse.period_s:g} s")


def _check_full_scale(pulse: Pulse, limits: Limits) -> None:
    most = limits.current_max_a if pulse.drive is Drive.CURRENT else limits.voltage_max_v or 0.0
    if not 0 < pulse.full_scale <= most * _ROUNDING:
        _refuse(-222, "Data out of range", f"full scale {pulse.full_scale:g} of {most:g} {pulse.drive}")


def open_voltages(
    batch: Batch,
    series_ohm: NDArray[np.float64],
    model: DriveModel,
    limits: Limits,
    source: PulseLimits,
) -> NDArray[np.float64]:
    """Return the open-circuit voltage of every entry, volt; NaN where none is pulsed.

    Raises
    ------
    BatchRefused
        The generator cannot give it, or it would drive more than the current limit: a plain generator cannot clamp.
    """
    amplitude = np.where(batch.amplitude > 0, batch.amplitude, np.nan).astype(np.float64)
    volts = model.open_v(amplitude, series_ohm) if batch.pulse.drive is Drive.CURRENT else amplitude
    low_v, high_v = source.open_v
    beyond = (volts > high_v * _ROUNDING) | (volts < low_v)
    if beyond.any():
        entry = int(beyond.argmax())
        _refuse(
            -222,
            "Data out of range",
            f"entry {entry}",
            f"{volts[entry]:.4g} V at the open output, possible is {low_v:g} .. {high_v:g} V",
        )
    limit_a = limits.current_max_a if batch.pulse.limit_a is None else batch.pulse.limit_a
    driven = model.current_a(volts, series_ohm)
    over = driven > limit_a * _ROUNDING
    if over.any():
        entry = int(over.argmax())
        _refuse(
            -222,
            "Data out of range",
            f"entry {entry}",
            f"it would drive {driven[entry] * 1e6:.4g} uA past a limit of {limit_a * 1e6:.4g} uA, which this "
            "generator cannot hold",
        )
    return np.minimum(volts, high_v)


def _refuse(code: int, text: str, *info: str) -> NoReturn:
    refusal = BoardError(code, text, " ".join(info))
    raise BatchRefused(f"nothing was pulsed: {refusal}", errors=(refusal,))
