"""What a batch or a read may hold: checks of the host, made on whole arrays before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Batch, Drive, Geometry, Limits, Pulse
from drivers.products import Rectangle
from labkit.errors import EnvelopeExceeded, ReferencesProtected, StationError

if TYPE_CHECKING:
    from drivers.bench import Envelope, References

__all__ = [
    "check_amplitudes",
    "check_cells",
    "check_pulse",
    "check_read_voltage",
    "check_rectangle",
    "check_references",
    "check_shape",
    "reference_cells",
]

_ROUNDING = 1 + 1e-9  # of durations that were added up and of limits that were converted


def check_shape(batch: Batch) -> None:
    """Refuse a batch whose arrays or count make no sense."""
    cells, amplitude = batch.cells, batch.amplitude
    if cells.ndim != 1 or cells.shape != amplitude.shape or cells.size == 0:
        raise EnvelopeExceeded(
            f"batch {batch.id} has cells of shape {cells.shape} and amplitudes of shape {amplitude.shape}: "
            "give one amplitude per cell (NaN for no pulse), and at least one cell",
            quantity="length",
            value=float(amplitude.size),
            limit=float(cells.size),
        )
    if batch.count < 1:
        raise EnvelopeExceeded(
            f"batch {batch.id} asks for {batch.count} pulses per cell; the least is 1",
            quantity="count",
            value=float(batch.count),
            limit=1.0,
        )


def check_cells(cells: NDArray[np.uint32], number: int) -> None:
    """Refuse cells that are not on a chip of `number` cells, and cells that stand twice in the list."""
    if cells.dtype.kind not in "iu":
        raise EnvelopeExceeded(
            f"cell indices are whole numbers, not {cells.dtype}; convert them to uint32", quantity="cell"
        )
    if cells.size == 0:
        return
    if cells.max() >= number or (cells.dtype.kind == "i" and cells.min() < 0):
        outside = (cells >= number) | (cells < 0)
        entry = int(outside.argmax())
        cell = int(cells[entry])
        raise EnvelopeExceeded(
            f"cell {cell} (entry {entry}) is not on the chip, which has cells 0 .. {number - 1}",
            quantity="cell",
            value=float(cell),
            limit=float(number - 1),
            cell=cell,
            entry=entry,
            offenders=int(np.count_nonzero(outside)),
        )
    if bool((cells[1:] > cells[:-1]).all()):
        return
    seen = np.zeros(number, np.bool_)
    seen[cells] = True
    if (different := int(np.count_nonzero(seen))) == cells.size:
        return
    repeated = np.ones(cells.size, np.bool_)
    repeated[np.unique(cells, return_index=True)[1]] = False
    entry = int(repeated.argmax())
    raise EnvelopeExceeded(
        f"cell {int(cells[entry])} stands twice in one list, again at entry {entry}; each may appear "
        f"once ({cells.size} entries, {different} cells)",
        quantity="duplicate",
        cell=int(cells[entry]),
        entry=entry,
        offenders=cells.size - different,
    )


def check_rectangle(rectangle: Rectangle, geometry: Geometry) -> None:
    """Refuse a rectangle that is not on the chip, or has no cells."""
    try:
        rectangle.cells(geometry)
    except IndexError as error:
        raise EnvelopeExceeded(f"{rectangle} is not on the chip: {error}", quantity="cell") from error


def check_pulse(pulse: Pulse, envelope: Envelope, limits: Limits) -> None:
    """Refuse a template that is too long, or whose largest DAC code would leave the envelope."""
    width_s = pulse.rise_s + pulse.top_s + pulse.fall_s
    limit_s = envelope.width_max_s
    whole = pulse.rise_s >= 0 and pulse.top_s >= 0 and pulse.fall_s >= 0
    if not (whole and width_s <= limit_s * _ROUNDING):
        raise EnvelopeExceeded(
            f"a pulse of {width_s:g} s (rise + top + fall) is outside the envelope's 0 .. {limit_s:g} s; "
            "shorten it, or raise envelope.width_max in the bench file",
            quantity="width",
            value=width_s,
            limit=limit_s,
            unit="s",
        )
    largest, unit, key = _largest_amplitude(pulse, envelope, limits)
    if not 0 < pulse.full_scale <= largest * _ROUNDING:
        raise EnvelopeExceeded(
            f"a full scale of {pulse.full_scale:g} {unit} is outside the envelope's 0 .. {largest:g} {unit}, "
            f"the largest DAC code would leave it; choose a smaller one, or raise {key} in the bench file",
            quantity="full scale",
            value=pulse.full_scale,
            limit=largest,
            unit=unit,
        )
    clamp_a = limits.current_max_a if pulse.limit_a is None else pulse.limit_a
    if pulse.drive is Drive.VOLTAGE and not 0 < clamp_a <= envelope.current_max_a * _ROUNDING:
        raise EnvelopeExceeded(
            f"a voltage pulse clamped at {clamp_a:g} A may exceed the envelope's "
            f"{envelope.current_max_a:g} A; set the pulse's limit_a to that or less",
            quantity="current limit",
            value=clamp_a,
            limit=envelope.current_max_a,
            unit="A",
        )


def check_amplitudes(batch: Batch, envelope: Envelope, limits: Limits) -> None:
    """Refuse amplitudes outside the envelope or above the pulse's full scale; NaN is no pulse and allowed."""
    largest, unit, key = _largest_amplitude(batch.pulse, envelope, limits)
    amplitude, full_scale = batch.amplitude, batch.pulse.full_scale
    # Rounded as the amplitudes are, so that the very limit is allowed in float32.
    edge = amplitude.dtype.type(min(largest, full_scale))
    if not ((amplitude > edge).any() or (amplitude < 0).any()):
        return
    outside = (amplitude > edge) | (amplitude < 0)
    entry = int(outside.argmax())
    cell, value = int(batch.cells[entry]), float(amplitude[entry])
    if value < 0:
        limit, why = 0.0, "negative; amplitudes are positive, NaN for no pulse"
    elif value > largest:
        limit = largest
        why = f"above the envelope's {largest:g} {unit}; clip it, or raise {key} in the bench file"
    else:
        limit, why = full_scale, f"above the pulse's full scale of {full_scale:g} {unit}; clip it"
    raise EnvelopeExceeded(
        f"cell {cell} (entry {entry}): an amplitude of {value:g} {unit} is {why}",
        quantity="amplitude",
        value=value,
        limit=limit,
        unit=unit,
        cell=cell,
        entry=entry,
        offenders=int(np.count_nonzero(outside)),
    )


def reference_cells(references: References | None, geometry: Geometry) -> NDArray[np.bool_] | None:
    """Return which cells of a chip are reference resistors, shape (cells,); None where the bench has none.

    Raises
    ------
    StationError
        A reference row is not on the chip.
    """
    if references is None:
        return None
    if outside := sorted(row for row in references.rows if row >= geometry.rows):
        raise StationError(
            f"references.rows names {', '.join(map(str, outside))}, and the chip has rows 0 .. "
            f"{geometry.rows - 1}; correct the bench file"
        )
    marked = np.zeros(geometry.cells, np.bool_)
    marked[references.cells(geometry)] = True
    return marked


def check_references(batch: Batch, references: NDArray[np.bool_] | None, geometry: Geometry) -> None:
    """Refuse to pulse reference resistors; NaN is no pulse and allowed."""
    if references is None:
        return
    touched = references[batch.cells] & ~np.isnan(batch.amplitude)
    if not touched.any():
        return
    entry = int(touched.argmax())
    cell = int(batch.cells[entry])
    row = cell // geometry.cols % geometry.rows
    raise ReferencesProtected(
        f"cell {cell} (entry {entry}) lies in row {row}, which the bench file declares as reference "
        "resistors that are never pulsed; leave the cells of references.rows out",
        quantity="reference",
        row=row,
        cell=cell,
        entry=entry,
        offenders=int(np.count_nonzero(touched)),
    )


def check_read_voltage(voltage_v: float, envelope: Envelope) -> None:
    """Refuse a read voltage that is not positive or beyond the envelope."""
    limit_v = envelope.read_voltage_max_v
    if not 0 < voltage_v <= limit_v * _ROUNDING:
        raise EnvelopeExceeded(
            f"a read voltage of {voltage_v:g} V is outside the envelope's 0 .. {limit_v:g} V; lower it, or "
            "raise envelope.read_voltage_max in the bench file",
            quantity="read voltage",
            value=voltage_v,
            limit=limit_v,
            unit="V",
        )


def _largest_amplitude(pulse: Pulse, envelope: Envelope, limits: Limits) -> tuple[float, str, str]:
    """Return the largest amplitude allowed, its unit, and the key of the bench file that says so."""
    if pulse.drive is Drive.CURRENT:
        return envelope.current_max_a, "A", "envelope.current_max"
    volts = [edge for edge in (limits.voltage_max_v, envelope.voltage_max_v) if edge is not None]
    return min(volts, default=0.0), "V", "envelope.voltage_max"
