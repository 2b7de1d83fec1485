"""The making of a chip: what differs from device to device, and the state cells leave the factory in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import float32, uint32
from numpy.typing import NDArray

from drivers.simulated import layout
from drivers.simulated.jit import kernel, subroutine
from drivers.simulated.pulse_kernel import BUFFER_SIZE, DRIFT_AT, Z_AT, begin_event
from drivers.simulated.random_numbers import LANES, Draw, Kind, normals, uniforms

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["device_constants", "draw_normals", "make_devices"]

VIRGIN_AGE_NS = 86_400_000_000_000
"""Virgin cells are crystalline and have been at rest for a day when the clock of a chip begins. A default."""

_DEVICE, _PULSE, _SPATIAL = int(Kind.DEVICE), int(Kind.PULSE), int(Kind.SPATIAL)
_CURVE, _DRIFT_DRAW, _STUCK_DRAW = int(Draw.CURVE), int(Draw.DRIFT), int(Draw.STUCK)
_ONE = float32(1.0)
_LEAST_SHARE = float32(0.1)
"""No draw of a device falls below a tenth of its mean: five sigma and more in the presets."""
_FULL, _MELT, _AMORPHOUS = layout.FULL, layout.MELT, layout.AMORPHOUS
_STEP, _DRIFT, _CONDUCTANCE = layout.STEP, layout.DRIFT, layout.CONDUCTANCE
_PULSED, _SEEN = layout.PULSED, layout.SEEN
_LOW, _HIGH, _STUCK, _FRESH = layout.LOW, layout.HIGH, layout.STUCK, layout.FRESH
_STUCK_SET, _STUCK_RESET = layout.STUCK_SET, layout.STUCK_RESET
# Rows of normals drawn for a device, and what they stand for
_NORMALS = 8


def device_constants(card: DeviceCard) -> NDArray[np.float32]:
    """Means and spreads of the devices of a card, in the order :func:`make_devices` takes them."""
    if card.has("programming_curve"):
        curve = card.programming_curve
        curve_numbers = [
            curve.full_conductance_mean_s,
            curve.full_conductance_spread_s,
            curve.melt_current_mean_a,
            curve.melt_current_spread_a,
            curve.full_current_mean_a,
            curve.full_current_spread_a,
        ]
    else:
        curve_numbers = [card.g_max_s, 0.0, 0.0, 0.0, 0.0, 0.0]
    step_spread = card.accumulation.step_spread if card.has("accumulation") else 0.0
    stuck = (0.0, 0.0)
    if card.has("faults"):
        stuck = (card.faults.stuck_set_share, card.faults.stuck_reset_share)
    shares = [1.0, 0.0, 0.0, 0.0]
    if card.has("spatial_correlation"):
        law = card.spatial_correlation
        shares = [law.cell_share, law.die_share, law.row_share, law.column_share]
    return np.array(
        [*curve_numbers, step_spread, stuck[0], stuck[0] + stuck[1], *np.sqrt(np.maximum(shares, 0.0))],
        np.float32,
    )


@subroutine
def _add_shared(index, never, draw, weight, key, words, shared, out):  # type: ignore[no-untyped-def]
    """Add what the devices of one die, row or column have in common."""
    normals(index, never, _SPATIAL, draw, key, words, shared, 0)
    normals(index, never, _SPATIAL, draw + 1, key, words, shared, 4 * LANES)
    for i in range(_NORMALS * LANES):
        out[i] += weight * shared[i]


@kernel
def make_devices(  # type: ignore[no-untyped-def]
    first, last, cols, state, device, time, mark, m, constants, key
):
    """Draw the devices of blocks ``first`` .. ``last - 1``, and their virgin state.

    Bits depend on (key, cell, columns of the chip) alone.
    """
    out = np.empty(_NORMALS * LANES, np.float32)
    shared = np.empty(_NORMALS * LANES, np.float32)
    buffer = np.ones(BUFFER_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.empty(LANES, np.uint32)
    line = np.empty(LANES, np.uint32)
    column = np.empty(LANES, np.uint32)
    never = np.zeros(LANES, np.uint32)
    acts = np.ones(LANES, np.int32)
    for block in range(first, last):
        for i in range(LANES):
            cell = block * LANES + i
            lane[i], line[i], column[i] = uint32(cell), uint32(cell // cols), uint32(cell % cols)
        normals(lane, never, _DEVICE, _CURVE, key, words, out, 0)
        normals(lane, never, _DEVICE, _DRIFT_DRAW, key, words, out, 4 * LANES)
        if constants[9] < _ONE:
            for i in range(_NORMALS * LANES):
                out[i] *= constants[9]
            _add_shared(never, never, 0, constants[10], key, words, shared, out)
            _add_shared(line, never, 2, constants[11], key, words, shared, out)
            _add_shared(column, never, 4, constants[12], key, words, shared, out)
        for i in range(LANES):
            full = constants[0] + constants[1] * out[i]
            melt = constants[2] + constants[3] * out[LANES + i]
            amorphous = constants[4] + constants[5] * out[2 * LANES + i]
            step = _ONE + constants[6] * out[3 * LANES + i]
            device[block, _FULL, i] = max(full, _LEAST_SHARE * constants[0])
            device[block, _MELT, i] = max(melt, _LEAST_SHARE * constants[2])
            device[block, _AMORPHOUS, i] = max(
                amorphous, device[block, _MELT, i] + _LEAST_SHARE * (constants[4] - constants[2])
            )
            device[block, _STEP, i] = max(step, _LEAST_SHARE)
            device[block, _DRIFT, i] = out[4 * LANES + i]
        uniforms(lane, never, _DEVICE, _STUCK_DRAW, key, out, 0)
        for i in range(LANES):
            is_reset = out[i] >= constants[7] and out[i] < constants[8]
            stuck = np.uint8(_STUCK_RESET) if is_reset else np.uint8(0)
            mark[block, _STUCK, i] = np.uint8(_STUCK_SET) if out[i] < constants[7] else stuck
            buffer[_CONDUCTANCE * LANES + i] = m.reset_median_s if is_reset else device[block, _FULL, i]
            buffer[DRIFT_AT + i] = device[block, _DRIFT, i]
        normals(
            lane, never, _PULSE, 0, key, words, buffer, Z_AT
        )  # pulses count from 1: event 0 is the making
        begin_event(buffer, acts, m)
        for r in range(layout.STATE_ROWS):
            state[block, r] = buffer[r * LANES : (r + 1) * LANES]
        time[block, _PULSED] = -VIRGIN_AGE_NS
        time[block, _SEEN] = -VIRGIN_AGE_NS
        mark[block, _LOW] = np.uint8(_FRESH)
        mark[block, _HIGH] = np.uint8(m.weight.shape[0] if m.noise_from_zero else m.first_slow)


@kernel
def draw_normals(indices, kind, draw, key, out):  # type: ignore[no-untyped-def]
    """Write one standard normal per index: a number of (key, index, kind, draw) alone."""
    row = np.empty(4 * LANES, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.zeros(LANES, np.uint32)
    never = np.zeros(LANES, np.uint32)
    for start in range(0, indices.size, LANES):
        n = min(LANES, indices.size - start)
        for i in range(n):
            lane[i] = indices[start + i]
        normals(lane, never, kind, draw, key, words, row, 0)
        for i in range(n):
            out[start + i] = row[i]
