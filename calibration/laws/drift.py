"""Conductance drift ``G(a) = G(a_ref) (a / a_ref)^-nu`` over the age of each device (§2.2, §2.8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from numpy.typing import ArrayLike

from calibration.laws.law import (
    Curve,
    Floats,
    FromCard,
    Law,
    Quantity,
    clipped_logarithm,
    floats,
    knee_then_polynomial,
)

__all__ = ["ClippedLogarithmDrift", "Drift", "LogarithmThenQuadraticDrift", "TableDrift"]


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
        return clipped_logarithm(g, self.mean_slope, self.mean_offset, self.mean_low, self.mean_high)

    def spread_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102
        return clipped_logarithm(g, self.spread_slope, self.spread_offset, self.spread_low, self.spread_high)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102
        yield from _inverted_ends(self.mean_low, self.mean_high, "mean")
        yield from _inverted_ends(self.spread_low, self.spread_high, "spread")


@dataclass(frozen=True)
class LogarithmThenQuadraticDrift(Drift):
    """A clipped logarithm below a knee and a parabola from it on, as IBM HERMES has it (device-physics §2.8).

    ``clip(slope ln g + offset, low, high)`` for g < knee, ``quadratic g^2 + linear g + constant`` above, for
    mean and spread alike; above g = 1, where no device was fitted, as at 1, and never below zero.

    Attributes
    ----------
    mean_knee, mean_slope, mean_offset, mean_low, mean_high : float
    mean_quadratic, mean_linear, mean_constant : float
    spread_knee, spread_slope, spread_offset, spread_low, spread_high : float
    spread_quadratic, spread_linear, spread_constant : float
    """

    form: ClassVar[str] = "logarithm-then-quadratic"

    mean_knee: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    mean_slope: Annotated[float, Quantity("1")]
    mean_offset: Annotated[float, Quantity("1")]
    mean_low: Annotated[float, Quantity("1", low=0.0)]
    mean_high: Annotated[float, Quantity("1", low=0.0)]
    mean_quadratic: Annotated[float, Quantity("1")]
    mean_linear: Annotated[float, Quantity("1")]
    mean_constant: Annotated[float, Quantity("1")]
    spread_knee: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    spread_slope: Annotated[float, Quantity("1")]
    spread_offset: Annotated[float, Quantity("1")]
    spread_low: Annotated[float, Quantity("1", low=0.0)]
    spread_high: Annotated[float, Quantity("1", low=0.0)]
    spread_quadratic: Annotated[float, Quantity("1")]
    spread_linear: Annotated[float, Quantity("1")]
    spread_constant: Annotated[float, Quantity("1")]

    def mean_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        below = clipped_logarithm(g, self.mean_slope, self.mean_offset, self.mean_low, self.mean_high)
        above = (self.mean_constant, self.mean_linear, self.mean_quadratic)
        return knee_then_polynomial(g, self.mean_knee, below, above)

    def spread_exponent(self, g: ArrayLike) -> Floats:  # noqa: D102
        below = clipped_logarithm(g, self.spread_slope, self.spread_offset, self.spread_low, self.spread_high)
        above = (self.spread_constant, self.spread_linear, self.spread_quadratic)
        return knee_then_polynomial(g, self.spread_knee, below, above)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102
        yield from _inverted_ends(self.mean_low, self.mean_high, "mean")
        yield from _inverted_ends(self.spread_low, self.spread_high, "spread")


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


def _inverted_ends(low: float, high: float, name: str) -> Iterator[tuple[str, str]]:
    if low > high:
        yield f"{name}_low", f"{low!r} is above {name}_high {high!r}"
