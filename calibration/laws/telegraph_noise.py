"""Random telegraph noise: a few two-level fluctuators in each device (device-physics §2.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = ["MOST_FLUCTUATORS", "TelegraphNoise"]

MOST_FLUCTUATORS = 2


@dataclass(frozen=True)
class TelegraphNoise(Law):
    """Fluctuators bound to the device, each switching between two levels ``+-amplitude/2`` of G.

    Their number is uniform over 0 .. `fluctuators_max`, the amplitude uniform, the time constant log-uniform;
    both levels are equally long-lived. The time constant is that of the autocovariance, ``exp(-lag / tau)``.

    Attributes
    ----------
    fluctuators_max : int
        Most fluctuators of a device, at most `MOST_FLUCTUATORS`.
    amplitude_low, amplitude_high : float
        Peak to peak, relative to G.
    tau_min_s, tau_max_s : float
        Time constants, s.
    """

    form: ClassVar[str] = "two-level"

    fluctuators_max: Annotated[int, Quantity("1", low=0.0, high=MOST_FLUCTUATORS, whole=True)]
    amplitude_low: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    amplitude_high: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    tau_min_s: Annotated[float, Quantity("s", above=0.0)]
    tau_max_s: Annotated[float, Quantity("s", above=0.0)]

    def autocovariance(self, lag_s: ArrayLike) -> Floats:
        """Return the mean over devices of the autocovariance, relative to G^2.

        ``E[n] E[A^2] / 4`` times the mean of ``exp(-lag / tau)`` over log-uniform time constants,
        ``[E1(lag / tau_max) - E1(lag / tau_min)] / ln(tau_max / tau_min)``.

        Parameters
        ----------
        lag_s : array_like
            s, 0 for the variance.

        Returns
        -------
        ndarray of float64, shape of `lag_s`
        """
        from scipy.special import exp1

        low, high = self.amplitude_low, self.amplitude_high
        variance = 0.5 * self.fluctuators_max * (low * low + low * high + high * high) / 3.0 / 4.0
        lag = np.maximum(floats(lag_s), 1e-12 * self.tau_min_s)
        span = math.log(self.tau_max_s / self.tau_min_s)
        return floats(variance * (exp1(lag / self.tau_max_s) - exp1(lag / self.tau_min_s)) / span)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        if self.amplitude_low > self.amplitude_high:
            yield "amplitude_low", f"{self.amplitude_low!r} is above amplitude_high {self.amplitude_high!r}"
        if self.tau_min_s >= self.tau_max_s:
            yield "tau_min_s", f"{self.tau_min_s!r} s is not below tau_max_s {self.tau_max_s!r} s"
