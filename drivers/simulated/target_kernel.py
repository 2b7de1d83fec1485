"""Cells programmed, drifted and looked at once, all in one: what placing and observing give, without a chip."""

from __future__ import annotations

import numpy as np
from numpy import float32, int32, uint32

from drivers.simulated.jit import kernel
from drivers.simulated.pulse_kernel import copy_lanes
from drivers.simulated.random_numbers import LANES, Kind, broken_line, cubic, exp2, log2, normals

__all__ = ["sample_range"]

_PLACE = int(Kind.PLACE)
_ZERO, _ONE, _HALF, _TWO = float32(0.0), float32(1.0), float32(0.5), float32(2.0)
_TINY, _LOG2E = float32(1e-30), float32(1.44269504)
_TARGET, _LOG, _SIGMA, _MEAN, _SPREAD, _STRENGTH, _Z = (row * LANES for row in range(7))
_SIZE = 11 * LANES


@kernel
def sample_range(lo, hi, targets, bound, realisation, log2_age, noise, out, m, key):  # type: ignore[no-untyped-def]
    """Write the conductances (S) of cells lo .. hi-1 at one age into `out`.

    ``bound`` holds each device's normal of the drift exponent, ``log2_age`` is that of the age over t0, and
    ``noise`` the spread of the 1/f noise at this age in units of Q_s. Bits depend on (key, cell, realisation).
    """
    buffer = np.zeros(_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.empty(LANES, np.uint32)
    event = np.full(LANES, uint32(realisation), np.uint32)
    for start in range(lo, hi, LANES):
        n = min(LANES, hi - start)
        for i in range(LANES):
            lane[i] = uint32(start + i)
        for i in range(n):
            buffer[_TARGET + i] = targets[start + i]
        normals(lane, event, _PLACE, 0, key, words, buffer, _Z)
        for i in range(n):
            buffer[_SIGMA + i] = bound[start + i]
        zeros = int32(0)
        for i in range(LANES):
            zeros += int32(not buffer[_TARGET + i] > _ZERO)
        if zeros > int32(0):
            for i in range(LANES):
                reset = m.reset_median_s * exp2(m.reset_log2_spread * buffer[_Z + 2 * LANES + i])
                buffer[_Z + 2 * LANES + i] = buffer[_TARGET + i] if buffer[_TARGET + i] > _ZERO else reset
        else:
            copy_lanes(buffer[_TARGET:], buffer[_Z + 2 * LANES :], LANES)
        for i in range(LANES):
            buffer[_LOG + i] = log2(max(buffer[_Z + 2 * LANES + i], _TINY))
            drawn = m.device_part * buffer[_SIGMA + i] + m.event_part * buffer[_Z + LANES + i]
            buffer[_Z + LANES + i] = drawn
        broken_line(m.drift_mean_curve, buffer, _LOG, _MEAN)
        broken_line(m.drift_spread_curve, buffer, _LOG, _SPREAD)
        broken_line(m.log2_strength_curve, buffer, _LOG, _STRENGTH)
        if m.error_curve.shape[0] > 0:
            broken_line(m.error_curve, buffer, _TARGET, _SIGMA)
        else:
            cubic(m.error_cubic, buffer, _TARGET, _SIGMA)
        for i in range(LANES):
            target = buffer[_TARGET + i]
            come = max(target + max(buffer[_SIGMA + i], _ZERO) * buffer[_Z + i], _ZERO)
            g = come if target > _ZERO else buffer[_Z + 2 * LANES + i]
            exponent = abs(buffer[_MEAN + i] + buffer[_SPREAD + i] * buffer[_Z + LANES + i])
            y = exp2(buffer[_STRENGTH + i]) * noise * buffer[_Z + 3 * LANES + i]
            # the positive tail of the noise, exp(1 + 2 y) / 2, rides in the exponential of the drift
            bent = (_ONE + _TWO * y) * _LOG2E - _ONE
            straight = y >= -_HALF
            rises = -exponent * log2_age + (_ZERO if straight else bent)
            buffer[_LOG + i] = g * exp2(rises) * (_ONE + y if straight else _ONE)
        for i in range(n):
            out[start + i] = buffer[_LOG + i]
