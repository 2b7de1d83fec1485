"""The twins of the Keysight B2902A and B2912A source-measure units (instruments §2.11).

One trigger of a channel steps its source through a list or sweep and measures, ``TRIGger<n>:COUNt`` times; the output
returns to its immediate level afterwards. Sockets ``name.1`` and ``name.2``. The bits of the status element are those
of the 2400, whose data format this family follows [K]; *RST values and widths of replies are defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from drivers.simulated.scpi import block
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.scpi_exchange import Operation
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand, Until
from drivers.simulated.twins.scpi_twin import ScpiTwin
from drivers.simulated.twins.scpi_values import Channels, Many, Name, Number, OneOf
from drivers.simulated.twins.smu_core import Measured, SmuCore, SmuRanges

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.world import World

__all__ = ["KeysightB2900Twin", "build"]

_DECADES = tuple(10.0**power for power in range(-7, 1))
_RANGES = {
    "B2902A": SmuRanges((0.2, 2.0, 20.0, 200.0), (*_DECADES, 3.0)),
    "B2912A": SmuRanges((0.2, 2.0, 20.0, 200.0), (1e-8, *_DECADES, 3.0)),
}
_LIST_MAX = 2500
_COUNT_MAX = 100_000
_ENVELOPE = ((6.3, 3.03), (21.0, 1.515), (210.0, 0.105))
_ELEMENTS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus", "SOURce")
_SHORT = ("VOLT", "CURR", "RES", "TIME", "STAT", "SOUR")
_NOTHING = 9.91e37
_LINE_HZ = 50.0
_QUANTITIES = (("VOLTage", "VOLT", "V", 210.0), ("CURRent", "CURR", "A", 3.03))


class KeysightB2900Twin(ScpiTwin):
    """A B2902A or B2912A with two channels."""

    channels = 2
    queue_size = 100
    plus = True
    texts: ClassVar[Mapping[int, str]] = {-350: "Error queue overflow"}

    def __init__(self, name: str, world: World, *, model: str, serial: str, firmware: str) -> None:
        self.ranges = _RANGES[model]
        self.cores = {
            n: SmuCore(world, world.terminal(f"{name}.{n}"), world.random(name, str(n)), self.ranges)
            for n in (1, 2)
        }
        self.lists: dict[tuple[str, int], list[float]] = {}
        self.readings: dict[int, list[list[float]]] = {1: [], 2: []}
        self.waiting: dict[int, Operation] = {}
        self.elements = list(_SHORT)
        self.zero_ns = world.now_ns
        super().__init__(
            name,
            world,
            world.lock,
            maker="Keysight Technologies",
            model=model,
            serial=serial,
            firmware=firmware,
        )
        self._apply_all()

    def rows(self) -> list[Setting]:
        """Return its settings."""
        found = [
            Setting(
                "function", "[:SOURce#]:FUNCtion:MODE", Choice(("VOLTage", "CURRent")), "VOLT", then=_checked
            ),
            Setting("shape", "[:SOURce#]:FUNCtion[:SHAPe]", Choice(("DC", "PULSe")), "DC"),
            Setting("width", "[:SOURce#]:PULSe:WIDTh", Quantity("S", span=(50e-6, 100_000.0)), 50e-6),
            Setting("pulse_delay", "[:SOURce#]:PULSe:DELay", Quantity("S", span=(0.0, 99_999.9)), 0.0),
            Setting("output", "OUTPut#[:STATe]", Switch(), False, then=_checked),
            Setting("off_mode", "OUTPut#:OFF:MODE", Choice(("NORMal", "HIZ", "ZERO")), "NORM"),
            Setting("count", "TRIGger#[:ALL]:COUNt", Quantity(span=(1, _COUNT_MAX), whole=True), 1),
            Setting("source", "TRIGger#[:ALL]:SOURce", Choice(("AINT", "BUS", "TIMer", "EXT1")), "AINT"),
            Setting("timer", "TRIGger#[:ALL]:TIMer", Quantity("S", span=(1e-5, 1e5)), 1e-5),
            Setting("delay", "TRIGger#[:ALL]:DELay", Quantity("S", span=(0.0, 1e5)), 0.0),
            Setting("data", "FORMat[:DATA]", Choice(("ASCii", "REAL")), "ASC", shared=True),
            Setting("bits", (), Quantity(), 64, shared=True),
            Setting("order", "FORMat:BORDer", Choice(("NORMal", "SWAPped")), "NORM", shared=True),
            Setting("wires", "[:SENSe#]:REMote", Switch(), False),
            Setting("points", "[:SOURce#]:SWEep:POINts", Quantity(span=(1, _LIST_MAX), whole=True), 1),
        ]
        for name, short, unit, top in _QUANTITIES:
            source, sense = f"[:SOURce#]:{name}", f"[:SENSe#]:{name}[:DC]"
            ranges = self.ranges.volts if short == "VOLT" else self.ranges.amperes
            level = Quantity(unit, span=(-top, top))
            aperture = Quantity("S", span=(8e-6, 2.0))
            limit = Quantity(unit, span=(ranges[0] * 0.01, top))
            found += [
                Setting(
                    f"level_{short}", f"{source}[:LEVel][:IMMediate][:AMPLitude]", level, 0.0, then=_checked
                ),
                Setting(
                    f"triggered_{short}", f"{source}[:LEVel]:TRIGgered[:AMPLitude]", level, 0.0, then=_checked
                ),
                Setting(f"mode_{short}", f"{source}:MODE", Choice(("FIXed", "SWEep", "LIST")), "FIX"),
                Setting(
                    f"source_range_{short}", f"{source}:RANGe", Quantity(unit, span=(0.0, top)), ranges[-1]
                ),
                Setting(f"source_auto_{short}", f"{source}:RANGe:AUTO", Switch(), True),
                Setting(f"start_{short}", f"{source}:STARt", level, 0.0),
                Setting(f"stop_{short}", f"{source}:STOP", level, 0.0),
                Setting(
                    f"limit_{short}",
                    (f"{sense}:PROTection[:LEVel]", f"{sense}:PROTection[:LEVel]:BOTH"),
                    limit,
                    2.0 if short == "VOLT" else 1e-4,
                    then=_checked,
                ),
                Setting(f"aperture_{short}", f"{sense}:APERture", aperture, 0.1 / _LINE_HZ),
                Setting(
                    f"cycles_{short}",
                    f"{sense}:NPLCycles",
                    Quantity(span=(4e-4, 100.0)),
                    0.1,
                    reads=_cycles(short),
                    writes=_set_cycles(short),
                ),
                Setting(
                    f"range_{short}",
                    f"{sense}:RANGe[:UPPer]",
                    Quantity(unit, span=(0.0, top)),
                    ranges[-1],
                    then=_fixed(short, ranges),
                ),
                Setting(f"auto_{short}", f"{sense}:RANGe:AUTO", Switch(), True),
            ]
        return found

    def commands(self) -> Iterable[TwinCommand]:
        """Return what is no setting."""
        listed = (Channels(1, 2, optional=True, default=(1,)),)
        words = Many(OneOf(words=_ELEMENTS), most=6)
        found = [
            TwinCommand(
                "FORMat[:DATA]", self._set_data, (OneOf(words=("ASCii", "REAL")), Number(optional=True))
            ),
            TwinCommand("FORMat[:DATA]?", self._ask_data),
            TwinCommand("FORMat:ELEMents:SENSe", self._set_elements, (words,)),
            TwinCommand("FORMat:ELEMents:SENSe?", lambda call: ",".join(self.elements)),
            TwinCommand("[:SENSe#]:FUNCtion[:ON]", self._functions, (Many(Name(), most=3),)),
            TwinCommand("[:SENSe#]:FUNCtion[:ON]:ALL", lambda call: None),
            TwinCommand("[:SENSe#]:FUNCtion[:ON]?", lambda call: '"VOLT","CURR"'),
            TwinCommand("INITiate[:IMMediate][:ALL]", self._initiate, listed),
            TwinCommand("ABORt[:ALL]", self._abort, listed),
            TwinCommand("IDLE[:ALL]?", self._idle, listed),
            TwinCommand("READ:ARRay?", self._read, listed),
            TwinCommand("FETCh:ARRay?", self._fetch(None), listed),
            TwinCommand("FETCh[:SCALar]?", self._latest, listed),
            TwinCommand("MEASure?", self._measure(None), listed),
            TwinCommand(
                "SYSTem:TIME:TIMer:COUNt:RESet:AUTO", lambda call, on: None, (Number(words=("ON", "OFF")),)
            ),
        ]
        for name, short in zip(_ELEMENTS, _SHORT, strict=True):
            found.append(TwinCommand(f"FETCh:ARRay:{name}?", self._fetch(short), listed))
            if short in ("VOLT", "CURR", "RES"):
                found.append(TwinCommand(f"MEASure:{name}[:DC]?", self._measure(short), listed))
        for name, short, unit, top in _QUANTITIES:
            values = (Many(Number(units=(unit,), low=-top, high=top), most=_LIST_MAX),)
            header = f"[:SOURce#]:LIST:{name}"
            found += [
                TwinCommand(header, self._set_list(short, append=False), values),
                TwinCommand(f"{header}:APPend", self._set_list(short, append=True), values),
                TwinCommand(f"{header}:POINts?", self._list_points(short)),
                TwinCommand(f"{header}?", self._ask_list(short)),
                TwinCommand(f"[:SENSe#]:{name}[:DC]:PROTection:TRIPped?", self._tripped(short)),
            ]
        return found

    # ---- settings that are no table ---------------------------------------------------------------------------
    def changed(self, name: str, n: int) -> None:
        """Bring the analogue side up to the settings."""
        self._apply(n)

    def reset(self) -> None:
        """Forget lists and readings."""
        self.lists.clear()
        self.waiting.clear()
        self.elements = list(_SHORT)
        self.readings = {1: [], 2: []}
        self._apply_all()

    def recalled(self) -> None:
        """Come back with the outputs off."""
        for n in self.cores:
            self.put("output", False, n)
        self._apply_all()

    def _apply_all(self) -> None:
        for n in self.cores:
            self._apply(n)

    def _apply(self, n: int, level: float | None = None) -> None:
        core, function = self.cores[n], self.get("function", n)
        other = "CURR" if function == "VOLT" else "VOLT"
        core.on, core.sources_voltage = bool(self.get("output", n)), function == "VOLT"
        core.level = float(self.get(f"level_{function}", n) if level is None else level)
        core.limit = float(self.get(f"limit_{other}", n))
        core.range_v = (
            None if self.get("auto_VOLT", n) or function == "VOLT" else float(self.get("range_VOLT", n))
        )
        core.range_a = (
            None if self.get("auto_CURR", n) or function == "CURR" else float(self.get("range_CURR", n))
        )
        core.aperture_s = float(self.get(f"aperture_{other}", n))
        core.show()

    def _set_data(self, call: Call, word: str, bits: float | None) -> None:
        if bits not in (None, 32.0, 64.0):
            raise ScpiError(-224)
        self.put("data", word)
        self.put("bits", int(bits or 64))

    def _ask_data(self, call: Call) -> str:
        return "ASC" if self.get("data") == "ASC" else f"REAL,{self.get('bits')}"

    def _set_elements(self, call: Call, *words: str) -> None:
        self.elements = [short for short in _SHORT if short in words]

    def _functions(self, call: Call, *names: str) -> None:
        if any(
            name.upper() not in ("VOLT", "VOLTAGE", "CURR", "CURRENT", "RES", "RESISTANCE") for name in names
        ):
            raise ScpiError(-224)

    def _set_list(self, short: str, *, append: bool) -> Any:
        def put(call: Call, *values: float) -> None:
            before = self.lists.get((short, call.channel), []) if append else []
            if len(before) + len(values) > _LIST_MAX:
                raise ScpiError(-223)
            self.lists[short, call.channel] = [*before, *values]

        return put

    def _list_points(self, short: str) -> Any:
        return lambda call: f"{len(self.lists.get((short, call.channel), [0.0])):+d}"

    def _ask_list(self, short: str) -> Any:
        return lambda call: ",".join(map(self.number, self.lists.get((short, call.channel), [0.0])))

    def _tripped(self, short: str) -> Any:
        def ask(call: Call) -> str:
            core = self.cores[call.channel]
            acts = core.on and core.sources_voltage == (short == "CURR") and core.terminal.look().limited
            return "1" if acts else "0"

        return ask

    # ---- readings ---------------------------------------------------------------------------------------------
    def _levels(self, n: int) -> list[float | None]:
        function, count = self.get("function", n), int(self.get("count", n))
        mode, pulsed = self.get(f"mode_{function}", n), self.get("shape", n) == "PULS"
        if mode == "FIX":
            return [float(self.get(f"triggered_{function}", n)) if pulsed else None] * count
        values = self.lists.get((function, n), [0.0])
        if mode == "SWE":
            start, stop = float(self.get(f"start_{function}", n)), float(self.get(f"stop_{function}", n))
            values = [float(value) for value in np.linspace(start, stop, int(self.get("points", n)))]
        return [values[index % len(values)] for index in range(count)]

    def _acquire(self, n: int) -> None:
        """Take all readings of a channel, one after the other."""
        core, pulsed = self.cores[n], self.get("shape", n) == "PULS"
        self.waiting.pop(n, None)
        self.readings[n], began_ns = [], self.bench.now_ns
        shown: float | None = None
        for index, level in enumerate(self._levels(n)):
            if self.get("source", n) == "TIM":
                due_ns = began_ns + round(index * float(self.get("timer", n)) * 1e9)
                self.bench.pass_s(max(0, due_ns - self.bench.now_ns) / 1e9)
            start_ns = self.bench.now_ns
            if pulsed:
                self.bench.pass_s(float(self.get("pulse_delay", n)))
            if level is not None and (pulsed or level != shown):
                self._apply(n, level)
                shown = level
            self.bench.pass_s(float(self.get("delay", n)))
            measured = core.measure()
            self.readings[n].append(self._reading(n, measured, level))
            if pulsed:
                left_ns = start_ns + round(float(self.get("width", n)) * 1e9) - self.bench.now_ns
                self.bench.pass_s(max(0, left_ns) / 1e9)
                self._apply(n)
        self._apply(n)

    def _reading(self, n: int, found: Measured, level: float | None) -> list[float]:
        sources = self.get("function", n)
        status = (
            (0x01 if found.over else 0)
            | (0x08 if found.limited else 0)
            | 0x1800
            | (0x4000 if sources == "VOLT" else 0x8000)
        )
        volts, amperes = found.voltage_v, found.current_a
        if found.over:
            volts, amperes = (volts, 9.9e37) if sources == "VOLT" else (9.9e37, amperes)
        ohm = volts / amperes if amperes and not found.over else _NOTHING
        programmed = float(self.get(f"level_{sources}", n) if level is None else level)
        return [volts, amperes, ohm, found.t_s - self.zero_ns / 1e9, float(status), programmed]

    def _initiate(self, call: Call, channels: tuple[int, ...]) -> None:
        if any(n in self.waiting for n in channels):
            raise ScpiError(-213)
        for n in dict.fromkeys(channels):
            if self.get("source", n) in ("AINT", "TIM"):
                self._acquire(n)
            else:
                self.waiting[n] = self.begin(then=partial(self._acquire, n))

    def trigger(self, link: TwinLink) -> None:
        """Start the channels that wait for the bus."""
        ready = [n for n in self.waiting if self.get("source", n) == "BUS"]
        if not ready:
            raise ScpiError(-211)
        for n in ready:
            self.end(self.waiting[n])

    def _abort(self, call: Call, channels: tuple[int, ...]) -> None:
        for n in channels:
            operation = self.waiting.pop(n, None)
            if operation is not None:
                self.operations.remove(operation)

    def _idle(self, call: Call, channels: tuple[int, ...]) -> Until:
        return Until(lambda: not any(n in self.waiting for n in channels), lambda: "1")

    def _read(self, call: Call, channels: tuple[int, ...]) -> Until:
        self._initiate(call, channels)
        return Until(
            lambda: not any(n in self.waiting for n in channels),
            lambda: self._formatted([self.readings[n] for n in channels], self.elements),
        )

    def _fetch(self, short: str | None) -> Any:
        def fetch(call: Call, channels: tuple[int, ...]) -> Until:
            def done() -> Answer:
                if not all(self.readings[n] for n in channels):
                    raise ScpiError(-230)
                return self._formatted(
                    [self.readings[n] for n in channels], [short] if short else self.elements
                )

            return Until(lambda: not any(n in self.waiting for n in channels), done)

        return fetch

    def _latest(self, call: Call, channels: tuple[int, ...]) -> Answer:
        if not all(self.readings[n] for n in channels):
            raise ScpiError(-230)
        return self._formatted([self.readings[n][-1:] for n in channels], self.elements)

    def _measure(self, short: str | None) -> Any:
        def measure(call: Call, channels: tuple[int, ...]) -> Answer:
            found = []
            for n in channels:
                self.put("output", True, n)
                self._apply(n)
                self.readings[n] = [self._reading(n, self.cores[n].measure(), None)]
                found.append(self.readings[n])
            return self._formatted(found, [short] if short else self.elements)

        return measure

    def _formatted(self, found: list[list[list[float]]], elements: list[str]) -> Answer:
        places = [_SHORT.index(short) for short in elements]
        most = max(map(len, found))
        values = [
            readings[index][place]
            for index in range(most)
            for readings in found
            if index < len(readings)
            for place in places
        ]
        if self.get("data") == "ASC":
            return ",".join(f"{value:+.6E}" for value in values)
        kind = (">" if self.get("order") == "NORM" else "<") + ("f4" if self.get("bits") == 32 else "f8")
        return block("", np.array(values, kind).tobytes())


def _checked(twin: KeysightB2900Twin, n: int, old: Any) -> None:
    """Refuse what the output stage cannot do."""
    function = twin.get("function", n)
    volts = max(abs(twin.get("level_VOLT", n)), abs(twin.get("triggered_VOLT", n)))
    amperes = max(abs(twin.get("level_CURR", n)), abs(twin.get("triggered_CURR", n)))
    volts, amperes = (
        (volts, twin.get("limit_CURR", n)) if function == "VOLT" else (twin.get("limit_VOLT", n), amperes)
    )
    if not any(volts <= top_v * 1.0001 and amperes <= top_a * 1.0001 for top_v, top_a in _ENVELOPE):
        raise ScpiError(-221)


def _cycles(short: str) -> Any:
    return lambda twin, n: float(twin.get(f"aperture_{short}", n)) * _LINE_HZ


def _set_cycles(short: str) -> Any:
    return lambda twin, n, value: twin.put(f"aperture_{short}", value / _LINE_HZ, n)


def _fixed(short: str, ranges: tuple[float, ...]) -> Any:
    def then(twin: KeysightB2900Twin, n: int, old: Any) -> None:
        twin.put(f"range_{short}", SmuCore.fitting(float(twin.get(f"range_{short}", n)), ranges), n)
        twin.put(f"auto_{short}", False, n)

    return then


def build(name: str, simulated: SimulatedTwin, world: World) -> KeysightB2900Twin:
    """Build the twin of a B2902A or B2912A; it has no options."""
    if simulated.options:
        raise ValueError(f"{simulated.model} has no options; got {', '.join(simulated.options)}")
    return KeysightB2900Twin(
        name,
        world,
        model=simulated.model.removeprefix("keysight-").upper(),
        serial=simulated.serial or "MY51140001",
        firmware=simulated.firmware or "4.1.2131.6480",
    )
