"""The driver of Tektronix scopes, with a pulse card that gives it something to see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_scope import K4200, SCOPE, SOCKET, bench

from drivers.errors import InstrumentError, MalformedAnswer, SettingOutOfRange, WrongInstrument
from drivers.instruments import driver_class
from drivers.instruments.keithley_4200 import Keithley4200
from drivers.instruments.scope_trace import NotTriggered
from drivers.instruments.tektronix_scope import TektronixScope
from drivers.roles import Oscilloscope, PulseShape

SHAPE = PulseShape(50e-9, 1e-6, 50e-9, 5e-6)


@pytest.fixture(params=[SCOPE, SOCKET], ids=["vxi-11", "socket"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[TektronixScope, Keithley4200]]:
    path = bench(tmp_path, address=request.param)
    with (
        TektronixScope.open(request.param, backend=f"{path}@pcm", timeout_s=2.0) as scope,
        Keithley4200.open(K4200, backend=f"{path}@pcm") as k4200,
    ):
        k4200.pmu["pmu1_1"].configure(range_a=0.2)
        k4200.pmu["pmu1_1"].prepare(SHAPE)
        yield scope, k4200


def test_a_pulse_is_armed_for_fired_and_fetched(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, k4200 = lab
    assert isinstance(scope, Oscilloscope)
    assert driver_class("tektronix-scope") is TektronixScope
    scope.channels["1"].scale_v = 0.5
    scope.channels["1"].termination_ohm = 50.0
    scope.arm("1", level_v=0.5, window_s=2e-6)
    k4200.pmu["pmu1_1"].fire(4.0)
    found = scope.trace("1")
    assert len(found.t_s) == 2e-6 * scope.sample_rate_hz
    assert found.t_s[0] == pytest.approx(-0.4e-6, rel=1e-3)
    top = (found.t_s > 200e-9) & (found.t_s < 900e-9)
    # 50 Ohm of the card, 50 Ohm of the scope, 1 kOhm to the other channel
    assert found.voltage_v[top].mean() == pytest.approx(2.0, rel=0.03)
    assert not found.clipped.any()
    assert np.abs(found.voltage_v[found.t_s < -100e-9].mean()) < 0.02


def test_what_leaves_the_screen_is_flagged(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, k4200 = lab
    scope.channels["1"].scale_v = 0.2
    scope.arm("1", level_v=0.5, window_s=1e-6)
    k4200.pmu["pmu1_1"].fire(4.0)
    found = scope.trace("1")
    assert found.clipped.any()
    assert not found.clipped.all()
    assert found.voltage_v.max() == pytest.approx(5.08 * 0.2, rel=1e-3)


def test_without_a_pulse_nothing_is_fetched(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, k4200 = lab
    scope.arm("1", level_v=0.5, window_s=1e-6)
    with pytest.raises(NotTriggered, match="READY"):
        scope.trace("1")
    k4200.pmu["pmu1_1"].fire(0.2)
    with pytest.raises(NotTriggered):
        scope.trace("1")
    scope.trigger()
    assert len(scope.trace("1").t_s) > 0


def test_a_long_window_is_armed_for(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, k4200 = lab
    scope.arm("1", level_v=0.5, window_s=30.0)  # six of them before the trigger
    k4200.pmu["pmu1_1"].fire(1.0)
    assert len(scope.trace("1").t_s) == 30.0 * scope.sample_rate_hz


def test_a_fetch_costs_a_few_messages(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, k4200 = lab
    scope.arm("1", level_v=0.5, window_s=20e-6)
    k4200.pmu["pmu1_1"].fire(1.0)
    before = scope.link.messages
    assert len(scope.trace("1").t_s) == 800_000
    assert scope.link.messages - before <= 6


def test_settings_are_asked_and_checked(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, _ = lab
    channel = scope.channels["2"]
    for name, value in (
        ("scale_v", 0.05), ("offset_v", 0.1), ("position", -2.0), ("coupling", "DC reject"), ("termination_ohm", 50.0),
        ("bandwidth_hz", 250e6), ("shown", True),
    ):  # fmt: skip
        setattr(channel, name, value)
        assert getattr(channel, name) == value, name
    for name, value in (
        ("horizontal_mode", "manual"), ("record_length", 5000), ("sample_rate_hz", 1e9), ("pretrigger_percent", 10.0),
        ("acquire_mode", "average"), ("averages", 8), ("single", "one sequence"), ("trigger_level_v", 0.3),
        ("trigger_source", "2"), ("trigger_slope", "fall"), ("trigger_mode", "normal"), ("running", False),
    ):  # fmt: skip
        setattr(scope, name, value)
        assert getattr(scope, name) == value, name
    assert scope.time_scale_s == pytest.approx(500e-9)
    assert scope.snapshot()["settings"]["2.coupling"] == "DC reject"
    with pytest.raises(InstrumentError, match="Illegal parameter"):
        channel.termination_ohm = 75.0
    with pytest.raises(InstrumentError, match="Settings conflict") as error:
        scope.time_scale_s = 1e-6
    assert error.value.errors[0].code == 221
    with pytest.raises(SettingOutOfRange):
        channel.scale_v = 100.0
    with pytest.raises(SettingOutOfRange):
        scope.arm("5", level_v=0.0, window_s=1e-6)
    with pytest.raises(SettingOutOfRange):
        scope.arm("1", level_v=0.0, window_s=0.0)
    assert scope.errors() == []


def test_it_is_left_stopped(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, _ = lab
    scope.running = True
    scope.make_safe()
    assert scope.running is False
    scope.reset()
    assert scope.channels["1"].scale_v == 0.1


def test_a_channel_that_is_off_is_not_fetched(lab: tuple[TektronixScope, Keithley4200]) -> None:
    scope, k4200 = lab
    scope.arm("1", level_v=0.5, window_s=1e-6)
    k4200.pmu["pmu1_1"].fire(1.0)
    with pytest.raises(NotTriggered, match="not active"):
        scope.trace("3")
    assert len(scope.trace("1").t_s) > 0


def test_another_instrument_is_refused(tmp_path: Path) -> None:
    path = bench(tmp_path)
    text = (
        path.read_text()
        .replace("driver: tektronix-scope", "driver: keysight-81160a")
        .replace("tektronix-dpo7254", "keysight-81160a")
    )
    path.write_text(text)
    with pytest.raises(WrongInstrument, match="81160A"):
        TektronixScope.open(SCOPE, backend=f"{path}@pcm")


def test_replies_out_of_step_are_noticed(lab: tuple[TektronixScope, Keithley4200], monkeypatch: Any) -> None:
    scope, _ = lab
    monkeypatch.setattr(scope.link, "query", lambda *message, **how: "1.0000")
    with pytest.raises(MalformedAnswer, match="out of step"):
        scope.errors()
