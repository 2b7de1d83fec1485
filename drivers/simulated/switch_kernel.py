"""Threshold switching: cells whose state a voltage destroys (device-physics §4.2)."""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from drivers.simulated import layout
from drivers.simulated.jit import inline, kernel
from drivers.simulated.pulse_kernel import BUFFER_SIZE, DRIFT_AT, FULL_AT, Z_AT, begin_event
from drivers.simulated.random_numbers import LANES, Draw, Kind, log2, normals

__all__ = ["switch_range", "threshold_range"]

_DEVICE, _READING, _SWITCH = int(Kind.DEVICE), int(Draw.READING), int(Kind.SWITCH)
_CONDUCTANCE, _FRESH = layout.CONDUCTANCE * LANES, layout.FRESH
_ZERO, _ONE = float32(0.0), float32(1.0)
_YOUNGEST_S, _NS = float32(1e-6), 1e-9


@inline
def _threshold(conductance, age_s, deviation, m):  # type: ignore[no-untyped-def]
    """Return conductance over that of the thinnest plug, and the voltage that switches the cell."""
    share = conductance / m.switch_largest_s
    plain = m.switch_smallest_v + (m.switch_amorphous_v - m.switch_smallest_v) * (_ONE - share)
    aged = _ONE + m.switch_drift * log2(max(age_s, _YOUNGEST_S))
    return share, plain * aged * (_ONE + m.switch_spread * deviation)


@kernel
def threshold_range(lo, hi, cells, at_ns, out, state, time, mark, m, key):  # type: ignore[no-untyped-def]
    """Write the voltages that switch the cells of entries lo .. hi-1: 0 without a plug, infinite where none does."""
    words = np.empty(4 * LANES, np.uint32)
    buffer = np.ones(BUFFER_SIZE, np.float32)
    lane = np.zeros(LANES, np.uint32)
    never = np.zeros(LANES, np.uint32)
    for position in range(lo, hi, LANES):
        n = min(LANES, hi - position)
        for i in range(n):
            lane[i] = cells[position + i]
        normals(lane, never, _DEVICE, _READING, key, words, buffer, Z_AT)
        for i in range(n):
            b, j = int(lane[i]) >> 8, int(lane[i]) & 255
            age_s = float32((at_ns - time[b, layout.PULSED, j]) * _NS)
            share, threshold = _threshold(
                state[b, layout.CONDUCTANCE, j], age_s, buffer[Z_AT + 2 * LANES + i], m
            )
            kind = int(mark[b, layout.STUCK, j])
            if kind == layout.STUCK_SET or (kind == 0 and share >= _ONE):
                out[position + i] = _ZERO
            else:
                out[position + i] = threshold if kind == 0 else float32(np.inf)


@kernel
def switch_range(lo, hi, cells, at_ns, voltage, state, device, time, count, mark, m, key):  # type: ignore[no-untyped-def]
    """Switch the cells of entries lo .. hi-1 that a voltage turns on.

    A cell that switches begins a new programming event as if by a pulse, crystalline to the share that the
    card says; bits depend on (key, cell, the number of its reads) alone.
    """
    buffer = np.ones(BUFFER_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    never = np.zeros(LANES, np.uint32)
    acts = np.zeros(LANES, np.int32)
    high = np.uint8(m.weight.shape[0] if m.noise_from_zero else m.first_slow)
    for position in range(lo, hi, LANES):
        n = min(LANES, hi - position)
        for i in range(n):
            lane[i] = cells[position + i]
            b, j = int(lane[i]) >> 8, int(lane[i]) & 255
            event[i] = uint32(count[b, layout.READS, j] + uint32(1))
            for r in range(layout.STATE_ROWS):
                buffer[r * LANES + i] = state[b, r, j]
            buffer[FULL_AT + i] = device[b, layout.FULL, j]
            buffer[DRIFT_AT + i] = device[b, layout.DRIFT, j]
        normals(lane, never, _DEVICE, _READING, key, words, buffer, Z_AT)
        for i in range(LANES):
            acts[i] = int32(0)
        for i in range(n):
            b, j = int(lane[i]) >> 8, int(lane[i]) & 255
            age_s = float32((at_ns[position + i] - time[b, layout.PULSED, j]) * _NS)
            share, threshold = _threshold(buffer[_CONDUCTANCE + i], age_s, buffer[Z_AT + 2 * LANES + i], m)
            works = mark[b, layout.STUCK, j] == np.uint8(0)
            acts[i] = int32(works and share < _ONE and voltage >= threshold)
            if acts[i] != int32(0):
                buffer[_CONDUCTANCE + i] = m.switch_share * buffer[FULL_AT + i]
        normals(lane, event, _SWITCH, 0, key, words, buffer, Z_AT)
        begin_event(buffer, acts, m)
        for i in range(n):
            if acts[i] != int32(0):
                b, j = int(lane[i]) >> 8, int(lane[i]) & 255
                for r in range(layout.STATE_ROWS):
                    state[b, r, j] = buffer[r * LANES + i]
                time[b, layout.PULSED, j] = at_ns[position + i]
                count[b, layout.MEMORY, j] = uint32(0)
                mark[b, layout.LOW, j] = np.uint8(_FRESH)
                mark[b, layout.HIGH, j] = high
                mark[b, layout.TELEGRAPH, j] = np.uint8(layout.SWITCHED)
