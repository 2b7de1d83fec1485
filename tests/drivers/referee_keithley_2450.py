"""PyMeasure's Keithley2400 and Keithley2450 as referees of the twins; rows as of referee_keysight_81160.

The wiring is 100 kOhm; readings are judged within 1 per mille.
"""

from __future__ import annotations

from referee_keysight_81160 import Row

__all__ = ["K2400", "K2450"]

_ON = ":SOUR:VOLT 1;:OUTP ON"
_FED = (
    ":SENS:FUNC 'VOLT','CURR';:SOUR:VOLT 1;:OUTP ON;:TRAC:POIN 4;FEED SENS;FEED:CONT NEXT;:TRIG:COUN 4;:INIT"
)
_OLD_BUFFER = "the buffer commands of the 2400; the class asks for SCPI2400 and speaks both languages"


def _numbers(names: str, *values: object) -> list[Row]:
    return [Row(name, value, value) for name, value in zip(names.split(), values, strict=True)]


K2400: list[Row] = [
    Row("source_enabled", True, True),
    Row("enable_source", (), "1", ask="OUTP?"),
    Row("disable_source", (), "0", ask="OUTP?", before="OUTP ON"),
    *_numbers(
        "source_mode source_delay source_delay_auto_enabled source_delay_auto", "current", 0.25, False, False
    ),
    *_numbers("auto_zero_enabled", True),
    Row("auto_zero", True, True),
    Row("auto_zero_once", (), "1", ask="*OPC?"),
    *_numbers("output_off_state auto_output_off_enabled auto_output_off", "zero", True, True),
    Row("auto_range_source", (), "1", ask=":SOUR:VOLT:RANG:AUTO?", before=":SOUR:VOLT:RANG 20"),
    *_numbers("filter_enabled repeat_filter_enabled filter_type filter_count", True, False, "MOV", 20),
    Row("filter_state", "ON", 1, remark="answered as a number"),
    Row("measure_all", before=_ON, expect={"voltage": 1.0, "current": 1e-5, "resistance": 1e5}),
    Row("current", before=":SOUR:VOLT 1", expect=1e-5),
    Row("voltage", before=":SOUR:FUNC CURR;:SOUR:CURR 1E-5", expect=1.0),
    Row("resistance", expect=100e3, before=":SENS:VOLT:PROT 20;:SOUR:CURR 1E-5"),
    *_numbers(
        "current_range current_range_auto_enabled current_nplc compliance_current", 1e-3, False, 0.1, 1e-3
    ),
    *_numbers("source_current source_current_range source_current_range_auto_enabled", 1e-6, 1e-3, False),
    *_numbers(
        "voltage_range voltage_range_auto_enabled voltage_nplc compliance_voltage", 20.0, False, 0.1, 10.0
    ),
    *_numbers("source_voltage source_voltage_range source_voltage_range_auto_enabled", 1.5, 20.0, False),
    *_numbers(
        "resistance_mode_auto_enabled resistance_range resistance_range_auto_enabled", False, 2e6, False
    ),
    *_numbers("resistance_nplc", 0.5),
    Row("measure_current", (0.1, 1e-4, False), '"CURR:DC";1.000000E-01', ask=":SENS:FUNC?;:SENS:CURR:NPLC?"),
    Row("measure_voltage", (0.1, 2, False), "2.000000E+00", ask=":SENS:VOLT:RANG?"),
    Row("measure_resistance", (1, 2e5, False), "MAN", ask=":SENS:RES:MODE?"),
    Row("apply_current", (1e-3, 5), "CURR;5.000000E+00", ask=":SOUR:FUNC?;:SENS:VOLT:PROT?"),
    Row("apply_voltage", (20, 1e-3), "VOLT;1.000000E-03", ask=":SOUR:FUNC?;:SENS:CURR:PROT?"),
    Row("ramp_to_current", (1e-6, 3, 0.0), "1.000000E-06", ask=":SOUR:CURR?"),
    Row("ramp_to_voltage", (0.5, 3, 0.0), "5.000000E-01", ask=":SOUR:VOLT?"),
    Row("means", before=_FED, expect=[1.0, 1e-5]),
    Row("maximums", before=_FED, expect=[1.0, 1e-5]),
    Row("minimums", before=_FED, expect=[1.0, 1e-5]),
    Row("standard_devs", before=_FED, expect=[0.0, 0.0]),
    *(Row(f"{kind}_voltage", before=_FED, expect=1.0) for kind in ("mean", "max", "min")),
    *(Row(f"{kind}_current", before=_FED, expect=1e-5) for kind in ("mean", "max", "min")),
    *(
        Row(f"{kind}_resistance", before=_FED, expect=9.91e37, remark="not measured")
        for kind in ("mean", "max", "min")
    ),
    Row("std_voltage", before=_FED, expect=0.0),
    Row("std_current", before=_FED, expect=0.0),
    Row("std_resistance", before=_FED, expect=9.91e37, remark="not measured"),
    Row(
        "trigger",
        (),
        "1",
        ask=":TRAC:POIN:ACT?",
        before=":OUTP ON;:TRAC:POIN 1;FEED:CONT NEXT;:ARM:SOUR BUS;:INIT",
    ),
    Row("reset_trigger", (), "1", ask="*OPC?", before=":OUTP ON;:ARM:SOUR BUS;:INIT"),
    Row("clear_trigger", (), "1", ask="*OPC?", before=":OUTP ON;:ARM:SOUR BUS;:INIT"),
    *_numbers(
        "trigger_count arm_count trigger_delay arm_timer trigger_source", 5, 3, 0.5, 0.5, "trigger_link"
    ),
    *_numbers("arm_source trigger_output_event arm_output_event", "timer", "delay", "trigger_exit"),
    *_numbers("trigger_input_line arm_input_line trigger_output_line arm_output_line", 2, 3, 4, 1),
    Row("disable_output_triggers", (), "NONE;NONE", ask=":ARM:OUTP?;:TRIG:OUTP?", before=":TRIG:OUTP DEL"),
    Row("disable_output_trigger", (), "NONE", ask=":TRIG:OUTP?", before=":TRIG:OUTP DEL"),
    Row("output_trigger_on_external", (3, "SENS"), "SENS;3", ask=":TRIG:OUTP?;OLIN?"),
    Row("trigger_on_bus", (), "BUS;IMM", ask=":ARM:SOUR?;:TRIG:SOUR?"),
    Row("trigger_on_external", (2,), "TLIN;TLIN;2", ask=":ARM:SOUR?;:TRIG:SOUR?;ILIN?"),
    Row("trigger_immediately", (), "IMM;IMM", ask=":ARM:SOUR?;:TRIG:SOUR?", before=":ARM:SOUR BUS"),
    Row("sample_continuously", (), "IMM;NEV", ask=":ARM:SOUR?;:TRAC:FEED:CONT?", before=":ARM:SOUR BUS"),
    Row("set_trigger_counts", (2, 10), "2;10", ask=":ARM:COUN?;:TRIG:COUN?"),
    Row("set_timed_arm", (0.5,), "TIM;5.000000E-01", ask=":ARM:SOUR?;TIM?"),
    *_numbers("display_enabled wires line_frequency line_frequency_auto_enabled", False, 4, 60, False),
    *_numbers("line_frequency_auto front_terminals_enabled", False, False),
    Row("use_rear_terminals", (), "REAR", ask=":ROUT:TERM?"),
    Row("use_front_terminals", (), "FRON", ask=":ROUT:TERM?", before=":ROUT:TERM REAR"),
    Row("beep", (440, 0.1), "1", ask="*OPC?"),
    Row("triad", (440, 0.0), "1", ask="*OPC?"),
    Row("reset_data_format", (), "VOLT,CURR,RES,TIME,STAT", ask=":FORM:ELEM?", before=":FORM:ELEM CURR"),
    *_numbers("buffer_points", 64),
    Row("config_buffer", (8, 0.0), "8;8;NEXT", ask=":TRAC:POIN?;:TRIG:COUN?;:TRAC:FEED:CONT?"),
    Row("start_buffer", (), "2", ask=":TRAC:POIN:ACT?", before=":OUTP ON;:TRIG:COUN 2;:TRAC:FEED:CONT NEXT"),
    Row("is_buffer_full", (), "4", ask=":TRAC:POIN:ACT?", before=f"*SRE 1;:STAT:MEAS:ENAB 512;{_FED}"),
    Row("wait_for_buffer", (), "4", ask=":TRAC:POIN:ACT?", before=f"*SRE 1;:STAT:MEAS:ENAB 512;{_FED}"),
    Row("buffer_data", before=f":FORM:ELEM CURR;{_FED}", expect=[1e-5] * 4),
    Row("reset_buffer", (), "0", ask=":TRAC:POIN:ACT?", before=_FED),
    Row("stop_buffer", (), "1", ask="*OPC?", before=":OUTP ON;:ARM:SOUR BUS;:INIT"),
    Row("disable_buffer", (), "NEV", ask=":TRAC:FEED:CONT?", before=":TRAC:FEED:CONT NEXT"),
    Row("error", expect=[-222.0, '"Data out of range"'], before=":SOUR:VOLT 500"),
]
"""Of Keithley2400, beyond what every instrument of PyMeasure has."""

_STORED = ":SOUR:VOLT 1;:OUTP ON;:COUN 4;:TRAC:TRIG"


K2450: list[Row] = [
    *_numbers("source_mode current_range current_nplc compliance_current", "current", 1e-3, 0.1, 1e-3),
    Row("source_enabled", expect=True, before="OUTP ON"),
    Row("enable_source", (), "1", ask="OUTP?"),
    Row("disable_source", (), "0", ask="OUTP?", before="OUTP ON"),
    Row("current", before=_ON, expect=1e-5),
    Row("voltage", before=':SENS:FUNC "VOLT";:SOUR:VOLT 1;:OUTP ON', expect=1.0),
    Row("resistance", before=':SENS:FUNC "RES";:SOUR:VOLT 1;:OUTP ON', expect=1e5),
    *_numbers(
        "source_current source_current_range source_current_delay source_current_delay_auto",
        1e-6,
        1e-3,
        0.1,
        False,
    ),
    *_numbers("voltage_range voltage_nplc compliance_voltage", 20.0, 0.1, 10.0),
    *_numbers(
        "source_voltage source_voltage_range source_voltage_delay source_voltage_delay_auto",
        1.5,
        20.0,
        0.1,
        False,
    ),
    *_numbers("resistance_range resistance_nplc wires", 2e6, 0.5, 4),
    *_numbers("buffer_points", 1000),
    Row("means", before=_STORED, expect=1e-5, remark="of the function measured"),
    Row("maximums", before=_STORED, expect=1e-5, remark="of the function measured"),
    Row("minimums", before=_STORED, expect=1e-5, remark="of the function measured"),
    Row("standard_devs", before=_STORED, expect=0.0, remark="of the function measured"),
    *(
        Row(
            f"{kind}_{what}",
            before=_STORED,
            verdict="refused",
            error="",
            remark="the 2450 has one statistic, not three",
        )
        for kind in ("mean", "max", "min", "std")
        for what in ("voltage", "current", "resistance")
    ),
    *_numbers(
        "current_filter_type current_filter_count voltage_filter_type voltage_filter_count",
        "MOV",
        20,
        "MOV",
        20,
    ),
    Row("current_filter_state", "ON", 1, remark="answered as a number"),
    *_numbers("current_output_off_state voltage_output_off_state", "ZERO", "HIMP"),
    Row("measure_resistance", (1, 2e5, False), '"RES"', ask=":SENS:FUNC?"),
    Row("measure_voltage", (0.1, 2, False), "2.000000E+00", ask=":SENS:VOLT:RANG?"),
    Row("measure_current", (0.1, 1e-4, False), '"CURR:DC"', ask=":SENS:FUNC?"),
    Row("auto_range_source", (), "1", ask=":SOUR:VOLT:RANG:AUTO?", before=":SOUR:VOLT:RANG 20"),
    Row("apply_current", (1e-3, 5), "CURR;5.000000E+00", ask=":SOUR:FUNC?;:SOUR:CURR:VLIM?"),
    Row("apply_voltage", (20, 1e-3), "VOLT;1.000000E-03", ask=":SOUR:FUNC?;:SOUR:VOLT:ILIM?"),
    Row("ramp_to_current", (1e-6, 3, 0.0), "1.000000E-06", ask=":SOUR:CURR?"),
    Row("ramp_to_voltage", (0.5, 3, 0.0), "5.000000E-01", ask=":SOUR:VOLT?"),
    Row("beep", (440, 0.1), "1", ask="*OPC?"),
    Row("triad", (440, 0.01), "1", ask="*OPC?"),
    Row("error", expect=[-222.0, '"Data out of range"'], before=":SOUR:VOLT 500"),
    Row("trigger", (), "1", ask=":TRAC:ACT?", before=_ON),
    Row("use_rear_terminals", (), "REAR", ask=":ROUT:TERM?"),
    Row("use_front_terminals", (), "FRON", ask=":ROUT:TERM?", before=":ROUT:TERM REAR"),
    Row("start_buffer", (), "1", ask=":TRAC:ACT?", before=_ON),
    Row("stop_buffer", (), "1", ask="*OPC?"),
    Row("is_buffer_full", (), "1", ask="*OPC?"),
    *(
        Row(name, args, verdict="refused", remark=_OLD_BUFFER)
        for name, args in (("reset_buffer", ()), ("disable_buffer", ()))
    ),
    Row("config_buffer", (8,), "8", ask=":TRAC:POIN?", verdict="partly", remark=_OLD_BUFFER),
    Row("wait_for_buffer", (lambda: False, 0.0, 0.0), verdict="refused", error="", remark=_OLD_BUFFER),
    Row(
        "buffer_data", before=_STORED, verdict="refused", error='-109,"Missing parameter"', remark=_OLD_BUFFER
    ),
]
"""Of Keithley2450, its own SCPI, beyond what every instrument of PyMeasure has."""
