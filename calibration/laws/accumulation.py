"""Growth of the conductance under blind partial-SET pulses (device-physics §3.1-3.3, §7.5).

Two forms, one shape: mean and standard deviation of a step are straight lines in G, with a boost that fades
with the pulses since the RESET (published form) or a jump that fades with G (abstract device). The two module
functions are plain arithmetic on their arguments, so that compiled kernels inline the very same formula.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Floats, Law, Quantity, floats

__all__ = [
    "Accumulation",
    "LinearMemoryAccumulation",
    "SaturatingJumpAccumulation",
    "mean_step",
    "spread_step",
]


def mean_step(g: Floats, memory: Floats, slope: float, offset: float, boost: float) -> Floats:
    """Return the mean step of one pulse, ``m1 G + c1 + A1 P_mem``, in the unit of `g` and `offset`."""
    return slope * g + offset + boost * memory


def spread_step(g: Floats, memory: Floats, slope: float, offset: float, boost: float) -> Floats:
    """Return the standard deviation of the step of one pulse, ``m2 G + c2 + A2 P_mem``."""
    return slope * g + offset + boost * memory


@dataclass(frozen=True)
class Accumulation(Law, ABC):
    """The accumulation law at the reference pulse; conductances at the reference age of the pulse laws.

    ``G <- clip(G + mean_step + spread_step N(0,1), lowest, highest)`` with ``mean_step = slope G + offset_s +
    boost_s P_mem + jump_s exp(-G / jump_range_s)``, ``spread_step = spread_slope G + spread_offset_s +
    spread_boost_s P_mem`` and ``P_mem = memory(p)``, p counting SET pulses since the last RESET, the present
    one included. Every form has all of these as attributes in S or 1 per pulse, zero where it lacks the term.

    Attributes
    ----------
    lowest_s, highest_s : float
        Clip, S.
    step_spread : float
        Relative device-to-device standard deviation of the mean step at G = 0.
    device_scales_slope : bool
        What the step size of a device multiplies. False: the terms that do not fall with G, so that devices
        differ in their asymptote (``-offset_s / slope``). True: the whole mean step, so that they differ in
        their speed and share the asymptote.
    """

    device_scales_slope: ClassVar[bool] = False

    lowest_s: Annotated[float, Quantity("S", low=0.0)]
    highest_s: Annotated[float, Quantity("S", above=0.0)]
    step_spread: Annotated[float, Quantity("1", low=0.0, high=1.0)]

    if TYPE_CHECKING:
        # Fields in one form, properties in the other. Only type checkers may see them here: a dataclass
        # takes an inherited property for the default of a field of the same name.
        @property
        def slope(self) -> float: ...  # noqa: D102
        @property
        def offset_s(self) -> float: ...  # noqa: D102
        @property
        def boost_s(self) -> float: ...  # noqa: D102
        @property
        def jump_s(self) -> float: ...  # noqa: D102
        @property
        def jump_range_s(self) -> float: ...  # noqa: D102
        @property
        def spread_slope(self) -> float: ...  # noqa: D102
        @property
        def spread_offset_s(self) -> float: ...  # noqa: D102
        @property
        def spread_boost_s(self) -> float: ...  # noqa: D102
        @property
        def memory_pulses(self) -> float: ...  # noqa: D102

    def memory(self, p: ArrayLike) -> Floats:
        """Return the memory factor ``exp(-p / memory_pulses)``.

        Parameters
        ----------
        p : array_like
            SET pulses since the last RESET, the present one included.

        Returns
        -------
        ndarray of float64, shape of `p`
        """
        return floats(np.exp(-floats(p) / self.memory_pulses))

    def mean_step_s(self, g_s: ArrayLike, p: ArrayLike) -> Floats:
        """Return the mean step of pulse `p` from conductance `g_s`, both S, in the broadcast shape."""
        g = floats(g_s)
        plain = mean_step(g, self.memory(p), self.slope, self.offset_s, self.boost_s)
        return floats(plain + self.jump_s * np.exp(-g / self.jump_range_s))

    def spread_step_s(self, g_s: ArrayLike, p: ArrayLike) -> Floats:
        """Return the standard deviation the law states for the step of pulse `p` from `g_s`, both S."""
        return floats(
            spread_step(
                floats(g_s), self.memory(p), self.spread_slope, self.spread_offset_s, self.spread_boost_s
            )
        )

    def mean_trajectory_s(self, pulses: ArrayLike) -> Floats:
        """Return the conductance after a number of mean steps from `lowest_s`, without spread and clip.

        Parameters
        ----------
        pulses : array_like of int
            Pulses since the RESET, 0 is the RESET itself.

        Returns
        -------
        ndarray of float64, shape of `pulses`
            S. The mean of a population is higher at first, because the clip at `lowest_s` cuts its lower
            tail.
        """
        wanted = _pulse_numbers(pulses)
        return self._trajectory_s(_last(wanted))[wanted]

    @abstractmethod
    def cycle_factor(self, pulses: ArrayLike) -> Floats:
        """Return which part of `spread_step_s` is drawn anew at each pulse; devices differ by the rest.

        Parameters
        ----------
        pulses : array_like of int
            Pulse numbers since the RESET, 1 is the first pulse; 0 gives 1.

        Returns
        -------
        ndarray of float64, shape of `pulses`
            0 to 1.
        """

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        if self.lowest_s >= self.highest_s:
            yield "lowest_s", f"{self.lowest_s!r} S is not below highest_s {self.highest_s!r} S"

    def _trajectory_s(self, last: int) -> Floats:
        trajectory = np.empty(last + 1)
        trajectory[0] = self.lowest_s
        for p in range(1, last + 1):
            trajectory[p] = trajectory[p - 1] + float(self.mean_step_s(trajectory[p - 1], p))
        return trajectory


@dataclass(frozen=True)
class LinearMemoryAccumulation(Accumulation):
    """The published form, ``P_mem = exp(-p / memory_pulses)`` (device-physics §3.1).

    The stated spread is that of a population: it contains what devices differ by (`step_spread`).

    Attributes
    ----------
    slope : float
        m1, per pulse.
    offset_s, boost_s : float
        c1, A1, S.
    spread_slope : float
        m2, per pulse.
    spread_offset_s, spread_boost_s : float
        c2, A2, S.
    memory_pulses : float
        Pulses over which the RESET is forgotten.
    """

    form: ClassVar[str] = "linear-with-memory"

    slope: Annotated[float, Quantity("1", low=-1.0, high=0.0)]
    offset_s: Annotated[float, Quantity("S", low=0.0)]
    boost_s: Annotated[float, Quantity("S", low=0.0)]
    spread_slope: Annotated[float, Quantity("1", low=0.0)]
    spread_offset_s: Annotated[float, Quantity("S", low=0.0)]
    spread_boost_s: Annotated[float, Quantity("S", low=0.0)]
    memory_pulses: Annotated[float, Quantity("1", above=0.0)]

    @property
    def jump_s(self) -> float:
        """No jump, S."""
        return 0.0

    @property
    def jump_range_s(self) -> float:
        """Stands in for the range of the jump there is not, S."""
        return 1.0

    def cycle_factor(self, pulses: ArrayLike) -> Floats:
        """Return which part of `spread_step_s` is drawn anew at each pulse, because devices differ.

        The part of the mean step that does not depend on G, ``c1 + A1 P_mem``, differs by `step_spread` from
        device to device (and with it the asymptote). A device one standard deviation up is ahead of the mean
        trajectory by ``D_p = (1 + m1) D_(p-1) + step_spread (c1 + A1 P_mem)``; the law is linear, so the
        population keeps its mean. The published spread contains D, so on the mean trajectory the variance
        drawn anew at pulse p is ``spread_step^2 - D_p^2 + (1 + m1)^2 D_(p-1)^2`` (device-physics §3.3: inside
        the total, not on top).

        Parameters
        ----------
        pulses : array_like of int
            Pulse numbers since the RESET, 1 is the first pulse; 0 gives 1.

        Returns
        -------
        ndarray of float64, shape of `pulses`
            0 to 1.
        """
        wanted = _pulse_numbers(pulses)
        trajectory = self._trajectory_s(_last(wanted))
        factor = np.ones(len(trajectory))
        ahead = 0.0
        for p in range(1, len(trajectory)):
            kept = (1.0 + self.slope) * ahead
            ahead = kept + self.step_spread * float(self.mean_step_s(0.0, p))
            total = float(self.spread_step_s(trajectory[p - 1], p)) ** 2
            drawn = max(total - ahead * ahead + kept * kept, 0.0)
            factor[p] = math.sqrt(drawn / total) if total > 0.0 else 0.0
        return floats(factor[wanted])


@dataclass(frozen=True)
class SaturatingJumpAccumulation(Accumulation):
    """The abstract device, ``dG = dG_max [(1 - G/G_max) + J exp(-G/G_J)]`` (device-physics §7.5).

    Published names for its parts: jump-table models and the "immediate or delayed steep initial slope" of
    Cristiano et al. 2018; the formula itself is a default. ``J exp(-G/G_J)`` with ``G_max`` far away is the
    exponential step of aihwkit's ``PCMPresetDevice`` (device-physics §3.3). What devices differ by
    (`step_spread`) and what pulses differ by (`cycle_spread`) are parameters of their own; neither contains
    the other. Where devices differ in G_max too (their full conductance in the programming curve), the steps of
    each end at its own and begin with the same dG_max. There is no memory but the conductance.

    Attributes
    ----------
    step_max_s : float
        dG_max, mean step at G = 0 without the jump, S.
    saturation_s : float
        G_max, where the steps end, S.
    jump : float
        J, height of the steep initial jump over dG_max.
    jump_range_s : float
        G_J, conductance over which the jump fades, S.
    cycle_spread : float
        Standard deviation from pulse to pulse over dG_max, the same at every G.
    """

    form: ClassVar[str] = "saturating-jump"
    device_scales_slope: ClassVar[bool] = True

    step_max_s: Annotated[float, Quantity("S", above=0.0)]
    saturation_s: Annotated[float, Quantity("S", above=0.0)]
    jump: Annotated[float, Quantity("1", low=0.0)]
    jump_range_s: Annotated[float, Quantity("S", above=0.0)]
    cycle_spread: Annotated[float, Quantity("1", low=0.0)]

    @property
    def slope(self) -> float:
        """``-dG_max / G_max``, per pulse."""
        return -self.step_max_s / self.saturation_s

    @property
    def offset_s(self) -> float:
        """``dG_max``, S."""
        return self.step_max_s

    @property
    def boost_s(self) -> float:
        """No boost after a RESET, S."""
        return 0.0

    @property
    def jump_s(self) -> float:
        """``J dG_max``, S."""
        return self.jump * self.step_max_s

    @property
    def spread_slope(self) -> float:
        """The spread does not depend on G; per pulse."""
        return 0.0

    @property
    def spread_offset_s(self) -> float:
        """Standard deviation from pulse to pulse, S."""
        return self.cycle_spread * self.step_max_s

    @property
    def spread_boost_s(self) -> float:
        """No boost after a RESET, S."""
        return 0.0

    @property
    def memory_pulses(self) -> float:
        """Pulses over which a memory that weighs nothing would fade."""
        return 1.0

    def cycle_factor(self, pulses: ArrayLike) -> Floats:  # noqa: D102 - said by the base class
        return floats(np.ones(_pulse_numbers(pulses).shape))

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102
        yield from super().conflicts()
        if self.step_max_s >= self.saturation_s:
            yield (
                "step_max_s",
                f"{self.step_max_s!r} S is not below saturation_s {self.saturation_s!r} S: one pulse would "
                "do everything",
            )


def _pulse_numbers(pulses: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    numbers = np.asarray(pulses, dtype=np.int64)
    if np.any(numbers < 0):
        raise ValueError(f"pulse numbers cannot be negative, got {int(numbers.min())}")
    return numbers


def _last(numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
    return int(numbers.max()) if numbers.size else 0
