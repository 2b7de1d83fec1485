"""Read noise with a 1/f spectrum as a sum of Ornstein-Uhlenbeck states (device-physics §1.4, §2.3, §2.5, §2.8).

``S_G(f) / G^2 = Q_s^2 / f`` for spectral slope 1. All variances below are in units of Q_s^2, relative to G.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import (
    Choice,
    Curve,
    Floats,
    Law,
    Quantity,
    clipped_logarithm,
    floats,
    knee_then_polynomial,
)

__all__ = ["LogarithmThenCubicReadNoise", "PowerReadNoise", "ReadNoise", "TableReadNoise"]

_SERIES_BELOW = 1e-3


@dataclass(frozen=True)
class ReadNoise(Law, ABC):
    """Strength of the noise over the conductance, and the states that generate it.

    Attributes
    ----------
    read_width_s : float
        t_read of the published accumulated spread, s.
    tau_min_s, tau_max_s : float
        Edges of the time constants, s.
    states_per_decade : float
        Density of the states.
    spectral_slope : float
        ``S ~ 1/f^slope``, normalised so that ``S(1 Hz) = Q_s^2 G^2`` at any slope.
    start : str
        "stationary": the states are drawn from their long-term distribution at each programming event;
        "zero": they start at zero there.
    """

    read_width_s: Annotated[float, Quantity("s", above=0.0)]
    tau_min_s: Annotated[float, Quantity("s", above=0.0)]
    tau_max_s: Annotated[float, Quantity("s", above=0.0)]
    states_per_decade: Annotated[float, Quantity("1", above=0.0, high=16.0)]
    spectral_slope: Annotated[float, Quantity("1", low=0.5, high=1.5)]
    start: Annotated[str, Choice(("stationary", "zero"))]

    @abstractmethod
    def strength(self, g: ArrayLike) -> Floats:
        """Return Q_s.

        Parameters
        ----------
        g : array_like
            Target over full scale.

        Returns
        -------
        ndarray of float64, shape of `g`
        """

    def time_constants_s(self) -> Floats:
        """Return the time constants of the states, centred in their cells of the logarithmic grid.

        Centred cells give exactly ``ln(tau_max/tau_min)`` of variance; states on the edges would add half a
        cell at each end (device-physics §2.5).

        Returns
        -------
        ndarray of float64, shape (states,)
            ``tau_min 10^((k + 1/2) / states_per_decade)``, s.
        """
        decades = math.log10(self.tau_max_s / self.tau_min_s)
        states = max(round(decades * self.states_per_decade), 1)
        return floats(self.tau_min_s * 10.0 ** ((np.arange(states) + 0.5) * (decades / states)))

    def state_variances(self) -> Floats:
        """Return the stationary variance of each state, in units of Q_s^2.

        ``Delta(ln tau)`` each for slope 1. Otherwise ``var_k ~ tau_k^(slope - 1)`` (device-physics §2.5),
        scaled so that the spectrum at 1 Hz keeps its value: integrating the Lorentzians gives ``S(f) = (2 pi
        f)^-a A / (f cos(pi a / 2))`` for weights ``A tau^a``, a = slope - 1.

        Returns
        -------
        ndarray of float64, shape (states,)
        """
        tau = self.time_constants_s()
        cell = math.log(self.tau_max_s / self.tau_min_s) / len(tau)
        a = self.spectral_slope - 1.0
        return floats(cell * math.cos(0.5 * math.pi * a) * (2.0 * math.pi * tau) ** a)

    def accumulated_sigma(self, t_s: ArrayLike) -> Floats:
        """Return the spread over devices of one read at an age, relative to G, in units of Q_s.

        ``sqrt(ln((t + t_read) / (2 t_read)))`` (device-physics §1.4), 0 before t_read. This is not the noise
        from read to read; see `structure_half_variance`.

        Parameters
        ----------
        t_s : array_like
            Age, s.

        Returns
        -------
        ndarray of float64, shape of `t_s`
        """
        ratio = (floats(t_s) + self.read_width_s) / (2.0 * self.read_width_s)
        return floats(np.sqrt(np.log(np.maximum(ratio, 1.0))))

    def structure_half_variance(self, lag_s: ArrayLike) -> Floats:
        """Return half the variance of the difference of two reads of one device, in units of Q_s^2.

        ``sum_k var_k (1 - exp(-lag / tau_k))`` (device-physics §1.4), relative to G^2; its root is the noise
        from read to read.

        Parameters
        ----------
        lag_s : array_like
            Time between the reads, s.

        Returns
        -------
        ndarray of float64, shape of `lag_s`
        """
        lags = floats(lag_s)[..., np.newaxis]
        return floats(-np.expm1(-lags / self.time_constants_s()) @ self.state_variances())

    def boxcar_factor(self, x: ArrayLike) -> Floats:
        """Return how much of a state's variance is left in its average over a window.

        ``2 (x - 1 + e^-x) / x^2`` (device-physics §2.5), continued by its series near zero.

        Parameters
        ----------
        x : array_like
            Width of the window over the time constant of the state.

        Returns
        -------
        ndarray of float64, shape of `x`
            1 at 0, falling as 2/x.
        """
        u = floats(x)
        small = u < _SERIES_BELOW
        safe = np.where(small, 1.0, u)
        series = 1.0 + u * (-1.0 / 3.0 + u * (1.0 / 12.0 - u / 60.0))
        return floats(np.where(small, series, 2.0 * (safe + np.expm1(-safe)) / (safe * safe)))

    def averaging_factor(self, aperture_s: float, spacing_s: float, samples: int) -> Floats:
        """Return how much of each state's variance is left in the mean of some conversions.

        The mean of n boxcars of one width, `spacing_s` from start to start: the n variances and the
        covariances of all pairs, ``exp(-m spacing/tau) [2 sinh(a/2) / a]^2`` for boxcars m apart, a =
        aperture/tau (the autocovariance of device-physics §2.5, integrated over both windows).

        Parameters
        ----------
        aperture_s, spacing_s : float
            Width of one conversion, and from one to the next (at least the width), s.
        samples : int
            Conversions averaged.

        Returns
        -------
        ndarray of float64, shape (states,)
            1 for states much slower than the whole reading.
        """
        tau = self.time_constants_s()
        a, step, n = aperture_s / tau, spacing_s / tau, samples
        alone = self.boxcar_factor(a)
        # sinh and decay together, since each alone leaves the range of a float for the fastest states
        neighbours = np.exp(a - step) * (-np.expm1(-a) / a) ** 2
        slow = n * step < _SERIES_BELOW
        lost = np.where(slow, 1.0, -np.expm1(-step))
        pairs = np.where(
            slow,
            0.5 * n * (n - 1) * (1.0 - (n - 2) * step / 3.0),
            (n * lost + np.expm1(-n * step)) / lost**2,
        )
        return floats((alone + 2.0 / n * pairs * neighbours) / n)

    def from_zero_variance(self, age_s: float) -> float:
        """Return the variance an age after all states were zero, relative to G, in units of Q_s^2.

        ``sum_k var_k (1 - exp(-2 age / tau_k))``.
        """
        share = -np.expm1(-2.0 * age_s / self.time_constants_s())
        return float(share @ self.state_variances())

    def for_target_level(self) -> Self:
        """Return this noise as the target-level laws have it: from zero, with their shortest time constant.

        States that start at zero at the programming event have at age t the variance ``C(0) - C(2t) = Q_s^2
        (ln(2t / tau_min) + euler)`` for ``tau_min << t << tau_max`` (each state ``1 - exp(-2t / tau)`` of its
        own; the sum is the half-variance of device-physics §1.4 at the lag 2t). The published accumulated
        spread is ``Q_s^2 ln(t / (2 t_read))`` for ``t >> t_read``. They agree for ``tau_min = 4 exp(euler)
        t_read = 7.12 t_read``, 1.78 us for 250 ns (device-physics §1.6).

        Returns
        -------
        ReadNoise
            Of the same form, with `start` "zero" and that `tau_min_s`.
        """
        return replace(self, start="zero", tau_min_s=4.0 * math.exp(np.euler_gamma) * self.read_width_s)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        if self.tau_min_s >= self.tau_max_s:
            yield "tau_min_s", f"{self.tau_min_s!r} s is not below tau_max_s {self.tau_max_s!r} s"


@dataclass(frozen=True)
class PowerReadNoise(ReadNoise):
    """``Q_s = min(scale / g^power, cap)`` (device-physics §2.3; g is the target over full scale).

    Attributes
    ----------
    scale, power, cap : float
    """

    form: ClassVar[str] = "capped-power"

    scale: Annotated[float, Quantity("1", low=0.0)]
    power: Annotated[float, Quantity("1", low=0.0)]
    cap: Annotated[float, Quantity("1", low=0.0)]

    def strength(self, g: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        positive = np.maximum(floats(g), 1e-12)
        return floats(np.minimum(self.scale / positive**self.power, self.cap))


@dataclass(frozen=True)
class LogarithmThenCubicReadNoise(ReadNoise):
    """A clipped logarithm below a knee and a cubic from it on, as IBM HERMES has it (device-physics §2.8).

    ``Q_s = clip(slope ln g + offset, low, high)`` for g < knee, ``cubic g^3 + quadratic g^2 + linear g +
    constant`` above; above g = 1, where no device was fitted, as at 1, and never below zero.

    Attributes
    ----------
    knee, slope, offset, low, high : float
    cubic, quadratic, linear, constant : float
    """

    form: ClassVar[str] = "logarithm-then-cubic"

    knee: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    slope: Annotated[float, Quantity("1")]
    offset: Annotated[float, Quantity("1")]
    low: Annotated[float, Quantity("1", low=0.0)]
    high: Annotated[float, Quantity("1", low=0.0)]
    cubic: Annotated[float, Quantity("1")]
    quadratic: Annotated[float, Quantity("1")]
    linear: Annotated[float, Quantity("1")]
    constant: Annotated[float, Quantity("1")]

    def strength(self, g: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        below = clipped_logarithm(g, self.slope, self.offset, self.low, self.high)
        above = (self.constant, self.linear, self.quadratic, self.cubic)
        return knee_then_polynomial(g, self.knee, below, above)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102
        yield from super().conflicts()
        if self.low > self.high:
            yield "low", f"{self.low!r} is above high {self.high!r}"


@dataclass(frozen=True)
class TableReadNoise(ReadNoise):
    """Measured Q_s, joined by straight lines.

    Attributes
    ----------
    strength_table : Curve
        Over g.
    """

    form: ClassVar[str] = "table"

    strength_table: Annotated[Curve, Quantity("1", low=0.0)]

    def strength(self, g: ArrayLike) -> Floats:  # noqa: D102
        return self.strength_table.at(g)
