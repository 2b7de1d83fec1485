"""What a Lake Shore 335 / 336 understands, and the status its commands leave.

There is no error queue. A command it does not know, or whose parameters cannot be, sets a bit of ``*ESR?`` and is
answered by nothing, which a program meets as a time-out (instruments §2.9). Commands of one message are separated by
``;`` and so are their replies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import ClassVar

from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Bench
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins.lakeshore_machine import Machine
from drivers.simulated.twins.lakeshore_plant import Loop
from drivers.simulated.twins.lakeshore_sensors import ZERO_K
from drivers.simulated.twins.lakeshore_settings import Refused, digits, finite, pieces

__all__ = ["LakeShoreTwin"]

LONGEST = 1024
"""Characters of a message (instruments §2.9); a longer one is dropped."""
_UNIT = re.compile(r"\s*:?([*]?[A-Za-z]+)(\?)?(?:\s+(.*?))?\s*", re.DOTALL)
_OPC, _QYE, _EXE, _CME, _PON = 1, 4, 16, 32, 128


class _Unknown(Exception):  # noqa: N818 - what happened
    """No such command."""


class LakeShoreTwin(Twin):
    """A Lake Shore 335 or 336.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    machine : Machine
    identity : str
        Reply to ``*IDN?``.
    """

    def __init__(self, name: str, bench: Bench, lock: FairLock, machine: Machine, identity: str) -> None:
        super().__init__(name, bench, lock)
        self.machine, self.identity = machine, identity
        self._esr, self._ese, self._sre, self._opste = _PON, 0, 0, 0
        self._served = 0

    def break_sensor(self, key: str, how: str) -> None:
        """Break the wires of a sensor ("open"), short them ("short"), or mend them ("")."""
        with self.lock:
            self.machine.passed()
            self.machine.sensors[key].fault = how
            self.machine.touched()

    def break_heater(self, key: str, ohm: float) -> None:
        """Change the load of an output: infinity for a broken wire, 0 for a short."""
        with self.lock:
            self.machine.passed()
            self.machine.loops[key].heater.ohm = ohm
            self.machine.loops[key].check_heater()
            self.machine.touched()

    # ---- messages -----------------------------------------------------------------------------------------------
    def obey(self, message: bytes, link: TwinLink) -> None:  # noqa: D102 - said by Twin
        text = message.decode("latin-1").rstrip("\r\n")
        if len(text) > LONGEST:
            self._esr |= _CME
            return
        self.machine.passed()
        replies = []
        for unit in filter(str.strip, pieces(text, ";")):
            try:
                reply = self._act(unit)
            except _Unknown:
                self._esr |= _CME
            except Refused:
                self._esr |= _EXE
            else:
                if reply is not None:
                    replies.append(reply)
        self._served &= self._stb(output=bool(link.output))
        if replies:
            link.answer((";".join(replies) + "\r\n").encode("latin-1"))

    def _act(self, unit: str) -> str | None:
        found = _UNIT.fullmatch(unit)
        if found is None:
            raise _Unknown(unit)
        header, asked = found[1].upper(), bool(found[2])
        words = [word.strip() for word in pieces(found[3], ",")] if found[3] else []
        special = (self._queries if asked else self._commands).get(header)
        if special is not None:
            return special(self, words)
        if header not in self.machine.table:
            raise _Unknown(header)
        keys, rest = self._keys(header, words)
        if asked:
            if rest:
                raise Refused(unit)
            return self.machine.shown(header, keys)
        self.machine.set(header, keys, rest)
        return None

    def _keys(self, header: str, words: list[str]) -> tuple[tuple[str, ...], list[str]]:
        setting = self.machine.table[header]
        if not setting.keys:
            return (), words
        if not words or words[0].upper() not in setting.keys:
            raise Refused(header)
        keys: tuple[str, ...] = (words[0].upper(),)
        if not setting.key_2:
            return keys, words[1:]
        if len(words) < 2 or not words[1].isdecimal() or not 1 <= int(words[1]) <= setting.key_2:
            raise Refused(header)
        return (*keys, str(int(words[1]))), words[2:]

    # ---- commands that are no settings ------------------------------------------------------------------------
    def _input(self, words: list[str]) -> str:
        if len(words) != 1 or words[0].upper() not in self.machine.inputs:
            raise Refused(str(words))
        return words[0].upper()

    def _output(self, words: list[str]) -> Loop:
        if len(words) != 1 or words[0] not in self.machine.loops:
            raise Refused(str(words))
        return self.machine.loops[words[0]]

    def _kelvin(self, words: list[str]) -> str:
        return self._each(words, lambda key: _or_zero(self.machine.readers.reading(key)[0]))

    def _celsius(self, words: list[str]) -> str:
        return self._each(words, lambda key: _or_zero(self.machine.readers.reading(key)[0] - ZERO_K))

    def _units(self, words: list[str]) -> str:
        return self._each(words, lambda key: digits(self.machine.readers.reading(key)[1]))

    def _each(self, words: list[str], value: Callable[[str], str]) -> str:
        if words == ["0"]:
            return ",".join(value(key) for key in self.machine.inputs)
        return value(self._input(words))

    def _status(self, words: list[str]) -> str:
        return f"{self.machine.readers.reading(self._input(words))[2]:03d}"

    def _extreme(self, words: list[str]) -> str:
        low, high = self.machine.readers.extremes.get(self._input(words), (0.0, 0.0))
        return f"{digits(low)},{digits(high)}"

    def _forget_extremes(self, words: list[str]) -> None:
        self.machine.readers.extremes.clear()

    def _heater_output(self, words: list[str]) -> str:
        return f"{self._output(words).output:+06.1f}"

    def _heater_status(self, words: list[str]) -> str:
        loop = self._output(words)
        error, loop.error = loop.error, 0  # asking clears it (maker's Python driver)
        return str(error)

    def _ramp_status(self, words: list[str]) -> str:
        return str(int(self._output(words).ramping))

    def _curve_header(self, words: list[str]) -> str:
        curve = self.machine.readers.curve(self._number(words[:1], 1, 59))
        return (
            f"{curve.name:<15},{curve.serial:<10},{curve.format},{curve.limit_k:+08.3f},{curve.coefficient}"
        )

    def _set_curve_header(self, words: list[str]) -> None:
        curve = self.machine.readers.curve(self._number(words[:1], 21, 59))
        if len(words) != 6:
            raise Refused("CRVHDR")
        kind, coefficient = self._number(words[3:4], 1, 4), self._number(words[5:6], 1, 2)
        (curve.limit_k,) = finite(words[4:5])
        curve.name, curve.serial = words[1].strip('"')[:15], words[2].strip('"')[:10]
        curve.format, curve.coefficient = kind, coefficient
        self.machine.touched()

    def _curve_point(self, words: list[str]) -> str:
        curve, index = (
            self.machine.readers.curve(self._number(words[:1], 1, 59)),
            self._number(words[1:2], 1, 200),
        )
        return ",".join(digits(value) for value in curve.points.get(index, (0.0, 0.0)))

    def _set_curve_point(self, words: list[str]) -> None:
        curve, index = (
            self.machine.readers.curve(self._number(words[:1], 21, 59)),
            self._number(words[1:2], 1, 200),
        )
        if len(words) != 4:
            raise Refused("CRVPT")
        units, kelvin = finite(words[2:])
        curve.points[index] = units, kelvin
        self.machine.touched()

    def _delete_curve(self, words: list[str]) -> None:
        self.machine.readers.curves.pop(self._number(words, 21, 59), None)
        self.machine.touched()

    def _number(self, words: list[str], low: int, high: int) -> int:
        if len(words) != 1 or not words[0].isdecimal() or not low <= int(words[0]) <= high:
            raise Refused(str(words))
        return int(words[0])

    def _defaults(self, words: list[str]) -> None:
        if words != ["99"]:
            raise Refused("DFLT")
        self.machine.restore_defaults()

    def _reset(self, words: list[str]) -> None:
        self.machine.restart()

    def _clear(self, words: list[str]) -> None:
        self._esr = self.machine.events = 0

    def _complete(self, words: list[str]) -> None:
        self._esr |= _OPC

    def _wait(self, words: list[str]) -> None:
        """Nothing overlaps, so there is nothing to wait for."""

    def _take_esr(self, words: list[str]) -> str:
        value, self._esr = self._esr, 0
        return f"{value:03d}"

    def _take_opstr(self, words: list[str]) -> str:
        value, self.machine.events = self.machine.events, 0
        return f"{value:03d}"

    def _condition(self, words: list[str]) -> str:
        return f"{self.machine.condition():03d}"

    def _enable(self, name: str, words: list[str]) -> None:
        setattr(self, name, self._number(words, 0, 255))

    def _stb(self, *, output: bool = False) -> int:
        value = (32 if self._esr & self._ese else 0) | (128 if self.machine.events & self._opste else 0)
        value |= 16 if output else 0
        return value | (64 if value & self._sre else 0)

    _queries: ClassVar[dict[str, Callable[[LakeShoreTwin, list[str]], str]]] = {
        "*IDN": lambda twin, words: twin.identity,
        "*ESR": _take_esr,
        "*ESE": lambda twin, words: f"{twin._ese:03d}",
        "*SRE": lambda twin, words: f"{twin._sre:03d}",
        "*STB": lambda twin, words: f"{twin._stb():03d}",
        "*OPC": lambda twin, words: "1",
        "*TST": lambda twin, words: "0",
        "OPST": _condition,
        "OPSTR": _take_opstr,
        "OPSTE": lambda twin, words: f"{twin._opste:03d}",
        "KRDG": _kelvin,
        "CRDG": _celsius,
        "SRDG": _units,
        "RDGST": _status,
        "MDAT": _extreme,
        "HTR": _heater_output,
        "AOUT": _heater_output,
        "HTRST": _heater_status,
        "RAMPST": _ramp_status,
        "CRVHDR": _curve_header,
        "CRVPT": _curve_point,
    }
    _commands: ClassVar[dict[str, Callable[[LakeShoreTwin, list[str]], None]]] = {
        "*CLS": _clear,
        "*RST": _reset,
        "*OPC": _complete,
        "*WAI": _wait,
        "*ESE": lambda twin, words: twin._enable("_ese", words),
        "*SRE": lambda twin, words: twin._enable("_sre", words),
        "OPSTE": lambda twin, words: twin._enable("_opste", words),
        "DFLT": _defaults,
        "MNMXRST": _forget_extremes,
        "CRVHDR": _set_curve_header,
        "CRVPT": _set_curve_point,
        "CRVDEL": _delete_curve,
    }

    # ---- the interface ----------------------------------------------------------------------------------------
    def peek_status(self, link: TwinLink) -> int:  # noqa: D102 - said by Twin
        value = self._stb(output=bool(link.output))
        return value if value & self._sre & ~64 & ~self._served else value & ~64

    def status_byte(self, link: TwinLink) -> int:  # noqa: D102
        value = self.peek_status(link)
        self._served = value & self._sre & ~64  # the request is taken back until there is another reason
        return value

    def interrupted(self, link: TwinLink) -> None:  # noqa: D102
        self._esr |= _QYE

    def unterminated(self, link: TwinLink) -> None:  # noqa: D102
        self._esr |= _QYE


def _or_zero(value: float) -> str:
    return digits(0.0 if math.isnan(value) else value)
