"""A channel of the 2600: settings, single readings, and sweeps and pulses that run on the instrument.

A sweep is one message that sets it up and starts it, a wait, and one binary read-back, whatever its length. It runs
in the trigger model, so the status byte tells when it is over and nothing has to wait in ``*OPC?`` (instruments §2.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.errors import SettingOutOfRange
from drivers.instruments.keithley_2600_models import FULL_SCALE
from drivers.instruments.keithley_2600_settings import HIGHEST_PLC, LOWEST_PLC, SmuSettings
from drivers.roles import Burst
from drivers.tsp_instrument import lua_number, lua_table_lines

__all__ = ["Smu"]

COMPLIANCE = 0x40
"""Bit of a reading's status: the source was limited (2600B reference manual, "Buffer status bits")."""

SHORTEST_PULSE_S = 100e-6
"""Least width of a pulse (instruments §2.1: the 100 us class)."""

BEFORE_END_S = 40e-6
"""A pulse is measured so that the aperture ends this long before the pulse does: a default that leaves room for the
conversion; the maker's example has 56 us (instruments §2.1)."""

_SETTLE_S = 0.2
"""Seconds a point may take to settle, for the time allowed: a default above what the lowest range needs."""


class Smu(SmuSettings):
    """One channel, with the role of a source-meter; ``instrument.a``.

    Voltages and currents are those at its terminals; what is sourced is measured too.
    """

    def point(self) -> Burst:
        """Measure voltage and current once, at what the source is set to now."""
        smu = self.names["smu"]
        line_s = HIGHEST_PLC / self._instrument.line_hz
        current, voltage, bits = self._instrument.ask_numbers(
            f"({smu}.measure.i())", f"({smu}.measure.v())", f"status.measurement.instrument.{smu}.condition",
            timeout_s=self._instrument.link.timeout_s + 6 * line_s,
        )  # fmt: skip
        limited = bool(int(bits) & 3)
        return Burst(np.array([voltage]), np.array([current]), np.array([limited]), np.zeros(1))

    # ---- source-meter -----------------------------------------------------------------------------------------------
    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure `samples` times at one voltage, one after the other, on the instrument; 0 V before and after.

        Parameters
        ----------
        level_v : float
            Volt.
        samples : int
        aperture_s : float
            Integration time of one sample; the nearest the instrument can do.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Fixed measuring range that holds this current; automatic when left out.

        Raises
        ------
        SettingOutOfRange
            Outside what the model can do; nothing was sent.
        InterlockOpen
            The voltage needs the interlock; the output stayed off.
        InstrumentError
            The instrument refused something; the sweep did not start.
        """
        levels = np.array([float(level_v)])
        lines = self._meter(aperture_s, "v", range_a, samples)
        return self._run("v", levels, limit_a, lines, samples, self._plc(aperture_s))

    def sweep(
        self, levels_v: ArrayLike, *, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure once at each voltage, on the instrument; 0 V before and after; raises as :meth:`burst`."""
        levels = self._levels(levels_v)
        lines = self._meter(aperture_s, "v", range_a, 1)
        return self._run("v", levels, limit_a, lines, levels.size, self._plc(aperture_s))

    def sweep_current(
        self, levels_a: ArrayLike, *, aperture_s: float, limit_v: float, range_v: float | None = None
    ) -> Burst:
        """Measure once at each current, on the instrument; 0 A before and after, and the output is off then.

        Parameters
        ----------
        levels_a : array of float
            Ampere.
        aperture_s, range_v
            As of :meth:`burst`; the range is the voltmeter's.
        limit_v : float
            Compliance, volt.
        """
        levels = self._levels(levels_a)
        lines = self._meter(aperture_s, "i", range_v, 1)
        return self._run("i", levels, limit_v, lines, levels.size, self._plc(aperture_s))

    def pulses(
        self,
        level_v: float,
        *,
        width_s: float,
        period_s: float,
        count: int,
        aperture_s: float,
        limit_a: float,
        range_a: float | None = None,
    ) -> Burst:
        """Give voltage pulses from 0 V and measure each near its end; for widths from 100 us.

        Edges are those of the output stage, tens of microseconds; a pulse source makes faster ones.

        Parameters
        ----------
        level_v : float
            Volt.
        width_s, period_s : float
            Of a pulse, and from start to start.
        count : int
        aperture_s : float
            Integration time; must fit into the pulse.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Measuring range that holds this current; the one that holds the compliance when left out.
        """
        plc = self._plc(aperture_s)
        measured_s = plc / self._instrument.line_hz
        longest_s = period_s - SHORTEST_PULSE_S
        shortest_s = max(SHORTEST_PULSE_S, measured_s + BEFORE_END_S)
        self._within("width_s", width_s, shortest_s, longest_s, "s")
        self._within("count", count, 1, self._instrument.capacity, "")
        smu, timer = self.names["smu"], "trigger.timer"
        lines = self._meter(aperture_s, "v", limit_a if range_a is None else range_a, 1)
        delay_s = width_s - measured_s - BEFORE_END_S
        lines += [
            f"{smu}.measure.delay = {smu}.DELAY_OFF",
            f"{timer}[1].reset() {timer}[2].reset() {timer}[3].reset()",
            f"{timer}[1].delay = {lua_number(period_s)} {timer}[1].count = {max(1, count - 1)}",
            f"{timer}[1].passthrough = true {timer}[1].stimulus = {smu}.trigger.ARMED_EVENT_ID",
            f"{timer}[2].delay = {lua_number(delay_s)} {timer}[2].stimulus = {timer}[1].EVENT_ID",
            f"{timer}[3].delay = {lua_number(width_s)} {timer}[3].stimulus = {timer}[1].EVENT_ID",
            f"{smu}.trigger.source.stimulus = {timer}[1].EVENT_ID",
            f"{smu}.trigger.measure.stimulus = {timer}[2].EVENT_ID",
            f"{smu}.trigger.endpulse.stimulus = {timer}[3].EVENT_ID",
            f"{smu}.trigger.endpulse.action = {smu}.SOURCE_IDLE {smu}.trigger.autoclear = {smu}.ENABLE",
        ]
        levels = np.full(1, float(level_v))
        return self._run("v", levels, limit_a, lines, count, plc, points=count, period_s=period_s)

    def hold(self, level_v: float, *, limit_a: float) -> None:
        """Put a voltage on the terminals and leave it there; raises as :meth:`burst`."""
        self._within("level_v", level_v, *self.span_v, "V")
        self._within("limit_a", limit_a, *self.span_limit_a, "A")
        smu = self.names["smu"]
        lines = self._source("v", abs(level_v), limit_a)
        lines.append(
            f"if errorqueue.count == 0 then {smu}.source.levelv = {lua_number(level_v)} "
            f"{smu}.source.output = {smu}.OUTPUT_ON end"
        )
        self._instrument.tell_lines(lines)

    def zero(self) -> None:
        """Bring the terminals to 0 V, so that relays may be switched."""
        smu = self.names["smu"]
        self._instrument.tell(
            f"{smu}.abort() {smu}.source.levelv = 0 {smu}.source.leveli = 0 "
            f"if {smu}.source.func == {smu}.OUTPUT_DCAMPS then {smu}.source.output = {smu}.OUTPUT_OFF end"
        )

    def reset(self) -> None:
        """Bring the channel to its defaults; the output goes off."""
        self._instrument.tell(f"{self.names['smu']}.reset()")

    def abort(self) -> None:
        """Abort a sweep where it is, and go to 0 V."""
        self.zero()

    # ---- inside -----------------------------------------------------------------------------------------------------
    def _within(self, setting: str, value: float, low: float, high: float, unit: str) -> None:
        if not low <= value <= high:
            raise SettingOutOfRange(
                f"{setting} = {value:g} {unit} is outside {low:g} .. {high:g} {unit} of {self!r}; nothing was sent",
                setting=setting,
                value=value,
                low=low,
                high=high,
            )

    def _levels(self, levels: ArrayLike) -> NDArray[np.float64]:
        found = np.atleast_1d(np.asarray(levels, dtype=np.float64))
        if found.ndim != 1 or not found.size or not np.isfinite(found).all():
            raise SettingOutOfRange(
                f"the levels of a sweep are a list of finite numbers, not an array of shape {found.shape}; nothing was "
                "sent",
                setting="levels",
                value=levels,
            )
        return found

    def _plc(self, aperture_s: float) -> float:
        return float(np.clip(aperture_s * self._instrument.line_hz, LOWEST_PLC, HIGHEST_PLC))

    def _source(self, function: str, top: float, limit: float) -> list[str]:
        """Return lines that make it a source at 0 with a range for `top` and a limit, in an order that always holds."""
        smu, able = self.names["smu"], self.abilities
        lines = [
            f"{smu}.abort()",
            f"if {smu}.source.func ~= {int(function == 'v')} then {smu}.source.output = {smu}.OUTPUT_OFF end",
            f"{smu}.source.func = {int(function == 'v')} {smu}.source.level{function} = 0",
        ]
        if function == "v":
            # A large limit forbids the highest range and the other way round: least limit, range, then the limit.
            lines += [
                f"{smu}.source.limiti = {lua_number(able.least_limit_a)}",
                f"{smu}.source.rangev = {lua_number(able.range_v(top))}",
                f"{smu}.source.limiti = {lua_number(limit)}",
            ]
        else:
            sourced = next(each for each in able.ranges_a if top <= FULL_SCALE * each and each > 100.5e-12)
            lines += [
                f"{smu}.source.rangei = {lua_number(sourced)}",
                f"{smu}.source.limitv = {lua_number(limit)}",
            ]
        return lines

    def _meter(self, aperture_s: float, function: str, range_: float | None, samples: int) -> list[str]:
        """Return lines that set up the meter of what is not sourced."""
        smu, other, able = self.names["smu"], "i" if function == "v" else "v", self.abilities
        self._within("samples", samples, 1, self._instrument.capacity, "")
        if not aperture_s > 0:
            self._within("aperture_s", aperture_s, LOWEST_PLC / self._instrument.line_hz, np.inf, "s")
        if range_ is None:
            ranged = f"{smu}.measure.autorange{other} = {smu}.AUTORANGE_ON"
        else:
            top = able.ranges_a[-1] if other == "i" else able.ranges_v[-1]
            self._within(
                f"range_{'a' if other == 'i' else 'v'}", abs(range_), 0.0, top, "A" if other == "i" else "V"
            )
            held = (
                able.range_a(range_)
                if other == "i"
                else next(each for each in able.ranges_v if each >= range_)
            )
            ranged = f"{smu}.measure.range{other} = {lua_number(held)}"
        return [
            f"{smu}.measure.nplc = {lua_number(self._plc(aperture_s))} {ranged}",
            f"{smu}.measure.autozero = {smu}.AUTOZERO_ONCE {smu}.measure.delay = {smu}.DELAY_AUTO",
            f"{smu}.measure.filter.enable = 0 {smu}.measure.rel.enablei = 0 {smu}.measure.rel.enablev = 0",
            f"{smu}.measure.count = {samples} {smu}.measure.interval = 0 {smu}.source.delay = 0",
        ]

    def _run(
        self,
        function: str,
        levels: NDArray[np.float64],
        limit: float,
        lines: list[str],
        readings: int,
        plc: float,
        *,
        points: int | None = None,
        period_s: float = 0.0,
    ) -> Burst:
        """Set up, start, wait, read back."""
        span, span_limit = (
            (self.span_v, self.span_limit_a) if function == "v" else (self.span_a, self.span_limit_v)
        )
        unit, other = ("V", "A") if function == "v" else ("A", "V")
        for level in (float(levels.min()), float(levels.max())):
            self._within(f"level_{unit.lower()}", level, *span, unit)
        self._within(f"limit_{other.lower()}", limit, *span_limit, other)
        self._within("the number of readings", readings, 1, self._instrument.capacity, "")
        instrument, smu = self._instrument, self.names["smu"]
        count = levels.size if points is None else points
        setup = self._source(function, float(np.abs(levels).max()), limit)
        setup += _untriggered(smu)
        setup += lines + _buffers(smu) + self._steps(function, levels)
        setup += [
            f"{smu}.trigger.count = {count} {smu}.trigger.arm.count = 1",
            f"{smu}.trigger.source.action = {smu}.ENABLE {smu}.trigger.measure.action = {smu}.ENABLE",
            f"{smu}.trigger.measure.iv({smu}.nvbuffer1, {smu}.nvbuffer2)",
            f"{smu}.trigger.endsweep.action = {smu}.SOURCE_IDLE",
        ]
        expected_s = readings * plc / instrument.line_hz + count * period_s
        instrument.run_sweep(
            self.letter, setup, expected_s=expected_s, allowed_s=3 * expected_s + count * _SETTLE_S * 10
        )
        buffers = f"{smu}.nvbuffer1", f"{smu}.nvbuffer2"
        current, voltage, status, time_s = instrument.read_columns(
            [buffers[0], buffers[1], f"{buffers[0]}.statuses", f"{buffers[0]}.timestamps"], readings
        )
        if function == "i":
            instrument.tell(f"{smu}.source.output = {smu}.OUTPUT_OFF")
        else:
            instrument.check()
        limited = (np.nan_to_num(status).astype(np.int64) & COMPLIANCE) != 0
        return Burst(voltage, current, limited, time_s)

    def _steps(self, function: str, levels: NDArray[np.float64]) -> list[str]:
        """Return lines that give the trigger model its levels: by their ends where they are a line."""
        smu = self.names["smu"]
        first, last = float(levels[0]), float(levels[-1])
        close = 1e-9 * max(1e-12, float(np.abs(levels).max()))
        if levels.size == 1 or np.allclose(levels, np.linspace(first, last, levels.size), rtol=0, atol=close):
            ends = f"{lua_number(first)}, {lua_number(last)}, {levels.size}"
            return [f"{smu}.trigger.source.linear{function}({ends})"]
        lines: list[str] = lua_table_lines("labkit_levels", levels.tolist())
        return [*lines, f"{smu}.trigger.source.list{function}(labkit_levels) labkit_levels = nil"]


def _untriggered(smu: str) -> list[str]:
    """Return lines that let every layer of the trigger model go on by itself."""
    return [f"{smu}.trigger.{layer}.stimulus = 0" for layer in ("arm", "source", "measure", "endpulse")] + [
        f"{smu}.trigger.endpulse.action = {smu}.SOURCE_HOLD"
    ]


def _buffers(smu: str) -> list[str]:
    """Return lines that empty both buffers and let them keep times."""
    return [
        f"{buffer}.clear() {buffer}.appendmode = 0 {buffer}.collecttimestamps = 1 {buffer}.collectsourcevalues = 0"
        for buffer in (f"{smu}.nvbuffer1", f"{smu}.nvbuffer2")
    ]
