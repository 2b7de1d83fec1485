"""From the state of a cell to the current at its pad: drift, noise, heat, voltage, crystals, lines, columns.

The order is that of device-physics §1.3. What multiplies the amorphous conductance (drift, noise, heat) leaves
alone the part that has crystallised since the pulse.
"""

from __future__ import annotations

from numpy import float32, float64, int32, int64

from drivers.simulated import layout
from drivers.simulated.crystallisation_kernel import crystallised
from drivers.simulated.jit import inline, subroutine
from drivers.simulated.random_numbers import LANES, Draw, Kind, broken_line, exp2, log2, normals
from drivers.simulated.read_buffer import (
    ADVANCE,
    AGE,
    CONDUCTANCE,
    DIVISOR,
    DOSE,
    EXPONENT,
    FULL,
    NOW,
    PULSED,
    REVEAL,
    STRENGTH,
    TELEGRAPH,
    U,
    V,
    Y,
)

__all__ = ["conductances", "currents"]

_DEVICE_KIND, _READING = int(Kind.DEVICE), int(Draw.READING)
_ZERO, _ONE, _HALF, _TWO = float32(0.0), float32(1.0), float32(0.5), float32(2.0)
_TINY, _LOG2E = float32(1e-30), float32(1.44269504)
_RESISTOR = layout.RESISTOR
# Normals of the device that matter to a read
_HEAT, _RETENTION, _POLARITY = REVEAL, REVEAL + LANES, REVEAL + 3 * LANES
# Scratch behind the noise: factors and shares
_WARM, _BENT, _SHARE = (ADVANCE + n * LANES for n in range(3))


@inline
def _drifted(buffer, i, m):  # type: ignore[no-untyped-def]
    """Conductance at the age in the buffer, noise aside."""
    age = (buffer[AGE + i] + m.onset_s) / (m.reference_age_s + m.onset_s)
    return buffer[CONDUCTANCE + i] * exp2(-buffer[EXPONENT + i] * log2(max(age, _TINY)))


@subroutine
def conductances(lane, no_event, buffer, words, kind, clocks, c, m, key):  # type: ignore[no-untyped-def]
    """Turn noise (row Y, in units of Q_s, and TELEGRAPH) and state into conductances, into row U."""
    heated, bent = c.thermal_curve.shape[0] > 0, c.voltage_curve.shape[0] > 0
    if heated or c.crystallises or c.polarity_spread > _ZERO:
        normals(lane, no_event, _DEVICE_KIND, _READING, key, words, buffer, REVEAL)
    if heated or bent:
        for i in range(LANES):
            buffer[U + i] = log2(max(buffer[CONDUCTANCE + i], _TINY))
    if heated:
        broken_line(c.thermal_curve, buffer, U, _WARM)
        for i in range(LANES):
            warm = buffer[_WARM + i] * (_ONE + c.thermal_spread * buffer[_HEAT + i])
            buffer[_WARM + i] = exp2(warm if kind[i] != int32(_RESISTOR) else _ZERO)
    if bent:
        broken_line(c.voltage_curve, buffer, U, _BENT)
        for i in range(LANES):
            buffer[_BENT + i] = exp2(buffer[_BENT + i] if kind[i] != int32(_RESISTOR) else _ZERO)
    if c.crystallises:
        crystallised(
            buffer, DOSE, _RETENTION, _SHARE, clocks[PULSED:], clocks[NOW:], c.hot_start_ns, c.hot_end_ns,
            c.hot_rate, c.retention_spread, c.exponent,
        )  # fmt: skip
    for i in range(LANES):
        y = buffer[STRENGTH + i] * buffer[Y + i] + buffer[TELEGRAPH + i]
        tail = _HALF * exp2((_ONE + _TWO * y) * _LOG2E)
        factor = _ONE + y if y >= -_HALF else tail
        buffer[V + i] = _drifted(buffer, i, m) / buffer[DIVISOR + i]
        buffer[U + i] = buffer[V + i] * factor
    if heated:
        for i in range(LANES):
            buffer[U + i] *= buffer[_WARM + i]
            buffer[V + i] *= buffer[_WARM + i]
    if c.crystallises:
        for i in range(LANES):
            share = buffer[_SHARE + i] if kind[i] == int32(0) else _ZERO
            crystal = share * max(buffer[FULL + i], buffer[U + i])
            buffer[U + i] = buffer[U + i] * (_ONE - share) + crystal
            buffer[V + i] = buffer[V + i] * (_ONE - share)
        for i in range(LANES):
            buffer[DOSE + i] += c.disturb
    if bent:
        for i in range(LANES):
            buffer[U + i] *= buffer[_BENT + i]
            buffer[V + i] *= buffer[_BENT + i]
    if c.polarity_spread > _ZERO:
        for i in range(LANES):
            against = _ONE - c.polarity_spread * buffer[_POLARITY + i]
            buffer[U + i] *= against if kind[i] != int32(_RESISTOR) else _ONE


@subroutine
def currents(lane, buffer, kind, c, place):  # type: ignore[no-untyped-def]
    """Turn conductances (row U) into what the converter of the column sees, in place; scratch is row V."""
    if place.has_lines:
        per_col, per_row = 1.0 / float64(place.cols), 1.0 / float64(place.rows)
        for i in range(LANES):
            cell = float64(lane[i])
            line = float64(int64((cell + 0.5) * per_col))
            row = line - float64(int64((line + 0.5) * per_row)) * float64(place.rows)
            col = cell - line * float64(place.cols)
            ohm = place.series_ohm + place.bit_line_ohm * float32(row) + place.word_line_ohm * float32(col)
            buffer[V + i] = ohm if kind[i] != int32(_RESISTOR) else _ZERO
        for i in range(LANES):
            buffer[U + i] = buffer[U + i] / (_ONE + buffer[U + i] * buffer[V + i])
    driven = c.sign * c.voltage
    if place.gain.shape[0] > 0:
        per_col = 1.0 / float64(place.cols)
        for i in range(LANES):
            cell = float64(lane[i])
            col = int64(cell) - int64((cell + 0.5) * per_col) * place.cols
            buffer[U + i] = driven * buffer[U + i] * place.gain[col] + (place.offset_a[col] + c.offset)
    else:
        for i in range(LANES):
            buffer[U + i] = driven * buffer[U + i] + c.offset
