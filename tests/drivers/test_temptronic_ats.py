"""The ThermoStream: its twin by plain VISA, its driver, and PyMeasure's driver on the twin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from pymeasure.instruments.temptronic import ATS545
from pymeasure.instruments.temptronic.temptronic_base import ATSBase
from referee_lakeshore_336 import Row
from referee_temptronic_ats import REFEREE

from drivers.errors import InstrumentError, MalformedAnswer, SettingOutOfRange, WrongInstrument
from drivers.instruments.temperature_errors import NotSettled, SensorFault
from drivers.instruments.temptronic_ats import TemptronicAts
from drivers.roles import Thermometer
from drivers.simulated.registry import SimulatedBench, open_bench

ADDRESS = "GPIB0::10::INSTR"


class Air:
    """A bench with a ThermoStream."""

    def __init__(self, path: Path, bench: SimulatedBench) -> None:
        self.path, self.bench = path, bench
        self.manager = pyvisa.ResourceManager(f"{path}@pcm")

    def open(self) -> Any:
        return self.manager.open_resource(ADDRESS, read_termination="\n", write_termination="\n", timeout=60)

    @property
    def twin(self) -> Any:
        return self.bench.twins["air"].twin

    def sleep(self, seconds: float) -> None:
        with self.bench.world.lock:
            self.bench.world.pass_s(seconds)

    def clock(self) -> float:
        return self.bench.world.now_ns * 1e-9


@pytest.fixture
def air(tmp_path: Path) -> Iterator[Air]:
    path = tmp_path / "bench.yaml"
    path.write_text(
        "version: 1\nname: t\ninstruments:\n"
        f'  air: {{driver: temptronic-ats, address: "{ADDRESS}", backend: "@pcm", '
        "simulated: {model: temptronic-ats545, options: {device_s: 20.0}}}\n"
    )
    with open_bench(path) as bench:
        air = Air(path, bench)
        yield air
        air.manager.close()


@pytest.fixture
def ats(air: Air) -> Iterator[TemptronicAts]:
    with TemptronicAts.open(ADDRESS, backend=f"{air.path}@pcm", timeout_s=0.3) as ats:
        yield ats


# ---- the twin -------------------------------------------------------------------------------------------------
def test_the_commands_of_the_reference(air: Air) -> None:
    visa = air.open()
    visa.write("*CLS")
    for command, reply in (("SETN 0", "0"), ("SETP 85", "85.0"), ("WNDW 1.5", "1.5"), ("SOAK 20", "20"),
                           ("RAMP 30", "30"), ("HEAD 1", "1"), ("LLIM -60", "-60"), ("ULIM 200", "200"),
                           ("ADMD 80", "80"), ("DUTM 1", "1")):  # fmt: skip
        visa.write(command)
        assert visa.query(f"{command.split()[0]}?") == reply
    visa.write("FLOW 1")
    assert [visa.query(f"{word}?") for word in ("TEMP", "TMPA", "TMPD", "TECR", "EROR", "*ESR")] == [
        "22.9", "22.9", "22.9", "2", "0", "0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "bit"),
    [("SETP 226", 16), ("SETP -100", 16), ("SETN 18", 16), ("SETN 0.5", 16), ("WNDW 10", 16), ("HEAD up", 16),
     ("HEAD 0.5", 16), ("LLIM 26", 16), ("BANANA 1", 32), ("BANANA?", 32), ("FLOW", 16), ("SETP nan", 16)],
)  # fmt: skip
def test_what_cannot_be_sets_a_bit_and_is_not_answered(air: Air, command: str, bit: int) -> None:
    visa = air.open()
    visa.write("*CLS")
    visa.write(command)
    assert visa.query("*ESR?") == str(bit)


def test_setpoints_stay_within_the_limits_of_the_air(air: Air) -> None:
    visa = air.open()
    visa.write("*CLS")
    visa.write("ULIM 100")
    visa.write("SETP 120")
    assert visa.query("*ESR?") == "16"


def test_air_and_device_come_to_temperature(air: Air) -> None:
    visa = air.open()
    for command in ("HEAD 1", "SETN 0", "SETP 85", "WNDW 1", "SOAK 30", "DUTM 1", "FLOW 1"):
        visa.write(command)
    air.sleep(5.0)
    assert float(visa.query("TMPA?")) > float(visa.query("TMPD?")) + 10.0  # the air runs ahead
    assert float(visa.query("TMPA?")) <= float(visa.query("TMPD?")) + 50.0
    began = time.perf_counter()
    air.sleep(86_400.0)
    assert time.perf_counter() - began < 2.0
    assert [visa.query(f"{word}?") for word in ("TMPA", "TMPD", "TECR")] == ["85.0", "85.0", "5"]
    visa.write("HEAD 0")
    air.sleep(86_400.0)
    assert [visa.query(f"{word}?") for word in ("TMPA", "TMPD", "TECR")] == ["22.9", "22.9", "2"]


def test_without_compressor_there_is_no_cold(air: Air) -> None:
    visa = air.open()
    for command in ("HEAD 1", "SETN 2", "SETP -40", "COOL 0", "FLOW 1"):
        visa.write(command)
    air.sleep(3600.0)
    assert visa.query("TMPA?") == "22.9"
    visa.write("COOL 1")
    air.sleep(3600.0)
    assert visa.query("TMPA?") == "-40.0"


def test_a_ramp_moves_the_dynamic_setpoint(air: Air) -> None:
    visa = air.open()
    for command in ("HEAD 1", "SETN 0", "RAMP 60", "SETP 82.85", "FLOW 1"):
        visa.write(command)
    air.sleep(30.0)
    assert float(visa.query("SETD?")) == pytest.approx(52.9, abs=0.2)


# ---- the driver -------------------------------------------------------------------------------------------------
def test_force_and_wait(air: Air, ats: TemptronicAts) -> None:
    assert isinstance(ats, Thermometer)
    with pytest.raises(SettingOutOfRange, match="bring it down"):
        ats.force(358.15)
    ats.head = "down"
    ats.by_device = True
    ats.force(358.15)
    ats.soak_s, ats.window_k = 10.0, 0.5
    got_k = ats.wait_settled(timeout_s=600.0, clock=air.clock, sleep=air.sleep)
    assert got_k == pytest.approx(358.15, abs=0.5)
    assert ats.at_temperature
    assert ats.device_k() == pytest.approx(358.15, abs=0.5)
    assert air.twin.stream.device_c == pytest.approx(85.0, abs=0.5)
    ats.force(233.15)
    assert ats.chosen == 2
    with pytest.raises(NotSettled, match=r"not at 233\.1 K after 1 s") as caught:
        ats.wait_settled(timeout_s=1.0, clock=air.clock, sleep=air.sleep)
    assert caught.value.timeout_s == 1.0
    ats.longest_s = 5.0
    with pytest.raises(NotSettled, match="test time"):
        ats.wait_settled(timeout_s=600.0, clock=air.clock, sleep=air.sleep)


@pytest.mark.parametrize(
    ("name", "value"),
    [("setpoint_k", 400.0), ("window_k", 0.3), ("soak_s", 5.0), ("chosen", 2), ("lowest_k", 223.15),
     ("highest_k", 423.15), ("difference_k", 30.0), ("head", "down"), ("sensor", "K"), ("by_device", True),
     ("longest_s", 60.0)],
)  # fmt: skip
def test_what_is_set_reads_back(ats: TemptronicAts, name: str, value: object) -> None:
    setattr(ats, name, value)
    found = getattr(ats, name)
    assert found == (pytest.approx(value, abs=0.06) if isinstance(value, float) else value)
    assert name in ats.snapshot()["settings"]


def test_what_the_instrument_refuses_and_reports(air: Air, ats: TemptronicAts) -> None:
    ats.highest_k = 350.0
    with pytest.raises(InstrumentError, match="execution error"):
        ats.setpoint_k = 400.0
    with pytest.raises(SettingOutOfRange):
        ats.setpoint_k = 600.0
    air.twin.faults |= 1
    with pytest.raises(InstrumentError, match="overheat"):
        ats.window_k = 1.0
    ats.window_k = 2.0  # told once
    ats.make_safe()
    ats.clear_errors()
    with pytest.raises(InstrumentError, match="no sensor of the device"):
        ats.by_device, ats.sensor = True, "none"
    with pytest.raises(SensorFault, match=r"999\.9"):
        ats.temperature_k()
    ats.sensor = "T"
    ats.clear_errors()
    assert air.twin.faults == 0
    assert ats.temperature_k() == pytest.approx(296.0, abs=0.1)


def test_it_is_left_without_air(air: Air) -> None:
    with TemptronicAts.open(ADDRESS, backend=f"{air.path}@pcm") as ats:
        ats.head = "down"
        ats.force(358.15)
        assert air.twin._flows
    assert not air.twin._flows
    assert air.twin._settings["HEAD"] == 1


def test_it_pauses_before_each_query(air: Air) -> None:
    pauses: list[float] = []
    with TemptronicAts.open(ADDRESS, backend=f"{air.path}@pcm", pause=pauses.append) as ats:
        ats.temperature_k()
        assert pauses == [0.05]


def test_garbage_and_other_instruments(air: Air, ats: TemptronicAts) -> None:
    obey = air.twin.obey
    air.twin.obey = lambda message, link: link.answer(b"oops\n")
    with pytest.raises(MalformedAnswer):
        ats.temperature_k()
    air.twin.obey = obey
    air.twin.identity = "LSCI,MODEL336,1/1,2.9"
    with pytest.raises(WrongInstrument):
        TemptronicAts.open(ADDRESS, backend=f"{air.path}@pcm")


# ---- the referee ------------------------------------------------------------------------------------------------
@pytest.fixture
def driver(air: Air, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    driver = ATS545(ADDRESS, visa_library=f"{air.path}@pcm", timeout=60)
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


@pytest.mark.parametrize("row", REFEREE, ids=lambda row: row.name)
@pytest.mark.filterwarnings("ignore:It is not known whether:FutureWarning")
def test_every_public_name(driver: Any, row: Row) -> None:
    if row.verdict == "times out":
        assert row.remark
        with pytest.raises(pyvisa.errors.VisaIOError, match="Timeout"):
            row.use(driver)
    elif row.verdict == "fails":
        assert row.remark
        with pytest.raises(row.expected):
            row.use(driver)
    else:
        assert row.use(driver) == row.expected


def test_the_table_leaves_nothing_out() -> None:
    public = {name for kind in (ATSBase, ATS545) for name in vars(kind) if not name.startswith("_")}
    tables = {"mode_values", "temperature_limit_air_low_values"}
    assert public - tables <= {row.name for row in REFEREE}
