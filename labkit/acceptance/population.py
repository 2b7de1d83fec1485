"""Populations of devices computed straight from the laws of a card: what the mock is compared with.

They share nothing with the simulated chip but the laws, and stand in for the printed tables where a card has
laws of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.laws.accumulation import Accumulation
    from calibration.laws.programming_curve import ProgrammingCurve

__all__ = ["accumulated_s", "melted_s"]

_DEVICES = 100_000


def accumulated_s(
    law: Accumulation, pulses: int, curve: ProgrammingCurve, *, highest_s: float | None = None, seed: int = 7
) -> NDArray[np.float64]:
    """Return conductances after each SET pulse, in the paper's form of the law (device-physics §3.1).

    Parameters
    ----------
    law : Accumulation
    pulses : int
    curve : ProgrammingCurve
        No device goes beyond its full conductance.
    highest_s : float, optional
        Another clip than the law's own.

    Returns
    -------
    ndarray of float64, shape (pulses, devices)
        Siemens.
    """
    random = np.random.default_rng(seed)
    full_s = curve.full_conductance_mean_s + curve.full_conductance_spread_s * random.standard_normal(
        _DEVICES
    )
    top_s = np.minimum(law.highest_s if highest_s is None else highest_s, full_s)
    g_s = np.full(_DEVICES, law.lowest_s)
    after = np.empty((pulses, _DEVICES))
    # The spread of the published form contains what devices differ by; that of the abstract one comes on top.
    device = 1.0 + law.step_spread * random.standard_normal(_DEVICES) if law.device_scales_slope else 1.0
    # A device whose full conductance lies below the asymptote of the law goes towards that instead.
    beyond_s = np.maximum(law.offset_s + law.slope * full_s, 0.0)
    for p in range(1, pulses + 1):
        spread_s = law.spread_step_s(g_s, p)
        g_s = (
            g_s + device * (law.mean_step_s(g_s, p) - beyond_s) + spread_s * random.standard_normal(_DEVICES)
        )
        after[p - 1] = g_s = np.maximum(np.minimum(g_s, top_s), law.lowest_s)
    return after


def melted_s(
    curve: ProgrammingCurve, current_a: float, *, floored: bool, seed: int = 3
) -> NDArray[np.float64]:
    """Return conductances of crystalline devices after one melting pulse (device-physics §3.6).

    Parameters
    ----------
    current_a : float
    floored : bool
        Whether the draw of the RESET state bounds them below.

    Returns
    -------
    ndarray of float64, shape (devices,)
        Siemens.
    """
    random = np.random.default_rng(seed)
    melt, full, top, cycle, reset = random.standard_normal((5, _DEVICES))
    depth = curve.melt_depth(
        current_a,
        curve.melt_current_mean_a + curve.melt_current_spread_a * melt,
        curve.full_current_mean_a + curve.full_current_spread_a * full,
    )
    full_s = curve.full_conductance_mean_s + curve.full_conductance_spread_s * top
    g_s = full_s * curve.remaining_share(depth) * np.exp(curve.cycle_spread * cycle)
    lowest_s = curve.reset_median_s * np.exp(curve.reset_ln_spread * reset) if floored else 0.0
    return np.asarray(np.maximum(g_s, lowest_s))
