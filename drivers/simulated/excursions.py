"""Where a simulated chip is used beyond what the laws of its card were measured for."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.simulated import layout

if TYPE_CHECKING:
    from calibration.card import DeviceCard
    from drivers.simulated.layout import CellArrays

__all__ = ["Excursion", "Excursions"]

_LOG = logging.getLogger("labkit.mock")
_PULSE_LAWS = ("programming_curve", "accumulation")
_READ_LAWS = ("drift", "read_noise", "read_chain", "current_voltage", "temperature", *_PULSE_LAWS)
_OF_CELLS = ("drift", "read_noise", "temperature", *_PULSE_LAWS)
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
    """Looks after what a chip is used for; each law and quantity is reported once.

    Parameters
    ----------
    card : DeviceCard
    arrays : CellArrays
        The memory of the chip's cells.
    """

    def __init__(self, card: DeviceCard, arrays: CellArrays) -> None:
        self._name, self._g_max_s, self._arrays = card.name, card.g_max_s, arrays
        self._ranges = {
            (law, quantity): ends
            for law in card.laws
            for quantity in ("g", "age_s", "temperature_k")
            if (ends := getattr(card.validity(law), quantity)) is not None
            and (quantity == "temperature_k" or law in _OF_CELLS)
            and not (quantity == "age_s" and law == "accumulation")
        }
        self._said: set[tuple[str, str]] = set()

    def of(
        self, cells: NDArray[np.uint32], at_ns: int, temperature_k: float, *, pulses: bool = False
    ) -> list[Excursion]:
        """Return where pulses on, or reads of, these cells leave the card, said before or not."""
        if pulses:
            return self._find(_PULSE_LAWS, temperature_k, {}, len(cells))
        return self._find(_READ_LAWS, temperature_k, self._values(cells, np.int64(at_ns)), len(cells))

    def pulsed(self, cells: int, temperature_k: float) -> None:
        """Report what pulses on so many cells leave."""
        self._report(self._find(_PULSE_LAWS, temperature_k, {}, cells))

    def read(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        temperature_k: float,
        extremes: Sequence[NDArray[np.float32]],
    ) -> None:
        """Report what a read leaves.

        Parameters
        ----------
        cells, at_ns : ndarray, shape (n,)
        temperature_k : float
        extremes : sequence of ndarray, shape (4,)
            Least and largest state (S) and age (s) of parts of the cells: most reads are judged by them alone.
        """
        ends = np.array(extremes, np.float64)
        g = float(ends[:, 0].min()) / self._g_max_s, float(ends[:, 1].max()) / self._g_max_s
        age_s = float(ends[:, 2].min()), float(ends[:, 3].max())
        values = self._values(cells, at_ns) if self._news({"g": g, "age_s": age_s}) else {}
        self._report(self._find(_READ_LAWS, temperature_k, values, len(cells)))

    def _news(self, extremes: dict[str, tuple[float, float]]) -> bool:
        """Whether extreme values leave a range that was not reported to be left before."""
        return any(
            key not in self._said
            and key[1] in extremes
            and (extremes[key[1]][0] < low or extremes[key[1]][1] > high)
            for key, (low, high) in self._ranges.items()
        )

    def _values(
        self, cells: NDArray[np.uint32], at_ns: NDArray[np.int64] | np.int64
    ) -> dict[str, NDArray[np.float64]]:
        """Return g and age of the cells that work."""
        a = self._arrays
        works = a.mark[cells >> 8, layout.STUCK, cells & 255] == 0
        chosen = cells[works]
        when = at_ns if np.ndim(at_ns) == 0 else np.asarray(at_ns)[works]
        age_s = (when - a.time[chosen >> 8, layout.PULSED, chosen & 255]) * 1e-9
        g = a.state[chosen >> 8, layout.CONDUCTANCE, chosen & 255] / self._g_max_s
        return {"g": g.astype(np.float64), "age_s": age_s}

    def _find(
        self, laws: Collection[str], temperature_k: float, values: dict[str, NDArray[np.float64]], cells: int
    ) -> list[Excursion]:
        found = []
        for (law, quantity), (low, high) in self._ranges.items():
            if law not in laws:
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

    def _report(self, found: Iterable[Excursion]) -> None:
        """Warn of those that were not reported before: one line for each quantity."""
        fresh = [excursion for excursion in found if (excursion.law, excursion.quantity) not in self._said]
        self._said.update((excursion.law, excursion.quantity) for excursion in fresh)
        for quantity in dict.fromkeys(excursion.quantity for excursion in fresh):
            same = [excursion for excursion in fresh if excursion.quantity == quantity]
            _LOG.warning("mock %s extrapolates its card: %s", self._name, "; ".join(map(str, same)))
