"""The settings of a channel of the 2600, one line of TSP each (instruments §2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers.instruments.keithley_2600_models import FULL_SCALE, Abilities
from drivers.properties import Part, choice, number, switch, whole

if TYPE_CHECKING:
    from drivers.instruments.keithley_2600 import Keithley2600

__all__ = ["HIGHEST_PLC", "LOWEST_PLC", "SmuSettings"]

LOWEST_PLC, HIGHEST_PLC = 0.001, 25.0
"""Apertures in power line cycles (instruments §2.1)."""


class SmuSettings(Part):
    """One channel: what it is set to, and single measurements.

    Parameters
    ----------
    instrument : Keithley2600
    letter : str
        "a" or "b".
    """

    def __init__(self, instrument: Keithley2600, letter: str) -> None:
        self._instrument, self.letter = instrument, letter
        self.names: Mapping[str, str] = {"smu": f"smu{letter}"}
        self.abilities: Abilities = instrument.abilities
        able = self.abilities
        self.span_v = (-FULL_SCALE * able.ranges_v[-1], FULL_SCALE * able.ranges_v[-1])
        self.span_a = (-FULL_SCALE * able.ranges_a[-1], FULL_SCALE * able.ranges_a[-1])
        self.span_limit_v = (able.least_limit_v, able.ranges_v[-1])
        self.span_limit_a = (able.least_limit_a, able.ranges_a[-1])
        self.span_range_v = (0.0, able.ranges_v[-1])
        self.span_range_a = (0.0, able.ranges_a[-1])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._instrument.link.address} {self.names['smu']}>"

    def ask(self, query: str) -> str:
        """Ask the instrument something; returns its reply."""
        return self._instrument.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors."""
        self._instrument.tell(command)

    # ---- source -----------------------------------------------------------------------------------------------------
    function = choice(
        "print({smu}.source.func)",
        "{smu}.source.func = {}",
        "Control what is sourced: voltage or current.",
        {"voltage": "1", "current": "0"},
        parse=lambda reply: str(int(float(reply))),
    )
    level_v = number(
        "print({smu}.source.levelv)",
        "{smu}.source.levelv = {}",
        "Control the sourced voltage.",
        unit="V",
        span="span_v",
    )
    level_a = number(
        "print({smu}.source.leveli)",
        "{smu}.source.leveli = {}",
        "Control the sourced current.",
        unit="A",
        span="span_a",
    )
    limit_a = number(
        "print({smu}.source.limiti)",
        "{smu}.source.limiti = {}",
        "Control the compliance of the voltage source.",
        unit="A",
        span="span_limit_a",
    )
    limit_v = number(
        "print({smu}.source.limitv)",
        "{smu}.source.limitv = {}",
        "Control the compliance of the current source.",
        unit="V",
        span="span_limit_v",
    )
    source_range_v = number(
        "print({smu}.source.rangev)",
        "{smu}.source.rangev = {}",
        "Control the range of the voltage source; setting one ends autorange.",
        unit="V",
        span="span_range_v",
    )
    source_range_a = number(
        "print({smu}.source.rangei)",
        "{smu}.source.rangei = {}",
        "Control the range of the current source; setting one ends autorange.",
        unit="A",
        span="span_range_a",
    )
    source_autorange_voltage = switch(
        "print({smu}.source.autorangev)",
        "{smu}.source.autorangev = {}",
        "Control autorange of the voltage source.",
    )
    source_autorange_current = switch(
        "print({smu}.source.autorangei)",
        "{smu}.source.autorangei = {}",
        "Control autorange of the current source.",
    )
    source_delay_s = number(
        "print({smu}.source.delay)",
        "{smu}.source.delay = {}",
        "Control the wait after each step of the source; -1 is automatic.",
        unit="s",
        span=(-1.0, 100.0),
    )
    high_capacitance = switch(
        "print({smu}.source.highc)", "{smu}.source.highc = {}", "Control the mode for loads above 10 nF."
    )
    off_state = choice(
        "print({smu}.source.offmode)",
        "{smu}.source.offmode = {}",
        "Control what an output that is off is: 0 V within 1 mA (normal), 0 V (zero), or open (open).",
        {"normal": "0", "zero": "1", "open": "2"},
        parse=lambda reply: str(int(float(reply))),
    )
    output = switch(
        "print({smu}.source.output)",
        "{smu}.source.output = {}",
        "Control whether the output is on; with an open interlock it may refuse.",
    )
    in_compliance = switch(
        "print({smu}.source.compliance)",
        None,
        "Get whether the source is limited now.",
        on="true",
        off="false",
    )

    # ---- meter ------------------------------------------------------------------------------------------------------
    remote_sense = switch("print({smu}.sense)", "{smu}.sense = {}", "Control four-wire sensing.")
    integration_plc = number(
        "print({smu}.measure.nplc)",
        "{smu}.measure.nplc = {}",
        "Control the aperture in power line cycles.",
        unit="PLC",
        span=(LOWEST_PLC, HIGHEST_PLC),
    )
    measure_range_a = number(
        "print({smu}.measure.rangei)",
        "{smu}.measure.rangei = {}",
        "Control the range of the ammeter; setting one ends autorange.",
        unit="A",
        span="span_range_a",
    )
    measure_range_v = number(
        "print({smu}.measure.rangev)",
        "{smu}.measure.rangev = {}",
        "Control the range of the voltmeter; setting one ends autorange.",
        unit="V",
        span="span_range_v",
    )
    measure_autorange_current = switch(
        "print({smu}.measure.autorangei)",
        "{smu}.measure.autorangei = {}",
        "Control autorange of the ammeter.",
    )
    measure_autorange_voltage = switch(
        "print({smu}.measure.autorangev)",
        "{smu}.measure.autorangev = {}",
        "Control autorange of the voltmeter.",
    )
    lowest_range_a = number(
        "print({smu}.measure.lowrangei)",
        "{smu}.measure.lowrangei = {}",
        "Control the lowest range autorange of the ammeter goes to; low ones settle slowly.",
        unit="A",
        span="span_range_a",
    )
    measure_delay_s = number(
        "print({smu}.measure.delay)",
        "{smu}.measure.delay = {}",
        "Control the wait before each measurement; -1 is automatic, by the range.",
        unit="s",
        span=(-1.0, 100.0),
    )
    autozero = choice(
        "print({smu}.measure.autozero)",
        "{smu}.measure.autozero = {}",
        "Control when the converter's zero is measured: never (off), now (once), with every reading (auto).",
        {"off": "0", "once": "1", "auto": "2"},
        parse=lambda reply: str(int(float(reply))),
    )
    filter_count = whole(
        "print({smu}.measure.filter.count)",
        "{smu}.measure.filter.count = {}",
        "Control how many readings the filter takes together.",
        span=(1, 100),
    )
    filter_on = switch(
        "print({smu}.measure.filter.enable)", "{smu}.measure.filter.enable = {}", "Control the filter."
    )
    current_a = number("print({smu}.measure.i())", None, "Measure the current.", unit="A")
    voltage_v = number("print({smu}.measure.v())", None, "Measure the voltage.", unit="V")
    resistance_ohm = number("print({smu}.measure.r())", None, "Measure voltage by current.", unit="Ohm")
    power_w = number("print({smu}.measure.p())", None, "Measure the power.", unit="W")
