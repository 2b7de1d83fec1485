"""The driver of the 81160A against its twin: shapes, bursts, waveforms, refusals; what the load sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generator_bench import GPIB, SOCKET, bench_file, drained, plain

from drivers.errors import DriverError, InstrumentError, LoadMismatch, SettingOutOfRange, WrongInstrument
from drivers.instruments import open_instrument
from drivers.instruments.keysight_81160 import Keysight81160
from drivers.roles import PulseShape, PulseSource
from drivers.simulated.registry import open_bench

WIRING = ("pulser.1 -- 100 kOhm -- ground", "pulser.2 -- 50 Ohm -- ground")
SHAPE = PulseShape(rise_s=10e-9, top_s=50e-9, fall_s=200e-9, period_s=1e-6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return bench_file(tmp_path, "keysight-81160a", GPIB, WIRING)


@pytest.fixture
def world(path: Path) -> Iterator[Any]:
    with open_bench(path) as bench:
        yield bench.world


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def pulser(path: Path, world: Any, log: list[str]) -> Iterator[Keysight81160]:
    with Keysight81160.open(GPIB, backend=f"{path}@pcm", transcript=log) as instrument:
        yield instrument


def sent(log: list[str]) -> list[str]:
    return [line for line in log if line.startswith(">")]


def seen(world: Any, socket: str) -> tuple[np.ndarray, np.ndarray]:
    trace = world.terminal(socket).trace()
    return trace.t_s, trace.voltage_v


def test_it_is_a_pulse_source_with_two_channels(pulser: Keysight81160) -> None:
    assert pulser.identify().model == "81160A"
    assert pulser.identify().maker == "Agilent Technologies"
    assert list(pulser.parts()) == ["1", "2"]
    for channel in pulser.channels.values():
        assert isinstance(channel, PulseSource)
        limits = channel.pulse_limits()
        assert limits.period_s[0] == 3.03e-9
        assert limits.open_v == (-10.0, 10.0)
        assert limits.source_ohm == 50.0
        assert limits.count_max == 2_147_483_647


def test_a_trapezoid_arrives_with_both_edges(pulser: Keysight81160, world: Any) -> None:
    channel = pulser.channels["1"]
    channel.prepare(SHAPE)
    channel.fire(3.0)
    t, v = seen(world, "pulser.1")
    plateau = 3.0 * 100e3 / 100_050
    assert v.max() == pytest.approx(plateau)
    assert v[0] == pytest.approx(0.0, abs=1e-12)
    assert v[-1] == pytest.approx(0.0, abs=1e-12)
    assert np.interp(5e-9, t, v) == pytest.approx(plateau / 2, rel=1e-6)
    assert np.interp([10e-9, 60e-9], t, v) == pytest.approx([plateau, plateau], rel=1e-6)
    assert np.interp(160e-9, t, v) == pytest.approx(plateau / 2, rel=1e-6)
    assert t[-1] == pytest.approx(260e-9)


def test_a_burst_of_any_length_is_three_messages_and_takes_its_time(
    pulser: Keysight81160, world: Any, log: list[str]
) -> None:
    channel = pulser.channels["1"]
    channel.prepare(SHAPE)
    channel.fire(1.0)
    log.clear()
    before = world.now_ns
    channel.fire(1.0, 1_000_000)
    assert len(sent(log)) == 3, "levels, whether they were taken, the start"
    assert world.now_ns - before == pytest.approx(1e9, rel=1e-2)


def test_negative_pulses_start_from_zero_too(pulser: Keysight81160, world: Any) -> None:
    channel = pulser.channels["2"]
    channel.prepare(SHAPE)
    for open_v in (2.0, -4.0, -1.0, 10.0, -10.0):
        channel.fire(open_v)
        _, v = seen(world, "pulser.2")
        assert (v.max() if open_v > 0 else v.min()) == pytest.approx(open_v / 2)
        assert (v.min() if open_v > 0 else v.max()) == pytest.approx(0.0, abs=1e-9)
        assert world.terminal("pulser.2").look().voltage_v == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("load_ohm", [50.0, 1e3, 1e6])
def test_the_open_voltage_is_the_same_for_every_configured_load(
    pulser: Keysight81160, world: Any, load_ohm: float
) -> None:
    channel = pulser.channels["2"]
    channel.load_ohm = load_ohm
    channel.prepare(SHAPE)
    channel.fire(4.0)
    assert seen(world, "pulser.2")[1].max() == pytest.approx(2.0, rel=1e-6)
    assert channel.high_v == pytest.approx(4.0 * load_ohm / (load_ohm + 50))


def test_the_fifty_ohm_trap(pulser: Keysight81160, world: Any) -> None:
    channel = pulser.channels["1"]
    channel.prepare(SHAPE)
    channel.high_v = 1.2  # meant for 50 Ohm; the wiring has 100 kOhm
    channel.arm_source = "MAN"
    channel.output = True
    pulser.trigger()
    assert seen(world, "pulser.1")[1].max() == pytest.approx(2.4 * 100e3 / 100_050)
    with pytest.raises(LoadMismatch) as caught:
        channel.check_load(100e3)
    assert (caught.value.set_ohm, caught.value.wired_ohm) == (50.0, 100e3)
    with pytest.raises(LoadMismatch):
        channel.check_load(math.inf)
    channel.check_load(50.2)
    channel.load_ohm = 100e3
    channel.check_load(100e3)


def test_settings_changed_by_hand_are_set_up_anew_before_firing(pulser: Keysight81160, world: Any) -> None:
    channel = pulser.channels["2"]
    channel.prepare(SHAPE)
    channel.fire(2.0)
    channel.load_ohm = 1e3
    channel.delay_s = 1e-6
    channel.fire(2.0)
    t, v = seen(world, "pulser.2")
    assert v.max() == pytest.approx(1.0, rel=1e-6)
    assert t[-1] == pytest.approx(260e-9)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (PulseShape(1e-9, 50e-9, 10e-9, 1e-6), "rise_s"),
        (PulseShape(10e-9, 50e-9, 2000.0, 1e5), "fall_s"),
        (PulseShape(10e-9, 50e-9, 10e-9, 3e-9), "period_s"),
        (PulseShape(10e-9, 50e-9, 10e-9, 70e-9), "period_s"),
        (PulseShape(1.25e-9, 0.1e-9, 1.25e-9, 1e-6), "width_s"),
        (PulseShape(10e-9, -1e-9, 10e-9, 1e-6), "top_s"),
        (PulseShape(10e-9, math.nan, 10e-9, 1e-6), "top_s"),
    ],
)
def test_shapes_it_cannot_do_are_refused_before_anything_is_sent(
    pulser: Keysight81160, log: list[str], shape: PulseShape, name: str
) -> None:
    log.clear()
    with pytest.raises(SettingOutOfRange) as caught:
        pulser.channels["1"].prepare(shape)
    assert caught.value.setting == name
    assert log == []


@pytest.mark.parametrize(
    "shape",
    [
        PulseShape(1.25e-9, 0.25e-9, 1.25e-9, 3.5e-9),
        PulseShape(1.25e-9, 100.0, 500.0, 1e5),
        PulseShape(10e-9, 0.0, 10e-9, 30e-9),
        SHAPE,
    ],
)
def test_shapes_at_the_limits_are_taken_without_a_conflict(
    pulser: Keysight81160, world: Any, shape: PulseShape
) -> None:
    channel = pulser.channels["1"]
    channel.shape = "SIN"
    channel.frequency_hz = 500e6
    channel.prepare(shape)
    assert channel.width_s == pytest.approx(shape.top_s + (shape.rise_s + shape.fall_s) / 2)
    assert channel.lead_s == pytest.approx(0.8 * shape.rise_s)
    assert channel.trail_s == pytest.approx(0.8 * shape.fall_s)
    assert channel.period_s == pytest.approx(shape.period_s)
    channel.fire(1.0, 2)
    assert seen(world, "pulser.1")[0][-1] == pytest.approx(shape.rise_s + shape.top_s + shape.fall_s)


@pytest.mark.parametrize(
    ("open_v", "count"), [(10.1, 1), (-10.1, 1), (0.05, 1), (0.0, 1), (1.0, 0), (1.0, 2**31), (math.nan, 1)]
)
def test_bursts_it_cannot_do(pulser: Keysight81160, log: list[str], open_v: float, count: int) -> None:
    channel = pulser.channels["1"]
    channel.prepare(SHAPE)
    log.clear()
    with pytest.raises(SettingOutOfRange):
        channel.fire(open_v, count)
    assert log == []


def test_nothing_is_fired_unprepared(pulser: Keysight81160) -> None:
    with pytest.raises(DriverError, match="prepare"):
        pulser.channels["1"].fire(1.0)


def test_a_voltage_limit_of_the_instrument_is_reported(pulser: Keysight81160) -> None:
    channel = pulser.channels["1"]
    channel.prepare(SHAPE)
    channel.limit_high_v = 0.5
    channel.limited = True
    with pytest.raises(InstrumentError, match="Data out of range") as caught:
        channel.fire(3.0)
    assert [error.code for error in caught.value.errors] == [-222]
    channel.fire(1.0)


def test_the_instrument_adjusts_and_the_driver_says_so(pulser: Keysight81160) -> None:
    channel = pulser.channels["1"]
    channel.prepare(SHAPE)
    with pytest.raises(InstrumentError, match="Settings conflict") as caught:
        channel.period_s = 100e-9
    assert [str(error) for error in caught.value.errors] == [
        '-221,"Settings conflict;edge time decreased due to period"',
        '-221,"Settings conflict;pulse width decreased due to period"',
    ]
    assert channel.period_s == pytest.approx(100e-9)


def test_waveforms(pulser: Keysight81160, world: Any) -> None:
    channel = pulser.channels["2"]
    points = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0, 0.0])
    channel.prepare_waveform(points, 8e-6)
    channel.fire(4.0, 3)
    t, v = seen(world, "pulser.2")
    assert np.interp(np.arange(8) * 1e-6, t, v) == pytest.approx(2.0 * points, abs=2 * 4.0 / 16383)
    channel.fire(-4.0)
    assert seen(world, "pulser.2")[1].min() == pytest.approx(-2.0, rel=1e-3)
    channel.output = False
    channel.shape = "PULS"
    assert channel.free_slots() == 4
    channel.store_waveform("SET_RAMP")
    assert channel.list_waveforms() == ("SET_RAMP",)
    assert channel.free_slots() == 3
    channel.take_waveform("SET_RAMP")
    channel.shape = "USER"
    with pytest.raises(InstrumentError, match="active"):
        channel.clear_waveform("SET_RAMP")
    channel.shape = "PULS"
    channel.clear_waveform("SET_RAMP")
    assert channel.list_waveforms() == ()
    with pytest.raises(InstrumentError, match="does not exist"):
        channel.take_waveform("SET_RAMP")
    with pytest.raises(InstrumentError, match="Illegal"):
        channel.store_waveform("_NAME")


@pytest.mark.parametrize("points", [[0.0], [0.1, 0.0], [0.0, 1.1], [0.0, math.nan]])
def test_waveforms_it_cannot_do(pulser: Keysight81160, log: list[str], points: list[float]) -> None:
    log.clear()
    with pytest.raises(SettingOutOfRange):
        pulser.channels["1"].prepare_waveform(np.array(points), 1e-6)
    assert log == []


def test_every_setting_can_be_read_and_set_back(pulser: Keysight81160) -> None:
    snapshot = pulser.snapshot()
    assert snapshot["identity"]["model"] == "81160A"
    for name, value in snapshot["settings"].items():
        number, _, inner = name.partition(".")
        setattr(pulser.channels[number], inner, value)
    assert pulser.settings() == snapshot["settings"]


def test_it_is_left_safe(path: Path, world: Any) -> None:
    with Keysight81160.open(GPIB, backend=f"{path}@pcm") as pulser:
        channel = pulser.channels["2"]
        channel.prepare(SHAPE)
        channel.fire(5.0)
        channel.complement = True
    resource = plain(path)
    assert resource.query(":OUTP1?;:OUTP2?;:OUTP2:COMP?;:VOLT2:LOW?") == "0;0;0;+0.000000000000000E+00"
    assert drained(resource) == []
    resource.close()


def test_it_is_left_safe_with_another_load_too(path: Path, world: Any) -> None:
    resource = plain(path)
    resource.write(":OUTP1:LOAD 1E6;:VOLT1 8;:OUTP1 ON")
    resource.close()
    with Keysight81160.open(GPIB, backend=f"{path}@pcm"):
        pass
    resource = plain(path)
    assert resource.query(":OUTP1?;:VOLT1:LOW?") == "0;+0.000000000000000E+00"
    assert drained(resource) == []
    resource.close()


def test_errors_of_others_are_not_taken_for_its_own(path: Path, world: Any) -> None:
    resource = plain(path)
    resource.write(":PULS:PER1 1e-9")
    with Keysight81160.open(GPIB, backend=f"{path}@pcm") as pulser:
        assert [error.code for error in pulser.found_at_opening] == [-222]
        pulser.channels["1"].width_s = 60e-9
    resource.close()


def test_on_a_stream_a_setting_is_one_write(tmp_path: Path) -> None:
    path = bench_file(tmp_path, "keysight-81160a", SOCKET, WIRING)
    log: list[str] = []
    with Keysight81160.open(SOCKET, backend=f"{path}@pcm", transcript=log) as pulser:
        log.clear()
        pulser.channels["1"].width_s = 60e-9
        assert len(sent(log)) == 1
        with pytest.raises(InstrumentError, match="Undefined header"):
            pulser.tell(":NONSENSE 1")
        with pytest.raises(InstrumentError, match="ran over"):
            pulser.tell(";".join([":PULS:WIDT1 1E-12"] * 30))
        pulser.channels["1"].width_s = 70e-9


def test_another_instrument_at_the_address(tmp_path: Path) -> None:
    path = bench_file(tmp_path, "keysight-33522b", GPIB)
    with pytest.raises(WrongInstrument, match="33522B"):
        Keysight81160.open(GPIB, backend=f"{path}@pcm")


def test_it_opens_by_its_name(path: Path) -> None:
    from drivers.bench import load_bench

    with open_instrument(load_bench(path).instruments["pulser"], path) as pulser:
        assert isinstance(pulser, Keysight81160)


def test_a_refused_level_fires_nothing_and_everything_is_set_up_anew(
    pulser: Keysight81160, world: Any
) -> None:
    channel = pulser.channels["2"]
    channel.prepare(SHAPE)
    channel.limit_low_v, channel.limited = -0.5, True
    with pytest.raises(InstrumentError):
        channel.fire(-5.0)
    assert world.terminal("pulser.2").trace() is None
    channel.fire(3.0)
    seen = world.terminal("pulser.2").trace()
    assert seen.voltage_v.max() == pytest.approx(1.5)
    assert seen.voltage_v[[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-9)
