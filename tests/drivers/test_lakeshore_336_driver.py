"""The driver of the Lake Shore 336 through VISA bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from lakeshore_bench import GPIB, SERIAL, LakeBench, lake_bench

from drivers.errors import InstrumentError, LinkTimeout, MalformedAnswer, SettingOutOfRange, WrongInstrument
from drivers.instruments.lakeshore_336 import LakeShore336
from drivers.instruments.lakeshore_values import (
    ControlMode,
    Filter,
    HeaterSetup,
    Pid,
    Ramp,
    SensorType,
)
from drivers.instruments.temperature_errors import HeaterFault, NotSettled, SensorFault
from drivers.roles import Thermometer

EXACT = "noise_k: 0.0, accuracy_k: 0.0, base_k: 298.15"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeBench]:
    with lake_bench(tmp_path, options=EXACT) as lake:
        yield lake


@pytest.fixture
def transcript() -> list[str]:
    return []


@pytest.fixture
def tc(lake: LakeBench, transcript: list[str]) -> Iterator[LakeShore336]:
    with LakeShore336.open(lake.address, backend=lake.backend, timeout_s=0.3, transcript=transcript) as tc:
        transcript.clear()
        yield tc


def sent(transcript: list[str]) -> list[str]:
    return [line.split(" ", 2)[2].removesuffix("\\r\\n") for line in transcript if line.startswith(">")]


def test_it_knows_who_it_is(tc: LakeShore336) -> None:
    found = tc.identify()
    assert (found.maker, found.model, found.serial, found.firmware) == (
        "LSCI",
        "336",
        "LSA12345/#######",
        "2.9",
    )
    assert list(tc.parts()) == ["A", "B", "C", "D", "out1", "out2", "out3", "out4"]
    assert isinstance(tc.A, Thermometer)


def test_an_input_is_a_thermometer(tc: LakeShore336, transcript: list[str]) -> None:
    assert tc.A.temperature_k() == 298.15
    assert sent(transcript) == ["KRDG? A;SRDG? A;RDGST? A;*ESR?"]
    reading = tc.A.reading()
    assert (reading.kelvin, reading.sensor, reading.status) == (298.15, 109.735, ())


def test_all_inputs_come_in_one_message(tc: LakeShore336, transcript: list[str]) -> None:
    found = tc.readings()
    assert len(sent(transcript)) == 1
    assert [key for key, reading in found.items() if reading.status] == ["C", "D"]
    assert found["B"].kelvin == 298.15


@pytest.mark.parametrize(("how", "reason"), [("open", "above its range"), ("short", "at zero")])
def test_an_invalid_sensor_never_gives_a_number(
    lake: LakeBench, tc: LakeShore336, how: str, reason: str
) -> None:
    lake.twin.break_sensor("A", how)
    with pytest.raises(SensorFault, match=reason) as caught:
        tc.A.temperature_k()
    assert caught.value.input == "A"
    assert caught.value.status
    reading = tc.A.reading()
    assert math.isnan(reading.kelvin)
    assert math.isnan(reading.sensor)
    assert reason in reading.status[0]


def test_a_set_its_read_back_and_the_status_are_one_message(tc: LakeShore336, transcript: list[str]) -> None:
    tc.out1.pid = Pid(40.0, 25.0, 10.0)
    assert sent(transcript) == ["PID 1,40.0,25.0,10;PID? 1;*ESR?"]
    assert tc.out1.pid == Pid(40.0, 25.0, 10.0)
    transcript.clear()
    with tc.together():
        tc.out1.mode = ControlMode("closed-loop", "B")
        tc.out1.ramp = Ramp(True, 0.1)
        tc.A.limit_k = 450.0
    assert sent(transcript) == [
        "OUTMODE 1,1,2,0;RAMP 1,1,6.000;TLIMIT A,450;OUTMODE? 1;RAMP? 1;TLIMIT? A;*ESR?"
    ]
    assert tc.out1.mode == ControlMode("closed-loop", "B")
    assert tc.out1.ramp.rate_k_s == pytest.approx(0.1)
    assert tc.A.limit_k == 450.0


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("A", "name", "hot stage"),
        ("A", "sensor_type", SensorType("platinum", 3, False, "kelvin")),
        ("A", "sensor_type", SensorType("platinum", units="celsius")),
        ("A", "curve", 7),
        ("B", "filter", Filter(True, 16, 5)),
        ("out1", "mode", ControlMode("open-loop", "A", True)),
        ("out3", "mode", ControlMode("warm-up", "B")),
        ("out1", "manual_percent", 12.34),
        ("out1", "range", "low"),
        ("out3", "range", "on"),
        ("out1", "heater", HeaterSetup(50, 0.75, "power")),
        ("out2", "setpoint_k", 301.5),
    ],
)
def test_what_is_set_reads_back(tc: LakeShore336, part: str, name: str, value: object) -> None:
    setattr(tc.parts()[part], name, value)
    assert getattr(tc.parts()[part], name) == value


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("A", "name", "a name that is too long"),
        ("A", "name", 'a"b'),
        ("A", "curve", 60),
        ("A", "limit_k", -1.0),
        ("A", "sensor_type", SensorType("pyrometer")),
        ("A", "filter", Filter(True, 1, 5)),
        ("out1", "pid", Pid(0.0, 10.0)),
        ("out1", "pid", Pid(10.0, 10.0, 201.0)),
        ("out1", "ramp", Ramp(True, 2.0)),
        ("out1", "mode", ControlMode("fast")),
        ("out1", "range", "on"),
        ("out3", "range", "high"),
        ("out1", "manual_percent", 101.0),
        ("out1", "manual_percent", math.nan),
        ("out1", "heater", HeaterSetup(30, 1.0)),
        ("out1", "heater", HeaterSetup(25, 2.5)),
        ("out1", "setpoint_k", -1.0),
        ("out1", "setpoint_k", math.nan),
    ],
)
def test_what_cannot_be_is_not_sent(
    tc: LakeShore336, transcript: list[str], part: str, name: str, value: object
) -> None:
    before = tc.snapshot()
    transcript.clear()
    with pytest.raises(SettingOutOfRange):
        setattr(tc.parts()[part], name, value)
    assert not [
        message for message in sent(transcript) if not message.split(";")[0].split(" ")[0].endswith("?")
    ]
    assert tc.snapshot() == before


def test_the_instrument_refuses(tc: LakeShore336) -> None:
    with pytest.raises(InstrumentError, match=r"execution error.*SETP 1,900") as caught:
        tc.out1.setpoint_k = 900.0  # above the limit of its curve
    assert caught.value.errors[0].code == 16
    with pytest.raises(InstrumentError, match="no such command"):
        tc.tell("BANANA 1")
    with pytest.raises(InstrumentError, match="no such command"):
        tc.ask("BANANA?")  # at once, where the instrument alone would let it time out
    assert tc.A.temperature_k() == 298.15  # the link goes on


def test_what_is_not_taken_is_noticed(tc: LakeShore336) -> None:
    with pytest.raises(InstrumentError, match=r"curve of <Input A.*was set to 2 and reads back as 0"):
        tc.A.curve = 2  # a diode's curve on a platinum input: the instrument says nothing


def test_nothing_is_sent_of_a_block_that_fails(tc: LakeShore336, transcript: list[str]) -> None:
    with pytest.raises(SettingOutOfRange), tc.together():  # noqa: PT012 - the block is what is tested
        tc.out1.manual_percent = 50.0
        tc.out1.manual_percent = 150.0
    assert sent(transcript) == []
    tc.out1.range = "low"
    assert sent(transcript) == ["RANGE 1,1;RANGE? 1;*ESR?"]


def test_a_power_failure_is_noticed(lake: LakeBench, tc: LakeShore336) -> None:
    lake.twin._esr |= 128
    with pytest.raises(InstrumentError, match="power was off"):
        tc.A.temperature_k()


def test_long_blocks_are_cut_where_the_instrument_has_to(tc: LakeShore336, transcript: list[str]) -> None:
    with tc.together():
        for step in range(200):  # the last of each is what counts
            tc.out1.manual_percent = step / 2
        for number, unit in enumerate(tc.inputs.values()):
            unit.name = f"input no. {number}"
            unit.filter = Filter(True, 10 + number, 5)
    messages = sent(transcript)
    assert len(messages) > 2
    assert max(map(len, messages)) <= 1024
    assert (tc.out1.manual_percent, tc.D.name, tc.D.filter.readings) == (99.5, "input no. 3", 13)
    with pytest.raises(SettingOutOfRange, match="longer than"):
        tc.tell("X" * 1100)


# ---- control ----------------------------------------------------------------------------------------------------
def test_regulate_and_wait(lake: LakeBench, tc: LakeShore336) -> None:
    tc.regulate(330.0, pid=Pid(60.0, 25.0))
    reading = tc.out1.wait_settled(
        330.0, within_k=0.05, for_s=30.0, timeout_s=3600.0, clock=lake.clock, sleep=lake.sleep
    )
    assert reading.kelvin == pytest.approx(330.0, abs=0.05)
    assert lake.stage_k == pytest.approx(330.0, abs=0.1)
    assert 0.0 < tc.out1.output_percent < 100.0
    assert tc.out1.heater_status() == ""
    lake.sleep(30.0)
    assert tc.A.temperature_k() == pytest.approx(330.0, abs=0.05)


def test_regulate_with_a_ramp(lake: LakeBench, tc: LakeShore336) -> None:
    tc.regulate(310.0, rate_k_s=0.1)  # from where it is, not from the last setpoint
    assert tc.out1.ramping
    assert tc.out1.range == "high"
    lake.sleep(60.0)
    assert tc.out1.setpoint_k == pytest.approx(304.15, abs=0.02)
    assert tc.A.temperature_k() == pytest.approx(304.0, abs=0.7)
    lake.sleep(120.0)
    assert not tc.out1.ramping
    assert tc.out1.setpoint_k == 310.0


def test_setpoints_stay_kelvin_where_the_input_prefers_celsius(lake: LakeBench, tc: LakeShore336) -> None:
    tc.A.sensor_type = SensorType("platinum", units="celsius")
    tc.regulate(340.0)
    assert lake.open().query("SETP? 1") == "+66.8500"
    assert tc.out1.setpoint_k == pytest.approx(340.0)
    lake.sleep(7200.0)
    assert lake.stage_k == pytest.approx(340.0, abs=0.01)
    tc.A.sensor_type = SensorType("platinum", units="sensor")
    with pytest.raises(SettingOutOfRange, match="sensor units"):
        tc.out1.setpoint_k = 340.0


def test_it_does_not_wait_for_ever(lake: LakeBench, tc: LakeShore336) -> None:
    tc.regulate(330.0, range="low")
    began = lake.clock()
    with pytest.raises(NotSettled, match="look at its range") as caught:
        tc.out1.wait_settled(
            330.0, within_k=0.1, for_s=10.0, timeout_s=600.0, clock=lake.clock, sleep=lake.sleep
        )
    assert 600.0 <= lake.clock() - began < 603.0
    assert caught.value.wanted_k == 330.0
    assert caught.value.got_k is not None
    assert caught.value.got_k < 301.0


def test_waiting_ends_with_what_happened(lake: LakeBench, tc: LakeShore336) -> None:
    waits = {"within_k": 0.1, "for_s": 10.0, "timeout_s": 600.0, "clock": lake.clock, "sleep": lake.sleep}
    tc.regulate(330.0)
    lake.sleep(5.0)
    lake.twin.break_heater("1", math.inf)
    with pytest.raises(HeaterFault, match="heater is open"):
        tc.out1.wait_settled(330.0, **waits)
    lake.twin.break_heater("1", 25.0)
    tc.A.limit_k = 310.0
    tc.regulate(330.0)
    with pytest.raises(HeaterFault, match="limit of an input"):
        tc.out1.wait_settled(330.0, **waits)
    tc.A.limit_k = 0.0
    tc.regulate(330.0)
    lake.twin.break_sensor("A", "open")
    with pytest.raises(SensorFault):
        tc.out1.wait_settled(330.0, **waits)
    tc.out2.mode = ControlMode("off")
    with pytest.raises(HeaterFault, match="controls no input"):
        tc.out2.wait_settled(330.0, **waits)


def test_regulate_refuses_what_is_not_there(tc: LakeShore336) -> None:
    with pytest.raises(SettingOutOfRange, match="inputs A, B, C, D"):
        tc.regulate(330.0, input="E")
    with pytest.raises(SettingOutOfRange, match="ranges off, on"):
        tc.regulate(330.0, output="out3", range="high")
    with pytest.raises(InstrumentError):
        tc.regulate(1500.0)
    with pytest.raises(SensorFault):
        tc.regulate(330.0, input="D")  # nothing there to go by
    assert tc.out1.range == "off"  # nothing was switched on for a setpoint that was not taken


def test_it_is_left_with_heaters_off(lake: LakeBench) -> None:
    with LakeShore336.open(lake.address, backend=lake.backend) as tc:
        tc.regulate(330.0)
        assert tc.out1.range == "high"
    assert lake.open().query("RANGE? 1;RANGE? 3") == "0;0"


def test_safe_opens_a_broken_link_again(lake: LakeBench) -> None:
    tc = LakeShore336.open(lake.address, backend=lake.backend, timeout_s=0.2)
    tc.regulate(330.0)
    tc.link._hang_up()
    tc.safe()
    assert tc.out1.range == "off"
    tc.reset()
    tc.close()


def test_the_snapshot_holds_every_setting(tc: LakeShore336) -> None:
    tc.out1.setpoint_k = 312.0
    found = tc.snapshot()
    assert found["identity"]["model"] == "336"
    settings = found["settings"]
    assert settings["out1.setpoint_k"] == 312.0
    assert settings["A.sensor_type"] == SensorType("platinum")
    assert settings["out1.heater"] == HeaterSetup(25, 1.0)
    assert settings["out3.range"] == "off"
    assert "out1.output_percent" not in settings


# ---- the link ---------------------------------------------------------------------------------------------------
def test_serial_lines_get_a_pause_between_messages(tmp_path: Path) -> None:
    with lake_bench(tmp_path, address=SERIAL, options=EXACT) as lake:
        pauses: list[float] = []
        clock = {"now": 0.0}

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            clock["now"] += seconds

        with LakeShore336.open(
            lake.address, backend=lake.backend, pause=pause, now=lambda: clock["now"]
        ) as tc:
            pauses.clear()
            for _ in range(3):
                tc.A.temperature_k()
            assert pauses == pytest.approx([0.05, 0.05, 0.05])
            clock["now"] += 1.0
            tc.A.temperature_k()
            assert len(pauses) == 3


def test_over_gpib(tmp_path: Path) -> None:
    with (
        lake_bench(tmp_path, address=GPIB, options=EXACT) as lake,
        LakeShore336.open(lake.address, backend=lake.backend) as tc,
    ):
        tc.regulate(310.0)
        assert tc.A.temperature_k() == 298.15
        assert tc.link.status_byte() == 0


def test_a_335(tmp_path: Path) -> None:
    with (
        lake_bench(tmp_path, model="lakeshore-335", options=EXACT) as lake,
        LakeShore336.open(lake.address, backend=lake.backend) as tc,
    ):
        assert list(tc.parts()) == ["A", "B", "out1", "out2"]
        tc.out1.heater = HeaterSetup(50, 1.5)
        assert tc.out1.heater == HeaterSetup(50, 1.5)
        with pytest.raises(AttributeError, match="it has A, B, out1, out2"):
            _ = tc.C


def test_another_instrument(lake: LakeBench) -> None:
    lake.twin.identity = "LSCI,MODEL218S,1234567,1.0"
    with pytest.raises(WrongInstrument, match="MODEL218S"):
        LakeShore336.open(lake.address, backend=lake.backend)


@pytest.mark.parametrize(
    "reply", [b"+29", b"+298.150;109.7;000;oops\r\n", b"garbage\r\n", b"+298;x;000;000\r\n"]
)
def test_garbage_gets_a_name(lake: LakeBench, tc: LakeShore336, reply: bytes) -> None:
    lake.twin.obey = lambda message, link: link.answer(reply)
    with pytest.raises(MalformedAnswer if reply.endswith(b"\n") else LinkTimeout):
        tc.A.temperature_k()
    del lake.twin.obey
