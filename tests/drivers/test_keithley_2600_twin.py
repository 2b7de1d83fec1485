"""The simulated 2600B: ranges, what a measurement makes of the truth, compliance, buffers, trigger model, pulses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tsp_bench import GPIB, SOCKET, Talk, talk, write_bench

from drivers.bench_simulated import SimulatedTwin
from drivers.simulated.registry import open_bench
from drivers.simulated.twins import build_twin

OK = (0, "Queue Is Empty")


@pytest.fixture
def smu(tmp_path: Path) -> Iterator[Talk]:
    with talk(write_bench(tmp_path)) as session:
        yield session


def readings(session: Talk, buffer: str = "smua.nvbuffer1") -> list[float]:
    return session.numbers(f"printbuffer(1, {buffer}.n, {buffer})")


# ---- models -------------------------------------------------------------------------------------------------------
V_260X, V_26XX = [0.1, 1, 6, 40], [0.2, 2, 20, 200]
DECADES = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]


@pytest.mark.parametrize(
    ("model", "volts", "amperes", "channels", "limits"),
    [
        ("2601b", V_260X, [1e-7, *DECADES, 3], 1, (0.01, 1e-8)),
        ("2602b", V_260X, [1e-7, *DECADES, 3], 2, (0.01, 1e-8)),
        ("2604b", V_260X, [1e-7, *DECADES, 3], 2, (0.01, 1e-8)),
        ("2611b", V_26XX, [1e-7, *DECADES, 1.5], 1, (0.02, 1e-8)),
        ("2612b", V_26XX, [1e-7, *DECADES, 1.5], 2, (0.02, 1e-8)),
        ("2614b", V_26XX, [1e-7, *DECADES, 1.5], 2, (0.02, 1e-8)),
        ("2634b", V_26XX, [1e-9, 1e-8, 1e-7, *DECADES, 1.5], 2, (0.02, 1e-10)),
        ("2635b", V_26XX, [1e-10, 1e-9, 1e-8, 1e-7, *DECADES, 1.5], 1, (0.02, 1e-10)),
        ("2636b", V_26XX, [1e-10, 1e-9, 1e-8, 1e-7, *DECADES, 1.5], 2, (0.02, 1e-10)),
    ],
)
def test_ranges_are_those_of_the_model(
    tmp_path: Path,
    model: str,
    volts: list[float],
    amperes: list[float],
    channels: int,
    limits: tuple[float, float],
) -> None:
    with talk(write_bench(tmp_path, model=f"keithley-{model}")) as session:
        assert session.ask("print(localnode.model)") == model.upper()
        assert session.ask("print(smub == nil)") == ("true" if channels == 1 else "false")
        session.write("smua.source.limiti = 1e-3")
        for each in volts:
            session.write(f"smua.source.rangev = {0.9 * each}")
            assert session.numbers("print(smua.source.rangev)") == [pytest.approx(each)]
        for each in amperes:
            session.write(f"smua.measure.rangei = {0.9 * each}")
            assert session.numbers("print(smua.measure.rangei)") == [pytest.approx(each)]
        session.write(f"smua.source.limitv = {limits[0]}", f"smua.source.limiti = {limits[1]}")
        assert session.error() == OK
        assert session.fails(f"smua.source.limitv = {0.9 * limits[0]}")[0] == 1103
        assert session.fails(f"smua.source.limiti = {0.9 * limits[1]}")[0] == 1103
        assert session.fails(f"smua.source.rangev = {1.1 * volts[-1]}")[0] == 1102


def test_sources_reach_101_percent_of_a_range(smu: Talk) -> None:
    smu.write("smua.source.rangev = 20", "smua.source.levelv = 20.2")
    assert smu.numbers("print(smua.source.levelv, smua.source.rangev)") == [20.2, 20.0]
    assert smu.fails("smua.source.levelv = 20.3")[0] == 1102
    smu.write("smua.source.autorangev = 1", "smua.source.levelv = 20.3")
    assert smu.numbers("print(smua.source.rangev)") == [200.0]


def test_the_highest_range_allows_less_current(smu: Talk) -> None:
    smu.write("smua.source.rangev = 2", "smua.source.limiti = 1")
    assert smu.fails("smua.source.rangev = 200")[0] == 1102
    smu.write("smua.source.limiti = 0.1", "smua.source.rangev = 200")
    assert smu.error() == OK
    assert smu.fails("smua.source.limiti = 0.2")[0] == 1102


@pytest.mark.parametrize("options", [{"lid": "open"}, {"interlock": "ajar"}, {"line_frequency": 55}])
def test_options_there_are_not(tmp_path: Path, options: dict[str, str | int]) -> None:
    with open_bench(write_bench(tmp_path)) as bench, pytest.raises(ValueError, match=next(iter(options))):
        build_twin("x", SimulatedTwin(model="keithley-2636b", options=options), bench.world)


# ---- measuring ------------------------------------------------------------------------------------------------------
def test_the_exchange_of_the_manual(smu: Talk) -> None:
    """`smua.source.levelv = 0.2`, then current and status in one print: instruments §2.1."""
    smu.write("smua.source.output = smua.OUTPUT_ON", "smua.source.levelv = 0.2")
    current, condition = smu.numbers("print(smua.measure.i(), status.measurement.instrument.smua.condition)")
    assert current == pytest.approx(2e-6, rel=1e-3)
    assert condition == 0
    assert smu.ask("print(smua.source.output)") == "1.00000e+00"


def test_four_functions_agree(smu: Talk) -> None:
    smu.write("smua.source.output = 1 smua.source.levelv = 1")
    current, voltage = smu.numbers("print(smua.measure.iv())")
    assert voltage == pytest.approx(1, rel=1e-3)
    assert current == pytest.approx(1e-5, rel=1e-3)
    assert smu.numbers("print(smua.measure.r(), smua.measure.p())") == pytest.approx([1e5, 1e-5], rel=2e-3)


def test_an_output_that_is_off_holds_zero(smu: Talk) -> None:
    smu.write("smua.source.levelv = 1")
    assert abs(smu.numbers("print(smua.measure.v())")[0]) < 1e-3
    smu.write("smua.source.output = smua.OUTPUT_HIGH_Z")
    assert smu.ask("print(smua.source.output)") == "2.00000e+00"


def test_compliance_of_a_voltage_source_is_bit_1(smu: Talk) -> None:
    smu.write("smua.source.limiti = 1e-6 smua.source.levelv = 1 smua.source.output = 1")
    current, voltage = smu.numbers("print(smua.measure.iv())")
    assert (current, voltage) == pytest.approx((1e-6, 0.1), rel=2e-3)
    assert smu.ask("print(smua.source.compliance)") == "true"
    assert smu.numbers("print(status.measurement.instrument.smua.condition)")[0] == 2
    assert smu.numbers("print(status.measurement.current_limit.condition)") == [2]
    smu.write("smua.source.levelv = 0.05")
    assert smu.numbers("print(status.measurement.instrument.smua.condition)")[0] == 2, (
        "as of the last reading"
    )
    assert smu.ask("print(smua.source.compliance)") == "false"
    assert smu.numbers("print(status.measurement.instrument.smua.condition)")[0] == 0


def test_compliance_of_a_current_source_is_bit_0(smu: Talk) -> None:
    smu.write(
        "smua.source.func = 0 smua.source.limitv = 0.5 smua.source.leveli = 1e-4 smua.source.output = 1"
    )
    assert smu.numbers("print(smua.measure.v())")[0] == pytest.approx(0.5, rel=1e-3)
    assert smu.numbers("print(status.measurement.instrument.smua.condition)")[0] == 1


def test_over_the_range_is_no_number(smu: Talk) -> None:
    smu.write("smua.source.output = 1 smua.source.levelv = 1", "smua.measure.rangei = 1e-6")
    assert smu.ask("print(smua.measure.i())") == "9.91000e+37"
    assert smu.numbers("print(status.measurement.instrument.smua.condition)")[0] == 128
    smu.write("smua.measure.rangei = 1e-5")
    assert smu.numbers("print(smua.measure.i())")[0] == pytest.approx(1e-5, rel=1e-3)


def test_autorange_finds_the_range_above_its_lowest(smu: Talk) -> None:
    smu.write("smua.source.output = 1 smua.source.levelv = 1e-3")
    assert smu.numbers("print(smua.measure.i(), smua.measure.rangei)") == pytest.approx(
        [1e-8, 1e-8], rel=1e-2
    )
    smu.write("smua.measure.lowrangei = 1e-6")
    assert smu.numbers("print(smua.measure.i(), smua.measure.rangei)")[1] == 1e-6


@pytest.mark.parametrize(("plc", "factor"), [(1.0, 1.0), (0.1, 10.0), (0.001, 1000.0)])
def test_noise_grows_as_the_aperture_shrinks(smu: Talk, plc: float, factor: float) -> None:
    smu.write(
        f"smua.measure.nplc = {plc} smua.measure.count = 200 smua.measure.autozero = 0",
        "smua.measure.rangei = 1e-6 smua.source.output = 1 smua.source.levelv = 0.05",
        "smua.measure.i(smua.nvbuffer1)",
    )
    assert np.std(readings(smu)) == pytest.approx(2.7e-12 * factor, rel=0.2)


def test_every_instrument_has_errors_of_its_own_and_the_same_ones_again(tmp_path: Path) -> None:
    means = []
    for address in (SOCKET, GPIB, SOCKET):
        with talk(write_bench(tmp_path), address) as session:
            session.write("smua.source.output = 1 smua.source.levelv = 0.05 smua.measure.count = 20")
            session.write("smua.measure.i(smua.nvbuffer1)")
            means.append(float(np.mean(readings(session))))
    assert means[0] == means[2]
    assert means[0] != means[1]
    assert means == pytest.approx([5e-7] * 3, rel=1e-3)


def test_a_low_range_settles_slowly_unless_it_is_waited_for(smu: Talk) -> None:
    smu.write(
        "smua.measure.rangei = 1e-9 smua.measure.nplc = 0.01 smua.measure.autozero = 0 smua.measure.delay = 0",
        "smua.source.output = 1",
        "delay(1) smua.measure.i() smua.source.levelv = 5e-5",
        "early = smua.measure.i() delay(0.2) late = smua.measure.i()",
    )
    early, late = smu.numbers("print(early, late)")
    assert late == pytest.approx(5e-10, abs=3e-12)
    assert early < 0.3 * late
    smu.write("smua.measure.delay = smua.DELAY_AUTO", "smua.source.levelv = 0 smua.measure.i()")
    waited = smu.numbers(
        "timer.reset() smua.source.levelv = 5e-5 x = smua.measure.i() print(x, timer.measure.t())"
    )
    assert waited[0] == pytest.approx(5e-10, abs=3e-12)
    assert 0.05 < waited[1] < 0.06


@pytest.mark.parametrize(("plc", "seconds"), [(1.0, 20e-3), (0.01, 0.2e-3)])
def test_a_reading_takes_its_aperture(smu: Talk, plc: float, seconds: float) -> None:
    smu.write(
        f"smua.measure.nplc = {plc} smua.measure.autozero = smua.AUTOZERO_ONCE smua.measure.count = 100"
    )
    smu.write("smua.measure.rangei = 1e-3 smua.source.output = 1")
    (taken,) = smu.numbers("timer.reset() smua.measure.i() print(timer.measure.t())")
    assert taken / 100 == pytest.approx(seconds + 33e-6, rel=0.02)


def test_the_filter_and_the_offset(smu: Talk) -> None:
    smu.write(
        "smua.measure.rangei = 1e-6 smua.measure.nplc = 0.001 smua.measure.count = 100 smua.measure.autozero = 0"
    )
    smu.write("smua.source.output = 1 smua.source.levelv = 0.05", "smua.measure.i(smua.nvbuffer1)")
    plain = np.std(readings(smu))
    smu.write("smua.measure.filter.count = 25 smua.measure.filter.type = smua.FILTER_REPEAT_AVG")
    smu.write("smua.measure.filter.enable = 1", "smua.measure.i(smua.nvbuffer1)")
    assert np.std(readings(smu)) == pytest.approx(plain / 5, rel=0.3)
    assert smu.numbers("print(smua.nvbuffer1.statuses[1])")[0] == 0x80 + 0x08
    smu.write("smua.measure.filter.enable = 0 smua.measure.count = 1 smua.measure.nplc = 1")
    smu.write("smua.measure.rel.leveli = smua.measure.i() smua.measure.rel.enablei = smua.REL_ON")
    smu.write("x = smua.measure.i(smua.nvbuffer1)")
    assert abs(smu.numbers("print(x)")[0]) < 2e-11
    assert smu.numbers("print(smua.nvbuffer1.statuses[1])")[0] == 0x20 + 0x08


# ---- interlock ------------------------------------------------------------------------------------------------------
def test_an_open_interlock_keeps_the_highest_range_off(tmp_path: Path) -> None:
    with talk(write_bench(tmp_path, options="interlock: open")) as session:
        session.write("smua.source.limiti = 1e-3", "smua.source.rangev = 200")
        assert session.fails("smua.source.output = 1") == (802, "OUTPUT blocked by interlock")
        assert session.ask("print(smua.source.output)") == "0.00000e+00"
        session.write("smua.source.rangev = 20", "smua.source.output = 1")
        assert session.error() == OK
        assert session.fails("smua.source.rangev = 200")[0] == 802
        assert session.ask("print(smua.source.output)") == "0.00000e+00", "it went off"
        assert session.numbers("print(status.measurement.condition)") == [0]


def test_an_open_output_enable_line_acts_where_it_is_asked_to(tmp_path: Path) -> None:
    with talk(write_bench(tmp_path, model="keithley-2602b", options="interlock: open")) as session:
        session.write("smua.source.output = 1")
        assert session.error() == OK
        session.write("smua.source.output = 0 smua.source.outputenableaction = smua.OE_OUTPUT_OFF")
        assert session.fails("smua.source.output = 1") == (802, "OUTPUT blocked by output enable")


# ---- buffers --------------------------------------------------------------------------------------------------------
def test_a_buffer_keeps_what_it_is_told_to(smu: Talk) -> None:
    smu.write(
        "smua.nvbuffer1.clear() smua.nvbuffer1.collecttimestamps = 1 smua.nvbuffer1.collectsourcevalues = 1"
    )
    smu.write(
        "smua.source.output = 1 smua.measure.nplc = 0.1 smua.measure.rangei = 1e-5 smua.nvbuffer1.appendmode = 1"
    )
    smu.write("for v = 1, 3 do smua.source.levelv = v / 10 smua.measure.i(smua.nvbuffer1) end")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [3]
    assert readings(smu) == pytest.approx([1e-6, 2e-6, 3e-6], rel=0.01)
    rows = smu.numbers(
        "printbuffer(1, 3, smua.nvbuffer1.sourcevalues, smua.nvbuffer1.timestamps, smua.nvbuffer1.statuses)"
    )
    assert rows[0::3] == pytest.approx([0.1, 0.2, 0.3])
    assert rows[1] == 0
    assert rows[4] > 6e-3, "an aperture and two of autozero each"
    assert rows[2::3] == [8, 8, 8], "the source was on an automatic range"
    assert (
        smu.ask("print(smua.nvbuffer1.measurefunctions[1], smua.nvbuffer1.sourcefunctions[1])")
        == "Current\tVoltage"
    )
    assert smu.numbers("print(smua.nvbuffer1[2], smua.nvbuffer1.readings[2])")[0] == pytest.approx(
        2e-6, rel=0.01
    )
    assert smu.ask("print(smua.nvbuffer1[4])") == "nil"
    assert smu.fails("smua.nvbuffer1.collecttimestamps = 0")[0] > 0
    mean, highest = smu.numbers("s = smua.buffer.getstats(smua.nvbuffer1) print(s.mean, s.max.reading)")
    assert (mean, highest) == pytest.approx((2e-6, 3e-6), rel=0.01)


def test_a_buffer_overwrites_or_appends(smu: Talk) -> None:
    smu.write("smua.measure.i(smua.nvbuffer1) smua.measure.i(smua.nvbuffer1)")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [1]
    smu.write("smua.nvbuffer1.appendmode = 1 smua.measure.i(smua.nvbuffer1)")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [2]
    smu.write("smua.nvbuffer1.clear()")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [0]


def test_a_buffer_of_a_script(smu: Talk) -> None:
    smu.write("mine = smua.makebuffer(2) mine.appendmode = 1")
    assert smu.numbers("print(mine.capacity, mine.n)") == [2, 0]
    assert smu.fails("for n = 1, 3 do smua.measure.v(mine) end")[0] > 0
    assert smu.numbers("print(mine.n)") == [2]
    assert smu.fails("smua.measure.i(5)") == (-104, "Data type error")


def test_a_binary_block_ends_where_the_count_says(smu: Talk) -> None:
    """4 n + 3 bytes: a line feed inside is a byte of a number (instruments §2.1)."""
    smu.write("smua.measure.count = 50 smua.measure.nplc = 0.01 smua.measure.i(smua.nvbuffer1)")
    smu.write("format.data = format.REAL32 printbuffer(1, 50, smua.nvbuffer1)")
    data = smu.visa.read_bytes(4 * 50 + 3)
    assert (data[:2], data[-1:]) == (b"#0", b"\n")
    values = np.frombuffer(data, "<f4", 50, 2)
    smu.write("format.data = format.ASCII")
    assert values == pytest.approx(readings(smu), rel=1e-4)


# ---- trigger model --------------------------------------------------------------------------------------------------
SWEEP = [
    "smua.measure.nplc = 0.01 smua.measure.autozero = 1 smua.measure.rangei = 1e-5 smua.source.rangev = 2",
    "smua.nvbuffer1.clear() smua.nvbuffer1.collecttimestamps = 1",
    "smua.trigger.source.linearv(0, 1, 11) smua.trigger.source.action = smua.ENABLE",
    "smua.trigger.measure.iv(smua.nvbuffer1, smua.nvbuffer2) smua.trigger.measure.action = smua.ENABLE",
    "smua.trigger.count = 11 smua.source.output = 1",
]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ("linearv(0, 1, 5)", [0, 0.25, 0.5, 0.75, 1]),
        ("logv(0.01, 1, 5)", [0.01, 0.0316228, 0.1, 0.316228, 1]),
        ("logv(-1, -0.01, 3)", [-1, -0.1, -0.01]),
        ("listv({0.3, -0.2, 0.7})", [0.3, -0.2, 0.7]),
    ],
)
def test_sweeps(smu: Talk, levels: str, expected: list[float]) -> None:
    smu.write(*SWEEP, f"smua.trigger.source.{levels} smua.trigger.count = {len(expected)}")
    smu.write("smua.trigger.initiate() waitcomplete()")
    assert smu.error() == OK
    assert readings(smu, "smua.nvbuffer2") == pytest.approx(expected, abs=3e-3)
    assert readings(smu) == pytest.approx([level / 1e5 for level in expected], abs=3e-8)
    assert smu.numbers("print(smua.source.levelv)") == [0], "idle is where it began"


def test_a_sweep_may_hold_its_last_level(smu: Talk) -> None:
    smu.write(
        *SWEEP, "smua.trigger.endsweep.action = smua.SOURCE_HOLD", "smua.trigger.initiate() waitcomplete()"
    )
    assert smu.numbers("print(smua.source.levelv)") == [1]


def test_a_sweep_may_have_a_limit_of_its_own(smu: Talk) -> None:
    smu.write(*SWEEP, "smua.trigger.source.limiti = 5e-6", "smua.trigger.initiate() waitcomplete()")
    assert max(readings(smu)) == pytest.approx(5e-6, rel=5e-3)
    assert smu.numbers("print(smua.nvbuffer1.statuses[5], smua.nvbuffer1.statuses[11])") == [0, 0x40]
    assert smu.numbers("print(smua.source.limiti)") == [0.1]
    smu.write("smua.trigger.source.limiti = smua.LIMIT_AUTO", "smua.trigger.initiate() waitcomplete()")
    assert max(readings(smu)) == pytest.approx(1e-5, rel=5e-3)
    assert smu.fails("smua.trigger.source.limiti = 3")[0] == 1102


def test_a_sweep_goes_on_while_other_commands_are_obeyed(smu: Talk) -> None:
    smu.write(*SWEEP, "smua.trigger.count = 1001", "smua.trigger.initiate()")
    assert smu.numbers("print(status.operation.sweeping.condition)") == [2]
    assert smu.fails("smua.trigger.initiate()")[0] == -213
    looks = 0
    while smu.numbers("print(status.operation.sweeping.condition)") == [2]:
        looks += 1
    assert 1 < looks < 10, "a host that asks again has waited meanwhile"
    assert smu.numbers("print(smua.nvbuffer1.n)") == [1001]
    smu.write("smua.trigger.initiate()", "smua.abort()")
    assert smu.numbers("print(status.operation.sweeping.condition)") == [0]
    smu.write("smua.trigger.initiate() opc()")
    assert smu.ask("*ESR?") == "144", "on since power-on, one refusal, and not complete"
    assert smu.ask("*OPC?") == "1"
    assert smu.ask("*ESR?") == "1"


def test_a_service_request_when_the_sweep_is_done(tmp_path: Path) -> None:
    """The maker's example: operation.sweeping with ntr, final status byte 192 (instruments §2.1)."""
    with talk(write_bench(tmp_path), GPIB) as session:
        session.write(
            *SWEEP,
            "status.reset()",
            "status.operation.sweeping.ptr = 0 status.operation.sweeping.ntr = status.operation.sweeping.SMUA",
            "status.operation.sweeping.enable = status.operation.sweeping.SMUA",
            "status.operation.enable = status.operation.SWEEPING",
            "status.request_enable = status.OSB",
            "smua.trigger.initiate()",
        )
        polls = [session.visa.read_stb() for _ in range(12)]
        assert polls[0] == 0
        assert polls[-1] == 128, "a poll clears the request"
        assert 192 in polls
        assert session.error() == OK


def test_a_sweep_that_waits_for_nothing_cannot_be_waited_for(smu: Talk) -> None:
    smu.write(*SWEEP, "smua.trigger.arm.stimulus = trigger.EVENT_ID", "smua.trigger.initiate()")
    code, words = smu.fails("waitcomplete()")
    assert (code, "aborted" in words) == (-286, True)
    assert smu.numbers("print(smua.nvbuffer1.n)") == [0]
    smu.write("*TRG")
    smu.write("waitcomplete()")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [11]


PULSES = [
    "smua.reset() smua.measure.nplc = 0.001 smua.measure.autozero = 1 smua.measure.delay = 0 smua.source.rangev = 2",
    "smua.measure.rangei = 1e-5 smua.nvbuffer1.clear() smua.nvbuffer1.collecttimestamps = 1",
    "smua.trigger.source.listv({1}) smua.trigger.source.action = 1 smua.trigger.count = 4",
    "smua.trigger.measure.iv(smua.nvbuffer1, smua.nvbuffer2) smua.trigger.measure.action = 1",
    "trigger.timer[1].delay = 10e-3 trigger.timer[1].count = 3 trigger.timer[1].passthrough = true",
    "trigger.timer[1].stimulus = smua.trigger.ARMED_EVENT_ID",
    "trigger.timer[2].delay = 927e-6 trigger.timer[2].stimulus = trigger.timer[1].EVENT_ID",
    "trigger.timer[3].delay = 1e-3 trigger.timer[3].stimulus = trigger.timer[1].EVENT_ID",
    "smua.trigger.source.stimulus = trigger.timer[1].EVENT_ID",
    "smua.trigger.measure.stimulus = trigger.timer[2].EVENT_ID",
    "smua.trigger.endpulse.stimulus = trigger.timer[3].EVENT_ID",
    "smua.trigger.endpulse.action = smua.SOURCE_IDLE smua.source.output = 1",
]


def test_pulses_as_in_the_makers_example(smu: Talk) -> None:
    """Timer 1 is the period, 2 the wait before the measurement, 3 the width (instruments §2.1)."""
    smu.write(*PULSES, "timer.reset() smua.trigger.initiate() waitcomplete()")
    assert smu.error() == OK
    assert readings(smu, "smua.nvbuffer2") == pytest.approx([1] * 4, abs=0.03)
    times = smu.numbers("printbuffer(1, 4, smua.nvbuffer1.timestamps)")
    assert np.diff(times) == pytest.approx([10e-3] * 3, abs=2e-6)
    assert smu.numbers("print(smua.source.levelv)") == [0]
    (took,) = smu.numbers("print(timer.measure.t())")
    assert took == pytest.approx(31e-3, abs=2e-3)


def test_a_blender_joins_events(smu: Talk) -> None:
    smu.write(
        *SWEEP,
        "smua.trigger.arm.stimulus = trigger.blender[1].EVENT_ID",
        "trigger.blender[1].stimulus[1] = trigger.generator[1].EVENT_ID",
        "trigger.blender[1].stimulus[2] = trigger.EVENT_ID",
        "smua.trigger.initiate()",
        "trigger.generator[1].assert()",
    )
    assert smu.numbers("print(smua.nvbuffer1.n)") == [0], "it waits for both"
    smu.write("*TRG", "waitcomplete()")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [11]
    smu.write(
        "trigger.blender[1].orenable = true", "smua.trigger.initiate()", "trigger.generator[1].assert()"
    )
    smu.write("waitcomplete()")
    assert smu.numbers("print(smua.nvbuffer1.n)") == [11]
    assert smu.error() == OK


def test_two_channels_step_together(smu: Talk) -> None:
    smu.write(*SWEEP, *(line.replace("smua", "smub") for line in SWEEP))
    smu.write("smub.trigger.source.stimulus = smua.trigger.SOURCE_COMPLETE_EVENT_ID")
    smu.write("smub.trigger.initiate() smua.trigger.initiate() waitcomplete()")
    assert smu.error() == OK
    assert smu.numbers("print(smua.nvbuffer1.n, smub.nvbuffer1.n)") == [11, 11]
    assert readings(smu, "smub.nvbuffer2") == pytest.approx(np.linspace(0, 1, 11), abs=3e-3)


def test_an_overlapped_measurement(smu: Talk) -> None:
    smu.write(
        "smua.measure.nplc = 25 smua.source.output = 1",
        "smua.measure.overlappediv(smua.nvbuffer1, smua.nvbuffer2) print(smua.nvbuffer1.n)",
    )
    assert smu.visa.read() == "0.00000e+00", "it has only begun"
    smu.write("waitcomplete()")
    assert smu.numbers("print(smua.nvbuffer1.n, smua.nvbuffer2.n)") == [1, 1]


def test_measure_and_step(smu: Talk) -> None:
    smu.write("smua.source.output = 1 smua.source.levelv = 0.1 smua.nvbuffer1.appendmode = 1")
    smu.write("i = smua.measureiandstep(smua.nvbuffer1, 0.2) j, v = smua.measureivandstep(0.3)")
    assert smu.numbers("print(i, j, v, smua.source.levelv)") == pytest.approx(
        [1e-6, 2e-6, 0.2, 0.3], rel=2e-3
    )


# ---- factory pulse scripts ------------------------------------------------------------------------------------
READY = [
    "smua.source.rangev = 2 smua.measure.rangei = 1e-4 smua.measure.nplc = 0.01 smua.measure.autozero = 1",
    "smua.nvbuffer1.clear() smua.nvbuffer1.appendmode = 1 smua.nvbuffer1.collecttimestamps = 1",
]


def test_a_pulse_train_by_its_tag(smu: Talk) -> None:
    smu.write(*READY)
    configure = "ok, words = ConfigPulseVMeasureI(smua, 0, 1, 1e-3, 1e-3, 9e-3, 5, smua.nvbuffer1, 1)"
    assert smu.ask(f"{configure} print(ok)") == "true"
    assert smu.ask("ok, words = InitiatePulseTest(1) print(ok, words)") == "false\tThe SMU output must be on"
    smu.write("smua.source.output = 1")
    assert smu.ask("ok, words = InitiatePulseTest(1) print(ok)") == "true"
    assert readings(smu) == pytest.approx([1e-5] * 5, abs=1e-7)
    times = smu.numbers("printbuffer(1, 5, smua.nvbuffer1.timestamps)")
    assert np.diff(times) == pytest.approx([10e-3] * 4, abs=2e-6)
    assert smu.ask("c = QueryPulseConfig(1) print(c.ton, c.points, c.level, c.smu == smua)").split("\t")[:3] == [
        "1.00000e-03", "5.00000e+00", "1.00000e+00",
    ]  # fmt: skip
    assert "ton = 0.001" in "".join(smu.ask("print(string.gsub(c.tostring(), '\\n', ' '))"))
    assert smu.ask("print(QueryPulseConfig(2))") == "nil"


def test_pulse_sweeps(smu: Talk) -> None:
    smu.write(*READY, "smua.source.output = 1")
    for kind, levels in (("Lin", [0.5, 1, 1.5]), ("Log", [0.02, 0.2, 2])):
        smu.write("smua.nvbuffer1.clear()")
        ends = f"{levels[0]}, {levels[-1]}"
        smu.write(
            f"f, m = ConfigPulseVMeasureISweep{kind}(smua, 0, {ends}, 1e-3, 1e-3, 1e-2, 3, smua.nvbuffer1, 2)"
        )
        assert smu.ask("f, m = InitiatePulseTest(2) print(f, m)").startswith("true")
        assert readings(smu) == pytest.approx([level / 1e5 for level in levels], abs=1e-7)


@pytest.mark.parametrize(
    ("spoil", "arguments", "words"),
    [
        ("smua.measure.autozero = 2", "0, 1, 1e-3, 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "Autozero"),
        ("smua.measure.autorangei = 1", "0, 1, 1e-3, 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "autorange"),
        ("smua.nvbuffer1.appendmode = 0", "0, 1, 1e-3, 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "appendmode"),
        ("x = 1", "0, 1, 1e-3, 10e-6, 1e-2, 5, smua.nvbuffer1, 1", "ton"),
        ("smua.measure.nplc = 1", "0, 1, 1e-3, 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "nplc"),
        ("x = 1", "0, 50, 1e-3, 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "outside"),
        ("x = 1", "0, 1, 1e-3, 1e-3, 1e-2", "missing"),
        ("x = 1", "0, 1, 'much', 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "number"),
        ("smua.source.func = 0", "0, 1, 1e-3, 1e-3, 1e-2, 5, smua.nvbuffer1, 1", "function"),
    ],
)
def test_a_pulse_train_that_cannot_be(smu: Talk, spoil: str, arguments: str, words: str) -> None:
    smu.write(*READY, spoil)
    reply = smu.ask(f"ok, words = ConfigPulseVMeasureI(smua, {arguments}) print(ok, words)")
    assert reply.startswith("false\t")
    assert words in reply


def test_the_older_pulse_script(smu: Talk) -> None:
    smu.write(READY[0], "PulseVMeasureI(smua, 0, 1, 1e-3, 1e-2, 3)")
    assert readings(smu) == pytest.approx([1e-5] * 3, abs=1e-7)
    assert smu.ask("print(smua.source.output)") == "0.00000e+00"


def test_reset_leaves_readings_and_nothing_else(smu: Talk) -> None:
    smu.write(*SWEEP, "smua.trigger.initiate() waitcomplete()", "smua.sense = smua.SENSE_REMOTE", "reset()")
    found = smu.numbers(
        "print(smua.source.output, smua.measure.nplc, smua.sense, smua.source.autorangev, smua.trigger.count, "
        "smua.nvbuffer1.n, smua.measure.delay, smua.source.limiti)"
    )
    assert found == [0, 1, 0, 1, 1, 11, -1, 0.1]
    assert math.isclose(smu.numbers("print(smua.trigger.arm.stimulus)")[0], 0)
