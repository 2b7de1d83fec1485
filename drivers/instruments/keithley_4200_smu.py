"""One source-measure unit of a 4200A: the user mode for levels that stay, the system mode for bursts and sweeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InterlockOpen, MalformedAnswer, SettingOutOfRange
from drivers.properties import Part, number
from drivers.roles import Burst

if TYPE_CHECKING:
    from drivers.instruments.keithley_4200 import Keithley4200

__all__ = ["SmuChannel"]

POINTS_MAX = 4096
"""Readings of one test (instruments §2.6)."""
_PLC_SPAN = (0.01, 10.0)
_READING = re.compile(r"(?P<status>[A-Z])(?P<channel>[A-Z])(?P<kind>[VI]) ?(?P<value>[-+0-9.]\S*)")
_ROW = re.compile(r"(?P<status>[A-Z]) ?(?P<value>[-+0-9.]\S*)")
_COMPLIANCE, _OVER_RANGE = "C", "V"


def _value(reply: str) -> float:
    found = _READING.fullmatch(reply.strip())
    if found is None:
        raise ValueError(reply)
    return float(found["value"])


class SmuChannel(Part):
    """A source-measure unit; has the role :class:`drivers.roles.SourceMeter`.

    Parameters
    ----------
    instrument : Keithley4200
    number : int
    line_hz : float
    preamp : bool
        It has the ranges below 100 nA.
    """

    def __init__(self, instrument: Keithley4200, number: int, line_hz: float, *, preamp: bool) -> None:
        self.instrument, self.number, self.line_hz, self.preamp = instrument, number, line_hz, preamp
        self.names: Mapping[str, str] = {"n": str(number)}
        self.lowest_span_a = (1e-12 if preamp else 1e-7, 0.1)

    def __repr__(self) -> str:
        return f"<smu{self.number} of {self.instrument!r}>"

    voltage_v = number("TV{n}", None, "Measure the voltage, volt.", unit="V", parse=_value)
    current_a = number("TI{n}", None, "Measure the current, ampere.", unit="A", parse=_value)
    lowest_range_a = number(
        None, "RG {n},{}", "Set the lowest range of automatic ranging.", unit="A", span="lowest_span_a"
    )

    def ask(self, query: str) -> str:
        """Ask something in the user mode."""
        with self.instrument.on_page("US"):
            return self.instrument.ask(query)

    def tell(self, command: str) -> None:
        """Send a command in the user mode."""
        with self.instrument.on_page("US"):
            self.instrument.tell(command)

    # ---- levels that stay -----------------------------------------------------------------------------------
    def hold(self, level_v: float, *, limit_a: float) -> None:
        """Put a voltage on the terminals and leave it there.

        Parameters
        ----------
        level_v : float
            Volt, up to +-210 V.
        limit_a : float
            Compliance, ampere; the instrument silently raises what is below its smallest.

        Raises
        ------
        SettingOutOfRange, InstrumentError
        """
        self._allowed(level_v, limit_a)
        self.tell(f"DV{self.number},0,{level_v:.10g},{limit_a:.10g}")

    def hold_current(self, level_a: float, *, limit_v: float) -> None:
        """Hold a current, ampere, within a voltage of +- `limit_v`."""
        self._within("current", level_a, 0.105, "A")
        self._within("voltage compliance", limit_v, 210.0, "V")
        self.tell(f"DI{self.number},0,{level_a:.10g},{limit_v:.10g}")

    def zero(self) -> None:
        """Bring the terminals to 0 V, so that relays may be switched."""
        self.tell(f"DV{self.number},0,0,0.001")

    def switch_off(self) -> None:
        """Switch the output off; the terminals are open then."""
        self.tell(f"DV{self.number}")

    def measure_current(self) -> tuple[float, bool]:
        """Measure the current once: ampere, and whether the compliance acts.

        Raises
        ------
        InterlockOpen
            Readings are 0.0000, as they are with the interlock disconnected.
        """
        found = _READING.fullmatch(self.ask(f"TI{self.number}").strip())
        if found is None:
            raise MalformedAnswer(f"{self!r} answered no reading to TI{self.number}")
        self._interlocked([found["value"]])
        value = float(found["value"])
        return (np.nan if found["status"] == _OVER_RANGE else value), found["status"] == _COMPLIANCE

    # ---- bursts and sweeps ------------------------------------------------------------------------------------
    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure `samples` times at one voltage, on the instrument; see :class:`drivers.roles.SourceMeter`."""
        return self.sweep(
            np.full(samples, float(level_v)), aperture_s=aperture_s, limit_a=limit_a, range_a=range_a
        )

    def sweep(
        self,
        levels_v: NDArray[np.float64],
        *,
        aperture_s: float,
        limit_a: float,
        range_a: float | None = None,
    ) -> Burst:
        """Measure once at each voltage, on the instrument; the output is off before and after.

        Parameters
        ----------
        levels_v : ndarray of float64
            Volt, at most 4096.
        aperture_s : float
            Integration time; from 0.01 to 10 power-line cycles, the nearest of them is taken.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Fixed measuring range that holds this current; automatic when left out.

        Raises
        ------
        SettingOutOfRange, InstrumentError, InterlockOpen
        """
        levels = np.asarray(levels_v, dtype=np.float64)
        self._within("number of points", float(len(levels)), POINTS_MAX, "", low=1)
        if not np.isfinite(levels).all():
            raise SettingOutOfRange("a level is no number; nothing was sent", setting="levels_v")
        self._allowed(float(levels[np.argmax(np.abs(levels))]), limit_a)
        plc = float(np.clip(aperture_s * self.line_hz, *_PLC_SPAN))
        n, instrument = self.number, self.instrument
        with instrument.alone():
            self._define(levels, plc, limit_a, range_a)
            instrument.wait("SP", expected_s=len(levels) * (2 * plc / self.line_hz + 0.05))
            try:
                amperes, status = self._column(f"I{n}", len(levels))
                volts, _ = self._column(f"V{n}", len(levels))
                elapsed, _ = self._column(f"CH{n}T", len(levels))
            finally:
                instrument.page("DE")
                instrument.tell(f"CH{n}")
        amperes[status == _OVER_RANGE] = np.nan
        return Burst(volts, amperes, status == _COMPLIANCE, elapsed - elapsed[0])

    def _define(
        self, levels_v: NDArray[np.float64], plc: float, limit_a: float, range_a: float | None
    ) -> None:
        """Set the test up and start it."""
        n, instrument = self.number, self.instrument
        spelled = ",".join(f"{level:.8g}" for level in levels_v)
        lowest_a = self.lowest_span_a[0]
        with instrument.together():
            instrument.page("DE")
            instrument.tell(f"CH{n},'V{n}','I{n}',1,1")
            instrument.page("SS")
            for command in (
                f"VL{n},1,{limit_a:.10g},{spelled}",
                "HT 0",
                "DT 0",
                f"IT4,0,0,{plc:.6g}",
                f"RG {n},{lowest_a:g}" if range_a is None else f"RI {n},{range_a:.10g},{limit_a:.10g}",
            ):
                instrument.tell(command)
            instrument.page("SM")
            instrument.tell("DM2")
            instrument.page("MD")
        instrument.tell("ME1")

    def _column(self, name: str, count: int) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
        """Fetch all readings of a name, and the letters that qualify them."""
        reply = self.instrument.ask(f"DO '{name}'")
        rows = [_ROW.fullmatch(each.strip()) for each in reply.split(",")]
        if len(rows) != count or None in rows:
            raise MalformedAnswer(
                f"{self!r} answered {len(rows)} readings of {name}, {reply[:60]!r}, where {count} were measured"
            )
        found = [row for row in rows if row is not None]
        if not name.endswith("T"):
            self._interlocked([row["value"] for row in found])
        values = np.array([float(row["value"]) for row in found])
        return values, np.array([row["status"] for row in found])

    # ---- inside -------------------------------------------------------------------------------------------
    def _interlocked(self, values: list[str]) -> None:
        """Refuse readings of nothing: with the interlock disconnected all are written 0.0000."""
        if all(value == "0.0000" for value in values):
            raise InterlockOpen(
                f"{self!r} reads 0.0000, as it does with the interlock disconnected: close the fixture and check "
                "the interlock cable"
            )

    def _allowed(self, level_v: float, limit_a: float) -> None:
        self._within("level_v", level_v, 210.0, "V")
        self._within("limit_a", limit_a, 0.105, "A", low=0.0)

    def _within(self, what: str, value: float, high: float, unit: str, low: float | None = None) -> None:
        lowest = -high if low is None else low
        if not lowest <= value <= high:
            raise SettingOutOfRange(
                f"{what} = {value:g} {unit} is outside {lowest:g} .. {high:g} {unit} of {self!r}; nothing was sent",
                setting=what,
                value=value,
                low=lowest,
                high=high,
            )
