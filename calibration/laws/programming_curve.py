"""What a pulse does as a function of its current and shape (device-physics §3.4-3.6).

Three regions of the current: the dead zone (nothing happens), the SET branch (crystallisation towards a
saturation that grows with the current) and, from the device's melting current on, the melt branch (more
amorphous material, less conductance, whatever the state was before).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = ["ProgrammingCurve"]

_SMALLEST_SPAN_A = 1e-12


@dataclass(frozen=True)
class ProgrammingCurve(Law):
    """SET and melt branch of the programming curve.

    Attributes
    ----------
    dead_zone_a, min_width_s : float
        Below this current (A) or width (s) a pulse does nothing.
    reference_current_a, reference_width_s : float
        The pulse for which the accumulation law was measured, A and s.
    saturation_slope_s_per_a, saturation_offset_a : float
        ``G_sat = slope (I - offset)``, S/A and A.
    set_time_constant_s : float
        tau of the approach to saturation, s.
    melt_current_mean_a, melt_current_spread_a, full_current_mean_a, full_current_spread_a : float
        Normal distributions over devices of the current where melting starts and where nothing crystalline is
        left, A.
    melt_exponent : float
        Power of the melt branch.
    cycle_spread : float
        Standard deviation of ln G from melt to melt.
    full_conductance_mean_s, full_conductance_spread_s : float
        Normal distribution over devices of the fully crystalline conductance, S.
    trailing_edge_s : float
        A pulse that falls no slower than this quenches what it molt, s.
    reset_median_s, reset_ln_spread : float
        Lognormal distribution of the fully amorphous conductance, S; the melt branch ends there.
    drive_resistance_ohm : float
        Turns a voltage amplitude into a current.
    floor_s : float
        Lowest conductance of the SET branch, S.
    """

    form: ClassVar[str] = "saturating-set-power-melt"

    dead_zone_a: Annotated[float, Quantity("A", low=0.0)]
    min_width_s: Annotated[float, Quantity("s", low=0.0)]
    reference_current_a: Annotated[float, Quantity("A", above=0.0)]
    reference_width_s: Annotated[float, Quantity("s", above=0.0)]
    saturation_slope_s_per_a: Annotated[float, Quantity("S/A", above=0.0)]
    saturation_offset_a: Annotated[float, Quantity("A", low=0.0)]
    set_time_constant_s: Annotated[float, Quantity("s", above=0.0)]
    melt_current_mean_a: Annotated[float, Quantity("A", above=0.0)]
    melt_current_spread_a: Annotated[float, Quantity("A", low=0.0)]
    full_current_mean_a: Annotated[float, Quantity("A", above=0.0)]
    full_current_spread_a: Annotated[float, Quantity("A", low=0.0)]
    melt_exponent: Annotated[float, Quantity("1", above=0.0)]
    cycle_spread: Annotated[float, Quantity("1", low=0.0)]
    full_conductance_mean_s: Annotated[float, Quantity("S", above=0.0)]
    full_conductance_spread_s: Annotated[float, Quantity("S", low=0.0)]
    trailing_edge_s: Annotated[float, Quantity("s", low=0.0)]
    reset_median_s: Annotated[float, Quantity("S", above=0.0)]
    reset_ln_spread: Annotated[float, Quantity("1", low=0.0)]
    drive_resistance_ohm: Annotated[float, Quantity("Ohm", above=0.0)]
    floor_s: Annotated[float, Quantity("S", low=0.0)]

    def saturation_s(self, current_a: ArrayLike, full_conductance_s: ArrayLike | None = None) -> Floats:
        """Return the conductance that many SET pulses of one current approach (device-physics §3.5).

        Parameters
        ----------
        current_a : array_like
            A.
        full_conductance_s : array_like, optional
            Fully crystalline conductance of each device, S; the mean device by default.

        Returns
        -------
        ndarray of float64, the broadcast shape
            ``slope (I - offset)`` within 0 .. G_full, S.
        """
        full = self.full_conductance_mean_s if full_conductance_s is None else full_conductance_s
        line = self.saturation_slope_s_per_a * (floats(current_a) - self.saturation_offset_a)
        return floats(np.clip(line, 0.0, floats(full)))

    def set_rate(self, width_s: ArrayLike) -> Floats:
        """Return how far a pulse of width (s) goes towards saturation, ``1 - exp(-w / tau)``."""
        return floats(-np.expm1(-floats(width_s) / self.set_time_constant_s))

    def recrystallised_share(self, fall_s: ArrayLike) -> Floats:
        """Return the share of the molten material that a slow trailing edge crystallises again.

        0 up to `trailing_edge_s`, ``1 - exp(-fall / tau)`` beyond (device-physics §3.6: a long edge is a
        SET).

        Parameters
        ----------
        fall_s : array_like
            Duration of the trailing edge, s.

        Returns
        -------
        ndarray of float64, shape of `fall_s`
        """
        fall = floats(fall_s)
        return floats(np.where(fall > self.trailing_edge_s, self.set_rate(fall), 0.0))

    def melt_depth(
        self,
        current_a: ArrayLike,
        melt_current_a: ArrayLike | None = None,
        full_current_a: ArrayLike | None = None,
    ) -> Floats:
        """Return where a current lies between the start of melting (0) and complete melting (1).

        Parameters
        ----------
        current_a : array_like
            A.
        melt_current_a, full_current_a : array_like, optional
            Of each device, A; the mean device by default.

        Returns
        -------
        ndarray of float64, the broadcast shape
            ``(I - I_melt) / (I_full - I_melt)`` within 0 .. 1.
        """
        melt = floats(self.melt_current_mean_a if melt_current_a is None else melt_current_a)
        full = floats(self.full_current_mean_a if full_current_a is None else full_current_a)
        span = np.maximum(full - melt, _SMALLEST_SPAN_A)
        return floats(np.clip((floats(current_a) - melt) / span, 0.0, 1.0))

    def melt_fraction(
        self,
        current_a: ArrayLike,
        melt_current_a: ArrayLike | None = None,
        full_current_a: ArrayLike | None = None,
    ) -> Floats:
        """Return the share of the conductance that a melting pulse takes away, ``melt_depth^melt_exponent``.

        Parameters and shapes as in `melt_depth`; 1 minus this is `remaining_share` of the depth.
        """
        return floats(1.0 - self.remaining_share(self.melt_depth(current_a, melt_current_a, full_current_a)))

    def remaining_share(self, depth: ArrayLike) -> Floats:
        """Return the share of G_full left after a melt of some depth, ``1 - depth^melt_exponent``.

        Parameters
        ----------
        depth : array_like
            `melt_depth`, 0 .. 1.

        Returns
        -------
        ndarray of float64, shape of `depth`
        """
        return floats(1.0 - np.clip(floats(depth), 0.0, 1.0) ** self.melt_exponent)

    def mean_melt_conductance_s(self, current_a: ArrayLike) -> Floats:
        """Return the conductance a melting pulse leaves in the mean device, S, in the shape of `current_a`.

        All device numbers at their means and no spread from melt to melt; not below `reset_median_s`. The
        mean over a population differs where the branch bends (20.0 against 20.4 uS at 250 uA with the
        published-chip preset).
        """
        left = self.full_conductance_mean_s * self.remaining_share(self.melt_depth(current_a))
        return floats(np.maximum(left, self.reset_median_s))

    def current_for_a(self, g_s: ArrayLike) -> Floats:
        """Return the melting current that leaves the mean device at a conductance.

        Inverse of `mean_melt_conductance_s`; conductances outside 0 .. G_full give the ends of the branch.

        Parameters
        ----------
        g_s : array_like
            S.

        Returns
        -------
        ndarray of float64, shape of `g_s`
            A.
        """
        lost = np.clip(1.0 - floats(g_s) / self.full_conductance_mean_s, 0.0, 1.0)
        span = self.full_current_mean_a - self.melt_current_mean_a
        return floats(self.melt_current_mean_a + span * lost ** (1.0 / self.melt_exponent))

    @property
    def slope_s_per_a(self) -> float:
        """Steepness of the melt branch of the mean device at half of G_full, S/A, positive."""
        depth = 0.5 ** (1.0 / self.melt_exponent)
        span = self.full_current_mean_a - self.melt_current_mean_a
        rise = self.melt_exponent * depth ** (self.melt_exponent - 1.0)
        return float(self.full_conductance_mean_s * rise / span)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        for lower, upper in (
            ("melt_current_mean_a", "full_current_mean_a"),
            ("dead_zone_a", "melt_current_mean_a"),
            ("saturation_offset_a", "reference_current_a"),
            ("reset_median_s", "full_conductance_mean_s"),
        ):
            if getattr(self, lower) >= getattr(self, upper):
                yield lower, f"{getattr(self, lower)!r} is not below {upper} {getattr(self, upper)!r}"
