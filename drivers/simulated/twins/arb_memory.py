"""The arbitrary waveforms of a generator: built in, volatile, and stored under a name.

Codes and texts of the errors are those of the 33220A family [K].
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.scpi_errors import ScpiError

__all__ = ["ARB_TEXTS", "BUILT_IN", "ArbMemory"]

ARB_TEXTS = {
    780: "Illegal arb waveform name",
    781: "Not enough memory to store new arb waveform; use DATA:DELETE",
    782: "Cannot overwrite a built-in waveform",
    784: "Name of source arb waveform for copy must be VOLATILE",
    785: "Specified arb waveform does not exist",
    786: "Cannot delete a built-in waveform",
    787: "Cannot delete the currently selected active arb waveform",
    788: "Cannot copy to VOLATILE arb waveform",
}
"""Texts of the codes this file raises."""

_T = np.linspace(-1.0, 1.0, 256)
BUILT_IN: dict[str, NDArray[np.float64]] = {
    "EXP_RISE": 1 - 2 * np.exp(-5 * (_T + 1) / 2),
    "EXP_FALL": 2 * np.exp(-5 * (_T + 1) / 2) - 1,
    "NEG_RAMP": -_T,
    "SINC": np.sinc(8 * _T),
    "CARDIAC": np.exp(-((_T / 0.04) ** 2)) - 0.2 * np.exp(-(((_T - 0.12) / 0.05) ** 2)),
}
"""What is built in, from -1 to 1; the shapes are sketches."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,11}")


class ArbMemory:
    """Waveforms of one channel, values from -1 to 1.

    Parameters
    ----------
    slots : int
        Waveforms that can be stored.

    Attributes
    ----------
    volatile : ndarray or None
        What was uploaded last.
    stored : dict
        By name, in capitals.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.volatile: NDArray[np.float64] | None = None
        self.stored: dict[str, NDArray[np.float64]] = {}

    @property
    def free(self) -> int:
        """Slots that are left."""
        return self.slots - len(self.stored)

    def names(self) -> list[str]:
        """Return all names, the volatile waveform's too."""
        return [*BUILT_IN, *(["VOLATILE"] if self.volatile is not None else []), *self.stored]

    def find(self, name: str) -> NDArray[np.float64]:
        """Return a waveform."""
        upper = name.upper()
        found = self.volatile if upper == "VOLATILE" else self.stored.get(upper, BUILT_IN.get(upper))
        if found is None:
            raise ScpiError(785)
        return found

    def copy(self, name: str, source: str) -> None:
        """Store the volatile waveform under a name."""
        upper = name.upper()
        if source.upper() != "VOLATILE":
            raise ScpiError(784)
        if upper == "VOLATILE":
            raise ScpiError(788)
        if upper in BUILT_IN:
            raise ScpiError(782)
        if not _NAME.fullmatch(upper):
            raise ScpiError(780)
        if self.volatile is None:
            raise ScpiError(785)
        if upper not in self.stored and not self.free:
            raise ScpiError(781)
        self.stored[upper] = self.volatile

    def delete(self, name: str, active: str) -> None:
        """Forget a waveform that is not the selected one."""
        upper = name.upper()
        if upper in BUILT_IN:
            raise ScpiError(786)
        if upper == active.upper():
            raise ScpiError(787)
        self.find(upper)
        if upper == "VOLATILE":
            self.volatile = None
        else:
            del self.stored[upper]
