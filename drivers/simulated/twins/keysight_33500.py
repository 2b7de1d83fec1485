"""The twins of the Keysight 33522B and 33622A waveform generators (instruments §2.4).

The same rules as the 81160A in another dialect. What no source states is a default: *RST values, the words behind
error texts, limits of the 33622A beyond width and edge. A value out of range is brought to the limit and -222 queued,
as the family does; the 81160A's twin refuses it. An endless burst ends after the largest count there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from drivers.simulated.scpi_commands import Bytes, Parameter
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_parser import Token, TokenKind
from drivers.simulated.twins.arb_memory import BUILT_IN
from drivers.simulated.twins.generator_levels import LevelLimits
from drivers.simulated.twins.generator_timing import TimingLimits
from drivers.simulated.twins.pulse_generator import PulseGenerator
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch, Words
from drivers.simulated.twins.scpi_table import Call, TwinCommand
from drivers.simulated.twins.scpi_values import Many, Name, Number

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.world import World

__all__ = ["Keysight33500Twin", "build"]

_SOURCE = "[:SOURce#]"
_PULSE = f"{_SOURCE}:FUNCtion:PULSe"
_LEVEL = f"{_SOURCE}:VOLTage[:LEVel][:IMMediate]"
_ARB = f"{_SOURCE}:FUNCtion:ARBitrary"
_DAC_MAX = 32_767
_NO_SUCH, _SAME_NAME = 785, 786  # codes of the family [K]
_POINTS_MIN, _POINTS_MAX = 8, 1_000_000  # without the memory option [K]

_HEADERS: dict[str, tuple[str, ...]] = {
    "shape": (f"{_SOURCE}:FUNCtion[:SHAPe]",),
    "frequency": (f"{_SOURCE}:FREQuency[:CW]",),
    "period": (f"{_PULSE}:PERiod",),
    "width": (f"{_PULSE}:WIDTh",),
    "duty": (f"{_PULSE}:DCYCle",),
    "trailing_delay": (),
    "delay": (),
    "hold": (f"{_PULSE}:HOLD",),
    "edges": (f"{_PULSE}:TRANsition[:BOTH]",),
    "lead": (f"{_PULSE}:TRANsition:LEADing",),
    "trail": (f"{_PULSE}:TRANsition:TRAiling",),
    "trail_follows": (),
    "square_duty": (f"{_SOURCE}:FUNCtion:SQUare:DCYCle",),
    "symmetry": (f"{_SOURCE}:FUNCtion:RAMP:SYMMetry",),
    "phase": (f"{_SOURCE}:PHASe[:ADJust]",),
    "amplitude": (f"{_LEVEL}[:AMPLitude]",),
    "offset": (f"{_LEVEL}:OFFSet",),
    "high": (f"{_LEVEL}:HIGH",),
    "low": (f"{_LEVEL}:LOW",),
    "unit": (f"{_SOURCE}:VOLTage:UNIT",),
    "limited": (f"{_SOURCE}:VOLTage:LIMit:STATe",),
    "limit_high": (f"{_SOURCE}:VOLTage:LIMit:HIGH",),
    "limit_low": (f"{_SOURCE}:VOLTage:LIMit:LOW",),
    "load": ("OUTPut#:LOAD",),
}


def _timing(highest_hz: float, width_s: float, edge_s: float, ramp_hz: float) -> TimingLimits:
    return TimingLimits(
        period_s=(1 / highest_hz, 1e6),
        width_s=(width_s, 1e6),
        edge_s=(edge_s, 1e-6),
        duty_pct=(0.01, 99.99),
        frequency_hz={
            "SIN": highest_hz, "SQU": highest_hz, "PULS": highest_hz, "RAMP": ramp_hz, "TRI": ramp_hz,
        },
    )  # fmt: skip


_TIMING = {
    "33522B": _timing(30e6, 16e-9, 8.4e-9, 200e3),
    "33622A": _timing(120e6, 5e-9, 2.9e-9, 800e3),
}
_FIRMWARE = {"33522B": "4.00-1.19-2.00-58-00", "33622A": "A.02.03-3.15-03-64-02"}


def _load(ohm: float) -> str:
    return "9.9E+37" if ohm >= 9.9e37 else f"{ohm:.15E}"


class Keysight33500Twin(PulseGenerator):
    """A 33522B or 33622A with two channels, sockets ``name.1`` and ``name.2``."""

    levels = LevelLimits(
        amplitude_v=(1e-3, 10.0),
        high_v=(-4.999, 5.0),
        low_v=(-5.0, 4.999),
        offset_v=(-4.9995, 4.9995),
        load_ohm=(1.0, 10e3),
        infinite=True,
    )
    headers: Mapping[str, tuple[str, ...]] = _HEADERS
    shapes = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARB", "DC")
    arb_shape = "ARB"
    count_max = 100_000_000
    slots = 0
    load_reply = staticmethod(_load)
    texts: ClassVar[Mapping[int, str]] = {
        _NO_SUCH: "Specified arb waveform does not exist",
        _SAME_NAME: "Specified arb waveform already exists",
    }
    clips = True
    options = "010,0"

    def __init__(self, name: str, world: World, *, model: str, serial: str, firmware: str) -> None:
        self.timing = _TIMING[model]
        self.segments: dict[int, dict[str, np.ndarray[Any, np.dtype[np.float64]]]] = {1: {}, 2: {}}
        super().__init__(
            name,
            world,
            world.lock,
            maker="Agilent Technologies",
            model=model,
            serial=serial,
            firmware=firmware,
        )

    def more_rows(self) -> list[Setting]:
        """Return output, trigger, burst, sampling and display."""
        burst = f"{_SOURCE}:BURSt"
        return [
            Setting("output", "OUTPut#[:STATe]", Switch(), False),
            Setting("polarity", "OUTPut#:POLarity", Choice(("NORMal", "INVerted")), "NORM"),
            Setting("output_mode", "OUTPut#:MODE", Choice(("NORMal", "GATed")), "NORM"),
            Setting("sync", "OUTPut#:SYNC[:STATe]", Switch(), True),
            Setting("trigger_out", "OUTPut:TRIGger[:STATe]", Switch(), False, shared=True),
            Setting(
                "source",
                "TRIGger#:SOURce",
                Choice(("IMMediate", "EXTernal", "TIMer", "BUS")),
                "IMM",
                then=_source_changed,
            ),
            Setting("slope", "TRIGger#:SLOPe", Choice(("POSitive", "NEGative")), "POS"),
            Setting("timer", "TRIGger#:TIMer", Quantity("S", span=(1e-6, 8000.0)), 1.0),
            Setting("delay_trigger", "TRIGger#:DELay", Quantity("S", span=(0.0, 1000.0)), 0.0),
            Setting("trigger_count", "TRIGger#:COUNt", Quantity(span=(1, 1e6), whole=True), 1),
            Setting("burst", f"{burst}:STATe", Switch(), False, then=_burst_changed),
            Setting("burst_mode", f"{burst}:MODE", Choice(("TRIGgered", "GATed")), "TRIG"),
            Setting(
                "cycles",
                f"{burst}:NCYCles",
                Quantity(span=(1, self.count_max), whole=True, infinite=True, reply=self.number),
                1,
                then=_burst_changed,
            ),
            Setting(
                "burst_period",
                f"{burst}:INTernal:PERiod",
                Quantity("S", span=(1e-6, 8000.0)),
                10e-3,
                then=_burst_changed,
            ),
            Setting("burst_phase", f"{burst}:PHASe", Quantity("DEG", span=(-360.0, 360.0)), 0.0),
            Setting("arb_rate", f"{_ARB}:SRATe", Quantity(span=(1e-6, 250e6)), 40e3),
            Setting("arb_filter", f"{_ARB}:FILTer", Choice(("NORMal", "STEP", "OFF")), "STEP"),
            Setting("arb_advance", f"{_ARB}:ADVance", Choice(("TRIGger", "SRATe")), "SRAT"),
            Setting("order", "FORMat:BORDer", Choice(("NORMal", "SWAPped")), "NORM", shared=True),
            Setting("arb", (), Quantity(), "EXP_RISE"),
            Setting("text", "DISPlay:TEXT", Words(40), "", shared=True),
            Setting("display", "DISPlay", Switch(), True, shared=True),
        ]

    # ---- trigger --------------------------------------------------------------------------------------------
    def waits(self, n: int) -> bool:
        """Whether it waits for a trigger: only bursts do."""
        return bool(self.get("burst", n) and self.get("source", n) in ("EXT", "BUS"))

    def takes_bus_trigger(self, n: int) -> bool:
        """Whether ``*TRG`` starts it."""
        return bool(self.get("source", n) == "BUS" and self.get("burst_mode", n) == "TRIG")

    def count(self, n: int) -> int:
        """Cycles per trigger."""
        return int(min(self.get("cycles", n), self.count_max))

    def repetition_s(self, n: int) -> float | None:
        """Return the time from burst to burst of a channel that triggers itself."""
        if not self.get("burst", n) or self.get("cycles", n) > self.count_max:
            return None
        return float(self.get("timer" if self.get("source", n) == "TIM" else "burst_period", n))

    # ---- stored waveforms -----------------------------------------------------------------------------------
    def cycle_s(self, n: int) -> float:
        """Return the seconds of one cycle; a stored waveform has a rate of its own."""
        if self.get("shape", n) == self.arb_shape:
            return len(self.arb_points(n)) / float(self.get("arb_rate", n))
        return super().cycle_s(n)

    def arb_points(self, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the selected waveform, values from -1 to 1."""
        name = self.get("arb", n)
        return self.segments[n].get(name, BUILT_IN.get(name, BUILT_IN["EXP_RISE"]))

    def arb_steps(self, n: int) -> bool:
        """Whether points are held: without a filter."""
        return bool(self.get("arb_filter", n) == "OFF")

    def reset(self) -> None:
        """Forget the volatile waveforms too."""
        for segments in self.segments.values():
            segments.clear()
        super().reset()

    def commands(self) -> Iterable[TwinCommand]:
        """Return triggers, waveforms, APPLy and the front panel."""
        words = ("MIN", "MAX", "DEF")
        rate = Number(units=("HZ",), keywords=words, optional=True, default="DEF")
        level = Number(units=("V", "VPP"), keywords=words, optional=True, default="DEF")
        points = (Name(), Many(_Points(), most=_POINTS_MAX))
        return [
            TwinCommand("TRIGger#[:IMMediate]", self._trigger_one),
            TwinCommand(f"{_SOURCE}:DATA:ARBitrary", self._upload(1.0), points),
            TwinCommand(f"{_SOURCE}:DATA:ARBitrary:DAC", self._upload(_DAC_MAX), points),
            TwinCommand(f"{_SOURCE}:DATA:VOLatile:CLEar", self._clear),
            TwinCommand(
                f"{_SOURCE}:DATA:VOLatile:CATalog?",
                lambda call: ",".join(
                    f'"{name}"' for name in ["INT:\\BUILTIN\\EXP_RISE.ARB", *self.segments[call.channel]]
                ),
            ),
            TwinCommand(f"{_SOURCE}:DATA:VOLatile:FREE?", self._free),
            TwinCommand(_ARB, self._select, (Name(),)),
            TwinCommand(f"{_ARB}?", lambda call: f'"{self.get("arb", call.channel)}"'),
            TwinCommand(f"{_ARB}:POINts?", lambda call: f"{len(self.arb_points(call.channel)):+d}"),
            TwinCommand("PHASe:SYNChronize", lambda call: None),
            TwinCommand(f"{_SOURCE}:PHASe:SYNChronize", lambda call: None),
            TwinCommand("DISPlay:TEXT:CLEar", lambda call: self.put("text", "")),
            TwinCommand("SYSTem:BEEPer[:IMMediate]", lambda call: None),
            TwinCommand(f"{_SOURCE}:APPLy?", self._applied),
            *(
                TwinCommand(f"{_SOURCE}:APPLy:{word}", self._applying(word), (rate, level, level))
                for word in ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARB", "DC")
            ),
        ]

    def _trigger_one(self, call: Call) -> None:
        n = call.channel
        if not self.waits(n) or self.get("burst_mode", n) != "TRIG":
            raise ScpiError(-211)
        self.fire([n])

    def _upload(self, full: float) -> Callable[..., None]:
        def upload(call: Call, name: str, *values: Any) -> None:
            if len(values) == 1 and isinstance(values[0], memoryview):
                order = ">" if self.get("order") == "NORM" else "<"
                kind = np.dtype(f"{order}{'i2' if full > 1 else 'f4'}")
                if len(values[0]) % kind.itemsize:
                    raise ScpiError(-161)
                found = np.frombuffer(values[0], kind).astype(np.float64)
            elif any(isinstance(value, memoryview) for value in values):
                raise ScpiError(-168)
            else:
                found = np.array(values, dtype=np.float64)
            if len(found) < _POINTS_MIN:
                raise ScpiError(-109)
            if not (np.abs(found) <= full).all():
                raise ScpiError(-222)
            segments = self.segments[call.channel]
            if name.upper() in segments:
                raise ScpiError(_SAME_NAME)
            if len(found) + sum(map(len, segments.values())) > _POINTS_MAX:
                raise ScpiError(-225)
            segments[name.upper()] = found / full

        return upload

    def _clear(self, call: Call) -> None:
        n = call.channel
        self.segments[n].clear()
        if self.get("arb", n) not in BUILT_IN:
            self.put("arb", "EXP_RISE", n)

    def _free(self, call: Call) -> str:
        return f"{_POINTS_MAX - sum(map(len, self.segments[call.channel].values())):+d}"

    def _select(self, call: Call, name: str) -> None:
        n, upper = call.channel, name.upper()
        if upper not in self.segments[n] and upper not in BUILT_IN:
            raise ScpiError(_NO_SUCH)
        self.put("arb", upper, n)
        self.changed("arb", n)

    def _applied(self, call: Call) -> str:
        n = call.channel
        values = ",".join(
            self.number(float(self.get(name, n))) for name in ("frequency", "amplitude", "offset")
        )
        return f'"{self.get("shape", n)} {values}"'

    def _applying(self, word: str) -> Callable[..., None]:
        shape = "".join(letter for letter in word if not letter.islower())

        def apply(call: Call, frequency: Any, amplitude: Any, offset: Any) -> None:
            self.apply(call.channel, shape, frequency, amplitude, offset)

        return apply

    def stops_bursts(self, n: int) -> None:
        """Let a channel run free."""
        self.put("burst", False, n)
        self.put("source", "IMM", n)


class _Points(Parameter):
    """A block of points, or one point as a number."""

    def read(self, token: Token) -> Any:
        """Return a memoryview or a number."""
        if token.kind is TokenKind.BLOCK:
            return Bytes().read(token)
        return Number().read(token)


def _source_changed(twin: Keysight33500Twin, n: int, old: Any) -> None:
    if twin.get("source", n) in ("IMM", "TIM") and twin.get("cycles", n) > twin.count_max:
        twin.put("cycles", 1, n)
        twin.error(-221, "turned off infinite burst to allow immediate trigger source")


def _burst_changed(twin: Keysight33500Twin, n: int, old: Any) -> None:
    """Keep a self-triggered burst shorter than the time to the next one."""
    if not twin.get("burst", n):
        return
    if twin.get("shape", n) == "DC":
        raise ScpiError(-221, "triggered burst not available for DC")
    if twin.get("source", n) == "IMM" and twin.get("cycles", n) <= twin.count_max:
        needed = twin.get("cycles", n) * twin.get("period", n) + 1e-6
        if needed > twin.get("burst_period", n):
            twin.put("burst_period", min(needed, 8000.0), n)
            twin.error(-221, "burst period increased to fit entire burst")


def build(name: str, simulated: SimulatedTwin, world: World) -> Keysight33500Twin:
    """Build the twin of a 33522B or 33622A; it has no options."""
    if simulated.options:
        raise ValueError(f"{simulated.model} has no options; got {', '.join(simulated.options)}")
    model = simulated.model.removeprefix("keysight-").upper()
    return Keysight33500Twin(
        name,
        world,
        model=model,
        serial=simulated.serial or "MY50000001",
        firmware=simulated.firmware or _FIRMWARE[model],
    )
