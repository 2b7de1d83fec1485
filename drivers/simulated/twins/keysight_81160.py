"""The twin of the Keysight 81160A and 81150A pulse function arbitrary generators (instruments §2.3).

Where the sources disagree, it keeps to the manual's shortest period (3.03 ns), and takes both forms of the headers of
separate edges. Whatever no source states is a default: *RST values, the spelling of numbers, the wording behind -221.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.simulated.scpi_commands import Bytes, Parameter
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_parser import Token, TokenKind
from drivers.simulated.twins.generator_levels import LevelLimits
from drivers.simulated.twins.generator_timing import TimingLimits
from drivers.simulated.twins.pulse_generator import PulseGenerator
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch
from drivers.simulated.twins.scpi_table import Call, TwinCommand
from drivers.simulated.twins.scpi_values import Many, Name, Number

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.twins.scpi_twin import ScpiTwin
    from drivers.simulated.world import World

__all__ = ["Keysight81160Twin", "build"]

_SOURCE = "[:SOURce]"
_LEVEL = f"{_SOURCE}:VOLTage#[:LEVel][:IMMediate]"
_DAC_MAX = 8191
_POINTS_MAX = 524_288

_HEADERS: dict[str, tuple[str, ...]] = {
    "shape": (f"{_SOURCE}:FUNCtion#[:SHAPe]",),
    "frequency": (f"{_SOURCE}:FREQuency#[:CW]",),
    "period": (f"{_SOURCE}:PULSe:PERiod#", f"{_SOURCE}:FUNCtion#:PULSe:PERiod"),
    "width": (f"{_SOURCE}:PULSe:WIDTh#", f"{_SOURCE}:FUNCtion#:PULSe:WIDTh"),
    "duty": (f"{_SOURCE}:PULSe:DCYCle#", f"{_SOURCE}:FUNCtion#:PULSe:DCYCle"),
    "trailing_delay": (f"{_SOURCE}:PULSe:TDELay#",),
    "delay": (f"{_SOURCE}:PULSe:DELay#", f"{_SOURCE}:FUNCtion#:PULSe:DELay"),
    "hold": (f"{_SOURCE}:FUNCtion#:PULSe:HOLD", f"{_SOURCE}:PULSe:HOLD#"),
    "edges": (f"{_SOURCE}:FUNCtion#:PULSe:TRANsition[:BOTH]",),
    "lead": (
        f"{_SOURCE}:PULSe:TRANsition#[:LEADing]",
        f"{_SOURCE}:FUNCtion#:PULSe:TRANsition:LEADing",
    ),
    "trail": (
        f"{_SOURCE}:PULSe:TRANsition#:TRAiling",
        f"{_SOURCE}:FUNCtion#:PULSe:TRANsition:TRAiling",
    ),
    "trail_follows": (f"{_SOURCE}:PULSe:TRANsition#:TRAiling:AUTO",),
    "square_duty": (f"{_SOURCE}:FUNCtion#:SQUare:DCYCle",),
    "symmetry": (f"{_SOURCE}:FUNCtion#:RAMP:SYMMetry",),
    "phase": (f"{_SOURCE}:PHASe#[:ADJust]",),
    "amplitude": (f"{_LEVEL}[:AMPLitude]",),
    "offset": (f"{_LEVEL}:OFFSet",),
    "high": (f"{_LEVEL}:HIGH",),
    "low": (f"{_LEVEL}:LOW",),
    "unit": (f"{_SOURCE}:VOLTage#:UNIT",),
    "limited": (f"{_SOURCE}:VOLTage#:LIMit:STATe",),
    "limit_high": (f"{_SOURCE}:VOLTage#:LIMit[:HIGH]",),
    "limit_low": (f"{_SOURCE}:VOLTage#:LIMit:LOW",),
    "load": ("OUTPut#:LOAD", "OUTPut#:IMPedance:EXTernal"),
}

_TIMING = {
    "81160A": TimingLimits(
        period_s=(3.03e-9, 1e6),
        width_s=(1.5e-9, 1e6),
        edge_s=(1e-9, 1000.0),
        duty_pct=(0.15, 99.99),
        frequency_hz={"SIN": 500e6, "SQU": 330e6, "PULS": 330e6, "RAMP": 50e6, "USER": 330e6},
    ),
    "81150A": TimingLimits(
        period_s=(8.33e-9, 1e6),
        width_s=(4.1e-9, 950_000.0),
        edge_s=(2.5e-9, 1000.0),
        duty_pct=(0.15, 99.99),
        frequency_hz={"SIN": 240e6, "SQU": 120e6, "PULS": 120e6, "RAMP": 5e6, "USER": 120e6},
    ),
}
"""By model; frequencies of sine and ramp, widths of the 81150A: its data as public drivers state them [D]."""


class Keysight81160Twin(PulseGenerator):
    """An 81160A or 81150A with two channels; sockets ``name.1``, ``name.2``, their complements ``name.1n``, ``.2n``."""

    levels = LevelLimits(
        amplitude_v=(0.05, 5.0),
        high_v=(-4.95, 5.0),
        low_v=(-5.0, 4.95),
        offset_v=(-4.995, 4.995),
        load_ohm=(0.3, 1e6),
        infinite=False,
    )
    headers = _HEADERS
    shapes = ("SINusoid", "SQUare", "RAMP", "PULSe", "NOISe", "DC", "USER")
    arb_shape = "USER"

    def __init__(self, name: str, world: World, *, model: str, serial: str, firmware: str) -> None:
        self.timing = _TIMING[model]
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
        """Return output, trigger, burst and coupling."""
        sources = ("IMMediate", "INTernal2", "EXTernal", "MANual")
        burst = f"{_SOURCE}:BURSt#"
        return [
            Setting("output", "OUTPut#[:STATe]", Switch(), False),
            Setting("complement", "OUTPut#:COMPlement[:STATe]", Switch(), False),
            Setting("polarity", "OUTPut#:POLarity", Choice(("NORMal", "INVerted")), "NORM"),
            Setting("inside", "OUTPut#:IMPedance[:INTernal]", Quantity("OHM", span=(50.0, 50.0)), 50.0),
            Setting(
                "arm",
                "ARM:SOURce#",
                Choice(sources, also={"INTernal1": "IMM", "EXTernal1": "EXT"}),
                "IMM",
                then=_arm_changed,
            ),
            Setting("arm_level", "ARM:LEVel", Quantity("V", span=(-10.0, 10.0)), 1.0, shared=True),
            Setting("arm_slope", "ARM:SLOPe", Choice(("POSitive", "NEGative", "EITHer")), "POS", shared=True),
            Setting("arm_sense", "ARM:SENSe#", Choice(("EDGE", "LEVel")), "EDGE"),
            Setting("burst", f"{burst}:STATe", Switch(), False),
            Setting("burst_mode", f"{burst}:MODE", Choice(("TRIGgered", "GATed")), "TRIG"),
            Setting("cycles", f"{burst}:NCYCles", Quantity(span=(2, self.count_max), whole=True), 2),
            Setting(
                "burst_period",
                f"{burst}:INTernal:PERiod",
                Quantity("S", span=(self.timing.period_s[0], 1e6)),
                1e-3,
            ),
            Setting(
                "trigger_count",
                "TRIGger#:COUNt",
                Quantity(span=(1, self.count_max), whole=True),
                1,
                reads=lambda twin, n: twin.get("cycles", n) if twin.get("burst", n) else 1,
                writes=_write_count,
            ),
            Setting("coupled", "TRACk:CHANnel#", Switch(), False, then=_coupled),
            Setting("order", "FORMat:BORDer", Choice(("NORMal", "SWAPped")), "NORM", shared=True),
            Setting("arb", (), Quantity(), "EXP_RISE"),
            Setting("display", "DISPlay[:WINDow][:STATe]", Switch(), True, shared=True),
        ]

    # ---- trigger --------------------------------------------------------------------------------------------
    def waits(self, n: int) -> bool:
        """Whether it waits for a trigger."""
        return self.get("arm", n) in ("EXT", "MAN")

    def takes_bus_trigger(self, n: int) -> bool:
        """Whether the manual trigger starts it, and with it the bus."""
        return bool(self.get("arm", n) == "MAN" and self.get("burst_mode", n) == "TRIG")

    def count(self, n: int) -> int:
        """Cycles per trigger."""
        return int(self.get("trigger_count", n))

    def repetition_s(self, n: int) -> float | None:
        """Return the period of the internal trigger, where bursts or single cycles follow it."""
        if self.get("arm", n) == "INT2" or self.get("burst", n):
            return float(self.get("burst_period", n))
        return None

    def complement(self, n: int) -> bool:
        """Whether the second connector is on."""
        return bool(self.get("complement", n))

    def changed(self, name: str, n: int) -> None:
        """Show what changed, at both channels where they are coupled."""
        other = 3 - n
        if self.get("coupled", n) and name != "coupled":
            _copy(self, n, other)
            self._present(other)
        super().changed(name, n)

    # ---- other commands -------------------------------------------------------------------------------------
    def commands(self) -> Iterable[TwinCommand]:
        """Return triggers, waveforms and APPLy."""
        level = (
            Number(units=("V", "VPP"), keywords=("MIN", "MAX", "DEF"), optional=True, default="DEF"),
        ) * 2
        rate = (Number(units=("HZ",), keywords=("MIN", "MAX", "DEF"), optional=True, default="DEF"),)
        data = f"{_SOURCE}:DATA#"
        return [
            TwinCommand("TRIGger#[:IMMediate]", self._trigger_one),
            TwinCommand(f"{data}:DAC", self._upload, (Name(), Many(_DacPoints(), most=_POINTS_MAX))),
            TwinCommand(f"{data}:COPY", self._copy_arb, (Name(), Name(optional=True, default="VOLATILE"))),
            TwinCommand(f"{data}:DELete[:NAME]", self._delete_arb, (Name(),)),
            TwinCommand(f"{data}:DELete:ALL", self._delete_all),
            TwinCommand(f"{data}:CATalog?", lambda call: _quoted(self.arbs[call.channel].names())),
            TwinCommand(
                f"{data}:NVOLatile:CATalog?", lambda call: _quoted(list(self.arbs[call.channel].stored))
            ),
            TwinCommand(f"{data}:NVOLatile:FREE?", lambda call: f"{self.arbs[call.channel].free:+d}"),
            TwinCommand(
                f"{data}:ATTRibute:POINts?", self._points, (Name(optional=True, default="VOLATILE"),)
            ),
            TwinCommand(f"{_SOURCE}:FUNCtion#:USER", self._select, (Name(),)),
            TwinCommand(f"{_SOURCE}:FUNCtion#:USER?", lambda call: str(self.get("arb", call.channel))),
            TwinCommand("APPLy#?", self._applied),
            *(
                TwinCommand(f"APPLy#:{word}", self._applying(word), (*rate, *level))
                for word in ("SINusoid", "SQUare", "RAMP", "PULSe", "NOISe", "DC", "USER")
            ),
        ]

    def _trigger_one(self, call: Call) -> None:
        n = call.channel
        if not (self.waits(n) and self.takes_bus_trigger(n)):
            raise ScpiError(-211)
        self.fire([n])

    def _upload(self, call: Call, name: str, *values: Any) -> None:
        if name.upper() != "VOLATILE":
            raise ScpiError(-224)
        if len(values) == 1 and isinstance(values[0], memoryview):
            order = ">i2" if self.get("order") == "NORM" else "<i2"
            if len(values[0]) % 2:
                raise ScpiError(-161)
            points = np.frombuffer(values[0], order).astype(np.float64)
        elif any(isinstance(value, memoryview) for value in values):
            raise ScpiError(-168)
        else:
            points = np.array(values, dtype=np.float64)
        if len(points) > _POINTS_MAX:
            raise ScpiError(-223)
        if len(points) < 2:
            raise ScpiError(-109)
        if np.abs(points).max() > _DAC_MAX:
            raise ScpiError(-222)
        self.arbs[call.channel].volatile = points / _DAC_MAX

    def _copy_arb(self, call: Call, name: str, source: str) -> None:
        self.arbs[call.channel].copy(name, source)

    def _delete_arb(self, call: Call, name: str) -> None:
        n = call.channel
        self.arbs[n].delete(name, self.get("arb", n) if self.get("shape", n) == "USER" else "")
        if self.get("arb", n) == name.upper():
            self.put("arb", "EXP_RISE", n)

    def _delete_all(self, call: Call) -> None:
        n = call.channel
        for name in list(self.arbs[n].stored):
            if self.get("arb", n) != name:
                self.arbs[n].delete(name, "")

    def _points(self, call: Call, name: str) -> str:
        return f"{len(self.arbs[call.channel].find(name)):+d}"

    def _select(self, call: Call, name: str) -> None:
        self.arbs[call.channel].find(name)
        self.put("arb", name.upper(), call.channel)
        self.changed("arb", call.channel)

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
        self.put("arm", "IMM", n)


class _DacPoints(Parameter):
    """A block of points, or one point as a number."""

    def read(self, token: Token) -> Any:
        """Return a memoryview or a number."""
        if token.kind is TokenKind.BLOCK:
            return Bytes().read(token)
        return Number(whole=True).check(Number().read(token))


def _arm_changed(twin: Keysight81160Twin, n: int, old: Any) -> None:
    if twin.waits(n) and twin.get("shape", n) in ("NOIS", "DC"):
        raise ScpiError(-221, "triggered burst not available for noise")


def _write_count(twin: Keysight81160Twin, n: int, value: float) -> None:
    twin.put("burst", value > 1, n)
    if value > 1:
        twin.put("cycles", value, n)


_LEFT_ALONE = {"coupled", "output", "complement"}


def _copy(twin: ScpiTwin, n: int, other: int) -> None:
    """Give the other channel the settings of this one, its outputs excepted."""
    for name, row in twin.settings.rows.items():
        if row.reads is None and not row.shared and name not in _LEFT_ALONE:
            twin.put(name, twin.get(name, n), other)


def _coupled(twin: Keysight81160Twin, n: int, old: Any) -> None:
    if twin.get("coupled", n):
        twin.put("coupled", False, 3 - n)  # one channel leads
        _copy(twin, n, 3 - n)
        twin.changed("coupled", 3 - n)


def _quoted(names: list[str]) -> str:
    return ",".join(f'"{name}"' for name in names) if names else '""'


_FIRMWARE = {"81160A": "1.0.3.0-2.6", "81150A": "3.0.0.0-4.6"}


def build(name: str, simulated: SimulatedTwin, world: World) -> Keysight81160Twin:
    """Build the twin of an 81160A or 81150A; it has no options."""
    if simulated.options:
        raise ValueError(f"{simulated.model} has no options; got {', '.join(simulated.options)}")
    model = simulated.model.removeprefix("keysight-").upper()
    return Keysight81160Twin(
        name,
        world,
        model=model,
        serial=simulated.serial or "MY12345678",
        firmware=simulated.firmware or _FIRMWARE[model],
    )
