"""Hardware, real and simulated: the VISA link, the chip controller, the bench file.

Quick start::

    from drivers import PcmController, ReadSetup

    with PcmController.open("TCPIP0::192.168.0.5::5025::SOCKET") as chip:
        print(chip.identify(), chip.geometry())

Names are imported on first use, so ``import drivers`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivers.bench import BenchError, BenchFile, load_bench
    from drivers.chip import Batch, BatchReport, Chip, Pulse, PulseKind, Reading, ReadSetup, State
    from drivers.controller import PcmController
    from drivers.errors import (
        BatchRefused,
        BoardRestarted,
        DriverError,
        ForeignBatch,
        InstrumentError,
        LinkError,
        LockRefused,
    )

__all__ = [
    "Batch",
    "BatchRefused",
    "BatchReport",
    "BenchError",
    "BenchFile",
    "BoardRestarted",
    "Chip",
    "DriverError",
    "ForeignBatch",
    "InstrumentError",
    "LinkError",
    "LockRefused",
    "PcmController",
    "Pulse",
    "PulseKind",
    "ReadSetup",
    "Reading",
    "State",
    "load_bench",
]

_HOMES = {"BenchError": "bench", "BenchFile": "bench", "load_bench": "bench", "PcmController": "controller"}
_ERRORS = ("Refused", "Restarted", "Error", "ForeignBatch")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'drivers' has no attribute {name!r}")
    home = _HOMES.get(name) or ("errors" if name.endswith(_ERRORS) else "chip")
    return getattr(import_module(f"drivers.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
