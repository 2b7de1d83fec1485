"""The simulated 4200A as any program sees it: link rules, errors, status byte, units, system mode."""

from __future__ import annotations

from pathlib import Path

import pytest
import pyvisa
from bench_4200 import GPIB, bench, plain
from pyvisa.constants import StatusCode


# ---- the link ---------------------------------------------------------------------------------------------
def test_every_ethernet_command_is_answered_and_ends_with_nul(tmp_path: Path) -> None:
    with plain(bench(tmp_path, firmware="V1.8.1")) as k4200:
        k4200.write_raw(b"*IDN?\0")
        assert k4200.read_raw() == b"KEITHLEY INSTRUMENTS,KI4200A,1442736,V1.8.1\0"
        k4200.write_raw(b"US\0")
        assert k4200.read_raw() == b"ACK\0"
        k4200.write_raw(b"US;DV1,0,0.1,0.001\0")
        assert k4200.read_raw() == b"ACK\0"
        assert k4200.query("ID") == "KI4200A V1.8.1"


def test_a_command_without_nul_is_neither_read_nor_echoed(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        k4200.write_raw(b"ZZ\n")
        with pytest.raises(pyvisa.VisaIOError) as error:
            k4200.read()
        assert error.value.error_code == StatusCode.error_timeout
        k4200.write_raw(b"\0")
        assert k4200.read() == "ACK"
        assert k4200.query(":ERROR:LAST:GET") == "KXCI command error. (-992)"


def test_on_gpib_only_questions_are_answered(tmp_path: Path) -> None:
    with plain(bench(tmp_path, address=GPIB), GPIB) as k4200:
        k4200.write("US")
        with pytest.raises(pyvisa.VisaIOError):
            k4200.read()
        assert k4200.query("*IDN?").startswith("KEITHLEY INSTRUMENTS,KI4200A,")
        assert k4200.query(":ERROR:LAST:GET") == ""


def test_nothing_answers_while_clarius_is_open(tmp_path: Path) -> None:
    with plain(bench(tmp_path, kxci=False)) as k4200, pytest.raises(pyvisa.VisaIOError):
        k4200.query("*IDN?")


def test_options_and_emulation(tmp_path: Path) -> None:
    with plain(bench(tmp_path, smus=2, preamps=1)) as k4200:
        assert k4200.query("*OPT?") == "SMUPA1,SMU2,PMU1RPM1-2"
    with plain(bench(tmp_path, emulation_4145=True)) as k4200:
        assert k4200.query("ID") == "HP4145B 1.1,1.0"
        assert k4200.query("*OPT?") == "ACK"


# ---- errors and status --------------------------------------------------------------------------------------
def test_only_the_last_error_is_kept_until_it_is_cleared(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        assert k4200.query(":ERROR:LAST:GET") == ""
        assert k4200.query("DV1,0,1,0.1") == "ACK"
        assert k4200.query(":ERROR:LAST:GET") == "Command not valid in System Mode (-974)"
        assert k4200.query("ZZ1") == "ACK"
        for _ in range(2):
            assert k4200.query(":ERROR:LAST:GET") == "KXCI command error. (-992)"
        assert k4200.query(":ERROR:LAST:CLEAR") == "ACK"
        assert k4200.query(":ERROR:LAST:GET") == ""


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("US;DV1,0,211,0.1", -993),
        ("US;DV1,0,1,0.2", -993),
        ("US;DV1,4,0.1,0.01", -993),  # 0.2 V range without preamplifier
        ("US;DV1,0,x,0.1", -993),
        ("US;DV1,0,1", -993),
        ("US;DI1,1,1e-9,10", -993),  # 1 nA range without preamplifier
        ("US;TI7", -979),
        ("US;:PMU:INIT 0", -975),
        ("CH1,'V1','I1',1,1;VC1,0,0.1", -989),
        ("SS;VC1,0,0.1", -988),
        ("MD;ME1", -991),
        ("DS2,5", -986),
        ("EX lib mod(1)", -974),
        (":PMU:PULSE:TRAIN 1,0,1", -967),
        (":PMU:INIT 2", -969),
        (":PMU:INIT 0;:PMU:SARB:SEQ:TIME 1,1,1e-6,1e-6,1e-6", -965),
        (":PMU:PIV:TIMES 1,0.75,0.9", -992),
    ],
)
def test_refusals(tmp_path: Path, sent: str, code: int) -> None:
    with plain(bench(tmp_path)) as k4200:
        assert k4200.query(sent) == "ACK"
        assert k4200.query(":ERROR:LAST:GET").endswith(f"({code})")


def test_status_byte_by_poll(tmp_path: Path) -> None:
    with plain(bench(tmp_path, address=GPIB), GPIB) as k4200:
        assert k4200.read_stb() == 0
        k4200.write("ZZ")
        assert k4200.read_stb() == 0x42
        assert k4200.read_stb() == 0
        k4200.write("ZZ")
        k4200.clear()
        assert k4200.read_stb() == 0
        k4200.write("US;TI1")
        assert k4200.read_stb() == 0x01
        k4200.read()
        k4200.write("DR1")
        k4200.write("TI1")
        assert k4200.read_stb() == 0x41
        k4200.read()
        assert k4200.read_stb() == 0


def test_status_byte_while_a_test_runs(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        for line in ("DE", "CH1,'V1','I1',1,1", "SS", "VR1,0,1,0.5,0.01", "MD", "ME1"):
            assert k4200.query(line) == "ACK"
        assert k4200.query("SP") == "16"
        assert k4200.query("DO 'I1'") == "ACK"
        assert k4200.query(":ERROR:LAST:GET") == "Command not valid during test execution. (-980)"
        found = [int(k4200.query("SP")) for _ in range(5)]
        assert found[0] & 0x42 == 0x42
        assert found[-1] == 0
        assert sum(each & 1 for each in found) == 1  # data ready, once


# ---- user mode ------------------------------------------------------------------------------------------------
def test_user_mode_sources_and_reads(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        k4200.query("US;DV1,0,1,0.01")
        reply = k4200.query("US;TI1")
        assert reply[:4] == "NAI "
        assert float(reply[3:]) == pytest.approx(1e-5, rel=1e-3)
        assert reply.endswith("E-06")
        assert float(k4200.query("TV1")[3:]) == pytest.approx(1.0, rel=1e-4)
        k4200.query("DV1,0,-1,0.01")
        assert k4200.query("TI1")[:4] == "NAI-"
        k4200.query("DI1,0,1e-6,10")
        assert float(k4200.query("TV1")[3:]) == pytest.approx(0.1, rel=1e-3)
        k4200.query("DV1")
        assert abs(float(k4200.query("TI1")[3:])) < 1e-10


def test_compliance_is_flagged_and_raised_where_it_is_too_small(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        k4200.query("US;DV1,0,10,1e-6")
        reply = k4200.query("TI1")
        assert reply[0] == "C"
        assert float(reply[3:]) == pytest.approx(1e-6, rel=1e-2)
        k4200.query("DV1,0,10,1e-15")
        assert float(k4200.query("TI1")[3:]) == pytest.approx(1e-8, rel=0.01)
        assert k4200.query(":ERROR:LAST:GET") == ""


def test_integration_time_divides_noise(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        k4200.query("US;DV1,0,1,0.01;RI1,1e-4,1e-4;RS7")

        def spread() -> float:
            values = [float(k4200.query("TI1")[3:]) for _ in range(40)]
            mean = sum(values) / len(values)
            return (sum((each - mean) ** 2 for each in values) / len(values)) ** 0.5

        k4200.query("IT4,0,0,0.01")
        short = spread()
        k4200.query("IT3")
        assert spread() < short / 8


def test_a_fixed_range_too_small_reads_over_range(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        k4200.query("US;DV1,0,1,0.01;RI1,1e-7,1e-7")
        assert k4200.query("TI1")[0] == "V"


def test_interlock_disconnected_reads_zero(tmp_path: Path) -> None:
    with plain(bench(tmp_path, interlock=False)) as k4200:
        k4200.query("US;DV1,0,1,0.01")
        assert k4200.query("TI1") == "NAI 0.0000"


def test_libraries_that_are_not_there(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        k4200.query("UL")
        assert k4200.query("EX nolib nomodule(1,,3)").startswith("EX ERROR:")
        assert k4200.query("GP 2") == "ACK"
        assert k4200.query(":ERROR:LAST:GET") == "KXCI argument error. (-993)"


# ---- system mode ------------------------------------------------------------------------------------------
def test_a_linear_sweep_as_the_maker_writes_it(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.smu1 -- 1 MOhm -- ground", "k4200.smu2 -- 10 kOhm -- ground"))
    with plain(path) as k4200:
        for line in (
            "BC", "*RST", "DE", "CH1, 'V1', 'I1', 1, 3", "CH2, 'V2', 'I2', 1, 1", "SS", "VR1, 1, 5, 0.1, 0.01",
            "VC1, 0, 100e-3", "HT 0", "DT 0.2", "IT1", "SM DM2", "LI 'I1', 'I2','V1','V2'", "MD", "ME1",
        ):  # fmt: skip
            assert k4200.query(line) == "ACK", line
        assert k4200.query(":ERROR:LAST:GET") == ""
        while int(k4200.query("SP")) not in (0, 1):
            pass
        found = []
        while (data := k4200.query(f"RD 'I2', {len(found) + 1}")) != "0":
            found.append(float(data))
        assert found == pytest.approx([(1 + 0.1 * each) / 1e4 for each in range(41)], rel=1e-3)
        rows = k4200.query("DO 'V2'").split(",")
        assert len(rows) == 41
        assert all(row.startswith("N ") for row in rows)
        assert float(k4200.query("RD 'CH2T', 41")) > 40 * 0.2


def test_a_family_of_curves_and_list_and_logarithmic_sweeps(tmp_path: Path) -> None:
    path = bench(tmp_path, wiring=("k4200.smu1 -- 1 kOhm -- ground", "k4200.smu2 -- 1 kOhm -- ground"))
    with plain(path) as k4200:
        for line in (
            "DE",
            "CH1,'VD','ID',1,1",
            "CH2,'VG','IG',1,2",
            "SS",
            "VR2,0.01,1,0.1",
            "VP 1,0.5,2,0.1",
            "MD",
        ):
            k4200.query(line)
        k4200.query("ME1")
        while int(k4200.query("SP")) not in (0, 1):
            pass
        assert k4200.query("DO 'VD'").count(",") + 1 == 2 * 21
        assert float(k4200.query("RD 'VG', 1")) == pytest.approx(1.0, rel=1e-3)
        assert float(k4200.query("RD 'VG', 42")) == pytest.approx(1.5, rel=1e-3)
        for line in ("DE", "CH2", "SS", "VL1,1,0.01,0.1,0.3,0.2", "MD", "ME1"):
            k4200.query(line)
        while int(k4200.query("SP")) not in (0, 1):
            pass
        values = [float(row[2:]) for row in k4200.query("DO 'VD'").split(",")]
        assert values == pytest.approx([0.1, 0.3, 0.2], rel=1e-3)


def test_more_points_than_a_test_has_are_an_illegal_setup(tmp_path: Path) -> None:
    with plain(bench(tmp_path)) as k4200:
        for line in ("DE", "CH1,'V1','I1',1,1", "SS", "VR1,0,5,0.001,0.01"):
            k4200.query(line)
        assert k4200.query(":ERROR:LAST:GET") == "Illegal setup error. (-991)"
