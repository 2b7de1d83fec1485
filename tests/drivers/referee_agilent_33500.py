"""PyMeasure's Agilent33500 as the referee of the twins of the 33500 family; see referee_keysight_81160."""

from __future__ import annotations

from referee_keysight_81160 import Row

__all__ = ["CHANNEL", "INSTRUMENT"]

_COMMON = [
    Row("shape", "PULS", "PULS"),
    Row("frequency", 2e6, 2e6),
    Row("amplitude", 1.5, 1.5),
    Row("amplitude_unit", "VRMS", "VRMS"),
    Row("offset", 0.25, 0.25),
    Row("voltage_high", 1.2, 1.2),
    Row("voltage_low", -0.5, -0.5),
    Row("phase", 90.0, 90.0),
    Row("square_dutycycle", 25.0, 25.0),
    Row("ramp_symmetry", 40.0, 40.0),
    Row("pulse_period", 5e-6, 5e-6),
    Row("pulse_hold", "DCYC", "DCYC"),
    Row("pulse_width", 2e-7, 2e-7),
    Row("pulse_dutycycle", 20.0, 20.0),
    Row("pulse_transition", 2e-8, 2e-8),
    Row("output", True, True),
    Row("output_load", "INF", 9.9e37),
    Row("burst_state", True, True),
    Row("burst_mode", "GAT", "GAT"),
    Row("burst_period", 1e-3, 1e-3),
    Row("burst_ncycles", 7, 7),
    Row("arb_advance", "TRIG", "TRIG"),
    Row("arb_filter", "STEP", "STEP"),
    Row("arb_srate", 1e6, 1e6),
    Row("arb_file", "EXP_FALL", '"EXP_FALL"', remark="in quotes, as the instrument answers names"),
    Row("data_arb", ("x", [0, 1, 2, 3, 4, 5, 6, 7]), '"X"', ask=":SOUR{ch}:FUNC:ARB X;ARB?"),
    Row(
        "data_volatile_clear",
        (),
        '"INT:\\BUILTIN\\EXP_RISE.ARB"',
        ask=":SOUR{ch}:DATA:VOL:CAT?",
        before=":SOUR{ch}:DATA:ARB X,0,0,0,0,0,0,0,1",
    ),
]

CHANNEL: list[Row] = _COMMON
"""Of Agilent33500Channel."""

INSTRUMENT: list[Row] = [
    *_COMMON,
    Row("ch_1", expect="Agilent33500Channel"),
    Row("ch_2", expect="Agilent33500Channel"),
    Row("display", "text", '"text"', ask="DISP:TEXT?", remark="can only be set"),
    Row("clear_display", (), '""', ask="DISP:TEXT?", before="DISP:TEXT 'x'"),
    Row("beep", (), "1", ask="*OPC?"),
    Row("phase_sync", (), "1", ask="*OPC?"),
    Row("ext_trig_out", True, True),
    Row("trigger_source", "BUS", "BUS"),
    Row("trigger", (), "1", ask="*OPC?", before="BURS:STAT ON;:TRIG:SOUR BUS"),
    Row("wait_for_trigger", (), "1", ask="*OPC?"),
    Row("id", expect="Agilent Technologies,33522B,MY50000001,4.00-1.19-2.00-58-00"),
    Row("complete", expect="1"),
    Row("status", expect="0"),
    Row("options", expect=["010", "0"]),
    Row(
        "next_error",
        expect=[-222.0, '"Data out of range; value clipped to upper limit"'],
        before="VOLT 100",
    ),
    Row("clear", (), '+0,"No error"', ask="SYST:ERR?", before="FUNC:PULS:PER 1e-9"),
    Row("reset", (), "SIN", ask="FUNC?", before="FUNC PULS"),
    Row("check_errors", (), '+0,"No error"', ask="SYST:ERR?", before="FUNC:PULS:PER 1e-9"),
]
"""Of Agilent33500, SCPIMixin included."""
