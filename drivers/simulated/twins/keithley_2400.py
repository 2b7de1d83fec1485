"""The twin of the Keithley 2400, and of a 2450 that speaks SCPI2400 (instruments §2.13).

A reading is the elements of ``FORMat:ELEMents``; what is not measured is the programmed level, or 9.91E+37. Binary
data have the header ``#0``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.keithley_2400_settings import settings_of_2400
from drivers.simulated.twins.keithley_source_meter import NOTHING, KeithleySourceMeter
from drivers.simulated.twins.scpi_exchange import Operation
from drivers.simulated.twins.scpi_registers import ConditionRegister
from drivers.simulated.twins.scpi_settings import Setting
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand, Until
from drivers.simulated.twins.scpi_values import Many, Name, Number, OneOf
from drivers.simulated.twins.smu_core import Measured

__all__ = ["Keithley2400Twin"]

_ELEMENTS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
_FUNCTIONS = {"VOLT": "VOLT:DC", "CURR": "CURR:DC", "RES": "RES"}
_READING, _BUFFER_FULL = 0x40, 0x200


class Keithley2400Twin(KeithleySourceMeter):
    """A 2400."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.on_functions = ["CURR"]
        self.elements = ["VOLT", "CURR", "RES", "TIME", "STAT"]
        self.samples: list[list[float]] = []
        self.buffer: list[list[float]] = []
        self.levels: dict[str, list[float]] = {"VOLT": [0.0], "CURR": [0.0]}
        self.waiting: Operation | None = None
        self.zeroing = True
        self.measurement = ConditionRegister()
        super().__init__(*args, **kwargs)

    def more_rows(self) -> list[Setting]:
        """Return compliance, delays, filter, trigger model, buffer and system settings."""
        return settings_of_2400(self.ranges.volts[-1], self.ranges.amperes[-1])

    def commands(self) -> Iterable[TwinCommand]:
        """Return what is no setting."""
        zero = (Number(words=("ON", "OFF", "ONCE"), low=0, high=1, whole=True),)
        none = OneOf(words=("VOLTage", "CURRent", "RESistance"), optional=True)
        return [
            *super().commands(),
            TwinCommand("FORMat:ELEMents", self._set_elements, (Many(OneOf(words=_ELEMENTS), most=5),)),
            TwinCommand("FORMat:ELEMents?", lambda call: ",".join(self.elements)),
            TwinCommand(
                "FORMat[:DATA]",
                self._set_data,
                (OneOf(words=("ASCii", "REAL", "SREal")), Number(optional=True)),
            ),
            TwinCommand("[:SENSe]:FUNCtion[:ON]", self._functions(True), (Many(Name(), most=3),)),
            TwinCommand("[:SENSe]:FUNCtion:OFF", self._functions(False), (Many(Name(), most=3),)),
            TwinCommand("[:SENSe]:FUNCtion[:ON]:ALL", self._all_functions),
            TwinCommand(
                "[:SENSe]:FUNCtion[:ON]?",
                lambda call: ",".join(f'"{_FUNCTIONS[name]}"' for name in self.on_functions),
            ),
            TwinCommand("[:SENSe]:VOLTage[:DC]:PROTection:TRIPped?", lambda call: self._tripped("CURR")),
            TwinCommand("[:SENSe]:CURRent[:DC]:PROTection:TRIPped?", lambda call: self._tripped("VOLT")),
            TwinCommand("[:SOURce]:CLEar[:IMMediate]", self._output_off),
            TwinCommand(
                "[:SOURce]:LIST:VOLTage",
                self._set_list("VOLT"),
                (Many(Number(units=("V",), low=-210, high=210), most=100),),
            ),
            TwinCommand(
                "[:SOURce]:LIST:CURRent",
                self._set_list("CURR"),
                (Many(Number(units=("A",), low=-1.05, high=1.05), most=100),),
            ),
            TwinCommand("[:SOURce]:LIST:VOLTage:POINts?", lambda call: str(len(self.levels["VOLT"]))),
            TwinCommand("[:SOURce]:LIST:CURRent:POINts?", lambda call: str(len(self.levels["CURR"]))),
            TwinCommand(
                "SYSTem:AZERo[:STATe]",
                self._zeroed,
                zero,
            ),
            TwinCommand("SYSTem:AZERo[:STATe]?", lambda call: "1" if self.zeroing else "0"),
            TwinCommand(
                "SYSTem:BEEPer[:IMMediate]",
                lambda call, frequency, seconds: None,
                (Number(low=65, high=2e6), Number(low=0, high=7.9)),
            ),
            TwinCommand("SYSTem:TIME:RESet", lambda call: None),
            TwinCommand("CALCulate3:DATA?", self._statistics),
            TwinCommand("ABORt", self._abort),
            TwinCommand("TRIGger:CLEar", self._abort),
            TwinCommand("INITiate[:IMMediate]", self._initiate),
            TwinCommand("READ?", self._read),
            TwinCommand("FETCh?", lambda call: self._formatted(self.samples or _stale())),
            TwinCommand("CONFigure:CURRent[:DC]", lambda call: self._configure("CURR")),
            TwinCommand("CONFigure:VOLTage[:DC]", lambda call: self._configure("VOLT")),
            TwinCommand("CONFigure:RESistance", lambda call: self._configure("RES")),
            TwinCommand("MEASure?", self._measure(None), (none,)),
            TwinCommand("MEASure:CURRent[:DC]?", self._measure("CURR")),
            TwinCommand("MEASure:VOLTage[:DC]?", self._measure("VOLT")),
            TwinCommand("MEASure:RESistance?", self._measure("RES")),
            TwinCommand("TRACe:CLEar", lambda call: self.buffer.clear()),
            TwinCommand("TRACe:DATA?", lambda call: self._formatted(self.buffer or _stale())),
            TwinCommand("TRACe:POINts:ACTual?", lambda call: str(len(self.buffer))),
            TwinCommand("STATus:MEASurement[:EVENt]?", lambda call: str(self.measurement.take())),
            TwinCommand("STATus:MEASurement:CONDition?", lambda call: str(self.measurement.condition)),
            TwinCommand("STATus:MEASurement:ENABle?", lambda call: str(self.measurement.enable)),
            TwinCommand(
                "STATus:MEASurement:ENABle", self._set_enable, (Number(low=0, high=65_535, whole=True),)
            ),
            TwinCommand("STATus:PRESet", self._preset),
            TwinCommand("*CLS", self._clear_status),
        ]

    # ---- settings that are no table -----------------------------------------------------------------------------
    def _set_elements(self, call: Call, *words: str) -> None:
        self.elements = [short for short in ("VOLT", "CURR", "RES", "TIME", "STAT") if short in words]

    def _set_data(self, call: Call, word: str, bits: float | None) -> None:
        if bits not in (None, 32.0):
            raise ScpiError(-224)
        self.put("data", "SRE" if word == "REAL" else word)

    def _functions(self, on: bool) -> Any:
        def change(call: Call, *names: str) -> None:
            shorts = [_function(name) for name in names]
            if not on:
                self.on_functions = [name for name in self.on_functions if name not in shorts]
            elif self.get("concurrent"):
                self.on_functions = [name for name in _FUNCTIONS if name in (*self.on_functions, *shorts)]
            else:
                self.on_functions = shorts[-1:]
            self.apply()

        return change

    def _ask_functions(self, call: Call) -> str:
        return ",".join(f'"{_FUNCTIONS[name]}"' for name in self.on_functions)

    def _all_functions(self, call: Call) -> None:
        self.on_functions = list(_FUNCTIONS)
        self.apply()

    def _set_list(self, short: str) -> Any:
        def put(call: Call, *values: float) -> None:
            self.levels[short] = list(values)

        return put

    def _zeroed(self, call: Call, word: float | str) -> None:
        self.zeroing = word in ("ON", 1.0) if word != "ONCE" else self.zeroing

    def _set_enable(self, call: Call, value: float) -> None:
        self.measurement.enable = int(value) & 0x7FFF

    def _preset(self, call: Call) -> None:
        for register in (self.registers.operation, self.registers.questionable, self.measurement):
            register.preset()

    def _clear_status(self, call: Call) -> None:
        self.registers.clear()
        self.measurement.event = 0

    def _output_off(self, call: Call) -> None:
        self.put("output", False)
        self.apply()

    def measures(self) -> str:
        """Return the function whose aperture holds."""
        return self.on_functions[-1] if self.on_functions else "CURR"

    def status_value(self, link: TwinLink) -> int:
        """Return the status byte; bit 0 sums up the measurement register."""
        return super().status_value(link) | (1 if self.measurement.event & self.measurement.enable else 0)

    def reset(self) -> None:
        """Forget readings and lists."""
        self.on_functions, self.elements = ["CURR"], ["VOLT", "CURR", "RES", "TIME", "STAT"]
        self.levels = {"VOLT": [0.0], "CURR": [0.0]}
        self.samples, self.waiting, self.zeroing = [], None, True
        super().reset()

    # ---- readings -----------------------------------------------------------------------------------------------
    def _count(self) -> int:
        return int(self.get("arm_count") * self.get("trigger_count"))

    def _levels(self) -> list[float | None]:
        """Return the level of each reading, None for the programmed one."""
        short = self.get("function")
        mode, count = self.get(f"mode_{short}"), self._count()
        if mode == "FIX":
            return [None] * count
        values = self.levels[short]
        if mode == "SWE":
            start, stop = self.get(f"start_{short}"), self.get(f"stop_{short}")
            values = list(np.linspace(start, stop, int(self.get("sweep_points"))))
        return [values[index % len(values)] for index in range(count)]

    def _ready(self) -> None:
        if not self.get("output"):
            if not self.get("clear_auto"):
                raise ScpiError(803)
            if not self.output_enable:
                raise ScpiError(802)

    def _acquire(self) -> None:
        """Take all readings of the trigger model, one after the other."""
        short, single = self.get("function"), self.get("clear_auto")
        if single:
            self.put("output", True)
            self.apply()
        repeats = (
            int(self.get("average_count")) if self.get("average") and self.get("average_kind") == "REP" else 1
        )
        self.samples = []
        for index, level in enumerate(self._levels()):
            if index and self.get("arm_source") == "TIM":
                self.bench.pass_s(float(self.get("arm_timer")))
            self.bench.pass_s(float(self.get("trigger_delay")) + float(self.get("delay")))
            found = [self.taken(level if n == 0 else None) for n in range(repeats)]
            programmed = float(self.get(f"level_{short}") if level is None else level)
            self.samples.append(self._elements(found, programmed))
        if single:
            self.put("output", False)
        self.apply()
        self.measurement.update(self.measurement.condition | _READING)
        if self.get("feeds") == "NEXT":
            self.buffer = (self.buffer + self.samples)[: int(self.get("points"))]
            if len(self.buffer) == int(self.get("points")):
                self.put("feeds", "NEV")
                self.measurement.update(_READING | _BUFFER_FULL)
        self.measurement.update(0)

    def _elements(self, found: list[Measured], programmed: float) -> list[float]:
        """Return all five elements of a reading."""
        volts = float(np.mean([one.voltage_v for one in found]))
        amperes = float(np.mean([one.current_a for one in found]))
        last, on, sources = found[-1], self.on_functions, self.get("function")
        status = (
            (0x01 if last.over else 0)
            | (0x02 if len(found) > 1 else 0)
            | (0x04 if self.get("terminals") == "FRON" else 0)
            | (0x08 if last.limited else 0)
            | (0x800 if "VOLT" in on else 0)
            | (0x1000 if "CURR" in on else 0)
            | (0x2000 if "RES" in on else 0)
            | (0x4000 if sources == "VOLT" else 0x8000)
        )
        shown = {"VOLT": NOTHING, "CURR": NOTHING, sources: programmed}
        shown.update({"VOLT": volts} if "VOLT" in on else {}, **({"CURR": amperes} if "CURR" in on else {}))
        ohm = volts / amperes if "RES" in on and amperes else NOTHING
        if last.over:
            shown[on[-1] if on[-1:] != ["RES"] else "CURR"] = 9.9e37
        return [shown["VOLT"], shown["CURR"], ohm, last.t_s, float(status)]

    def _initiate(self, call: Call) -> None:
        self._ready()
        if self.waiting is not None:
            raise ScpiError(-213)
        if self.get("arm_source") in ("IMM", "TIM") and self.get("trigger_source") == "IMM":
            self._acquire()
        else:
            self.waiting = self.begin(then=self._acquire)

    def trigger(self, link: TwinLink) -> None:
        """Start what waits for the bus."""
        if self.waiting is None or self.get("arm_source") != "BUS":
            raise ScpiError(-211)
        waiting, self.waiting = self.waiting, None
        self.end(waiting)

    def _abort(self, call: Call) -> None:
        self.waiting = None
        self.abort()

    def _read(self, call: Call) -> Until:
        if self.get("arm_source") == "BUS":
            raise ScpiError(-214)
        self._initiate(call)
        return Until(lambda: self.waiting is None, lambda: self._formatted(self.samples or _stale()))

    def _configure(self, name: str) -> None:
        if name == "RES" and self.get("mode_RES") == "AUTO":
            self.put("function", "CURR")
        self.on_functions = [name]
        self.put(f"auto_{name}", True)
        for layer in ("arm", "trigger"):
            self.put(f"{layer}_count", 1)
            self.put(f"{layer}_source", "IMM")
        if not self.output_enable:
            raise ScpiError(802)
        self.put("output", True)
        self.apply()

    def _measure(self, name: str | None) -> Any:
        def measure(call: Call, *words: str) -> Answer:
            function = name or (words[0] if words and words[0] else None)
            self._configure(function or self.measures())
            self._acquire()
            return self._formatted(self.samples)

        return measure

    def _tripped(self, sourced: str) -> str:
        if not self.get("output") or self.get("function") != sourced:
            return "0"
        return "1" if self.core.terminal.look().limited else "0"

    def _formatted(self, readings: list[list[float]]) -> str | list[Piece]:
        places = [("VOLT", "CURR", "RES", "TIME", "STAT").index(short) for short in self.elements]
        values = [reading[place] for reading in readings for place in places]
        if self.get("data") == "ASC":
            return ",".join(f"{value:+.6E}" for value in values)
        order = ">f4" if self.get("order") == "NORM" else "<f4"
        return [b"#0", memoryview(np.array(values, order).tobytes())]

    def _statistics(self, call: Call) -> str:
        readings = np.array(self.buffer or _stale())[:, :3]
        kind = self.get("statistic")
        found = {
            "MEAN": readings.mean(axis=0),
            "SDEV": readings.std(axis=0, ddof=1 if len(readings) > 1 else 0),
            "MAX": readings.max(axis=0),
            "MIN": readings.min(axis=0),
            "PKPK": np.ptp(readings, axis=0),
        }[kind]
        none = [bool((column >= 9.9e37).any()) for column in readings.T]
        return ",".join(
            f"{NOTHING if empty else value:+.6E}" for value, empty in zip(found, none, strict=True)
        )


def _function(name: str) -> str:
    upper = name.upper().removesuffix(":DC")
    for short, full in (("VOLT", "VOLTAGE"), ("CURR", "CURRENT"), ("RES", "RESISTANCE")):
        if upper in (short, full):
            return short
    raise ScpiError(-224)


def _stale() -> list[list[float]]:
    raise ScpiError(-230)
