"""What goes wrong with instruments that hold a temperature."""

# ruff: noqa: N818 - the names say what happened

from __future__ import annotations

from drivers.errors import DriverError, InstrumentError

__all__ = ["HeaterFault", "NotSettled", "SensorFault"]


class SensorFault(InstrumentError):
    """An input has no valid temperature.

    Attributes
    ----------
    input : str or None
        Its letter.
    status : tuple of str
        What the instrument says about it.
    """

    input: str | None = None
    status: tuple[str, ...] = ()


class HeaterFault(InstrumentError):
    """An output is off by itself: open or shorted heater, over-temperature, or an invalid control input."""


class NotSettled(DriverError):
    """The temperature did not get to where it should be in time.

    Attributes
    ----------
    wanted_k, got_k : float or None
        Kelvin.
    timeout_s : float or None
        How long was waited, seconds.
    """

    wanted_k: float | None = None
    got_k: float | None = None
    timeout_s: float | None = None
