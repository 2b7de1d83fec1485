"""Where a simulated chip is used beyond what the laws of its card were measured for."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["Excursion", "Excursions"]

_LOG = logging.getLogger("labkit.mock")
_OF_CELLS = ("drift", "read_noise", "programming_curve", "accumulation", "temperature")
"""Laws whose conductance and age are looked at; of the others the temperature alone."""
_UNITS = {"g": "", "age_s": " s", "temperature_k": " K"}
_WORDS = {"g": "g", "age_s": "age", "temperature_k": "temperature"}


@dataclass(frozen=True)
class Excursion:
    """Cells outside the range a law is valid in.

    Attributes
    ----------
    law, quantity : str
        Such as "drift" and "age_s".
    low, high : float
        The range of the card.
    cells : int
        Cells outside.
    seen_low, seen_high : float
        The extreme values among them.
    """

    law: str
    quantity: str
    low: float
    high: float
    cells: int
    seen_low: float
    seen_high: float

    def __str__(self) -> str:
        unit, word = _UNITS[self.quantity], _WORDS[self.quantity]
        seen, to = f"{self.seen_low:.3g}", f"{self.seen_high:.3g}"
        seen = seen if seen == to else f"{seen} .. {to}"
        return (
            f"{self.law} at {word} {seen}{unit} ({self.cells} cells; valid {self.low:.3g} .. "
            f"{self.high:.3g}{unit})"
        )


class Excursions:
    """What was said of a chip so far; each law and quantity is reported once.

    Parameters
    ----------
    card : DeviceCard
    """

    def __init__(self, card: DeviceCard) -> None:
        self._name = card.name
        self._ranges = {
            (law, quantity): ends
            for law in card.laws
            for quantity in ("g", "age_s", "temperature_k")
            if (ends := getattr(card.validity(law), quantity)) is not None
            and (quantity == "temperature_k" or law in _OF_CELLS)
            and not (quantity == "age_s" and law == "accumulation")
        }
        self._said: set[tuple[str, str]] = set()

    def news(self, laws: Iterable[str], g: tuple[float, float], age_s: tuple[float, float]) -> bool:
        """Whether extreme values leave a range of these laws that was not reported to be left before."""
        wanted = set(laws)
        ends = {"g": g, "age_s": age_s}
        return any(
            key[0] in wanted
            and key not in self._said
            and key[1] in ends
            and (ends[key[1]][0] < low or ends[key[1]][1] > high)
            for key, (low, high) in self._ranges.items()
        )

    def of(
        self, laws: Iterable[str], temperature_k: float, values: dict[str, NDArray[np.float64]], cells: int
    ) -> list[Excursion]:
        """Return the excursions of some laws, also those reported before.

        Parameters
        ----------
        laws : iterable of str
            The laws in use.
        temperature_k : float
            Of all cells.
        values : dict
            "g" and "age_s" of every cell, shape (n,), where they are known.
        cells : int
            Number of cells.
        """
        found = []
        wanted = set(laws)
        for (law, quantity), (low, high) in self._ranges.items():
            if law not in wanted:
                continue
            if quantity == "temperature_k":
                if not low <= temperature_k <= high:
                    found.append(Excursion(law, quantity, low, high, cells, temperature_k, temperature_k))
            elif quantity in values:
                seen = values[quantity]
                outside = seen[(seen < low) | (seen > high)]
                if outside.size:
                    ends = float(outside.min()), float(outside.max())
                    found.append(Excursion(law, quantity, low, high, outside.size, *ends))
        return found

    def report(self, found: Iterable[Excursion]) -> None:
        """Warn of those that were not reported before: one line for each quantity."""
        fresh = [excursion for excursion in found if (excursion.law, excursion.quantity) not in self._said]
        self._said.update((excursion.law, excursion.quantity) for excursion in fresh)
        for quantity in dict.fromkeys(excursion.quantity for excursion in fresh):
            same = [excursion for excursion in fresh if excursion.quantity == quantity]
            _LOG.warning("mock %s extrapolates its card: %s", self._name, "; ".join(map(str, same)))
