"""The SCPI engine of the twins, through plain pyvisa: syntax, parameters, errors, status, overlapped operations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scpi_probe import opened

from drivers.simulated.registry import open_bench
from drivers.simulated.twins import TWINS

GPIB = "GPIB0::10::INSTR"
SOCKET = "TCPIP0::probe::5025::SOCKET"
HISLIP = "TCPIP0::probe::hislip0::INSTR"


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TWINS, "scpi-probe", "scpi_probe")


@pytest.fixture
def gpib(tmp_path: Path) -> Iterator[Any]:
    resource = opened(tmp_path, GPIB)
    yield resource
    resource.close()


@pytest.fixture
def plus(tmp_path: Path) -> Iterator[Any]:
    resource = opened(tmp_path, GPIB, "plus")
    yield resource
    resource.close()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Any]:
    resource = opened(tmp_path, SOCKET)
    yield resource
    resource.close()


def errors(resource: Any) -> list[str]:
    found = []
    while not (entry := resource.query("SYST:ERR?")).lstrip("+").startswith("0,"):
        found.append(entry)
    return found


VALUE = "+{:.15E}".format
ANSWERS = [
    ("VOLT1:HIGH 2;HIGH?", VALUE(2)),
    (":SOURce:VOLTage2:LEVel:IMMediate:HIGH 3;:VOLT2:HIGH?;:VOLT1:HIGH?", f"{VALUE(3)};{VALUE(1)}"),
    ("volt:high 1;low .5;low?", VALUE(0.5)),
    ("VOLT:HIGH 1;*ESE 4;LOW 0.25;*ESE?;LOW?", f"4;{VALUE(0.25)}"),
    ("VOLT:HIGH MAX;HIGH?;LOW? MAX;HIGH? DEF", f"{VALUE(10)};{VALUE(10)};{VALUE(1)}"),
    ("VOLT:LOW -2;:VOLT:HIGH MINimum;HIGH?", "-2.000000000000000E+00"),
    ("VOLT:HIGH UP;HIGH?;HIGH DOWN;HIGH DOWN;HIGH?", f"{VALUE(1.5)};{VALUE(0.5)}"),
    ("VOLT:HIGH 500 MV;HIGH?", VALUE(0.5)),
    ("VOLT:HIGH 500mV;HIGH?", VALUE(0.5)),
    ("VOLT:HIGH 1.5e3mV;HIGH?", VALUE(1.5)),
    ("FREQ 1MHZ;FREQ?", VALUE(1e6)),
    ("FREQ 2 kHz;FREQ?", VALUE(2e3)),
    ("OUTP:LOAD 1MOHM;LOAD?", VALUE(1e6)),
    ("OUTP:LOAD INF;LOAD?", VALUE(9.9e37)),
    ("CURR 5MA;CURR?", VALUE(5e-3)),
    ("CURR 5MAA;CURR?", VALUE(5e6)),
    ("CURR #H10;CURR?", VALUE(16)),
    ("OUTP2 ON;:OUTP2?;:OUTP1?", "1;0"),
    ("OUTP 0.4;:OUTP?;:OUTP 7;:OUTP?", "0;1"),
    ("FUNC:PULS?;:FUNC PULSE;FUNC?", ""),
    ("FUNC PULSE;FUNC?", "PULS"),
    ("FUNC2 squ;FUNC2?;FUNC?", "PULS;SIN"),
    ("COUN 2.6;COUN?", "+3"),
    ("DISP:TEXT 'it''s';TEXT?", '"it\'s"'),
    ('DISP:TEXT "say ""so""";TEXT?', '"say ""so"""'),
    ("MEAS:LIST? (@1,3:4)", "1,3,4"),
    ("MEAS:LIST? (@4:2)", "4,3,2"),
    ("SUM? 1, 2 V, 500 MV", "3.5"),
    ("NODE2:SUB4?;SUB?;:NODE:SUB?", "(2, 4);(2, 1);(1, 1)"),
    ("DATA #15a\nb;c;DATA?", "#15a\nb;c"),
    ("SYST:VERS?;ERR:COUN?", "1999.0;0"),
    ("*OPT?", "0"),
    ("*TST?", "0"),
    ("*STB?;*ESR?;*ESR?", "0;128;0"),
    ("STAT:OPER:PTR 3;NTR 5;ENAB 7;PTR?;NTR?;ENAB?;:STAT:PRES;:STAT:OPER:PTR?;NTR?;ENAB?", "3;5;7;32767;0;0"),
    ("VOLT2:HIGH 3;*SAV 1;*RST;HIGH?;*RCL 1;:VOLT2:HIGH?", f"{VALUE(1)};{VALUE(3)}"),
    ("COUN 5;*RST;COUN?", "+5"),
    (";;*OPC?;", "1"),
]


@pytest.mark.parametrize(("message", "answer"), [row for row in ANSWERS if row[1]])
def test_answers(gpib: Any, message: str, answer: str) -> None:
    gpib.read_termination = ""
    assert gpib.query(message) == answer + "\n"
    gpib.read_termination = "\n"
    assert errors(gpib) == []


ERRORS = [
    ("VOLTA:HIGH 1", '-113,"Undefined header;VOLTA:HIGH"'),
    ("VOLT:HIGHH 1", '-113,"Undefined header;VOLT:HIGHH"'),
    ("VOLT:ABCDEFGHIJKLM 1", '-112,"Program mnemonic too long;VOLT:ABCDEFGHIJKLM"'),
    ("*BAD", '-113,"Undefined header;*BAD"'),
    ("VOLT3:HIGH 1", '-114,"Header suffix out of range"'),
    ("VOLT0:HIGH 1", '-114,"Header suffix out of range"'),
    ("FREQ2 1", '-114,"Header suffix out of range"'),
    ("NODE2:SUB6?", '-114,"Header suffix out of range"'),
    ("VOLT:HIGH1.5", '-111,"Header separator error"'),
    ("VOLT:HIGH", '-109,"Missing parameter"'),
    ("VOLT:HIGH 1,2", '-108,"Parameter not allowed"'),
    ("VOLT:HIGH? 3", '-128,"Numeric data not allowed"'),
    ("VOLT:HIGH 1 HZ", '-131,"Invalid suffix"'),
    ("COUN 1 V", '-138,"Suffix not allowed"'),
    ("VOLT:HIGH 1 ABCDEFGHIJKLM", '-134,"Suffix too long"'),
    ("VOLT:HIGH 1e40000", '-123,"Exponent too large"'),
    ("VOLT:HIGH " + "1" * 256, '-124,"Too many digits"'),
    ("VOLT:HIGH 1.2.3", '-120,"Numeric data error"'),
    ("VOLT:HIGH 11", '-222,"Data out of range"'),
    ("VOLT:HIGH INF", '-224,"Illegal parameter value"'),
    ("VOLT:HIGH 'a'", '-158,"String data not allowed"'),
    ("VOLT:HIGH #11a", '-168,"Block data not allowed"'),
    ("VOLT:HIGH (@1)", '-178,"Expression data not allowed"'),
    ("OUTP MAYBE", '-224,"Illegal parameter value"'),
    ("FUNC 1", '-128,"Numeric data not allowed"'),
    ("FUNC TRI", '-224,"Illegal parameter value"'),
    ("DISP:TEXT 'a", '-151,"Invalid string data"'),
    ("DISP:TEXT '1234567890123'", '-224,"Illegal parameter value"'),
    ("MEAS:LIST? (@1,9)", '-222,"Data out of range"'),
    ("MEAS:LIST? (1)", '-171,"Invalid expression"'),
    ("MEAS:LIST? (@1", '-171,"Invalid expression"'),
    ("DATA #x", '-120,"Numeric data error"'),
    ("FREQ 1,", '-102,"Syntax error"'),
    ("VOLT::HIGH 1", '-102,"Syntax error"'),
    ("*RCL 3", '-314,"Save/recall memory lost"'),
    ("*ESE 256", '-222,"Data out of range"'),
    ("*TRG", '-211,"Trigger ignored"'),
    ("*IDN?;:FREQ?", '-440,"Query UNTERMINATED after indefinite response"'),
]


@pytest.mark.parametrize(("message", "entry"), ERRORS)
def test_errors(stream: Any, message: str, entry: str) -> None:
    stream.write(message)
    if message.startswith("*IDN?"):
        assert stream.read() == "Maker,PROBE,1,2.0"
    assert errors(stream) == [entry]


def test_a_block_cut_short_by_end_is_an_error(gpib: Any) -> None:
    gpib.write_raw(b"DATA #19ab")
    assert errors(gpib) == ['-161,"Invalid block data"']


def test_a_block_without_length_ends_with_the_message(gpib: Any) -> None:
    gpib.write_raw(b"DATA #0a\nb;\n\n")
    gpib.read_termination = ""
    assert gpib.query("DATA?") == "#15a\nb;\n\n"


def test_a_command_error_stops_the_message_and_an_execution_error_does_not(stream: Any) -> None:
    assert stream.query("COUN 5;COUN 500;COUN?;NONE;COUN 7") == "+5"
    assert errors(stream) == ['-222,"Data out of range"', '-113,"Undefined header;NONE"']
    assert stream.query("COUN?") == "+5"


def test_the_queue_keeps_the_oldest(stream: Any) -> None:
    for _ in range(6):
        stream.write("COUN 500")
    assert errors(stream) == ['-222,"Data out of range"'] * 3 + ['-350,"Queue overflow"']
    stream.write("COUN 500;*RST")
    assert stream.query("SYST:ERR:COUN?") == "1"
    stream.write("*CLS")
    assert stream.query("SYST:ERR:COUN?") == "0"


def test_ways_of_a_maker(plus: Any) -> None:
    assert plus.query("SYST:ERR?") == '+0,"No error"'
    assert plus.query("VOLT:HIGH 12;HIGH?") == VALUE(10)
    plus.write("WHIN 501;WHIN -221;COUN 0;COUN 0;COUN 0")
    assert errors(plus) == [
        '-222,"Data out of range; value clipped to upper limit"',
        '+501,"Too hot; ouch"',
        '-221,"Settings conflict; ouch"',
        '-350,"Error queue overflow"',
    ]
    assert int(plus.query("*ESR?")) & 0x38 == 0x18


@pytest.mark.parametrize(
    ("message", "bit"), [("NONE", 0x20), ("COUN 500", 0x10), ("WHIN -310", 0x08), ("*IDN?;*IDN?", 0x04)]
)
def test_event_status_by_class(stream: Any, message: str, bit: int) -> None:
    stream.write(f"*CLS;{message}")
    if message.startswith("*IDN?"):
        stream.read()
    assert int(stream.query("*ESR?")) == bit


# ---- message exchange --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [GPIB, HISLIP])
def test_a_forgotten_reply_is_interrupted(tmp_path: Path, address: str) -> None:
    resource = opened(tmp_path, address)
    resource.write("FREQ?")
    assert resource.query("COUN?") == "+1"
    assert errors(resource) == ['-410,"Query INTERRUPTED"']
    assert int(resource.query("*ESR?")) & 0x04
    resource.close()


def test_a_forgotten_reply_on_a_stream_is_off_by_one_for_ever(stream: Any) -> None:
    stream.write("FREQ?")
    assert stream.query("COUN?") == VALUE(1e3)
    assert stream.query("*OPC?") == "+1"
    assert stream.read() == "1"
    assert errors(stream) == []


def test_reading_without_a_question_is_unterminated(gpib: Any) -> None:
    with pytest.raises(pyvisa.VisaIOError):
        gpib.read()
    assert errors(gpib) == ['-420,"Query UNTERMINATED"']


def test_a_refused_query_gives_no_reply(gpib: Any) -> None:
    with pytest.raises(pyvisa.VisaIOError):
        gpib.query("FRQ?")
    assert errors(gpib) == ['-113,"Undefined header;FRQ?"', '-420,"Query UNTERMINATED"']


def test_both_buffers_full_is_a_deadlock(gpib: Any) -> None:
    gpib.write("LONG?;LONG?;" + ":DISP:TEXT 'x';" * 400)
    assert errors(gpib) == ['-430,"Query DEADLOCKED"']
    assert len(gpib.query("LONG?;LONG?")) == 18001


def test_what_is_too_long_is_dropped(stream: Any) -> None:
    stream.write("DISP:TEXT '" + "x" * 70_000 + "'")
    assert errors(stream) == ['-363,"Input buffer overrun"']


# ---- status ---------------------------------------------------------------------------------------------------------


def test_serial_poll_takes_the_request_and_nothing_else(gpib: Any) -> None:
    gpib.write("*CLS;*ESE 32;*SRE 32")
    assert gpib.read_stb() == 0
    gpib.write("NONE")
    assert gpib.read_stb() == 0x40 | 0x20 | 0x04
    assert gpib.read_stb() == 0x20 | 0x04
    assert gpib.query("*STB?") == str(0x40 | 0x20 | 0x04)
    gpib.write("NONE")  # no new reason: the bit has stayed
    assert gpib.read_stb() & 0x40 == 0
    assert gpib.query("*ESR?") == "32"
    gpib.write("NONE")
    assert gpib.read_stb() & 0x40


def test_a_waiting_answer_asks_for_service(gpib: Any) -> None:
    gpib.write("*CLS;*SRE 16")
    for _ in range(2):
        gpib.write("FREQ?")
        assert gpib.read_stb() == 0x50
        assert gpib.read_stb() == 0x10
        gpib.read()
        assert gpib.read_stb() == 0


def test_operation_register_follows_an_operation(stream: Any) -> None:
    stream.write("STAT:OPER:ENAB 16;:INIT 10")
    assert stream.query("STAT:OPER:COND?;EVEN?;EVEN?;*STB?") == "16;16;0;16"
    assert stream.query("*OPC?;STAT:OPER:COND?") == "1;0"


# ---- overlapped operations ------------------------------------------------------------------------------------------


def test_operation_complete_on_the_clock_of_the_bench(gpib: Any) -> None:
    gpib.write("*CLS;*ESE 1;*SRE 32;INIT 10;*OPC")
    assert gpib.read_stb() == 0
    gpib.write("*WAI")
    assert gpib.read_stb() == 0x60
    assert gpib.query("*ESR?") == "1"


def test_who_waits_for_service_lets_the_time_of_an_operation_pass(gpib: Any, tmp_path: Path) -> None:
    gpib.write("*CLS;*ESE 1;*SRE 32;INIT 10;*OPC")
    with open_bench(tmp_path / "bench.yaml") as bench:
        twin = next(iter(bench.instruments.values())).twin
        link = twin.links[0]
        assert twin.due_s() == pytest.approx(10, rel=1e-2)
        assert twin.peek_status(link) == 0
        bench.world.pass_s(twin.due_s())
        twin.time_passed()
        assert twin.peek_status(link) == twin.peek_status(link) == 0x60
        assert twin.due_s() is None
    assert gpib.read_stb() == 0x60
    assert gpib.read_stb() == 0x20


def test_waiting_for_a_trigger_holds_the_link_until_it_comes(gpib: Any) -> None:
    gpib.write("WAIT;LATE?;FREQ?")
    gpib.write("COUN 9")
    with pytest.raises(pyvisa.VisaIOError):
        gpib.read()
    gpib.assert_trigger()
    assert gpib.read() == f"late;{VALUE(1e3)}"
    assert gpib.query("COUN?") == "+9"
    assert errors(gpib) == []


def test_device_clear_frees_a_link_that_waits(gpib: Any) -> None:
    gpib.write("WAIT;*OPC?")
    gpib.clear()
    assert gpib.query("*IDN?") == "Maker,PROBE,1,2.0"
    gpib.assert_trigger()
    assert errors(gpib) == []
    gpib.assert_trigger()
    assert errors(gpib) == ['-211,"Trigger ignored"']


def test_another_link_may_bring_what_one_waits_for(stream: Any, tmp_path: Path) -> None:
    other = pyvisa.ResourceManager(f"{tmp_path / 'bench.yaml'}@pcm").open_resource(SOCKET)
    other.read_termination = other.write_termination = "\n"
    stream.write("WAIT;*OPC?")
    other.write("*TRG")
    assert stream.read() == "1"
    other.close()


# ---- anything at all -----------------------------------------------------------------------------------------------

WORDS = (
    "VOLT HIGH FREQ DATA #0 #13 MEAS:LIST? INIT SUM? OUTP LOAD MIN MAX INF (@1:3) COUN 1E9999 *ESE *OPC? *RST \xe9 V "
    "DISP:TEXT STAT:OPER:ENAB *SAV *RCL FUNC SIN MHZ \x00 *TRG NODE SUB WAI *CLS"
)
PIECES = st.sampled_from([*"*?:;,#'\"()@ \n\r+-.eE0123456789", *WORDS.split(" ")])
MESSAGES = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=30))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(MESSAGES, max_size=12))
def test_nothing_that_is_sent_silences_it(gpib: Any, messages: list[str]) -> None:
    for message in messages:
        gpib.write_raw(message.encode("utf-8") + b"\n")
        gpib.read_stb()
    gpib.clear()
    assert gpib.query("*IDN?") == "Maker,PROBE,1,2.0"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        errors(gpib)
