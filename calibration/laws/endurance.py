"""How cells die: by wear, and at once by a current beyond what they can bear (device-physics §5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = ["Damage", "Endurance"]


@dataclass(frozen=True)
class Endurance(Law):
    """Pulses until a device sticks, Weibull over devices.

    Attributes
    ----------
    scale_pulses, shape : float
        ``P(N_f > n) = exp(-(n / scale)^shape)``.
    stuck_set_share : float
        Share of the failures that end crystalline; the others end amorphous.
    """

    form: ClassVar[str] = "weibull"

    scale_pulses: Annotated[float, Quantity("1", above=0.0)]
    shape: Annotated[float, Quantity("1", above=0.0)]
    stuck_set_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]

    def lifetime_pulses(self, survival: ArrayLike) -> Floats:
        """Return the number of pulses that a share `survival` of the devices outlives, in its shape."""
        return floats(self.scale_pulses * (-np.log(floats(survival))) ** (1.0 / self.shape))

    def failed_share(self, pulses: ArrayLike) -> Floats:
        """Return the share of devices that have failed after so many pulses, in the shape of `pulses`."""
        return floats(-np.expm1(-((floats(pulses) / self.scale_pulses) ** self.shape)))


@dataclass(frozen=True)
class Damage(Law):
    """Current from which one pulse opens a device for good; no measured source.

    Attributes
    ----------
    current_mean_a, current_spread_a : float
        Normal distribution over devices, A.
    """

    form: ClassVar[str] = "over-current"

    current_mean_a: Annotated[float, Quantity("A", above=0.0)]
    current_spread_a: Annotated[float, Quantity("A", low=0.0)]
