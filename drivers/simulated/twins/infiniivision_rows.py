"""The settings of a Keysight InfiniiVision scope (instruments §2.8)."""

from __future__ import annotations

from typing import Any

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch, Words

__all__ = ["DIVISIONS", "POINTS", "rows"]

DIVISIONS = 10
VERTICAL_DIVISIONS = 8
POINTS = (100, 250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 62_500)
"""Points of a waveform on the screen that may be asked for."""


def rows(channels: int) -> list[Setting]:
    """Return all settings of a scope with so many channels."""
    return [*_channel(), *_timebase(), *_acquire(), *_trigger(channels), *_waveform(channels)]


def _range_span(twin: Any, n: int) -> tuple[float, float]:
    return 8e-3 * twin.get("probe", n), 40.0 * twin.get("probe", n)


def _scale_span(twin: Any, n: int) -> tuple[float, float]:
    low, high = _range_span(twin, n)
    return low / VERTICAL_DIVISIONS, high / VERTICAL_DIVISIONS


def _probe(twin: Any, n: int, old: float) -> None:
    """Multiply range and offset with the attenuation: what is on the screen stays where it is."""
    for name in ("range", "offset"):
        twin.put(name, twin.get(name, n) * twin.get("probe", n) / old, n)


def _impedance(twin: Any, n: int, old: str) -> None:
    if not twin.has_50_ohm and twin.get("impedance", n) != "ONEM":
        raise ScpiError(-224)
    twin.connect_inputs()


def _label(twin: Any, n: int, old: str) -> None:
    twin.put("label", twin.get("label", n)[:10].upper(), n)


def _channel() -> list[Setting]:
    return [
        Setting("limited", "CHANnel#:BWLimit", Switch(), default=False),
        Setting("coupling", "CHANnel#:COUPling", Choice(words=("AC", "DC")), default="DC"),
        Setting("shown", "CHANnel#:DISPlay", Switch(), default=lambda twin, n: n == 1),
        Setting(
            "impedance",
            "CHANnel#:IMPedance",
            Choice(words=("ONEMeg", "FIFTy")),
            default="ONEM",
            then=_impedance,
        ),
        Setting("inverted", "CHANnel#:INVert", Switch(), default=False),
        Setting("label", "CHANnel#:LABel", Words(longest=64), default=lambda twin, n: str(n), then=_label),
        Setting("offset", "CHANnel#:OFFSet", Quantity("V", span=_offset_span), default=0.0),
        Setting("probe", "CHANnel#:PROBe", Quantity(span=(0.1, 10_000.0)), default=1.0, then=_probe),
        Setting("range", "CHANnel#:RANGe", Quantity("V", span=_range_span), default=8.0),
        Setting(
            "scale",
            "CHANnel#:SCALe",
            Quantity("V", span=_scale_span),
            default=None,
            reads=lambda twin, n: twin.get("range", n) / VERTICAL_DIVISIONS,
            writes=lambda twin, n, value: twin.put("range", value * VERTICAL_DIVISIONS, n),
        ),
    ]


def _offset_span(twin: Any, n: int) -> tuple[float, float]:
    most = 20.0 * twin.get("probe", n)
    return -most, most


def _timebase() -> list[Setting]:
    return [
        Setting(
            "timebase_mode", "TIMebase:MODE", Choice(words=("MAIN", "WINDow", "XY", "ROLL")), default="MAIN"
        ),
        Setting("timebase_position", "TIMebase:POSition", Quantity("S", span=(-500.0, 500.0)), default=0.0),
        Setting(
            "timebase_reference",
            "TIMebase:REFerence",
            Choice(words=("LEFT", "CENTer", "RIGHt")),
            default="CENT",
        ),
        Setting("timebase_range", "TIMebase:RANGe", Quantity("S", span=(50e-9, 500.0)), default=1e-3),
        Setting(
            "timebase_scale",
            "TIMebase:SCALe",
            Quantity("S", span=(5e-9, 50.0)),
            default=None,
            reads=lambda twin, n: twin.get("timebase_range") / DIVISIONS,
            writes=lambda twin, n, value: twin.put("timebase_range", value * DIVISIONS),
        ),
    ]


def _acquire() -> list[Setting]:
    types = Choice(words=("NORMal", "AVERage", "HRESolution", "PEAK"))
    return [
        Setting("acquire_type", "ACQuire:TYPE", types, default="NORM"),
        Setting("acquire_mode", "ACQuire:MODE", Choice(words=("RTIMe", "SEGMented")), default="RTIM"),
        Setting("acquire_count", "ACQuire:COUNt", Quantity(span=(2.0, 65_536.0), whole=True), default=8.0),
    ]


def _trigger(channels: int) -> list[Setting]:
    sources = tuple(f"CHANnel{n}" for n in range(1, channels + 1))
    return [
        Setting("trigger_mode", "TRIGger:MODE", Choice(words=("EDGE",)), default="EDGE"),
        Setting("trigger_sweep", "TRIGger:SWEep", Choice(words=("AUTO", "NORMal")), default="AUTO"),
        Setting(
            "trigger_source",
            "TRIGger[:EDGE]:SOURce",
            Choice(words=(*sources, "EXTernal", "LINE")),
            default="CHAN1",
        ),
        Setting("trigger_level", "TRIGger[:EDGE]:LEVel", Quantity("V", span=(-1e5, 1e5)), default=0.0),
        Setting(
            "trigger_slope",
            "TRIGger[:EDGE]:SLOPe",
            Choice(words=("POSitive", "NEGative", "EITHer")),
            default="POS",
        ),
    ]


def _points(twin: Any, n: int, old: float) -> None:
    """Take the next lower number of points there is; beyond the screen's all that are asked for."""
    wanted = twin.get("points")
    if wanted <= POINTS[-1]:
        twin.put("points", float(max((each for each in POINTS if each <= wanted), default=POINTS[0])))


def _waveform(channels: int) -> list[Setting]:
    sources = tuple(f"CHANnel{n}" for n in range(1, channels + 1))
    return [
        Setting("source", "WAVeform:SOURce", Choice(words=sources), default="CHAN1"),
        Setting("format", "WAVeform:FORMat", Choice(words=("BYTE", "WORD", "ASCii")), default="BYTE"),
        Setting(
            "points_mode", "WAVeform:POINts:MODE", Choice(words=("NORMal", "MAXimum", "RAW")), default="NORM"
        ),
        Setting(
            "points",
            "WAVeform:POINts",
            Quantity(span=(100.0, 8e6), whole=True, reply=lambda value: f"{int(value):+d}"),
            default=62_500.0,
            then=_points,
        ),
        Setting("byte_order", "WAVeform:BYTeorder", Choice(words=("LSBFirst", "MSBFirst")), default="MSBF"),
        Setting("unsigned", "WAVeform:UNSigned", Switch(), default=True),
    ]
