"""Random telegraph noise: two fluctuators at most per device, each between two levels (device-physics §2.3)."""

from __future__ import annotations

from numpy import float32, int32, uint32

from drivers.simulated import layout
from drivers.simulated.jit import inline, subroutine
from drivers.simulated.random_numbers import LANES, Draw, Kind, exp2, random_words, uniform
from drivers.simulated.read_buffer import ADVANCE, SINCE, TELEGRAPH

__all__ = ["telegraph"]

_DEVICE, _EVENT, _FLUCTUATORS = int(Kind.DEVICE), int(Kind.TELEGRAPH), int(Draw.FLUCTUATORS)
_HALF, _ONE, _TWO = float32(0.5), float32(1.0), float32(2.0)
_INV_2_16 = float32(2.0**-16)
_LOG2E = float32(1.44269504)
_SEEN = int32(4)
# What a device's fluctuators are: amplitudes (0 where there is none) and log2 of the time constants
_A0, _A1, _T0, _T1 = (ADVANCE + n * LANES for n in range(4))


@inline
def _half_word(word, shift):  # type: ignore[no-untyped-def]
    return float32((word >> uint32(shift)) & uint32(0xFFFF)) * _INV_2_16


@subroutine
def telegraph(lane, event, no_event, buffer, words, mark, kind, law, key):  # type: ignore[no-untyped-def]
    """Bring the fluctuators of every lane up to now; their sum, relative to G, goes to the row TELEGRAPH.

    `mark` holds their levels in bits 0 and 1; without bit 2 they have not been looked at since the pulse and
    are drawn stationary. Where `kind` says that there is no working cell there is no fluctuator either.
    """
    most, low, high, shortest, octaves = law[0], law[1], law[2], law[3], law[4]
    random_words(lane, no_event, _DEVICE, _FLUCTUATORS, key, words)
    for i in range(LANES):
        works = kind[i] < int32(layout.STUCK_OPEN)
        number = float32(int32((most + _ONE) * uniform(words[i]))) if works else float32(0.0)
        pair = words[LANES + i]
        first = low + (high - low) * _half_word(pair, 0)
        second = low + (high - low) * _half_word(pair, 16)
        buffer[_A0 + i] = first if number >= _ONE else float32(0.0)
        buffer[_A1 + i] = second if number >= _TWO else float32(0.0)
        buffer[_T0 + i] = shortest + octaves * uniform(words[2 * LANES + i])
        buffer[_T1 + i] = shortest + octaves * uniform(words[3 * LANES + i])
    random_words(lane, event, _EVENT, 0, key, words)
    for i in range(LANES):
        seen = (mark[i] & _SEEN) != int32(0)
        since = -_LOG2E * buffer[SINCE + i]
        # both levels live equally long: odd numbers of jumps have the probability (1 - exp(-t / tau)) / 2
        odd0 = _HALF * (_ONE - exp2(since * exp2(-buffer[_T0 + i])))
        odd1 = _HALF * (_ONE - exp2(since * exp2(-buffer[_T1 + i])))
        u0, u1 = uniform(words[i]), uniform(words[LANES + i])
        jumps0 = u0 < (odd0 if seen else _HALF)
        jumps1 = u1 < (odd1 if seen else _HALF)
        level0 = (mark[i] & int32(1)) ^ int32(jumps0)
        level1 = ((mark[i] >> int32(1)) & int32(1)) ^ int32(jumps1)
        mark[i] = (mark[i] & ~int32(7)) | level0 | (level1 << int32(1)) | _SEEN
        buffer[TELEGRAPH + i] = buffer[_A0 + i] * (float32(level0) - _HALF) + buffer[_A1 + i] * (
            float32(level1) - _HALF
        )
