"""Drivers of bench instruments: which there are, and how one is opened by the name a bench file gives it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivers.bench import BenchInstrument
    from drivers.instrument import Instrument

__all__ = ["DRIVERS", "driver_class", "open_instrument"]

_HERE = "drivers.instruments"

DRIVERS: dict[str, tuple[str, str]] = {
    "keithley-2600": (f"{_HERE}.keithley_2600", "Keithley2600"),
    "keithley-4200a": (f"{_HERE}.keithley_4200", "Keithley4200"),
    "keithley-707b": (f"{_HERE}.keithley_707", "Keithley707"),
    "keysight-33500": (f"{_HERE}.keysight_33500", "Keysight33500"),
    "keysight-81160a": (f"{_HERE}.keysight_81160", "Keysight81160"),
    "keysight-b1500a": (f"{_HERE}.keysight_b1500", "KeysightB1500"),
    "keysight-b2900": (f"{_HERE}.keysight_b2900", "KeysightB2900"),
    "keysight-infiniivision": (f"{_HERE}.keysight_infiniivision", "KeysightInfiniiVision"),
    "lakeshore-336": (f"{_HERE}.lakeshore_336", "LakeShore336"),
    "tektronix-scope": (f"{_HERE}.tektronix_scope", "TektronixScope"),
}
"""``driver`` of a bench file -> module and class."""


def driver_class(driver: str) -> type[Instrument]:
    """Return the class of a driver; KeyError where there is none of that name."""
    module, name = DRIVERS[driver]
    found: type[Instrument] = getattr(import_module(module), name)
    return found


def open_instrument(entry: BenchInstrument, path: Path, *, transcript: Any = None) -> Instrument:
    """Open an instrument of a bench file.

    Parameters
    ----------
    entry : BenchInstrument
        Its section.
    path : Path
        The bench file, for instruments simulated by it.
    transcript : callable or list, optional
        Gets a line for every message and reply.

    Raises
    ------
    LinkError, WrongInstrument
        As of :meth:`drivers.instrument.Instrument.open`.
    """
    backend = f"{path}@pcm" if entry.backend == "@pcm" else entry.backend
    return driver_class(entry.driver).open(
        entry.address, backend=backend, timeout_s=entry.timeout_s, transcript=transcript, **entry.options
    )
