"""Bench work with phase-change-memory chips: stations, programming, runs, reports.

Quick start::

    from labkit import open_station

    with open_station("bench.yaml") as station:
        print(station.snapshot()["identities"])

Names are imported on first use, so ``import labkit`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.envelope import GuardedChip
    from labkit.errors import (
        BenchReserved,
        BudgetError,
        DiskFull,
        EnvelopeExceeded,
        Interrupted,
        LabkitError,
        ReferencesProtected,
        RunError,
        RunExists,
        RunNewer,
        RunUnreadable,
        StationError,
        TargetOutOfRange,
        TooManyCells,
        WearBudgetSpent,
        WeightsError,
    )
    from labkit.runs import Run
    from labkit.station import Check, Station, check_station, open_station

__all__ = [
    "BenchReserved",
    "BudgetError",
    "Check",
    "DiskFull",
    "EnvelopeExceeded",
    "GuardedChip",
    "Interrupted",
    "LabkitError",
    "ReferencesProtected",
    "Run",
    "RunError",
    "RunExists",
    "RunNewer",
    "RunUnreadable",
    "Station",
    "StationError",
    "TargetOutOfRange",
    "TooManyCells",
    "WearBudgetSpent",
    "WeightsError",
    "check_station",
    "open_station",
]

_HOMES = {
    "BenchReserved": "errors",
    "BudgetError": "errors",
    "Check": "station_check",
    "DiskFull": "errors",
    "EnvelopeExceeded": "errors",
    "GuardedChip": "envelope",
    "Interrupted": "errors",
    "LabkitError": "errors",
    "ReferencesProtected": "errors",
    "Run": "runs",
    "RunError": "errors",
    "RunExists": "errors",
    "RunNewer": "errors",
    "RunUnreadable": "errors",
    "Station": "station",
    "StationError": "errors",
    "TargetOutOfRange": "errors",
    "TooManyCells": "errors",
    "WearBudgetSpent": "errors",
    "WeightsError": "errors",
    "check_station": "station",
    "open_station": "station",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    return getattr(import_module(f"labkit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
