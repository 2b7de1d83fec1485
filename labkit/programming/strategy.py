"""What a programming strategy is: it chooses currents and says which cells are done."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strategy"]


class Strategy(Protocol):
    """Chooses the currents of the cells with non-zero targets.

    It keeps its own memory of each cell, in the order of the cells it was started with; :meth:`keep` takes
    away those that are done. All arrays are over the cells still there.
    """

    def first(self, target_s: NDArray[np.float32]) -> NDArray[np.float32]:
        """Begin with these cells and return their first currents, ampere.

        Parameters
        ----------
        target_s : ndarray of float32, shape (n,)
            Target at the card's reference age, siemens, above zero.
        """

    def accepts(self, error_s: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which cells are close enough, shape (n,).

        Parameters
        ----------
        error_s : ndarray of float32, shape (n,)
            Reading minus verify target, siemens; NaN, never close enough, where a cell gave no reading.
        """

    def keep(self, chosen: NDArray[np.intp]) -> None:
        """Forget all cells but those at these places, which ascend."""

    def next(self, error_s: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the next currents, ampere, shape (n,), for the errors of the cells kept; none is NaN."""
