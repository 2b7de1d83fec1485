"""The source-measure units of a simulated 4200A: ranges, compliance, noise, and the commands of the user mode.

Where a number is called a default no source states it. Ranges and limits are those of the KXCI manual
(instruments §2.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.simulated.terminals import Amperes, Opened, Volts
from drivers.simulated.twins.kxci import Command, number, numbers, spell, whole
from drivers.simulated.twins.kxci_errors import KxciError

if TYPE_CHECKING:
    from drivers.simulated.terminals import Bench

__all__ = ["Integration", "Reading", "Smu", "SmuCommands"]

CURRENT_RANGES_A = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
PREAMP_BELOW_A = 0.5e-7
"""Ranges below it need a preamplifier."""
VOLTAGE_SOURCE_V = {0: 210.0, 1: 20.0, 2: 200.0, 3: 200.0, 4: 0.2, 5: 2.0}
CURRENT_SOURCE_A = {
    0: 0.105, 1: 1e-9, 2: 1e-8, 3: 1e-7, 4: 1e-6, 5: 1e-5, 6: 1e-4, 7: 1e-3, 8: 1e-2, 9: 0.105, 11: 1e-12, 12: 1e-11,
    13: 1e-10,
}  # fmt: skip
VOLTAGE_MAX_V, CURRENT_MAX_A = 210.0, 0.105
NOISE_OF_RANGE = 2e-6
"""Default: rms noise at one power-line cycle, in ranges; it falls with the root of the aperture."""
OFFSET_OF_RANGE = 20e-6
"""Default: spread of the offset of a range, in ranges."""
RESOLUTION_OF_RANGE = 1e-6
"""Default: smallest step of a reading, in ranges."""
LOWEST_COMPLIANCE_OF_RANGE = 0.1
"""Default: a compliance below this part of the lowest range is raised to it without a word."""
SETTLE_S = {1e-12: 0.5, 1e-11: 0.2, 1e-10: 0.05, 1e-9: 0.01, 1e-8: 2e-3}
"""Default: settling time of a current range, seconds; 0.5 ms for those not named."""


@dataclass(slots=True)
class Integration:
    """How long a reading integrates: one for all units, as ``IT`` sets it."""

    plc: float = 1.0
    line_hz: float = 50.0

    @property
    def aperture_s(self) -> float:
        """Seconds of one reading."""
        return self.plc / self.line_hz


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading and the letter that qualifies it: N normal, C compliance, V over range."""

    value: float
    letter: str


class Smu:
    """One source-measure unit."""

    def __init__(self, name: str, number: int, bench: Bench, *, preamp: bool, interlock: bool) -> None:
        self.number, self.preamp, self.interlock = number, preamp, interlock
        self.terminal = bench.terminal(f"{name}.smu{number}")
        self.letter = chr(ord("A") + number - 1)
        self._bench = bench
        self._random = bench.random(name, f"smu{number}")
        self._offsets = dict(zip(CURRENT_RANGES_A, self._random.normal(0.0, 1.0, 12), strict=True))
        self._gain = 1.0 + 1e-4 * self._random.normal()
        self.reset()

    @property
    def ranges_a(self) -> tuple[float, ...]:
        """Current ranges it has, ampere."""
        return tuple(each for each in CURRENT_RANGES_A if self.preamp or each > PREAMP_BELOW_A)

    def reset(self) -> None:
        """Go to the power-on state: output off, automatic ranges."""
        self.lowest_a, self.fixed_a = self.ranges_a[0], 0.0
        self._range_a = self.ranges_a[-1]
        self.off()

    def off(self) -> None:
        """Switch the output off."""
        self.is_on = False
        self.terminal.present(Opened())

    def source_v(self, level_v: float, limit_a: float) -> None:
        """Source a voltage; a compliance that is too small is raised."""
        limit_a = max(abs(limit_a), LOWEST_COMPLIANCE_OF_RANGE * self.ranges_a[0])
        if abs(level_v) > VOLTAGE_MAX_V or limit_a > CURRENT_MAX_A:
            raise KxciError(-993)
        self._on(Volts(level_v, 0.0, limit_a))

    def source_a(self, level_a: float, limit_v: float) -> None:
        """Source a current."""
        if abs(level_a) > CURRENT_MAX_A or abs(limit_v) > VOLTAGE_MAX_V:
            raise KxciError(-993)
        self._on(Amperes(level_a, abs(limit_v)))

    def _on(self, source: Volts | Amperes) -> None:
        if self.interlock:
            self.terminal.present(source)
            self.is_on = True

    def measure(self, integration: Integration) -> tuple[Reading, Reading]:
        """Measure voltage and current at once, over one aperture; both 0 with the interlock disconnected."""
        if not self.interlock:
            return Reading(0.0, "N"), Reading(0.0, "N")
        seen = self.terminal.look(integration.aperture_s)
        range_a = self._ranged(abs(seen.current_a))
        letter = "C" if seen.limited else "N"
        amperes = self._read(seen.current_a * self._gain, range_a, integration.plc, self._offsets[range_a])
        if abs(amperes) > 1.05 * range_a:
            amperes, letter = math.copysign(1.05 * range_a, amperes), "V"
        range_v = next((each for each in (0.2, 2.0, 20.0) if abs(seen.voltage_v) <= each), 200.0)
        volts = self._read(seen.voltage_v, range_v, integration.plc, 0.0)
        return Reading(volts, "C" if seen.limited else "N"), Reading(amperes, letter)

    def _ranged(self, current_a: float) -> float:
        """Choose the range, and let it settle where it is another one."""
        if self.fixed_a:
            chosen = self.fixed_a
        else:
            chosen = next(
                (each for each in self.ranges_a if each >= self.lowest_a and current_a <= 1.05 * each),
                self.ranges_a[-1],
            )
        if chosen != self._range_a:
            self._range_a = chosen
            self._bench.pass_s(SETTLE_S.get(chosen, 0.5e-3))
        return chosen

    def _read(self, value: float, full: float, plc: float, offset: float) -> float:
        noisy = value + full * (
            OFFSET_OF_RANGE * offset + NOISE_OF_RANGE * self._random.normal() / math.sqrt(plc)
        )
        step = RESOLUTION_OF_RANGE * full
        return round(noisy / step) * step


class SmuCommands:
    """What the user mode and both modes say to the units: ``DV DI TV TI``, ``IT RG RI RS``."""

    def __init__(self, smus: dict[int, Smu], integration: Integration) -> None:
        self.smus, self.integration = smus, integration
        self.digits = 5
        self.user = {"DV": self._dv, "DI": self._di, "TV": self._tv, "TI": self._ti}
        self.both = {"IT": self._it, "RG": self._rg, "RI": self._ri, "RS": self._rs}

    def reset(self) -> None:
        """Go to the power-on state."""
        self.integration.plc, self.digits = 1.0, 5
        for smu in self.smus.values():
            smu.reset()

    def unit(self, text: str) -> Smu:
        """Return the unit of that number; -979 where there is none."""
        found = self.smus.get(whole(text, low=1, high=9))
        if found is None:
            raise KxciError(-979)
        return found

    def spelled(self, reading: Reading, *, interlock: bool) -> str:
        """Write a value: 0.0000 with the interlock disconnected."""
        return spell(reading.value, self.digits) if interlock else "0.0000"

    # ---- user mode ----------------------------------------------------------------------------------------
    def _source(self, command: Command, spans: dict[int, float]) -> tuple[Smu, float, float] | None:
        """Read channel, range, level and limit; None where the channel alone says to switch it off."""
        if not command.arguments:
            raise KxciError(-993)
        smu = self.unit(command.arguments[0])
        if len(command.arguments) == 1:
            smu.off()
            return None
        code, level, limit = numbers(command.arguments[1:], least=3)
        span = spans.get(int(code)) if code == int(code) else None
        if span is None or abs(level) > span * 1.05:
            raise KxciError(-993)
        return smu, level, limit

    def _dv(self, command: Command) -> None:
        found = self._source(command, VOLTAGE_SOURCE_V)
        if found is not None:
            smu, level, limit = found
            if command.arguments[1] in ("4", "5") and not smu.preamp:
                raise KxciError(-993)
            smu.source_v(level, limit)

    def _di(self, command: Command) -> None:
        found = self._source(command, CURRENT_SOURCE_A)
        if found is not None:
            smu, level, limit = found
            span = CURRENT_SOURCE_A[int(number(command.arguments[1]))]
            if span < PREAMP_BELOW_A and not smu.preamp:
                raise KxciError(-993)
            smu.source_a(level, limit)

    def _tv(self, command: Command) -> str:
        return self._triggered(command, 0, "V")

    def _ti(self, command: Command) -> str:
        return self._triggered(command, 1, "I")

    def _triggered(self, command: Command, which: int, quantity: str) -> str:
        if len(command.arguments) != 1:
            raise KxciError(-993)
        smu = self.unit(command.arguments[0])
        reading = smu.measure(self.integration)[which]
        value = self.spelled(reading, interlock=smu.interlock)
        return f"{reading.letter}{smu.letter}{quantity}{'' if value.startswith('-') else ' '}{value}"

    # ---- both modes ---------------------------------------------------------------------------------------
    def _it(self, command: Command) -> None:
        kind = whole(command.arguments[0] if command.arguments else "", low=1, high=4)
        if kind < 4:
            self.integration.plc = {1: 0.1, 2: 1.0, 3: 10.0}[kind]
            return
        _delay, _filter, plc = numbers(command.arguments[1:], least=3)
        if not 0.01 <= plc <= 10.0:
            raise KxciError(-993)
        self.integration.plc = plc

    def _rg(self, command: Command) -> None:
        _unit, lowest_a = numbers(command.arguments, least=2)
        smu = self.unit(command.arguments[0])
        smu.lowest_a, smu.fixed_a = _holding(smu, lowest_a), 0.0

    def _ri(self, command: Command) -> None:
        _unit, range_a, _compliance = numbers(command.arguments, least=3)
        smu = self.unit(command.arguments[0])
        smu.fixed_a = _holding(smu, range_a)

    def _rs(self, command: Command) -> None:
        self.digits = whole(command.arguments[0] if command.arguments else "", low=3, high=7)


def _holding(smu: Smu, current_a: float) -> float:
    """Return the smallest range that holds a current."""
    for each in smu.ranges_a:
        if abs(current_a) <= each * 1.001:
            return each
    raise KxciError(-993)
