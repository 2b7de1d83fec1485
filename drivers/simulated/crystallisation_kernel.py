"""How much of what was amorphous has crystallised since the last pulse, by heat and by reading."""

from __future__ import annotations

from numpy import float32, float64, int64

from drivers.simulated.jit import subroutine
from drivers.simulated.random_numbers import LANES, exp2, log2

__all__ = ["crystallised"]

_ZERO, _ONE, _TINY = float32(0.0), float32(1.0), float32(1e-30)
_LEAST_LOG2 = float32(-40.0)
_LOG2E = float32(1.44269504)


@subroutine
def crystallised(  # type: ignore[no-untyped-def]
    buffer, dose, deviation, target, pulsed, now, start_ns, end_ns, rate, spread, exponent
):
    """Write the crystallised share of the amorphous material of every lane into the row at `target`.

    ``1 - exp(-dose^n)``, where the dose is that of reading plus the lifetimes spent in the hot segments since
    the pulse (device-physics §5); `deviation` is the row of the device's normal, `dose` that of reading. Loops
    without a choice in them, held away from the smallest floats: others were not vectorised here.
    """
    for i in range(LANES):
        buffer[target + i] = _ZERO
    for k in range(start_ns.shape[0]):
        start, end, per_ns = start_ns[k], end_ns[k], rate[k]
        for i in range(LANES):
            spent = max(min(now[i], end) - max(pulsed[i], start), int64(0))
            buffer[target + i] += float32(float64(spent) * per_ns)
    for i in range(LANES):
        heat = buffer[target + i] * exp2(-spread * buffer[deviation + i])
        buffer[target + i] = max(heat + buffer[dose + i], _TINY)
    for i in range(LANES):
        buffer[target + i] = exponent * log2(buffer[target + i])
    for i in range(LANES):
        powered = exp2(max(buffer[target + i], _LEAST_LOG2))
        buffer[target + i] = _ONE - exp2(-_LOG2E * powered)
