"""The read: current of every cell through correlated noise and the converter, or what an observer is told.

The noise itself is in ``noise_kernel``, the way from state to current in ``current_kernel``; what a read
returns depends on the cell's own history alone.
"""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from drivers.simulated import layout
from drivers.simulated.converter_kernel import convert
from drivers.simulated.current_kernel import conductances, currents
from drivers.simulated.jit import kernel, subroutine
from drivers.simulated.noise_kernel import (
    advance_states,
    average_from_zero,
    count_forgotten,
    draw_low,
    hold_states,
    reveal_low,
    reveal_lump,
    shrink_high,
    start_from_zero,
    sum_states,
)
from drivers.simulated.pulse_kernel import copy_lanes, is_whole_block
from drivers.simulated.random_numbers import LANES, Kind, normals
from drivers.simulated.read_buffer import (
    AGE,
    B0,
    CONDUCTANCE,
    DIVISOR,
    DOSE,
    EXPONENT,
    FULL,
    HIGH_SUM,
    LOW_SUM,
    NOW,
    PULSED,
    SEEN,
    SINCE,
    SIZE,
    STRENGTH,
    U,
    V,
    Y,
)
from drivers.simulated.telegraph_kernel import telegraph

__all__ = ["read_range", "truth_range"]

_READS, _FULL = layout.READS, layout.FULL
_LOW, _HIGH, _STUCK, _TELEGRAPH = layout.LOW, layout.HIGH, layout.STUCK, layout.TELEGRAPH
_FRESH, _LUMP, _OPEN = layout.FRESH, layout.LUMP, layout.STUCK_OPEN

_STATE_KIND = int(Kind.READ_STATE)
_ZERO, _NS = float32(0.0), 1e-9
_NOT_A_NUMBER = float32(np.nan)


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
    position, n, cells, at_ns, state, device, noise, time, count, mark, buffer, x, lane, event, low, high, kind,
    levels, clocks,
):  # fmt: skip
    """Collect entries that are not one whole block; unused lanes repeat the first."""
    for i in range(n):
        lane[i] = cells[position + i]
        b, j = int(lane[i]) >> 8, int(lane[i]) & 255
        for r in range(layout.STATE_ROWS):
            buffer[r * LANES + i] = state[b, r, j]
        buffer[FULL + i] = device[b, _FULL, j]
        clocks[NOW + i] = at_ns[position + i]
        clocks[PULSED + i] = time[b, layout.PULSED, j]
        clocks[SEEN + i] = time[b, layout.SEEN, j]
        event[i] = count[b, _READS, j]
        low[i], high[i] = int32(mark[b, _LOW, j]), int32(mark[b, _HIGH, j])
        kind[i], levels[i] = int32(mark[b, _STUCK, j]), int32(mark[b, _TELEGRAPH, j])
        bottom = 0 if low[i] >= _LUMP else low[i]
        for k in range(bottom, high[i]):
            x[k, i] = noise[b, k, j]
    for i in range(n, LANES):
        lane[i], event[i], low[i], high[i] = lane[0], event[0], low[0], high[0]
        kind[i], levels[i] = kind[0], levels[0]
        buffer[FULL + i] = buffer[FULL]
        for r in range(layout.STATE_ROWS):
            buffer[r * LANES + i] = buffer[r * LANES]
        for r in range(3):
            clocks[r * LANES + i] = clocks[r * LANES]


@subroutine
def _scatter(  # type: ignore[no-untyped-def]
    n, state, noise, time, count, mark, buffer, x, lane, event, low, high, levels, clocks
):
    for i in range(n):
        b, j = int(lane[i]) >> 8, int(lane[i]) & 255
        state[b, layout.LOW_SUM, j] = buffer[LOW_SUM + i]
        state[b, layout.HIGH_SUM, j] = buffer[HIGH_SUM + i]
        state[b, layout.DOSE, j] = buffer[DOSE + i]
        time[b, layout.SEEN, j] = clocks[NOW + i]
        count[b, _READS, j] = event[i]
        mark[b, _LOW, j] = np.uint8(low[i])
        mark[b, _HIGH, j] = np.uint8(high[i])
        mark[b, _TELEGRAPH, j] = np.uint8(levels[i])
        if low[i] < _LUMP:
            for k in range(low[i], high[i]):
                noise[b, k, j] = x[k, i]


@subroutine
def _clocks(buffer, low, fresh, lump, clocks):  # type: ignore[no-untyped-def]
    """Ages and times since the last look; marks the lanes whose states are not known one by one."""
    for i in range(LANES):
        fresh[i] = int32(low[i] == int32(_FRESH))
    for i in range(LANES):
        lump[i] = int32(low[i] == int32(_LUMP))
    for i in range(LANES):
        low[i] = int32(0) if low[i] >= int32(_LUMP) else low[i]
    for i in range(LANES):
        clocks[SEEN + i] = clocks[PULSED + i] if fresh[i] != int32(0) else clocks[SEEN + i]
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
def _any(a):  # type: ignore[no-untyped-def]
    number = int32(0)
    for i in range(LANES):
        number += int32(a[i] != int32(0))
    return number > int32(0)


@subroutine
def _advance_noise(  # type: ignore[no-untyped-def]
    lane, event, buffer, words, x, low, high, known, fresh, lump, spare, clocks, window, held, m, key
):
    """Bring the 1/f states up to now; their sum in the averaging window goes to row Y."""
    fewest, most = count_forgotten(buffer, known, fresh, m)
    normals(lane, event, _STATE_KIND, 0, key, words, buffer, B0)
    if m.noise_from_zero and _any(lump):
        if held >= 0:
            for i in range(LANES):
                known[i] = min(known[i], int32(held)) if lump[i] != int32(0) else known[i]
            fewest = min(fewest, int32(held))
        reveal_lump(lane, event, buffer, words, x, known, lump, clocks, m, key)
    if _any_above(low, known):
        reveal_low(lane, event, buffer, words, x, known, low, m, key)
    if _any_above(known, high):
        shrink_high(buffer, known, high, m)
    draw_low(buffer, known, fewest, most, m.low_weight)
    starts = m.noise_from_zero and _any(fresh)
    if starts:
        start_from_zero(buffer, fresh, m)
        if held >= 0:
            for i in range(LANES):
                mine = fresh[i] != int32(0)
                known[i] = int32(held) if mine else known[i]
                clocks[SEEN + i] = clocks[NOW + i] if mine else clocks[SEEN + i]
            reveal_lump(lane, event, buffer, words, x, known, fresh, clocks, m, key)
    if held >= 0:
        hold_states(lane, event, buffer, words, x, known, spare, held, m, key)
    advance_states(lane, event, buffer, words, x, spare, known, high, clocks, m, key)
    sum_states(buffer, x, known, high, m, window, held)
    if starts and held < 0:
        average_from_zero(buffer, fresh, window)
        for i in range(LANES):
            known[i] = int32(_LUMP) if fresh[i] != int32(0) else known[i]


@subroutine
def _widen(buffer, kind, row, extremes, at):  # type: ignore[no-untyped-def]
    """Keep the least and the largest value of a row over the cells that work."""
    least, largest = extremes[at], extremes[at + 1]
    for i in range(LANES):
        least = min(least, buffer[row + i] if kind[i] == int32(0) else least)
        largest = max(largest, buffer[row + i] if kind[i] == int32(0) else largest)
    extremes[at], extremes[at + 1] = least, largest


@subroutine
def _deliver(position, n, buffer, flags, out, out_flags):  # type: ignore[no-untyped-def]
    for i in range(n):
        out[position + i] = _NOT_A_NUMBER if (flags[i] & int32(1)) != int32(0) else buffer[Y + i]
    for i in range(n):
        out_flags[position + i] = np.uint8(flags[i])


@subroutine
def _tell(position, n, buffer, fast, out, spread):  # type: ignore[no-untyped-def]
    for i in range(n):
        out[position + i] = buffer[U + i]
        spread[position + i] = buffer[V + i] * buffer[STRENGTH + i] * fast


@kernel
def read_range(  # type: ignore[no-untyped-def]
    lo, hi, cells, at_ns, out, spread, out_flags, extremes, state, device, noise, time, count, mark, m, key, c,
    window, place,
):  # fmt: skip
    """Read the cells of entries lo .. hi-1 under the conditions `c`.

    An ordinary read writes ``out`` (ampere) and ``out_flags``; where states are held (``c.held`` >= 0) an
    observer gets conductances (S) in ``out`` and what the faster states add to them in ``spread``. The least
    and largest state (S) and age (s) of the cells that work go to ``extremes``. Bits depend on (key, cell, the
    times at which this cell was pulsed and read) alone.
    """
    buffer = np.zeros(SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    scratch = np.zeros((noise.shape[1], LANES), np.float32)
    lane = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    no_event = np.zeros(LANES, np.uint32)
    low = np.zeros(LANES, np.int32)
    high = np.zeros(LANES, np.int32)
    kind = np.zeros(LANES, np.int32)
    levels = np.zeros(LANES, np.int32)
    known = np.zeros(LANES, np.int32)
    fresh = np.zeros(LANES, np.int32)
    lump = np.zeros(LANES, np.int32)
    spare = np.zeros(LANES, np.int32)
    flags = np.zeros(LANES, np.int32)
    clocks = np.zeros(3 * LANES, np.int64)
    observes, fluctuates = c.held >= 0, c.telegraph.shape[0] > 0
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
            if c.crystallises:
                copy_lanes(device[block, _FULL], buffer[FULL:], LANES)
            copy_lanes(count[block, _READS], event, LANES)
            _copy_mark(mark[block, _LOW], low)
            _copy_mark(mark[block, _HIGH], high)
            _copy_mark(mark[block, _STUCK], kind)
            if fluctuates:
                _copy_mark(mark[block, _TELEGRAPH], levels)
        else:
            _gather(
                position, n, cells, at_ns, state, device, noise, time, count, mark, buffer, x, lane, event, low,
                high, kind, levels, clocks,
            )  # fmt: skip
        _next(event)
        _clocks(buffer, low, fresh, lump, clocks)
        _widen(buffer, kind, CONDUCTANCE, extremes, 0)
        _widen(buffer, kind, AGE, extremes, 2)
        if fluctuates:
            telegraph(lane, event, no_event, buffer, words, levels, kind, c.telegraph, key)
        _advance_noise(
            lane,
            event,
            buffer,
            words,
            x,
            low,
            high,
            known,
            fresh,
            lump,
            spare,
            clocks,
            window,
            c.held,
            m,
            key,
        )
        conductances(lane, no_event, buffer, words, kind, clocks, c, m, key)
        if observes:
            _tell(position, n, buffer, c.fast, out, spread)
        else:
            currents(lane, buffer, kind, c, place)
            convert(lane, event, buffer, words, flags, c.ranges, c.converter, c.samples, key)
            _deliver(position, n, buffer, flags, out, out_flags)
        if whole:
            copy_lanes(buffer[LOW_SUM:], state[block, layout.LOW_SUM], LANES)
            copy_lanes(buffer[HIGH_SUM:], state[block, layout.HIGH_SUM], LANES)
            if c.crystallises:
                copy_lanes(buffer[DOSE:], state[block, layout.DOSE], LANES)
            copy_lanes(clocks[NOW:], time[block, layout.SEEN], LANES)
            copy_lanes(event, count[block, _READS], LANES)
            _store_mark(known, mark[block, _LOW])
            _store_mark(high, mark[block, _HIGH])
            if fluctuates:
                _store_mark(levels, mark[block, _TELEGRAPH])
        else:
            _scatter(n, state, noise, time, count, mark, buffer, x, lane, event, known, high, levels, clocks)
        position += n


@kernel
def truth_range(lo, hi, cells, at_ns, out, state, device, time, mark, m, key, c):  # type: ignore[no-untyped-def]
    """Noise-free conductance (S) of entries lo .. hi-1 at a chip time, under conditions without heat."""
    buffer = np.zeros(SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.zeros(LANES, np.uint32)
    never = np.zeros(LANES, np.uint32)
    kind = np.zeros(LANES, np.int32)
    clocks = np.zeros(3 * LANES, np.int64)
    for position in range(lo, hi, LANES):
        n = min(LANES, hi - position)
        for i in range(n):
            lane[i] = cells[position + i]
            b, j = int(lane[i]) >> 8, int(lane[i]) & 255
            kind[i] = int32(mark[b, _STUCK, j])
            buffer[CONDUCTANCE + i] = _ZERO if kind[i] == _OPEN else state[b, layout.CONDUCTANCE, j]
            buffer[EXPONENT + i] = state[b, layout.EXPONENT, j]
            buffer[DOSE + i] = state[b, layout.DOSE, j]
            buffer[DIVISOR + i] = float32(1.0)
            buffer[FULL + i] = device[b, _FULL, j]
            clocks[NOW + i] = at_ns
            clocks[PULSED + i] = time[b, layout.PULSED, j]
            buffer[AGE + i] = float32(max(at_ns - clocks[PULSED + i], 1) * _NS)
        for i in range(LANES):
            buffer[Y + i] = _ZERO
            buffer[STRENGTH + i] = _ZERO
        conductances(lane, never, buffer, words, kind, clocks, c, m, key)
        for i in range(n):
            out[position + i] = buffer[U + i]
