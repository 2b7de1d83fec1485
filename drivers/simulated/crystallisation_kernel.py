"""How much of what was amorphous has crystallised since the last pulse, by heat and by reading."""

from __future__ import annotations

from numpy import float32, float64

from drivers.simulated.jit import subroutine
from drivers.simulated.random_numbers import LANES, exp2, log2

__all__ = ["crystallised"]

_ZERO, _ONE, _TINY = float32(0.0), float32(1.0), float32(1e-30)
_LOG2E = float32(1.44269504)


@subroutine
def crystallised(  # type: ignore[no-untyped-def]
    buffer, dose, deviation, target, pulsed, now, start_ns, end_ns, rate, spread, exponent
):
    """Write the crystallised share of the amorphous material of every lane into the row at `target`.

    ``1 - exp(-dose^n)``, where the dose is that of reading plus the lifetimes spent in the hot segments since
    the pulse (device-physics §5); `deviation` is the row of the device's normal, `dose` that of reading.
    """
    for i in range(LANES):
        buffer[target + i] = _ZERO
    for k in range(start_ns.shape[0]):
        start, end, per_ns = start_ns[k], end_ns[k], rate[k]
        for i in range(LANES):
            spent = float64(min(now[i], end) - max(pulsed[i], start))
            buffer[target + i] += float32(max(spent, 0.0) * per_ns)
    for i in range(LANES):
        heat = buffer[target + i] * exp2(-spread * buffer[deviation + i])
        total = heat + buffer[dose + i]
        powered = exp2(exponent * log2(max(total, _TINY)))
        buffer[target + i] = _ONE - exp2(-_LOG2E * powered) if total > _TINY else _ZERO
