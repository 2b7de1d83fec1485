"""The B2900A: its twin by the exchanges of instruments §2.11, and its driver as a source-meter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa

from drivers.errors import InstrumentError, SettingOutOfRange, WrongInstrument
from drivers.instruments.keysight_b2900 import KeysightB2900
from drivers.roles import SourceMeter
from drivers.simulated.registry import open_bench

GPIB = "GPIB0::23::INSTR"
SOCKET = "TCPIP0::smu::5025::SOCKET"


def bench_file(tmp_path: Path, address: str = GPIB, model: str = "keysight-b2902a") -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(
        f'version: 1\nname: t\ninstruments:\n  smu:\n    driver: keysight-b2900\n    address: "{address}"\n'
        f'    backend: "@pcm"\n    simulated: {{model: {model}}}\n'
        "wiring:\n  - smu.1 -- 100 kOhm -- ground\n  - smu.2 -- 1 kOhm -- ground\n"
    )
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return bench_file(tmp_path)


@pytest.fixture
def world(path: Path) -> Iterator[Any]:
    with open_bench(path) as bench:
        yield bench.world


@pytest.fixture
def plain(path: Path, world: Any) -> Iterator[Any]:
    resource = pyvisa.ResourceManager(f"{path}@pcm").open_resource(GPIB)
    resource.read_termination = resource.write_termination = "\n"
    resource.timeout = 200
    yield resource
    resource.close()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def smu(path: Path, world: Any, log: list[str]) -> Iterator[KeysightB2900]:
    with KeysightB2900.open(GPIB, backend=f"{path}@pcm", transcript=log) as instrument:
        yield instrument


def errors(resource: Any) -> list[str]:
    found = []
    while (entry := resource.query("SYST:ERR?")) != '+0,"No error"':
        found.append(entry)
    return found


def numbers(reply: str) -> list[float]:
    return [float(part) for part in reply.split(",")]


# ---- the twin --------------------------------------------------------------------------------------------------------


def test_a_spot_measurement(plain: Any) -> None:
    plain.write(":SOUR1:FUNC:MODE VOLT;:SOUR1:VOLT 0.2;:SENS1:CURR:PROT 1E-3;:SENS1:CURR:NPLC 1")
    plain.write(":SENS1:CURR:RANG:AUTO ON;:OUTP1 ON")
    assert numbers(plain.query(":MEAS:CURR? (@1)")) == [pytest.approx(2e-6, rel=1e-4)]
    plain.write(":INIT (@1)")
    assert numbers(plain.query(":FETC:ARR:CURR? (@1)")) == [pytest.approx(2e-6, rel=1e-4)]
    assert errors(plain) == []


def test_lists(plain: Any) -> None:
    plain.write(
        ":SOUR1:VOLT:MODE LIST;:SOUR1:LIST:VOLT 0.1,0.2;:SOUR1:LIST:VOLT:APP 0.3;:TRIG1:COUN 3;:OUTP1 ON"
    )
    assert plain.query(":SOUR1:LIST:VOLT:POIN?") == "+3"
    plain.write(":INIT (@1)")
    assert numbers(plain.query(":FETC:ARR:SOUR? (@1)")) == pytest.approx([0.1, 0.2, 0.3])
    assert numbers(plain.query(":FETC:ARR:CURR? (@1)")) == pytest.approx([1e-6, 2e-6, 3e-6], rel=1e-3)
    values = ",".join(["0.1"] * 1300)
    plain.write(f":SOUR1:LIST:VOLT {values};:SOUR1:LIST:VOLT:APP {values}")
    assert errors(plain) == ['-223,"Too much data"']


@pytest.mark.parametrize(("form", "order", "kind"), [("32", "NORM", ">f4"), ("64", "SWAP", "<f8")])
def test_binary_data(plain: Any, form: str, order: str, kind: str) -> None:
    plain.write(
        f":FORM REAL,{form};:FORM:BORD {order};:FORM:ELEM:SENS VOLT,CURR;:SOUR1:VOLT 1;:OUTP1 ON;:TRIG1:COUN 4"
    )
    plain.write(":INIT (@1)")
    values = plain.query_binary_values(
        ":FETC:ARR? (@1)", kind[1:].replace("f4", "f").replace("f8", "d"), kind[0] == ">"
    )
    assert values[::2] == pytest.approx([1.0] * 4, rel=1e-4)
    assert values[1::2] == pytest.approx([1e-5] * 4, rel=1e-3)
    assert plain.query(":FORM?") == f"REAL,{form}"


def test_both_channels_in_one_list(plain: Any) -> None:
    plain.write(
        ":SENS2:CURR:PROT 0.01;:SOUR1:VOLT 1;:SOUR2:VOLT 1;:OUTP1 ON;:OUTP2 ON;:FORM:ELEM:SENS CURR;:INIT (@1,2)"
    )
    assert numbers(plain.query(":FETC:ARR? (@1:2)")) == pytest.approx([1e-5, 1e-3], rel=1e-3)


def test_pulses(plain: Any, world: Any) -> None:
    plain.write(
        ":SOUR1:FUNC:SHAP PULS;:SOUR1:PULS:WIDT 50E-6;:SOUR1:VOLT:TRIG 2;:SENS1:CURR:APER 2E-5;:OUTP1 ON;:INIT (@1)"
    )
    assert numbers(plain.query(":FETC:ARR:CURR? (@1)")) == [pytest.approx(2e-5, rel=1e-2)]
    assert world.terminal("smu.1").look().voltage_v == 0.0
    plain.write(":SOUR1:PULS:WIDT 49E-6")
    assert errors(plain) == ['-222,"Data out of range"']


def test_what_is_refused(plain: Any) -> None:
    for message, entry in (
        (":SOUR1:VOLT 211", '-222,"Data out of range"'),
        (":SENS1:CURR:PROT 1;:SOUR1:VOLT 100", '-221,"Settings conflict"'),
        (":SOUR3:VOLT 1", '-114,"Header suffix out of range"'),
        (":INIT (@3)", '-222,"Data out of range"'),
        (":FETC:ARR? (@1)", '-230,"Data corrupt or stale"'),
        ("*TRG", '-211,"Trigger ignored"'),
        (":TRIG1:SOUR BUS;:INIT (@1);:INIT (@1)", '-213,"Init ignored"'),
    ):
        plain.write(message)
        assert errors(plain) == [entry]


def test_the_error_queue_outlives_a_reset(plain: Any) -> None:
    for _ in range(120):
        plain.write(":SOUR1:VOLT 300")
    plain.write("*RST")
    found = errors(plain)
    assert len(found) == 100
    assert found[-1] == '-350,"Error queue overflow"'


def test_it_waits_for_the_bus(plain: Any) -> None:
    plain.write(":OUTP1 ON;:SOUR1:VOLT 1;:TRIG1:SOUR BUS;:TRIG1:COUN 2;:INIT (@1)")
    plain.write(":FETC:ARR:CURR? (@1)")
    plain.assert_trigger()
    assert numbers(plain.read()) == pytest.approx([1e-5, 1e-5], rel=1e-3)


# ---- the driver ------------------------------------------------------------------------------------------------------


def test_it_is_a_source_meter(smu: KeysightB2900) -> None:
    assert smu.identify().model == "B2902A"
    assert all(isinstance(channel, SourceMeter) for channel in smu.channels.values())


def test_a_burst(smu: KeysightB2900, world: Any, log: list[str]) -> None:
    log.clear()
    found = smu.channels["1"].burst(0.5, samples=1000, aperture_s=1e-4, limit_a=1e-3)
    assert len([line for line in log if line.startswith(">")]) == 4
    assert found.current_a.shape == found.voltage_v.shape == found.limited.shape == found.t_s.shape == (1000,)
    assert found.current_a.mean() == pytest.approx(5e-6, rel=1e-3)
    assert 0 < found.current_a.std() < 1e-3 * 5e-6
    assert found.voltage_v == pytest.approx(0.5, rel=1e-3)
    assert not found.limited.any()
    assert found.t_s[0] == 0.0
    assert np.diff(found.t_s) == pytest.approx(1e-4, rel=1e-3)
    assert world.terminal("smu.1").look().voltage_v == 0.0


def test_a_sweep_with_compliance(smu: KeysightB2900, world: Any) -> None:
    levels = np.linspace(0.0, 2.0, 1001)
    found = smu.channels["1"].sweep(levels, aperture_s=2e-4, limit_a=1e-5)
    assert (found.limited == (levels > 1.0 + 1e-9)).all()
    free = ~found.limited
    assert found.current_a[free] == pytest.approx(levels[free] / 100e3, abs=2e-9)
    assert found.current_a[~free] == pytest.approx(1e-5, rel=1e-3)
    assert world.terminal("smu.1").look().voltage_v == 0.0


def test_a_fixed_range_holds_the_current_down(smu: KeysightB2900) -> None:
    found = smu.channels["2"].burst(1.0, samples=3, aperture_s=1e-3, limit_a=0.01, range_a=1e-4)
    assert found.limited.all()
    assert found.current_a == pytest.approx(1.05e-4, rel=1e-3)
    found = smu.channels["2"].burst(1.0, samples=3, aperture_s=1e-3, limit_a=0.01)
    assert found.current_a == pytest.approx(1e-3, rel=1e-3)


def test_hold_and_zero(smu: KeysightB2900, world: Any) -> None:
    channel = smu.channels["2"]
    channel.hold(1.5, limit_a=0.01)
    assert world.terminal("smu.2").look().voltage_v == pytest.approx(1.5)
    assert not channel.limited
    channel.hold(1.5, limit_a=1e-3)
    assert channel.limited
    channel.zero()
    assert world.terminal("smu.2").look().voltage_v == 0.0
    channel.burst(0.5, samples=2, aperture_s=1e-3, limit_a=0.01)
    channel.hold(1.0, limit_a=0.01)
    assert world.terminal("smu.2").look().voltage_v == pytest.approx(1.0)


@pytest.mark.parametrize(
    "asked",
    [
        {"level_v": 220.0},
        {"level_v": math.nan},
        {"samples": 0},
        {"aperture_s": 1e-6},
        {"limit_a": 4.0},
        {"range_a": 5.0},
    ],
)
def test_what_cannot_be_set(smu: KeysightB2900, log: list[str], asked: dict[str, float]) -> None:
    log.clear()
    with pytest.raises(SettingOutOfRange) as caught:
        smu.channels["1"].burst(
            **{"level_v": 0.1, "samples": 1, "aperture_s": 1e-3, "limit_a": 1e-3, **asked}
        )
    assert caught.value.setting == next(iter(asked))
    assert log == []
    with pytest.raises(SettingOutOfRange):
        smu.channels["1"].sweep(np.zeros(2501), aperture_s=1e-3, limit_a=1e-3)
    assert log == []


def test_the_output_stage_has_an_envelope(smu: KeysightB2900, world: Any) -> None:
    with pytest.raises(InstrumentError, match="Settings conflict"):
        smu.channels["1"].hold(100.0, limit_a=1.0)
    assert abs(world.terminal("smu.1").look().voltage_v) < 100.0


def test_a_sweep_of_2500_points_over_a_socket(tmp_path: Path) -> None:
    path = bench_file(tmp_path, SOCKET, "keysight-b2912a")
    with KeysightB2900.open(SOCKET, backend=f"{path}@pcm") as smu:
        levels = np.linspace(-1.0, 1.0, 2500)
        found = smu.channels["1"].sweep(levels, aperture_s=8e-6, limit_a=1e-3)
        assert np.polyfit(levels, found.current_a, 1)[0] == pytest.approx(1e-5, rel=1e-3)


def test_it_is_left_safe(path: Path, world: Any) -> None:
    with KeysightB2900.open(GPIB, backend=f"{path}@pcm") as smu:
        smu.channels["2"].hold(1.0, limit_a=0.01)
        assert smu.snapshot()["settings"]["2.level_v"] == 1.0
    assert world.terminal("smu.2").look().current_a == 0.0


def test_another_instrument(tmp_path: Path) -> None:
    path = bench_file(tmp_path, GPIB, "keysight-81160a")
    with pytest.raises(WrongInstrument):
        KeysightB2900.open(GPIB, backend=f"{path}@pcm")
