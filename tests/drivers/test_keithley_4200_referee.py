"""PyMeasure's driver, as it is, judges the simulated 4200A."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_4200 import SOCKET, bench
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.channel import Channel
from pymeasure.instruments.keithley import Keithley4200
from pymeasure.instruments.keithley.keithley4200 import SMU, StatusCode
from referee_keithley_4200 import REFEREE


@pytest.fixture
def k4200(tmp_path: Path) -> Iterator[Any]:
    adapter = VISAAdapter(SOCKET, visa_library=f"{bench(tmp_path, smus=2, preamps=1)}@pcm", timeout=500)
    adapter.connection.write_termination = adapter.connection.read_termination = "\0"
    yield Keithley4200(adapter)
    adapter.close()
    adapter.manager.close()


def _id(k4200: Any) -> None:
    assert k4200.id == "KI4200A V1.13"


def _options(k4200: Any) -> None:
    assert k4200.options == ["SMUPA1", "SMU2", "PMU1RPM1-2"]
    assert set(k4200.smu) == {1, 2}


def _status(k4200: Any) -> None:
    assert k4200.status == StatusCode.NONE
    k4200.write("ZZ")
    k4200.check_set_errors()
    assert k4200.status == StatusCode.SYNTAX_ERROR | StatusCode.SERVICE_REQUEST


def _clear(k4200: Any) -> None:
    k4200.clear()
    assert k4200.ask(":ERROR:LAST:GET") == ""


def _check_set_errors(k4200: Any) -> None:
    k4200.write("US")
    assert k4200.check_set_errors() == []
    k4200.write("ID")
    with pytest.raises(ValueError, match="Expected 'ACK'"):
        k4200.check_set_errors()


def _add_smu(k4200: Any) -> None:
    k4200.add_smu(3)
    assert isinstance(k4200.smu3, SMU)


def _complete(k4200: Any) -> None:
    with pytest.raises(NotImplementedError):
        assert k4200.complete


def _next_error(k4200: Any) -> None:
    with pytest.raises(NotImplementedError):
        assert k4200.next_error


def _reset(k4200: Any) -> None:
    with pytest.raises(NotImplementedError):
        k4200.reset()


def _shutdown(k4200: Any) -> None:
    k4200.shutdown()
    assert k4200.isShutdown


def _smu_voltage_setpoint(k4200: Any) -> None:
    k4200.smu1.voltage_setpoint = (0, 3.3, 1e-2)
    assert k4200.ask(":ERROR:LAST:GET") == ""
    assert k4200.smu1.current == pytest.approx(33e-6, rel=1e-3)
    k4200.smu1.voltage_setpoint = (4, 0.1, 1e-2)  # the 0.2 V range, with its preamplifier
    assert k4200.smu1.current == pytest.approx(1e-6, rel=1e-3)


def _smu_voltage(k4200: Any) -> None:
    k4200.smu1.voltage_setpoint = (0, -3.3, 1e-2)
    assert k4200.smu1.voltage == pytest.approx(-3.3, rel=1e-3)


def _smu_current_setpoint(k4200: Any) -> None:
    k4200.smu1.current_setpoint = (5, 9e-6, 10)
    assert k4200.ask(":ERROR:LAST:GET") == ""
    assert k4200.smu1.voltage == pytest.approx(0.9, rel=1e-3)


def _smu_current(k4200: Any) -> None:
    k4200.smu1.voltage_setpoint = (0, 10.0, 1e-5)
    assert k4200.smu1.current == pytest.approx(1e-5, rel=1e-2)  # in compliance, which it does not tell


def _smu_disable(k4200: Any) -> None:
    k4200.smu1.voltage_setpoint = (0, 1.0, 1e-3)
    k4200.smu1.disable()
    assert abs(k4200.smu1.current) < 1e-9


TRIED: dict[str, Callable[[Any], None]] = {
    "add_smu": _add_smu,
    "check_set_errors": _check_set_errors,
    "clear": _clear,
    "complete": _complete,
    "id": _id,
    "next_error": _next_error,
    "options": _options,
    "reset": _reset,
    "shutdown": _shutdown,
    "smu.current": _smu_current,
    "smu.current_setpoint": _smu_current_setpoint,
    "smu.disable": _smu_disable,
    "smu.voltage": _smu_voltage,
    "smu.voltage_setpoint": _smu_voltage_setpoint,
    "status": _status,
}


@pytest.mark.parametrize("line", REFEREE, ids=lambda line: line.name)
def test_each_public_name(k4200: Any, line: Any) -> None:
    TRIED[line.name](k4200)


def test_no_public_name_is_left_out() -> None:
    own = {name for name in vars(Keithley4200) if not name.startswith("_")}
    own |= {f"smu.{name}" for name in vars(SMU) if not name.startswith("_")}
    speaking = {"complete", "next_error", "reset", "shutdown"}
    assert speaking <= set(vars(Instrument)) | set(dir(Channel)) | set(dir(Instrument))
    assert {line.name for line in REFEREE} == own | speaking == TRIED.keys()
