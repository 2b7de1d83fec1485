"""The read: current of every cell through correlated 1/f noise and the converter.

The noise itself is in ``noise_kernel``; what a read returns depends on the cell's own history alone.
"""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from drivers.simulated import layout
from drivers.simulated.jit import inline, kernel, subroutine
from drivers.simulated.noise_kernel import (
    advance_states,
    count_forgotten,
    draw_low,
    reveal_low,
    shrink_high,
    sum_states,
)
from drivers.simulated.pulse_kernel import copy_lanes, is_whole_block
from drivers.simulated.random_numbers import LANES, Kind, broken_line, exp2, log2, normals
from drivers.simulated.read_buffer import (
    ADVANCE,
    AGE,
    B0,
    B1,
    CONDUCTANCE,
    DIVISOR,
    EXPONENT,
    HIGH_SUM,
    LOW_SUM,
    NOW,
    PULSED,
    RANGE,
    REVEAL,
    SEEN,
    SINCE,
    SIZE,
    STRENGTH,
    U,
    V,
    Y,
)

__all__ = ["LONGEST_SAMPLING", "read_range", "truth_range"]

LONGEST_SAMPLING = 64
"""Up to so many conversions are simulated one by one; beyond, their mean is drawn at once."""

_READS = layout.READS
_LOW, _HIGH, _STUCK, _FRESH, _OPEN = layout.LOW, layout.HIGH, layout.STUCK, layout.FRESH, layout.STUCK_OPEN

_STATE_KIND, _SAMPLE_KIND, _DEVICE_KIND = int(Kind.READ_STATE), int(Kind.CONVERTER), int(Kind.DEVICE)
_ZERO, _ONE, _HALF, _TWO = float32(0.0), float32(1.0), float32(0.5), float32(2.0)
_TINY, _NS = float32(1e-30), 1e-9
_LOG2E = float32(1.44269504)
_NOT_A_NUMBER = float32(np.nan)


@inline
def _conductance(buffer, i, m):  # type: ignore[no-untyped-def]
    """Drifted conductance at the age in the buffer, noise aside."""
    age = (buffer[AGE + i] + m.onset_s) / (m.reference_age_s + m.onset_s)
    return buffer[CONDUCTANCE + i] * exp2(-buffer[EXPONENT + i] * log2(max(age, _TINY)))


@subroutine
def _current(buffer, m, voltage, offset, thermal_curve, thermal_spread):  # type: ignore[no-untyped-def]
    """Turn noise and drifted conductance into the current of the cell, into row U."""
    heated = thermal_curve.shape[0] > 0
    if heated:
        for i in range(LANES):
            buffer[U + i] = log2(max(buffer[CONDUCTANCE + i], _TINY))
        broken_line(thermal_curve, buffer, U, V)
        for i in range(LANES):
            buffer[V + i] = exp2(buffer[V + i] * (_ONE + thermal_spread * buffer[REVEAL + i]))
    for i in range(LANES):
        y = buffer[STRENGTH + i] * buffer[Y + i]
        tail = _HALF * exp2((_ONE + _TWO * y) * _LOG2E)
        factor = _ONE + y if y >= -_HALF else tail
        g = _conductance(buffer, i, m) / buffer[DIVISOR + i]
        warm = buffer[V + i] if heated else _ONE
        buffer[U + i] = voltage * (g * factor * warm) + offset


@subroutine
def _convert(lane, event, buffer, words, flags, ranges, converter, samples, key):  # type: ignore[no-untyped-def]
    """Pass the current of row U through the converter; the mean of all samples goes to row Y.

    ``converter`` holds (noise as a fraction of the range, codes, code of zero, spread of the mean, extreme
    sample).
    """
    noise, codes, zero = converter[0], converter[1], converter[2]
    top, ceiling = codes - _ONE, float32(0.9)
    full = ranges[ranges.shape[0] - 1]
    for i in range(LANES):
        buffer[RANGE + i] = full
    for r in range(ranges.shape[0] - 2, -1, -1):
        smaller = ranges[r]
        for i in range(LANES):
            buffer[RANGE + i] = smaller if buffer[U + i] <= ceiling * smaller else buffer[RANGE + i]
    for i in range(LANES):
        flags[i] = int32(0)
        buffer[Y + i] = _ZERO
    if samples > LONGEST_SAMPLING:
        spread, extreme = converter[3], converter[4]
        for i in range(LANES):
            code = buffer[U + i] / buffer[RANGE + i] * codes + zero
            high, low = code + extreme >= top - _HALF, code - extreme < _HALF
            flags[i] = int32(high) | (int32(low) << 1)
            held = min(max(code + spread * buffer[B1 + i], _ZERO), top)
            buffer[Y + i] = (held - zero) * (buffer[RANGE + i] / codes)
        return
    for sample in range(samples):
        row = B1
        if sample > 0:
            if (sample - 1) % 4 == 0:
                normals(lane, event, _SAMPLE_KIND, (sample - 1) // 4, key, words, buffer, ADVANCE)
            row = ADVANCE + (sample - 1) % 4 * LANES
        for i in range(LANES):
            code = buffer[U + i] / buffer[RANGE + i] * codes + zero
            code = code + noise * codes * buffer[row + i] + _HALF
            held = float32(int32(min(max(code, _ZERO), top)))
            flags[i] = flags[i] | int32(held >= top) | (int32(held <= _ZERO) << 1)
            buffer[Y + i] += held - zero
    share = _ONE / float32(samples)
    for i in range(LANES):
        buffer[Y + i] = buffer[Y + i] * share * (buffer[RANGE + i] / codes)


@subroutine
def _copy_mark(source, target):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        target[i] = int32(source[i])


@subroutine
def _store_mark(source, target):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        target[i] = np.uint8(source[i])


@subroutine
def _next(events):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        events[i] = uint32(events[i] + uint32(1))


@subroutine
def _gather(  # type: ignore[no-untyped-def]
    position, n, cells, at_ns, state, noise, time, count, mark, buffer, x, lane, event, low, high, clocks
):
    """Collect entries that are not one whole block; unused lanes repeat the first."""
    for i in range(n):
        lane[i] = cells[position + i]
        b, j = int(lane[i]) >> 8, int(lane[i]) & 255
        for r in range(layout.STATE_ROWS):
            buffer[r * LANES + i] = state[b, r, j]
        clocks[NOW + i] = at_ns[position + i]
        clocks[PULSED + i] = time[b, layout.PULSED, j]
        clocks[SEEN + i] = time[b, layout.SEEN, j]
        event[i] = count[b, _READS, j]
        low[i] = int32(mark[b, _LOW, j])
        high[i] = int32(mark[b, _HIGH, j])
        bottom = 0 if low[i] == _FRESH else low[i]
        for k in range(bottom, high[i]):
            x[k, i] = noise[b, k, j]
    for i in range(n, LANES):
        lane[i], event[i], low[i], high[i] = lane[0], event[0], low[0], high[0]
        for r in range(layout.STATE_ROWS):
            buffer[r * LANES + i] = buffer[r * LANES]
        for r in range(3):
            clocks[r * LANES + i] = clocks[r * LANES]


@subroutine
def _scatter(  # type: ignore[no-untyped-def]
    n, state, noise, time, count, mark, buffer, x, lane, event, low, high, clocks
):
    for i in range(n):
        b, j = int(lane[i]) >> 8, int(lane[i]) & 255
        state[b, layout.LOW_SUM, j] = buffer[LOW_SUM + i]
        state[b, layout.HIGH_SUM, j] = buffer[HIGH_SUM + i]
        time[b, layout.SEEN, j] = clocks[NOW + i]
        count[b, _READS, j] = event[i]
        mark[b, _LOW, j] = np.uint8(low[i])
        mark[b, _HIGH, j] = np.uint8(high[i])
        for k in range(low[i], high[i]):
            noise[b, k, j] = x[k, i]


@subroutine
def _clocks(buffer, low, known, clocks):  # type: ignore[no-untyped-def]
    """Ages and times since the last look; ``known[0]`` marks the lanes not read since their pulse."""
    for i in range(LANES):
        known[0, i] = int32(low[i] == int32(_FRESH))
        low[i] = int32(0) if low[i] == int32(_FRESH) else low[i]
    for i in range(LANES):
        clocks[SEEN + i] = clocks[PULSED + i] if known[0, i] != int32(0) else clocks[SEEN + i]
    for i in range(LANES):
        clocks[NOW + i] = max(clocks[NOW + i], clocks[SEEN + i])
    for i in range(LANES):
        buffer[SINCE + i] = float32((clocks[NOW + i] - clocks[SEEN + i]) * _NS)
    for i in range(LANES):
        buffer[AGE + i] = float32(max(clocks[NOW + i] - clocks[PULSED + i], 1) * _NS)


@subroutine
def _any_above(a, b):  # type: ignore[no-untyped-def]
    number = int32(0)
    for i in range(LANES):
        number += int32(a[i] > b[i])
    return number > int32(0)


@subroutine
def _deliver(position, n, buffer, flags, out, out_flags):  # type: ignore[no-untyped-def]
    for i in range(n):
        out[position + i] = _NOT_A_NUMBER if (flags[i] & int32(1)) != int32(0) else buffer[Y + i]
    for i in range(n):
        out_flags[position + i] = np.uint8(flags[i])


@kernel
def read_range(  # type: ignore[no-untyped-def]
    lo, hi, cells, at_ns, out, out_flags, state, noise, time, count, mark, m, key,
    voltage, offset, samples, ranges, converter, low_window, window, high_window, thermal_curve,
    thermal_spread,
):  # fmt: skip
    """Read the cells of entries lo .. hi-1 into ``out`` (ampere) and ``out_flags``.

    Bits depend on (key, cell, the times at which this cell was pulsed and read) alone.
    """
    buffer = np.zeros(SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    scratch = np.zeros((noise.shape[1], LANES), np.float32)
    lane = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    no_event = np.zeros(LANES, np.uint32)
    low = np.zeros(LANES, np.int32)
    high = np.zeros(LANES, np.int32)
    reach = np.zeros(LANES, np.int32)
    known = np.zeros((2, LANES), np.int32)
    flags = np.zeros(LANES, np.int32)
    clocks = np.zeros(3 * LANES, np.int64)
    position = lo
    while position < hi:
        whole = is_whole_block(cells, position, hi)
        n = LANES if whole else min(LANES, hi - position)
        block = int(cells[position]) >> 8
        x = noise[block] if whole else scratch
        if whole:
            copy_lanes(cells[position:], lane, LANES)
            copy_lanes(at_ns[position:], clocks[NOW:], LANES)
            copy_lanes(time[block, layout.PULSED], clocks[PULSED:], LANES)
            copy_lanes(time[block, layout.SEEN], clocks[SEEN:], LANES)
            for r in range(layout.STATE_ROWS):
                copy_lanes(state[block, r], buffer[r * LANES :], LANES)
            copy_lanes(count[block, _READS], event, LANES)
            _copy_mark(mark[block, _LOW], low)
            _copy_mark(mark[block, _HIGH], high)
        else:
            _gather(
                position, n, cells, at_ns, state, noise, time, count, mark, buffer, x, lane, event, low, high,
                clocks,
            )  # fmt: skip
        _next(event)
        _clocks(buffer, low, known, clocks)
        fewest, most = count_forgotten(buffer, known, m)
        normals(lane, event, _STATE_KIND, 0, key, words, buffer, B0)
        if _any_above(low, known[1]):
            reveal_low(lane, event, buffer, words, x, known[1], low, m, key)
        if _any_above(known[1], high):
            shrink_high(buffer, known[1], high, m)
        draw_low(buffer, known[1], fewest, most, m.low_weight)
        advance_states(lane, event, buffer, words, x, reach, known[1], high, clocks, m, key)
        sum_states(buffer, x, known[1], high, m, low_window, window, high_window)
        if thermal_curve.shape[0] > 0:
            normals(lane, no_event, _DEVICE_KIND, 2, key, words, buffer, REVEAL)
        _current(buffer, m, voltage, offset, thermal_curve, thermal_spread)
        _convert(lane, event, buffer, words, flags, ranges, converter, samples, key)
        if whole:
            copy_lanes(buffer[LOW_SUM:], state[block, layout.LOW_SUM], LANES)
            copy_lanes(buffer[HIGH_SUM:], state[block, layout.HIGH_SUM], LANES)
            copy_lanes(clocks[NOW:], time[block, layout.SEEN], LANES)
            copy_lanes(event, count[block, _READS], LANES)
            _store_mark(known[1], mark[block, _LOW])
            _store_mark(high, mark[block, _HIGH])
        else:
            _scatter(n, state, noise, time, count, mark, buffer, x, lane, event, known[1], high, clocks)
        _deliver(position, n, buffer, flags, out, out_flags)
        position += n


@kernel
def truth_range(lo, hi, cells, at_ns, out, state, time, mark, m):  # type: ignore[no-untyped-def]
    """Noise-free conductance (S) of entries lo .. hi-1 at a chip time."""
    buffer = np.zeros(SIZE, np.float32)
    for position in range(lo, hi):
        b, j = int(cells[position]) >> 8, int(cells[position]) & 255
        buffer[CONDUCTANCE] = state[b, layout.CONDUCTANCE, j]
        buffer[EXPONENT] = state[b, layout.EXPONENT, j]
        buffer[AGE] = float32(max(at_ns - time[b, layout.PULSED, j], 1) * _NS)
        out[position] = _ZERO if mark[b, _STUCK, j] == _OPEN else _conductance(buffer, 0, m)
