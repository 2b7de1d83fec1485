"""Read noise of a 14 nm chip over the integration time, for reads of 1 to 100 ns (device-physics §2.9).

A function and no form of the law `read_noise`: that law is a process in time, 1/f with its correlation from
read to read, over ages of seconds to days; this is the standard deviation of one integration alone, with a
part that does not scale with G, and says nothing of the next one. The boards read for a microsecond and more,
where it was not fitted. The two describe one noise from two sides and are never added (device-physics §1.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, floats

__all__ = ["LONGEST_INTEGRATION_S", "SHORTEST_INTEGRATION_S", "short_read_noise_s"]

SHORTEST_INTEGRATION_S = 1e-9
LONGEST_INTEGRATION_S = 100e-9

# IBM aihwkit 4545f11, src/aihwkit/simulator/tiles/analog_mvm_irdrop_t.py; from the constant up, in log10(t/ns)
_PER_SIEMENS = (0.02578764, -0.0146159, 0.00655714, -0.00187352, 0.00021926)
_MICROSIEMENS = (0.117763, -0.0677079, 0.0307015, -0.00908577, 0.00111906)


def short_read_noise_s(g_s: ArrayLike, integration_s: ArrayLike) -> Floats:
    """Return the standard deviation of the conductance seen in one integration, ``a(x) G + b(x)``.

    a and b are polynomials of degree four in ``x = log10(integration / 1 ns)``: 2.58 % G + 0.118 uS at 1 ns,
    1.61 % G + 0.073 uS at 10 ns, 1.13 % G + 0.050 uS at 100 ns.

    Parameters
    ----------
    g_s : array_like
        Conductance, S, not negative.
    integration_s : array_like
        Integration time, s, within `SHORTEST_INTEGRATION_S` .. `LONGEST_INTEGRATION_S`.

    Returns
    -------
    ndarray of float64, the broadcast shape
        S.

    Raises
    ------
    ValueError
        An integration time outside the fit, or a negative conductance.
    """
    g, time = floats(g_s), floats(integration_s)
    fitted = (time >= SHORTEST_INTEGRATION_S) & (time <= LONGEST_INTEGRATION_S)
    if not np.all(fitted):
        worst = float(time[~fitted].flat[0])
        raise ValueError(
            f"integration of {worst!r} s is outside {SHORTEST_INTEGRATION_S!r} .. {LONGEST_INTEGRATION_S!r} s, "
            "where this noise was fitted; use the card's read_noise there"
        )
    if not np.all(g >= 0.0):
        raise ValueError(f"conductances cannot be negative, got {float(g.min())!r} S")
    x = np.log10(time / 1e-9)
    polynomial = np.polynomial.polynomial.polyval
    return floats(polynomial(x, _PER_SIEMENS) * g + polynomial(x, _MICROSIEMENS) * 1e-6)
