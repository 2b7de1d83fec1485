"""The system mode of KXCI for SMUs: channel definition, source set-up, measurement set-up, measurement control.

One measurement is a sweep of VAR1, once for every step of VAR2, with the other units constant; all units are at 0 V
before and switched off after it. As of the HP 4145 it follows, ``VR1`` is a linear and ``VR2`` to ``VR4`` are
logarithmic sweeps with 10, 25 and 50 points per decade (instruments §2.6; examples of tektronix/keithley).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from drivers.simulated.twins.keithley_4200_smu import Reading, Smu, SmuCommands
from drivers.simulated.twins.kxci import Command, number, numbers, spell, whole
from drivers.simulated.twins.kxci_errors import KxciError

if TYPE_CHECKING:
    from drivers.simulated.terminals import Bench

__all__ = ["SystemMode"]

POINTS_MAX = 4096
_PER_DECADE = {2: 10, 3: 25, 4: 50}
_VAR1, _VAR2, _CONSTANT = 1, 2, 3


@dataclass(slots=True)
class _Defined:
    """A unit as the channel definition page has it: names, 1 volt / 2 ampere / 3 common, function."""

    smu: Smu
    volts: str
    amperes: str
    mode: int
    function: int
    constant: float = 0.0
    limit: float = 0.1

    def source(self, level: float, limit: float) -> None:
        """Bring its output to a level."""
        if self.mode == 2:
            self.smu.source_a(level, limit)
        else:
            self.smu.source_v(level, limit)


@dataclass(slots=True)
class _Ramp:
    """The levels of a variable, and its compliance; `volts` says which of both kinds of unit it may drive."""

    levels: list[float] = field(default_factory=list)
    limit: float = 0.1
    volts: bool = True


class SystemMode:
    """The pages ``DE``, ``SS``, ``SM`` and ``MD``."""

    def __init__(self, bench: Bench, units: SmuCommands) -> None:
        self._bench, self._units = bench, units
        self.pages: dict[str, dict[str, Callable[[Command], str | None]]] = {
            "DE": {"CH": self._ch},
            "SS": {
                "VR": self._sweep, "IR": self._sweep, "VL": self._list, "IL": self._list, "VP": self._step,
                "IP": self._step, "VC": self._constant, "IC": self._constant, "HT": self._hold, "DT": self._delay,
            },
            "SM": dict.fromkeys(("DM", "LI", "XN", "XT", "YA", "YB"), self._display),
            "MD": {"ME": self._measure},
        }  # fmt: skip
        self.measured: Callable[[], None] = lambda: None
        self.reset()

    def reset(self) -> None:
        """Forget set-up and data."""
        self.channels: dict[int, _Defined] = {}
        self.hold_s = self.delay_s = 0.0
        self.ramps = {_VAR1: _Ramp(), _VAR2: _Ramp()}
        self.clear()

    def clear(self) -> None:
        """Forget the data."""
        self.data: dict[str, list[Reading]] = {}

    # ---- pages --------------------------------------------------------------------------------------------
    def _ch(self, command: Command) -> None:
        found = command.arguments
        if len(found) == 1:
            smu = self._units.unit(found[0])
            self.channels.pop(smu.number, None)
            smu.off()
            return
        if len(found) != 5 or not found[1] or not found[2]:
            raise KxciError(-993)
        smu = self._units.unit(found[0])
        mode, function = whole(found[3], low=1, high=3), whole(found[4], low=1, high=4)
        if function == 4:  # VAR1' follows VAR1 by a ratio that nothing here sets
            raise KxciError(-986)
        self.channels[smu.number] = _Defined(smu, found[1], found[2], mode, function)

    def _sweep(self, command: Command) -> None:
        kind = whole(command.arguments[0] if command.arguments else "", low=1, high=4)
        if kind == 1:
            start, stop, step, limit = numbers(command.arguments[1:], least=4)
            if step == 0.0:
                raise KxciError(-993)
            count = int(abs(stop - start) / abs(step) + 1e-6) + 1
            levels = start + np.copysign(abs(step), stop - start) * np.arange(min(count, POINTS_MAX + 1))
        else:
            start, stop, limit = numbers(command.arguments[1:], least=3)
            if start * stop <= 0.0:
                raise KxciError(-993)
            decades = np.log10(stop / start)
            count = int(abs(decades) * _PER_DECADE[kind] + 1e-6) + 1
            levels = start * 10 ** (
                np.sign(decades) * np.arange(min(count, POINTS_MAX + 1)) / _PER_DECADE[kind]
            )
        self._set(_VAR1, levels.tolist(), limit, command)

    def _list(self, command: Command) -> None:
        if len(command.arguments) < 4:
            raise KxciError(-993)
        self._units.unit(command.arguments[0])
        whole(command.arguments[1], low=0, high=1)
        limit, *levels = (number(each) for each in command.arguments[2:])
        self._set(_VAR1, levels, limit, command)

    def _step(self, command: Command) -> None:
        start, step, count, limit = numbers(command.arguments[:4], least=4)
        if not 1 <= count <= 32 or count != int(count):
            raise KxciError(-993)
        self._set(_VAR2, [start + step * each for each in range(int(count))], limit, command)

    def _set(self, variable: int, levels: list[float], limit: float, command: Command) -> None:
        if len(levels) > POINTS_MAX:
            raise KxciError(-991)
        self.ramps[variable] = _Ramp(levels, limit, command.header.startswith("V"))

    def _constant(self, command: Command) -> None:
        _unit, level, limit = numbers(command.arguments, least=3)
        found = self.channels.get(self._units.unit(command.arguments[0]).number)
        if found is None:
            raise KxciError(-988)
        if (found.mode == 2) != (command.header == "IC"):
            raise KxciError(-991)
        found.constant, found.limit = level, limit

    def _hold(self, command: Command) -> None:
        self.hold_s = _time(command, 655.3)

    def _delay(self, command: Command) -> None:
        self.delay_s = _time(command, 6.553)

    def _display(self, command: Command) -> None:
        """Choose what the screen shows: nothing that can be asked for depends on it."""

    # ---- measuring ----------------------------------------------------------------------------------------
    def _measure(self, command: Command) -> None:
        kind = whole(command.arguments[0] if command.arguments else "", low=1, high=4)
        if kind == 4:  # stop; measurements are over before the next message is read
            return
        if kind == 2:  # repeats until it is stopped
            raise KxciError(-986)
        if kind == 1:
            self.clear()
        self._run()
        self.measured()

    def _run(self) -> None:
        swept, stepped = self._driven(_VAR1), self._driven(_VAR2)
        if not self.channels or (swept and not self.ramps[_VAR1].levels):
            raise KxciError(-991)
        inner = self.ramps[_VAR1].levels if swept else [0.0]
        outer = self.ramps[_VAR2].levels if stepped else [0.0]
        if stepped and (not swept or not outer):
            raise KxciError(-991)
        if len(inner) * len(outer) > POINTS_MAX:
            raise KxciError(-991)
        try:
            for each in self.channels.values():
                if each.mode == 3:
                    each.smu.source_v(0.0, 0.1)
                elif each.function == _CONSTANT:
                    each.source(each.constant, each.limit)
            self._levels(swept, stepped, inner, outer)
        finally:
            for each in self.channels.values():
                each.smu.off()

    def _driven(self, variable: int) -> list[_Defined]:
        found = [each for each in self.channels.values() if each.function == variable and each.mode != 3]
        if any((each.mode == 1) != self.ramps[variable].volts for each in found):
            raise KxciError(-991)
        return found

    def _levels(
        self, swept: list[_Defined], stepped: list[_Defined], inner: list[float], outer: list[float]
    ) -> None:
        began_ns = self._bench.now_ns
        for high in outer:
            for each in stepped:
                each.source(high, self.ramps[_VAR2].limit)
            for at, level in enumerate(inner):
                for each in swept:
                    each.source(level, self.ramps[_VAR1].limit)
                self._bench.pass_s(self.delay_s + (0.0 if at else self.hold_s))
                for each in self.channels.values():
                    elapsed_s = (self._bench.now_ns - began_ns) * 1e-9
                    self.data.setdefault(f"CH{each.smu.number}T", []).append(Reading(elapsed_s, "N"))
                    volts, amperes = each.smu.measure(self._units.integration)
                    self.data.setdefault(each.volts, []).append(volts)
                    self.data.setdefault(each.amperes, []).append(amperes)

    # ---- data ---------------------------------------------------------------------------------------------
    def _column(self, name: str) -> list[Reading]:
        if name not in self.data:
            raise KxciError(-993)
        return self.data[name]

    def output(self, command: Command) -> str:
        """``DO 'I1'``: all readings of a name with their letters."""
        if len(command.arguments) != 1:
            raise KxciError(-993)
        found = self._column(command.arguments[0])
        return ",".join(f"{each.letter} {self._spelled(each)}" for each in found)

    def reading(self, command: Command) -> str:
        """``RD 'I1', 3``: one reading, counted from 1; 0 behind the last one."""
        if len(command.arguments) != 2:
            raise KxciError(-993)
        found = self._column(command.arguments[0])
        at = whole(command.arguments[1], low=1, high=10**6)
        return self._spelled(found[at - 1]) if at <= len(found) else "0"

    def _spelled(self, reading: Reading) -> str:
        interlock = all(each.smu.interlock for each in self.channels.values())
        return spell(reading.value, self._units.digits) if interlock else "0.0000"


def _time(command: Command, most_s: float) -> float:
    (seconds,) = numbers(command.arguments, least=1)
    if not 0.0 <= seconds <= most_s:
        raise KxciError(-993)
    return seconds
