"""Current over voltage below threshold, and over polarity (device-physics §4.1, §4.3).

Conductances of a card are current over voltage at one reference voltage; here is what the current is at
another one. The nonlinearity grows as the conductance falls, since the crystalline path is ohmic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats
from calibration.laws.temperature import BOLTZMANN_EV_PER_K

__all__ = ["CubicCurrentVoltage", "CurrentVoltage", "HoppingCurrentVoltage", "hopping_voltage_v"]

_SINH_TERMS = 6
_ROOM_K = 300.0


@dataclass(frozen=True)
class CurrentVoltage(Law, ABC):
    """Current over voltage, odd in the voltage but for a small asymmetry of each device.

    Attributes
    ----------
    reference_v : float
        Voltage at which conductances are stated, V.
    polarity_spread : float
        Standard deviation over devices of f; a negative voltage drives 1 - f of the current (aihwkit's
        ``w_read_asymmetry_dtod``).
    """

    reference_v: Annotated[float, Quantity("V", above=0.0)]
    polarity_spread: Annotated[float, Quantity("1", low=0.0, high=0.5)]

    @abstractmethod
    def odd_terms(self, g: ArrayLike) -> Floats:
        """Return c in ``I = G sum_k c_k V^(2k+1)`` at 300 K.

        Parameters
        ----------
        g : array_like
            Conductance over full scale; held within 0 .. 1.

        Returns
        -------
        ndarray of float64, shape (terms, *shape of g)
            In 1/V^(2k).
        """

    def factor(self, g: ArrayLike, voltage_v: float) -> Floats:
        """Return the current over ``G V``.

        Parameters
        ----------
        g : array_like
            Conductance over full scale.
        voltage_v : float
            V.

        Returns
        -------
        ndarray of float64, shape of `g`
            1 at the reference voltage.
        """
        terms = self.odd_terms(g)
        powers = float(voltage_v) ** (2.0 * np.arange(len(terms)))
        return floats(np.tensordot(powers, terms, axes=1))


@dataclass(frozen=True)
class CubicCurrentVoltage(CurrentVoltage):
    """``I = G V [1 + b (1-g)(V/V_ref)^2] / [1 + b (1-g)]`` (device-physics §4.1, the cheap form).

    Attributes
    ----------
    curvature : float
        b.
    """

    form: ClassVar[str] = "cubic"

    curvature: Annotated[float, Quantity("1", low=0.0)]

    def odd_terms(self, g: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        bent = self.curvature * (1.0 - np.clip(floats(g), 0.0, 1.0))
        return floats(np.stack([np.ones_like(bent), bent / self.reference_v**2]) / (1.0 + bent))


@dataclass(frozen=True)
class HoppingCurrentVoltage(CurrentVoltage):
    """``I ~ g V + (1-g) V_0 sinh(V/V_0)``: an ohmic crystalline and a hopping amorphous path (§4.1).

    Attributes
    ----------
    thickness_m : float
        Amorphous thickness u_a, m.
    hopping_distance_m : float
        dz, m.
    """

    form: ClassVar[str] = "hopping-sinh"

    thickness_m: Annotated[float, Quantity("m", above=0.0)]
    hopping_distance_m: Annotated[float, Quantity("m", above=0.0)]

    def odd_terms(self, g: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        v0 = float(hopping_voltage_v(self.thickness_m, self.hopping_distance_m, _ROOM_K))
        orders = np.arange(_SINH_TERMS)
        series = np.array([1.0 / (math.factorial(2 * int(k) + 1) * v0 ** (2 * int(k))) for k in orders])
        amorphous = 1.0 - np.clip(floats(g), 0.0, 1.0)
        at_reference = float(np.sum(series * self.reference_v ** (2.0 * orders)))
        bent = np.multiply.outer(series, amorphous)
        bent[0] += 1.0 - amorphous
        return floats(bent / (1.0 + amorphous * (at_reference - 1.0)))


def hopping_voltage_v(thickness_m: ArrayLike, hopping_distance_m: float, temperature_k: float) -> Floats:
    """Return V_0 of the hopping law, ``2 k T u_a / (q dz)``, V (device-physics §4.1).

    Parameters
    ----------
    thickness_m : array_like
        Amorphous thickness, m.
    hopping_distance_m : float
        m.
    temperature_k : float
        K.

    Returns
    -------
    ndarray of float64, shape of `thickness_m`
    """
    return floats(2.0 * BOLTZMANN_EV_PER_K * temperature_k * floats(thickness_m) / hopping_distance_m)
