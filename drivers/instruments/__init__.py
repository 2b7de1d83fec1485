"""Drivers of bench instruments: which there are, and how one is opened by the name a bench file gives it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivers.bench import BenchInstrument
    from drivers.instrument import Instrument

__all__ = ["DRIVERS", "driver_class", "known_drivers", "open_instrument", "register_driver"]

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
    "temptronic-ats": (f"{_HERE}.temptronic_ats", "TemptronicAts"),
}
"""``driver`` of a bench file -> module and class."""


_GROUP = "labkit.drivers"
_added: dict[str, type[Instrument]] = {}


def known_drivers() -> tuple[str, ...]:
    """Return the names a bench file may give as ``driver``, of this package, of installed ones, and registered."""
    return (*DRIVERS, *_installed(), *_added)


def register_driver(name: str, kind: type[Instrument]) -> None:
    """Let bench files name a driver of your own, in this process.

    A package does it for every process with an entry point of the group ``labkit.drivers``:
    ``acme-meter = "acme_meter:AcmeMeter"``.

    Parameters
    ----------
    name : str
        What bench files write as ``driver``.
    kind : class
        Derived from :class:`drivers.instrument.Instrument`.

    Raises
    ------
    ValueError
        The name is taken.
    """
    if name in known_drivers() or name in ("pcm-controller", "discrete"):
        raise ValueError(f"there is a driver named {name!r} already")
    _added[name] = kind


def driver_class(driver: str) -> type[Instrument]:
    """Return the class of a driver; KeyError where there is none of that name."""
    if driver in _added:
        return _added[driver]
    if driver not in DRIVERS:
        found: type[Instrument] = _installed()[driver].load()
        return found
    module, name = DRIVERS[driver]
    kind: type[Instrument] = getattr(import_module(module), name)
    return kind


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}


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
