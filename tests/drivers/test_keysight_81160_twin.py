"""The twin of the 81160A as any program meets it: exchanges of instruments §2.3, rules, texts, bursts, waveforms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from generator_bench import GPIB, SOCKET, bench_file, drained, plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.simulated.registry import open_bench

WIRING = ("pulser.1 -- 50 Ohm -- ground", "pulser.2 -- 100 kOhm -- ground", "pulser.1n -- 50 Ohm -- ground")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return bench_file(tmp_path, "keysight-81160a", GPIB, WIRING)


@pytest.fixture
def world(path: Path) -> Iterator[Any]:
    with open_bench(path) as bench:
        yield bench.world


@pytest.fixture
def pulser(path: Path, world: Any) -> Iterator[Any]:
    resource = plain(path)
    yield resource
    resource.close()


def value(number: float) -> str:
    return f"{number:+.15E}"


EXCHANGES = [
    ("*IDN?", "Agilent Technologies,81160A,MY12345678,1.0.3.0-2.6"),
    ("SYST:ERR?", '+0,"No error"'),
    (":FUNC1 PULS;:FUNC1?", "PULS"),
    (":PULS:PER1 1e-6;:PULS:PER1?", value(1e-6)),
    (":PULS:WIDT1 50e-9;:PULS:WIDT1?", value(50e-9)),
    (":PULS:DCYC1 5;:PULS:WIDT1?", value(50e-9)),
    (":PULS:DEL1 1US;:PULS:DEL1?", value(1e-6)),
    (":VOLT1:HIGH 1.2;:VOLT1:LOW 0;:VOLT1?;:VOLT1:OFFS?;:VOLT1:UNIT?", f"{value(1.2)};{value(0.6)};VPP"),
    (":VOLT2 2;:VOLT2:OFFS 1;:VOLT2:HIGH?;LOW?", f"{value(2)};{value(0)}"),
    (":VOLT1:LIM:HIGH 2;LOW -1;STAT ON;:VOLT1:LIM:STAT?", "1"),
    (":OUTP1 ON;:OUTP1?;:OUTP2?", "1;0"),
    (":OUTP1:POL INV;:OUTP1:POL?;:OUTP1:COMP ON;:OUTP1:COMP?", "INV;1"),
    (":OUTP1:LOAD 1000;:OUTP1:IMP:EXT?", value(1000)),
    (":OUTP1:IMP:EXT 50OHM;:OUTP1:LOAD?;:OUTP1:IMP?", f"{value(50)};{value(50)}"),
    (":FUNC1:PULS:HOLD DCYC;:PULS:HOLD1?;:PULS:HOLD1 TDEL;:FUNC1:PULS:HOLD?", "DCYC;TDEL"),
    (":FUNC1:PULS:TRAN 2.5e-9;:PULS:TRAN1?;TRAN1:TRA?", f"{value(2.5e-9)};{value(2.5e-9)}"),
    (":PULS:TRAN1 4NS;:PULS:TRAN1:LEAD?;TRA?", f"{value(4e-9)};{value(4e-9)}"),
    (":PULS:TRAN1:TRA 9e-9;TRA:AUTO?;:PULS:TRAN1?", f"0;{value(1e-9)}"),
    (":PULS:TRAN2:TRA 9e-9;TRA:AUTO ON;:PULS:TRAN2:TRA?", value(1e-9)),
    (
        ":FUNC1:PULS:TRAN:LEAD 3e-9;TRA 8e-9;:PULS:TRAN1?;TRAN1:TRA?",
        f"{value(3e-9)};{value(8e-9)}",
    ),
    (":ARM:SOUR1 MAN;:ARM:SOUR1?;:ARM:SOUR2 INT2;:ARM:SOUR2?", "MAN;INT2"),
    (":ARM:SOUR EXT1;:ARM:SOUR1?;:ARM:LEV -0.5V;LEV?", f"EXT;{value(-0.5)}"),
    (":TRIG1:COUN 5;:TRIG1:COUN?;:BURS1:STAT?;NCYC?", "+5;1;+5"),
    (":BURS1:NCYC 3;:TRIG1:COUN?;:BURS1:STAT ON;:TRIG1:COUN?", "+1;+3"),
    (":BURS1:MODE TRIG;MODE?;INT:PER 2MS;:BURS1:INT:PER?", f"TRIG;{value(2e-3)}"),
    (":TRAC:CHAN1 ON;:VOLT1:HIGH 2;:VOLT2:HIGH?;:TRAC:CHAN1?", f"{value(2)};1"),
    (":FREQ1 2MHZ;:PULS:PER1?", value(5e-7)),
    (":APPL1:PULS 1e6,1,0.5;:APPL1?;:OUTP1?", f'"PULS {value(1e6)},{value(1)},{value(0.5)}";1'),
    (":FUNC SIN;:VOLT 1;:VOLT:UNIT VRMS;:VOLT?", value(1 / 8**0.5)),
    (":FUNC SIN;:VOLT 2;:VOLT:UNIT DBM;:VOLT?", value(10.0)),
    (":DATA1:NVOL:FREE?;:DATA1:NVOL:CAT?;:FUNC1:USER?", '+4;"";EXP_RISE'),
    (":DATA1:DAC VOLATILE,0,8191,-8191;COPY RAMP_1,VOLATILE;NVOL:CAT?;:DATA1:NVOL:FREE?", '"RAMP_1";+3'),
    (":DATA1:DAC VOLATILE,0,1,2;ATTR:POIN?;:DATA1:DEL VOLATILE;CAT?", None),
    ("*RST;:VOLT1?;:VOLT1:OFFS?;:PULS:PER1?;:OUTP1?", f"{value(0.1)};{value(0)};{value(1e-6)};0"),
    ("SYST:VERS?", "1999.0"),
    ("*STB?;*OPC?;*ESE?", "0;1;0"),
]


@pytest.mark.parametrize(("message", "reply"), EXCHANGES)
def test_exchanges(pulser: Any, message: str, reply: str | None) -> None:
    found = pulser.query(message)
    if reply is None:
        assert found == '+3;"EXP_RISE","EXP_FALL","NEG_RAMP","SINC","CARDIAC"'
    elif "DBM" in message:
        assert float(found) == pytest.approx(float(reply), abs=1e-3)
    elif "VRMS" in message:
        assert float(found) == pytest.approx(float(reply), rel=1e-6)
    else:
        assert found == reply
    assert drained(pulser) == []


CONFLICT = '-221,"Settings conflict; {}"'.format
OUT = '-222,"Data out of range"'
REFUSED = [
    (":PULS:PER1 3E-9", [OUT]),
    (":PULS:WIDT1 1E-9", [OUT]),
    (":PULS:TRAN1 2000", [OUT]),
    (":PULS:DCYC1 0.1", [OUT]),
    (":VOLT1 0.04", [OUT]),
    (":VOLT1 5.1", [OUT]),
    (":VOLT1:HIGH 5.01", [OUT]),
    (":VOLT1:LOW 4.96", [OUT]),
    (":OUTP1:LOAD 0.2", [OUT]),
    (":OUTP1:LOAD INF", ['-224,"Illegal parameter value"']),
    (":TRIG1:COUN 0", [OUT]),
    (":TRIG1:COUN 2147483648", [OUT]),
    (":BURS1:NCYC 1", [OUT]),
    (":BURS1:INT:PER 1E-9", [OUT]),
    (":VOLT3:HIGH 1", ['-114,"Header suffix out of range"']),
    (":FUNC1 TRI", ['-224,"Illegal parameter value"']),
    (":NOSUCH 1", ['-113,"Undefined header"']),
    (":TRIG1", ['-211,"Trigger ignored"']),
    ("*TRG", ['-211,"Trigger ignored"']),
    (":PULS:PER1 150NS;:PULS:WIDT1 149NS", [CONFLICT("pulse width decreased due to period")]),
    (":PULS:WIDT1 500NS;PER1 100NS", [CONFLICT("pulse width decreased due to period")]),
    (":PULS:WIDT1 500NS;:FUNC1:PULS:TRAN 400NS", [CONFLICT("edge time decreased due to period")]),
    (":PULS:PER1 1MS;WIDT1 100NS;TRAN1 1US", [CONFLICT("edge time decreased due to pulse width")]),
    (":VOLT1:HIGH -1", [CONFLICT("low level changed due to high level")]),
    (":VOLT1:LOW 1", [CONFLICT("high level changed due to low level")]),
    (":VOLT1:OFFS 4;:VOLT1 4", [CONFLICT("offset changed due to amplitude")]),
    (":VOLT1 5;:VOLT1:OFFS 3", [CONFLICT("amplitude changed due to offset")]),
    (":FREQ1 400MHZ;:FUNC1 PULS", [CONFLICT("frequency reduced for pulse function"),
                                   CONFLICT("pulse width decreased due to period")]),
    (":VOLT1:LIM:HIGH 0.5;STAT ON;:VOLT1:HIGH 1", ['-222,"Data out of range; level exceeds voltage limit"']),
    (":VOLT1:HIGH 1;LIM:HIGH 0.5;STAT ON", [CONFLICT("voltage limit conflicts with level")]),
    (":DATA1:DAC VOLATILE,0,9000", [OUT]),
    (":DATA1:DAC VOLATILE,0", ['-109,"Missing parameter"']),
    (":DATA1:DAC OTHER,0,1", ['-224,"Illegal parameter value"']),
    (":DATA1:COPY X", ['+785,"Specified arb waveform does not exist"']),
    (":DATA1:DEL SINC", ['+786,"Cannot delete a built-in waveform"']),
    (":DATA1:DAC VOLATILE,0,1;COPY SINC", ['+782,"Cannot overwrite a built-in waveform"']),
    (":FUNC1:USER NONE", ['+785,"Specified arb waveform does not exist"']),
]  # fmt: skip


@pytest.mark.parametrize(("message", "entries"), REFUSED)
def test_what_is_refused_or_adjusted(pulser: Any, message: str, entries: list[str]) -> None:
    pulser.write(message)
    assert drained(pulser) == entries


@pytest.mark.parametrize("period_ns", [10, 20, 50, 117, 200, 1000])
@pytest.mark.parametrize("edge_ns", [1, 5, 40, 300])
@pytest.mark.parametrize("width_ns", [2, 17, 90, 700])
def test_the_rule_of_the_family_always_holds(
    pulser: Any, period_ns: int, width_ns: int, edge_ns: int
) -> None:
    pulser.write(f":PULS:WIDT1 1.5NS;PER1 {period_ns}NS;WIDT1 {width_ns}NS;:FUNC1:PULS:TRAN {edge_ns}NS")
    period, width, edge = map(float, pulser.query(":PULS:PER1?;WIDT1?;:FUNC1:PULS:TRAN?").split(";"))
    assert period == pytest.approx(period_ns * 1e-9)
    assert width + 1.6 * edge <= period * (1 + 1e-6)
    adjusted = width != pytest.approx(width_ns * 1e-9) or edge != pytest.approx(edge_ns * 1e-9)
    assert bool(drained(pulser)) == adjusted


def test_the_queue_holds_twenty(pulser: Any) -> None:
    pulser.write(";".join([":VOLT1 9"] * 25))
    assert drained(pulser) == [OUT] * 19 + ['-350,"Queue overflow"']


# ---- what comes out --------------------------------------------------------------------------------------------------

PULSES = (
    ":FUNC1 PULS;:PULS:PER1 1US;WIDT1 100NS;:FUNC1:PULS:TRAN 8NS;:VOLT1:HIGH 2;LOW 0;:ARM:SOUR1 MAN;:OUTP1 ON"
)


def test_a_burst_at_its_trigger(pulser: Any, world: Any) -> None:
    pulser.write(f"{PULSES};:TRIG1:COUN 1000")
    assert world.terminal("pulser.1").trace() is None
    before = world.now_ns
    pulser.write(":TRIG1")
    assert pulser.query("*OPC?") == "1"
    assert world.now_ns - before == pytest.approx(999e3 + 110, abs=5e6)
    seen = world.terminal("pulser.1").trace()
    assert seen.voltage_v.max() == pytest.approx(2.0)
    above = seen.t_s[seen.voltage_v >= 1.0 - 1e-9]
    assert above[-1] - above[0] == pytest.approx(100e-9, rel=0.02)
    assert world.terminal("pulser.1").look().voltage_v == 0.0


def test_the_configured_load_scales_the_answer_and_not_the_output(pulser: Any, world: Any) -> None:
    pulser.write(f"{PULSES};*TRG")
    first = world.terminal("pulser.1").trace().voltage_v.max()
    pulser.write(":OUTP1:LOAD 1E6;*TRG")
    assert world.terminal("pulser.1").trace().voltage_v.max() == pytest.approx(first)
    assert float(pulser.query(":VOLT1:HIGH?")) == pytest.approx(4.0, rel=1e-4)


def test_into_an_open_end_twice_the_level_arrives(pulser: Any, world: Any) -> None:
    pulser.write(
        PULSES.replace("1", "2").replace("PULS:PER2 2", "PULS:PER2 1").replace("200NS", "100NS") + ";*TRG"
    )
    assert world.terminal("pulser.2").trace().voltage_v.max() == pytest.approx(4.0, rel=1e-3)


def test_polarity_and_complement(pulser: Any, world: Any) -> None:
    pulser.write(f"{PULSES};:OUTP1:COMP ON;:TRIG1")
    assert world.terminal("pulser.1n").trace().voltage_v[0] == pytest.approx(2.0)
    assert world.terminal("pulser.1n").trace().voltage_v.min() == pytest.approx(0.0)
    pulser.write(":OUTP1:POL INV")
    assert world.terminal("pulser.1").look().voltage_v == pytest.approx(2.0)
    assert world.terminal("pulser.1n").look().voltage_v == pytest.approx(0.0)


def test_the_bus_triggers_it_too(pulser: Any, world: Any) -> None:
    pulser.write(PULSES)
    pulser.assert_trigger()
    assert world.terminal("pulser.1").trace().voltage_v.max() == pytest.approx(2.0)
    assert drained(pulser) == []
    pulser.write(":ARM:SOUR1 EXT")
    pulser.assert_trigger()
    assert drained(pulser) == ['-211,"Trigger ignored"']


def test_running_free_it_shows_its_mean(pulser: Any, world: Any) -> None:
    pulser.write(PULSES.replace("MAN", "IMM"))
    assert world.terminal("pulser.1").look().voltage_v == pytest.approx(0.2)
    pulser.write(":BURS1:STAT ON;NCYC 10;INT:PER 100US")
    assert world.terminal("pulser.1").look().voltage_v == pytest.approx(0.02)
    pulser.write(":APPL1:DC DEF,DEF,1.5")
    assert world.terminal("pulser.1").look().voltage_v == pytest.approx(1.5)
    pulser.write(":OUTP1 OFF")
    assert world.terminal("pulser.1").look().current_a == 0.0


@pytest.mark.parametrize(("order", "kind"), [("NORM", ">i2"), ("SWAP", "<i2")])
def test_waveforms_in_both_byte_orders(pulser: Any, world: Any, order: str, kind: str) -> None:
    points = np.array([0, 10, 8191, -8191, 266], kind)  # 0x0A in it
    head = f":FORM:BORD {order};:DATA1:DAC VOLATILE,#210".encode()
    pulser.write_raw(head + points.tobytes() + b"\n")
    pulser.write(":FUNC1:USER VOLATILE;:FUNC1 USER;:FREQ1 1MHZ;:VOLT1 2;:ARM:SOUR1 MAN;:OUTP1 ON;:TRIG1")
    assert drained(pulser) == []
    seen = world.terminal("pulser.1").trace()
    found = np.interp(np.arange(5) * 0.2e-6, seen.t_s, seen.voltage_v)
    assert found == pytest.approx(points.astype(float) / 8191, abs=1e-9)


def test_a_block_of_an_odd_length_is_refused(pulser: Any) -> None:
    pulser.write_raw(b":DATA1:DAC VOLATILE,#13abc\n")
    assert drained(pulser) == ['-161,"Invalid block data"']


def test_four_waveforms_can_be_stored(pulser: Any) -> None:
    pulser.write(":DATA1:DAC VOLATILE,0,1")
    for name in "ABCDE":
        pulser.write(f":DATA1:COPY {name}")
    assert drained(pulser) == ['+781,"Not enough memory to store new arb waveform; use DATA:DELETE"']
    pulser.write("*RST")
    assert pulser.query(":DATA1:NVOL:CAT?") == '"A","B","C","D"'


# ---- transports ------------------------------------------------------------------------------------------------------


def test_a_forgotten_reply(tmp_path: Path) -> None:
    for address, reply, entries in (
        (GPIB, "SIN", ['-410,"Query INTERRUPTED"']),
        (SOCKET, value(1e6), None),
    ):
        (tmp_path / address[:4]).mkdir()
        resource = plain(bench_file(tmp_path / address[:4], "keysight-81160a", address), address)
        resource.write(":FREQ1?")
        assert resource.query(":FUNC1?") == reply
        if entries is None:
            assert resource.query("SYST:ERR?") == "SIN"
        else:
            assert drained(resource) == entries
        resource.close()


def test_a_wrong_header_looks_like_a_timeout(pulser: Any) -> None:
    with pytest.raises(pyvisa.VisaIOError):
        pulser.query(":FRQ1?")
    assert drained(pulser) == ['-113,"Undefined header"', '-420,"Query UNTERMINATED"']


def test_the_81150a_is_slower(tmp_path: Path) -> None:
    resource = plain(bench_file(tmp_path, "keysight-81150a", serial="MY1"))
    assert resource.query("*IDN?") == "Agilent Technologies,81150A,MY1,3.0.0.0-4.6"
    assert float(resource.query(":PULS:PER1? MIN")) == 8.33e-9
    resource.close()


HEADERS = (
    ":FUNC1 :FREQ1 :PULS:PER1 :PULS:WIDT2 :PULS:DCYC1 :PULS:TRAN1 :PULS:TRAN1:TRA :FUNC1:PULS:TRAN :VOLT1 :VOLT1:HIGH "
    ":VOLT1:LOW :VOLT1:OFFS :VOLT1:UNIT :VOLT1:LIM:STAT :VOLT1:LIM:HIGH :OUTP1 :OUTP1:LOAD :OUTP1:POL :OUTP1:COMP "
    ":ARM:SOUR1 :TRIG1:COUN :TRIG1 *TRG :BURS1:STAT :BURS1:NCYC :BURS1:INT:PER :TRAC:CHAN1 :DATA1:DAC :FUNC1:USER "
    ":APPL1:PULS :APPL2:USER :DATA1:COPY *RST *SAV *RCL :PULS:HOLD1 :PULS:TDEL1 :PULS:DEL1"
)
WORDS = (
    "0 1 -1 2.5 1E-9 3E-9 1E-6 1E-3 1E6 1E300 -1E300 1E-300 MIN MAX DEF NAN INF ON OFF PULS SIN USER DC NOIS SQU RAMP "
    "MAN IMM EXT INT2 VPP VRMS DBM INV NORM DCYC VOLATILE,1,2,3 VOLATILE,#14abcd X,VOLATILE SINC 1,2,3 DEF,DEF,1 7NS"
)
UNITS = st.tuples(
    st.sampled_from(HEADERS.split(" ")),
    st.sampled_from(["", "?", *(f" {word}" for word in WORDS.split(" "))]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(UNITS, max_size=30))
def test_no_sequence_of_commands_silences_it(pulser: Any, units: list[tuple[str, str]]) -> None:
    pulser.write("*CLS;*RST")
    for header, rest in units:
        pulser.write(header + rest)
    pulser.clear()
    assert pulser.query("*IDN?").startswith("Agilent Technologies,81160A,")
    for n in (1, 2):
        low, high = (float(pulser.query(f":VOLT{n}:{name}?")) for name in ("LOW", "HIGH"))
        assert low < high
        period, width = (float(pulser.query(f":PULS:{name}{n}?")) for name in ("PER", "WIDT"))
        assert width > 0
        assert width <= period or pulser.query(f":FUNC{n}?") != "PULS"
    drained(pulser)
