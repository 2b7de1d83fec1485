"""PyMeasure's Keysight81160A as the referee of the 81160A's twin: each public name, what it does, and a verdict.

``works``: it does what it says. ``refused``: the instrument has no such command, as its manual says; the header is of
another family that the class inherits from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CHANNEL", "INSTRUMENT", "Row"]


@dataclass(frozen=True)
class Row:
    """One public property or method.

    Attributes
    ----------
    name : str
    put : object
        What a property is set to, or the arguments of a method; None: it is only read.
    expect : object
        What it reads then; of a method the reply to `ask`.
    ask : str
        Query that shows what a method did.
    before : str
        Message sent first.
    verdict : str
        works, or refused.
    refused_on : tuple of int
        Channels on which it is refused all the same.
    error : str
        What a refusal queues.
    remark : str
    """

    name: str
    put: Any = None
    expect: Any = None
    ask: str = ""
    before: str = ""
    verdict: str = "works"
    remark: str = ""
    refused_on: tuple[int, ...] = ()
    error: str = '-113,"Undefined header"'


_OTHER_FAMILY = "a header of the 33500 family"

_COMMON = [
    Row("shape", "PULS", "PULS"),
    Row("frequency", 2e6, 2e6),
    Row("amplitude", 1.5, 1.5),
    Row("amplitude_unit", "VRMS", "VRMS"),
    Row("offset", 0.25, 0.25),
    Row("voltage_high", 1.2, 1.2),
    Row("voltage_low", -0.5, -0.5),
    Row(
        "phase",
        90.0,
        90.0,
        refused_on=(2,),
        error='-114,"Header suffix out of range"',
        remark="SOUR<n>:PHAS, where the number belongs behind PHAS",
    ),
    Row("square_dutycycle", 25.0, 25.0),
    Row("ramp_symmetry", 40.0, 40.0),
    Row("pulse_period", 5e-6, 5e-6),
    Row("pulse_hold", "DCYC", "DCYC"),
    Row("pulse_width", 2e-7, 2e-7),
    Row("pulse_dutycycle", 20.0, 20.0),
    Row("pulse_transition", 5e-9, 5e-9),
    Row("output", True, True),
    Row("output_load", 1000.0, 1000.0),
    Row("burst_state", True, True),
    Row("burst_mode", "GAT", "GAT"),
    Row("burst_period", 1e-3, 1e-3),
    Row("burst_ncycles", 7, 7),
    Row("arb_advance", "TRIG", verdict="refused", remark=_OTHER_FAMILY),
    Row("arb_filter", "STEP", verdict="refused", remark=_OTHER_FAMILY),
    Row("arb_srate", 1e6, verdict="refused", remark=_OTHER_FAMILY),
    Row("data_arb", ("x", [0] * 8), verdict="refused", remark=_OTHER_FAMILY),
    Row("data_volatile_clear", (), verdict="refused", remark=_OTHER_FAMILY),
]

CHANNEL: list[Row] = [
    *_COMMON,
    Row("arb_file", "x", verdict="refused", remark=f"{_OTHER_FAMILY}; FUNC:USER here"),
    Row("limit_state_enabled", True, True),
    Row("limit_high", 3.0, 3.0),
    Row("limit_low", -2.0, -2.0),
    Row("free_memory_slots", expect=4),
    Row("coupling_enabled", True, True),
    Row("waveforms", expect=["TEST", "SET"], before="DATA{ch}:DAC VOLATILE,0,1;COPY TEST;COPY SET"),
    Row("trigger_mode", "MAN", "MAN"),
    Row("trigger_count", 12, 12, remark="and burst mode with it"),
    Row(
        "waveform_volatile",
        [-2.0, -1.5, 0.0, 1.5, 2.0],
        [-2.0, -1.5, 0.0, 1.5, 2.0],
        remark="what is read back is what the driver remembers, not the instrument's",
    ),
    Row("save_waveform", ([0.0, 1.0], "test"), '"TEST"', ask=":DATA{ch}:NVOL:CAT?"),
    Row(
        "delete_waveform",
        ("test",),
        '""',
        ask=":DATA{ch}:NVOL:CAT?",
        before=":DATA{ch}:DAC VOLATILE,0,1;COPY TEST",
    ),
    Row("apply_dc", (0.5,), "DC;+5.000000000000000E-01;1", ask=":FUNC{ch}?;:VOLT{ch}:OFFS?;:OUTP{ch}?"),
    Row(
        "apply_noise",
        (1.0, 0.5),
        "NOIS;+1.000000000000000E+00;+5.000000000000000E-01",
        ask=":FUNC{ch}?;:VOLT{ch}?;:VOLT{ch}:OFFS?",
    ),
    *(
        Row(
            f"apply_{name}",
            (1e6, 1.0, 0.5),
            f'"{word} +1.000000000000000E+06,+1.000000000000000E+00,+5.000000000000000E-01"',
            ask=":APPL{ch}?",
        )
        for name, word in (("pulse", "PULS"), ("sin", "SIN"), ("square", "SQU"), ("user_waveform", "USER"))
    ),
]
"""Of Keysight81160AChannel."""

INSTRUMENT: list[Row] = [
    *_COMMON,
    Row("arb_file", "x", verdict="refused", remark="read as FUNC:USER?, set by a header of the 33500 family"),
    Row("ch_1", expect="Keysight81160AChannel"),
    Row("ch_2", expect="Keysight81160AChannel"),
    Row("display", "text", verdict="refused", remark=_OTHER_FAMILY),
    Row("clear_display", (), verdict="refused", remark=_OTHER_FAMILY),
    Row("beep", (), verdict="refused", remark=_OTHER_FAMILY),
    Row("phase_sync", (), verdict="refused", remark=_OTHER_FAMILY),
    Row("ext_trig_out", True, verdict="refused", remark=_OTHER_FAMILY),
    Row("trigger_source", "BUS", verdict="refused", remark=f"{_OTHER_FAMILY}; ARM:SOUR here"),
    Row("trigger", (), "1", ask="*OPC?", before=":ARM:SOUR1 MAN"),
    Row("wait_for_trigger", (), "1", ask="*OPC?"),
    Row("id", expect="Agilent Technologies,81160A,MY12345678,1.0.3.0-2.6"),
    Row("complete", expect="1"),
    Row("status", expect="0"),
    Row("options", expect="0"),
    Row("next_error", expect=[-222.0, '"Data out of range"'], before=":PULS:PER1 1e-9"),
    Row("clear", (), '+0,"No error"', ask="SYST:ERR?", before=":PULS:PER1 1e-9"),
    Row("reset", (), "SIN", ask=":FUNC1?", before=":FUNC1 PULS"),
    Row("check_errors", (), '+0,"No error"', ask="SYST:ERR?", before=":PULS:PER1 1e-9"),
]
"""Of Keysight81160A, SCPIMixin included."""
