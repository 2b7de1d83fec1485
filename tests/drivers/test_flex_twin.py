"""The twin of the B1500A as any program meets it: messages, errors, status byte, buffers, ranges, sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from flex_bench import ADDRESS, bench_file, drained, plain

from drivers.simulated.registry import open_bench

NONE = '+0,"No Error."'


@pytest.fixture
def b1500(tmp_path: Path) -> Iterator[Any]:
    resource = plain(bench_file(tmp_path))
    yield resource
    resource.close()


# ---- messages and errors --------------------------------------------------------------------------------
def test_it_says_who_it_is_and_what_is_in_it(b1500: Any) -> None:
    assert b1500.query("*IDN?") == "Agilent Technologies,B1500A,0,A.04.03.2010.0130"
    slots = "B1511B,0;B1517A,0;0,0;0,0;B1525A,0;B1530A,0;0,0;0,0;0,0;0,0"
    assert b1500.query("UNT?") == b1500.query("UNT? 0") == slots


def test_replies_end_with_cr_lf_and_end(b1500: Any) -> None:
    b1500.read_termination = None
    b1500.write("*OPC?")
    assert b1500.read_raw() == b"1\r\n"


def test_headers_have_no_case_and_blanks_do_not_matter(b1500: Any) -> None:
    b1500.write("cn 1 ; Dv1, 0 , 0.2,1e-3")
    assert b1500.query("*lrn? 1") == "DV1,5,+200.000E-03,+1.00000E-03,0,17"
    assert b1500.query("ERRX?") == NONE


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("OUTP ON", '+100,"Undefined GPIB command."'),
        ("SYST:ERR?", '+100,"Undefined GPIB command."'),
        ("*CLS", '+100,"Undefined GPIB command."'),
        ("TI one", '+102,"Incorrect numeric data syntax."'),
        ("DV 1,0", '+103,"Incorrect terminator position."'),
        ("FMT 6", '+120,"Incorrect parameter value."'),
        ("CN 1.5", '+120,"Incorrect parameter value."'),
        ("CN 4", '+121,"Channel number must be 1 to 10."'),
        ("MM 1", '+122,"Number of channels must be corrected."'),
        ("TI 6", '+151,"This command is not allowed to this channel."'),
        ("TI 1", '+200,"Channel output switch must be ON.; SLOT1"'),
        ("CN 1;DV 1,0,120", '+120,"Incorrect parameter value.; SLOT1"'),
        ("CN 1;DV 1,0,50,0.1", '+123,"Compliance must be set correctly.; SLOT1"'),
        ("CN 1;DI 1,0,1E-6", '+123,"Compliance must be set correctly.; SLOT1"'),
        (
            "CN 1;RI 1,9",
            '+124,"Incorrect range value for this channel."',
        ),  # 10 pA: an HRSMU has it, an MPSMU not
        ("CN 1;RZ 1", '+205,"DZ must be sent before RZ."'),
        ("CN 1;MM 2,1;XE", '+220,"Send WV or WI to set primary sweep source."'),
        ("CN 1;MM 1,1;BC", '+103,"Incorrect terminator position."'),
        ("CN 1;" * 60, '+150,"Command input buffer is full."'),
    ],
)
def test_what_cannot_be_done_is_an_error(b1500: Any, message: str, error: str) -> None:
    b1500.write(message)
    assert drained(b1500) == [error]


def test_scpi_gets_no_answer(b1500: Any) -> None:
    b1500.write("SYST:ERR?")
    with pytest.raises(pyvisa.errors.VisaIOError, match="TMO"):
        b1500.read()


def test_an_error_ends_its_message(b1500: Any) -> None:
    b1500.write("CN 1;NONSENSE;CN 2")
    assert b1500.query("*LRN? 0") == "CN1"
    assert len(drained(b1500)) == 1


def test_the_error_queue_keeps_the_oldest_thirty(b1500: Any) -> None:
    b1500.write("FMT 6")
    for _ in range(40):
        b1500.write("NONSENSE")
    found = drained(b1500)
    assert len(found) == 30
    assert found[0].startswith("+120")
    assert {entry.split(",")[0] for entry in found[1:]} == {"+100"}


def test_errors_are_asked_for_in_three_ways(b1500: Any) -> None:
    b1500.write("FMT 6")
    b1500.write("NONSENSE")
    assert b1500.query("ERRX? 1") == "+120"
    b1500.write("TI 1")
    assert b1500.query("ERR?") == "100,200,0,0"
    assert b1500.query("ERR?") == "0,0,0,0"
    assert b1500.query("EMG? 100") == "Undefined GPIB command."
    assert b1500.query("EMG? 305") == "Excess current in HPSMU."


def test_the_sign_of_error_codes_is_as_printed_where_that_is_asked_for(tmp_path: Path) -> None:
    resource = plain(bench_file(tmp_path, options='{error_sign: ""}'))
    assert resource.query("ERRX?") == '0,"No Error."'
    resource.close()


# ---- status byte ----------------------------------------------------------------------------------------
def test_bit_4_is_idle_and_not_message_available(b1500: Any) -> None:
    assert b1500.read_stb() == 16
    b1500.write("*IDN?")
    assert b1500.read_stb() == 17  # bit 0: data
    b1500.read()
    assert b1500.read_stb() == 16


def test_a_poll_clears_the_error_only_where_it_is_not_masked(b1500: Any) -> None:
    b1500.write("NONSENSE")
    assert [b1500.read_stb(), b1500.read_stb()] == [48, 48]
    assert b1500.query("*STB?") == "48"
    b1500.query("ERRX?")
    assert b1500.read_stb() == 16
    b1500.write("*SRE 32")
    b1500.write("NONSENSE")
    assert [b1500.read_stb(), b1500.read_stb()] == [16 + 32 + 64, 16]
    assert b1500.query("*SRE?") == "32"


def test_an_open_interlock_keeps_to_42_volt(tmp_path: Path) -> None:
    b1500 = plain(bench_file(tmp_path, options="{interlock: open}"))
    b1500.write("CN 1;DV 1,0,42,1E-3")
    assert b1500.read_stb() == 16
    b1500.write("DV 1,0,43,1E-3")
    assert b1500.read_stb() == 16 + 32 + 8
    assert drained(b1500) == ['+202,"Interlock circuit must be closed.; SLOT1"']
    b1500.write("DI 1,0,1E-6,50")  # a voltage compliance counts as well
    assert drained(b1500) == ['+202,"Interlock circuit must be closed.; SLOT1"']
    assert b1500.query("*LRN? 1").startswith("DV1,1000,+042.000E+00")
    b1500.close()


def test_waiting_for_a_trigger_is_bit_1_and_holds_what_follows_back(b1500: Any) -> None:
    b1500.write("WS;CN 1")
    b1500.write("CN 2")
    assert b1500.read_stb() == 2
    b1500.assert_trigger()
    assert b1500.read_stb() == 16
    assert b1500.query("*LRN? 0") == "CN1,2"
    b1500.write("WS")
    b1500.clear()
    assert b1500.read_stb() == 16


def test_a_trigger_measures_where_tm_allows_it(b1500: Any) -> None:
    b1500.write("CN 1;MM 1,1")
    b1500.assert_trigger()
    assert b1500.read().startswith("NAI")
    b1500.write("TM 3")
    b1500.assert_trigger()
    assert drained(b1500) == ['+211,"TM1 must be sent to use GET."']


# ---- buffers --------------------------------------------------------------------------------------------
def test_data_stay_until_they_are_read(b1500: Any) -> None:
    b1500.write("CN 1;DV 1,0,0.2,1E-3;MM 1,1")
    b1500.write("XE")
    b1500.write("XE")
    assert b1500.query("NUB?") == "2"
    assert b1500.query("ERRX?") == NONE  # a query's reply goes first
    assert b1500.read().startswith("NAI")
    assert b1500.query("NUB?") == "1"
    assert b1500.read().startswith("NAI")
    assert b1500.read_stb() == 16


def test_the_reply_of_a_query_replaces_the_one_before(b1500: Any) -> None:
    b1500.write("*IDN?")
    b1500.write("*OPC?")
    assert b1500.read() == "1"
    with pytest.raises(pyvisa.errors.VisaIOError):
        b1500.read()


@pytest.mark.parametrize("message", ["BC", "FMT 1", "*RST"])
def test_the_buffer_is_emptied_by(b1500: Any, message: str) -> None:
    b1500.write("CN 1;MM 1,1;XE")
    b1500.write(message)
    assert b1500.query("NUB?") == "0"


# ---- sources and readings -------------------------------------------------------------------------------
def test_the_exchanges_of_a_spot_measurement(b1500: Any) -> None:
    b1500.write("CN 1,2")
    assert b1500.query("*LRN? 1") == "DV1,200,+00.0000E+00,+100.000E-06,0,16"
    b1500.write("DV 1,0,0.2,1E-3")
    assert b1500.query("TI 1,0") == "NAI+02.0020E-06"
    assert b1500.query("TV 1")[:3] == "NAV"
    stamped = b1500.query("TTIV 1,0,0").split(",")
    assert [word[:3] for word in stamped] == ["NAT", "NAI", "NAV"]
    assert float(stamped[1][3:]) == pytest.approx(2e-6, rel=1e-3)
    assert float(stamped[2][3:]) == pytest.approx(0.2, rel=1e-3)


def test_zero_is_remembered_and_restored(b1500: Any) -> None:
    b1500.write("CN 1;DV 1,20,1.5,1E-3;DZ 1")
    assert b1500.query("*LRN? 1") == "DV1,20,+0.00000E+00,+100.000E-06,0,16"
    b1500.write("RZ 1")
    assert b1500.query("*LRN? 1") == "DV1,20,+1.50000E+00,+1.00000E-03,0,17"
    b1500.write("CL")
    assert b1500.query("*LRN? 1") == "CL1"


def test_compliance_is_told_by_its_letter_and_to_the_others(b1500: Any) -> None:
    b1500.write("CN 1,2;DV 1,0,1,1E-6;DV 2,0,0.1,1E-3")
    limited, other = b1500.query("TI 1"), b1500.query("TI 2")
    assert limited[:3] == "CAI"
    assert float(limited[3:]) == pytest.approx(1e-6, rel=1e-3)
    assert other[:3] == "TBI"
    assert float(other[3:]) == pytest.approx(1e-5, rel=1e-3)


def test_a_fixed_range_that_is_too_small_overflows(b1500: Any) -> None:
    b1500.write("CN 1;DV 1,0,0.2,1E-3")
    assert b1500.query("TI 1,-13") == "VAI+199.999E+99"
    assert b1500.query("TI 1,-14") == "VAI+199.999E+99"
    assert b1500.query("TI 1,-15")[:3] == "NAI"


def test_a_current_source_measures_its_voltage(b1500: Any) -> None:
    b1500.write("CN 1;DI 1,0,1E-6,2")
    assert b1500.query("*LRN? 1") == "DI1,14,+1.00000E-06,+2.00000E+00,0,20"
    assert float(b1500.query("TV 1")[3:]) == pytest.approx(0.1, rel=1e-3)
    b1500.write("DI 1,0,1E-4,2")
    assert b1500.query("TV 1")[:3] == "CAV"


def test_the_series_resistor_is_in_series(b1500: Any) -> None:
    b1500.write("CN 1;DV 1,0,1,1E-3;SSR 1,1")
    assert float(b1500.query("TI 1")[3:]) == pytest.approx(1 / 1.1e6, rel=1e-3)


def test_slower_is_quieter_and_finer(b1500: Any) -> None:
    b1500.write("FMT 12;CN 1;DV 1,0,0.1,1E-3")

    def spread(converter: str) -> float:
        b1500.write(converter)
        found = [float(b1500.query("TI 1,-14")) for _ in range(50)]
        return max(found) - min(found)

    fast, averaged = spread("AAD 1,0;AIT 0,3,2E-6"), spread("AIT 0,3,0.002")
    fine = spread("AAD 1,1;AIT 1,2,5")
    assert fast > 5 * averaged > 0
    assert fine < averaged
    assert fine < 5e-6 * 1e-6 * 5


def test_measuring_takes_its_time(b1500: Any) -> None:
    b1500.write("CN 1;DV 1,0,0.1,1E-3;RI 1,-14;TSR")

    def lasts(converter: str) -> float:
        b1500.write(converter)
        first, second = (float(b1500.query("TTI 1,-14").split(",")[0][3:]) for _ in range(2))
        return second - first

    assert lasts("AAD 1,0;AIT 0,3,0.02") == pytest.approx(0.02, abs=1e-3)
    assert lasts("AAD 1,1;AIT 1,2,10") == pytest.approx(0.2, abs=2e-3)
    assert lasts("AZ 1") == pytest.approx(0.4, abs=2e-3)


def test_readings_are_the_same_every_time(tmp_path: Path) -> None:
    def readings(name: str) -> list[str]:
        (tmp_path / name).mkdir()
        resource = plain(bench_file(tmp_path / name))
        resource.write("CN 1;DV 1,0,0.1,1E-3")
        found = [resource.query("TI 1") for _ in range(5)]
        resource.close()
        return found

    assert readings("one") == readings("another")


# ---- learning, calibration ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sent", "kind", "learned"),
    [
        ("CL", 0, "CL"),
        ("CN 1,2,501", 0, "CN1,2,501"),
        ("FL 0", 30, "FL0"),
        ("FL 1", 30, "FL1"),
        ("FL 1,2", 30, "FL0,1;FL1,2"),
        ("MM 1,1,2", 31, "TM1;AV1,0;CM1;FMT1,0;MM1,1,2"),
        ("AV -5;CM 0;FMT 13,1", 31, "TM1;AV-5;CM0;FMT13,1"),
        ("RI 1,-14;RV 2,50", 32, "RI1,-14;RV1,0;RI2,0;RV2,50"),
        ("WT 0.1,0.2", 33, "WM1,1;WT0.1,0.2,0,0,0"),
        ("CMM 2,4", 46, "CMM1,0;CMM2,4"),
        ("ML 2;MT 0,0.01,7", 47, "MSC1,2;ML2;MT0,0.01,7,0"),
        ("SSR 1,1", 53, "SSR1,1;SSR2,0"),
        ("RM 1,2,60", 54, "RM1,2,60;RM2,1,50"),
        ("AAD 2,1", 55, "AAD1,0;AAD1,2;;AAD2,1;AAD2,2;"),
        ("AIT 1,2,3;AZ 1", 56, "AIT0,0,1;AIT1,2,3;AIT2,3,2E-06;AZ1"),
        ("WAT 2,2,0.1", 57, "WAT1,1.0,0.0000;WAT2,2.0,0.1000"),
        ("TSC 1", 60, "TSC1"),
        ("PAD 1", 110, "PAD1"),
    ],
)
def test_what_was_set_is_learned(b1500: Any, sent: str, kind: int, learned: str) -> None:
    b1500.write(sent)
    assert b1500.query(f"*LRN? {kind}") == learned
    assert b1500.query("ERRX?") == NONE
    b1500.write("*RST")
    assert b1500.query("*LRN? 31") == "TM1;AV1,0;CM1;FMT1,0"


def test_calibration_opens_the_outputs(b1500: Any) -> None:
    b1500.write("CN 1;TSR")
    assert b1500.query("*CAL?") == "0"
    assert b1500.query("*LRN? 0") == "CL"
    assert b1500.query("*TST?") == b1500.query("DIAG? 1") == "0"


def test_it_calibrates_itself_unless_that_is_off(tmp_path: Path) -> None:
    path = bench_file(tmp_path)
    with open_bench(path) as bench:
        b1500 = plain(path)

        def stalls() -> bool:
            bench.world.pass_s(1900.0)
            before = bench.world.now_ns
            b1500.query("*OPC?")
            return bench.world.now_ns - before > 20e9

        assert stalls()
        b1500.write("CN 1")
        assert not stalls()
        b1500.write("CL;CM 0")
        assert not stalls()
        b1500.close()


def test_nothing_answers_while_easyexpert_is_open(tmp_path: Path) -> None:
    b1500 = plain(bench_file(tmp_path, options="{easyexpert: open}"))
    with pytest.raises(pyvisa.errors.VisaIOError, match="TMO"):
        b1500.query("*IDN?")
    b1500.close()


@pytest.mark.parametrize(
    "options",
    ["{modules: [B1599X]}", "{interlock: ajar}", "{modules: B1511B}", "{colour: red}", "{line: 55}"],
)
def test_options_it_does_not_have_are_refused(tmp_path: Path, options: str) -> None:
    path = bench_file(tmp_path, options=options)
    with open_bench(path) as bench, pytest.raises(ValueError, match=r"modules|interlock|options|line"):
        bench.twins["b1500"].twin  # noqa: B018 - builds it
    assert ADDRESS in path.read_text()
