"""The read: current of every cell through correlated 1/f noise and the converter.

1/f noise is a sum of Ornstein-Uhlenbeck states (device-physics §2.5), advanced exactly but only as far as a
reading can tell. States faster than an eighth of the time since the cell was last looked at have forgotten
it: their sum is drawn as one number (LOW_SUM). States that have not moved since the pulse stay one number
too (HIGH_SUM). What lies between is revealed when it first matters, from the exact conditional distribution
given the sum, and then advanced on a grid of 1/8 of its time constant. All of it depends on the cell's own
history alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import float32, float64, int32, uint32

from drivers.simulated import layout
from drivers.simulated.jit import inline, kernel, subroutine
from drivers.simulated.pulse_kernel import copy_lanes, is_whole_block
from drivers.simulated.random_numbers import LANES, Kind, broken_line, exp2, log2, normals

__all__ = ["LONGEST_SAMPLING", "read_range", "truth_range"]

LONGEST_SAMPLING = 64
"""Up to so many conversions are simulated one by one; beyond, their mean is drawn at once."""

_READS = layout.READS
_LOW, _HIGH, _STUCK, _FRESH, _OPEN = layout.LOW, layout.HIGH, layout.STUCK, layout.FRESH, layout.STUCK_OPEN

# Offsets of the rows of the local float32 buffer, and of the clocks of all lanes
_CONDUCTANCE, _DIVISOR, _EXPONENT, _STRENGTH, _LOW_SUM, _HIGH_SUM = (
    row * LANES
    for row in (
        layout.CONDUCTANCE, layout.DIVISOR, layout.EXPONENT, layout.STRENGTH, layout.LOW_SUM, layout.HIGH_SUM
    )
)  # fmt: skip
_S = layout.STATE_ROWS * LANES
_SINCE, _AGE, _Y, _U, _V, _RANGE = (_S + n * LANES for n in range(6))
# Four normals of every reading: lump, first sample, and reveal and step of the state first_slow
_B0, _B1, _B2, _B3 = (_S + n * LANES for n in range(6, 10))
_REVEAL = _S + 10 * LANES  # four rows
_ADVANCE = _S + 14 * LANES  # four rows
_SIZE = _S + 18 * LANES
_PULSED, _SEEN, _NOW = layout.PULSED * LANES, layout.SEEN * LANES, 2 * LANES

_STATE_KIND, _SAMPLE_KIND, _DEVICE_KIND = int(Kind.READ_STATE), int(Kind.CONVERTER), int(Kind.DEVICE)
_ZERO, _ONE, _HALF, _TWO = float32(0.0), float32(1.0), float32(0.5), float32(2.0)
_TINY, _NS = float32(1e-30), 1e-9
_LOG2E = float32(1.44269504)
_NOT_A_NUMBER = float32(np.nan)


@inline
def _conductance(buffer, i, m):  # type: ignore[no-untyped-def]
    """Drifted conductance at the age in the buffer, noise aside."""
    age = (buffer[_AGE + i] + m.onset_s) / (m.reference_age_s + m.onset_s)
    return buffer[_CONDUCTANCE + i] * exp2(-buffer[_EXPONENT + i] * log2(max(age, _TINY)))


@subroutine
def _forgotten(buffer, known, m):  # type: ignore[no-untyped-def]
    """Count per lane the states that have forgotten the last look, into ``known[1]``; returns their range."""
    fewest, most = int32(255), int32(0)
    states = int32(m.weight.shape[0])
    slow = int32(m.first_slow)
    for i in range(LANES):
        octaves = log2(max(buffer[_SINCE + i], _TINY)) - m.log2_forget_s
        number = min(max(octaves * m.states_per_octave + _ONE, _ZERO), float32(states))
        count = int32(number)
        count = max(count, slow) if known[0, i] != int32(0) else count
        known[1, i] = count
    for i in range(LANES):
        fewest = min(fewest, known[1, i])
        most = max(most, known[1, i])
    return fewest, most


@subroutine
def _draw_low(buffer, known, fewest, most, low_weight):  # type: ignore[no-untyped-def]
    """Draw the sum of the forgotten states anew on every lane."""
    if fewest == most:
        weight = low_weight[most]
        for i in range(LANES):
            buffer[_U + i] = weight
    else:
        for i in range(LANES):
            buffer[_U + i] = low_weight[known[i]]
    for i in range(LANES):
        buffer[_LOW_SUM + i] = buffer[_U + i] * buffer[_B0 + i]


@subroutine
def _reveal_low(lane, event, buffer, words, x, known, low, m, key):  # type: ignore[no-untyped-def]
    """Reveal the states between the new and the old lower boundary, slowest first, given their old sum."""
    top, bottom = int32(0), int32(255)
    for i in range(LANES):
        if low[i] > known[i]:
            top = max(top, low[i])
            bottom = min(bottom, known[i])
    group = -1
    for k in range(top - 1, bottom - 1, -1):
        if k // 4 != group:
            group = k // 4
            normals(lane, event, _STATE_KIND, 2 + 2 * group, key, words, buffer, _REVEAL)
        weight = m.weight[k]
        variance = m.low_weight[k + 1] * m.low_weight[k + 1]
        share = weight / variance
        rest = float32(math.sqrt(max(_ONE - weight * share, _ZERO)))
        row = _REVEAL + (k - 4 * group) * LANES
        for i in range(LANES):
            value = share * buffer[_LOW_SUM + i] + rest * buffer[row + i]
            mine = (k >= known[i]) & (k < low[i])
            x[k, i] = value if mine else x[k, i]
            buffer[_LOW_SUM + i] = buffer[_LOW_SUM + i] - (weight * value if mine else _ZERO)


@subroutine
def _shrink_high(buffer, known, high, m):  # type: ignore[no-untyped-def]
    """Where even hidden slow states were forgotten, keep the sum of those that were not."""
    for i in range(LANES):
        if known[i] > high[i]:
            old = m.high_weight[high[i]] * m.high_weight[high[i]]
            new = m.high_weight[known[i]] * m.high_weight[known[i]]
            kept = new / old if old > _ZERO else _ZERO
            spread = float32(math.sqrt(max(new * (_ONE - kept), _ZERO)))
            buffer[_HIGH_SUM + i] = kept * buffer[_HIGH_SUM + i] + spread * buffer[_B2 + i]
            high[i] = known[i]


@subroutine
def _moves(clocks, pitch, buffer):  # type: ignore[no-untyped-def]
    """Count per lane the grid points a state passes between the last look and now, into row V."""
    for i in range(LANES):
        before = math.floor(float64(clocks[_SEEN + i]) * pitch)
        buffer[_V + i] = float32(math.floor(float64(clocks[_NOW + i]) * pitch) - before)


@subroutine
def _mark_reach(k, buffer, known, reach):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        reach[i] = int32(k) if (buffer[_V + i] > _ZERO) & (known[i] <= k) else reach[i]


@subroutine
def _count_hidden(k, high, reach):  # type: ignore[no-untyped-def]
    hidden = int32(0)
    for i in range(LANES):
        hidden += int32((high[i] <= k) & (k <= reach[i]))
    return hidden


@subroutine
def _reveal_high(k, row, buffer, state, reach, high, m):  # type: ignore[no-untyped-def]
    """Reveal state k where it is hidden and about to move, given the sum it is hidden in."""
    weight = m.weight[k]
    share = weight / (m.high_weight[k] * m.high_weight[k])
    rest = float32(math.sqrt(max(_ONE - weight * share, _ZERO)))
    copy_lanes(buffer[row:], buffer[_U:], LANES)
    for i in range(LANES):
        value = share * buffer[_HIGH_SUM + i] + rest * buffer[_U + i]
        mine = (high[i] <= k) & (k <= reach[i])
        state[i] = value if mine else state[i]
        buffer[_HIGH_SUM + i] = buffer[_HIGH_SUM + i] - (weight * value if mine else _ZERO)
        high[i] = int32(k + 1) if mine else high[i]


@subroutine
def _step_state(k, row, buffer, state, known, m):  # type: ignore[no-untyped-def]
    """Advance state k by the grid points in row V, an exact Ornstein-Uhlenbeck step."""
    per_step = m.log2_decay_per_step
    copy_lanes(buffer[row:], buffer[_U:], LANES)
    for i in range(LANES):
        decay = exp2(per_step * buffer[_V + i])
        value = decay * state[i] + float32(math.sqrt(max(_ONE - decay * decay, _ZERO))) * buffer[_U + i]
        state[i] = value if (buffer[_V + i] > _ZERO) & (known[i] <= k) else state[i]


@subroutine
def _advance(lane, event, buffer, words, x, reach, known, high, clocks, m, key):  # type: ignore[no-untyped-def]
    """Advance every state that crossed a point of its grid, revealing it first where it was hidden."""
    first, last = clocks[_NOW], clocks[_SEEN]
    bottom = int32(255)
    for i in range(LANES):
        first = min(first, clocks[_SEEN + i])
        last = max(last, clocks[_NOW + i])
        bottom = min(bottom, known[i])
    top = -1
    for k in range(bottom, m.weight.shape[0]):
        pitch = m.inverse_pitch_per_ns[k]
        if math.floor(last * pitch) > math.floor(first * pitch):
            top = k
    if top < 0:
        return
    for i in range(LANES):
        reach[i] = int32(-1)
    for k in range(bottom, top + 1):
        _moves(clocks, m.inverse_pitch_per_ns[k], buffer)
        _mark_reach(k, buffer, known, reach)
    reveal, ahead = -1, -1
    for k in range(bottom, top + 1):
        if _count_hidden(k, high, reach) > int32(0):
            row = _B2
            if k != m.first_slow:
                if reveal != k // 4:
                    reveal = k // 4
                    normals(lane, event, _STATE_KIND, 2 + 2 * reveal, key, words, buffer, _REVEAL)
                row = _REVEAL + (k - 4 * reveal) * LANES
            _reveal_high(k, row, buffer, x[k], reach, high, m)
        pitch = m.inverse_pitch_per_ns[k]
        if math.floor(last * pitch) > math.floor(first * pitch):
            row = _B3
            if k != m.first_slow:
                if ahead != k // 4:
                    ahead = k // 4
                    normals(lane, event, _STATE_KIND, 1 + 2 * ahead, key, words, buffer, _ADVANCE)
                row = _ADVANCE + (k - 4 * ahead) * LANES
            _moves(clocks, pitch, buffer)
            _step_state(k, row, buffer, x[k], known, m)


@subroutine
def _sum_states(buffer, x, known, high, m, low_window, window, high_window):  # type: ignore[no-untyped-def]
    """Sum the noise over the averaging window of the reading, in units of Q_s, into row Y."""
    bottom, most, top, least = int32(255), int32(0), int32(0), int32(255)
    for i in range(LANES):
        bottom = min(bottom, known[i])
        most = max(most, known[i])
        top = max(top, high[i])
        least = min(least, high[i])
    if bottom == most and top == least:
        low_factor, high_factor = low_window[bottom], high_window[top]
        for i in range(LANES):
            buffer[_Y + i] = low_factor * buffer[_LOW_SUM + i] + high_factor * buffer[_HIGH_SUM + i]
    else:
        for i in range(LANES):
            low_part = low_window[known[i]] * buffer[_LOW_SUM + i]
            buffer[_Y + i] = low_part + high_window[high[i]] * buffer[_HIGH_SUM + i]
    for k in range(bottom, top):
        factor = m.weight[k] * window[k]
        for i in range(LANES):
            shown = (known[i] <= k) & (k < high[i])
            buffer[_Y + i] += factor * x[k, i] if shown else _ZERO


@subroutine
def _current(buffer, m, voltage, offset, thermal_curve, thermal_spread):  # type: ignore[no-untyped-def]
    """Turn noise and drifted conductance into the current of the cell, into row U."""
    heated = thermal_curve.shape[0] > 0
    if heated:
        for i in range(LANES):
            buffer[_U + i] = log2(max(buffer[_CONDUCTANCE + i], _TINY))
        broken_line(thermal_curve, buffer, _U, _V)
        for i in range(LANES):
            buffer[_V + i] = exp2(buffer[_V + i] * (_ONE + thermal_spread * buffer[_REVEAL + i]))
    for i in range(LANES):
        y = buffer[_STRENGTH + i] * buffer[_Y + i]
        tail = _HALF * exp2((_ONE + _TWO * y) * _LOG2E)
        factor = _ONE + y if y >= -_HALF else tail
        g = _conductance(buffer, i, m) / buffer[_DIVISOR + i]
        warm = buffer[_V + i] if heated else _ONE
        buffer[_U + i] = voltage * (g * factor * warm) + offset


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
        buffer[_RANGE + i] = full
    for r in range(ranges.shape[0] - 2, -1, -1):
        smaller = ranges[r]
        for i in range(LANES):
            buffer[_RANGE + i] = smaller if buffer[_U + i] <= ceiling * smaller else buffer[_RANGE + i]
    for i in range(LANES):
        flags[i] = int32(0)
        buffer[_Y + i] = _ZERO
    if samples > LONGEST_SAMPLING:
        spread, extreme = converter[3], converter[4]
        for i in range(LANES):
            code = buffer[_U + i] / buffer[_RANGE + i] * codes + zero
            high, low = code + extreme >= top - _HALF, code - extreme < _HALF
            flags[i] = int32(high) | (int32(low) << 1)
            held = min(max(code + spread * buffer[_B1 + i], _ZERO), top)
            buffer[_Y + i] = (held - zero) * (buffer[_RANGE + i] / codes)
        return
    for sample in range(samples):
        row = _B1
        if sample > 0:
            if (sample - 1) % 4 == 0:
                normals(lane, event, _SAMPLE_KIND, (sample - 1) // 4, key, words, buffer, _ADVANCE)
            row = _ADVANCE + (sample - 1) % 4 * LANES
        for i in range(LANES):
            code = buffer[_U + i] / buffer[_RANGE + i] * codes + zero
            code = code + noise * codes * buffer[row + i] + _HALF
            held = float32(int32(min(max(code, _ZERO), top)))
            flags[i] = flags[i] | int32(held >= top) | (int32(held <= _ZERO) << 1)
            buffer[_Y + i] += held - zero
    share = _ONE / float32(samples)
    for i in range(LANES):
        buffer[_Y + i] = buffer[_Y + i] * share * (buffer[_RANGE + i] / codes)


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
        clocks[_NOW + i] = at_ns[position + i]
        clocks[_PULSED + i] = time[b, layout.PULSED, j]
        clocks[_SEEN + i] = time[b, layout.SEEN, j]
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
        state[b, layout.LOW_SUM, j] = buffer[_LOW_SUM + i]
        state[b, layout.HIGH_SUM, j] = buffer[_HIGH_SUM + i]
        time[b, layout.SEEN, j] = clocks[_NOW + i]
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
        clocks[_SEEN + i] = clocks[_PULSED + i] if known[0, i] != int32(0) else clocks[_SEEN + i]
    for i in range(LANES):
        clocks[_NOW + i] = max(clocks[_NOW + i], clocks[_SEEN + i])
    for i in range(LANES):
        buffer[_SINCE + i] = float32((clocks[_NOW + i] - clocks[_SEEN + i]) * _NS)
    for i in range(LANES):
        buffer[_AGE + i] = float32(max(clocks[_NOW + i] - clocks[_PULSED + i], 1) * _NS)


@subroutine
def _any_above(a, b):  # type: ignore[no-untyped-def]
    number = int32(0)
    for i in range(LANES):
        number += int32(a[i] > b[i])
    return number > int32(0)


@subroutine
def _deliver(position, n, buffer, flags, out, out_flags):  # type: ignore[no-untyped-def]
    for i in range(n):
        out[position + i] = _NOT_A_NUMBER if (flags[i] & int32(1)) != int32(0) else buffer[_Y + i]
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
    buffer = np.zeros(_SIZE, np.float32)
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
            copy_lanes(at_ns[position:], clocks[_NOW:], LANES)
            copy_lanes(time[block, layout.PULSED], clocks[_PULSED:], LANES)
            copy_lanes(time[block, layout.SEEN], clocks[_SEEN:], LANES)
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
        fewest, most = _forgotten(buffer, known, m)
        normals(lane, event, _STATE_KIND, 0, key, words, buffer, _B0)
        if _any_above(low, known[1]):
            _reveal_low(lane, event, buffer, words, x, known[1], low, m, key)
        if _any_above(known[1], high):
            _shrink_high(buffer, known[1], high, m)
        _draw_low(buffer, known[1], fewest, most, m.low_weight)
        _advance(lane, event, buffer, words, x, reach, known[1], high, clocks, m, key)
        _sum_states(buffer, x, known[1], high, m, low_window, window, high_window)
        if thermal_curve.shape[0] > 0:
            normals(lane, no_event, _DEVICE_KIND, 2, key, words, buffer, _REVEAL)
        _current(buffer, m, voltage, offset, thermal_curve, thermal_spread)
        _convert(lane, event, buffer, words, flags, ranges, converter, samples, key)
        if whole:
            copy_lanes(buffer[_LOW_SUM:], state[block, layout.LOW_SUM], LANES)
            copy_lanes(buffer[_HIGH_SUM:], state[block, layout.HIGH_SUM], LANES)
            copy_lanes(clocks[_NOW:], time[block, layout.SEEN], LANES)
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
    buffer = np.zeros(_SIZE, np.float32)
    for position in range(lo, hi):
        b, j = int(cells[position]) >> 8, int(cells[position]) & 255
        buffer[_CONDUCTANCE] = state[b, layout.CONDUCTANCE, j]
        buffer[_EXPONENT] = state[b, layout.EXPONENT, j]
        buffer[_AGE] = float32(max(at_ns - time[b, layout.PULSED, j], 1) * _NS)
        out[position] = _ZERO if mark[b, _STUCK, j] == _OPEN else _conductance(buffer, 0, m)
