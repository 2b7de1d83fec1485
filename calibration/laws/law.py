"""What all laws share: how a field says which quantity it is, and curves given as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Choice", "Curve", "Floats", "FromCard", "Law", "Quantity", "floats"]

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
        if not self.low <= value <= self.high:
            return f"{value!r} is outside {self.low!r} .. {self.high!r} {self.unit}".rstrip(" 1")
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
