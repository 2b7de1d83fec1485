"""What a burst of a source-meter is to a chip: a conductance and a flag."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Limits, ReadFlag, ReadSetup
from drivers.errors import InstrumentError

if TYPE_CHECKING:
    from drivers.roles import Burst

__all__ = ["check_read", "conductance_of"]

_LEAST_SHARE = 0.5
"""Of the read voltage that must be on the cell for I/V to be its conductance. A default."""


def check_read(cells: NDArray[np.uint32], setup: ReadSetup, number: int, limits: Limits) -> None:
    """Refuse a read that cannot be made as asked.

    Raises
    ------
    InstrumentError
        Nothing was sent.
    """
    if cells.ndim != 1:
        raise InstrumentError(f"cells of shape {cells.shape}; give a list")
    if cells.size and cells.max() >= number:
        raise InstrumentError(f"cell {cells.max()} is outside the chip of {number} cells")
    if np.unique(cells).size != cells.size:
        raise InstrumentError("a cell stands twice in the list of a read; name each once")
    low_v, high_v = limits.read_voltage_v
    if not low_v <= setup.voltage_v <= high_v:
        raise InstrumentError(f"this chip is read at {low_v:g} .. {high_v:g} V, not at {setup.voltage_v:g} V")
    least, most = limits.read_samples
    if not least <= setup.samples <= most:
        raise InstrumentError(f"{setup.samples} samples; possible is {least} .. {most}")
    short_s, long_s = limits.read_aperture_s
    if not short_s <= setup.aperture_s <= long_s:
        raise InstrumentError(
            f"an aperture of {setup.aperture_s:g} s; possible is {short_s:g} .. {long_s:g} s"
        )
    if setup.range_a is not None and not 0 < setup.range_a <= max(limits.read_ranges_a):
        raise InstrumentError(
            f"a current range of {setup.range_a:g} A; possible is up to {max(limits.read_ranges_a):g} A"
        )


def conductance_of(
    burst: Burst, level_v: float, floor_a: float, *, automatic: bool = False
) -> tuple[float, int]:
    """Return the conductance a burst has measured and what is wrong with it.

    Parameters
    ----------
    burst : Burst
    level_v : float
        Voltage that was asked for.
    floor_a : float
        Mean currents below are the instrument's own: the reading stays, with its flag.
    automatic : bool
        The range was automatic: samples over it were taken while it changed, and the others count.

    Returns
    -------
    g_s : float
        Mean of current over voltage, siemens; NaN where the current, or the voltage with it, was limited.
    flag : int
        Of :class:`~drivers.chip.ReadFlag`.
    """
    volts, amperes = burst.voltage_v, burst.current_a
    if not amperes.size:
        return math.nan, int(ReadFlag.NOT_READ)
    known = np.isfinite(volts) & np.isfinite(amperes)
    if burst.limited.any() or not (known.any() if automatic else known.all()):
        return math.nan, int(ReadFlag.CLIPPED_HIGH)
    volts, amperes = volts[known], amperes[known]
    if (np.abs(volts) < _LEAST_SHARE * abs(level_v)).any():
        return math.nan, int(ReadFlag.CLIPPED_HIGH)
    low = abs(float(amperes.mean())) < floor_a
    return float(np.mean(amperes / volts)), int(ReadFlag.CLIPPED_LOW if low else ReadFlag.OK)
