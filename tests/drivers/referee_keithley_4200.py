"""PyMeasure's driver of the 4200A against the simulated one: every public name, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REFEREE", "Line"]


class Line(NamedTuple):
    """One public name of ``pymeasure.instruments.keithley.Keithley4200`` or its ``SMU``.

    Attributes
    ----------
    name : str
    verdict : str
        "works", "fails as documented" or "not of the instrument": handled by PyMeasure alone.
    remark : str
    """

    name: str
    verdict: str
    remark: str = ""


REFEREE = (
    Line("add_smu", "not of the instrument", "makes the channel object of a unit *OPT? names"),
    Line("check_set_errors", "works", "takes the ACK of the last command"),
    Line("clear", "works", "BC is acknowledged"),
    Line("complete", "fails as documented", "needs *OPC?, which is no command of KXCI"),
    Line("id", "works", "ID answers KI4200A and the version"),
    Line("next_error", "fails as documented", "needs SYST:ERR?, which is no command of KXCI"),
    Line("options", "works", "*OPT? answers what is fitted; a unit with preamplifier is SMUPA1"),
    Line(
        "reset", "fails as documented", "PyMeasure sends *RST only to instruments it declares to speak SCPI"
    ),
    Line("shutdown", "not of the instrument", "notes that it was called"),
    Line("status", "works", "SP answers the status byte as a number"),
    Line("smu.current", "works", "TI; the letter of compliance is cut off with the others"),
    Line("smu.current_setpoint", "works", "US and DI in one message, one ACK"),
    Line("smu.disable", "works", "DV with the channel alone"),
    Line("smu.voltage", "works", "TV; the three letters before the value are cut off"),
    Line("smu.voltage_setpoint", "works", "US and DV in one message, one ACK"),
)
"""Names of its own class and of the base class that speak to the instrument."""
