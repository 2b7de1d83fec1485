"""The pulse: what one programming pulse does to a cell, for whole lists of cells.

Order of events (device-physics §1.3, §3): below the dead zone or the minimum width nothing happens; between
it and the device's melting current a SET step (accumulation law, scaled by the saturation at this current);
above it a melt, which erases the history. A pulse that acted restarts the drift clock and draws drift
exponent and slow noise. A pulse may also be the cell's last: by wear, or by a current beyond what it bears.
"""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from calibration.laws import accumulation
from drivers.simulated import layout
from drivers.simulated.crystallisation_kernel import crystallised
from drivers.simulated.death_kernel import over_current, worn_out
from drivers.simulated.jit import inline, kernel, subroutine
from drivers.simulated.random_numbers import LANES, Draw, Kind, broken_line, exp2, log2, normals

__all__ = [
    "BUFFER_SIZE",
    "DRIFT_AT",
    "FULL_AT",
    "Z_AT",
    "begin_event",
    "copy_lanes",
    "is_whole_block",
    "pulse_range",
]

_mean_step = inline(accumulation.mean_step)
_spread_step = inline(accumulation.spread_step)

_PULSED = layout.PULSED
_PULSES, _MEMORY = layout.PULSES, layout.MEMORY
_LOW, _HIGH, _STUCK, _FRESH = layout.LOW, layout.HIGH, layout.STUCK, layout.FRESH
_TELEGRAPH = layout.TELEGRAPH

# Offsets of the rows of the local float32 buffer: state, device, then amplitude, four normals and scratch
_CONDUCTANCE, _DIVISOR, _EXPONENT, _STRENGTH, _LOW_SUM, _HIGH_SUM, _DOSE = (
    row * LANES
    for row in (
        layout.CONDUCTANCE, layout.DIVISOR, layout.EXPONENT, layout.STRENGTH, layout.LOW_SUM, layout.HIGH_SUM,
        layout.DOSE,
    )
)  # fmt: skip
_D = layout.STATE_ROWS * LANES
_FULL, _MELT, _AMORPHOUS = (_D + row * LANES for row in (layout.FULL, layout.MELT, layout.AMORPHOUS))
_STEP, _DRIFT = _D + layout.STEP * LANES, _D + layout.DRIFT * LANES
_AMPLITUDE = _D + layout.DEVICE_ROWS * LANES
_Z0, _Z1, _Z2, _Z3, _U, _V, _HISTORY, _CYCLE, _JUMP, _SHARE = (_AMPLITUDE + n * LANES for n in range(1, 11))
_RETENTION = _AMPLITUDE + 11 * LANES  # four rows: normals of the device that matter to a read
_SIZE = _AMPLITUDE + 15 * LANES
BUFFER_SIZE, DRIFT_AT, Z_AT, FULL_AT = _SIZE, _DRIFT, _Z0, _FULL

_PULSE_KIND, _DEVICE_KIND, _READING = int(Kind.PULSE), int(Kind.DEVICE), int(Draw.READING)
_ZERO, _ONE, _TWO, _HALF = float32(0.0), float32(1.0), float32(2.0), float32(0.5)
_TINY = float32(1e-30)


@subroutine
def copy_lanes(source, target, n):  # type: ignore[no-untyped-def]
    """Copy the first n lanes of a row; a slice assignment would not vectorise."""
    for i in range(n):
        target[i] = source[i]


@inline
def is_whole_block(cells, position, hi):  # type: ignore[no-untyped-def]
    """Whether the next 256 entries are one aligned block of the chip, in order."""
    first = cells[position]
    whole = position + LANES <= hi and int(first) & 255 == 0
    others = int32(0)
    if whole:
        for i in range(LANES):
            others += int32(uint32(cells[position + i] - first) != uint32(i))
    return whole and others == int32(0)


@inline
def _step(buffer, memory, acts, m, set_rate, crystallised):  # type: ignore[no-untyped-def]
    """One pulse on all lanes; a lane with ``acts`` 0 keeps its conductance and history."""
    for i in range(LANES):
        buffer[_HISTORY + i] = exp2(m.log2_memory * float32(memory[i] + int32(1)))
    broken_line(m.cycle_curve, buffer, _HISTORY, _CYCLE)
    for i in range(LANES):
        melt = buffer[_MELT + i]
        x = (buffer[_AMPLITUDE + i] - melt) / (buffer[_AMORPHOUS + i] - melt)
        buffer[_U + i] = min(max(x, _ZERO), _ONE)
    broken_line(m.melt_curve, buffer, _U, _V)
    for i in range(LANES):
        full = buffer[_FULL + i]
        reset = m.reset_median_s * exp2(m.reset_log2_spread * buffer[_Z2 + i])
        molten = max(full * buffer[_V + i] * exp2(m.cycle_log2_spread * buffer[_Z0 + i]), reset)
        buffer[_V + i] = molten + crystallised * (full - molten)
    if m.jump_s > _ZERO:
        for i in range(LANES):
            buffer[_JUMP + i] = m.jump_s * exp2(m.log2_jump_decay_per_s * buffer[_CONDUCTANCE + i])
    for i in range(LANES):
        g = buffer[_CONDUCTANCE + i]
        full = buffer[_FULL + i]
        history = buffer[_HISTORY + i]
        current = buffer[_AMPLITUDE + i]
        line = max(m.saturation_slope_s_per_a * (current - m.saturation_offset_a), _ZERO)
        scale = min(line / m.saturation_reference_s, _ONE)
        step = buffer[_STEP + i]
        saturation = min(line if m.step_scales_slope else line * step, full)
        rate = set_rate * step * (m.full_mean_s / full) if m.step_scales_slope else set_rate
        mean = _mean_step(g, _ZERO, -rate, rate * saturation, _ZERO)
        distance = abs(current - m.reference_a) * m.inverse_window_per_a
        mean = max(mean, _ZERO) + min(max(_TWO - distance, _ZERO), _ONE) * min(mean, _ZERO)
        mean = mean + (m.boost_s * history + buffer[_JUMP + i]) * (scale * step)
        spread = _spread_step(g, history, m.spread_slope, m.spread_offset_s, m.spread_boost_s)
        spread = spread * (scale * buffer[_CYCLE + i])
        ceiling = max(min(m.ceiling_over_saturation * line, full), g)
        buffer[_U + i] = min(max(g + mean + spread * buffer[_Z0 + i], m.floor_s), ceiling)
    for i in range(LANES):
        melts = buffer[_AMPLITUDE + i] >= buffer[_MELT + i]
        does = acts[i] != int32(0)
        after = buffer[_V + i] if melts else buffer[_U + i]
        buffer[_CONDUCTANCE + i] = after if does else buffer[_CONDUCTANCE + i]
        counted = int32(0) if melts else memory[i] + int32(1)
        memory[i] = counted if does else memory[i]


@inline
def begin_event(buffer, acts, m):  # type: ignore[no-untyped-def]
    """Draw drift exponent and slow noise of the new programming event on the lanes that changed."""
    slow_weight = _ZERO if m.noise_from_zero else m.high_weight[m.first_slow]
    for i in range(LANES):
        buffer[_U + i] = log2(max(buffer[_CONDUCTANCE + i], _TINY))
    broken_line(m.drift_mean_curve, buffer, _U, _V)
    broken_line(m.drift_spread_curve, buffer, _U, _HISTORY)
    broken_line(m.log2_strength_curve, buffer, _U, _CYCLE)
    for i in range(LANES):
        does = acts[i] != int32(0)
        draw = m.device_part * buffer[_DRIFT + i] + m.event_part * buffer[_Z1 + i]
        exponent = abs(buffer[_V + i] + buffer[_HISTORY + i] * draw)
        strength = exp2(buffer[_CYCLE + i])
        slow = slow_weight * buffer[_Z3 + i]
        divisor = max(_ONE + strength * slow, _HALF)
        divisor = divisor if buffer[_CONDUCTANCE + i] >= m.correction_from_s else _ONE
        buffer[_EXPONENT + i] = exponent if does else buffer[_EXPONENT + i]
        buffer[_STRENGTH + i] = strength if does else buffer[_STRENGTH + i]
        buffer[_DIVISOR + i] = divisor if does else buffer[_DIVISOR + i]
        buffer[_HIGH_SUM + i] = slow if does else buffer[_HIGH_SUM + i]
        buffer[_LOW_SUM + i] = _ZERO if does else buffer[_LOW_SUM + i]
        buffer[_DOSE + i] = _ZERO if does else buffer[_DOSE + i]


@subroutine
def _crystallise(lane, no_event, buffer, words, acts, pulsed, now, c, key):  # type: ignore[no-untyped-def]
    """Let the state have crystallised as far as it has before the pulse meets it.

    A pulse that does nothing leaves the clock of the crystals running, and so the state they grow from.
    """
    normals(lane, no_event, _DEVICE_KIND, _READING, key, words, buffer, _RETENTION)
    crystallised(
        buffer, _DOSE, _RETENTION + LANES, _SHARE, pulsed, now, c.hot_start_ns, c.hot_end_ns, c.hot_rate,
        c.retention_spread, c.exponent,
    )  # fmt: skip
    for i in range(LANES):
        g = buffer[_CONDUCTANCE + i]
        grown = g + buffer[_SHARE + i] * max(buffer[_FULL + i] - g, _ZERO)
        buffer[_CONDUCTANCE + i] = grown if acts[i] != int32(0) else g


@kernel
def pulse_range(  # type: ignore[no-untyped-def]
    lo, hi, cells, amplitude, end_ns, state, device, time, count, mark, m, key, set_rate, crystallised_edge, wide,
    times, states, c,
):  # fmt: skip
    """Give ``times`` pulses to the cells of entries lo .. hi-1 whose amplitude is positive.

    Bits depend on (key, cell, pulse number of the cell, its age where it crystallises) alone. Entries must not
    repeat a cell.
    """
    buffer = np.empty(_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.zeros(LANES, np.uint32)
    no_event = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    memory = np.zeros(LANES, np.int32)
    kind = np.zeros(LANES, np.int32)
    acts = np.zeros(LANES, np.int32)
    lives = np.zeros(LANES, np.int32)
    end = np.zeros(LANES, np.int64)
    pulsed = np.zeros(LANES, np.int64)
    buffer[:] = _ONE
    buffer[_JUMP : _JUMP + LANES] = _ZERO  # and so it stays, unless the card has a jump
    high = np.uint8(states) if m.noise_from_zero else np.uint8(m.first_slow)
    position = lo
    while position < hi:
        block = int(cells[position]) >> 8
        whole = is_whole_block(cells, position, hi)
        if whole:
            idle = int32(0)
            for i in range(LANES):
                idle += int32(not amplitude[position + i] > _ZERO)
            whole = idle == int32(0)
        n = 0
        if whole:
            n = LANES
            copy_lanes(cells[position:], lane, LANES)
            copy_lanes(end_ns[position:], end, LANES)
            copy_lanes(amplitude[position:], buffer[_AMPLITUDE:], LANES)
            position += LANES
            for r in range(layout.STATE_ROWS):
                copy_lanes(state[block, r], buffer[r * LANES :], LANES)
            for r in range(layout.DEVICE_ROWS):
                copy_lanes(device[block, r], buffer[_D + r * LANES :], LANES)
            copy_lanes(count[block, _PULSES], event, LANES)
            copy_lanes(time[block, _PULSED], pulsed, LANES)
            for i in range(LANES):
                memory[i] = int32(min(count[block, _MEMORY, i], uint32(1000)))
            for i in range(LANES):
                kind[i] = int32(mark[block, _STUCK, i])
        else:
            while position < hi and n < LANES:
                if amplitude[position] > _ZERO:
                    lane[n] = cells[position]
                    buffer[_AMPLITUDE + n] = amplitude[position]
                    end[n] = end_ns[position]
                    n += 1
                position += 1
            for i in range(n):
                b, j = int(lane[i]) >> 8, int(lane[i]) & 255
                for r in range(layout.STATE_ROWS):
                    buffer[r * LANES + i] = state[b, r, j]
                for r in range(layout.DEVICE_ROWS):
                    buffer[_D + r * LANES + i] = device[b, r, j]
                event[i] = count[b, _PULSES, j]
                pulsed[i] = time[b, _PULSED, j]
                memory[i] = int32(min(count[b, _MEMORY, j], uint32(1000)))
                kind[i] = int32(mark[b, _STUCK, j])
            for i in range(n, LANES):
                buffer[_AMPLITUDE + i] = _ZERO
                event[i] = uint32(0)
        for i in range(LANES):
            does = wide and kind[i] == int32(0) and buffer[_AMPLITUDE + i] >= m.dead_zone_a
            acts[i] = int32(does)
            lives[i] = int32(does)
        if c.crystallises:
            _crystallise(lane, no_event, buffer, words, acts, pulsed, end, c, key)
        for _ in range(times):
            for i in range(LANES):
                event[i] = uint32(event[i] + uint32(1))
            normals(lane, event, _PULSE_KIND, 0, key, words, buffer, _Z0)
            _step(buffer, memory, lives, m, set_rate, crystallised_edge)
            over_current(
                lane, no_event, buffer, words, _AMPLITUDE, _RETENTION, _CONDUCTANCE, kind, lives, m, key
            )
            worn_out(lane, event, no_event, buffer, words, _FULL, _CONDUCTANCE, kind, lives, m, key)
        begin_event(buffer, acts, m)
        if whole:
            for r in range(layout.STATE_ROWS):
                copy_lanes(buffer[r * LANES :], state[block, r], LANES)
            copy_lanes(event, count[block, _PULSES], LANES)
            for i in range(LANES):
                count[block, _MEMORY, i] = uint32(memory[i])
            for i in range(LANES):
                time[block, _PULSED, i] = end[i] if acts[i] != int32(0) else pulsed[i]
            for i in range(LANES):
                mark[block, _LOW, i] = np.uint8(_FRESH) if acts[i] != int32(0) else mark[block, _LOW, i]
            for i in range(LANES):
                mark[block, _HIGH, i] = high if acts[i] != int32(0) else mark[block, _HIGH, i]
            for i in range(LANES):
                mark[block, _STUCK, i] = np.uint8(kind[i])
            for i in range(LANES):
                mark[block, _TELEGRAPH, i] = (
                    np.uint8(0) if acts[i] != int32(0) else mark[block, _TELEGRAPH, i]
                )
        else:
            for i in range(n):
                b, j = int(lane[i]) >> 8, int(lane[i]) & 255
                for r in range(layout.STATE_ROWS):
                    state[b, r, j] = buffer[r * LANES + i]
                count[b, _PULSES, j] = event[i]
                count[b, _MEMORY, j] = uint32(memory[i])
                if acts[i] != 0:
                    time[b, _PULSED, j] = end[i]
                    mark[b, _LOW, j] = np.uint8(_FRESH)
                    mark[b, _HIGH, j] = high
                    mark[b, _STUCK, j] = np.uint8(kind[i])
                    mark[b, _TELEGRAPH, j] = np.uint8(0)
