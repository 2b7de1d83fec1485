"""What the twins of the 2400 and the 2450 share: ranges, source and measurement, and which language is spoken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch
from drivers.simulated.twins.scpi_table import Call, TwinCommand
from drivers.simulated.twins.scpi_twin import ScpiTwin
from drivers.simulated.twins.scpi_values import OneOf
from drivers.simulated.twins.smu_core import OVER, Measured, SmuCore, SmuRanges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.simulated.world import World

__all__ = ["NOTHING", "KeithleySourceMeter"]

NOTHING = 9.91e37
"""What stands for a value that is none."""

RANGES = {
    "2400": SmuRanges((0.2, 2.0, 20.0, 200.0), (1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)),
    "2450": SmuRanges(
        (0.02, 0.2, 2.0, 20.0, 200.0), (10e-9, 100e-9, 1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)
    ),
}
OHM_RANGES = (2.0, 20.0, 200.0, 2e3, 20e3, 200e3, 2e6, 20e6, 200e6)
POWER_W = 21.0
LINE_HZ = 50.0


def nr3_short(value: float) -> str:
    """Spell a number as these instruments do, ``1.000000E-03``."""
    return f"{value:.6E}"


class KeithleySourceMeter(ScpiTwin):
    """A source-meter with one channel.

    Attributes
    ----------
    core : SmuCore
    language : str
        Which it speaks: SCPI, SCPI2400 or TSP.
    """

    number = staticmethod(nr3_short)
    queue_size = 10
    texts: ClassVar[Mapping[int, str]] = {
        -285: "TSP Syntax error at line 1: unexpected symbol near `:'",
        802: "OUTPUT blocked by output enable",
        803: "Not permitted with OUTPUT off",
    }

    def __init__(
        self,
        name: str,
        world: World,
        *,
        model: str,
        language: str,
        serial: str,
        firmware: str,
        output_enable: bool = True,
    ) -> None:
        self.language, self._next_language = language, language
        self.output_enable = output_enable
        self.ranges = RANGES[model]
        self.core = SmuCore(world, world.terminal(f"{name}.1"), world.random(name, "1"), self.ranges)
        super().__init__(
            name,
            world,
            world.lock,
            maker="KEITHLEY INSTRUMENTS INC." if model == "2400" else "KEITHLEY INSTRUMENTS",
            model=f"MODEL {model}",
            serial=serial,
            firmware=firmware,
        )
        self.apply()

    # ---- settings that both have ------------------------------------------------------------------------------
    def rows(self) -> list[Setting]:
        """Return source and measuring settings."""
        volts, amperes = self.ranges.volts, self.ranges.amperes
        found = [
            Setting("function", "[:SOURce]:FUNCtion[:MODE]", Choice(("VOLTage", "CURRent")), "VOLT"),
            Setting("output", "OUTPut[:STATe]", Switch(), False, then=_output_changed),
        ]
        for quantity, short, ranges in (("VOLTage", "VOLT", volts), ("CURRent", "CURR", amperes)):
            unit = "V" if short == "VOLT" else "A"
            top = OVER * ranges[-1]
            source, sense = f"[:SOURce]:{quantity}", f"[:SENSe]:{quantity}[:DC]"
            found += [
                Setting(
                    f"level_{short}",
                    f"{source}[:LEVel][:IMMediate][:AMPLitude]",
                    Quantity(unit, span=(-top, top)),
                    0.0,
                    then=_level_changed,
                ),
                Setting(
                    f"source_range_{short}",
                    f"{source}:RANGe",
                    Quantity(unit, span=(-top, top)),
                    ranges[-2],
                    then=_range_taken(f"source_range_{short}", ranges, f"source_auto_{short}"),
                ),
                Setting(f"source_auto_{short}", f"{source}:RANGe:AUTO", Switch(), True),
                Setting(
                    f"range_{short}",
                    f"{sense}:RANGe[:UPPer]",
                    Quantity(unit, span=(-top, top)),
                    ranges[2],
                    then=_range_taken(f"range_{short}", ranges, f"auto_{short}"),
                ),
                Setting(f"auto_{short}", f"{sense}:RANGe:AUTO", Switch(), True),
                Setting(f"cycles_{short}", f"{sense}:NPLCycles", Quantity(span=(0.01, 10.0)), 1.0),
            ]
        found += [
            Setting(
                "range_RES",
                "[:SENSe]:RESistance:RANGe[:UPPer]",
                Quantity("OHM", span=(0.0, 210e6)),
                2e5,
                then=_range_taken("range_RES", OHM_RANGES, "auto_RES"),
            ),
            Setting("auto_RES", "[:SENSe]:RESistance:RANGe:AUTO", Switch(), True),
            Setting("cycles_RES", "[:SENSe]:RESistance:NPLCycles", Quantity(span=(0.01, 10.0)), 1.0),
            Setting("terminals", "ROUTe:TERMinals", Choice(("FRONt", "REAR")), "FRON"),
            *self.more_rows(),
        ]
        return found

    def more_rows(self) -> list[Setting]:
        """Return the settings of the language: `limit_VOLT` and `limit_CURR` are among them."""
        raise NotImplementedError

    def commands(self) -> Iterable[TwinCommand]:
        """Return the language's own commands."""
        return [
            TwinCommand("*LANG?", lambda call: self.language),
            TwinCommand("*LANG", self._set_language, (OneOf(words=("SCPI", "SCPI2400", "TSP", "TSP2600")),)),
        ]

    def _set_language(self, call: Call, word: str) -> None:
        self._next_language = word  # it is spoken after the next power-on

    def obey(self, message: bytes, link: TwinLink) -> None:
        """Execute a message; in TSP mode SCPI is none."""
        head = message.strip().upper()
        if self.language == "TSP" and head and not head.startswith(b"*"):
            self.error(-285)
            return
        super().obey(message, link)

    # ---- acting -----------------------------------------------------------------------------------------------
    def changed(self, name: str, n: int) -> None:
        """Bring the analogue side up to the settings."""
        self.apply()

    def reset(self) -> None:
        """Switch the output off."""
        self.apply()

    def recalled(self) -> None:
        """Come back with the output off."""
        self.put("output", False)
        self.apply()

    def apply(self, level: float | None = None) -> None:
        """Bring source, limit, ranges and aperture to the settings, the level to `level` where one is given."""
        core, function = self.core, self.get("function")
        other = "CURR" if function == "VOLT" else "VOLT"
        core.on = bool(self.get("output"))
        core.sources_voltage = function == "VOLT"
        core.level = float(self.get(f"level_{function}") if level is None else level)
        core.limit = abs(float(self.get(f"limit_{other}")))
        core.range_v = None if self.get("auto_VOLT") or function == "VOLT" else float(self.get("range_VOLT"))
        core.range_a = None if self.get("auto_CURR") or function == "CURR" else float(self.get("range_CURR"))
        core.aperture_s = float(self.get(f"cycles_{self.measures()}")) / LINE_HZ
        core.show()

    def measures(self) -> str:
        """Return the function whose aperture holds: VOLT, CURR or RES."""
        return "CURR"

    def taken(self, level: float | None = None) -> Measured:
        """Measure once, at `level` where one is given."""
        if level is not None:
            self.apply(level)
        return self.core.measure()


def _range_taken(name: str, ranges: tuple[float, ...], automatic: str) -> Any:
    """Return what brings a range that was set to the next one up, and switches automatic ranging off."""

    def then(twin: KeithleySourceMeter, n: int, old: Any) -> None:
        twin.put(name, SmuCore.fitting(float(twin.get(name)), ranges))
        twin.put(automatic, False)

    return then


def _level_changed(twin: KeithleySourceMeter, n: int, old: Any) -> None:
    """Refuse what the output stage cannot do."""
    volts, amperes = abs(twin.get("level_VOLT")), abs(twin.get("level_CURR"))
    if (twin.get("function") == "VOLT" and volts * abs(twin.get("limit_CURR")) > POWER_W * OVER**2) or (
        twin.get("function") == "CURR" and amperes * abs(twin.get("limit_VOLT")) > POWER_W * OVER**2
    ):
        raise ScpiError(-221)


def _output_changed(twin: KeithleySourceMeter, n: int, old: Any) -> None:
    if twin.get("output") and not twin.output_enable:
        raise ScpiError(802)
