"""The worked exchanges of controller-protocol §9, byte for byte where they do not depend on boot ids and times."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from fake_chip import FakeChip, Host, definite, make_board, payload

from drivers.simulated.controller_limits import BoardLimits

TOKEN = "bench3-7f3a"
MANUAL = """
{"proto":"1.1","banks":1,"rows":1024,"cols":1024,"clock_hz":200000000,"block_max":16777216,"text_max":4096,"links":4,
"sel_max":64,"puls_max":32,"seg_max":256,"tabl_max":16,"err_queue":30,"par_prog":32,"par_read":64,
"t_rise":[5e-9,1e-3],"t_top":[5e-9,1e-2],"t_fall":[5e-9,1e-2],"t_off_min":4e-8,"period_max":1.0,
"i_max":5e-4,"v_max":3.3,"rails":{"VDD":[0.0,3.6],"VWL":[0.0,3.6]},"rails_def":{"VDD":3.3,"VWL":2.5},"v_read":[0.02,0.4],
"read_aver":[1,65536],"read_aper":[1e-7,1e-2],"read_ovh":1e-6,"read_rang":[1e-7,1e-6,1e-5,1e-4],"adc_bits":8,"adc_zero":8,
"form_prog":["U8","U16","F32"],"form_read":["COND32","CURR32","ADC16","CODE8"],
"puls_unit":["A","V"],"puls_seg":1,"cycl":1,"prog_tst":1,"tst_err":5e-9,"nv":["MASK","CYCL"]}
"""


def test_limits_are_the_manuals() -> None:
    text = BoardLimits.of(1, 1024, 1024).text
    assert text == MANUAL.replace("\n", "")
    host = Host(make_board(1024, 1024))
    assert host.ask("SYST:LIM?") == "#3726" + text


def test_the_crc_of_batch_41() -> None:
    assert zlib.crc32(b"123456789") == 3421780262
    host = Host(make_board(), TOKEN)
    host.energise()
    host.template()
    host.send(b"SEL:LIST 2," + definite(np.arange(4, dtype="<u4").tobytes()))
    message = bytes.fromhex("50524F473A43454C4C2034312C322C322C233134 00800AFF".replace(" ", ""))
    host.send(message)
    assert host.ask("PROG:LAST?") == "41,4,423852106"
    assert payload(host.ask("PROG:FLAG? 0,4")) == bytes([2, 1, 1, 1])


def test_the_happy_path() -> None:
    board = make_board(1024, 1024)
    host = Host(board, token=None)
    n = 1024 * 1024
    assert host.ask(f'SYST:LOCK:REQ? "{TOKEN}";:SYST:CAP?;:ARR:GEOM?;:SYST:LIM:BLOC?') == (
        "1;1.1,CORE,MVM,TEMP,EVEN,SIM;1,1024,1024;16777216"
    )
    assert re.fullmatch(r"\d+;0,0,0", host.ask("SYST:BOOT?;:PROG:LAST?"))
    assert host.ask("ARR:POW ON;*WAI;:OUTP ON;*OPC?") == "1"
    assert host.ask("SEL:RECT 1,0,0,0,1024,1024;COUN? 1") == "1048576"
    host.send("PULS:DEF 2,5E-9,5E-8,5E-9,1E-6;KIND 2,RES;UNIT 2,A;FSC 2,5E-4")
    host.send("FORM:PROG U8")
    host.send(b"PROG:CELL 37,1,2,#71048576" + bytes([7]) * n)
    running = host.ask("PROG:STAT?").split(",")
    assert running[:2] == ["37", "RUN"]
    assert running[3:5] == ["32", str(n)]
    assert running[2] == running[5]
    assert int(running[2]) % 32 == 0
    assert host.ask("SYST:TAG? 9;*OPC?;:PROG:LAST?").startswith("9;1;37,1048576,")
    *head, t_start, t_end = host.ask("PROG:STAT?").split(",")
    assert head == ["37", "DONE", str(n), "0", str(n), str(n), "0"]
    assert int(t_end) - int(t_start) == 32_768_000
    assert host.ask("READ:INIT 1;*OPC?") == "1"
    assert host.ask("READ:STAT?") == "1,DONE,1048576,1048576"
    answer = host.ask("READ:DATA? 0,1048576")
    assert answer.startswith("1,0,C,#74194304")
    conductance = np.frombuffer(payload(answer), "<f4")
    assert np.allclose(conductance, 20e-6 * 7 / 255)
    stamps = np.frombuffer(payload(host.ask("READ:TST? 0,1048576")), "<u8")
    assert host.ask("READ:FLAG? 0,1048576").startswith("1,0,#71048576")
    assert (np.diff(stamps[::64]) == 2000).all()
    assert np.array_equal(stamps, np.repeat(stamps[::64], 64))
    pulses = np.frombuffer(payload(host.ask("PROG:TST? 0,1048576")), "<u8")
    assert np.array_equal(pulses, np.repeat(int(t_start) + 60 + np.arange(32768) * 1000, 32))
    assert host.errors() == []


def ready(rows: int = 64) -> tuple[Host, int]:
    host = Host(make_board(rows, rows), TOKEN)
    host.energise()
    host.template()
    host.send("SEL:ALL 1")
    return host, rows * rows


def test_refused_commands() -> None:
    host, n = ready()
    host.send(b"PROG:CELL 37,1,2,", definite(b"\1" * n))
    assert host.ask("*OPC?") == "1"
    last = host.ask("PROG:LAST?")
    host.send("PROG:CELL 38,1,2,", definite(b"\1" * 100))
    assert host.errors() == [f'103,"Block length does not match selection;expected {n} got 100"']
    assert host.ask("PROG:LAST?") == last
    host.send(b"PROG:CELL 37,1,2,", definite(b"\1" * n))
    assert host.errors() == ['106,"Batch id not newer;last 37 got 37"']
    host.send(b"PROG:CEL 38,1,2,#14abcd")
    assert host.errors() == ['-113,"Undefined header;PROG:CEL"']
    assert host.ask("READ:INIT 1;*OPC?") == "1"
    assert host.ask(f"READ:DATA? 0,{2 * n}") == "1,0,C,#10"
    assert host.errors() == [f'105,"Result buffer empty;available {n}"']
    host.send("SIM:TIME:ADVA 3600")
    assert host.errors() == ['-113,"Undefined header;SIM:TIME:ADVA"']
    assert payload(host.ask(f"SIM:PULS? 0,0,{n}")) == np.ones(n, "<u4").tobytes()


def test_over_current_in_the_middle() -> None:
    host, n = ready(128)
    host.send("SIM:FAUL OCP,5030")
    host.send(b"PROG:CELL 38,1,2,", definite(b"\x09" * n), b";*WAI;:PROG:LAST?")
    assert host.take().startswith(b"38,5024,")
    assert host.errors() == ['202,"Over-current shutdown;batch 38 done 5024 open 32"']
    fields = host.ask("PROG:STAT?").split(",")
    assert fields[:7] == ["38", "TRIP", "5024", "32", str(n), "5024", "202"]
    assert 157_000 < int(fields[8]) - int(fields[7]) < 157_060
    assert host.ask("PROG:FLAG? 5024,32") == "38,5024,#232" + "\4" * 32
    assert host.ask("ARR:POW?;:OUTP?;:STAT:QUES:COND?") == "TRIP;0;2"
    host.send("ARR:POW ON")
    assert host.errors() == ['-221,"Settings conflict"']
    host.send("ARR:POW OFF")
    assert host.ask("STAT:QUES:COND?;EVEN?") == "0;2"
    host.energise()
    host.send("SEL:LIST 3,#3128", np.arange(5024, 5056, dtype="<u4").tobytes())
    answer = host.ask("READ? 3")
    assert answer.startswith("1,0,C,#3128")
    rest = bytearray(b"\x09" * n)
    rest[:5056] = bytes(5056)
    host.send(b"PROG:CELL 39,1,2,", definite(bytes(rest)), b";*OPC?")
    assert host.take() == b"1\n"
    assert payload(host.ask(f"SIM:PULS? 0,0,{n}")) == np.ones(n, "<u4").tobytes()
    assert payload(host.ask(f"ARR:CYCL? 0,0,{n}")) == np.ones(n, "<u4").tobytes()


@pytest.mark.parametrize("kept", [0, 5, 30, 2000])
def test_a_link_drop_on_the_way_programs_nothing(kept: int) -> None:
    host, n = ready()
    board = host.board
    host.link.feed((b"PROG:CELL 40,1,2," + definite(b"\1" * n))[:kept])
    host.link.end()
    again = Host(board, token=None)
    assert again.ask(f'SYST:LOCK:REQ? "{TOKEN}";:PROG:LAST?') == "1;0,0,0"
    assert not board.chip.count.any()


def test_a_message_received_in_full_is_executed_though_the_link_is_gone() -> None:
    host, n = ready()
    host.send(b"PROG:CELL 40,1,2,", definite(b"\1" * n), b";*WAI;:READ:INIT 1")
    host.link.end()
    guest = Host(host.board, token=None)
    assert guest.ask("PROG:STAT?").startswith(f"40,DONE,{n},0")
    assert guest.ask("READ:STAT?").startswith("1,")


def test_emergency_stop_from_a_second_link() -> None:
    host, n = ready()
    second = Host(host.board, token=None)
    host.send(b"PROG:CELL 42,1,2,", definite(b"\1" * n), b";:SIM:TIME:ADV 1E-4")
    second.send("SYST:SAFE")
    assert host.ask("*OPC?;:PROG:STAT?").split(",")[1] == "DONE"
    host.send(b"PROG:CELL 43,1,2,", definite(b"\1" * n), b",20000")
    second.send("SYST:SAFE")
    assert host.ask("*OPC?") == "1"
    host.errors()
    host.send("ARR:POW ON")
    assert host.errors() == ['-221,"Settings conflict"']
    assert host.ask("ARR:POW?;:OUTP?") == "SAFE;0"
    assert host.ask("ARR:POW OFF;POW ON;*WAI;:OUTP ON;*OPC?") == "1"


def test_the_same_messages_give_the_same_bytes() -> None:
    def session() -> list[bytes]:
        host, n = ready(16)
        out = [host.ask("SYST:BOOT?;TIME?").encode()]
        host.send("SIM:FAUL CLIP,0.3")
        host.send(b"PROG:CELL 1,1,2,", definite(bytes(range(256))))
        messages = ("PROG:STAT?", "PROG:STAT?", "READ:INIT 1;*OPC?", f"READ:DATA? 0,{n}", f"READ:FLAG? 0,{n}")
        return [*out, *(host.ask(message).encode("latin-1") for message in messages)]

    assert session() == session()


def test_replies_carry_no_copy_of_the_boards_memory() -> None:
    host, n = ready()
    chip = host.board.chip
    assert isinstance(chip, FakeChip)
    host.send("READ:INIT 1;*WAI;:READ:DATA? 0,4;:READ:DATA? 0,4,CURR32")
    before = host.link.output
    chip.conductance_s[:] = 0
    host.send(b"PROG:CELL 1,1,2,", definite(b"\1" * n))
    assert before
    assert np.allclose(np.frombuffer(host.take()[10:26], "<f4"), 1e-6 + np.arange(4) * 1e-9)
