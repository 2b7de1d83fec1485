"""What all laws share: how a field says which quantity it is, tables, and curves of more than one law."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.units import celsius_taken_for_kelvin

__all__ = [
    "Choice",
    "Curve",
    "Floats",
    "FromCard",
    "Law",
    "Quantity",
    "clipped_logarithm",
    "floats",
    "knee_then_polynomial",
]

_SMALLEST_G = 1e-12

Floats = NDArray[np.float64]


def floats(values: ArrayLike) -> Floats:
    """Return values as a float64 array."""
    return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class Quantity:
    """Annotation of a law's field: a number (or ascending list, or table) that a card gives.

    Attributes
    ----------
    unit : str
        SI unit, "1" for none.
    low, high : float
        Closed limits of what makes sense.
    above : float
        Open lower limit.
    whole : bool
        Only whole numbers.
    """

    unit: str
    low: float = -np.inf
    high: float = np.inf
    above: float = -np.inf
    whole: bool = False

    def refuse(self, value: float) -> str | None:
        """Return what is wrong with a value, None if nothing."""
        if self.unit == "K" and (cold := celsius_taken_for_kelvin(value)):
            return cold
        if not self.low <= value <= self.high:
            unit = "" if self.unit == "1" else f" {self.unit}"
            return f"{value!r} is outside {self.low!r} .. {self.high!r}{unit}"
        if not value > self.above:
            return f"{value!r} must be above {self.above!r}"
        if self.whole and value != int(value):
            return f"{value!r} must be a whole number"
        return None


@dataclass(frozen=True)
class Choice:
    """Annotation of a law's field: one of a few words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class FromCard:
    """Annotation of a law's field: taken from this number at the top of the card."""

    name: str


@dataclass(frozen=True)
class Curve:
    """Values over g, joined by straight lines and held constant outside the points.

    Attributes
    ----------
    g : tuple of float
        Normalised conductances, ascending.
    values : tuple of float
        One per g.
    """

    g: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, g: ArrayLike) -> Floats:
        """Return the values at normalised conductances, in the shape of `g`."""
        return floats(np.interp(floats(g), self.g, self.values))


@dataclass(frozen=True)
class Law:
    """Base of all laws.

    Attributes
    ----------
    form : str
        Name of the formula, as cards write it.
    """

    form: ClassVar[str] = ""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Iterate over fields that contradict each other: name of the field, what is wrong."""
        yield from ()


def clipped_logarithm(g: ArrayLike, slope: float, offset: float, low: float, high: float) -> Floats:
    """Return ``clip(slope ln g + offset, low, high)`` (device-physics §2.2), in the shape of `g`.

    Parameters
    ----------
    g : array_like
        Conductance over full scale; zero and below as at 1e-12.
    slope, offset, low, high : float
    """
    logarithm = np.log(np.maximum(floats(g), _SMALLEST_G))
    return floats(np.clip(slope * logarithm + offset, low, high))


def knee_then_polynomial(g: ArrayLike, knee: float, below: Floats, coefficients: Sequence[float]) -> Floats:
    """Return one curve below a knee and a polynomial from it on, never below zero (device-physics §2.8).

    Parameters
    ----------
    g : array_like
        Conductance over full scale; the polynomial is held constant above 1, where none was fitted.
    knee : float
        The first g of the polynomial.
    below : ndarray of float64, shape of `g`
        The other curve.
    coefficients : sequence of float
        Of the polynomial, from the constant up.

    Returns
    -------
    ndarray of float64, shape of `g`
    """
    x = floats(g)
    above = np.polynomial.polynomial.polyval(np.minimum(x, 1.0), coefficients)
    return floats(np.maximum(np.where(x < knee, below, above), 0.0))
