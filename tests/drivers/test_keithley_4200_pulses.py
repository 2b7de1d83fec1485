"""The pulse card of a simulated 4200A as its maker's examples command it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_4200 import bench, plain


def send(k4200: Any, *lines: str) -> None:
    for line in lines:
        assert k4200.query(line) == "ACK", line


def run(k4200: Any) -> None:
    send(k4200, ":PMU:EXECUTE")
    assert k4200.query(":PMU:TEST:STATUS?") == "1"
    while k4200.query(":PMU:TEST:STATUS?") != "0":
        pass


def table(k4200: Any, channel: int) -> np.ndarray:
    count = int(k4200.query(f":PMU:DATA:COUNT? {channel}"))
    rows: list[list[float]] = []
    for start in range(0, count, 2048):
        reply = k4200.query(f":PMU:DATA:GET {channel}, {start}, 2048")
        rows += [[float(each) for each in row.split(",")] for row in reply.split(";")]
    assert len(rows) == count
    return np.array(rows)


SINGLE = (
    ":PMU:INIT 0",
    ":PMU:RPM:CONFIGURE PMU1-1, 0",
    ":PMU:MEASURE:RANGE 1, 2, 1e-3",
    ":PMU:PULSE:TRAIN 1, 0.0, 5.0",
    ":PMU:MEASURE:MODE 2",
    ":PMU:PULSE:TIMES 1, 100e-6, 50e-6, 5e-6, 5e-6",
    ":PMU:PULSE:BURST:COUNT 1",
    ":PMU:OUTPUT:STATE 1, 1",
)


def test_a_pulse_and_its_waveform(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE)
        run(k4200)
        assert k4200.query(":ERROR:LAST:GET") == ""
        found = table(k4200, 1)
        volts, amperes, times_s, _ = found.T
        # 5 V of the open output behind 50 Ohm, into 10 kOhm
        top = (times_s > 10e-6) & (times_s < 45e-6)
        assert volts[top].mean() == pytest.approx(5.0 * 1e4 / 10050, rel=1e-3)
        assert amperes[top].mean() == pytest.approx(5.0 / 10050, rel=2e-3)
        assert volts[top].std() == pytest.approx(2e-3, rel=0.1)
        # width is from half to half: 2.5 us + 45 us + 2.5 us
        above = times_s[volts > 2.5]
        assert above.max() - above.min() == pytest.approx(50e-6, rel=5e-3)
        assert np.diff(times_s) == pytest.approx(5e-9, rel=1e-2)


def test_data_is_paged_and_columns_may_be_chosen(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE)
        run(k4200)
        count = int(k4200.query(":PMU:DATA:COUNT? 1"))
        assert count > 3 * 2048
        assert k4200.query(":PMU:DATA:GET 1").count(";") == 2047
        assert k4200.query(f":PMU:DATA:GET 1,{count}") == ""
        assert k4200.query(":PMU:DATA:GET 2") == ""
        first = k4200.query(":PMU:DATA:GET 1,5,1")
        assert first == k4200.query(":PMU:DATA:GET 1,5,1")  # it stays
        assert k4200.query(":PMU:DATA:GET 1,5,1,V,T").split(",") == [first.split(",")[0], first.split(",")[2]]
        send(k4200, ":PMU:DATA:GET 1,0,2049")
        assert k4200.query(":ERROR:LAST:GET") == "Invalid PMU argument. (-969)"
        send(k4200, ":PMU:INIT 0")
        assert k4200.query(":PMU:DATA:COUNT? 1") == "0"


def test_a_second_execution_needs_the_setup_again_or_retaining(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE)
        run(k4200)
        send(k4200, ":PMU:EXECUTE")
        assert "(-967)" in k4200.query(":ERROR:LAST:GET")
        send(k4200, ":ERROR:LAST:CLEAR", *SINGLE, ":PMU:RETAIN:CONFIG 1,1")
        run(k4200)
        run(k4200)
        assert k4200.query(":ERROR:LAST:GET") == ""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (":PMU:PULSE:TIMES 1, 50e-9, 20e-9, 20e-9, 20e-9", -967),
        (":PMU:PULSE:TIMES 1, 1e-6, 100e-9, 10e-9, 20e-9", -967),
        (":PMU:PULSE:TIMES 1, 1e-6, 100e-9, 200e-9, 20e-9", -967),
        (":PMU:PULSE:TIMES 1, 1e-6, 900e-9, 100e-9, 100e-9", -967),
        (":PMU:SOURCE:RANGE 1,40", -967),  # no 1 mA range there
        (":PMU:PULSE:TRAIN 1, -6, 6", -967),
        (":PMU:LOAD 1, 50;:PMU:PULSE:TRAIN 1, 0, 6", -964),
        (":PMU:MEASURE:RANGE 1,2,3e-3", -967),
        (":PMU:MEASURE:MODE 1;:PMU:MEASURE:PIV 1,0,0", -947),
        (":PMU:STEP:PULSE:AMPLITUDE 1,0,1,0.5,0", -953),
        (":PMU:OUTPUT:STATE 1,0", -967),
        (":PMU:PULSE:TIMES 1, 1, 0.5, 1e-3, 1e-3;:PMU:PULSE:BURST:COUNT 10000;:PMU:SAMPLE:RATE 1e3", -952),
    ],
)
def test_settings_are_taken_and_refused_when_executed(tmp_path: Path, line: str, code: int) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE, line)
        assert k4200.query(":ERROR:LAST:GET") == ""
        send(k4200, ":PMU:EXECUTE")
        assert k4200.query(":ERROR:LAST:GET").endswith(f"({code})")


def test_a_sweep_of_spot_means_has_eight_columns(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(
            k4200, ":PMU:INIT 0", ":PMU:RPM:CONFIGURE PMU1-1, 0", ":PMU:CONNECTION:COMP 1, 1, 0",
            ":PMU:LOAD 1, 1e4", ":PMU:MEASURE:MODE 3", ":PMU:SWEEP:PULSE:AMPLITUDE 1, 0, 5, 0.5, 0, 1",
            ":PMU:PULSE:TIMES 1, 1e-5, 5e-6, 2e-8, 2e-8, 0", ":PMU:PULSE:TRAIN 2, 0, 0",
            ":PMU:MEASURE:RANGE 1, 2, 1e-3", ":PMU:PULSE:BURST:COUNT 10", ":PMU:OUTPUT:STATE 1, 1",
        )  # fmt: skip
        run(k4200)
        found = table(k4200, 1)
        assert found.shape == (21, 8)
        expected = [*np.arange(0, 5.1, 0.5), *np.arange(4.5, -0.1, -0.5)]
        assert found[:, 0] == pytest.approx(expected, abs=3e-3)  # LOAD makes up for the 50 Ohm
        assert found[:, 1] == pytest.approx(np.array(expected) / 1e4, abs=1e-6)
        assert found[:, 4] == pytest.approx(np.zeros(21), abs=3e-3)
        assert k4200.query(":PMU:DATA:GET 1,10,1,VH") == f"{found[10, 0]:.6E}"


def test_one_channel_steps_while_the_other_sweeps(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(
            k4200, ":PMU:INIT 0", ":PMU:RPM:CONFIGURE PMU1-1, 0", ":PMU:RPM:CONFIGURE PMU1-2, 0",
            ":PMU:MEASURE:MODE 1", ":PMU:LLEC:CONFIGURE 2, 1", ":PMU:STEP:PULSE:AMPLITUDE 1, 2, 4, 0.5, 0",
            ":PMU:MEASURE:RANGE 1, 2, 0.01", ":PMU:SWEEP:PULSE:AMPLITUDE 2, 0, 5, 1, 0, 0",
            ":PMU:PULSE:TIMES 1, 1e-5, 5e-6, 1e-7, 1e-7", ":PMU:PULSE:TIMES 2, 1e-5, 5e-6, 1e-7, 1e-7, 0",
            ":PMU:MEASURE:RANGE 2, 2, 0.2", ":PMU:OUTPUT:STATE 1, 1", ":PMU:OUTPUT:STATE 2, 1",
        )  # fmt: skip
        run(k4200)
        one, two = table(k4200, 1), table(k4200, 2)
        assert one.shape == two.shape == (5 * 6, 8)
        assert one[::6, 0] == pytest.approx(np.arange(2, 4.1, 0.5) * 1e4 / 10050, abs=5e-3)
        # load-line effect compensation: 1 kOhm sees what was asked for, but for its residual
        assert two[:6, 0] == pytest.approx(np.arange(6) * 1000 / 1000.5, abs=5e-3)


def test_a_current_the_range_cannot_hold_is_limited_and_marked(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE, ":PMU:MEASURE:RANGE 1, 2, 100e-6")
        run(k4200)
        volts, amperes, times_s, _ = table(k4200, 1).T
        top = (times_s > 10e-6) & (times_s < 45e-6)
        assert np.all(amperes[top] == 1e22)
        assert volts[top].mean() == pytest.approx(1.1e-4 * 1e4, rel=1e-2)
        assert np.all(np.abs(amperes[times_s > 56e-6]) < 1e-3)


def test_automatic_ranges_take_the_smallest_that_holds(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE, ":PMU:MEASURE:RANGE 1, 0")
        run(k4200)
        _volts, amperes, times_s, _ = table(k4200, 1).T
        top = (times_s > 10e-6) & (times_s < 45e-6)
        assert amperes[top].std() == pytest.approx(5e-4 * 1e-3, rel=0.1)  # the noise of 1 mA


def test_a_small_range_needs_time_to_settle(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.pmu1_1 -- 10 MOhm -- ground",))
    with plain(path) as k4200:
        send(k4200, *SINGLE, ":PMU:MEASURE:RANGE 1, 2, 1e-6")
        run(k4200)
        _, amperes, times_s, _ = table(k4200, 1).T
        early = amperes[(times_s > 5e-6) & (times_s < 6e-6)].mean()
        late = amperes[(times_s > 40e-6) & (times_s < 50e-6)].mean()
        assert late == pytest.approx(0.5e-6, rel=0.02)
        assert early < 0.75 * late


def test_the_sample_rate_falls_until_the_points_fit(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE, ":PMU:PULSE:BURST:COUNT 10")
        run(k4200)
        found = table(k4200, 1)
        assert 32_768 < len(found) <= 65_536
        times_s = found[:, 2]
        assert times_s[-1] > 9e-4  # of the tenth pulse
        assert np.diff(times_s).min() == pytest.approx(10e-9, rel=1e-3)  # 200 MHz / 2


def test_a_module_that_is_not_switched_to_the_card_lets_nothing_out(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE, ":PMU:RPM:CONFIGURE PMU1-1, 2")
        run(k4200)
        volts = table(k4200, 1)[:, 0]
        assert np.abs(volts).max() < 0.02


def test_abort_is_an_error_while_a_test_runs(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *SINGLE, ":PMU:ABORT")
        assert k4200.query(":ERROR:LAST:GET") == ""
        send(k4200, ":PMU:EXECUTE", ":PMU:ABORT")
        assert k4200.query(":ERROR:LAST:GET") == "Execution Aborted. (-966)"
        assert k4200.query(":PMU:TEST:STATUS?") == "0"


def test_a_card_that_gives_too_much_for_too_long_is_too_hot(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.pmu1_1 -- 1 Ohm -- ground",))
    with plain(path) as k4200:
        send(
            k4200, ":PMU:INIT 0", ":PMU:RPM:CONFIGURE PMU1-1, 0", ":PMU:SOURCE:RANGE 1,40",
            ":PMU:MEASURE:RANGE 1,2,0.8", ":PMU:MEASURE:MODE 3", ":PMU:PULSE:TRAIN 1,0,30",
            ":PMU:PULSE:TIMES 1,1e-3,900e-6,1e-6,1e-6", ":PMU:PULSE:BURST:COUNT 2000", ":PMU:OUTPUT:STATE 1,1",
        )  # fmt: skip
        send(k4200, ":PMU:EXECUTE")
        assert k4200.query(":ERROR:LAST:GET") == "Pulse Instrument has reached thermal limit. (-968)"
        while k4200.query(":PMU:TEST:STATUS?") != "0":
            pass
        assert float(k4200.query(":PMU:DATA:GET 1,0,1,IH")) == 4e22


# ---- segment arb ------------------------------------------------------------------------------------------
ARB = (
    ":PMU:INIT 1",
    ":PMU:RPM:CONFIGURE PMU1-1, 0",
    ":PMU:MEASURE:RANGE 1, 2, 1e-3",
    ":PMU:SARB:SEQ:TIME 1, 1, 1e-6, 1e-7, 1e-6, 1e-7, 1e-6",
    ":PMU:SARB:SEQ:STARTV 1, 1, 0, 0, 1, 1, 0",
    ":PMU:SARB:SEQ:STOPV 1, 1, 0, 1, 1, 0, 0",
    ":PMU:SARB:SEQ:MEAS:TYPE 1, 1, 2, 2, 2, 2, 2",
    ":PMU:SARB:SEQ:MEAS:START 1, 1, 0, 0, 0, 0, 0",
    ":PMU:SARB:SEQ:MEAS:STOP 1, 1, 1e-6, 1e-7, 1e-6, 1e-7, 1e-6",
    ":PMU:SARB:WFM:SEQ:LIST 1, 1, 1",
    ":PMU:OUTPUT:STATE 1, 1",
)


def test_a_simple_segment_arb_pulse(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *ARB)
        run(k4200)
        assert k4200.query(":ERROR:LAST:GET") == ""
        volts, amperes, times_s, _ = table(k4200, 1).T
        assert len(volts) == 3 * 200 + 2 * 20
        top = (times_s > 1.3e-6) & (times_s < 2.0e-6)
        assert volts[top].mean() == pytest.approx(1.0, abs=6e-3)
        assert amperes[top].mean() == pytest.approx(1e-4, rel=0.02)


def test_sequences_loop_and_means_are_one_point_each(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(
            k4200, *ARB, ":PMU:SARB:SEQ:MEAS:TYPE 1,1,0,0,1,0,0", ":PMU:SARB:SEQ:TIME 1,2,1e-6,1e-6,1e-6",
            ":PMU:SARB:SEQ:STARTV 1,2,0,0.5,0.5", ":PMU:SARB:SEQ:STOPV 1,2,0.5,0.5,0",
            ":PMU:SARB:SEQ:MEAS:TYPE 1,2,0,1,0", ":PMU:SARB:SEQ:MEAS:START 1,2,0,2e-7,0",
            ":PMU:SARB:SEQ:MEAS:STOP 1,2,0,8e-7,0", ":PMU:SARB:WFM:SEQ:LIST 1,1,2,2,1,1,1",
        )  # fmt: skip
        run(k4200)
        found = table(k4200, 1)
        assert found[:, 0] == pytest.approx([1.0, 1.0, 0.5, 1.0], abs=6e-3)
        assert np.all(np.diff(found[:, 2]) > 0)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (":PMU:SARB:SEQ:TIME 1,1,1e-6,1e-6;:PMU:SARB:SEQ:STARTV 1,1,0,0", -958),
        (":PMU:SARB:SEQ:TIME 1,1,1e-6,1e-8,1e-6,1e-7,1e-6", -962),
        (":PMU:SARB:SEQ:TIME 1,1,1e-6,1.05e-7,1e-6,1e-7,1e-6", -962),
        (":PMU:SARB:SEQ:STARTV 1,1,0,0,0.9,1,0", -956),
        (":PMU:SARB:SEQ:STOPV 1,1,1e-8,1,1,0,0;:PMU:SARB:SEQ:STARTV 1,1,0,1e-8,1,1,0", -959),
        (":PMU:SARB:SEQ:SSR 1,1,1,1,1,1,0", -962),
        (":PMU:SARB:SEQ:SSR 1,1,0,0,0,0,0", -955),
        (":PMU:SARB:SEQ:STARTV 1,1,0,0", -967),
        (":PMU:SARB:SEQ:MEAS:STOP 1,1,2e-6,1e-7,1e-6,1e-7,1e-6", -957),
        (":PMU:MEASURE:RANGE 1,0", -967),
        (":PMU:SARB:WFM:SEQ:LIST 1,1,1e6", -954),
    ],
)
def test_what_a_segment_arb_is_refused_for(tmp_path: Path, line: str, code: int) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *ARB, line)
        assert k4200.query(":ERROR:LAST:GET") == ""
        send(k4200, ":PMU:EXECUTE")
        assert k4200.query(":ERROR:LAST:GET").endswith(f"({code})")


def test_what_is_refused_at_once(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(k4200, *ARB, ":PMU:SARB:WFM:SEQ:LIST 1,7,1")
        assert k4200.query(":ERROR:LAST:GET") == "Unknown sequence (-961)"
        send(k4200, ":PMU:SARB:SEQ:TIME 1,513,1e-6")
        assert k4200.query(":ERROR:LAST:GET") == "Max sequences (-960)"


def test_values_are_appended_with_add(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        send(
            k4200, *ARB, ":PMU:SARB:SEQ:TIME:ADD 1,1,1e-6", ":PMU:SARB:SEQ:STARTV:ADD 1,1,0",
            ":PMU:SARB:SEQ:STOPV:ADD 1,1,0", ":PMU:SARB:SEQ:MEAS:TYPE:ADD 1,1,1",
            ":PMU:SARB:SEQ:MEAS:START:ADD 1,1,0", ":PMU:SARB:SEQ:MEAS:STOP:ADD 1,1,1e-6",
        )  # fmt: skip
        run(k4200)
        assert int(k4200.query(":PMU:DATA:COUNT? 1")) == 3 * 200 + 2 * 20 + 1
