"""Conductance drift ``G(a) = G(a_ref) (a / a_ref)^-nu`` over the age of each device (device-physics §2.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Curve, Floats, FromCard, Law, Quantity, floats

__all__ = ["ClippedLogarithmDrift", "Drift", "TableDrift"]

_SMALLEST_G = 1e-12


@dataclass(frozen=True)
class Drift(Law, ABC):
    """Drift exponent ``nu = |mean + spread N(0,1)|``, drawn at each programming event, and what it does.

    Attributes
    ----------
    t0_s : float
        Age at which the programming error holds and the drift factor is 1, s; from the card.
    pulse_reference_age_s : float
        Age at which the conductance of the pulse-level laws is defined, s (T0 of device-physics §3.1).
    device_share : float
        Share of the variance of nu that is bound to the device; the rest is drawn anew at each event.
    onset_s : float
        tau_on of device-physics §1.6, s; 0 is the pure power law.
    """

    t0_s: Annotated[float, FromCard("t0")]
    pulse_reference_age_s: Annotated[float, Quantity("s", above=0.0)]
    device_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    onset_s: Annotated[float, Quantity("s", low=0.0)]

    @abstractmethod
    def mean_exponent(self, g: ArrayLike) -> Floats:
        """Return the population mean of nu, before folding by the absolute value.

        Parameters
        ----------
        g : array_like
            Conductance over full scale.

        Returns
        -------
        ndarray of float64, shape of `g`
        """

    @abstractmethod
    def spread_exponent(self, g: ArrayLike) -> Floats:
        """Return the population standard deviation of nu, before folding, in the shape of `g`."""

    def factor(
        self, age_s: ArrayLike, exponent: ArrayLike, reference_age_s: ArrayLike | None = None
    ) -> Floats:
        """Return the conductance relative to that at a reference age.

        ``((age + onset) / (reference + onset))^-nu`` (device-physics §1.2, §1.6).

        Parameters
        ----------
        age_s : array_like
            Time since the last pulse of each device, s, above zero (or the onset above zero).
        exponent : array_like
            nu of each device.
        reference_age_s : array_like, optional
            s; `t0_s` by default.

        Returns
        -------
        ndarray of float64, the broadcast shape of the arguments
        """
        reference = self.t0_s if reference_age_s is None else reference_age_s
        ratio = (floats(age_s) + self.onset_s) / (floats(reference) + self.onset_s)
        return floats(ratio ** -floats(exponent))


@dataclass(frozen=True)
class ClippedLogarithmDrift(Drift):
    """``clip(slope ln g + offset, low, high)`` for mean and spread (device-physics §2.2).

    Attributes
    ----------
    mean_slope, mean_offset, mean_low, mean_high : float
    spread_slope, spread_offset, spread_low, spread_high : float
    """

    form: ClassVar[str] = "clipped-logarithm"

    mean_slope: Annotated[float, Quantity("1")]
    mean_offset: Annotated[float, Quantity("1")]
    mean_low: Annotated[float, Quantity("1", low=0.0)]
    mean_high: Annotated[float, Quantity("1", low=0.0)]
    spread_slope: Annotated[float, Quantity("1")]
    spread_offset: Annotated[float, Quantity("1")]
    spread_low: Annotated[float, Quantity("1", low=0.0)]
    spread_high: Annotated[float, Quantity("1", low=0.0)]

    def mean_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        return _clipped(g, self.mean_slope, self.mean_offset, self.mean_low, self.mean_high)

    def spread_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102
        return _clipped(g, self.spread_slope, self.spread_offset, self.spread_low, self.spread_high)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102
        if self.mean_low > self.mean_high:
            yield "mean_low", f"{self.mean_low!r} is above mean_high {self.mean_high!r}"
        if self.spread_low > self.spread_high:
            yield "spread_low", f"{self.spread_low!r} is above spread_high {self.spread_high!r}"


@dataclass(frozen=True)
class TableDrift(Drift):
    """Measured mean and spread of nu, joined by straight lines.

    Attributes
    ----------
    mean_table, spread_table : Curve
        Over g.
    """

    form: ClassVar[str] = "table"

    mean_table: Annotated[Curve, Quantity("1", low=0.0)]
    spread_table: Annotated[Curve, Quantity("1", low=0.0)]

    def mean_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102
        return self.mean_table.at(g)

    def spread_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102
        return self.spread_table.at(g)


def _clipped(g: ArrayLike, slope: float, offset: float, low: float, high: float) -> Floats:
    logarithm = np.log(np.maximum(floats(g), _SMALLEST_G))
    return floats(np.clip(slope * logarithm + offset, low, high))
