"""Threshold switching: a read too high turns an amorphous cell on and destroys its state (§4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = ["ThresholdSwitching"]

_SHORTEST_AGE_S = 1e-6


@dataclass(frozen=True)
class ThresholdSwitching(Law):
    """Threshold voltage over state and age: ``V_th = [V_1 + (V_0 - V_1)(1 - g/g_1)] (1 + k ln(age/1 s))``.

    The amorphous thickness, and with it V_th, falls as the conductance rises; from g_1 on there is no plug
    across the current and nothing switches. V_th rises linearly in ln t (device-physics §4.2).

    Attributes
    ----------
    amorphous_voltage_v : float
        V_0, of a fully amorphous cell at an age of 1 s, V.
    smallest_voltage_v : float
        V_1, of the thinnest plug, V.
    largest_g : float
        g_1, conductance over full scale of the thinnest plug.
    drift_per_efold : float
        k, per unit of ln t.
    spread : float
        Relative standard deviation over devices.
    share_after : float
        Conductance after switching over the fully crystalline one of the device: the filament crystallises.
    """

    form: ClassVar[str] = "linear-in-conductance"

    amorphous_voltage_v: Annotated[float, Quantity("V", above=0.0)]
    smallest_voltage_v: Annotated[float, Quantity("V", above=0.0)]
    largest_g: Annotated[float, Quantity("1", above=0.0, high=1.0)]
    drift_per_efold: Annotated[float, Quantity("1", low=0.0, high=0.1)]
    spread: Annotated[float, Quantity("1", low=0.0, high=0.5)]
    share_after: Annotated[float, Quantity("1", above=0.0, high=1.0)]

    def voltage_v(self, g: ArrayLike, age_s: ArrayLike = 1.0, deviation: ArrayLike = 0.0) -> Floats:
        """Return the voltage at which a cell switches.

        Parameters
        ----------
        g : array_like
            Conductance over full scale.
        age_s : array_like
            Since the last pulse, s; below 1 us as at 1 us.
        deviation : array_like
            Of each device, in standard deviations.

        Returns
        -------
        ndarray of float64, the broadcast shape
            V; infinite where nothing can switch.
        """
        share = floats(g) / self.largest_g
        plain = self.smallest_voltage_v + (self.amorphous_voltage_v - self.smallest_voltage_v) * (1.0 - share)
        aged = 1.0 + self.drift_per_efold * np.log(np.maximum(floats(age_s), _SHORTEST_AGE_S))
        spread = 1.0 + self.spread * floats(deviation)
        return floats(np.where(share < 1.0, plain * aged * spread, np.inf))

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        if self.smallest_voltage_v > self.amorphous_voltage_v:
            yield (
                "smallest_voltage_v",
                f"{self.smallest_voltage_v!r} V is above amorphous_voltage_v {self.amorphous_voltage_v!r} V",
            )
