"""PyMeasure's AgilentB1500 as the referee of the B1500A twin: every public name of it, with what it gives.

``VERDICTS`` is what the documentation shows: name, verdict ("works" or "fails"), remark. A row that fails says why it
would on a real instrument too: the reason is in PyMeasure or in the manual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymeasure.instruments.agilent.agilentB1500 import (
    ADCMode,
    ADCType,
    ControlMode,
    MeasMode,
    MeasOpMode,
    PgSelectorConnectionStatus,
    PgSelectorPort,
    SamplingMode,
    SPGUChannelOutputMode,
    SPGUOperationMode,
    SPGUOutputMode,
    SweepMode,
    WaitTimeType,
)
from pyvisa.errors import VisaIOError

__all__ = ["ROWS", "VERDICTS", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One public name.

    Attributes
    ----------
    name : str
        ``part.name``: parts are b1500, smu (slot 1), spgu and pulse (channel 501).
    call : callable
        Gets the parts by name, returns what is judged.
    expect : object
        What it returns; a class of exceptions where it fails.
    ask : str or None
        Asked afterwards; `answer` is what it has to answer.
    """

    name: str
    call: Callable[[Any], Any]
    expect: Any = None
    ask: str | None = None
    answer: str | None = None
    remark: str = ""

    @property
    def verdict(self) -> str:
        failed = isinstance(self.expect, type) and issubclass(self.expect, Exception)
        return "fails" if failed else "works"


def put(part: str, name: str, value: Any) -> Callable[[Any], Any]:
    """Set a property and read it back."""

    def call(p: Any) -> Any:
        setattr(getattr(p, part), name, value)
        return getattr(getattr(p, part), name)

    return call


def set_only(part: str, name: str, value: Any) -> Callable[[Any], Any]:
    """Set a property."""
    return lambda p: setattr(getattr(p, part), name, value)


def sweep(p: Any) -> Any:
    p.b1500.data_format(11, 1)
    p.b1500.meas_mode(MeasMode.STAIRCASE_SWEEP, p.smu)
    p.smu.staircase_sweep_source("Voltage", SweepMode.LINEAR_SINGLE, "Auto Ranging", 0, 0.2, 3, 1e-3)
    p.b1500.send_trigger()
    return p.b1500.read_channels(2)[1]


def all_of_a_sweep(p: Any) -> Any:
    sweep(p)
    return p.b1500.read_data(2)


def learned(p: Any) -> Any:
    p.smu.force("Voltage", "Auto Ranging", 0.2, 1e-3)
    return p.b1500.query_learn_header("1")["SMU1"]["Voltage Output (V)"]


def ramped(p: Any) -> Any:
    p.smu.ramp_source("Voltage", "Auto Ranging", 0.2, 1e-3, stepsize=0.05, pause=0)
    return p.b1500.query_learn("1")["DV1"][1]


ROWS: list[Row] = [
    # ---- the mainframe
    Row("b1500.id", lambda p: p.b1500.id, "Agilent Technologies,B1500A,0,A.04.03.2010.0130"),
    Row("b1500.complete", lambda p: p.b1500.complete, "1"),
    Row("b1500.check_idle", lambda p: p.b1500.check_idle(), "1"),
    Row("b1500.status", lambda p: p.b1500.status, "16", remark="*STB?: bit 4 is idle"),
    Row(
        "b1500.options", lambda p: p.b1500.options, VisaIOError, remark="*OPT? is no FLEX command: no answer"
    ),
    Row("b1500.next_error", lambda p: p.b1500.next_error, VisaIOError, remark="SYST:ERR? is SCPI: no answer"),
    Row(
        "b1500.clear",
        lambda p: p.b1500.clear(),
        None,
        "ERRX?",
        '+100,"Undefined GPIB command."',
        "*CLS is no FLEX command: it leaves an error instead of clearing them",
    ),
    Row("b1500.reset", lambda p: p.b1500.reset(), None, "*LRN? 0", "CL"),
    Row(
        "b1500.check_errors",
        lambda p: (p.b1500.write("NONSENSE"), p.b1500.check_errors()),
        OSError,
        remark="raises OSError for what the instrument reports, as it should",
    ),
    Row("b1500.shutdown", lambda p: p.b1500.shutdown(), None, "*LRN? 0", "CN1,2", "leaves the outputs on"),
    Row(
        "b1500.query_modules",
        lambda p: p.b1500.query_modules(),
        {1: "MPSMU", 2: "HRSMU", 5: "SPGU", 6: "WGFMU"},
    ),
    Row("b1500.initialize_all_smus", lambda p: sorted(p.b1500.smus), [1, 2]),
    Row("b1500.initialize_all_spgus", lambda p: sorted(p.b1500.spgus), [5]),
    Row("b1500.initialize_cmu", lambda p: p.b1500.initialize_cmu(), None, remark="there is none"),
    Row("b1500.smu_names", lambda p: p.b1500.smu_names, {1: "SMU1", 2: "SMU2"}),
    Row("b1500.smu_references", lambda p: len(list(p.b1500.smu_references)), 2),
    Row("b1500.query_learn", lambda p: p.b1500.query_learn(31)["CM"], "1"),
    Row("b1500.query_learn_header", learned, "+200.000E-03"),
    Row("b1500.pause", lambda p: p.b1500.pause(0.5), None, "*OPC?", "1"),
    Row("b1500.abort", lambda p: p.b1500.abort(), None, "ERRX?", '+0,"No Error."'),
    Row(
        "b1500.force_gnd",
        lambda p: (p.smu.force("Voltage", 20, 1.5, 1e-3), p.b1500.force_gnd())[1],
        None,
        "*LRN? 1",
        "DV1,20,+0.00000E+00,+100.000E-06,0,16",
    ),
    Row(
        "b1500.restore_settings",
        lambda p: (p.smu.force("Voltage", 20, 1.5, 1e-3), p.b1500.force_gnd(), p.b1500.restore_settings())[2],
        None,
        "*LRN? 1",
        "DV1,20,+1.50000E+00,+1.00000E-03,0,17",
    ),
    Row(
        "b1500.io_control_mode",
        put("b1500", "io_control_mode", ControlMode.SMU_PGU_SELECTOR),
        ControlMode.SMU_PGU_SELECTOR,
    ),
    Row(
        "b1500.set_port_connection",
        lambda p: (
            setattr(p.b1500, "io_control_mode", 1),
            p.b1500.set_port_connection(PgSelectorPort.OUTPUT_1_FIRST, PgSelectorConnectionStatus.PGU_ON),
        )[1],
        None,
        "ERSSP? 0",
        "2",
    ),
    Row(
        "b1500.clear_buffer", lambda p: (p.b1500.write("TI 1"), p.b1500.clear_buffer())[1], None, "NUB?", "0"
    ),
    Row("b1500.clear_timer", lambda p: p.b1500.clear_timer(), None, "ERRX?", '+0,"No Error."'),
    Row(
        "b1500.send_trigger",
        lambda p: (p.b1500.meas_mode(MeasMode.SPOT, p.smu), p.b1500.send_trigger())[1],
        None,
        "NUB?",
        "1",
    ),
    Row("b1500.auto_calibration", put("b1500", "auto_calibration", False), False),
    Row("b1500.data_format", lambda p: p.b1500.data_format(21, 1), None, "*LRN? 31", "TM1;AV1,0;CM1;FMT21,1"),
    Row("b1500.parallel_meas", put("b1500", "parallel_meas", True), True),
    Row(
        "b1500.query_meas_settings",
        lambda p: (p.b1500.meas_mode(MeasMode.SPOT, p.smu), p.b1500.query_meas_settings())[1][
            "Measurement Channels"
        ],
        "SMU1",
    ),
    Row(
        "b1500.query_meas_mode",
        lambda p: (p.b1500.meas_mode(MeasMode.SPOT, p.smu), p.b1500.query_meas_mode()),
        AttributeError,
        remark="takes the parameters of one command for all of them: a list has no items()",
    ),
    Row(
        "b1500.meas_mode",
        lambda p: p.b1500.meas_mode(MeasMode.SAMPLING, *p.b1500.smu_references),
        None,
        "*LRN? 31",
        "TM1;AV1,0;CM1;FMT1,0;MM10,1,2",
    ),
    Row(
        "b1500.query_adc_setup",
        lambda p: p.b1500.query_adc_setup()["HSADC PULSED Mode"],
        "Time",
    ),
    Row(
        "b1500.adc_setup",
        lambda p: p.b1500.adc_setup(ADCType.HRADC, ADCMode.PLC, 3),
        None,
        "*LRN? 56",
        "AIT0,0,1;AIT1,2,3;AIT2,3,2E-06;AZ0",
    ),
    Row("b1500.adc_averaging", lambda p: p.b1500.adc_averaging(-5), None, "*LRN? 31", "TM1;AV-5;CM1;FMT1,0"),
    Row("b1500.adc_auto_zero", put("b1500", "adc_auto_zero", True), True),
    Row("b1500.time_stamp", put("b1500", "time_stamp", True), True),
    Row(
        "b1500.query_time_stamp_setting",
        lambda p: p.b1500.query_time_stamp_setting(),
        {"Time Stamp": "False"},
    ),
    Row(
        "b1500.wait_time",
        lambda p: p.b1500.wait_time(WaitTimeType.SMU_MEASUREMENT, 2, 0.1),
        None,
        "*LRN? 57",
        "WAT1,1.0,0.0000;WAT2,2.0,0.1000",
    ),
    Row(
        "b1500.query_staircase_sweep_settings",
        lambda p: p.b1500.query_staircase_sweep_settings()["Auto Abort Status"],
        False,
    ),
    Row(
        "b1500.sweep_timing",
        lambda p: p.b1500.sweep_timing(0.1, 0.02),
        None,
        "*LRN? 33",
        "WM1,1;WT0.1,0.02,0,0,0",
    ),
    Row(
        "b1500.sweep_auto_abort",
        lambda p: p.b1500.sweep_auto_abort(True),
        None,
        "*LRN? 33",
        "WM2,1;WT0,0,0,0,0",
    ),
    Row(
        "b1500.query_sampling_settings",
        lambda p: p.b1500.query_sampling_settings()["Number of Samples"],
        "1000",
    ),
    Row(
        "b1500.sampling_mode",
        put("b1500", "sampling_mode", SamplingMode.LOG_10),
        ValueError,
        remark="can be set; reading it gives the enumeration a text instead of a number",
    ),
    Row(
        "b1500.sampling_timing",
        lambda p: (p.b1500.meas_mode(MeasMode.SAMPLING, p.smu), p.b1500.sampling_timing(0, 0.01, 50))[1],
        None,
        "*LRN? 47",
        "MSC1,2;ML1;MT0,0.01,50,0",
    ),
    Row(
        "b1500.sampling_auto_abort",
        lambda p: p.b1500.sampling_auto_abort(True, "Base"),
        None,
        "*LRN? 47",
        "MSC2,1;ML1;MT0,0.002,1000,0",
    ),
    Row(
        "b1500.read_data",
        all_of_a_sweep,
        AttributeError,
        remark="uses DataFrame.applymap, which pandas 3 has no more; the data were read by then",
    ),
    Row("b1500.read_channels", sweep, ("W", "SMU1", "Voltage (V)", 0.0)),
    Row(
        "b1500.query_series_resistor",
        lambda p: p.b1500.query_series_resistor(),
        {"SMU1 Series Resistor": False, "SMU2 Series Resistor": False},
    ),
    Row(
        "b1500.query_meas_range_current_auto",
        lambda p: p.b1500.query_meas_range_current_auto()["SMU1 Ranging Mode"],
        "1",
    ),
    Row(
        "b1500.query_meas_op_mode",
        lambda p: p.b1500.query_meas_op_mode()["SMU2 Measurement Operation Mode"],
        "Compliance Side",
    ),
    Row(
        "b1500.query_meas_ranges",
        lambda p: p.b1500.query_meas_ranges()["SMU1 Current Measurement Range"],
        "Auto Ranging",
    ),
    # ---- a source-measure unit
    Row("smu.query_learn", lambda p: p.smu.query_learn(53, "SSR"), "0"),
    Row("smu.check_errors", lambda p: p.smu.check_errors(), None),
    Row("smu.status", lambda p: p.smu.status["SMU1"]["Source Type"], "Constant Voltage"),
    Row("smu.enable", lambda p: (p.smu.disable(), p.smu.enable())[1], None, "*LRN? 0", "CN1,2"),
    Row("smu.disable", lambda p: p.smu.disable(), None, "*LRN? 1", "CL1"),
    Row("smu.force_gnd", lambda p: p.smu.force_gnd(), None, "ERRX?", '+0,"No Error."'),
    Row(
        "smu.restore_settings",
        lambda p: (p.smu.force("Voltage", 20, 1.5, 1e-3), p.smu.force_gnd(), p.smu.restore_settings())[2],
        None,
        "*LRN? 1",
        "DV1,20,+1.50000E+00,+1.00000E-03,0,17",
    ),
    Row(
        "smu.filter",
        put("smu", "filter", True),
        True,
        remark="wrong with all filters on: FL1 without channels is read as off",
    ),
    Row("smu.series_resistor", put("smu", "series_resistor", True), True),
    Row("smu.meas_op_mode", put("smu", "meas_op_mode", MeasOpMode.VOLTAGE), MeasOpMode.VOLTAGE),
    Row("smu.adc_type", put("smu", "adc_type", ADCType.HRADC), ADCType.HRADC),
    Row(
        "smu.force",
        lambda p: p.smu.force("Current", "1 uA", 5e-7, 2),
        None,
        "*LRN? 1",
        "DI1,14,+0.50000E-06,+2.00000E+00,0,20",
    ),
    Row(
        "smu.ramp_source", ramped, "+200.000E-03", remark="looks for DI before a ramp of voltage: starts at 0"
    ),
    Row(
        "smu.meas_range_current",
        put("smu", "meas_range_current", "1 uA range fixed"),
        ValueError,
        remark="can be set; reading it looks the text of a number up among names",
    ),
    Row(
        "smu.meas_range_voltage",
        put("smu", "meas_range_voltage", "2 V range fixed"),
        ValueError,
        remark="as meas_range_current",
    ),
    Row(
        "smu.meas_range_current_auto",
        lambda p: p.smu.meas_range_current_auto(2, 60),
        None,
        "*LRN? 54",
        "RM1,2,60;RM2,1,50",
    ),
    Row(
        "smu.staircase_sweep_source",
        lambda p: p.smu.staircase_sweep_source("Voltage", SweepMode.LOG_DOUBLE, "2 V", 0.1, 1, 11, 1e-3),
        None,
        "*LRN? 33",
        "WM1,1;WT0,0,0,0,0;WV1,4,20,+0.10000E+00,+1.00000E+00,11,+1.00000E-03",
    ),
    Row(
        "smu.synchronous_sweep_source",
        lambda p: (
            p.b1500.smu2.staircase_sweep_source("Voltage", SweepMode.LINEAR_SINGLE, 20, 0, 1, 11, 1e-3),
            p.smu.synchronous_sweep_source("Voltage", 20, 0, 1, 1e-3),
        )[1],
        None,
        "*LRN? 33",
        "WM1,1;WT0,0,0,0,0;WV2,1,20,+0.00000E+00,+1.00000E+00,11,+1.00000E-03;"
        "WSV1,20,+0.00000E+00,+1.00000E+00,+1.00000E-03",
    ),
    Row(
        "smu.sampling_source",
        lambda p: p.smu.sampling_source("Voltage", 20, 0, 1, 1e-3),
        None,
        "*LRN? 47",
        "MSC1,2;ML1;MT0,0.002,1000,0;MV1,20,+0.00000E+00,+1.00000E+00,+1.00000E-03",
    ),
    Row(
        "smu.set_cv_parameters",
        lambda p: p.smu.set_cv_parameters(SweepMode.LINEAR_SINGLE, 0, 1, 11, 1e-3),
        None,
        "ERRX?",
        '+100,"Undefined GPIB command."',
        "WDCV belongs to the capacitance unit, which is not simulated",
    ),
    # ---- a pulse generator and its first channel
    Row("spgu.output", set_only("spgu", "output", False), None, "SPST?", "0"),
    Row("spgu.operation_mode", put("spgu", "operation_mode", SPGUOperationMode.ALWG), SPGUOperationMode.ALWG),
    Row("spgu.period", put("spgu", "period", 1e-3), 1e-3, remark="sent with six decimals: 20 ns becomes 0"),
    Row(
        "spgu.set_output_mode",
        lambda p: p.spgu.set_output_mode(SPGUOutputMode.COUNT, 10),
        None,
        "SPRM?",
        "1,10",
        "a duration is cut to whole seconds",
    ),
    Row("spgu.get_output_mode", lambda p: p.spgu.get_output_mode(), (SPGUOutputMode.FREE_RUN, None)),
    Row("spgu.complete", lambda p: p.spgu.complete, True),
    Row("pulse.enabled", set_only("pulse", "enabled", True), None, "*LRN? 0", "CN1,2,501"),
    Row("pulse.load_impedance", put("pulse", "load_impedance", 1000.0), 1000.0),
    Row(
        "pulse.set_output_voltage",
        lambda p: p.pulse.set_output_voltage(1, 0.5, 2.0),
        None,
        "SPV? 501,1",
        "0.5,2",
    ),
    Row("pulse.get_output_voltage", lambda p: p.pulse.get_output_voltage(1), (0.0, 0.0)),
    Row(
        "pulse.output_mode",
        put("pulse", "output_mode", SPGUChannelOutputMode.SIGNAL_SOURCE_1_2),
        SPGUChannelOutputMode.SIGNAL_SOURCE_1_2,
    ),
    Row(
        "pulse.set_pulse_timings",
        lambda p: p.pulse.set_pulse_timings(1, 0, 1e-7, 2e-8, 3e-8),
        None,
        "SPT? 501,1",
        "0,1E-07,2E-08,3E-08",
    ),
    Row("pulse.get_pulse_timings", lambda p: p.pulse.get_pulse_timings(2), (0.0, 1e-7, 2e-8, 2e-8)),
    Row("pulse.apply_setup", lambda p: p.pulse.apply_setup(), None, "ERRX?", '+0,"No Error."'),
]
"""In the order of PyMeasure's classes AgilentB1500, SMU, SPGU, SPGUChannel."""

VERDICTS: list[tuple[str, str, str]] = [(row.name, row.verdict, row.remark) for row in ROWS]
"""Name, verdict and remark of every row, for the documentation."""
