"""The settings of the 2400's command language; *RST values that no source states are defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2400 import Keithley2400Twin

__all__ = ["settings_of_2400"]

_COUNT_MAX = 2500


def _plain(value: float) -> str:
    return str(int(value))


def _delay_changed(twin: Keithley2400Twin, n: int, old: Any) -> None:
    twin.put("delay_auto", False)


def _points_changed(twin: Keithley2400Twin, n: int, old: Any) -> None:
    twin.buffer = []


def settings_of_2400(volts: float, amperes: float) -> list[Setting]:
    """Return compliance, delays, filter, trigger model, buffer and system settings.

    Parameters
    ----------
    volts, amperes : float
        Largest ranges.
    """

    def layer(name: str, header: str, sources: tuple[str, ...], events: tuple[str, ...]) -> list[Setting]:
        return [
            Setting(
                f"{name}_count",
                f"{header}:COUNt",
                Quantity(span=(1, _COUNT_MAX), whole=True, reply=_plain),
                1,
            ),
            Setting(f"{name}_source", f"{header}:SOURce", Choice(sources), "IMM"),
            Setting(f"{name}_output", f"{header}:OUTPut", Choice(events), "NONE"),
            Setting(f"{name}_in", f"{header}:ILINe", Quantity(span=(1, 4), whole=True, reply=_plain), 1),
            Setting(f"{name}_out", f"{header}:OLINe", Quantity(span=(1, 4), whole=True, reply=_plain), 2),
        ]

    statistics = Choice(("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"))
    sources = ("IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest")
    found = [
        Setting(
            "limit_VOLT",
            "[:SENSe]:VOLTage[:DC]:PROTection[:LEVel]",
            Quantity("V", span=(-1.05 * volts, 1.05 * volts)),
            21.0,
        ),
        Setting(
            "limit_CURR",
            "[:SENSe]:CURRent[:DC]:PROTection[:LEVel]",
            Quantity("A", span=(-1.05 * amperes, 1.05 * amperes)),
            105e-6,
        ),
        Setting("delay", "[:SOURce]:DELay", Quantity("S", span=(0.0, 9999.999)), 1e-3, then=_delay_changed),
        Setting("delay_auto", "[:SOURce]:DELay:AUTO", Switch(), True),
        Setting("clear_auto", "[:SOURce]:CLEar:AUTO", Switch(), False),
        Setting("off_state", "OUTPut:SMODe", Choice(("HIMPedance", "NORMal", "ZERO", "GUARd")), "NORM"),
        Setting("enable_used", "OUTPut:ENABle[:STATe]", Switch(), False),
        Setting("concurrent", "[:SENSe]:FUNCtion:CONCurrent", Switch(), True),
        Setting("mode_RES", "[:SENSe]:RESistance:MODE", Choice(("MANual", "AUTO")), "AUTO"),
        Setting("average", "[:SENSe]:AVERage[:STATe]", Switch(), False),
        Setting("average_kind", "[:SENSe]:AVERage:TCONtrol", Choice(("REPeat", "MOVing")), "REP"),
        Setting(
            "average_count", "[:SENSe]:AVERage:COUNt", Quantity(span=(1, 100), whole=True, reply=_plain), 10
        ),
        Setting("data", "FORMat[:DATA]", Choice(("ASCii", "REAL", "SREal")), "ASC"),
        Setting("order", "FORMat:BORDer", Choice(("NORMal", "SWAPped")), "NORM"),
        Setting("wires", "SYSTem:RSENse", Switch(), False),
        Setting(
            "line", "SYSTem:LFRequency", Quantity(span=(50, 60), whole=True, reply=_plain), 50, keeps=True
        ),
        Setting("line_auto", "SYSTem:LFRequency:AUTO", Switch(), True, keeps=True),
        Setting("display", "DISPlay:ENABle", Switch(), True),
        Setting(
            "statistic",
            "CALCulate3:FORMat",
            statistics,
            "MEAN",
        ),
        Setting(
            "points",
            "TRACe:POINts",
            Quantity(span=(1, _COUNT_MAX), whole=True, reply=_plain),
            100,
            then=_points_changed,
        ),
        Setting(
            "feed",
            "TRACe:FEED",
            Choice(("SENSe1", "CALCulate1", "CALCulate2"), also={"SENSe": "SENS1"}),
            "SENS1",
        ),
        Setting("feeds", "TRACe:FEED:CONTrol", Choice(("NEVer", "NEXT")), "NEV"),
        *layer("trigger", "TRIGger", ("IMMediate", "TLINk"), ("SOURce", "DELay", "SENSe", "NONE")),
        Setting("trigger_delay", "TRIGger:DELay", Quantity("S", span=(0.0, 999.9999)), 0.0),
        *layer(
            "arm",
            "ARM",
            sources,
            ("TENTer", "TEXit", "NONE"),
        ),
        Setting("arm_timer", "ARM:TIMer", Quantity("S", span=(1e-3, 99999.99)), 0.1),
    ]
    for quantity, short in (("VOLTage", "VOLT"), ("CURRent", "CURR")):
        header, unit = f"[:SOURce]:{quantity}", short[0].replace("C", "A")
        found += [
            Setting(f"mode_{short}", f"{header}:MODE", Choice(("FIXed", "LIST", "SWEep")), "FIX"),
            Setting(f"start_{short}", f"{header}:STARt", Quantity(unit, span=(-210.0, 210.0)), 0.0),
            Setting(f"stop_{short}", f"{header}:STOP", Quantity(unit, span=(-210.0, 210.0)), 0.0),
        ]
    points = Quantity(span=(2, _COUNT_MAX), whole=True, reply=_plain)
    return [*found, Setting("sweep_points", "[:SOURce]:SWEep:POINts", points, 2500)]
