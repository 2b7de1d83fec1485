"""PyMeasure's ATS545, unmodified, against the twin: every public name, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from referee_lakeshore_336 import Row

__all__ = ["REFEREE"]


def _set(name: str, value: Any) -> Callable[[Any], Any]:
    def use(driver: Any) -> Any:
        setattr(driver, name, value)
        return getattr(driver, name)

    return use


def _put(name: str, value: Any) -> Callable[[Any], Any]:
    return lambda driver: setattr(driver, name, value)


def _get(name: str) -> Callable[[Any], Any]:
    return lambda driver: getattr(driver, name)


def _call(name: str, *values: Any, same: bool = True) -> Callable[[Any], Any]:
    def use(driver: Any) -> Any:
        found = getattr(driver, name)(*values)
        return found is driver if same else found

    return use


def _raises(driver: Any) -> str:
    try:
        driver.next_setpoint()
    except NotImplementedError:
        return "not implemented"
    return "works"


_COMMA = "a comma makes a tuple of the driver's table of modes, so that no answer is in it"
_SILENT = "none of its commands; the twin sets the command error bit and says nothing"

REFEREE = [
    Row("id", "works", _get("id"), "inTEST Thermal,ATS-545,1234567,1.00"),
    Row("complete", "works", _get("complete"), "1"),
    Row("status", "works", _get("status"), "0"),
    Row("options", "times out", _get("options"), remark=_SILENT),
    Row("next_error", "times out", _get("next_error"), remark=_SILENT),
    Row("check_errors", "times out", _call("check_errors"), remark=_SILENT),
    Row("remote_mode", "works", _put("remote_mode", True)),
    Row("local_lockout", "works", _put("local_lockout", True)),
    Row("maximum_test_time", "works", _set("maximum_test_time", 1000), 1000),
    Row("dut_mode", "works", _set("dut_mode", "ON"), "ON"),
    Row("dut_type", "works", _set("dut_type", "K"), "K"),
    Row("dut_constant", "works", _set("dut_constant", 120), 120),
    Row("head", "works", _set("head", "down"), "down"),
    Row("enable_air_flow", "works", _put("enable_air_flow", True)),
    Row("temperature_limit_air_low", "works", _set("temperature_limit_air_low", -60), -60),
    Row("temperature_limit_air_high", "works", _set("temperature_limit_air_high", 220), 220),
    Row("temperature_limit_air_dut", "works", _set("temperature_limit_air_dut", 40), 40),
    Row("temperature_setpoint", "works", _set("temperature_setpoint", 85.5), 85.5),
    Row("temperature_setpoint_window", "works", _set("temperature_setpoint_window", 0.5), 0.5),
    Row("temperature_soak_time", "works", _set("temperature_soak_time", 12), 12),
    Row("temperature", "works", _get("temperature"), 22.9),
    Row("air_temperature", "works", _get("air_temperature"), 22.9),
    Row("dut_temperature", "works", _get("dut_temperature"), 22.9),
    Row("temperature_condition_status_code", "works", _get("temperature_condition_status_code"), 2),
    Row("temperature_event_status", "works", _get("temperature_event_status"), 2),
    Row("set_point_number", "works", _set("set_point_number", 2), 2),
    Row("auxiliary_condition_code", "works", _get("auxiliary_condition_code"), 256 + 64 + 4),
    Row(
        "copy_active_setup_file",
        "works",
        _put("copy_active_setup_file", 3),
        remark="there are no files behind it",
    ),
    Row("load_setup_file", "works", _put("load_setup_file", 3), remark="there are no files behind it"),
    Row("compressor_enable", "works", _put("compressor_enable", False)),
    Row("total_cycle_count", "works", _set("total_cycle_count", 5), 5),
    Row("cycling_enable", "works", _put("cycling_enable", False), remark="cycles are not simulated"),
    Row("current_cycle_count", "works", _get("current_cycle_count"), 0),
    Row("error_code", "works", _get("error_code"), 0),
    Row("nozzle_air_flow_rate", "works", _get("nozzle_air_flow_rate"), 0.0),
    Row("main_air_flow_rate", "works", _get("main_air_flow_rate"), 0.0),
    Row("learn_mode", "works", _set("learn_mode", True), True),
    Row("ramp_rate", "works", _set("ramp_rate", 25.5), 25.5),
    Row("dynamic_temperature_setpoint", "works", _get("dynamic_temperature_setpoint"), 22.9),
    Row("mode", "fails", _get("mode"), IndexError, _COMMA),
    Row("reset", "works", _call("reset"), True),
    Row("clear", "works", _call("clear"), True),
    Row("enter_cycle", "works", _call("enter_cycle"), True),
    Row("enter_ramp", "works", _call("enter_ramp"), True),
    Row(
        "next_setpoint",
        "works",
        _raises,
        "not implemented",
        "as the driver says: set set_point_number instead",
    ),
    Row("configure", "works", _call("configure"), True),
    Row(
        "set_temperature", "fails", _call("set_temperature", 85.0), IndexError, f"asks for the mode: {_COMMA}"
    ),
    Row("start", "works", _call("start"), True),
    Row("shutdown", "works", _call("shutdown"), True),
    Row("error_status", "works", _call("error_status", same=False), 0),
    Row("cycling_stopped", "works", _call("cycling_stopped", same=False), False),
    Row("end_of_all_cycles", "works", _call("end_of_all_cycles", same=False), False),
    Row("end_of_one_cycle", "works", _call("end_of_one_cycle", same=False), False),
    Row("end_of_test", "works", _call("end_of_test", same=False), False),
    Row("not_at_temperature", "works", _call("not_at_temperature", same=False), True),
    Row("at_temperature", "works", _call("at_temperature", same=False), False),
    Row("wait_for", "works", _call("wait_for", 0.0, same=False)),
    Row(
        "wait_for_settling",
        "works",
        _call("wait_for_settling", 0),
        True,
        "waits with the clock of the wall; a simulated bench stands still meanwhile",
    ),
]
