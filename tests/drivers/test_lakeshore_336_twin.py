"""The twin of a Lake Shore 336 as any VISA program meets it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from lakeshore_bench import GPIB, SOCKET, LakeBench, lake_bench

EXACT = "noise_k: 0.0, accuracy_k: 0.0, base_k: 298.15"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[LakeBench]:
    with lake_bench(tmp_path, options=EXACT) as lake:
        yield lake


@pytest.fixture
def tc(lake: LakeBench) -> Any:
    resource = lake.open()
    resource.write("*CLS")
    return resource


# ---- what instruments §2.9 prints -----------------------------------------------------------------------------
def test_the_exchanges_of_the_reference(tc: Any) -> None:
    assert tc.query("*IDN?") == "LSCI,MODEL336,LSA12345/#######,2.9"
    assert tc.query("KRDG? A") == "+298.150"
    assert tc.query("CRDG? A") == "+25.0000"
    assert tc.query("SRDG? A") == "+109.735"  # a Pt100 after IEC 60751
    assert tc.query("RDGST? A") == "000"
    tc.write("INTYPE A,2,1,0,1,1")
    tc.write("INCRV A,6")
    tc.write('INNAME A,"stage"')
    tc.write("TLIMIT A,450")
    assert tc.query("INTYPE? A") == "2,1,0,1,1"
    assert tc.query("INCRV? A") == "06"
    assert tc.query("INNAME? A") == "stage          "
    assert tc.query("TLIMIT? A") == "+0450"
    tc.write("SETP 1,300.0")
    assert tc.query("SETP? 1") == "+300.000"
    tc.write("RAMP 1,1,5")
    assert tc.query("RAMP? 1") == "1,+5.00000"
    assert tc.query("RAMPST? 1") == "0"
    tc.write("PID 1,40,25,10")
    assert tc.query("PID? 1") == "+0040.0,+0025.0,+0010"
    tc.write("OUTMODE 1,3,1,0")
    tc.write("MOUT 1,12.3")
    tc.write("RANGE 1,3")
    assert tc.query("OUTMODE? 1") == "3,1,0"
    assert tc.query("RANGE? 1") == "3"
    assert tc.query("*ESR?") == "000"


def test_spaces_and_small_letters(tc: Any) -> None:
    tc.write("OUTMODE 1, 3, 2, 1; setp  1 , 301")  # as QCoDeS sends them
    assert tc.query("outmode? 1;SETP? 1;*ESR?") == "3,2,1;+301.000;000"


def test_parameters_that_are_left_out_stay(tc: Any) -> None:
    tc.write("PID 1,10,,5;RAMP 1,,2.5;PID 1,,30")
    assert tc.query("PID? 1;RAMP? 1;*ESR?") == "+0010.0,+0030.0,+0005;0,+2.50000;000"


def test_heater_output_and_status(lake: LakeBench, tc: Any) -> None:
    tc.write("OUTMODE 1,3,1,0;MOUT 1,12.3;RANGE 1,3")
    lake.sleep(0.2)
    assert tc.query("HTR? 1") == "+012.3"
    assert tc.query("HTRST? 1") == "0"
    assert tc.query("MOUT? 1") == "+012.30"
    tc.write("HTRSET 1,1,0,0.5,2")
    assert tc.query("HTRSET? 1") == "1,0,+0.500,2"
    tc.write("RANGE 1,0")
    assert tc.query("HTR? 1") == "+000.0"


def test_commands_and_replies_are_chained_by_semicolons(tc: Any) -> None:
    assert tc.query("SETP 1,310;SETP? 1;RANGE? 1;:PID? 1;*ESR?") == "+310.000;0;+0050.0,+0020.0,+0000;000"
    tc.write('INNAME A,"a;b"')  # not inside quotes
    assert tc.query("INNAME? A").strip() == "a;b"
    assert tc.query("KRDG? 0") == "+298.150,+298.150,+0.00000,+0.00000"


# ---- no error queue -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("FOO?", "032"),
        ("SYST:ERR?", "032"),
        ("MNLMXL? 1", "032"),
        ("KRDG? Q", "016"),
        ("KRDG?", "016"),
        ("SETP 1,9000", "016"),  # above the limit of the curve
        ("SETP 1,hot", "016"),
        ("SETP 5,300", "016"),
        ("RANGE 3,2", "016"),  # a voltage output is on or off
        ("OUTMODE 1,4,1,0", "016"),  # monitor: only 3 and 4
        ("PID 1,0,10,0", "016"),
        ("PID 1,1,2,3,4", "016"),
        ("RAMP 1,1,100.1", "016"),
        ("HTRSET 3,1,0,1,1", "016"),
        ("RANGE 1,1.5", "016"),
        ("CRVPT 6,1,1,1", "016"),  # a standard curve
        ("ZONE 1,11,300", "016"),
        ("*ESE \xb2", "016"),
        ("CRVHDR 21,a,b,3,nan,1", "016"),
        ("CRVPT 21,1,inf,300", "016"),
        ("SETP 1,nan", "016"),
        ("", "000"),
        (";;", "000"),
    ],
)
def test_what_it_does_not_understand_it_does_not_answer(tc: Any, message: str, status: str) -> None:
    tc.encoding = "latin-1"
    before = tc.query("SETP? 1;PID? 1;RAMP? 1;RANGE? 1;OUTMODE? 1")
    tc.write(message)
    assert tc.query("*ESR?") == status
    assert tc.query("*ESR?") == "000"
    assert tc.query("SETP? 1;PID? 1;RAMP? 1;RANGE? 1;OUTMODE? 1") == before


def test_an_unknown_question_ends_in_a_timeout(tc: Any) -> None:
    with pytest.raises(pyvisa.errors.VisaIOError, match="Timeout"):
        tc.query("TEMPERATURE?")
    assert tc.query("*ESR?") == "032"


def test_the_rest_of_a_message_goes_on_after_an_error(tc: Any) -> None:
    assert tc.query("FOO;RANGE? 1;*ESR?") == "0;032"


def test_more_than_1024_characters_are_dropped(tc: Any) -> None:
    tc.write(";".join(["SETP 1,310"] * 93) + ";SETP 1,320")  # 1033 characters
    assert tc.query("SETP? 1;*ESR?") == "+0.00000;032"
    tc.write(";".join(["SETP 1,310"] * 93))
    assert tc.query("SETP? 1;*ESR?") == "+310.000;000"


def test_power_on_shows_once(lake: LakeBench) -> None:
    assert lake.open().query("*ESR?;*ESR?") == "128;000"


# ---- status over GPIB -----------------------------------------------------------------------------------------
def test_the_status_byte_over_gpib(tmp_path: Path) -> None:
    with lake_bench(tmp_path, address=GPIB, options=EXACT) as lake:
        tc = lake.open()
        assert tc.query("*CLS;*ESE 32;*SRE 32;*ESE?;*SRE?") == "032;032"
        assert tc.read_stb() == 0
        tc.write("FOO")
        assert tc.read_stb() == 0x60  # a service request, taken back by the poll
        assert tc.read_stb() == 0x20
        assert tc.query("*STB?") == "096"  # which *STB? does not
        assert tc.query("*ESR?") == "032"
        tc.write("KRDG? A")
        assert tc.read_stb() == 0x10  # message available
        tc.write("RANGE? 1")  # the reply before is lost: query error
        assert tc.read() == "0"
        assert tc.query("*ESR?") == "004"
        tc.write("*OPC")
        assert tc.query("*OPC?;*ESR?;*TST?") == "1;001;0"


def test_old_replies_stay_on_a_stream(tc: Any) -> None:
    tc.write("RANGE? 1")
    tc.write("KRDG? A")
    assert (tc.read(), tc.read(), tc.query("*ESR?")) == ("0", "+298.150", "000")


# ---- the stage ------------------------------------------------------------------------------------------------
def test_open_loop_warms_a_first_order_stage(lake: LakeBench, tc: Any) -> None:
    # 75 J/K behind 0.15 W/K: 500 s; 25 Ohm at 1 A and 50 % of that current: 6.25 W, 41.667 K
    tc.write("OUTMODE 1,3,1,0;MOUT 1,50;RANGE 1,3")
    lake.sleep(500.0)
    assert lake.stage_k - 298.15 == pytest.approx(41.6667 * (1 - math.exp(-1)), abs=0.02)
    lake.sleep(86_400.0)
    assert lake.stage_k - 298.15 == pytest.approx(41.6667, abs=2e-3)
    tc.write("RANGE 1,2")  # a tenth of the power
    lake.sleep(86_400.0)
    assert lake.stage_k - 298.15 == pytest.approx(4.16667, abs=2e-3)
    tc.write("HTRSET 1,1,2,0,2;RANGE 1,3")  # percent of power: 12.5 W
    lake.sleep(86_400.0)
    assert lake.stage_k - 298.15 == pytest.approx(83.3333, abs=2e-3)


def test_readings_follow_the_stage_late_and_ten_times_a_second(lake: LakeBench, tc: Any) -> None:
    tc.write("OUTMODE 1,3,1,0;MOUT 1,100;RANGE 1,3")
    lake.sleep(20.0)
    behind_k = lake.stage_k - float(tc.query("KRDG? A"))
    assert behind_k == pytest.approx(25.0 / 75.0 * 1.0, rel=0.1)  # slope times lag
    lake.sleep(0.1 - lake.clock() % 0.1 + 0.01)
    first = tc.query("KRDG? A")
    lake.sleep(0.05)
    assert tc.query("KRDG? A") == first
    lake.sleep(0.06)
    assert tc.query("KRDG? A") != first


def test_how_time_is_cut_does_not_matter(tmp_path: Path) -> None:
    found = []
    for name, step_s in (("a", 0.037), ("b", 1.0), ("c", 200.0)):
        (tmp_path / name).mkdir()
        with lake_bench(tmp_path / name, options=EXACT) as lake:
            tc = lake.open()
            tc.write("SETP 1,320;RANGE 1,3")
            began = lake.clock()
            while lake.clock() < began + 200.0 - 1e-6:
                lake.sleep(min(step_s, began + 200.0 - lake.clock()))
            found.append(lake.twin.machine.stage.stage_k)
    assert found[0] == found[1] == found[2]


def test_closed_loop_settles_at_the_setpoint_and_a_day_is_cheap(lake: LakeBench, tc: Any) -> None:
    tc.write("SETP 1,350;RANGE 1,3")
    began = time.perf_counter()
    lake.sleep(86_400.0)
    assert time.perf_counter() - began < 2.0
    assert tc.query("KRDG? A") == "+350.000"
    assert lake.stage_k == pytest.approx(350.0, abs=1.1e-3)
    assert 50.0 < float(tc.query("HTR? 1")) < 60.0  # (52 K * 0.15 W/K) / 25 W, as current
    low, high = (float(word) for word in tc.query("MNMXRST;MDAT? A;KRDG? A;MDAT? A").split(";")[2].split(","))
    assert low == high == 350.0


def test_a_setpoint_that_ramps_is_on_its_way(lake: LakeBench, tc: Any) -> None:
    tc.write("SETP 1,300")
    tc.write("RAMP 1,1,6;SETP 1,310")
    assert tc.query("RAMPST? 1") == "1"
    lake.sleep(50.0)
    assert float(tc.query("SETP? 1")) == pytest.approx(305.0, abs=0.02)
    lake.sleep(60.0)
    assert tc.query("SETP? 1;RAMPST? 1") == "+310.000;0"
    assert int(tc.query("OPSTR?")) & 8  # ramp of loop 1 done


def test_the_bench_hears_of_the_stage_while_nobody_asks(lake: LakeBench, tc: Any) -> None:
    told = lake.told_k
    tc.write("SETP 1,350;RANGE 1,3")
    lake.sleep(600.0)
    assert told[-1] == pytest.approx(350.0, abs=0.3)
    assert max(abs(after - before) for before, after in pairwise(told)) < 0.5
    assert len(told) > 150


def test_too_much_power_is_limited_by_current_and_voltage(lake: LakeBench, tc: Any) -> None:
    lake.twin.break_heater("1", 100.0)  # 50 V over 100 Ohm: 25 W, whatever the current limit says
    tc.write("HTRSET 1,2,4,0,2;OUTMODE 1,3,1,0;MOUT 1,100;RANGE 1,3")
    lake.sleep(86_400.0)
    assert lake.stage_k - 298.15 == pytest.approx(25.0 / 0.15, abs=0.01)


# ---- faults ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("how", "status"), [("open", "128"), ("short", "064")])
def test_a_broken_sensor_shows_and_turns_its_loop_off(
    lake: LakeBench, tc: Any, how: str, status: str
) -> None:
    tc.write("SETP 1,350;RANGE 1,3")
    lake.sleep(600.0)
    lake.twin.break_sensor("A", how)
    lake.sleep(1.0)
    assert tc.query("KRDG? A;SRDG? A;RDGST? A;RANGE? 1") == f"+0.00000;+0.00000;{status};0"
    assert int(tc.query("OPST?")) & 2
    lake.sleep(86_400.0)
    assert lake.stage_k == pytest.approx(298.15, abs=1e-2)


def test_an_open_heater_and_a_short(lake: LakeBench, tc: Any) -> None:
    tc.write("RANGE 2,1")  # nothing is plugged in there
    assert tc.query("RANGE? 2;HTRST? 2;HTRST? 2") == "0;1;0"
    tc.write("SETP 1,350;RANGE 1,3")
    lake.sleep(10.0)
    lake.twin.break_heater("1", 0.0)
    assert tc.query("RANGE? 1;HTRST? 1") == "0;2"


def test_over_temperature_turns_all_heaters_off(lake: LakeBench, tc: Any) -> None:
    tc.write("TLIMIT A,330;OUTMODE 1,3,1,0;MOUT 1,100;RANGE 1,3")
    lake.sleep(3600.0)
    assert tc.query("RANGE? 1;HTR? 1") == "0;+000.0"
    assert lake.stage_k < 300.0


def test_a_curve_that_does_not_fit_is_not_taken(tc: Any) -> None:
    tc.write("INCRV A,2")  # a diode's
    assert tc.query("INCRV? A;RDGST? A;KRDG? A;SRDG? A") == "00;001;+0.00000;+109.735"
    tc.write("INCRV A,7")  # of a Pt1000: believed, and far too cold
    assert tc.query("INCRV? A;RDGST? A;KRDG? A") == "07;000;+55.8263"
    tc.write("INCRV A,6;INTYPE A,1")
    assert tc.query("INCRV? A;INTYPE? A") == "00;1,1,0,1,1"
    assert tc.query("CRVHDR? 6") == "PT-100         ,STANDARD C,3,+800.000,2"


def test_a_curve_of_ones_own(lake: LakeBench, tc: Any) -> None:
    tc.write('CRVHDR 21,"mine","42",3,500.0,2;CRVPT 21,1,100,250;CRVPT 21,2,200,550;INCRV A,21')
    assert (
        tc.query("CRVHDR? 21;CRVPT? 21,2;INCRV? A")
        == "mine           ,42        ,3,+500.000,2;+200.000,+550.000;21"
    )
    assert float(tc.query("KRDG? A")) == pytest.approx(250 + 9.735 * 3, abs=2e-3)
    tc.write("CRVDEL 21")
    assert tc.query("RDGST? A") == "001"


def test_setpoints_in_celsius(lake: LakeBench, tc: Any) -> None:
    tc.write("INTYPE A,2,1,0,1,2;SETP 1,60;RANGE 1,3")
    lake.sleep(86_400.0)
    assert tc.query("CRDG? A;KRDG? A;SETP? 1") == "+60.0000;+333.150;+60.0000"


def test_zones_choose_pid_and_range(lake: LakeBench, tc: Any) -> None:
    tc.write("ZONE 1,1,310,40,20,0,0,2,1,0;ZONE 1,2,400,60,30,0,0,3,1,0;OUTMODE 1,2,1,0;SETP 1,350;RANGE 1,1")
    assert tc.query("ZONE? 1,2") == "+400.000,+0060.0,+0030.0,+0000,+000.00,3,1,+0.00000"
    lake.sleep(86_400.0)
    assert tc.query("RANGE? 1;KRDG? A") == "3;+350.000"
    tc.write("SETP 1,305")
    lake.sleep(86_400.0)
    assert tc.query("RANGE? 1;KRDG? A") == "2;+305.000"


def test_a_zone_does_not_turn_a_heater_on(lake: LakeBench, tc: Any) -> None:
    tc.write("ZONE 1,1,400,60,30,0,0,3,1,6;OUTMODE 1,2,1,0;SETP 1,300;RAMP 1,1,6;SETP 1,350;RANGE 1,1")
    lake.sleep(5.0)
    tc.write("RANGE 1,0")
    lake.sleep(60.0)
    assert tc.query("RANGE? 1;HTR? 1;RAMPST? 1") == "0;+000.0;1"


def test_reset_turns_heaters_off_but_for_those_that_stay(tc: Any) -> None:
    tc.write("OUTMODE 1,3,1,1;RANGE 1,1;OUTMODE 3,3,1,0;RANGE 3,1;*RST")
    assert tc.query("RANGE? 1;RANGE? 3") == "1;0"
    tc.write("DFLT 99")
    assert tc.query("OUTMODE? 1;*ESR?") == "1,1,0;000"


def test_noise_and_offset_are_those_of_the_seed(tmp_path: Path) -> None:
    readings = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with lake_bench(tmp_path / name, options="base_k: 298.15") as lake:
            tc = lake.open()
            taken = []
            for _ in range(50):
                lake.sleep(0.1)
                taken.append(float(tc.query("KRDG? A")))
            readings.append(taken)
    assert readings[0] == readings[1]
    mean = sum(readings[0]) / 50
    spread = math.sqrt(sum((value - mean) ** 2 for value in readings[0]) / 49)
    assert 1e-3 < spread < 4e-3
    assert 0.0 < abs(mean - 298.15) < 0.1


def test_a_335_has_two_of_each(tmp_path: Path) -> None:
    with lake_bench(tmp_path, model="lakeshore-335", options=EXACT) as lake:
        tc = lake.open()
        tc.write("*CLS")
        assert tc.query("*IDN?") == "LSCI,MODEL335,LSA12345/#######,2.9"
        assert tc.query("KRDG? 0;HTRSET? 1") == "+298.150,+298.150;0,1,2,+1.000,1"
        tc.write("KRDG? C")
        assert tc.query("*ESR?") == "016"


@pytest.mark.parametrize(
    "options",
    [
        "noize_k: 1.0",
        'sensors: ["E=stage"]',
        'sensors: ["A=moon"]',
        'sensors: ["A"]',
        'noise_k: "much"',
        "conductance_w_k: 0.0",
        'heaters: ["9=25"]',
    ],
)
def test_options_there_are_not(tmp_path: Path, options: str) -> None:
    with (
        lake_bench(tmp_path, address=SOCKET, options=options) as lake,
        pytest.raises(ValueError, match=r"no |not on|there"),
    ):
        _ = lake.twin
