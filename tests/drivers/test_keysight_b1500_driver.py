"""The driver of the B1500A: roles, messages, errors, what it refuses, and how it leaves the instrument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flex_bench import ADDRESS, bench_file, driver, plain

from drivers.errors import (
    DriverError,
    InstrumentError,
    InterlockOpen,
    LinkTimeout,
    MalformedAnswer,
    SettingOutOfRange,
    WrongInstrument,
)
from drivers.instruments.keysight_b1500 import KeysightB1500
from drivers.instruments.keysight_b1500_learn import field
from drivers.instruments.keysight_b1500_modules import modules_of
from drivers.roles import PulseShape, PulseSource, SourceMeter
from drivers.simulated.registry import open_bench
from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin

QUICK = {"aperture_s": 20e-6, "limit_a": 1e-3}
SHAPE = PulseShape(rise_s=25e-9, top_s=100e-9, fall_s=50e-9, period_s=1e-6)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def b1500(tmp_path: Path, lines: list[str]) -> Iterator[KeysightB1500]:
    with driver(bench_file(tmp_path), transcript=lines) as opened:
        lines.clear()
        yield opened


def sent(lines: list[str]) -> list[str]:
    """Messages without polls, since the last look."""
    found = [line.split(" ", 2)[2].removesuffix("\\r\\n") for line in lines if line.startswith(">")]
    lines.clear()
    return found


# ---- opening --------------------------------------------------------------------------------------------
def test_its_channels_are_named_by_slot_and_have_their_roles(b1500: KeysightB1500) -> None:
    assert b1500.identify().model == "B1500A"
    assert list(b1500.parts()) == ["1", "2", "501", "502"]
    assert all(isinstance(smu, SourceMeter) for smu in b1500.smus.values())
    assert all(isinstance(pulser, PulseSource) for pulser in b1500.pulsers.values())
    assert {slot: module.name for slot, module in b1500.modules.items()} == {
        1: "MPSMU",
        2: "HRSMU",
        5: "SPGU",
        6: "WGFMU",
    }


def test_self_calibration_is_off_and_the_status_is_unmasked(b1500: KeysightB1500) -> None:
    assert b1500.auto_calibration is False
    assert b1500.ask("*SRE?") == "40"


def test_easyexpert_has_to_be_closed(tmp_path: Path) -> None:
    with pytest.raises(LinkTimeout, match="close EasyEXPERT"):
        driver(bench_file(tmp_path, options="{easyexpert: open}"), timeout_s=0.1)


def test_another_instrument_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(
        "version: 1\nname: t\ninstruments:\n"
        f'  other: {{driver: lakeshore-336, address: "{ADDRESS}", backend: "@pcm", '
        "simulated: {model: lakeshore-336}}\n"
    )
    with pytest.raises(WrongInstrument, match="MODEL336"):
        driver(path)


def test_over_a_bare_stream_errors_are_always_asked_for(tmp_path: Path, lines: list[str]) -> None:
    address = "TCPIP0::b1500::5025::SOCKET"
    path = bench_file(tmp_path, address=address)
    with KeysightB1500.open(address, backend=f"{path}@pcm", transcript=lines) as b1500:
        lines.clear()
        found = b1500.smus["1"].sweep(np.linspace(0.0, 0.4, 5), **QUICK)
        assert sent(lines)[1:] == ["ERRX?", "XE", "DV 1,0,0,0.001"]
        np.testing.assert_allclose(found.current_a, np.arange(5) * 1e-6, atol=3e-9)
        with pytest.raises(InstrumentError, match="Undefined"):
            b1500.tell("OUTP ON")


# ---- bursts ---------------------------------------------------------------------------------------------
def test_a_burst_is_a_sampling_of_two_messages_and_a_count(b1500: KeysightB1500, lines: list[str]) -> None:
    found = b1500.smus["1"].burst(0.2, samples=50, range_a=10e-6, **QUICK)
    messages = sent(lines)
    assert messages[0].startswith("CN 1;AAD 1,0;AIT 0,3,2E-05;CMM 1,1;RI 1,-15;MM 10,1;")
    assert messages[1:] == ["XE", "NUB?"]
    np.testing.assert_allclose(found.current_a, 2e-6, rtol=3e-3)
    np.testing.assert_array_equal(found.voltage_v, np.full(50, 0.2))
    np.testing.assert_allclose(found.t_s, np.arange(50) * 1e-4, atol=2e-6)
    assert not found.limited.any()
    assert b1500.learn(1).startswith("DV1,5,+000.000E-03")


def test_a_burst_with_automatic_ranges_is_one_staircase(b1500: KeysightB1500, lines: list[str]) -> None:
    found = b1500.smus["1"].burst(0.2, samples=50, **QUICK)
    messages = sent(lines)
    assert len(messages) == 3
    assert "WV 1,1,0,0.2,0.2,50,0.001" in messages[0]
    assert messages[1:] == ["XE", "DV 1,0,0,0.001"]
    np.testing.assert_allclose(found.current_a, 2e-6, rtol=3e-3)
    assert found.current_a.shape == found.t_s.shape == found.limited.shape == (50,)
    assert found.t_s[0] == 0
    assert (np.diff(found.t_s) > 0).all()


def test_compliance_is_flagged_reading_by_reading(b1500: KeysightB1500) -> None:
    found = b1500.smus["1"].burst(1.0, samples=4, aperture_s=20e-6, limit_a=5e-6, range_a=10e-6)
    assert found.limited.all()
    np.testing.assert_allclose(found.current_a, 5e-6, rtol=1e-2)


def test_an_overflow_is_no_number(b1500: KeysightB1500) -> None:
    found = b1500.smus["1"].burst(1.0, samples=4, range_a=1e-6, **QUICK)
    assert np.isnan(found.current_a).all()


@pytest.mark.parametrize(
    ("aperture_s", "commands"),
    [
        (1e-6, "AAD 1,0;AIT 0,3,2E-06"),
        (20e-3, "AAD 1,0;AIT 0,3,0.02"),
        (0.1, "AAD 1,1;AIT 1,2,5;AZ 0"),
        (60.0, "AAD 1,1;AIT 1,2,100;AZ 0"),
    ],
)
def test_the_aperture_is_the_nearest_there_is(
    b1500: KeysightB1500, lines: list[str], aperture_s: float, commands: str
) -> None:
    b1500.smus["1"].burst(0.1, samples=2, aperture_s=aperture_s, limit_a=1e-3, range_a=1e-6)
    assert f";{commands};" in sent(lines)[0]


def test_samples_that_were_left_out_are_no_numbers(tmp_path: Path) -> None:
    """The settling of a filter at the first sample is longer than the interval."""
    with driver(bench_file(tmp_path)) as b1500:
        smu = b1500.smus["1"]
        words = b1500.execute(
            [
                "CN 1",
                "AAD 1,0",
                "AIT 0,3,0.0002",
                "RI 1,-14",
                "MM 10,1",
                "MV 1,0,0,0.1,0.001",
                "MT 0,0.0001,9",
            ],
            words=27,
            seconds=0.0,
            fewer=3,
        )
        assert words.value[words.kind == "X"].tolist() == [1, 4, 7]
        assert smu.burst(0.1, samples=3, range_a=1e-6, **QUICK).current_a.shape == (3,)


def test_four_bytes_are_enough_without_times(tmp_path: Path) -> None:
    with driver(bench_file(tmp_path), read_back="4-byte") as b1500:
        smu = b1500.smus["1"]
        found = smu.burst(0.2, samples=5, range_a=10e-6, **QUICK)
        np.testing.assert_allclose(found.current_a, 2e-6, rtol=3e-3)
        np.testing.assert_allclose(found.t_s, np.arange(5) * 1e-4)
        swept = smu.stairs(0.1, 0.3, 3, **QUICK)
        np.testing.assert_allclose(swept.current_a, [1e-6, 2e-6, 3e-6], rtol=3e-3)
        np.testing.assert_allclose(swept.voltage_v, [0.1, 0.2, 0.3], rtol=1e-3)
        assert np.isnan(swept.t_s).all()


# ---- sweeps ---------------------------------------------------------------------------------------------
def test_an_even_sweep_is_one_go(b1500: KeysightB1500, lines: list[str]) -> None:
    levels = np.linspace(0.0, 1.0, 101)
    found = b1500.smus["1"].sweep(levels, **QUICK)
    messages = sent(lines)
    assert len(messages) == 3
    assert "WV 1,1,0,0,1,101,0.001" in messages[0]
    np.testing.assert_allclose(found.current_a, levels * 1e-5, rtol=5e-3, atol=2e-9)
    np.testing.assert_array_equal(found.voltage_v, levels)
    assert b1500.learn(1).startswith("DV1,5,+000.000E-03")


def test_a_triangle_is_two_goes(b1500: KeysightB1500, lines: list[str]) -> None:
    up = np.linspace(0.0, 1.0, 11)
    levels = np.concatenate([up, up[-2::-1]])
    found = b1500.smus["1"].sweep(levels, **QUICK)
    assert len(sent(lines)) == 5
    np.testing.assert_allclose(found.current_a, levels * 1e-5, rtol=5e-3, atol=2e-9)
    assert (np.diff(found.t_s) > 0).all()


def test_levels_without_order_are_measured_too(b1500: KeysightB1500) -> None:
    levels = np.array([0.3, 0.1, 0.35, 0.2, 0.0])
    found = b1500.smus["1"].sweep(levels, **QUICK)
    np.testing.assert_allclose(found.current_a, levels * 1e-5, rtol=5e-3, atol=2e-9)


def test_stairs_of_the_instrument(b1500: KeysightB1500) -> None:
    one, two = b1500.smus["1"], b1500.smus["2"]
    found = one.stairs(
        0.01, 1.0, 3, **QUICK, spacing="log", back=True, delay_s=0.01, in_step=(two, 0.1, 0.5, 1e-3)
    )
    np.testing.assert_allclose(found.voltage_v, [0.01, 0.1, 1, 1, 0.1, 0.01], rtol=1e-3)
    np.testing.assert_allclose(found.current_a, found.voltage_v * 1e-5, rtol=5e-3)
    assert np.diff(found.t_s).min() > 0.01
    assert b1500.learn(2).startswith("DV2,5,+000.000E-03")


def test_stairs_stop_at_the_compliance(b1500: KeysightB1500) -> None:
    found = b1500.smus["1"].stairs(0.0, 1.0, 5, aperture_s=20e-6, limit_a=4e-6, stop_on_compliance=True)
    assert found.limited.tolist() == [False, False, True, False, False]
    assert np.isnan(found.current_a).tolist() == [False, False, False, True, True]


# ---- holding, single readings, settings -----------------------------------------------------------------
def test_a_voltage_is_held_zeroed_and_restored(b1500: KeysightB1500) -> None:
    smu = b1500.smus["1"]
    smu.hold(0.5, limit_a=1e-3)
    reading = smu.measure()
    assert reading.current_a[0] == pytest.approx(5e-6, rel=1e-3)
    assert reading.voltage_v[0] == pytest.approx(0.5, rel=1e-3)
    smu.zero()
    assert abs(smu.measure(range_a=1e-6).current_a[0]) < 1e-9
    smu.restore()
    assert smu.measure().current_a[0] == pytest.approx(5e-6, rel=1e-3)
    smu.hold_current(1e-5, limit_v=2.0)
    assert smu.measure().voltage_v[0] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("output", True, "CN 2"),
        ("output", False, "CL 2"),
        ("measuring_range_a", 1e-9, "RI 2,-11"),
        ("measuring_range_a", 0.0, "RI 2,0"),
        ("converter", "high-resolution", "AAD 2,1"),
        ("measures", "both", "CMM 2,4"),
        ("filter", True, "FL 1,2"),
        ("series_resistor", True, "SSR 2,1"),
    ],
)
def test_settings_are_sent_and_learned_back(
    b1500: KeysightB1500, lines: list[str], name: str, value: Any, command: str
) -> None:
    setattr(b1500.smus["2"], name, value)
    assert sent(lines) == [command]
    assert getattr(b1500.smus["2"], name) == value


@pytest.mark.parametrize("name", ["auto_calibration", "auto_zero", "parallel"])
def test_settings_of_the_mainframe(b1500: KeysightB1500, name: str) -> None:
    for value in (True, False):
        setattr(b1500, name, value)
        assert getattr(b1500, name) is value


def test_all_settings_cost_one_question_of_each_kind(b1500: KeysightB1500, lines: list[str]) -> None:
    b1500.smus["2"].filter = True
    sent(lines)
    settings = b1500.settings()
    learned = [message for message in sent(lines) if message.startswith("*LRN?")]
    assert len(learned) == len(set(learned))
    assert settings["2.filter"] is True
    assert settings["1.filter"] is False
    snapshot = b1500.snapshot()
    assert snapshot["modules"][1] == "B1511B"
    assert snapshot["learned"][30] == "FL0,1;FL1,2"


# ---- pulses ---------------------------------------------------------------------------------------------
def test_a_pulse_reaches_what_was_asked_for_into_an_open_circuit(tmp_path: Path) -> None:
    path = bench_file(tmp_path)
    with open_bench(path) as bench, driver(path) as b1500:
        pulser = b1500.pulsers["501"]
        pulser.prepare(SHAPE)
        assert "501" not in b1500.learn(0)
        before = bench.world.now_ns
        pulser.fire(2.1, 1000)
        assert bench.world.now_ns - before > 1e6
        seen = bench.world.terminal("b1500.501").trace()
        assert seen is not None
        assert seen.voltage_v.max() == pytest.approx(2.1 * 1000 / 1050, rel=1e-4)
        above = seen.t_s[seen.voltage_v > 1.0]
        assert above[-1] - above[0] == pytest.approx(137.5e-9, abs=3e-9)
        assert "501" in b1500.learn(0)
        assert bench.world.terminal("b1500.501").look().voltage_v == pytest.approx(0.0, abs=1e-6)


def test_a_channel_that_is_not_fired_stays_at_zero(tmp_path: Path) -> None:
    path = bench_file(tmp_path, wiring=("b1500.501 -- 1 kOhm -- ground", "b1500.502 -- 1 kOhm -- ground"))
    with open_bench(path) as bench, driver(path) as b1500:
        one, two = b1500.pulsers["501"], b1500.pulsers["502"]
        one.prepare(SHAPE)
        two.prepare(SHAPE)
        one.fire(2.0)
        two.fire(1.0)
        quiet = bench.world.terminal("b1500.501").trace()
        assert quiet is not None
        assert abs(quiet.voltage_v).max() < 1e-6
        b1500.fire({one: 2.0, two: -1.0})
        seen = [bench.world.terminal(f"b1500.50{n}").trace() for n in (1, 2)]
        assert seen[0] is not None
        assert seen[1] is not None
        assert seen[0].voltage_v.max() == pytest.approx(2.0 * 1000 / 1050, rel=1e-4)
        assert seen[1].voltage_v.min() == pytest.approx(-1000 / 1050, rel=1e-4)


def test_zero_opens_the_output_whose_fifty_ohm_load_what_else_is_wired_there(b1500: KeysightB1500) -> None:
    b1500.pulsers["501"].zero()
    assert b1500.learn(0) == "CL"
    assert b1500.pulsers["501"].mode == 0


@pytest.mark.parametrize(
    "shape",
    [
        PulseShape(1e-9, 100e-9, 25e-9, 1e-6),
        PulseShape(25e-9, 5e-9, 25e-9, 1e-6),
        PulseShape(25e-9, 980e-9, 25e-9, 1e-6),
        PulseShape(25e-9, 100e-9, 25e-9, 20.0),
    ],
)
def test_shapes_it_cannot_give_are_not_sent(
    b1500: KeysightB1500, lines: list[str], shape: PulseShape
) -> None:
    with pytest.raises(SettingOutOfRange, match="nothing was sent"):
        b1500.pulsers["501"].prepare(shape)
    assert sent(lines) == []


def test_levels_it_cannot_give_are_not_sent(b1500: KeysightB1500, lines: list[str]) -> None:
    pulser = b1500.pulsers["501"]
    with pytest.raises(SettingOutOfRange, match="prepare"):
        pulser.fire(1.0)
    pulser.prepare(SHAPE)
    sent(lines)
    for level, count in ((40.5, 1), (15.0, 1), (1.0, 0), (1.0, 10**7)):
        with pytest.raises(SettingOutOfRange, match="nothing was sent"):
            pulser.fire(level, count)
    assert sent(lines) == []


# ---- what is refused, what goes wrong ---------------------------------------------------------------------
@pytest.mark.parametrize(
    "ask",
    [
        lambda smu: smu.hold(101.0, limit_a=1e-3),
        lambda smu: smu.hold(50.0, limit_a=0.05),
        lambda smu: smu.hold(1.0, limit_a=0.0),
        lambda smu: smu.hold(float("nan"), limit_a=1e-3),
        lambda smu: smu.burst(0.1, samples=0, **QUICK),
        lambda smu: smu.burst(0.1, samples=5, aperture_s=0.0, limit_a=1e-3),
        lambda smu: smu.burst(0.1, samples=5, range_a=2.0, **QUICK),
        lambda smu: smu.sweep(np.array([]), **QUICK),
        lambda smu: smu.sweep(np.array([0.0, 200.0]), **QUICK),
        lambda smu: smu.stairs(0.0, 1.0, 10_002, **QUICK),
        lambda smu: smu.stairs(-1.0, 1.0, 5, spacing="log", **QUICK),
    ],
)
def test_what_a_unit_cannot_do_is_not_sent(
    b1500: KeysightB1500, lines: list[str], ask: Callable[[Any], object]
) -> None:
    with pytest.raises(SettingOutOfRange, match="nothing was sent"):
        ask(b1500.smus["1"])
    assert sent(lines) == []


def test_errors_are_asked_for_only_where_the_status_byte_tells(
    b1500: KeysightB1500, lines: list[str]
) -> None:
    b1500.tell("CN 1")
    assert sent(lines) == ["CN 1"]
    with pytest.raises(InstrumentError, match="Undefined GPIB command") as caught:
        b1500.tell("OUTP ON")
    assert [error.code for error in caught.value.errors] == [100]
    assert sent(lines) == ["OUTP ON", "ERRX?", "ERRX?"]
    b1500.tell("CN 1")


def test_an_open_interlock_has_a_name(tmp_path: Path) -> None:
    with driver(bench_file(tmp_path, options="{interlock: open}")) as b1500:
        smu = b1500.smus["1"]
        smu.hold(42.0, limit_a=1e-3)
        with pytest.raises(InterlockOpen, match="close the fixture"):
            smu.hold(60.0, limit_a=1e-3)
        with pytest.raises(InterlockOpen):
            smu.burst(60.0, samples=3, range_a=1e-3, aperture_s=20e-6, limit_a=1e-3)
        smu.hold(1.0, limit_a=1e-3)


def test_a_refused_measurement_leaves_no_level_behind(b1500: KeysightB1500) -> None:
    smu = b1500.smus["1"]
    smu.hold(0.5, limit_a=1e-3)
    with pytest.raises(InstrumentError):
        b1500.execute(["NONSENSE"], words=1, seconds=0.0, after=["DV 1,0,0,0.001"])
    assert b1500.learn(1).startswith("DV1,5,+000.000E-03")


def test_it_waits_until_bit_4_says_idle(b1500: KeysightB1500, monkeypatch: pytest.MonkeyPatch) -> None:
    polls = iter([0, 1, 0x21, 0x11])
    waits: list[float] = []
    monkeypatch.setattr(b1500.link, "status_byte", lambda: next(polls))
    b1500.pause = waits.append
    assert b1500.wait_idle(1.0) == 0x11
    assert waits == [1e-3, 2e-3, 4e-3]
    assert b1500._seen == 0x20  # the error bit that the poll cleared is not lost
    b1500._seen = 0


def test_it_does_not_wait_for_ever(b1500: KeysightB1500, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(b1500.link, "status_byte", lambda: 0)
    monkeypatch.setattr(b1500.link, "timeout_s", 0.01)
    b1500.pause = lambda _: None
    with pytest.raises(LinkTimeout, match="busy"):
        b1500.wait_idle(0.01)


def answering(twin: KeysightB1500Twin, monkeypatch: pytest.MonkeyPatch, query: str, reply: bytes) -> None:
    """Let the twin answer one query with something else."""
    obey = twin.obey

    def instead(message: bytes, link: Any) -> None:
        if message.strip() == query.encode():
            link.output.reply(reply)
        else:
            obey(message, link)

    monkeypatch.setattr(twin, "obey", instead)


@pytest.mark.parametrize(
    ("query", "reply", "call"),
    [
        ("ERRX?", b"what?\r\n", lambda b1500: b1500.tell("NONSENSE")),
        ("NUB?", b"many\r\n", lambda b1500: b1500.smus["1"].burst(0.1, samples=3, range_a=1e-6, **QUICK)),
        ("NUB?", b"8\r\n", lambda b1500: b1500.smus["1"].burst(0.1, samples=3, range_a=1e-6, **QUICK)),
        ("*CAL?", b"fine\r\n", lambda b1500: b1500.self_calibrate()),
        ("*LRN? 32", b"RV1,0\r\n", lambda b1500: b1500.smus["1"].measuring_range_a),
        ("*LRN? 55", b"AAD1,7\r\n", lambda b1500: b1500.smus["1"].converter),
    ],
)
def test_garbage_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, reply: bytes, call: Callable[[Any], object]
) -> None:
    path = bench_file(tmp_path)
    with open_bench(path) as bench, driver(path, timeout_s=0.2) as b1500:
        twin = bench.twins["b1500"].twin
        assert isinstance(twin, KeysightB1500Twin)
        answering(twin, monkeypatch, query, reply)
        with pytest.raises(MalformedAnswer):
            call(b1500)
        monkeypatch.undo()


def test_a_failed_calibration_names_its_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench_file(tmp_path)
    with open_bench(path) as bench, driver(path) as b1500:
        assert b1500.self_calibrate() == ()
        assert b1500.self_test() is True
        twin = bench.twins["b1500"].twin
        assert isinstance(twin, KeysightB1500Twin)
        answering(twin, monkeypatch, "*CAL?", b"1026\r\n")
        assert b1500.self_calibrate() == ("2", "mainframe")
        answering(twin, monkeypatch, "*TST?", b"1\r\n")
        with pytest.raises(InstrumentError, match="failed: 1"):
            b1500.self_test()


def test_calibration_may_take_a_minute(b1500: KeysightB1500, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float | None] = []
    query = b1500.link.query

    def noted(message: str, *, timeout_s: float | None = None) -> str:
        if message == "*CAL?":
            waited.append(timeout_s)
        return query(message, timeout_s=timeout_s)

    monkeypatch.setattr(b1500.link, "query", noted)
    b1500.self_calibrate()
    assert waited == [60.0]


def test_nothing_but_named_errors_of_replies_that_cannot_be_read() -> None:
    for reply in ("", "garbage", "B1511B"):
        with pytest.raises(DriverError):
            modules_of(reply)
    with pytest.raises(DriverError):
        field("RI1,0", "RI11")
    assert field("RI11,5;RI1,0", "RI1") == "0"


def test_it_is_left_with_everything_off(tmp_path: Path) -> None:
    path = bench_file(tmp_path)
    with open_bench(path):
        with driver(path) as b1500:
            b1500.smus["1"].hold(1.0, limit_a=1e-3)
            b1500.pulsers["501"].prepare(SHAPE)
            b1500.pulsers["501"].fire(1.0)
        resource = plain(path)
        assert resource.query("*LRN? 0") == "CL"
        assert resource.query("ERRX?") == '+0,"No Error."'
        resource.close()


def test_it_is_left_safe_over_a_broken_link_too(tmp_path: Path) -> None:
    path = bench_file(tmp_path)
    with open_bench(path) as bench:
        with driver(path, timeout_s=0.2) as b1500:
            b1500.smus["1"].hold(1.0, limit_a=1e-3)
            with pytest.raises(LinkTimeout):
                b1500.ask("SYST:ERR?")
        assert isinstance(bench.twins["b1500"].twin, KeysightB1500Twin)
        assert not any(smu.on for smu in bench.twins["b1500"].twin.smus.values())


def test_reset_keeps_self_calibration_off(b1500: KeysightB1500) -> None:
    b1500.smus["1"].hold(1.0, limit_a=1e-3)
    b1500.reset()
    assert b1500.auto_calibration is False
    assert b1500.learn(0) == "CL"
    b1500.abort()


def test_the_selector_is_told_what_to_connect(b1500: KeysightB1500) -> None:
    b1500.connect_selector(0, "pgu")
    assert b1500.io_control == "selector"
    assert b1500.ask("ERSSP? 0") == "2"
