"""The 33500 family: its dialect at the twin, and its driver, whose pulses are those of the 81160A's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generator_bench import GPIB, SOCKET, bench_file, drained, plain

from drivers.errors import InstrumentError, LoadMismatch, SettingOutOfRange
from drivers.instruments.keysight_33500 import Keysight33500
from drivers.roles import PulseShape, PulseSource
from drivers.simulated.registry import open_bench

WIRING = ("pulser.1 -- 100 kOhm -- ground", "pulser.2 -- 50 Ohm -- ground")
SHAPE = PulseShape(rise_s=20e-9, top_s=100e-9, fall_s=500e-9, period_s=2e-6)
MODELS = {"keysight-33522b": (16e-9, 8.4e-9), "keysight-33622a": (5e-9, 2.9e-9)}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def path(tmp_path: Path, model: str) -> Path:
    return bench_file(tmp_path, model, GPIB, WIRING)


@pytest.fixture
def world(path: Path) -> Iterator[Any]:
    with open_bench(path) as bench:
        yield bench.world


@pytest.fixture
def resource(path: Path, world: Any) -> Iterator[Any]:
    opened = plain(path)
    yield opened
    opened.close()


@pytest.fixture
def pulser(path: Path, world: Any) -> Iterator[Keysight33500]:
    with Keysight33500.open(GPIB, backend=f"{path}@pcm") as instrument:
        yield instrument


def value(number: float) -> str:
    return f"{number:+.15E}"


EXCHANGES = [
    ("SYST:ERR?", '+0,"No error"'),
    ("SOUR1:FUNC PULS;FUNC?", "PULS"),
    ("SOUR1:FUNC:PULS:PER 1E-3;WIDT 1E-4;DCYC?", value(10)),
    ("SOUR1:FUNC:PULS:HOLD DCYC;HOLD?;PER 1E-3;PER 2E-3;WIDT?", f"DCYC;{value(2e-4)}"),
    ("SOUR2:FUNC:PULS:PER 1E-3;WIDT 1E-5;TRAN:LEAD 2E-8;TRA 4E-8;LEAD?;TRA?", f"{value(2e-8)};{value(4e-8)}"),
    ("SOUR1:FUNC:PULS:PER 1E-3;WIDT 1E-5;TRAN:BOTH 3E-8;LEAD?;TRA?", f"{value(3e-8)};{value(3e-8)}"),
    ("SOUR1:VOLT:HIGH 1.2;LOW 0;:SOUR1:VOLT?;VOLT:OFFS?", f"{value(1.2)};{value(0.6)}"),
    ("SOUR1:BURS:STAT ON;STAT?;MODE TRIG;MODE?;NCYC 7;NCYC?", f"1;TRIG;{value(7)}"),
    ("SOUR1:BURS:INT:PER 2E-2;PER?", value(2e-2)),
    ("TRIG1:SOUR BUS;SOUR?;:TRIG2:SOUR TIM;SOUR?;:TRIG2:SOUR IMM;SOUR?", "BUS;TIM;IMM"),
    ("OUTP1 ON;:OUTP1?;:OUTP2?", "1;0"),
    ("OUTP1:LOAD?", "5.000000000000000E+01"),
    ("OUTP1:LOAD INF;LOAD?;:SOUR1:VOLT 1;VOLT?", f"9.9E+37;{value(1)}"),
    ("OUTP1:POL INV;POL?", "INV"),
    ("FORM:BORD SWAP;BORD?", "SWAP"),
    ("SOUR1:DATA:ARB:DAC RAMP,0,1,2,3,4,5,6,32767;:SOUR1:FUNC:ARB RAMP;ARB?;ARB:POIN?", '"RAMP";+8'),
    ("SOUR1:APPL:PULS 1E6,1,0.5;:SOUR1:APPL?", f'"PULS {value(1e6)},{value(1)},{value(0.5)}"'),
    ("FUNC SQU;FREQ 1 kHz;FREQ?;:SOUR2:FUNC?", f"{value(1e3)};SIN"),
]


@pytest.mark.parametrize(("message", "reply"), EXCHANGES)
def test_exchanges(resource: Any, message: str, reply: str) -> None:
    assert resource.query(message) == reply
    assert drained(resource) == []


def clipped(edge: str) -> str:
    return f'-222,"Data out of range; value clipped to {edge} limit"'


REFUSED = [
    ("SOUR1:VOLT 11", [clipped("upper")]),
    ("SOUR1:FUNC:PULS:PER 1E-3;WIDT 1E-9", [clipped("lower")]),
    ("SOUR1:FUNC:PULS:PER 1E-3;WIDT 1E-4;TRAN:BOTH 1E-5", [clipped("upper")]),
    ("OUTP1:LOAD 20E3", [clipped("upper")]),
    (
        "SOUR1:FUNC PULS;FUNC:PULS:PER 2E-3;WIDT 1.5E-3;PER 1E-3",
        ['-221,"Settings conflict; pulse width decreased due to period"'],
    ),
    ("SOUR1:BURS:STAT ON;NCYC 1E6", ['-221,"Settings conflict; burst period increased to fit entire burst"']),
    (
        "SOUR1:BURS:NCYC INF;STAT ON;:TRIG1:SOUR BUS;SOUR IMM",
        ['-221,"Settings conflict; turned off infinite burst to allow immediate trigger source"'],
    ),
    ("TRIG1", ['-211,"Trigger ignored"']),
    ("*TRG", ['-211,"Trigger ignored"']),
    ("SOUR1:DATA:ARB X,0,0", ['-109,"Missing parameter"']),
    ("SOUR1:DATA:ARB X,0,0,0,0,0,0,0,2", ['-222,"Data out of range"']),
    ("SOUR1:FUNC:ARB NONE", ['+785,"Specified arb waveform does not exist"']),
    (
        "SOUR1:DATA:ARB X,0,0,0,0,0,0,0,0;:SOUR1:DATA:ARB X,0,0,0,0,0,0,0,0",
        ['+786,"Specified arb waveform already exists"'],
    ),
]


@pytest.mark.parametrize(("message", "entries"), REFUSED)
def test_what_is_refused_or_adjusted(resource: Any, message: str, entries: list[str]) -> None:
    resource.write(message)
    assert drained(resource) == entries


def test_limits_of_the_models(resource: Any, model: str) -> None:
    width, edge = MODELS[model]
    assert float(resource.query("SOUR1:FUNC:PULS:WIDT? MIN")) == width
    assert float(resource.query("SOUR1:FUNC:PULS:TRAN:LEAD? MIN")) == edge


@pytest.mark.parametrize(("order", "kind"), [("NORM", ">f4"), ("SWAP", "<f4")])
def test_waveforms_in_both_byte_orders(resource: Any, world: Any, order: str, kind: str) -> None:
    points = np.array([0, 0.5, 1, -1, 0.25, 0.75, 0, 0], kind)
    resource.write_raw(f"FORM:BORD {order};:SOUR2:DATA:ARB X,#232".encode() + points.tobytes() + b"\n")
    resource.write(
        "SOUR2:FUNC:ARB X;ARB:SRAT 1E6;:SOUR2:FUNC ARB;VOLT 2;:OUTP2 ON;:SOUR2:BURS:STAT ON;:TRIG2:SOUR BUS"
    )
    resource.write("*TRG")
    assert drained(resource) == []
    seen = world.terminal("pulser.2").trace()
    assert np.interp(np.arange(8) * 1e-6, seen.t_s, seen.voltage_v) == pytest.approx(points, abs=1e-9)


# ---- the driver ------------------------------------------------------------------------------------------------------


def test_its_channels_are_pulse_sources(pulser: Keysight33500, model: str) -> None:
    width, edge = MODELS[model]
    for channel in pulser.channels.values():
        assert isinstance(channel, PulseSource)
        assert channel.pulse_limits().rise_s[0] == pytest.approx(edge / 0.8)
        assert channel.width_span_s[0] == width


@pytest.mark.parametrize("open_v", [3.0, -3.0, 10.0, 0.01])
@pytest.mark.parametrize("load_ohm", [50.0, 1e3, math.inf])
def test_pulses_arrive(pulser: Keysight33500, world: Any, open_v: float, load_ohm: float) -> None:
    channel = pulser.channels["2"]
    channel.load_ohm = load_ohm
    channel.check_load(load_ohm)
    with pytest.raises(LoadMismatch):
        channel.check_load(75.0)
    channel.prepare(SHAPE)
    channel.fire(open_v, 4)
    seen = world.terminal("pulser.2").trace()
    assert np.interp([20e-9, 120e-9], seen.t_s, seen.voltage_v) == pytest.approx([open_v / 2] * 2, rel=1e-4)
    assert np.interp(370e-9, seen.t_s, seen.voltage_v) == pytest.approx(open_v / 4, rel=1e-4)
    assert seen.voltage_v[[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-8)
    assert world.terminal("pulser.2").look().voltage_v == pytest.approx(0.0, abs=1e-8)


def test_a_burst_of_any_length_is_three_messages(path: Path, world: Any) -> None:
    log: list[str] = []
    with Keysight33500.open(GPIB, backend=f"{path}@pcm", transcript=log) as pulser:
        channel = pulser.channels["1"]
        channel.prepare(SHAPE)
        channel.fire(1.0)
        log.clear()
        before = world.now_ns
        channel.fire(1.0, 100_000)
        assert len([line for line in log if line.startswith(">")]) == 3
        assert world.now_ns - before == pytest.approx(0.2e9, rel=0.05)


def test_it_can_be_prepared_whatever_it_did_before(pulser: Keysight33500, world: Any) -> None:
    channel = pulser.channels["2"]
    for before in (
        "SOUR2:BURS:NCYC 1E6;STAT ON",
        "SOUR2:APPL:SIN 30E6,10,0",
        "SOUR2:APPL:DC DEF,DEF,4",
        "*RST",
    ):
        with pulser.together():
            pulser.tell(before)
            pulser.errors()
        channel._ready = False
        channel.prepare(SHAPE)
        channel.fire(2.0)
        assert world.terminal("pulser.2").trace().voltage_v.max() == pytest.approx(1.0)


def test_waveforms(pulser: Keysight33500, world: Any) -> None:
    channel = pulser.channels["2"]
    points = np.array([0.0, 0.5, 1.0, 0.25])
    channel.prepare_waveform(points, 4e-6)
    channel.fire(4.0, 2)
    seen = world.terminal("pulser.2").trace()
    assert np.interp(np.arange(4) * 1e-6, seen.t_s, seen.voltage_v) == pytest.approx(2 * points, abs=1e-3)
    channel.prepare_waveform(points, 8e-6)
    channel.fire(-4.0)
    assert world.terminal("pulser.2").trace().voltage_v.min() == pytest.approx(-2.0, rel=1e-3)
    with pytest.raises(InstrumentError, match="already exists"):
        channel.upload_waveform("LABKIT", np.zeros(8, np.int16))
    with pytest.raises(InstrumentError, match="does not exist"):
        channel.take_waveform("OTHER")


def test_what_it_cannot_do(pulser: Keysight33500) -> None:
    channel = pulser.channels["1"]
    with pytest.raises(SettingOutOfRange) as caught:
        channel.prepare(PulseShape(20e-9, 100e-9, 2e-6, 1e-3))
    assert caught.value.setting == "fall_s"
    with pytest.raises(InstrumentError, match="clipped"):
        channel.amplitude_v = 20.0


def test_settings_can_be_read_and_set_back(pulser: Keysight33500) -> None:
    before = pulser.settings()
    for name, setting in before.items():
        place, _, inner = name.partition(".")
        setattr(pulser.channels[place], inner, setting)
    assert pulser.settings() == before


def test_it_is_left_safe(path: Path, world: Any) -> None:
    with Keysight33500.open(GPIB, backend=f"{path}@pcm") as pulser:
        pulser.channels["1"].prepare(SHAPE)
        pulser.channels["1"].fire(5.0)
    resource = plain(path)
    assert resource.query("OUTP1?;:OUTP2?;:SOUR1:VOLT:LOW?") == f"0;0;{value(0)}"
    resource.close()


def test_over_a_socket(tmp_path: Path) -> None:
    path = bench_file(tmp_path, "keysight-33622a", SOCKET, WIRING)
    with Keysight33500.open(SOCKET, backend=f"{path}@pcm") as pulser:
        pulser.channels["1"].prepare(SHAPE)
        pulser.channels["1"].fire(1.0, 3)
        with pytest.raises(InstrumentError, match="Undefined header"):
            pulser.tell("NONSENSE")
        assert pulser.channels["1"].burst_cycles == 3
