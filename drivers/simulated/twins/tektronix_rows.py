"""The settings of a Tektronix scope (instruments §2.7)."""

from __future__ import annotations

import math
from typing import Any

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twins.scpi_settings import Quantity, Setting, Switch
from drivers.simulated.twins.tektronix_kinds import Bandwidth, OneOfTwo, Spelled

__all__ = ["CHANNELS", "rows"]

CHANNELS = 4
DIVISIONS = 10
RECORD = (500.0, 10_000_000.0)
"""Default: shortest and longest record, samples."""
_RATE_MIN_HZ = 100.0
_SOURCES = ("CH1", "CH2", "CH3", "CH4")
_ENCODINGS = {
    # DATa:ENCdg -> WFMOutpre: ENCdg, BN_Fmt, BYT_Or
    "ASCI": ("ASC", "RI", None),
    "FAS": ("BIN", "RI", "LSB"),
    "RIB": ("BIN", "RI", "MSB"),
    "RPB": ("BIN", "RP", "MSB"),
    "FPB": ("BIN", "FP", "MSB"),
    "SRI": ("BIN", "RI", "LSB"),
    "SRP": ("BIN", "RP", "LSB"),
    "SFP": ("BIN", "FP", "LSB"),
}


def _whole(value: float) -> str:
    return str(int(value))


def rows() -> list[Setting]:
    """Return all settings."""
    return [*_general(), *_vertical(), *_horizontal(), *_acquire(), *_trigger(), *_data()]


def _general() -> list[Setting]:
    return [
        Setting("header", ("HEADer", "HDR"), Switch(), default=True, keeps=True),
        Setting("verbose", "VERBose", Switch(), default=True, keeps=True),
    ]


def _vertical() -> list[Setting]:
    return [
        Setting("scale", "CH#:SCAle", Quantity("V", span=(1e-3, 10.0)), default=0.1),
        Setting("offset", "CH#:OFFSet", Quantity("V", span=(-100.0, 100.0)), default=0.0),
        Setting("position", "CH#:POSition", Quantity(span=(-8.0, 8.0)), default=0.0),
        Setting("coupling", "CH#:COUPling", Spelled(words=("AC", "DC", "DCREJect", "GND")), default="DC"),
        Setting("termination", "CH#:TERmination", OneOfTwo(), default=1e6),
        Setting("bandwidth", "CH#:BANdwidth", Bandwidth(), default=lambda twin, n: twin.bandwidth_hz),
        Setting("shown", "SELect:CH#", Switch(), default=lambda twin, n: n == 1),
    ]


def _rate_span(twin: Any, n: int) -> tuple[float, float]:
    return _RATE_MIN_HZ, twin.rate_max_hz


def _manual(twin: Any, n: int, old: Any) -> None:
    """Only the manual mode lets record length and sample rate be set."""
    if twin.get("horizontal_mode") != "MAN":
        raise ScpiError(-221)


def _rate(twin: Any, n: int, old: Any) -> None:
    """Take the next lower of the rates there are: 1, 2.5, 5 times a power of ten (default), and the fastest."""
    _manual(twin, n, old)
    rate_hz = twin.get("horizontal_rate")
    twin.put("horizontal_rate", rate_hz if rate_hz == twin.rate_max_hz else _stepped(rate_hz))


def _stepped(rate_hz: float) -> float:
    power = 10.0 ** math.floor(math.log10(rate_hz) + 1e-9)
    return float(max(step * power for step in (1.0, 2.5, 5.0) if step * power <= rate_hz * (1 + 1e-9)))


def _scale(twin: Any, n: int) -> float:
    return float(twin.get("horizontal_record") / twin.get("horizontal_rate") / DIVISIONS)


def _set_scale(twin: Any, n: int, scale_s: float) -> None:
    """Keep the record length in the automatic mode and the sample rate in the constant one."""
    mode = twin.get("horizontal_mode")
    if mode == "MAN":
        raise ScpiError(-221)
    if mode == "AUTO":
        rate_hz = twin.get("horizontal_record") / (DIVISIONS * scale_s)
        twin.put("horizontal_rate", min(max(rate_hz, _RATE_MIN_HZ), twin.rate_max_hz))
        if rate_hz > twin.rate_max_hz:
            twin.put("horizontal_record", max(RECORD[0], round(twin.rate_max_hz * DIVISIONS * scale_s)))
    else:
        length = round(twin.get("horizontal_rate") * DIVISIONS * scale_s)
        twin.put("horizontal_record", float(min(max(length, RECORD[0]), RECORD[1])))


def _horizontal() -> list[Setting]:
    record = Quantity(span=RECORD, whole=True, reply=_whole)
    return [
        Setting(
            "horizontal_mode",
            "HORizontal:MODE",
            Spelled(words=("AUTO", "CONStant", "MANual")),
            default="AUTO",
        ),
        Setting(
            "horizontal_record",
            ("HORizontal:MODE:RECOrdlength", "HORizontal:RECOrdlength"),
            record,
            default=1000.0,
            then=_manual,
        ),
        Setting(
            "horizontal_rate",
            ("HORizontal:MODE:SAMPLERate", "HORizontal:SAMPLERate"),
            Quantity("HZ", span=_rate_span),
            default=1e9,
            then=_rate,
        ),
        Setting(
            "horizontal_scale",
            ("HORizontal:MODE:SCAle", "HORizontal:SCAle"),
            Quantity("S", span=(1e-10, 1000.0)),
            default=None,
            reads=_scale,
            writes=_set_scale,
        ),
        Setting("horizontal_position", "HORizontal:POSition", Quantity(span=(0.0, 100.0)), default=50.0),
    ]


def _acquire() -> list[Setting]:
    averages = Quantity(span=(2.0, 10_000.0), whole=True, reply=_whole)
    return [
        Setting("acquire_mode", "ACQuire:MODe", Spelled(words=("SAMple", "HIRes", "AVErage")), default="SAM"),
        Setting("acquire_averages", "ACQuire:NUMAVg", averages, default=16.0),
        Setting(
            "acquire_stop_after", "ACQuire:STOPAfter", Spelled(words=("RUNSTop", "SEQuence")), default="RUNST"
        ),
    ]


def _trigger() -> list[Setting]:
    sources = Spelled(words=(*_SOURCES, "AUX", "LINE"))
    return [
        Setting("trigger_type", "TRIGger:A:TYPE", Spelled(words=("EDGE",)), default="EDGE"),
        Setting("trigger_mode", "TRIGger:A:MODe", Spelled(words=("AUTO", "NORMal")), default="AUTO"),
        Setting("trigger_level", "TRIGger:A:LEVel", Quantity("V", span=(-100.0, 100.0)), default=0.0),
        Setting("trigger_source", "TRIGger:A:EDGE:SOUrce", sources, default="CH1"),
        Setting(
            "trigger_slope", "TRIGger:A:EDGE:SLOpe", Spelled(words=("RISe", "FALL", "EITher")), default="RIS"
        ),
        Setting("trigger_coupling", "TRIGger:A:EDGE:COUPling", Spelled(words=("DC",)), default="DC"),
    ]


def _encode(twin: Any, n: int, old: Any) -> None:
    """Set what the encoding of DATa stands for in WFMOutpre."""
    encoding, form, order = _ENCODINGS[twin.get("data_encoding")]
    twin.put("encoding", encoding)
    twin.put("format", form)
    if order is not None:
        twin.put("byte_order", order)
    if form == "FP":
        twin.put("bytes", 4.0)
    elif twin.get("bytes") > 2:
        twin.put("bytes", 2.0)


def _format(twin: Any, n: int, old: Any) -> None:
    floating = twin.get("format") == "FP"
    if floating != (twin.get("bytes") > 2):
        twin.put("bytes", 4.0 if floating else 2.0)


def _size(twin: Any, n: int, old: Any) -> None:
    size = twin.get("bytes")
    if size not in (1, 2, 4) or (size == 4) != (twin.get("format") == "FP"):
        raise ScpiError(-221 if size in (1, 2, 4) else -224)


def _data() -> list[Setting]:
    points = Quantity(span=(1.0, 1e9), whole=True, reply=_whole)
    encodings = Spelled(
        words=(
            "ASCIi", "FAStest", "RIBinary", "RPBinary", "FPBinary", "SRIbinary", "SRPbinary", "SFPbinary",
        )
    )  # fmt: skip
    return [
        Setting("data_source", "DATa:SOUrce", Spelled(words=_SOURCES), default="CH1"),
        Setting("data_start", "DATa:STARt", points, default=1.0),
        Setting("data_stop", "DATa:STOP", points, default=500.0),
        Setting("data_encoding", "DATa:ENCdg", encodings, default="RIB", then=_encode),
        Setting(
            "bytes",
            ("WFMOutpre:BYT_Nr", "DATa:WIDth"),
            Quantity(span=(1.0, 4.0), whole=True, reply=_whole),
            default=1.0,
            then=_size,
        ),
        Setting("byte_order", "WFMOutpre:BYT_Or", Spelled(words=("LSB", "MSB")), default="MSB"),
        Setting("format", "WFMOutpre:BN_Fmt", Spelled(words=("RI", "RP", "FP")), default="RI", then=_format),
        Setting("encoding", "WFMOutpre:ENCdg", Spelled(words=("ASCii", "BINary")), default="BIN"),
    ]
