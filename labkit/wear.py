"""The wear ledger: how many pulses each cell has had, and whether it may have more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.chip import EntryCode
from labkit.errors import WearBudgetSpent

__all__ = ["WearLedger"]

_MOST = np.iinfo(np.uint32).max
_CODE_BITS = np.uint8(127)  # of an entry flag; bit 7 tells of the current limit

_Places = slice | NDArray[np.uint32]


@dataclass(slots=True)
class _Charge:
    """What the last batch was booked for, until the board has said which entries it never touched."""

    batch_id: int
    cells: NDArray[np.uint32]
    pulses: NDArray[np.uint32]
    ended: bool = False


class WearLedger:
    """Pulses per cell, booked before they are given.

    A batch is booked in full before it is sent. It is taken off again where the board refused it, and entry
    by entry where the flags of the ended batch say skipped, masked or not reached. All else stays: a batch
    whose fate is unknown counts as spent.

    Parameters
    ----------
    cells : int
        Cells of the chip.
    budget : int
        Pulses a cell may get in all.
    """

    def __init__(self, cells: int, budget: int) -> None:
        self.budget = budget
        self._pulses = np.zeros(cells, np.uint32)
        self._charge: _Charge | None = None

    @property
    def pulses(self) -> NDArray[np.uint32]:
        """Pulses booked per cell, shape (cells,); a read-only view."""
        view = self._pulses.view()
        view.flags.writeable = False
        return view

    def raise_to(self, counted: NDArray[np.uint32]) -> None:
        """Raise every cell to what was counted elsewhere, shape (cells,); higher bookings stay."""
        np.maximum(self._pulses, counted, out=self._pulses)

    def book(self, cells: NDArray[np.uint32], pulses: NDArray[np.uint32] | int) -> None:
        """Add pulses to `cells`, which hold no cell twice."""
        total = self._pulses[cells].astype(np.uint64) + np.asarray(pulses, np.uint64)
        self._pulses[cells] = np.minimum(total, _MOST).astype(np.uint32)

    def check(self, cells: NDArray[np.uint32], active: NDArray[np.bool_], count: int) -> None:
        """Refuse `count` more pulses for the active entries where that would exceed the budget.

        Raises
        ------
        WearBudgetSpent
            With the first such cell.
        """
        spent = self._pulses[_places(cells)]
        over = active if count > self.budget else active & (spent > np.uint32(self.budget - count))
        if not over.any():
            return
        entry = int(over.argmax())
        cell, offenders = int(cells[entry]), int(np.count_nonzero(over))
        raise WearBudgetSpent(
            f"cell {cell} (entry {entry}) has had {int(spent[entry])} pulses, {count} more would exceed its "
            f"budget of {self.budget} ({offenders} cells in all): leave these cells out (amplitude NaN), or "
            "raise envelope.pulses_per_cell_max in the bench file",
            cell=cell,
            entry=entry,
            spent=int(spent[entry]),
            asked=count,
            budget=self.budget,
            offenders=offenders,
        )

    def charge(self, batch_id: int, cells: NDArray[np.uint32], active: NDArray[np.bool_], count: int) -> None:
        """Book a batch that is about to be sent; :meth:`check` has passed it."""
        cells = cells.copy()
        pulses = active.astype(np.uint32)
        if count != 1:
            pulses *= np.uint32(count)
        self._pulses[_places(cells)] += pulses
        self._charge = _Charge(batch_id, cells, pulses)

    def refund(self) -> None:
        """Take the batch just charged off again: the board refused it and pulsed nothing."""
        if self._charge is not None:
            self._pulses[_places(self._charge.cells)] -= self._charge.pulses
            self._charge = None

    def mark_ended(self, batch_id: int) -> None:
        """Note that the batch is no longer running, so that its flags are final."""
        if self._charge is not None and self._charge.batch_id == batch_id:
            self._charge.ended = True

    def settle(self, flags: NDArray[np.uint8]) -> None:
        """Take off what the final flags of the charged batch say was never pulsed."""
        charge = self._charge
        if charge is None or not charge.ended or flags.shape != charge.cells.shape:
            return
        code = flags & _CODE_BITS
        untouched = (code == EntryCode.NOT_REACHED) | (code == EntryCode.SKIPPED) | (code == EntryCode.MASKED)
        self._pulses[charge.cells[untouched]] -= charge.pulses[untouched]
        self._charge = None


def _places(cells: NDArray[np.uint32]) -> _Places:
    """Where the ledger holds `cells`: a slice where they follow each other, much faster than a list."""
    first, last = int(cells[0]), int(cells[-1])
    if last - first + 1 == cells.size and bool((cells[1:] > cells[:-1]).all()):
        return slice(first, last + 1)
    return cells
