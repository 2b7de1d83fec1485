"""What the loop knows of its cells, while it runs and afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PassRecord", "ProgramResult"]


@dataclass(frozen=True, slots=True)
class PassRecord:
    """One pass of the loop.

    Attributes
    ----------
    number : int
        From 1.
    active, pulsed : int
        Cells not yet done when it began, and those that got a pulse.
    converged_total : int
        Cells accepted by its end, RESET cells included.
    rms_error_s : float
        Of the verify readings of the active cells with non-zero targets, siemens; NaN where there were none.
    seconds_host : float
        Time of the computer.
    board_time_ns : int
        Board time after its read.
    messages : int
        Sent over the link.
    """

    number: int
    active: int
    pulsed: int
    converged_total: int
    rms_error_s: float
    seconds_host: float
    board_time_ns: int
    messages: int


@dataclass(eq=False)
class ProgramResult:
    """What became of the cells; all arrays have shape (n,), in the order the cells were given.

    Attributes
    ----------
    cells : ndarray of uint32
    target_s : ndarray of float32
        Target at the card's reference age, siemens; 0 is a RESET cell.
    verify_target_s : ndarray of float32
        What the last verify read was compared with, siemens; NaN where there was none.
    pulses : ndarray of uint32
        Pulses given, those in doubt included.
    converged : ndarray of bool
        A verify read lay within the margin; for a RESET cell, at most the zero limit.
    accepted_s : ndarray of float32
        That read, siemens, else NaN. It was chosen for being close: no measure of the error.
    last_amplitude_a : ndarray of float32
        Current of the last pulse, ampere, NaN before the first.
    pulsed_ns : ndarray of uint64
        Board time at which the last pulse ended; 0 where there was none, or it is not known.
    left_out : ndarray of bool
        The board forbids the cell (mask), or gave no reading of it: the loop went on without it.
    passes : list of PassRecord
    ended : str
        What ended the loop: "all converged", "pulse budget", "pass limit", or "" while it has not ended.
    """

    cells: NDArray[np.uint32]
    target_s: NDArray[np.float32]
    verify_target_s: NDArray[np.float32]
    pulses: NDArray[np.uint32]
    converged: NDArray[np.bool_]
    accepted_s: NDArray[np.float32]
    last_amplitude_a: NDArray[np.float32]
    pulsed_ns: NDArray[np.uint64]
    left_out: NDArray[np.bool_]
    passes: list[PassRecord] = field(default_factory=list)
    ended: str = ""

    @classmethod
    def blank(cls, cells: NDArray[np.uint32], target_s: NDArray[np.float32]) -> ProgramResult:
        """Return the record of cells to which nothing has happened yet."""
        n = cells.size
        return cls(
            cells=cells,
            target_s=target_s,
            verify_target_s=np.full(n, np.nan, np.float32),
            pulses=np.zeros(n, np.uint32),
            converged=np.zeros(n, np.bool_),
            accepted_s=np.full(n, np.nan, np.float32),
            last_amplitude_a=np.full(n, np.nan, np.float32),
            pulsed_ns=np.zeros(n, np.uint64),
            left_out=np.zeros(n, np.bool_),
        )

    @property
    def zero(self) -> NDArray[np.bool_]:
        """Cells whose target is no conductance at all."""
        return np.equal(self.target_s, 0.0)

    @property
    def unconverged(self) -> NDArray[np.uint32]:
        """Indices of the cells that were pulsed and not accepted."""
        return self.cells[~self.converged & ~self.left_out & (self.pulses > 0)]

    def pass_columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the table ``passes``."""
        columns: dict[str, NDArray[Any]] = {}
        for entry in fields(PassRecord):
            values = [getattr(record, entry.name) for record in self.passes]
            kind = np.float64 if entry.type == "float" else np.int64
            columns["pass" if entry.name == "number" else entry.name] = np.array(values, kind)
        return columns
