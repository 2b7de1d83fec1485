"""The driver of the 4200A, over the bytes of its link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_4200 import GPIB, SOCKET, bench, plain

from drivers.errors import (
    InstrumentError,
    InterlockOpen,
    LinkError,
    LinkTimeout,
    MalformedAnswer,
    SettingOutOfRange,
)
from drivers.instruments import driver_class
from drivers.instruments.keithley_4200 import Keithley4200
from drivers.instruments.keithley_4200_errors import PulserTooHot, SourceVoltageReached, parsed
from drivers.instruments.keithley_4200_pmu import SegmentLine
from drivers.roles import PulseShape, PulseSource, SourceMeter

SHAPE = PulseShape(50e-9, 400e-9, 50e-9, 2e-6)


def opened(path: Path, address: str = SOCKET, **options: Any) -> Keithley4200:
    return Keithley4200.open(address, backend=f"{path}@pcm", **options)


@pytest.fixture(params=[SOCKET, GPIB], ids=["ethernet", "gpib"])
def k4200(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    path = bench(tmp_path, address=request.param)
    with opened(path, request.param) as instrument:
        yield instrument


def test_it_knows_what_is_fitted_and_has_the_roles(k4200: Keithley4200) -> None:
    assert driver_class("keithley-4200a") is Keithley4200
    assert list(k4200.parts()) == ["smu1", "smu2", "pmu1_1", "pmu1_2"]
    assert isinstance(k4200.smu["smu1"], SourceMeter)
    assert isinstance(k4200.pmu["pmu1_1"], PulseSource)
    assert k4200.modules == "SMU1,SMU2,PMU1RPM1-2"
    assert k4200.snapshot()["identity"]["model"] == "KI4200A"
    assert k4200.snapshot()["settings"]["pmu1_1.range_a"] == 1e-2


def test_levels_and_readings(k4200: Keithley4200) -> None:
    smu = k4200.smu["smu1"]
    smu.hold(1.0, limit_a=1e-3)
    assert smu.current_a == pytest.approx(1e-5, rel=1e-3)
    assert smu.voltage_v == pytest.approx(1.0, rel=1e-3)
    assert smu.measure_current() == (pytest.approx(1e-5, rel=1e-3), False)
    smu.hold(1.0, limit_a=1e-6)
    assert smu.measure_current() == (pytest.approx(1e-6, rel=1e-2), True)
    smu.hold_current(1e-6, limit_v=10.0)
    assert smu.voltage_v == pytest.approx(0.1, rel=1e-3)
    smu.lowest_range_a = 1e-5
    smu.zero()
    assert abs(smu.current_a) < 1e-8
    smu.switch_off()


def test_bursts_and_sweeps_run_on_the_instrument(k4200: Keithley4200) -> None:
    smu = k4200.smu["smu1"]
    before = k4200.link.messages
    few = smu.burst(0.5, samples=2, aperture_s=2e-3, limit_a=1e-3)
    cost = k4200.link.messages - before
    many = smu.burst(0.5, samples=200, aperture_s=2e-3, limit_a=1e-3)
    assert k4200.link.messages - before - cost <= cost + 1
    assert few.current_a.shape == (2,)
    assert many.current_a == pytest.approx(np.full(200, 5e-6), rel=2e-3)
    assert many.voltage_v == pytest.approx(np.full(200, 0.5), rel=1e-3)
    assert not many.limited.any()
    assert many.t_s[0] == 0.0
    assert np.all(np.diff(many.t_s) > 0)
    swept = smu.sweep(np.array([0.1, 5.0, 0.2]), aperture_s=1e-3, limit_a=1e-5, range_a=1e-5)
    assert swept.limited.tolist() == [False, True, False]
    assert swept.current_a == pytest.approx([1e-6, 1e-5, 2e-6], rel=5e-3)
    smu.hold(0.1, limit_a=1e-3)  # the user mode is found again
    assert smu.current_a == pytest.approx(1e-6, rel=5e-3)


def test_readings_over_a_fixed_range_are_none(k4200: Keithley4200) -> None:
    found = k4200.smu["smu1"].burst(1.0, samples=3, aperture_s=1e-3, limit_a=1e-3, range_a=1e-6)
    assert np.isnan(found.current_a).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda smu: smu.hold(211.0, limit_a=1e-3),
        lambda smu: smu.hold(1.0, limit_a=0.2),
        lambda smu: smu.hold(float("nan"), limit_a=1e-3),
        lambda smu: smu.burst(1.0, samples=4097, aperture_s=1e-3, limit_a=1e-3),
        lambda smu: smu.burst(1.0, samples=0, aperture_s=1e-3, limit_a=1e-3),
        lambda smu: smu.sweep(np.array([0.0, np.nan]), aperture_s=1e-3, limit_a=1e-3),
        lambda smu: smu.hold_current(1.0, limit_v=1.0),
    ],
)
def test_what_is_out_of_range_is_not_sent(k4200: Keithley4200, wrong: Any) -> None:
    before = k4200.link.messages
    with pytest.raises(SettingOutOfRange):
        wrong(k4200.smu["smu1"])
    assert k4200.link.messages == before


def test_what_the_instrument_refuses_is_raised(k4200: Keithley4200) -> None:
    with pytest.raises(InstrumentError, match="-986") as error:
        k4200.tell("DS1,5")
    assert error.value.errors[0].code == -986
    assert k4200.errors() == []
    with pytest.raises(InstrumentError, match="-979"):
        k4200.ask("US;TI7")
    assert k4200.identify().model == "KI4200A"
    k4200.smu["smu1"].hold(0.1, limit_a=1e-3)


def test_interlock(tmp_path: Path) -> None:
    with opened(bench(tmp_path, interlock=False)) as k4200:
        smu = k4200.smu["smu1"]
        smu.hold(1.0, limit_a=1e-3)
        with pytest.raises(InterlockOpen, match="interlock"):
            smu.measure_current()
        with pytest.raises(InterlockOpen, match="interlock"):
            smu.burst(1.0, samples=3, aperture_s=1e-3, limit_a=1e-3)


# ---- pulses ---------------------------------------------------------------------------------------------------
def test_pulses_and_their_waveforms(k4200: Keithley4200) -> None:
    pulser = k4200.pmu["pmu1_1"]
    pulser.configure(range_a=1e-3)
    pulser.prepare(SHAPE)
    pulser.fire(4.0)
    found = pulser.capture()
    top = (found.t_s > 300e-9) & (found.t_s < 450e-9)
    assert found.voltage_v[top].mean() == pytest.approx(4.0 * 1e4 / 10050, rel=2e-3)
    assert found.current_a[top].mean() == pytest.approx(4.0 / 10050, rel=2e-2)
    assert not found.limited.any()
    assert found.t_s[-1] < SHAPE.period_s


def test_a_burst_costs_few_messages_and_a_repeated_one_fewer(k4200: Keithley4200) -> None:
    pulser = k4200.pmu["pmu1_1"]
    pulser.prepare(SHAPE)
    counts = []
    for level, count in ((1.0, 1), (2.0, 1), (2.0, 1000), (3.0, 10_000)):
        before = k4200.link.messages
        pulser.fire(level, count)
        counts.append(k4200.link.messages - before)
    assert max(counts[1:]) < counts[0]
    assert max(counts[1:]) - min(counts[1:]) <= 1
    assert max(counts) < 45


def test_the_output_is_open_between_bursts(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.pmu1_1 -- k4200.smu1", "k4200.smu1 -- 10 kOhm -- ground"))
    with opened(path) as k4200:
        pulser, smu = k4200.pmu["pmu1_1"], k4200.smu["smu1"]
        pulser.prepare(SHAPE)
        pulser.fire(1.0)
        found = smu.burst(0.1, samples=3, aperture_s=1e-3, limit_a=1e-2)
        assert found.current_a == pytest.approx([1e-5] * 3, rel=1e-2)  # not 2 mA into the 50 Ohm of the card


def test_limited_samples_are_none_and_flagged(k4200: Keithley4200) -> None:
    pulser = k4200.pmu["pmu1_1"]
    pulser.configure(range_a=1e-4)
    pulser.prepare(SHAPE)
    pulser.fire(4.0)
    found = pulser.capture()
    top = (found.t_s > 150e-9) & (found.t_s < 400e-9)
    assert found.limited[top].all()
    assert np.isnan(found.current_a[top]).all()
    assert found.voltage_v[top].mean() == pytest.approx(1.1, rel=1e-2)


def test_both_channels_at_once(k4200: Keithley4200) -> None:
    one, two = k4200.pmu["pmu1_1"], k4200.pmu["pmu1_2"]
    two.configure(compensate=True, range_a=1e-2)
    one.prepare(SHAPE)
    two.prepare(PulseShape(20e-9, 100e-9, 20e-9, 1e-6))
    with pytest.raises(SettingOutOfRange, match="period"):
        k4200.card.fire({1: 1.0, 2: 2.0})
    two.prepare(PulseShape(20e-9, 100e-9, 20e-9, 2e-6))
    k4200.card.fire({1: 1.0, 2: 2.0})
    first, second = one.capture(), two.capture()
    assert first.voltage_v.max() == pytest.approx(1.0, abs=0.02)
    assert np.nanmax(second.voltage_v) == pytest.approx(2.0, abs=0.02)
    assert two.pulse_limits().source_ohm == 0.0


def test_refused_pulses_are_named(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.pmu1_1 -- 1 Ohm -- ground",))
    with opened(path) as k4200:
        pulser = k4200.pmu["pmu1_1"]
        pulser.configure(load_ohm=50.0)
        pulser.prepare(SHAPE)
        with pytest.raises(SourceVoltageReached, match="-964"):
            pulser.fire(6.0)
        pulser.configure(load_ohm=1e6, source_range_v=40, range_a=0.8)
        pulser.prepare(PulseShape(1e-6, 900e-6, 1e-6, 1e-3))
        with pytest.raises(PulserTooHot, match="-968"):
            pulser.fire(30.0, 2000)
        pulser.fire(1.0)
        pulser.configure(range_a=1e-3)  # not on the 40 V range
        with pytest.raises(InstrumentError, match="-967"):
            pulser.fire(1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda pulser: pulser.fire(1.0),
        lambda pulser: pulser.prepare(PulseShape(10e-9, 400e-9, 50e-9, 2e-6)),
        lambda pulser: pulser.prepare(PulseShape(50e-9, 400e-9, 50e-9, 500e-9)),
        lambda pulser: pulser.prepare(PulseShape(50e-9, 400e-9, 50e-9, 2.0)),
        lambda pulser: pulser.prepare(PulseShape(1e-6, 20e-9, 50e-9, 10e-6)),
        lambda pulser: pulser.configure(source_range_v=20),
        lambda pulser: pulser.configure(load_ohm=0.1),
        lambda pulser: pulser.configure(range_a=1.0),
        lambda pulser: (pulser.prepare(SHAPE), pulser.fire(11.0)),
        lambda pulser: (pulser.prepare(SHAPE), pulser.fire(1.0, 10_001)),
    ],
)
def test_pulses_out_of_range_are_not_sent(k4200: Keithley4200, wrong: Any) -> None:
    before = k4200.link.messages
    with pytest.raises(SettingOutOfRange):
        wrong(k4200.pmu["pmu1_1"])
    assert k4200.link.messages == before


def test_a_card_that_was_reset_is_set_up_again(k4200: Keithley4200) -> None:
    pulser = k4200.pmu["pmu1_1"]
    pulser.prepare(SHAPE)
    pulser.fire(1.0)
    k4200.reset()
    pulser.fire(2.0)
    assert np.nanmax(pulser.capture().voltage_v) == pytest.approx(2.0, abs=0.02)
    pulser.zero()
    pulser.fire(1.0)


def test_segments(k4200: Keithley4200) -> None:
    lines = [(1e-6, 0.0), (100e-9, 1.0), (1e-6, 1.0), (100e-9, 0.0), (1e-6, 0.0)] * 40
    pulser = k4200.pmu["pmu1_1"]
    pulser.configure(range_a=1e-3)
    k4200.card.run_segments({1: SegmentLine(0.0, lines)}, loops=2)
    found = pulser.capture()
    assert len(found.t_s) == 80 * 640
    assert found.voltage_v.max() == pytest.approx(1.0, abs=0.02)
    assert found.t_s[-1] == pytest.approx(80 * 3.2e-6, rel=1e-3)
    with pytest.raises(SettingOutOfRange):
        k4200.card.run_segments({1: SegmentLine(0.0, lines[:2])})
    with pytest.raises(InstrumentError, match="-956"):
        k4200.card.run_segments({1: SegmentLine(0.5, [(1e-6, 0.5), (1e-6, 1.0), (1e-6, 0.0)])}, loops=2)
    pulser.prepare(SHAPE)
    pulser.fire(1.0)  # the card goes back to standard pulses


def test_it_is_left_safe(tmp_path: Path) -> None:
    path = bench(tmp_path)
    with opened(path) as k4200:
        k4200.smu["smu1"].hold(1.0, limit_a=1e-3)
        k4200.pmu["pmu1_1"].prepare(SHAPE)
        k4200.pmu["pmu1_1"].fire(1.0)
        k4200.smu["smu2"].hold(1.0, limit_a=1e-3)
        with plain(path) as other:
            k4200.safe()
            other.query("US")
            assert abs(float(other.query("TI1")[3:])) < 1e-9
            assert other.query(":ERROR:LAST:GET") == ""


def test_modules_of_libraries(k4200: Keithley4200) -> None:
    with pytest.raises(InstrumentError, match="EX ERROR"):
        k4200.run_module("mylib", "mymodule", 1.5, "", 100)
    with pytest.raises(InstrumentError, match="-993"):
        k4200.fetch_module_output(2)
    k4200.smu["smu1"].hold(0.1, limit_a=1e-3)


def test_clarius_open_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LinkTimeout, match="close Clarius, start KXCI"):
        opened(bench(tmp_path, kxci=False), timeout_s=0.3)


def test_a_closed_port_says_what_to_do() -> None:
    with pytest.raises(LinkError, match="close Clarius, start KXCI"):
        Keithley4200.open("TCPIP0::127.0.0.1::1::SOCKET", timeout_s=0.3)


def test_outputs_are_opened_after_a_refusal_too(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.pmu1_1 -- k4200.smu1", "k4200.smu1 -- 10 kOhm -- ground"))
    with opened(path) as k4200:
        pulser = k4200.pmu["pmu1_1"]
        pulser.configure(range_a=3e-3)  # there is none
        pulser.prepare(SHAPE)
        with pytest.raises(InstrumentError, match="-967"):
            pulser.fire(1.0)
        k4200.smu["smu1"].hold(0.1, limit_a=1e-2)
        assert k4200.smu["smu1"].current_a == pytest.approx(1e-5, rel=1e-2)


def test_old_firmware_has_no_pulses(tmp_path: Path) -> None:
    with opened(bench(tmp_path, firmware="V1.8.1")) as k4200:
        k4200.pmu["pmu1_1"].prepare(SHAPE)
        with pytest.raises(InstrumentError, match=r"Clarius 1\.13"):
            k4200.pmu["pmu1_1"].fire(1.0)


@pytest.mark.parametrize(
    ("reply", "call"),
    [
        ("1.0,2.0,3.0", lambda k4200: k4200.pmu["pmu1_1"].capture()),
        ("N 1.0E-06,N 2", lambda k4200: k4200.smu["smu1"]._column("I1", 3)),
        ("garbage", lambda k4200: k4200.smu["smu1"].current_a),
        ("garbage", lambda k4200: k4200.smu["smu1"].measure_current()),
        ("garbage", lambda k4200: k4200.wait("SP", expected_s=0.1)),
        ("garbage", lambda k4200: k4200.tell("US")),
        ("garbage", lambda k4200: k4200.errors()),
    ],
)
def test_replies_out_of_form_are_named(tmp_path: Path, reply: str, call: Any) -> None:
    with opened(bench(tmp_path)) as k4200:
        k4200.page("US")
        k4200.link.query = lambda *message, **how: reply
        with pytest.raises(MalformedAnswer):
            call(k4200)
        del k4200.link.query


def test_a_page_of_points_that_is_too_short_is_named(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as k4200:
        pulser = k4200.pmu["pmu1_1"]
        pulser.prepare(SHAPE)
        pulser.fire(1.0)
        ask = k4200.link.query
        k4200.link.query = lambda message, **how: (
            ask(message, **how).rpartition(";")[0] or ask(message, **how)
        )
        with pytest.raises(MalformedAnswer, match="points of shape"):
            pulser.capture()
        del k4200.link.query


def test_errors_are_read_in_every_spelling() -> None:
    assert parsed("") is None
    assert parsed("No error. (0)") is None
    found = parsed("KXCI command error. (-992)")
    assert found is not None
    assert (found.code, found.text) == (-992, "KXCI command error")
