"""The converter: ranges, codes, clipping, and the mean of several conversions (controller-protocol §3.4)."""

from __future__ import annotations

from numpy import float32, int32

from drivers.simulated.jit import subroutine
from drivers.simulated.random_numbers import LANES, Kind, normals
from drivers.simulated.read_buffer import ADVANCE, B1, RANGE, U, Y

__all__ = ["LONGEST_SAMPLING", "convert"]

LONGEST_SAMPLING = 64
"""Up to so many conversions are simulated one by one; beyond, their mean is drawn at once."""

_SAMPLE_KIND = int(Kind.CONVERTER)
_ZERO, _ONE, _HALF = float32(0.0), float32(1.0), float32(0.5)
_FULLEST = float32(0.9)


@subroutine
def _choose_ranges(buffer, ranges):  # type: ignore[no-untyped-def]
    """Take the smallest range that the current fills to nine tenths at most, into row RANGE."""
    full = ranges[ranges.shape[0] - 1]
    for i in range(LANES):
        buffer[RANGE + i] = full
    for r in range(ranges.shape[0] - 2, -1, -1):
        smaller = ranges[r]
        for i in range(LANES):
            buffer[RANGE + i] = smaller if buffer[U + i] <= _FULLEST * smaller else buffer[RANGE + i]


@subroutine
def convert(lane, event, buffer, words, flags, ranges, converter, samples, key):  # type: ignore[no-untyped-def]
    """Pass the current of row U through the converter; the mean of all samples goes to row Y.

    ``converter`` holds (noise as a fraction of the range, codes, code of zero, spread of the mean, extreme
    sample).
    """
    noise, codes, zero = converter[0], converter[1], converter[2]
    top = codes - _ONE
    _choose_ranges(buffer, ranges)
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
