"""Error of the programmed conductance after program-and-verify (device-physics §2.1, §2.8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from calibration.laws.law import Curve, Floats, FromCard, Law, Quantity, floats

__all__ = [
    "CubicProgrammingError",
    "PolynomialProgrammingError",
    "ProgrammingError",
    "TableProgrammingError",
]


@dataclass(frozen=True)
class ProgrammingError(Law, ABC):
    """Standard deviation of the programming error over the target, at the reference age.

    Attributes
    ----------
    g_max_s : float
        Full scale of the card, S.
    reference_g_max_s : float
        Full scale the numbers refer to, S; sigma scales with ``g_max_s / reference_g_max_s``.
    """

    g_max_s: Annotated[float, FromCard("g_max")]
    reference_g_max_s: Annotated[float, Quantity("S", above=0.0)]

    def sigma_s(self, g: ArrayLike) -> Floats:
        """Return the standard deviation, never below zero.

        Parameters
        ----------
        g : array_like
            Target over full scale.

        Returns
        -------
        ndarray of float64, shape of `g`
            In siemens.
        """
        return floats(np.maximum(self._unclamped_s(floats(g)), 0.0) * (self.g_max_s / self.reference_g_max_s))

    @abstractmethod
    def _unclamped_s(self, g: Floats) -> Floats:
        """Return the formula at the reference full scale."""


@dataclass(frozen=True)
class PolynomialProgrammingError(ProgrammingError):
    """``sigma = max(0, c0 + c1 g + c2 g^2)`` (device-physics §2.1).

    Attributes
    ----------
    constant_s, linear_s, quadratic_s : float
        c0, c1, c2, S.
    """

    form: ClassVar[str] = "polynomial"

    constant_s: Annotated[float, Quantity("S")]
    linear_s: Annotated[float, Quantity("S")]
    quadratic_s: Annotated[float, Quantity("S")]

    def _unclamped_s(self, g: Floats) -> Floats:
        return floats((self.quadratic_s * g + self.linear_s) * g + self.constant_s)


@dataclass(frozen=True)
class CubicProgrammingError(ProgrammingError):
    """``sigma = max(0, c0 + c1 g + c2 g^2 + c3 g^3)``, the fits of IBM HERMES (device-physics §2.8).

    Attributes
    ----------
    constant_s, linear_s, quadratic_s, cubic_s : float
        c0, c1, c2, c3, S.
    """

    form: ClassVar[str] = "cubic"

    constant_s: Annotated[float, Quantity("S")]
    linear_s: Annotated[float, Quantity("S")]
    quadratic_s: Annotated[float, Quantity("S")]
    cubic_s: Annotated[float, Quantity("S")]

    def _unclamped_s(self, g: Floats) -> Floats:
        return floats(((self.cubic_s * g + self.quadratic_s) * g + self.linear_s) * g + self.constant_s)


@dataclass(frozen=True)
class TableProgrammingError(ProgrammingError):
    """Measured standard deviations, joined by straight lines.

    Attributes
    ----------
    sigma_table_s : Curve
        Over g, S.
    """

    form: ClassVar[str] = "table"

    sigma_table_s: Annotated[Curve, Quantity("S", low=0.0)]

    def _unclamped_s(self, g: Floats) -> Floats:
        return self.sigma_table_s.at(g)
