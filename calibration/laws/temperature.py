"""Conductance over temperature: ``G(T) = G(T_ref) exp(-E_a/k (1/T - 1/T_ref))`` (device-physics §4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = ["BOLTZMANN_EV_PER_K", "Temperature"]

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""Boltzmann constant (CODATA 2018, exact by definition of the SI), eV/K."""


@dataclass(frozen=True)
class Temperature(Law):
    """Activation energy over the conductance, ``E_a = amorphous (1 - g)^2 + crystalline``.

    Attributes
    ----------
    amorphous_energy_ev : float
        Additional energy at g = 0, eV.
    crystalline_energy_ev : float
        Energy at g = 1, eV.
    spread : float
        Relative standard deviation of the energy over devices.
    reference_k : float
        Temperature at which the factor is 1, K.
    """

    form: ClassVar[str] = "arrhenius-quadratic"

    amorphous_energy_ev: Annotated[float, Quantity("eV")]
    crystalline_energy_ev: Annotated[float, Quantity("eV")]
    spread: Annotated[float, Quantity("1", low=0.0)]
    reference_k: Annotated[float, Quantity("K", above=0.0)]

    def activation_energy_ev(self, g: ArrayLike) -> Floats:
        """Return the mean activation energy at conductances over full scale (held at g = 0 and 1), eV."""
        amorphous = 1.0 - np.clip(floats(g), 0.0, 1.0)
        return floats(self.amorphous_energy_ev * amorphous * amorphous + self.crystalline_energy_ev)

    def log_factor(self, g: ArrayLike, temperature_k: ArrayLike) -> Floats:
        """Return the natural logarithm of `factor` for the mean device."""
        inverse = 1.0 / floats(temperature_k) - 1.0 / self.reference_k
        return floats(-self.activation_energy_ev(g) / BOLTZMANN_EV_PER_K * inverse)

    def factor(self, g: ArrayLike, temperature_k: ArrayLike, deviation: ArrayLike = 0.0) -> Floats:
        """Return the conductance relative to that at the reference temperature.

        Parameters
        ----------
        g : array_like
            Conductance over full scale.
        temperature_k : array_like
            K, above zero.
        deviation : array_like
            Of each device, in standard deviations of its activation energy.

        Returns
        -------
        ndarray of float64, the broadcast shape
        """
        scale = 1.0 + self.spread * floats(deviation)
        return floats(np.exp(scale * self.log_factor(g, temperature_k)))
