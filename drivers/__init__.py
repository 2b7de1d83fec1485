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
        ReadCalibrationError,
    )
    from drivers.events import Event, EventListener
    from drivers.multiplies import Inputs, quantise_inputs
    from drivers.products import MatrixVector, Product, Rectangle
    from drivers.read_calibration import ReadCalibration

__all__ = [
    "Batch",
    "BatchRefused",
    "BatchReport",
    "BenchError",
    "BenchFile",
    "BoardRestarted",
    "Chip",
    "DriverError",
    "Event",
    "EventListener",
    "ForeignBatch",
    "Inputs",
    "InstrumentError",
    "LinkError",
    "LockRefused",
    "MatrixVector",
    "PcmController",
    "Product",
    "Pulse",
    "PulseKind",
    "ReadCalibration",
    "ReadCalibrationError",
    "ReadSetup",
    "Reading",
    "Rectangle",
    "State",
    "load_bench",
    "quantise_inputs",
]

_HOMES = {
    "Batch": "chip",
    "BatchRefused": "errors",
    "BatchReport": "chip",
    "BenchError": "bench",
    "BenchFile": "bench",
    "BoardRestarted": "errors",
    "Chip": "chip",
    "DriverError": "errors",
    "Event": "events",
    "EventListener": "events",
    "ForeignBatch": "errors",
    "Inputs": "multiplies",
    "InstrumentError": "errors",
    "LinkError": "errors",
    "LockRefused": "errors",
    "MatrixVector": "products",
    "PcmController": "controller",
    "Product": "products",
    "Pulse": "chip",
    "PulseKind": "chip",
    "ReadCalibration": "read_calibration",
    "ReadCalibrationError": "errors",
    "ReadSetup": "chip",
    "Reading": "chip",
    "Rectangle": "products",
    "State": "chip",
    "load_bench": "bench",
    "quantise_inputs": "multiplies",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'drivers' has no attribute {name!r}")
    return getattr(import_module(f"drivers.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
