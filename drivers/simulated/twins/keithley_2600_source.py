"""The source of a channel of the 2600: what it is set to, and what it presents to its terminals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drivers.simulated.terminals import Amperes, Opened, Source, Volts
from drivers.simulated.twins.keithley_2600_models import FULL_SCALE, Model
from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_objects import TOO_BIG, Node, between, nearest_up, one_of

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2600_smu import Smu

__all__ = [
    "AMPS",
    "BLOCKED_BY_INTERLOCK",
    "BLOCKED_BY_OUTPUT_ENABLE",
    "HIGH_Z",
    "OFF",
    "ON",
    "VOLTS",
    "SmuSource",
]

AMPS, VOLTS = 0, 1
OFF, ON, HIGH_Z = 0, 1, 2
_ZERO = 1

BLOCKED_BY_INTERLOCK = (802, "OUTPUT blocked by interlock")
BLOCKED_BY_OUTPUT_ENABLE = (802, "OUTPUT blocked by output enable")
"""Code and words as of instruments §2.1, unconfirmed there."""

PROGRAMMING_STEP = 25e-6
"""Resolution of a source as a fraction of its range: 5 uV on 200 mV (a default for all ranges)."""

OFF_LIMIT_A, OFF_LIMIT_V = 1e-3, 40.0
"""Compliance of an output that is off in NORMAL mode (2600B reference manual p. 7-226)."""


class SmuSource(Node):
    """``smuX.source``."""

    def __init__(self, smu: Smu, model: Model) -> None:
        super().__init__()
        self._smu, self._model = smu, model
        v, a = model.ranges_v, model.source_ranges_a
        self.setting("func", VOLTS, one_of(AMPS, VOLTS), lambda _: self._changed())
        self.setting("output", OFF, one_of(OFF, ON, HIGH_Z))
        self.attribute("output", lambda: self.kept["output"], self._switch)
        for name, ranges in {"v": v, "i": a}.items():
            top = FULL_SCALE * ranges[-1]
            self.setting(f"level{name}", 0.0, between(-top, top))
            self.attribute(f"level{name}", self._reader(f"level{name}"), self._level_writer(name, top))
            self.setting(f"range{name}", ranges[0], nearest_up(ranges))
            self.attribute(
                f"range{name}", self._reader(f"range{name}"), self._range_writer(name, nearest_up(ranges))
            )
            self.setting(f"autorange{name}", 1, one_of(0, 1), self._autoranger(name))
            self.setting(f"lowrange{name}", ranges[0], nearest_up(ranges), self._autoranger(name))
        self.setting("limitv", model.default_limit_v, between(model.smallest_limit_v, v[-1]), self._limited)
        self.setting("limiti", model.default_limit_a, between(model.smallest_limit_a, a[-1]))
        self.attribute("limiti", self._reader("limiti"), self._limit_a)
        self.setting("offlimitv", OFF_LIMIT_V, between(model.smallest_limit_v, v[-1]), self._limited)
        self.setting("offlimiti", OFF_LIMIT_A, between(model.smallest_limit_a, a[-1]), self._limited)
        self.setting("offmode", OFF, one_of(OFF, _ZERO, HIGH_Z), self._limited)
        self.setting("offfunc", VOLTS, one_of(AMPS, VOLTS), self._limited)
        self.setting("delay", 0, between(-1.0, 100.0))
        self.setting("highc", 0, one_of(0, 1))
        self.setting("settling", 0, one_of(0, 1, 2, 3, 128))
        self.setting("sink", 0, one_of(0, 1))
        self.setting("outputenableaction", 0, one_of(0, 1))
        self.attribute("compliance", self._compliance)

    def _reader(self, name: str) -> Any:
        return lambda: self.kept[name]

    # ---- what it is set to ------------------------------------------------------------------------------------------
    @property
    def is_volts(self) -> bool:
        """Whether it sources a voltage."""
        return bool(self.kept["func"] == VOLTS)

    @property
    def is_on(self) -> bool:
        """Whether its output is on."""
        return bool(self.kept["output"] == ON)

    @property
    def level(self) -> float:
        """Programmed level, V or A."""
        return float(self.kept["levelv" if self.is_volts else "leveli"])

    @property
    def range(self) -> float:
        """Range it sources on, V or A."""
        return float(self.kept["rangev" if self.is_volts else "rangei"])

    def _ranges(self, name: str) -> tuple[float, ...]:
        return self._model.ranges_v if name == "v" else self._model.source_ranges_a

    def _fitting(self, name: str, level: float) -> float:
        least = max(abs(level) / FULL_SCALE, self.kept[f"lowrange{name}"])
        return next(each for each in self._ranges(name) if each >= least * (1 - 1e-9))

    def _level_writer(self, name: str, top: float) -> Any:
        check = between(-top, top)

        def write(value: Any) -> None:
            self.sweep_to(name, check(value))
            if self.is_on and (name == "v") == self.is_volts:
                self._smu.wait_s(max(0.0, self.kept["delay"]))

        return write

    def sweep_to(self, name: str, level: float) -> None:
        """Go to a level of a sweep; the range follows where it is automatic."""
        if self.kept[f"autorange{name}"]:
            self._use_range(name, self._fitting(name, level))
        elif abs(level) > FULL_SCALE * self.kept[f"range{name}"] * (1 + 1e-9):
            raise Refused(*TOO_BIG)
        self.set_level(name, level)

    def set_level(self, name: str, level: float) -> None:
        """Take a level, on the present range, at once."""
        step = PROGRAMMING_STEP * self.kept[f"range{name}"]
        self.kept[f"level{name}"] = round(level / step) * step
        if (name == "v") == self.is_volts:
            self._changed()

    def _range_writer(self, name: str, check: Any) -> Any:
        def write(value: Any) -> None:
            range_ = check(value)
            if abs(self.kept[f"level{name}"]) > FULL_SCALE * range_ * (1 + 1e-9):
                raise Refused(*TOO_BIG)
            self._use_range(name, range_)
            self.kept[f"autorange{name}"] = 0

        return write

    def _autoranger(self, name: str) -> Callable[[Any], None]:
        return lambda _: self._autorange(name)

    def _autorange(self, name: str) -> None:
        if self.kept[f"autorange{name}"]:
            self._use_range(name, self._fitting(name, self.kept[f"level{name}"]))

    def _use_range(self, name: str, range_: float) -> None:
        if name == "v":
            if self.kept["limiti"] > self._model.limit_by_range.get(range_, math.inf):
                raise Refused(*TOO_BIG)
            if self.is_volts and self.is_on and self._smu.interlock_forbids(range_):
                self._smu.output_off()
                raise Refused(*BLOCKED_BY_INTERLOCK)
        self.kept[f"range{name}"] = range_

    def _limit_a(self, value: Any) -> None:
        most = self._model.source_ranges_a[-1]
        if self.is_volts:
            most = min(most, self._model.limit_by_range.get(self.kept["rangev"], math.inf))
        self.kept["limiti"] = between(self._model.smallest_limit_a, most)(value)
        self._limited(value)

    def keep_limit(self, name: str, value: float) -> None:
        """Take a limit of a sweep, which the trigger model has checked."""
        self.kept[name] = value
        self.present()

    # ---- what it does ------------------------------------------------------------------------------------------------
    def _switch(self, value: Any) -> None:
        asked = one_of(OFF, ON, HIGH_Z)(value)
        if asked == ON and not self.is_on:
            if not self._model.has_interlock:
                if self.kept["outputenableaction"] and self._smu.line_open:
                    raise Refused(*BLOCKED_BY_OUTPUT_ENABLE)
            elif self._smu.interlock_forbids(self._highest_v()):
                raise Refused(*BLOCKED_BY_INTERLOCK)
        self.kept["output"] = asked
        self._changed()

    def _highest_v(self) -> float:
        return float(self.kept["rangev" if self.is_volts else "limitv"])

    def _limited(self, _: Any) -> None:
        self.present()

    def _changed(self) -> None:
        self._smu.stepped()
        self.present()

    def present(self) -> None:
        """Show the terminals what is set."""
        self._smu.terminal.present(self._source())

    def _source(self) -> Source:
        kept = self.kept
        if kept["output"] == ON:
            if self.is_volts:
                return Volts(kept["levelv"], limit_a=kept["limiti"])
            return Amperes(kept["leveli"], limit_v=kept["limitv"])
        if kept["output"] == HIGH_Z or kept["offmode"] == HIGH_Z:
            return Opened()
        if kept["offmode"] == _ZERO:
            return Volts(0.0, limit_a=kept["limiti"])
        if kept["offfunc"] == VOLTS:
            return Volts(0.0, limit_a=kept["offlimiti"])
        return Amperes(0.0, limit_v=kept["offlimitv"])

    def _compliance(self) -> bool:
        limited = self.is_on and self._smu.terminal.look().limited
        self._smu.note_compliance(limited)
        return limited

    def reset(self) -> None:
        """Bring every setting back to its default; the output goes off."""
        super().reset()
        self._changed()
