"""Slow crystallisation of what is amorphous: retention over temperature, and disturb by reading (§4.2, §5).

Both add to one dose since the last pulse, in units of a lifetime; the amorphous share that has crystallised
is ``1 - exp(-dose^n)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats
from calibration.laws.temperature import BOLTZMANN_EV_PER_K

__all__ = ["ReadDisturb", "Retention"]


@dataclass(frozen=True)
class Retention(Law):
    """Crystallisation over temperature, ``t_fail = t_inf exp(E_c / kT)`` (device-physics §5).

    Attributes
    ----------
    lifetime_s : float
        Time after which 1 - 1/e has crystallised, s, at
    lifetime_temperature_k : float
        this temperature, K.
    activation_energy_ev : float
        E_c, eV.
    exponent : float
        n of Johnson, Mehl and Avrami.
    ln_spread : float
        Standard deviation over devices of ln t_fail.
    """

    form: ClassVar[str] = "arrhenius-avrami"

    lifetime_s: Annotated[float, Quantity("s", above=0.0)]
    lifetime_temperature_k: Annotated[float, Quantity("K", above=0.0)]
    activation_energy_ev: Annotated[float, Quantity("eV", low=0.0)]
    exponent: Annotated[float, Quantity("1", above=0.0, high=4.0)]
    ln_spread: Annotated[float, Quantity("1", low=0.0)]

    def rate_per_s(self, temperature_k: ArrayLike) -> Floats:
        """Return the dose per second at a temperature, 1/s; the reciprocal is t_fail."""
        inverse = 1.0 / floats(temperature_k) - 1.0 / self.lifetime_temperature_k
        exponent = -self.activation_energy_ev / BOLTZMANN_EV_PER_K * inverse
        return floats(np.exp(np.clip(exponent, -700.0, 700.0)) / self.lifetime_s)

    def crystallised_share(self, dose: ArrayLike) -> Floats:
        """Return the share of the amorphous material that has crystallised, ``1 - exp(-dose^n)``."""
        return floats(-np.expm1(-(np.maximum(floats(dose), 0.0) ** self.exponent)))


@dataclass(frozen=True)
class ReadDisturb(Law):
    """Crystallisation by reading, faster by e for every `voltage_step_v`; no measured source.

    Attributes
    ----------
    lifetime_s : float
        Time under the reference voltage that gives a dose of 1, s.
    reference_v, voltage_step_v : float
        V.
    """

    form: ClassVar[str] = "exponential-in-voltage"

    lifetime_s: Annotated[float, Quantity("s", above=0.0)]
    reference_v: Annotated[float, Quantity("V", above=0.0)]
    voltage_step_v: Annotated[float, Quantity("V", above=0.0)]

    def dose(self, voltage_v: float, seconds: float) -> float:
        """Return the dose of a voltage held for some seconds."""
        exponent = (abs(voltage_v) - self.reference_v) / self.voltage_step_v
        return float(np.exp(np.clip(exponent, -700.0, 700.0)) * seconds / self.lifetime_s)
