"""A source-measure unit in a slot of a B1500A: what it forces, in which ranges, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.simulated.terminals import Amperes, Bench, Opened, Operating, Seen, Source, Volts, Wave
from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_adc import HIGH_RESOLUTION, OVERHEAD_S, Adc
from drivers.simulated.twins.b1500_formats import LIMITED, OVERFLOW, Datum, number
from drivers.simulated.twins.b1500_modules import SmuKind, current_code, voltage_code
from drivers.simulated.twins.flex import FlexError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Forced", "Smu"]

INTERLOCK_V = 42.0
"""Largest voltage and voltage compliance with the interlock open (instruments §2.2, [K])."""

_OUTPUT_OHM = 0.3
"""Of the force line without sense (B1500A User's Guide 4-19: 0.3 ohm, 0.2 ohm for the HPSMU)."""

_SERIES_OHM = 1e6
_OVER = 1.15
"""A range measures so much of itself (B1505A User's Guide, tables 2-9 and 2-10)."""

_OFFSET = 5e-5
"""Standard deviation of the offset of a range, of the range: a default [K]."""

_SETTLE_S = 200e-6
_SETTLE_DECADE_S, _SETTLE_DECADE_A = 1e-3, 1e-7
"""A change of range takes that, and 1 ms more per decade below 100 nA: defaults [K]."""

_FILTER_S = 1e-3
"""The output filter settles in five times its 0.2 ms: measured on an E5270B by others, its rise is 0.42 ms."""


@dataclass(slots=True)
class Forced:
    """What a unit forces: of V, volts with a limit in amperes; of I, amperes with a limit in volts."""

    quantity: str = "V"
    level: float = 0.0
    range: float = 20.0
    limit: float = 100e-6
    polarity: int = 0
    limit_range: float = 100e-6

    def spelled(self, slot: int) -> str:
        """Return the command that would set it, as ``*LRN? slot`` does."""
        level, limit = number(self.level, self.range), number(self.limit, self.limit_range)
        if self.quantity == "V":
            code, limit_code = voltage_code(self.range), current_code(self.limit_range)
        else:
            code, limit_code = current_code(self.range), voltage_code(self.limit_range)
        return f"D{self.quantity}{slot},{code},{level},{limit},{self.polarity},{limit_code}"


class Smu:
    """A source-measure unit.

    Parameters
    ----------
    slot : int
    kind : SmuKind
    name : str
        Of its socket.
    bench : Bench
    """

    def __init__(self, slot: int, kind: SmuKind, name: str, bench: Bench) -> None:
        self.slot, self.kind, self.bench = slot, kind, bench
        self.terminal = bench.terminal(name)
        self._random = bench.random(name, "readings")
        fixed = bench.random(name, "offsets")
        self._offsets = {("I", code): fixed.normal(0.0, _OFFSET) for code in kind.currents}
        self._offsets |= {("V", voltage_code(each)): fixed.normal(0.0, _OFFSET) for each in kind.voltages_v}
        self.reset()

    def reset(self) -> None:
        """Go to the state after power-on: switched off."""
        self.on = False
        self.forced, self.kept = Forced(), None
        self.filter = self.series = False
        self.current_code = self.voltage_code = 0
        self.ranging = (1, 50)
        self.measures = 0
        self.adc = 0
        self._range: tuple[str, float] = ("I", self.kind.most_a)
        self._show(Opened())

    kept: Forced | None

    # ---- output -------------------------------------------------------------------------------------------
    def switch(self, on: bool) -> None:
        """Close or open the output switch; it closes at 0 V, 20 V range, 100 uA (seen on real ones)."""
        if on and self.on:
            return
        self.on, self.forced, self.kept = on, Forced(range=self.kind.voltage_v(0, 20.0)), None
        self.forced.limit_range = self.kind.current_a(0, self.forced.limit)
        self.present()

    def checked(
        self,
        quantity: str,
        code: int,
        level: float,
        limit: float | None,
        *,
        polarity: int = 0,
        limit_code: int = 0,
        closed: bool = True,
    ) -> Forced:
        """Return what a command asks for, once it is found possible.

        Raises
        ------
        FlexError
            It is not; nothing has changed.
        """
        self._need_on()
        if limit is None:
            if quantity != self.forced.quantity:
                raise FlexError(flex.COMPLIANCE, f"SLOT{self.slot}")
            limit = self.forced.limit
        kind, volts, amperes = self.kind, *((level, limit) if quantity == "V" else (limit, level))
        if abs(volts) > kind.most_v or abs(amperes) > kind.most_a:
            raise FlexError(
                flex.VALUE if abs(level) > (kind.most_v, kind.most_a)[quantity == "I"] else flex.COMPLIANCE,
                f"SLOT{self.slot}",
            )
        if not closed and abs(volts) > INTERLOCK_V:
            raise FlexError(flex.INTERLOCK, f"SLOT{self.slot}")
        if not limit or abs(amperes) > kind.most_a_at(volts) * (1 + 1e-9):
            raise FlexError(flex.COMPLIANCE, f"SLOT{self.slot}")
        if quantity == "V":
            span, limit_span = kind.voltage_v(code, level), kind.current_a(limit_code, limit)
        else:
            span, limit_span = kind.current_a(code, level), kind.voltage_v(limit_code, limit)
        if abs(level) > span * (1 + 1e-9):
            raise FlexError(flex.VALUE, f"SLOT{self.slot}")
        if polarity not in (0, 1):
            raise FlexError(flex.VALUE)
        return Forced(quantity, level, span, limit, polarity, limit_span)

    def force(self, forced: Forced) -> None:
        """Put it on the terminal."""
        self.forced, self.kept = forced, None
        self.present()

    def step(self, level: float) -> None:
        """Change the level within what was checked already."""
        self.forced.level = level
        self.present()

    def zero(self) -> None:
        """Force 0 V and remember what was forced (DZ)."""
        self._need_on()
        if self.kept is None:
            self.kept = self.forced
        self.forced = Forced(
            range=self.kept.range if self.kept.quantity == "V" else self.kind.voltage_v(0, 20.0)
        )
        self.forced.limit_range = self.kind.current_a(0, self.forced.limit)
        self.present()

    def restore(self) -> None:
        """Go back to before DZ (RZ)."""
        self._need_on()
        if self.kept is None:
            raise FlexError(flex.NOT_ZEROED)
        self.forced, self.kept = self.kept, None
        self.present()

    def _need_on(self) -> None:
        if not self.on:
            raise FlexError(flex.OUTPUT_OFF, f"SLOT{self.slot}")

    def present(self) -> None:
        """Show the outside what is forced."""
        self._show(self.source() if self.on else Opened())

    def source(self) -> Source:
        """Return what is forced as the bench knows it."""
        made = self.forced
        if made.quantity == "I":
            return Amperes(made.level, abs(made.limit))
        return Volts(made.level, self.output_ohm, abs(made.limit))

    @property
    def output_ohm(self) -> float:
        """Resistance in series with the source."""
        return _OUTPUT_OHM + (_SERIES_OHM if self.series else 0.0)

    def _show(self, source: Source) -> None:
        self.terminal.present(source)

    # ---- measuring ----------------------------------------------------------------------------------------
    @property
    def limited(self) -> bool:
        """Whether the compliance acts now."""
        return self.on and self.terminal.look().limited

    def quantities(self) -> str:
        """Return what a triggered measurement of it gives: I, V or both, by CMM."""
        mine = self.forced.quantity
        other = "I" if mine == "V" else "V"
        return (other, "I", "V", mine, other + mine)[self.measures]

    def measure(
        self, quantity: str, code: int | None, adcs: Mapping[int, Adc], line_hz: float, *, auto_zero: bool
    ) -> Datum:
        """Measure one quantity on a range (None: as RI and RV say); time passes."""
        self._need_on()
        if code is None:
            code = self.current_code if quantity == "I" else self.voltage_code
        span = self._span(quantity, code)
        if self._range != (quantity, span):
            self.bench.pass_s(self._settling_s(quantity, span))
            self._range = (quantity, span)
        adc = adcs[self.adc]
        aperture_s = adc.aperture_s(span if quantity == "I" else 1.0, line_hz, auto_zero=auto_zero)
        self.bench.pass_s(OVERHEAD_S)
        return self.reading(quantity, span, self.terminal.look(aperture_s), adc, aperture_s)

    def take_fixed_range(self, quantity: str) -> None:
        """Change to the range it measures on, where that is fixed: what a sampling does before its samples."""
        code = self.current_code if quantity == "I" else self.voltage_code
        if code < 0 or quantity == self.forced.quantity:
            span = self._span(quantity, code)
            if self._range != (quantity, span):
                self.bench.pass_s(self._settling_s(quantity, span))
                self._range = (quantity, span)

    def reading(self, quantity: str, span: float, seen: Operating, adc: Adc, aperture_s: float) -> Datum:
        """Return what the converter makes of an operating point."""
        ideal = seen.current_a if quantity == "I" else seen.voltage_v
        code = current_code(span) if quantity == "I" else voltage_code(span)
        noise = self._random.normal(0.0, adc.noise(aperture_s))
        value = ideal / span + self._offsets[quantity, code] + noise
        status = LIMITED if seen.limited else 0
        used = int(adc.kind == HIGH_RESOLUTION)
        if abs(value) > _OVER:
            return Datum(quantity, None, span, self.slot, status=status | OVERFLOW, adc=used)
        step = adc.resolution()
        return Datum(quantity, round(value / step) * step * span, span, self.slot, status=status, adc=used)

    def pulsed(self, base: Forced, peak: Forced, width_s: float, edge_s: float) -> Seen:
        """Play one pulse of voltage from the start of its first edge; its width is to the start of the last."""
        times = np.array([0.0, edge_s, width_s, width_s + edge_s])
        levels = np.array([base.level, peak.level, peak.level, base.level])
        wave = Wave(times, levels, self.output_ohm, abs(peak.limit))
        seen = self.bench.play({self.terminal.name: wave})[self.terminal.name]
        self.force(base)
        return seen

    def pulse_range(self, quantity: str, forced: Forced) -> float:
        """Return the range of a measurement in a pulse: fixed, or that of the compliance."""
        code = self.current_code if quantity == "I" else self.voltage_code
        if code < 0:
            return self.kind.current_a(code, 0.0) if quantity == "I" else self.kind.voltage_v(code, 0.0)
        return forced.range if quantity == forced.quantity else forced.limit_range

    def _span(self, quantity: str, code: int) -> float:
        """Return the range it measures on: the forced quantity on the range it is forced with."""
        forced = self.forced
        if quantity == forced.quantity and code >= 0:
            return forced.range
        seen = self.terminal.look()
        if quantity == "I":
            found = self.kind.current_a(code, seen.current_a)
        else:
            found = self.kind.voltage_v(code, seen.voltage_v)
        # the compliance's range is the largest that makes sense, and the one that is there
        return found if code < 0 or quantity == forced.quantity else min(found, forced.limit_range)

    def _settling_s(self, quantity: str, span: float) -> float:
        filtering_s = _FILTER_S if self.filter else 0.0
        if quantity == "V":
            return _SETTLE_S + filtering_s
        decades = max(0, current_code(_SETTLE_DECADE_A) - current_code(span))
        return _SETTLE_S + decades * _SETTLE_DECADE_S + filtering_s
