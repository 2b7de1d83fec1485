"""The target-level shortcut: conductances drawn from the law of programming errors, without pulses (§1.5)."""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from drivers.simulated import layout
from drivers.simulated.jit import kernel
from drivers.simulated.pulse_kernel import BUFFER_SIZE, DRIFT_AT, Z_AT, begin_event
from drivers.simulated.random_numbers import LANES, Kind, broken_line, exp2, log2, normals

__all__ = ["place_range"]

_PLACE, _CONDUCTANCE = int(Kind.PLACE), layout.CONDUCTANCE * LANES
_DIVISOR = layout.DIVISOR * LANES
_Z = Z_AT
_TARGET, _SIGMA = Z_AT + 6 * LANES, Z_AT + 7 * LANES
_ZERO, _ONE, _TINY = float32(0.0), float32(1.0), float32(1e-30)
_FRESH = layout.FRESH


@kernel
def place_range(lo, hi, cells, targets, end_ns, state, device, time, count, mark, m, key):  # type: ignore[no-untyped-def]
    """Set the cells of entries lo .. hi-1 to their targets (S), as far as the card's law lets them come.

    A target of 0 is one RESET. NaN leaves the cell alone. Bits depend on (key, cell, its number of pulses).
    """
    buffer = np.ones(BUFFER_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    acts = np.zeros(LANES, np.int32)
    high = np.uint8(m.weight.shape[0] if m.noise_from_zero else m.first_slow)
    for position in range(lo, hi, LANES):
        n = min(LANES, hi - position)
        for i in range(LANES):
            acts[i] = int32(0)
        for i in range(n):
            lane[i] = cells[position + i]
            b, j = int(lane[i]) >> 8, int(lane[i]) & 255
            wanted = targets[position + i] == targets[position + i]
            acts[i] = int32(wanted and mark[b, layout.STUCK, j] == np.uint8(0))
            event[i] = uint32(count[b, layout.PULSES, j] + uint32(wanted))
            for r in range(layout.STATE_ROWS):
                buffer[r * LANES + i] = state[b, r, j]
            buffer[DRIFT_AT + i] = device[b, layout.DRIFT, j]
            buffer[_TARGET + i] = targets[position + i] if wanted else _ZERO
        normals(lane, event, _PLACE, 0, key, words, buffer, _Z)
        for i in range(LANES):
            buffer[_SIGMA + i] = log2(max(buffer[_TARGET + i], _TINY))
        broken_line(m.error_curve, buffer, _SIGMA, _TARGET + 2 * LANES)
        for i in range(LANES):
            target = buffer[_TARGET + i]
            reset = m.reset_median_s * exp2(m.reset_log2_spread * buffer[_Z + 2 * LANES + i])
            drawn = max(target + buffer[_TARGET + 2 * LANES + i] * buffer[_Z + i], _ZERO)
            buffer[_SIGMA + i] = drawn if target > _ZERO else reset
            # drift and noise follow from the target, as the published laws do
            told = target if target > _ZERO else reset
            buffer[_CONDUCTANCE + i] = told if acts[i] != int32(0) else buffer[_CONDUCTANCE + i]
        copy = buffer[_SIGMA : _SIGMA + LANES].copy()
        begin_event(buffer, acts, m)
        for i in range(LANES):
            does = acts[i] != int32(0)
            buffer[_CONDUCTANCE + i] = copy[i] if does else buffer[_CONDUCTANCE + i]
            buffer[_DIVISOR + i] = _ONE if does else buffer[_DIVISOR + i]
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
