"""The twin of a 2450 in its own SCPI, or switched on in TSP mode (instruments §2.12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.keithley_source_meter import NOTHING, KeithleySourceMeter
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand
from drivers.simulated.twins.scpi_values import Many, Name, Number
from drivers.simulated.twins.smu_core import Measured

__all__ = ["Keithley2450Twin"]

_POINTS_MAX = 6_875_000
_SWEEP_MAX = 1_000_000
_BUFFERS = ("defbuffer1", "defbuffer2")
_FUNCTIONS = {"VOLT": "VOLT:DC", "CURR": "CURR:DC", "RES": "RES"}
_ELEMENTS = {
    "READ": "READ", "READING": "READ", "SOUR": "SOUR", "SOURCE": "SOUR", "REL": "REL", "RELATIVE": "REL",
    "STAT": "STAT", "STATUS": "STAT",
}  # fmt: skip


class Keithley2450Twin(KeithleySourceMeter):
    """A 2450; readings go to buffers, ``defbuffer1`` where none is named."""

    queue_size = 100

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.function = "CURR"
        self.buffers: dict[str, list[dict[str, float]]] = {name: [] for name in _BUFFERS}
        self.levels: list[float | None] = []
        self.dwell_s = 0.0
        super().__init__(*args, **kwargs)

    def more_rows(self) -> list[Setting]:
        """Return limits, delays, filters and buffer settings."""
        volts, amperes = 1.05 * self.ranges.volts[-1], 1.05 * self.ranges.amperes[-1]
        found = [
            Setting(
                "limit_CURR",
                "[:SOURce]:VOLTage:ILIMit[:LEVel]",
                Quantity("A", span=(-amperes, amperes)),
                105e-6,
            ),
            Setting(
                "limit_VOLT", "[:SOURce]:CURRent:VLIMit[:LEVel]", Quantity("V", span=(-volts, volts)), 21.0
            ),
            Setting("wires", "[:SENSe]:RESistance:RSENse", Switch(), False),
            Setting("wires_VOLT", "[:SENSe]:VOLTage[:DC]:RSENse", Switch(), False),
            Setting("wires_CURR", "[:SENSe]:CURRent[:DC]:RSENse", Switch(), False),
            Setting("count", "[:SENSe]:COUNt", Quantity(span=(1, 300_000), whole=True, reply=_plain), 1),
            Setting(
                "points", "TRACe:POINts", Quantity(span=(1, _POINTS_MAX), whole=True, reply=_plain), 100_000
            ),
            Setting("data", "FORMat[:DATA]", Choice(("ASCii", "REAL", "SREal")), "ASC"),
            Setting("order", "FORMat:BORDer", Choice(("NORMal", "SWAPped")), "SWAP"),
        ]
        states = ("NORMal", "HIMPedance", "ZERO", "GUARd")
        for quantity, short in (("VOLTage", "VOLT"), ("CURRent", "CURR")):
            source = f"[:SOURce]:{quantity}"
            found += [
                Setting(
                    f"delay_{short}",
                    f"{source}:DELay",
                    Quantity("S", span=(0.0, 10e3)),
                    0.0,
                    then=_delay_changed(f"delay_auto_{short}"),
                ),
                Setting(f"delay_auto_{short}", f"{source}:DELay:AUTO", Switch(), True),
                Setting(f"off_{short}", f"OUTPut:{quantity}:SMODe", Choice(states), "NORM"),
            ]
        for quantity, short in (("VOLTage[:DC]", "VOLT"), ("CURRent[:DC]", "CURR"), ("RESistance", "RES")):
            average = f"[:SENSe]:{quantity}:AVERage"
            found += [
                Setting(f"filter_{short}", f"{average}[:STATe]", Switch(), False),
                Setting(f"filter_kind_{short}", f"{average}:TCONtrol", Choice(("REPeat", "MOVing")), "REP"),
                Setting(
                    f"filter_count_{short}",
                    f"{average}:COUNt",
                    Quantity(span=(1, 100), whole=True, reply=_plain),
                    10,
                ),
            ]
        return found

    def commands(self) -> Iterable[TwinCommand]:
        """Return what is no setting."""
        buffered = (Many(Name(), most=8, optional=True),)
        numbers = (Number(whole=True), Number(whole=True), *buffered)
        found = [
            *super().commands(),
            TwinCommand("[:SENSe]:FUNCtion[:ON]", self._set_function, (Name(),)),
            TwinCommand("[:SENSe]:FUNCtion[:ON]?", lambda call: f'"{_FUNCTIONS[self.function]}"'),
            TwinCommand("[:SOURce]:VOLTage:ILIMit[:LEVel]:TRIPped?", lambda call: self._tripped("VOLT")),
            TwinCommand("[:SOURce]:CURRent:VLIMit[:LEVel]:TRIPped?", lambda call: self._tripped("CURR")),
            TwinCommand("READ?", self._read, buffered),
            TwinCommand("FETCh?", self._fetch, buffered),
            TwinCommand("MEASure?", self._read, buffered),
            TwinCommand("TRACe:TRIGger", self._trigger_trace, (Name(optional=True, default="defbuffer1"),)),
            TwinCommand("TRACe:DATA?", self._data, numbers),
            TwinCommand("TRACe:ACTual?", self._actual, (Name(optional=True, default="defbuffer1"),)),
            TwinCommand("TRACe:CLEar", self._clear, (Name(optional=True, default="defbuffer1"),)),
            TwinCommand("INITiate[:IMMediate]", self._initiate),
            TwinCommand("ABORt", lambda call: self.abort()),
            TwinCommand(
                "SYSTem:BEEPer[:IMMediate]",
                lambda call, frequency, seconds: None,
                (Number(low=20, high=8000), Number(low=0.001, high=100)),
            ),
        ]
        for quantity, short in (("VOLTage[:DC]", "VOLT"), ("CURRent[:DC]", "CURR"), ("RESistance", "RES")):
            found.append(TwinCommand(f"MEASure:{quantity}?", self._measure(short), buffered))
        for quantity, short in (("VOLTage", "VOLT"), ("CURRent", "CURR")):
            row = (
                Number(),
                Number(),
                Number(low=2, high=_SWEEP_MAX, whole=True),
                Number(optional=True, default=0.0),
            )
            found.append(TwinCommand(f"[:SOURce]:SWEep:{quantity}:LINear", self._sweep(short), row))
        found += [
            TwinCommand(
                f"TRACe:STATistics:{word}?",
                self._statistic(word),
                (Name(optional=True, default="defbuffer1"),),
            )
            for word in ("AVERage", "MAXimum", "MINimum", "STDDev")
        ]
        return found

    # ---- readings ---------------------------------------------------------------------------------------------
    def measures(self) -> str:
        """Return the function that is measured."""
        return self.function

    def reset(self) -> None:
        """Forget readings and sweeps."""
        self.function, self.levels = "CURR", []
        for buffer in self.buffers.values():
            buffer.clear()
        super().reset()

    def trigger(self, link: TwinLink) -> None:
        """Take one reading into the buffer, as the trigger model does with nothing loaded."""
        self._take("defbuffer1", 1)

    def _take(self, name: str, count: int, levels: list[float | None] | None = None) -> dict[str, float]:
        buffer = self._buffer(name)
        source, found = self.get("function"), {}
        repeats = int(self.get(f"filter_count_{self.function}")) if self.get(f"filter_{self.function}") else 1
        for level in levels or [None] * count:
            self.apply(level)
            self.bench.pass_s(float(self.get(f"delay_{source}")) + self.dwell_s)
            measured = [self.taken() for _ in range(repeats)]
            found = self._reading(measured, float(self.get(f"level_{source}") if level is None else level))
            buffer.append(found)
            del buffer[: max(0, len(buffer) - int(self.get("points")))]
        self.apply()
        return found

    def _reading(self, measured: list[Measured], programmed: float) -> dict[str, float]:
        volts = float(np.mean([one.voltage_v for one in measured]))
        amperes = float(np.mean([one.current_a for one in measured]))
        last = measured[-1]
        value = {"VOLT": volts, "CURR": amperes, "RES": volts / amperes if amperes else NOTHING}[
            self.function
        ]
        status = (0x08 if last.over else 0) | (0x10 if last.limited else 0)
        return {
            "READ": 9.9e37 if last.over else value,
            "SOUR": programmed,
            "REL": last.t_s,
            "STAT": float(status),
        }

    def _buffer(self, name: str) -> list[dict[str, float]]:
        if name.lower() not in self.buffers:
            raise ScpiError(-224)
        return self.buffers[name.lower()]

    def _elements(self, words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Part the name of a buffer from the elements behind it."""
        name, rest = (
            ("defbuffer1", words) if not words or words[0].upper() in _ELEMENTS else (words[0], words[1:])
        )
        if any(word.upper() not in _ELEMENTS for word in rest):
            raise ScpiError(-224)
        return name, tuple(_ELEMENTS[word.upper()] for word in rest) or ("READ",)

    def _read(self, call: Call, *words: str) -> Answer:
        name, elements = self._elements(tuple(word for word in words if word is not None))
        found = self._take(name, int(self.get("count")))
        return self._formatted([found], elements)

    def _measure(self, short: str) -> Any:
        def measure(call: Call, *words: str) -> Answer:
            self.function = short
            return self._read(call, *words)

        return measure

    def _fetch(self, call: Call, *words: str) -> Answer:
        name, elements = self._elements(tuple(word for word in words if word is not None))
        buffer = self._buffer(name)
        if not buffer:
            raise ScpiError(-230)
        return self._formatted(buffer[-1:], elements)

    def _trigger_trace(self, call: Call, name: str) -> None:
        self._take(name, int(self.get("count")))

    def _initiate(self, call: Call) -> None:
        self._take("defbuffer1", int(self.get("count")), self.levels or None)

    def _data(self, call: Call, first: float, last: float, *words: str) -> Answer:
        name, elements = self._elements(tuple(word for word in words if word is not None))
        buffer = self._buffer(name)
        if not 1 <= first <= last <= len(buffer):
            raise ScpiError(-222)
        return self._formatted(buffer[int(first) - 1 : int(last)], elements)

    def _actual(self, call: Call, name: str) -> str:
        return str(len(self._buffer(name)))

    def _clear(self, call: Call, name: str) -> None:
        self._buffer(name).clear()

    def _sweep(self, short: str) -> Any:
        def sweep(call: Call, start: float, stop: float, points: float, delay: float) -> None:
            top = 1.05 * (self.ranges.volts if short == "VOLT" else self.ranges.amperes)[-1]
            if not (abs(start) <= top and abs(stop) <= top and 0 <= delay <= 10e3):
                raise ScpiError(-222)
            self.put("function", short)
            self.levels = [float(level) for level in np.linspace(start, stop, int(points))]
            self.dwell_s = delay

        return sweep

    def _statistic(self, word: str) -> Any:
        def statistic(call: Call, name: str) -> str:
            values = np.array([reading["READ"] for reading in self._buffer(name)])
            if not len(values):
                raise ScpiError(-230)
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            found = {"AVERage": np.mean(values), "MAXimum": np.max(values), "MINimum": np.min(values)}
            return self.number(float(found.get(word, spread)))

        return statistic

    def _set_function(self, call: Call, name: str) -> None:
        upper = name.upper().removesuffix(":DC")
        for short, full in (("VOLT", "VOLTAGE"), ("CURR", "CURRENT"), ("RES", "RESISTANCE")):
            if upper in (short, full):
                self.function = short
                self.apply()
                return
        raise ScpiError(-224)

    def _tripped(self, sourced: str) -> str:
        if not self.get("output") or self.get("function") != sourced:
            return "0"
        return "1" if self.core.terminal.look().limited else "0"

    def _formatted(self, readings: list[dict[str, float]], elements: tuple[str, ...]) -> Answer:
        values = [reading[element] for reading in readings for element in elements]
        if self.get("data") == "ASC":
            return ",".join(self.number(value) for value in values)
        kind = ("<" if self.get("order") == "SWAP" else ">") + ("f4" if self.get("data") == "SRE" else "f8")
        return [b"#0", memoryview(np.array(values, kind).tobytes())]


def _plain(value: float) -> str:
    return str(int(value))


def _delay_changed(name: str) -> Any:
    def then(twin: Keithley2450Twin, n: int, old: Any) -> None:
        twin.put(name, False)

    return then
