"""Sweeps, samplings and pulses of the B1500A twin, as any program runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flex_bench import bench_file, drained, plain

from drivers.simulated.registry import open_bench

QUICK = "CN 1,2;AAD 1,0;AIT 0,3,2E-5;RI 1,-15;FMT 11,1;TSC 0"


@pytest.fixture
def b1500(tmp_path: Path) -> Iterator[Any]:
    resource = plain(bench_file(tmp_path))
    resource.write(QUICK)
    yield resource
    resource.close()


def run(b1500: Any, *setup: str) -> list[str]:
    """Set up, trigger, and return the words."""
    for message in (*setup, "XE"):
        b1500.write(message)
    found: list[str] = b1500.read().split(",")
    assert drained(b1500) == []
    return found


def of(words: list[str], kind: str) -> list[float]:
    return [float(word[3:]) for word in words if word[2] == kind]


# ---- staircase ------------------------------------------------------------------------------------------
def test_a_staircase_measures_at_each_step_and_tells_its_level(b1500: Any) -> None:
    words = run(b1500, "MM 2,1;WV 1,1,0,0,0.4,5,1E-3")
    assert [word[:3] for word in words] == ["NAI", "WAV"] * 4 + ["NAI", "EAV"]
    np.testing.assert_allclose(of(words, "V"), [0, 0.1, 0.2, 0.3, 0.4], atol=1e-9)
    np.testing.assert_allclose(of(words, "I"), np.array([0, 1, 2, 3, 4]) * 1e-6, atol=3e-9)


def test_a_logarithmic_one_keeps_its_ratio(b1500: Any) -> None:
    levels = of(run(b1500, "MM 2,1;WV 1,2,0,0.01,1,3,1E-3"), "V")
    np.testing.assert_allclose(levels, [0.01, 0.1, 1.0], rtol=1e-4)


@pytest.mark.parametrize(
    ("mode", "levels"), [(3, [0, 0.1, 0.2, 0.2, 0.1, 0]), (4, [0.1, 0.2, 0.4, 0.4, 0.2, 0.1])]
)
def test_up_and_down_repeats_the_last_point(b1500: Any, mode: int, levels: list[float]) -> None:
    ends = f"{levels[0]},{max(levels)}"
    words = run(b1500, f"MM 2,1;WV 1,{mode},0,{ends},3,1E-3")
    np.testing.assert_allclose(of(words, "V"), levels, atol=1e-6)


def test_a_second_source_goes_in_step(b1500: Any) -> None:
    words = run(b1500, "FMT 11,2;MM 2,1,2;RI 2,-16;WV 1,1,0,0,0.2,3,1E-3;WSV 2,0,0.1,0.5,1E-3")
    assert [word[:3] for word in words[:3]] == ["NAI", "NBI", "WBV"]
    np.testing.assert_allclose(of(words, "V"), [0.1, 0.3, 0.5], atol=1e-6)
    np.testing.assert_allclose(of(words, "I")[1::2], [1e-5, 3e-5, 5e-5], rtol=3e-3)


def test_time_stamps_count_from_the_reset_timer(b1500: Any) -> None:
    words = run(b1500, "TSC 1;MM 2,1;WT 0.1,0.02,0.05;WV 1,1,0,0,0.2,3,1E-3;TSR")
    assert [word[:3] for word in words[:3]] == ["NAT", "NAI", "WAV"]
    times = of(words, "T")
    assert times[0] == pytest.approx(0.12, abs=2e-3)
    np.testing.assert_allclose(np.diff(times), 0.07, atol=1e-3)


@pytest.mark.parametrize(("post", "level"), [(1, "+000.000E-03"), (2, "+400.000E-03")])
def test_it_stays_where_wm_says(b1500: Any, post: int, level: str) -> None:
    run(b1500, f"MM 2,1;WM 1,{post};WV 1,1,0,0,0.4,3,1E-3")
    assert b1500.query("*LRN? 1").split(",")[2] == level


def test_an_automatic_abort_ends_at_the_compliance_with_dummies(b1500: Any) -> None:
    words = run(b1500, "MM 2,1;WM 2,1;WV 1,1,0,0,1,5,4E-6")
    assert [word[0] for word in words if word[2] == "I"] == ["N", "N", "C", "V", "V"]
    assert words[6] == words[8] == "VAI+199.9999E+99"
    assert [word[0] for word in words if word[2] == "V"] == ["W", "W", "W", "W", "E"]


def test_a_power_compliance_lowers_the_limit(b1500: Any) -> None:
    words = run(b1500, "MM 2,1;WV 1,1,0,0.1,1,4,1E-3,4E-6")
    assert [word[0] for word in words if word[2] == "I"] == ["N", "N", "C", "C"]
    np.testing.assert_allclose(of(words, "I"), [1e-6, 4e-6, 4e-6 / 0.7, 4e-6], rtol=1e-2)


def test_a_current_sweep_measures_voltages(b1500: Any) -> None:
    words = run(b1500, "RV 1,-20;MM 2,1;WI 1,1,0,0,1E-5,3,2")
    assert [word[:3] for word in words[:2]] == ["NAV", "WAI"]
    np.testing.assert_allclose([float(word[3:]) for word in words[::2]], [0, 0.5, 1.0], atol=1e-3)


def test_both_quantities_of_a_channel(b1500: Any) -> None:
    words = run(b1500, "FMT 11,0;CMM 1,4;MM 2,1;WV 1,1,0,0.1,0.2,2,1E-3")
    assert [word[:3] for word in words] == ["NAI", "NAV"] * 2


# ---- sampling -------------------------------------------------------------------------------------------
def test_samples_come_at_their_interval(b1500: Any) -> None:
    words = run(b1500, "TSC 1;MM 10,1;MV 1,0,0,0.2,1E-3;MT 0,0.0002,6;TSR")
    assert [word[:3] for word in words[:3]] == ["NZX", "NAT", "NAI"]
    assert of(words, "X") == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(np.diff(of(words, "T")), 2e-4, atol=2e-6)
    np.testing.assert_allclose(of(words, "I"), 2e-6, rtol=5e-3)


def test_indices_are_left_out_where_a_measurement_takes_longer(b1500: Any) -> None:
    """Programming Guide 1-40: longer than the interval and shorter than twice of it, every second one is there."""
    words = run(b1500, "AIT 0,3,0.0002;MM 10,1;MV 1,0,0,0.2,1E-3;MT 0,0.00015,7")
    assert of(words, "X") == [1, 3, 5, 7]


def test_logarithmic_samples(b1500: Any) -> None:
    words = run(b1500, "TSC 1;ML 2;MM 10,1;MV 1,0,0,0.2,1E-3;MT 0,0.01,12;TSR")
    times = np.array(of(words, "T"))
    np.testing.assert_allclose(times[[1, 10]] - times[0], [0.01 * (10**0.1 - 1), 0.09], rtol=0.01)


@pytest.mark.parametrize(("post", "level"), [(1, "+100.000E-03"), (2, "+200.000E-03")])
def test_a_sampling_ends_at_its_base_or_its_bias(b1500: Any, post: int, level: str) -> None:
    run(b1500, f"MSC 1,{post};MM 10,1;MV 1,0,0.1,0.2,1E-3;MT 0,0.0002,3")
    assert b1500.query("*LRN? 1").split(",")[2] == level


def test_a_sampling_stops_at_compliance_where_that_is_asked(b1500: Any) -> None:
    assert len(of(run(b1500, "MSC 2,1;MM 10,1;MV 1,0,0,1,1E-6;MT 0,0.0002,9"), "I")) == 1


@pytest.mark.parametrize("timing", ["MT 0,0.00009,5", "MT 0,70,5", "MT -0.01,0.01,5", "MT 0,0.01,200000"])
def test_a_timing_it_does_not_have(b1500: Any, timing: str) -> None:
    b1500.write(f"MM 10,1;{timing}")
    assert drained(b1500) == ['+120,"Incorrect parameter value."']


def test_more_channels_need_a_longer_interval(b1500: Any) -> None:
    b1500.write("MM 10,1,2;MT 0,0.00011,5")
    assert len(drained(b1500)) == 1
    b1500.write("MM 10,1,2;MT 0,0.00012,5")
    assert drained(b1500) == []


# ---- pulses of a source-measure unit --------------------------------------------------------------------
def test_a_pulsed_spot_measures_at_the_top_and_ends_at_the_base(b1500: Any) -> None:
    words = run(b1500, "AIT 2,3,1E-4;MM 3,1;PT 0,0.001,0.01;PV 1,0,0.1,0.4,1E-3")
    assert len(words) == 1
    assert float(words[0][3:]) == pytest.approx(4e-6, rel=5e-3)
    assert b1500.query("*LRN? 1").split(",")[2] == "+100.000E-03"


def test_a_pulsed_sweep_goes_back_to_the_base_between(b1500: Any) -> None:
    words = run(b1500, "TSC 1;MM 4,1;PT 0,0.001,0.02;PWV 1,1,0,0,0.1,0.3,3,1E-3;TSR")
    np.testing.assert_allclose(of(words, "I"), [1e-6, 2e-6, 3e-6], rtol=1e-2)
    np.testing.assert_allclose(of(words, "V"), [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(np.diff(of(words, "T")), 0.02, atol=1e-4)


def test_a_pulse_of_current(b1500: Any) -> None:
    words = run(b1500, "RV 1,-20;MM 3,1;PT 0,0.001,0.01;PI 1,0,0,1E-5,2")
    assert float(words[0][3:]) == pytest.approx(1.0, rel=1e-3)


def test_pulses_need_their_times(b1500: Any) -> None:
    b1500.write("MM 3,1;PV 1,0,0.1,0.4,1E-3;XE")
    assert drained(b1500) == ['+223,"Send PT to set pulse time."']


# ---- pulse generators -----------------------------------------------------------------------------------
PG = "SIM 0;SPPER 1E-6;SPM 501,1;SPT 501,1,0,100E-9,20E-9,40E-9"


@pytest.mark.parametrize(("load_ohm", "at_1k_v"), [(50, 2 * 1000 / 1050), (1000, 1.0), (1e6, 1000 / 1050)])
def test_the_level_is_right_at_the_load_it_was_told_of(
    tmp_path: Path, load_ohm: float, at_1k_v: float
) -> None:
    path = bench_file(tmp_path)
    with open_bench(path) as bench:
        b1500 = plain(path)
        b1500.write(f"{PG};SER 501,{load_ohm:g};SPV 501,1,0,1;SPRM 1,2;CN 501")
        b1500.write("SRP")
        assert drained(b1500) == []
        seen = bench.world.terminal("b1500.501").trace()
        assert seen is not None
        assert seen.voltage_v.max() == pytest.approx(at_1k_v, rel=1e-3)
        above = seen.t_s[seen.voltage_v > seen.voltage_v.max() / 2]
        assert above[-1] - above[0] == pytest.approx(100e-9, abs=3e-9)
        b1500.close()


def test_both_channels_start_together(tmp_path: Path) -> None:
    path = bench_file(tmp_path, wiring=("b1500.501 -- 1 kOhm -- ground", "b1500.502 -- 1 kOhm -- ground"))
    with open_bench(path) as bench:
        b1500 = plain(path)
        b1500.write(f"{PG};SPV 501,1,0,1;SPM 502,1;SPT 502,1,300E-9,100E-9,20E-9;SPV 502,1,0,-1;SPRM 1,1")
        b1500.write("CN 501,502;SRP")
        assert drained(b1500) == []
        first, second = (bench.world.terminal(f"b1500.50{n}").trace() for n in (1, 2))
        assert first is not None
        assert second is not None
        assert first.t_s[first.voltage_v.argmax()] < 150e-9
        assert 300e-9 < second.t_s[second.voltage_v.argmin()] < 450e-9
        b1500.close()


def test_a_free_run_runs_until_it_is_stopped(b1500: Any) -> None:
    b1500.write(f"{PG};SPV 501,1,0,1;CN 501")
    assert b1500.query("SPRM?") == "0,"
    b1500.write("SRP")
    assert b1500.query("SPST?") == "1"
    b1500.write("SPP")
    assert b1500.query("SPST?") == "0"


def test_what_the_generators_were_told_can_be_asked(b1500: Any) -> None:
    b1500.write(f"{PG};SPV 501,1,-0.5,1.5;SER 501,1000;SPRM 1,10;ERMOD 1;ERSSP 0,2")
    assert b1500.query("SIM?") == "0"
    assert b1500.query("SPPER?") == "1E-06"
    assert b1500.query("SPRM?") == "1,10"
    assert b1500.query("SPM? 501") == "1"
    assert b1500.query("SPT? 501,1") == "0,1E-07,2E-08,4E-08"
    assert b1500.query("SPV? 501,1") == "-0.5,1.5"
    assert b1500.query("SER? 501") == "1000"
    assert b1500.query("SER? 502") == "50"
    assert b1500.query("ERMOD?") == "1"
    assert b1500.query("ERSSP? 0") == "2"
    assert drained(b1500) == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("SPPER 15E-9", "+120"),
        ("SPT 501,1,0,5E-9,20E-9", "+120"),
        ("SPT 501,1,0,100E-9,5E-9", "+120"),
        ("SPV 501,1,0,21", "+120"),  # 42 V open at the 50 ohm it is told of
        ("SER 501,0.05", "+120"),
        ("SPRM 1,2000000", "+120"),
        ("SPRM 1", "+120"),
        ("SPM 1,1", "+151"),
        ("SPM 401,1", "+121"),
        ("SIM 1;SPM 501,1", "+151"),
        ("SIM 1;SRP", "+151"),
        ("ERSSP 0,1", "+151"),
        ("SPPER 1E-7;SPT 501,1,0,200E-9,20E-9;CN 501;SRP", "+120"),
    ],
)
def test_what_the_generators_cannot_do(b1500: Any, message: str, code: str) -> None:
    b1500.write(message)
    assert [entry.split(",")[0] for entry in drained(b1500)] == [code]
