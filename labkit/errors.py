"""Errors of the bench floor.

Every error keeps its numbers as attributes and says in its message what to do next. Keyword arguments become
attributes, so ``RunExists("runs/a exists", path=path)`` and ``RunExists("runs/a exists")`` both work; an
attribute that was not given is None. Numbers in brackets are exit codes.

::

    LabkitError                     root (1)
    ├── EnvelopeExceeded            a batch or read lies outside the host's limits, nothing was sent (3)
    │   └── ReferencesProtected     a batch would pulse reference resistors
    ├── WearBudgetSpent             a batch would pulse a cell beyond its budget, nothing was sent (3)
    ├── WeightsError                a weight file cannot be used
    │   └── TooManyCells            the weights need more cells than the chip has
    ├── TargetOutOfRange            a target conductance the device cannot hold
    ├── RunError                    a run directory cannot be written or lacks something
    │   ├── RunExists               the name is taken; runs are never overwritten
    │   ├── RunUnreadable           no run there, or damaged
    │   ├── RunNewer                written by a later version
    │   └── DiskFull                no room; what was written before is whole (5)
    ├── BudgetError                 a job would take more time or pulses than it was allowed
    ├── StationError                the bench cannot be opened or used as asked (4)
    │   └── BenchReserved           another process has it
    └── Interrupted                 Ctrl-C, SIGTERM or SIGHUP; the bench was made safe (128 + signal)
"""

# ruff: noqa: N818 - the names say what happened

from __future__ import annotations

import signal as signals
from pathlib import Path
from typing import Any

from drivers.errors import NumberedError

__all__ = [
    "BenchReserved",
    "BudgetError",
    "DiskFull",
    "EnvelopeExceeded",
    "Interrupted",
    "LabkitError",
    "ReferencesProtected",
    "RunError",
    "RunExists",
    "RunNewer",
    "RunUnreadable",
    "StationError",
    "TargetOutOfRange",
    "TooManyCells",
    "WearBudgetSpent",
    "WeightsError",
]


class LabkitError(NumberedError):
    """Root of all errors of ``labkit``."""


class EnvelopeExceeded(LabkitError):
    """A batch or a read lies outside the host's limits; nothing was sent.

    Attributes
    ----------
    quantity : str or None
        What is outside: ``"amplitude"``, ``"full scale"``, ``"width"``, ``"read voltage"``, ``"cell"`` ...
    value, limit : float or None
        What was asked for and what is allowed, SI units.
    unit : str or None
        Unit of both.
    cell, entry : int or None
        Cell index of the first offender and its place in the batch.
    offenders : int or None
        How many entries of the batch are outside.
    """

    exit_code = 3
    quantity: str | None = None
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    cell: int | None = None
    entry: int | None = None
    offenders: int | None = None


class ReferencesProtected(EnvelopeExceeded):
    """A batch would pulse cells of a reference row, which are resistors; nothing was sent.

    Attributes
    ----------
    row : int or None
        The row of the first of them.
    """

    row: int | None = None


class WearBudgetSpent(LabkitError):
    """A batch would pulse a cell more often than its budget allows; nothing was sent.

    Attributes
    ----------
    cell, entry : int or None
        First cell whose budget does not suffice and its place in the batch.
    spent, asked, budget : int or None
        Pulses that cell has had, pulses the batch asks for, pulses allowed.
    offenders : int or None
        How many entries of the batch are over their budget.
    """

    exit_code = 3
    cell: int | None = None
    entry: int | None = None
    spent: int | None = None
    asked: int | None = None
    budget: int | None = None
    offenders: int | None = None


class WeightsError(LabkitError):
    """A weight file cannot be used.

    Attributes
    ----------
    path : Path or None
        The file.
    layer : str or None
        The array in it that is wrong.
    """

    path: Path | None = None
    layer: str | None = None


class TooManyCells(WeightsError):
    """The weights need more cells than the chip has.

    Attributes
    ----------
    needed, available : int or None
        Cells.
    """

    needed: int | None = None
    available: int | None = None


class TargetOutOfRange(LabkitError):
    """A target conductance the device cannot hold.

    Attributes
    ----------
    target_s, low_s, high_s : float or None
        The first offending target and the range, siemens.
    cell : int or None
        Its cell index.
    """

    target_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    cell: int | None = None


class RunError(LabkitError):
    """A run directory cannot be written, or lacks what was asked for.

    Attributes
    ----------
    path : Path or None
        The directory or file.
    """

    path: Path | None = None


class RunExists(RunError):
    """The name is taken; runs and their tables are never overwritten."""


class RunUnreadable(RunError):
    """There is no run, or it is damaged."""


class RunNewer(RunError):
    """The run was written by a later version of labkit.

    Attributes
    ----------
    schema, readable : str or None
        Format of the run, and the newest this version reads.
    """

    schema: str | None = None
    readable: str | None = None


class DiskFull(RunError):
    """The disk, the quota or the file-size limit has no room; what was written before is whole."""

    exit_code = 5


class BudgetError(LabkitError):
    """A job would take, or took, more than it was allowed.

    Attributes
    ----------
    asked, allowed : float or None
        In `unit`.
    unit : str or None
        What is budgeted, e.g. ``"s"`` or ``"pulses"``.
    """

    asked: float | None = None
    allowed: float | None = None
    unit: str | None = None


class StationError(LabkitError):
    """The bench cannot be opened, or not be used as asked.

    Attributes
    ----------
    path : Path or None
        The bench file.
    instrument : str or None
        Name of the instrument in it.
    """

    exit_code = 4
    path: Path | None = None
    instrument: str | None = None


class BenchReserved(StationError):
    """Another process has the bench.

    Attributes
    ----------
    holder : dict or None
        ``user``, ``host``, ``process``, ``command`` and ``since_utc`` of who has it, as far as it is known.
    """

    holder: dict[str, Any] | None = None


class Interrupted(LabkitError):
    """A signal asked the program to stop.

    Raised between two messages to an instrument, never inside one.

    Attributes
    ----------
    signal : int
        Number of the signal; `exit_code` is 128 more, as shells have it.
    """

    signal: int = int(signals.SIGINT)

    def __init__(self, message: str = "", *, signal: int = int(signals.SIGINT), **numbers: Any) -> None:
        name = signals.Signals(signal).name
        said = message or f"interrupted by {name}; the instruments are made safe on the way out"
        super().__init__(said, signal=signal, **numbers)
        self.exit_code = 128 + signal
