"""Every rule of controller-protocol §3.1 and the order of errors, as a table of messages and what they queue."""

from __future__ import annotations

import pytest
from fake_chip import Host, definite, make_board

ROWS: list[tuple[str, str]] = [
    ("SYST:TAG? #H1F", "31"),
    ("SYST:TAG? #B1", "1"),
    ("SYST:TAG? #Q7", "7"),
    ("SYST:TAG? 1.0", "1"),
    ("SYST:TAG? 1E3", "1000"),
    ("SYST:TAG? 4294967295", "4294967295"),
    ("SYST:TAG? 4294967296", "9.91E37"),
    ("SYSTEM:TAG? 5", "5"),
    ("system:tag? 5", "5"),
    (":SYST:TAG? 5", "5"),
    ("SYST1:TAG? 5", "5"),
    ("SYST:TAG? 5;TAG? 6", "5;6"),
    ("SYST:TAG? 5;*OPC?;TAG? 6", "5;1;6"),
    ("SYST:TAG? 5;;:SYST:TAG? 6;", "5;6"),
    ("SYST:TAG? 5;:ARR:GEOM?", "5;1,16,16"),
    ("SYST:ERR?;ERR:NEXT?;COUN?", '0,"No error";0,"No error";0'),
    ("OUTP?;:OUTP1?", "0;0"),
    ("", ""),
    (";;", ""),
    ("*IDN?", "PCMLAB,PCMC-1M-SIM,0001,1.0.0"),
    ("*OPT?;:SYST:VERS?;CLOC?", "MVM,TEMP,EVEN,SIM;1999.0;200000000"),
    ("SYST:WDOG?", "6.000000000E+02"),
    ("ARR:TEMP?;TEMP:PROT?", "300.000;4.000000000E+02"),
    ("FORM:BORD?;PROG?", "SWAP;U8"),
    ("READ:VOLT?;AVER?;APER?;RANG?", "2.000000000E-01;1;1.000000000E-06;AUTO"),
    ("READ:RANG 2E-6;RANG?", "1.000000000E-05"),
    ("READ:RANG 2E-6;RANG auto;RANG?", "AUTO"),
    ("ARR:RAIL:VDD?", "3.300000000E+00,0.000000000E+00"),
    ("SYST:TIME:EPOC?", "0,0"),
    ("PULS:DEF 1,4.9E-9,1E-7,7E-9,1E-6;DEF? 1", ""),
    (
        "PULS:DEF 1,6E-9,1.02E-7,8E-9,1E-6;DEF? 1",
        "5.000000000E-09,1.000000000E-07,1.000000000E-08,1.000000000E-06",
    ),
    (
        "PULS:DEF 1,5E-9,5E-8,5E-9,1E-6;KIND? 1;UNIT? 1;FSC? 1;LIM? 1;VWL? 1",
        "SET;A;9.91E37;5.000000000E-04;2.500000000E+00",
    ),
    ("PULS:DEF 1,5E-9,5E-8,5E-9,1E-6;FSC 1,1E-4;UNIT 1,A;FSC? 1", "9.91E37"),
    ("SEL:COUN? 0", "256"),
    ("PROG:LAST?;STAT?", "0,0,0;0,IDLE,0,0,0,0,0,0,0"),
    ("READ:STAT?", "0,IDLE,0,0"),
    ("READ:DATA? 0,0", "0,0,C,#10"),
    ("MVM:STAT?;DATA? 0,0", "0,IDLE,0,0;0,0,#10"),
    ("STAT:OPER:ENAB 3;ENAB?;:STAT:PRES;:STAT:OPER:ENAB?", "3;0"),
    ("SIM:FAUL?", "0"),
]


@pytest.mark.parametrize(("message", "answer"), ROWS)
def test_answers(message: str, answer: str) -> None:
    assert Host(make_board()).ask(message) == answer


REFUSALS: list[tuple[str | bytes, str, str]] = [
    ("PROG:CEL 38,1,2,#14abcd", '-113,"Undefined header;PROG:CEL"', ""),
    ("SYSTE:ERR?", '-113,"Undefined header;SYSTE:ERR?"', ""),
    ("*FOO", '-113,"Undefined header;*FOO"', ""),
    ("SYST:TAG? 5;FOO?", '-113,"Undefined header;FOO?"', "5"),
    ("SYST:TAG? 5;FOO?;:SYST:TAG? 6", '-113,"Undefined header;FOO?"', "5"),
    ("OUTP2?", '-114,"Header suffix out of range"', ""),
    ("SYST::ERR?", '-102,"Syntax error"', ""),
    ("1 2", '-102,"Syntax error"', ""),
    ("@", '-101,"Invalid character"', ""),
    (b"\xffA 1", '-101,"Invalid character"', ""),
    (b"SYST:TAG? \xff", '-101,"Invalid character"', ""),
    (b'SYST:LOCK:REQ? "\xff"x', '-103,"Invalid separator"', ""),
    ("SYST:TAG?5", '-111,"Header separator error"', ""),
    (b"SEL:BITM#14\n\n\n\n", '-111,"Header separator error"', ""),
    ("SYST:TAG? 5 6", '-103,"Invalid separator"', ""),
    ("SYST:TAG?", '-109,"Missing parameter"', ""),
    ("SYST:TAG? 5,6", '-108,"Parameter not allowed"', ""),
    ("SYST:TAG? ,5", '-102,"Syntax error"', ""),
    ("SYST:TAG? 1.5", '-104,"Data type error"', ""),
    ("SYST:TAG? 1E-999999999", '-104,"Data type error"', ""),
    ("SYST:TAG? 1E999999999", '-222,"Data out of range"', "9.91E37"),
    ("SYST:TAG? -1", '-222,"Data out of range"', "9.91E37"),
    ("SYST:TAG? 1.2.3", '-120,"Numeric data error"', ""),
    ("SYST:TAG? 1E", '-120,"Numeric data error"', ""),
    ("SYST:TAG? #HG", '-120,"Numeric data error"', ""),
    ("READ:APER 1us", '-138,"Suffix not allowed"', ""),
    ("READ:APER 1 us", '-138,"Suffix not allowed"', ""),
    ("READ:APER MAX", '-148,"Character data not allowed"', ""),
    ('READ:APER "1"', '-104,"Data type error"', ""),
    ("READ:APER #11x", '-104,"Data type error"', ""),
    ("SYST:LOCK:REQ? 5", '-104,"Data type error"', ""),
    ("READ:RANG MIN", '-224,"Illegal parameter value"', ""),
    ("READ:RANG 1", '-222,"Data out of range"', ""),
    ("ARR:POW 2", '-224,"Illegal parameter value"', ""),
    ("ARR:POW PERHAPS", '-224,"Illegal parameter value"', ""),
    ("FORM:BORD NORM", '-224,"Illegal parameter value"', ""),
    ("FORM:PROG U32", '-224,"Illegal parameter value"', ""),
    ('SYST:LOCK:REQ? "x', '-151,"Invalid string data"', ""),
    ('SYST:LOCK:REQ? "' + "x" * 65 + '"', '-222,"Data out of range"', "0"),
    ("*IDN?;*OPC?", '-440,"Query UNTERMINATED after indefinite response"', "PCMLAB,PCMC-1M-SIM,0001,1.0.0"),
    ("SYST:TAG? 5 " + " " * 4090, '-363,"Input buffer overrun"', ""),
    ("SEL:COUN? 9", '102,"Selection empty or undefined"', "9.91E37"),
    ("SEL:ALL 0", '-222,"Data out of range"', ""),
    ("SEL:RECT 1,0,0,0,17,1", '101,"Cell index out of range"', ""),
    (b"SEL:BITM 1,#14abcd", '103,"Block length does not match selection;expected 32 got 4"', ""),
    (b"SEL:LIST 1," + definite(b"\0\0\0\0" * 2), '-224,"Illegal parameter value"', ""),
    (b"SEL:LIST 1," + definite(b"\0\1\0\0"), '101,"Cell index out of range"', ""),
    (b"SEL:LIST 1,#13abc", '103,"Block length does not match selection;expected 0 got 3"', ""),
    ("PULS:DEF 1,5E-9,5E-8,5E-9,5E-8", '-221,"Settings conflict"', ""),
    ("PULS:DEF 1,4E-9,5E-8,5E-9,1E-6", '-222,"Data out of range"', ""),
    ("PULS:DEF? 3", '104,"Pulse template undefined"', "9.91E37,9.91E37,9.91E37,9.91E37"),
    ("PULS:KIND? 3", '104,"Pulse template undefined"', "9.91E37"),
    ("READ:DATA? 3,9", '105,"Result buffer empty;available 0"', "0,3,C,#10"),
    ("READ:DATA? 3,9,ADC16;:READ:FLAG? 0,1", '105,"Result buffer empty;available 0"', "0,3,A,#10"),
    ("READ:DATA? 0,9,FOO", '-224,"Illegal parameter value"', "0,0,C,#10"),
    ("PROG:FLAG? 0,99999999", '-222,"Data out of range"', "0,0,#10"),
    ("PROG:FLAG? 0,5", '105,"Result buffer empty;available 0"', "0,0,#10"),
    ("PROG:TST? 0,99999999", '-222,"Data out of range"', "0,0,#10"),
    ("ARR:CYCL? 0,200,57", '-222,"Data out of range"', "0,200,#10"),
    ("ARR:CYCL? 7,0,1", '102,"Selection empty or undefined"', "7,0,#10"),
    ("ARR:MASK #11x", '103,"Block length does not match selection;expected 32 got 1"', ""),
    ("OUTP ON", '207,"Array power or outputs off"', ""),
    ("READ:INIT 0", '207,"Array power or outputs off"', ""),
    ("READ? 0", '207,"Array power or outputs off"', "0,0,C,#10"),
    ("SYST:WDOG 0.05", '-222,"Data out of range"', ""),
    ("SIM:FAUL NOPE,1", '-224,"Illegal parameter value"', ""),
    ("SIM:FAUL OCP", '-109,"Missing parameter"', ""),
    ("SIM:FAUL OTP,1", '-108,"Parameter not allowed"', ""),
    ("SIM:TIME:ADV 9.3E9", '-222,"Data out of range"', ""),
]


@pytest.mark.parametrize(("message", "error", "answer"), REFUSALS)
def test_refusals(message: str | bytes, error: str, answer: str) -> None:
    host = Host(make_board())
    assert host.ask(message) == answer
    assert host.errors() == [error]
    assert host.ask("SYST:TAG? 77") == "77"


def test_what_follows_a_refused_unit_is_not_executed_and_its_blocks_are_swallowed() -> None:
    host = Host(make_board())
    host.send(b"FOO 1;:SEL:LIST 1,#14\n*R\n;:READ:AVER 5")
    assert host.ask("READ:AVER?") == "1"
    assert host.ask("SEL:COUN? 1") == "9.91E37"
    assert host.errors() == ['-113,"Undefined header;FOO"', '102,"Selection empty or undefined"']


def test_a_malformed_block_header_closes_the_link_and_waits_for_the_owner() -> None:
    board = make_board()
    host = Host(board, "mine")
    host.send(b"READ:AVER 7;:SEL:LIST 1,#x")
    assert host.link.closed
    again = Host(board, "mine")
    assert again.ask("READ:AVER?") == "1"
    assert again.errors() == ['-161,"Invalid block data"']


def test_without_the_lock_nothing_changes() -> None:
    guest = Host(make_board(), token=None)
    for message in (
        "READ:AVER 5",
        "READ? 0",
        "*RST",
        "SYST:ABOR",
        "SIM:SEED 3",
        "SYST:LOCK:REL",
        "PULS:DEF 99,1,1,1,1",
    ):
        guest.send(message)
        guest.take()
        assert guest.errors() == ['-203,"Command protected"'], message
    assert guest.ask("READ:AVER?;:FORM:PROG U16;PROG?;*ESE 4;*ESE?") == "1;U16;4"
    assert guest.errors() == []


def test_the_error_queue_keeps_the_oldest_thirty() -> None:
    host = Host(make_board())
    for _ in range(40):
        host.send("FOO")
    assert host.ask("SYST:ERR:COUN?") == "30"
    found = host.errors()
    assert found[:29] == ['-113,"Undefined header;FOO"'] * 29
    assert found[29] == '-350,"Queue overflow"'


def test_the_status_byte_follows_queue_registers_and_lock() -> None:
    board = make_board()
    host = Host(board)
    assert host.ask("*ESR?") == "128"
    host.send("*ESE 32;*SRE 36")
    host.send("FOO")
    assert host.ask("*STB?") == str(0x20 | 0x04 | 0x40)
    assert host.ask("*ESR?;*ESR?") == "32;0"
    host.send("*CLS")
    assert host.ask("*STB?;*SRE?") == "0;36"
    guest = Host(board, token=None)
    assert guest.ask("*STB?;:SYST:LOCK:OWN?") == "2;2"
    host.send("STAT:OPER:ENAB 2;:ARR:POW ON;*WAI")
    assert host.ask("*STB?;:STAT:OPER?;:STAT:OPER?;*STB?") == "128;2;0;0"
    host.send("*OPC")
    assert host.ask("*ESR?") == "1"
