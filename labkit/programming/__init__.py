"""Programming cells to target conductances.

Quick start, with an energised station::

    result = program_cells(station.chip, station.clock, cells, target_s, card, ProgramSettings())

Names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.programming.loop import ProgramLoop, program_cells
    from labkit.programming.proportional import Proportional
    from labkit.programming.record import PassRecord, ProgramResult
    from labkit.programming.settings import ProgramSettings, SettingsError
    from labkit.programming.strategy import Strategy

__all__ = [
    "PassRecord",
    "ProgramLoop",
    "ProgramResult",
    "ProgramSettings",
    "Proportional",
    "SettingsError",
    "Strategy",
    "program_cells",
]

_HOMES = {
    "PassRecord": "record",
    "ProgramLoop": "loop",
    "ProgramResult": "record",
    "ProgramSettings": "settings",
    "Proportional": "proportional",
    "SettingsError": "settings",
    "Strategy": "strategy",
    "program_cells": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'labkit.programming' has no attribute {name!r}")
    return getattr(import_module(f"labkit.programming.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
