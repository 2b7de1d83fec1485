"""Counter-based normals: Philox4x32-10 and a polynomial Box-Muller, the same bits on every CPU.

A number is a function of (chip seed, cell, event, kind, draw) and of nothing else: not of call order, batch
size or thread (libraries-and-speed §3.2 to §3.6). All arithmetic is float32 and uint32 in a fixed order
without libm.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy import float32, int32, uint32, uint64
from numpy.typing import NDArray

from drivers.simulated.jit import inline, subroutine

__all__ = [
    "LANES",
    "Draw",
    "Kind",
    "broken_line",
    "cubic",
    "exp2",
    "key_of",
    "log2",
    "normal_pair",
    "normals",
    "philox",
    "random_words",
    "uniform",
    "uniforms",
]

LANES = 256
"""Cells of one block: the unit of layout and of vectorisation."""


class Kind(IntEnum):
    """Third counter word: what a number is drawn for."""

    READ_STATE = 1
    PULSE = 2
    TELEGRAPH = 3
    DEVICE = 4
    CONVERTER = 5
    PLACE = 6
    COLUMN = 7
    PRODUCT = 8
    SWITCH = 9
    SPATIAL = 10


class Draw(IntEnum):
    """Fourth counter word of `Kind.DEVICE`: what differs from device to device."""

    CURVE = 0
    """Four normals: full conductance, melting current, amorphous current, SET step."""
    DRIFT = 1
    """One normal: the device-bound part of the drift exponent."""
    READING = 2
    """Four normals: activation energy, ln of the retention time, threshold voltage, polarity."""
    STUCK = 3
    """One uniform: the faults of a new chip."""
    ENDURANCE = 4
    """Two uniforms: rank among the lifetimes, and which end it takes."""
    DAMAGE = 5
    """One normal: the current that opens the device."""
    FLUCTUATORS = 6
    """Four words: number, two amplitudes, two time constants."""
    REFERENCE = 7
    """One normal: deviation of a reference resistor from its nominal value."""


def key_of(seed: int) -> NDArray[np.uint32]:
    """Return the key of all numbers of a chip: its seed of 64 bits as two words, the lower one first."""
    return np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)


_M0, _M1 = uint64(0xD2511F53), uint64(0xCD9E8D57)
_W0_1, _W0_2, _W0_3, _W0_4, _W0_5, _W0_6, _W0_7, _W0_8, _W0_9 = (uint64(n * 0x9E3779B9) for n in range(1, 10))
_W1_1, _W1_2, _W1_3, _W1_4, _W1_5, _W1_6, _W1_7, _W1_8, _W1_9 = (uint64(n * 0xBB67AE85) for n in range(1, 10))
_SHIFT, _LOW = uint64(32), uint64(0xFFFFFFFF)

_HALF = float32(0.5)
_TWO = float32(2.0)
_ONE = float32(1.0)
_ZERO = float32(0.0)
_INV_2_32 = float32(2.0**-32)
_INV_2_24 = float32(2.0**-24)
_BYTE = uint32(8)
_TURN = float32(1.4629180792671596e-9)
_LN2 = float32(0.693147180559945)
_LOG2E = float32(1.44269504)
_MAGIC = float32(12582912.0)
_CAP = float32(126.0)
_P = tuple(
    float32(c)
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7, _P8 = _P
_S3, _S5, _S7 = float32(-1.6666654611e-1), float32(8.3321608736e-3), float32(1.9515295891e-4)
_C4, _C6, _C8 = float32(4.166664568298827e-2), float32(-1.388731625493765e-3), float32(2.443315711809948e-5)
_E0, _E1, _E2 = float32(1.53375768e-4), float32(1.33998604e-3), float32(9.61851953e-3)
_E3, _E4, _E5 = float32(5.55032900e-2), float32(2.40226466e-1), float32(6.93147206e-1)
_SQRT_HALF_BITS = int32(0x3F3504F3)
_ONE_BITS = int32(0x3F800000)
_MANTISSA = int32(23)
_EXPONENT_BIAS = int32(127)
_EIGHTH_TURN = uint32(1 << 29)
_QUADRANT = uint32(30)


@inline
def _round(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    # Words ride in the lower halves of 64 bits; what the upper halves hold never reaches an answer, and the
    # masks vanish into the 32 x 32 bit multiplication.
    p0 = _M0 * (c0 & _LOW)
    p1 = _M1 * (c2 & _LOW)
    return (p1 >> _SHIFT) ^ c1 ^ k0, p1, (p0 >> _SHIFT) ^ c3 ^ k1, p0


@inline
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four random words of counter (c0, c1, c2, c3) under key (k0, k1); unrolled so that it vectorises."""
    k0, k1 = uint64(k0), uint64(k1)
    c0, c1, c2, c3 = _round(uint64(c0), uint64(c1), uint64(c2), uint64(c3), k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_1, k1 + _W1_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_2, k1 + _W1_2)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_3, k1 + _W1_3)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_4, k1 + _W1_4)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_5, k1 + _W1_5)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_6, k1 + _W1_6)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_7, k1 + _W1_7)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_8, k1 + _W1_8)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _W0_9, k1 + _W1_9)
    return uint32(c0 & _LOW), uint32(c1 & _LOW), uint32(c2 & _LOW), uint32(c3 & _LOW)


def _as_bits(_context: Any, _value: Any) -> Any:
    """Bits of a float32 as an int32."""

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return types.int32(types.float32), build


def _as_float(_context: Any, _value: Any) -> Any:
    """Return the float32 that an int32 holds the bits of."""

    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), build


_bits: Any = intrinsic(_as_bits)
_float: Any = intrinsic(_as_float)


@inline
def _ln(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a positive normal float32, 1.1 ulp (Cephes logf)."""
    bits = _bits(x)
    e = int32(int32(bits - _SQRT_HALF_BITS) >> _MANTISSA)
    f = _float(int32(bits - int32(e << _MANTISSA))) - _ONE
    z = f * f
    y = _P0
    y = y * f + _P1
    y = y * f + _P2
    y = y * f + _P3
    y = y * f + _P4
    y = y * f + _P5
    y = y * f + _P6
    y = y * f + _P7
    y = y * f + _P8
    y = y * f * z
    y = y - _HALF * z
    return (f + y) + float32(e) * _LN2


@inline
def log2(x):  # type: ignore[no-untyped-def]
    """Binary logarithm of a positive normal float32."""
    return _ln(x) * _LOG2E


@inline
def exp2(x):  # type: ignore[no-untyped-def]
    """Two to the power x, x held within ±126, relative error 1e-7."""
    x = min(max(x, -_CAP), _CAP)
    n = (x + _MAGIC) - _MAGIC
    f = x - n
    y = _E0
    y = y * f + _E1
    y = y * f + _E2
    y = y * f + _E3
    y = y * f + _E4
    y = y * f + _E5
    y = y * f + _ONE
    return y * _float(int32((int32(n) + _EXPONENT_BIAS) << _MANTISSA))


@inline
def normal_pair(a, b):  # type: ignore[no-untyped-def]
    """Two standard normals from two random words, reach 6.66 sigma (libraries-and-speed §3.3)."""
    u = float32(uint32(a | uint32(1))) * _INV_2_32
    radius = float32(math.sqrt(max(-_TWO * _ln(u), _ZERO)))
    q = uint32(uint32(b + _EIGHTH_TURN) >> _QUADRANT)
    x = float32(int32(uint32(b - uint32(q << _QUADRANT)))) * _TURN
    x2 = x * x
    sine = x + (x * x2) * (_S3 + x2 * (_S5 - x2 * _S7))
    cosine = (_ONE - _HALF * x2) + (x2 * x2) * (_C4 + x2 * (_C6 + x2 * _C8))
    odd = (q & uint32(1)) != uint32(0)
    c = sine if odd else cosine
    s = cosine if odd else sine
    c = -c if (uint32(q + uint32(1)) & uint32(2)) != uint32(0) else c
    s = -s if (q & uint32(2)) != uint32(0) else s
    return radius * c, radius * s


@inline
def uniform(word):  # type: ignore[no-untyped-def]
    """Uniform in [0, 1) with 24 bits from one random word."""
    return float32(uint32(word >> _BYTE)) * _INV_2_24


@subroutine
def random_words(cells, events, kind, draw, key, words):  # type: ignore[no-untyped-def]
    """Write four random words per lane into the four rows of `words`."""
    k0, k1 = key[0], key[1]
    kind, draw = uint32(kind), uint32(draw)
    for i in range(LANES):
        a, b, c, d = philox(cells[i], events[i], kind, draw, k0, k1)
        words[i] = a
        words[LANES + i] = b
        words[2 * LANES + i] = c
        words[3 * LANES + i] = d


@subroutine
def normals(cells, events, kind, draw, key, words, out, at):  # type: ignore[no-untyped-def]
    """Write four standard normals per lane into the rows of `out` from offset `at` on.

    Scratch `words` holds four rows. Buffers of rows are flat, ``row * LANES + lane``: rows of one flat array
    with constant offsets cannot overlap, so LLVM vectorises without checking.
    """
    random_words(cells, events, kind, draw, key, words)
    for i in range(LANES):
        x, y = normal_pair(words[i], words[LANES + i])
        out[at + i] = x
        out[at + LANES + i] = y
    for i in range(LANES):
        x, y = normal_pair(words[2 * LANES + i], words[3 * LANES + i])
        out[at + 2 * LANES + i] = x
        out[at + 3 * LANES + i] = y


@subroutine
def uniforms(cells, events, kind, draw, key, out, at):  # type: ignore[no-untyped-def]
    """Write one uniform in [0, 1) with 24 bits per lane into the row of `out` at offset `at`."""
    k0, k1 = key[0], key[1]
    kind, draw = uint32(kind), uint32(draw)
    for i in range(LANES):
        word, _, _, _ = philox(cells[i], events[i], kind, draw, k0, k1)
        out[at + i] = uniform(word)


@subroutine
def cubic(c, buffer, source, target):  # type: ignore[no-untyped-def]
    """Evaluate a cubic, highest power first, of the row at `source` into the row at `target`."""
    c3, c2, c1, c0 = c[0], c[1], c[2], c[3]
    for i in range(LANES):
        x = buffer[source + i]
        buffer[target + i] = ((c3 * x + c2) * x + c1) * x + c0


@subroutine
def broken_line(line, buffer, source, target):  # type: ignore[no-untyped-def]
    """Evaluate ``y0 + sum of bend max(x - knot, 0)`` of the row at `source` into the row at `target`."""
    start = line[0, 1]
    if line.shape[0] == 4:  # a slope between two flats, or thereabouts: one pass over the lanes
        k1, k2, k3 = line[1, 0], line[2, 0], line[3, 0]
        b1, b2, b3 = line[1, 1], line[2, 1], line[3, 1]
        for i in range(LANES):
            x = buffer[source + i]
            y = start + b1 * max(x - k1, _ZERO)
            y = y + b2 * max(x - k2, _ZERO)
            buffer[target + i] = y + b3 * max(x - k3, _ZERO)
        return
    for i in range(LANES):
        buffer[target + i] = start
    for k in range(1, line.shape[0]):
        knot, bend = line[k, 0], line[k, 1]
        for i in range(LANES):
            buffer[target + i] += bend * max(buffer[source + i] - knot, _ZERO)
