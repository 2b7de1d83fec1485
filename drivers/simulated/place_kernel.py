"""The target-level shortcut: conductances drawn from the law of programming errors, without pulses (§1.5)."""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from drivers.simulated import layout
from drivers.simulated.jit import kernel, subroutine
from drivers.simulated.pulse_kernel import (
    BUFFER_SIZE,
    DRIFT_AT,
    Z_AT,
    begin_event,
    copy_lanes,
    is_whole_block,
)
from drivers.simulated.random_numbers import LANES, Kind, broken_line, cubic, exp2, normals

__all__ = ["place_range"]

_PLACE, _FRESH = int(Kind.PLACE), layout.FRESH
_CONDUCTANCE, _DIVISOR = layout.CONDUCTANCE * LANES, layout.DIVISOR * LANES
_Z = Z_AT
_TARGET, _G, _SIGMA = Z_AT + 6 * LANES, Z_AT + 7 * LANES, Z_AT + 8 * LANES
_ZERO, _ONE = float32(0.0), float32(1.0)


@subroutine
def _draw(buffer, drawn, acts, m):  # type: ignore[no-untyped-def]
    """Draw what the cells come to; drift and noise follow from the target, as in the published laws."""
    for i in range(LANES):
        buffer[_G + i] = buffer[_TARGET + i]
    if m.error_curve.shape[0] > 0:
        broken_line(m.error_curve, buffer, _G, _SIGMA)
    else:
        cubic(m.error_cubic, buffer, _G, _SIGMA)
    for i in range(LANES):
        target = buffer[_TARGET + i]
        reset = m.reset_median_s * exp2(m.reset_log2_spread * buffer[_Z + 2 * LANES + i])
        come = max(target + max(buffer[_SIGMA + i], _ZERO) * buffer[_Z + i], _ZERO)
        does, wanted = acts[i] != int32(0), target > _ZERO
        told = target if wanted else reset
        drawn[i] = (come if wanted else reset) if does else buffer[_CONDUCTANCE + i]
        buffer[_CONDUCTANCE + i] = told if does else buffer[_CONDUCTANCE + i]
    begin_event(buffer, acts, m)
    for i in range(LANES):
        buffer[_CONDUCTANCE + i] = drawn[i]
        buffer[_DIVISOR + i] = _ONE if acts[i] != int32(0) else buffer[_DIVISOR + i]


@kernel
def place_range(lo, hi, cells, targets, end_ns, state, device, time, count, mark, m, key):  # type: ignore[no-untyped-def]
    """Set the cells of entries lo .. hi-1 to their targets (S), as far as the card's law lets them come.

    A target of 0 is one RESET. NaN leaves the cell alone. Bits depend on (key, cell, its number of events).
    """
    buffer = np.ones(BUFFER_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    drawn = np.empty(LANES, np.float32)
    lane = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    kind = np.zeros(LANES, np.int32)
    acts = np.zeros(LANES, np.int32)
    high = np.uint8(m.weight.shape[0] if m.noise_from_zero else m.first_slow)
    position = lo
    while position < hi:
        whole = is_whole_block(cells, position, hi)
        n = LANES if whole else min(LANES, hi - position)
        block = int(cells[position]) >> 8
        if whole:
            copy_lanes(cells[position:], lane, LANES)
            copy_lanes(targets[position:], buffer[_TARGET:], LANES)
            copy_lanes(count[block, layout.PULSES], event, LANES)
            copy_lanes(device[block, layout.DRIFT], buffer[DRIFT_AT:], LANES)
            for r in range(layout.STATE_ROWS):
                copy_lanes(state[block, r], buffer[r * LANES :], LANES)
            for i in range(LANES):
                kind[i] = int32(mark[block, layout.STUCK, i])
        else:
            for i in range(n):
                lane[i] = cells[position + i]
                b, j = int(lane[i]) >> 8, int(lane[i]) & 255
                buffer[_TARGET + i] = targets[position + i]
                event[i] = count[b, layout.PULSES, j]
                buffer[DRIFT_AT + i] = device[b, layout.DRIFT, j]
                kind[i] = int32(mark[b, layout.STUCK, j])
                for r in range(layout.STATE_ROWS):
                    buffer[r * LANES + i] = state[b, r, j]
        for i in range(LANES):
            wanted = buffer[_TARGET + i] == buffer[_TARGET + i]
            event[i] = uint32(event[i] + uint32(wanted))
            acts[i] = int32(wanted) & int32(kind[i] == int32(0))
            buffer[_TARGET + i] = buffer[_TARGET + i] if wanted else _ZERO
        normals(lane, event, _PLACE, 0, key, words, buffer, _Z)
        _draw(buffer, drawn, acts, m)
        if whole:
            for r in range(layout.STATE_ROWS):
                copy_lanes(buffer[r * LANES :], state[block, r], LANES)
            copy_lanes(event, count[block, layout.PULSES], LANES)
            for i in range(LANES):
                before = time[block, layout.PULSED, i]
                time[block, layout.PULSED, i] = end_ns[position + i] if acts[i] != int32(0) else before
            for i in range(LANES):
                before_low = mark[block, layout.LOW, i]
                mark[block, layout.LOW, i] = np.uint8(_FRESH) if acts[i] != int32(0) else before_low
            for i in range(LANES):
                before_high = mark[block, layout.HIGH, i]
                mark[block, layout.HIGH, i] = high if acts[i] != int32(0) else before_high
            for i in range(LANES):
                levels = mark[block, layout.TELEGRAPH, i]
                mark[block, layout.TELEGRAPH, i] = np.uint8(0) if acts[i] != int32(0) else levels
        else:
            for i in range(n):
                b, j = int(lane[i]) >> 8, int(lane[i]) & 255
                count[b, layout.PULSES, j] = event[i]
                if acts[i] != int32(0):
                    for r in range(layout.STATE_ROWS):
                        state[b, r, j] = buffer[r * LANES + i]
                    time[b, layout.PULSED, j] = end_ns[position + i]
                    mark[b, layout.LOW, j] = np.uint8(_FRESH)
                    mark[b, layout.HIGH, j] = high
                    mark[b, layout.TELEGRAPH, j] = np.uint8(0)
        position += n
