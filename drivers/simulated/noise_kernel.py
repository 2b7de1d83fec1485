"""The correlated 1/f noise of the cells, brought up to the moment of a read.

1/f noise is a sum of Ornstein-Uhlenbeck states (device-physics §2.5), advanced exactly but only as far as a
reading can tell. States faster than an eighth of the time since the cell was last looked at have forgotten
it: their sum is drawn as one number (LOW_SUM). States that have not moved since the pulse stay one number
too (HIGH_SUM). What lies between is revealed when it first matters, from the exact conditional distribution
given the sum, and then advanced on a grid of 1/8 of its time constant. All of it depends on the cell's own
history alone.
"""

from __future__ import annotations

import math

from numpy import float32, float64, int32

from drivers.simulated.jit import subroutine
from drivers.simulated.pulse_kernel import copy_lanes
from drivers.simulated.random_numbers import LANES, Kind, broken_line, exp2, log2, normals
from drivers.simulated.read_buffer import (
    ADVANCE,
    B0,
    B2,
    B3,
    HIGH_SUM,
    LOW_SUM,
    NOW,
    PULSED,
    REVEAL,
    SEEN,
    SINCE,
    U,
    V,
    Y,
)

__all__ = [
    "advance_states",
    "average_from_zero",
    "count_forgotten",
    "draw_low",
    "hold_states",
    "reveal_low",
    "reveal_lump",
    "shrink_high",
    "start_from_zero",
    "sum_states",
]

_STATE_KIND = int(Kind.READ_STATE)
_ZERO, _ONE, _TINY = float32(0.0), float32(1.0), float32(1e-30)
_TWO_LOG2E, _NS = float32(2.8853901), 1e-9


@subroutine
def count_forgotten(buffer, known, fresh, m):  # type: ignore[no-untyped-def]
    """Count per lane the states that have forgotten the last look, into `known`; returns their range.

    On the lanes not read since their pulse (`fresh`) no state is known but the sum of the slow ones; where
    all states began at zero with the pulse, none has to be known.
    """
    fewest, most = int32(255), int32(0)
    states = int32(m.weight.shape[0])
    slow = states if m.noise_from_zero else int32(m.first_slow)
    for i in range(LANES):
        octaves = log2(max(buffer[SINCE + i], _TINY)) - m.log2_forget_s
        buffer[U + i] = min(max(octaves * m.states_per_octave + _ONE, _ZERO), float32(states))
    for i in range(LANES):
        count = int32(buffer[U + i])
        known[i] = max(count, slow * fresh[i])
    for i in range(LANES):
        fewest = min(fewest, known[i])
        most = max(most, known[i])
    return fewest, most


@subroutine
def draw_low(buffer, known, fewest, most, low_weight):  # type: ignore[no-untyped-def]
    """Draw the sum of the forgotten states anew on every lane."""
    if fewest == most:
        weight = low_weight[most]
        for i in range(LANES):
            buffer[U + i] = weight
    else:
        for i in range(LANES):
            buffer[U + i] = low_weight[known[i]]
    for i in range(LANES):
        buffer[LOW_SUM + i] = buffer[U + i] * buffer[B0 + i]


@subroutine
def reveal_low(lane, event, buffer, words, x, known, low, m, key):  # type: ignore[no-untyped-def]
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
            normals(lane, event, _STATE_KIND, 2 + 2 * group, key, words, buffer, REVEAL)
        weight = m.weight[k]
        variance = m.low_weight[k + 1] * m.low_weight[k + 1]
        share = weight / variance
        rest = float32(math.sqrt(max(_ONE - weight * share, _ZERO)))
        row = REVEAL + (k - 4 * group) * LANES
        for i in range(LANES):
            value = share * buffer[LOW_SUM + i] + rest * buffer[row + i]
            mine = (k >= known[i]) & (k < low[i])
            x[k, i] = value if mine else x[k, i]
            buffer[LOW_SUM + i] = buffer[LOW_SUM + i] - (weight * value if mine else _ZERO)


@subroutine
def hold_states(lane, event, buffer, words, x, known, boundary, held, m, key):  # type: ignore[no-untyped-def]
    """Reveal all states from boundary `held` on, so that only faster ones remain in the sum."""
    above = int32(0)
    for i in range(LANES):
        boundary[i] = min(known[i], int32(held))
        above += int32(known[i] > int32(held))
    if above > int32(0):
        reveal_low(lane, event, buffer, words, x, boundary, known, m, key)
        copy_lanes(boundary, known, LANES)


@subroutine
def start_from_zero(buffer, fresh, m):  # type: ignore[no-untyped-def]
    """On lanes not read since a pulse that set all states to zero: draw their sum, the noise of this age."""
    for i in range(LANES):
        buffer[U + i] = log2(max(buffer[SINCE + i], _TINY))
    broken_line(m.zero_start_curve, buffer, U, V)
    for i in range(LANES):
        whole = exp2(buffer[V + i]) * buffer[B0 + i]
        buffer[LOW_SUM + i] = whole if fresh[i] != int32(0) else buffer[LOW_SUM + i]


@subroutine
def average_from_zero(buffer, fresh, window):  # type: ignore[no-untyped-def]
    """Write what the averaging window leaves of a sum that began at zero into row Y."""
    for i in range(LANES):
        buffer[U + i] = log2(max(buffer[SINCE + i], _TINY))
    broken_line(window.from_zero, buffer, U, V)
    for i in range(LANES):
        buffer[Y + i] = exp2(buffer[V + i]) * buffer[LOW_SUM + i] if fresh[i] != int32(0) else buffer[Y + i]


@subroutine
def reveal_lump(lane, event, buffer, words, x, known, lump, clocks, m, key):  # type: ignore[no-untyped-def]
    """Reveal the states that began at zero from their sum at the first look, slowest first, down to `known`.

    At the age a of that look state k has the variance ``var_k (1 - exp(-2 a / tau_k))``.
    """
    states = m.weight.shape[0]
    for i in range(LANES):
        buffer[U + i] = float32((clocks[SEEN + i] - clocks[PULSED + i]) * _NS) * -_TWO_LOG2E
        buffer[V + i] = _ZERO
    for k in range(states):
        variance = m.weight[k] * m.weight[k]
        per_s = m.inverse_tau_per_s[k]
        for i in range(LANES):
            buffer[V + i] += variance * (_ONE - exp2(buffer[U + i] * per_s))
    group = -1
    for k in range(states - 1, -1, -1):
        if k // 4 != group:
            group = k // 4
            normals(lane, event, _STATE_KIND, 2 + 2 * group, key, words, buffer, REVEAL)
        weight, per_s = m.weight[k], m.inverse_tau_per_s[k]
        row = REVEAL + (k - 4 * group) * LANES
        for i in range(LANES):
            variance = weight * weight * (_ONE - exp2(buffer[U + i] * per_s))
            rest = max(buffer[V + i] - variance, _ZERO)
            share = variance / max(buffer[V + i], _TINY)
            drawn = float32(math.sqrt(rest * share)) * buffer[row + i]
            value = share * buffer[LOW_SUM + i] + drawn
            mine = (lump[i] != int32(0)) & (k >= known[i])
            x[k, i] = value / weight if mine else x[k, i]
            buffer[LOW_SUM + i] -= value if mine else _ZERO
            buffer[V + i] = rest if mine else buffer[V + i]


@subroutine
def shrink_high(buffer, known, high, m):  # type: ignore[no-untyped-def]
    """Where even hidden slow states were forgotten, keep the sum of those that were not."""
    for i in range(LANES):
        if known[i] > high[i]:
            old = m.high_weight[high[i]] * m.high_weight[high[i]]
            new = m.high_weight[known[i]] * m.high_weight[known[i]]
            kept = new / old if old > _ZERO else _ZERO
            spread = float32(math.sqrt(max(new * (_ONE - kept), _ZERO)))
            buffer[HIGH_SUM + i] = kept * buffer[HIGH_SUM + i] + spread * buffer[B2 + i]
            high[i] = known[i]


@subroutine
def _moves(clocks, pitch, buffer):  # type: ignore[no-untyped-def]
    """Count per lane the grid points a state passes between the last look and now, into row V."""
    for i in range(LANES):
        before = math.floor(float64(clocks[SEEN + i]) * pitch)
        buffer[V + i] = float32(math.floor(float64(clocks[NOW + i]) * pitch) - before)


@subroutine
def _mark_reach(k, buffer, known, reach):  # type: ignore[no-untyped-def]
    for i in range(LANES):
        reach[i] = int32(k) if (buffer[V + i] > _ZERO) & (known[i] <= k) else reach[i]


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
    copy_lanes(buffer[row:], buffer[U:], LANES)
    for i in range(LANES):
        value = share * buffer[HIGH_SUM + i] + rest * buffer[U + i]
        mine = (high[i] <= k) & (k <= reach[i])
        state[i] = value if mine else state[i]
        buffer[HIGH_SUM + i] = buffer[HIGH_SUM + i] - (weight * value if mine else _ZERO)
        high[i] = int32(k + 1) if mine else high[i]


@subroutine
def _step_state(k, row, buffer, state, known, m):  # type: ignore[no-untyped-def]
    """Advance state k by the grid points in row V, an exact Ornstein-Uhlenbeck step."""
    per_step = m.log2_decay_per_step
    copy_lanes(buffer[row:], buffer[U:], LANES)
    for i in range(LANES):
        decay = exp2(per_step * buffer[V + i])
        value = decay * state[i] + float32(math.sqrt(max(_ONE - decay * decay, _ZERO))) * buffer[U + i]
        state[i] = value if (buffer[V + i] > _ZERO) & (known[i] <= k) else state[i]


@subroutine
def advance_states(lane, event, buffer, words, x, reach, known, high, clocks, m, key):  # type: ignore[no-untyped-def]
    """Advance every state that crossed a point of its grid, revealing it first where it was hidden."""
    first, last = clocks[NOW], clocks[SEEN]
    bottom = int32(255)
    for i in range(LANES):
        first = min(first, clocks[SEEN + i])
        last = max(last, clocks[NOW + i])
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
            row = B2
            if k != m.first_slow:
                if reveal != k // 4:
                    reveal = k // 4
                    normals(lane, event, _STATE_KIND, 2 + 2 * reveal, key, words, buffer, REVEAL)
                row = REVEAL + (k - 4 * reveal) * LANES
            _reveal_high(k, row, buffer, x[k], reach, high, m)
        pitch = m.inverse_pitch_per_ns[k]
        if math.floor(last * pitch) > math.floor(first * pitch):
            row = B3
            if k != m.first_slow:
                if ahead != k // 4:
                    ahead = k // 4
                    normals(lane, event, _STATE_KIND, 1 + 2 * ahead, key, words, buffer, ADVANCE)
                row = ADVANCE + (k - 4 * ahead) * LANES
            _moves(clocks, pitch, buffer)
            _step_state(k, row, buffer, x[k], known, m)


@subroutine
def sum_states(buffer, x, known, high, m, window, held):  # type: ignore[no-untyped-def]
    """Sum the noise over the averaging window of the reading, in units of Q_s, into row Y.

    Where states are held (`held` >= 0) the sum of the faster ones is left out.
    """
    bottom, most, top, least = int32(255), int32(0), int32(0), int32(255)
    for i in range(LANES):
        bottom = min(bottom, known[i])
        most = max(most, known[i])
        top = max(top, high[i])
        least = min(least, high[i])
    if bottom == most and top == least:
        low_factor = _ZERO if held >= 0 else window.low[bottom]
        high_factor = window.high[top]
        for i in range(LANES):
            buffer[Y + i] = low_factor * buffer[LOW_SUM + i] + high_factor * buffer[HIGH_SUM + i]
    else:
        for i in range(LANES):
            low_part = _ZERO if held >= 0 else window.low[known[i]] * buffer[LOW_SUM + i]
            buffer[Y + i] = low_part + window.high[high[i]] * buffer[HIGH_SUM + i]
    for k in range(max(bottom, held), top):
        factor = m.weight[k] * window.each[k]
        for i in range(LANES):
            shown = (known[i] <= k) & (k < high[i])
            buffer[Y + i] += factor * x[k, i] if shown else _ZERO
