"""The converter at the foot of every column, for the outputs of an analog product."""

from __future__ import annotations

import math

import numpy as np
from numpy import float32, int16, int32, uint32

from drivers.simulated.converter_kernel import LONGEST_SAMPLING
from drivers.simulated.jit import kernel
from drivers.simulated.random_numbers import LANES, Kind, normals

__all__ = ["CLIPPED", "COUNTS", "convert_outputs"]

COUNTS = 32768
"""Counts of the output per range: one count is 1/32768 of it, whatever the converter's bits."""
CLIPPED = -32768
"""Output that clipped or was never done (controller-protocol §7.9)."""

_KIND = int(Kind.PRODUCT)
_ZERO, _ONE, _HALF, _MOST, _COUNTS = (float32(x) for x in (0.0, 1.0, 0.5, 32767.0, COUNTS))
# Rows of four normals: fast noise and first conversion of the first pass, the same of the second
_FIRST, _MORE, _SIZE = 0, 4 * LANES, 8 * LANES


@kernel
def convert_outputs(  # type: ignore[no-untyped-def]
    lo, hi, current, variance, first_column, first_number, columns, gain, offset, range_a, converter, samples,
    key, out,
):  # fmt: skip
    """Convert outputs lo .. hi-1 of ``current[pass]``, ampere, vector after vector, each in its column's converter.

    ``variance`` holds that of the fast noise, ``converter`` (noise over range, codes, code of zero, spread of the
    mean, extreme sample). Bits depend on (key, column, running number of the vector) and on the values alone.
    """
    noise, codes, zero, spread, extreme = converter[0], converter[1], converter[2], converter[3], converter[4]
    top = codes - _ONE
    passes = current.shape[0]
    buffer = np.zeros(_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.zeros(LANES, np.uint32)
    event = np.zeros(LANES, np.uint32)
    exact = np.zeros((2, LANES), np.float32)
    mean = np.zeros((2, LANES), np.float32)
    high = np.zeros(LANES, np.int32)
    per_range = codes / range_a
    position = lo
    while position < hi:
        n = min(LANES, hi - position)
        for i in range(n):
            vector = (position + i) // columns
            lane[i] = uint32(first_column + position + i - vector * columns)
            event[i] = uint32(first_number + vector)
        normals(lane, event, _KIND, 0, key, words, buffer, _FIRST)
        for p in range(passes):
            for i in range(n):
                column = (position + i) % columns
                fast = math.sqrt(variance[p, position + i]) * buffer[_FIRST + 2 * p * LANES + i]
                flows = gain[column] * (current[p, position + i] + fast) + offset[column]
                exact[p, i] = float32(flows * per_range) + zero
        for i in range(LANES):
            high[i] = int32(0)
        if samples > LONGEST_SAMPLING:
            for p in range(passes):
                for i in range(LANES):
                    high[i] = high[i] | int32(exact[p, i] + extreme >= top - _HALF)
                    drawn = exact[p, i] + spread * buffer[_FIRST + (2 * p + 1) * LANES + i]
                    mean[p, i] = min(max(drawn, _ZERO), top) - zero
        else:
            mean[:] = _ZERO
            for sample in range(samples):
                if sample % 2 == 1:
                    normals(lane, event, _KIND, (sample + 1) // 2, key, words, buffer, _MORE)
                for p in range(passes):
                    row = _FIRST + (2 * p + 1) * LANES
                    if sample > 0:
                        row = _MORE + (2 * ((sample - 1) % 2) + p) * LANES
                    for i in range(LANES):
                        code = exact[p, i] + noise * codes * buffer[row + i] + _HALF
                        held = float32(int32(min(max(code, _ZERO), top)))
                        high[i] = high[i] | int32(held >= top)
                        mean[p, i] += held - zero
            for p in range(passes):
                for i in range(LANES):
                    mean[p, i] = mean[p, i] / float32(samples)
        counts = _COUNTS / codes
        for i in range(n):
            value = mean[0, i] - mean[1, i] if passes == 2 else mean[0, i]
            counted = min(max(value * counts, -_MOST), _MOST)
            rounded = int32(counted + (_HALF if counted >= _ZERO else -_HALF))
            out[position + i] = int16(CLIPPED) if high[i] != int32(0) else int16(rounded)
        position += n
