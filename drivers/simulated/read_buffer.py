"""Where the kernels of a read keep what they work on: rows of 256 lanes in one local float32 buffer."""

from __future__ import annotations

from drivers.simulated import layout
from drivers.simulated.random_numbers import LANES

__all__ = [
    "ADVANCE",
    "AGE",
    "B0",
    "B1",
    "B2",
    "B3",
    "CONDUCTANCE",
    "DIVISOR",
    "DOSE",
    "EXPONENT",
    "FULL",
    "HIGH_SUM",
    "LOW_SUM",
    "NOW",
    "PULSED",
    "RANGE",
    "REVEAL",
    "SEEN",
    "SINCE",
    "SIZE",
    "STRENGTH",
    "TELEGRAPH",
    "U",
    "V",
    "Y",
]

# State of the cell; the rest is scratch
CONDUCTANCE, DIVISOR, EXPONENT, STRENGTH, LOW_SUM, HIGH_SUM, DOSE = (
    row * LANES
    for row in (
        layout.CONDUCTANCE, layout.DIVISOR, layout.EXPONENT, layout.STRENGTH, layout.LOW_SUM, layout.HIGH_SUM,
        layout.DOSE,
    )
)  # fmt: skip
_S = layout.STATE_ROWS * LANES
SINCE, AGE, Y, U, V, RANGE = (_S + n * LANES for n in range(6))
# Four normals of every reading: lump, first sample, and reveal and step of the state first_slow
B0, B1, B2, B3 = (_S + n * LANES for n in range(6, 10))
REVEAL = _S + 10 * LANES  # four rows
ADVANCE = _S + 14 * LANES  # four rows
TELEGRAPH = _S + 18 * LANES
FULL = _S + 19 * LANES
SIZE = _S + 20 * LANES
# Rows of the local int64 buffer of clocks
PULSED, SEEN, NOW = layout.PULSED * LANES, layout.SEEN * LANES, 2 * LANES
