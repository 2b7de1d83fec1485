"""The TSP a simulated 2600 speaks: chunks of Lua, numbers, blocks, errors, scripts, status (instruments §2.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyvisa
from tsp_bench import GPIB, HISLIP, Talk, talk, write_bench

OK = (0, "Queue Is Empty")


@pytest.fixture
def tsp(tmp_path: Path) -> Iterator[Talk]:
    with talk(write_bench(tmp_path)) as session:
        yield session


@pytest.fixture
def gpib(tmp_path: Path) -> Iterator[Talk]:
    with talk(write_bench(tmp_path), GPIB) as session:
        yield session


# ---- what is printed --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("chunk", "reply"),
    [
        ("print(1e-3)", "1.00000e-03"),
        ("print(-0.5, 200, nil, true, false, 'x')", "-5.00000e-01\t2.00000e+02\tnil\ttrue\tfalse\tx"),
        ("print(nothing)", "nil"),
        ("print(1/3, 2^0.5)", "3.33333e-01\t1.41421e+00"),
        ("print(1e100, -1e-100)", "1.00000e+100\t-1.00000e-100"),
        ("print()", ""),
        ("print(print, {})", "function\ttable"),
        ("print('a' .. 1 .. 'b')", "a1b"),
        ("print(localnode.model)", "2636B"),
        ("print(localnode.serialno, localnode.revision)", "1234567\t3.2.2"),
        ("print(localnode.linefreq)", "5.00000e+01"),
        ("print(smua.source.func)", "1.00000e+00"),
        ("print(smua.OUTPUT_ON, smua.OUTPUT_HIGH_Z)", "1.00000e+00\t2.00000e+00"),
        ("printnumber(1, 2.5, -3e-9)", "1.00000e+00, 2.50000e+00, -3.00000e-09"),
        ("printbuffer(2, 3, {10, 20, 30})", "2.00000e+01, 3.00000e+01"),
        ("printbuffer(1, 2, {1, 2}, {3, 4})", "1.00000e+00, 3.00000e+00, 2.00000e+00, 4.00000e+00"),
        ("*IDN?", "Keithley Instruments Inc., Model 2636B, 1234567, 3.2.2"),
        ("*TST?", "0"),
        ("*OPC?", "1"),
    ],
)
def test_prints(tsp: Talk, chunk: str, reply: str) -> None:
    assert tsp.ask(chunk) == reply
    assert tsp.error() == OK


@pytest.mark.parametrize(("digits", "reply"), [(1, "1e-01"), (3, "1.23e-01"), (16, "1.234567891234567e-01")])
def test_precision(tsp: Talk, digits: int, reply: str) -> None:
    tsp.write(f"format.asciiprecision = {digits}")
    assert tsp.ask("print(0.1234567891234567)") == reply


@pytest.mark.parametrize("digits", [0, 17])
def test_precision_has_limits(tsp: Talk, digits: int) -> None:
    assert tsp.fails(f"format.asciiprecision = {digits}")[0] in (1102, 1103)
    assert tsp.ask("print(format.asciiprecision)") == "6.00000e+00"


@pytest.mark.parametrize(
    ("kind", "order", "spelled"),
    [
        ("REAL32", "LITTLEENDIAN", "<f"),
        ("SREAL", "BIGENDIAN", ">f"),
        ("REAL64", "SWAPPED", "<d"),
        ("DREAL", "NORMAL", ">d"),
    ],
)
def test_blocks_are_indefinite(tsp: Talk, kind: str, order: str, spelled: str) -> None:
    tsp.write(f"format.data = format.{kind}", f"format.byteorder = format.{order}")
    tsp.write("printnumber(0.2, 10, 9.91e37)")  # 10 is a line feed away from trouble
    size = struct.calcsize(spelled)
    data = tsp.visa.read_bytes(3 * size + 3)
    assert data[:2] == b"#0"
    assert data[-1:] == b"\n"
    values = [struct.unpack_from(spelled, data, 2 + size * at)[0] for at in range(3)]
    assert values == pytest.approx([0.2, 10, 9.91e37], rel=1e-6)
    assert tsp.ask("print(1)") == "1.00000e+00", "print is always ASCII"


def test_order_of_bytes_after_reset_is_swapped(tsp: Talk) -> None:
    tsp.write("format.data = 2 printnumber(1)")
    assert tsp.visa.read_bytes(7) == b"#0" + struct.pack("<f", 1.0) + b"\n"


def test_an_index_beyond_the_buffer_prints_no_number_and_is_an_error(tsp: Talk) -> None:
    assert tsp.ask("printbuffer(1, 3, {5})") == "5.00000e+00, 9.91000e+37, 9.91000e+37"
    assert tsp.error()[0] == 1102


# ---- what goes wrong --------------------------------------------------------------------------------------------
def test_the_exchanges_of_the_manual(tsp: Talk) -> None:
    """Literally those printed in instruments §2.1."""
    assert tsp.ask("print(errorqueue.next())").startswith("0.00000e+00\tQueue Is Empty\t0.00000e+00\t")
    tsp.write("*FOO?")
    assert (
        tsp.ask("print(errorqueue.next())")
        == "-2.85000e+02\tTSP Syntax error at line 1: unexpected symbol near `*'\t2.00000e+01\t1.00000e+00"
    )
    tsp.write("smua.source.levelv 0.2")
    assert (
        tsp.ask("print(errorqueue.next())")
        == "-2.85000e+02\tTSP Syntax error at line 1: `=' expected near `0.2'\t2.00000e+01\t1.00000e+00"
    )


@pytest.mark.parametrize(
    ("chunk", "code", "words"),
    [
        ("x = ", -285, "TSP Syntax error at line 1: unexpected symbol near `<eof>'"),
        (":SOUR:VOLT 1", -285, "TSP Syntax error at line 1: unexpected symbol near `:'"),
        ("for i = 1, 3", -285, "TSP Syntax error at line 1: `do' expected near `<eof>'"),
        ("print(channel.close)", -286, "TSP Runtime error at line 1: attempt to index global `channel' (a nil value)"),
        ("a = {} a.c.x = 1", -286, "TSP Runtime error at line 1: attempt to index field `c' (a nil value)"),
        ("smua.nothing()", -286, "TSP Runtime error at line 1: attempt to call field `nothing' (a nil value)"),
        ("smua.nothing = 1", -286, "TSP Runtime error at line 1: cannot modify read-only item"),
        ("smua.OUTPUT_ON = 5", -286, "TSP Runtime error at line 1: cannot modify read-only item"),
        ("error('it is broken')", -286, "TSP Runtime error at line 1: it is broken"),
        ("smua.source.levelv = 1000", 1102, "Parameter too big"),
        ("smua.source.levelv = -1000", 1103, "Parameter too small"),
        ("smua.source.levelv = 'x'", -104, "Data type error"),
        ("smua.source.func = 2", -224, "Illegal parameter value"),
        ("delay()", -109, "Missing parameter"),
        ("delay(1, 2)", -108, "Parameter not allowed"),
        ("printbuffer(1, 2)", -109, "Missing parameter"),
        ("display.waitkey()", -286, "TSP Runtime error at line 1: program aborted, nobody is at the front panel"),
    ],
)  # fmt: skip
def test_errors(tsp: Talk, chunk: str, code: int, words: str) -> None:
    assert tsp.fails(chunk) == (code, words)
    assert tsp.ask("print(1)") == "1.00000e+00", "nothing of it came back as a reply"


def test_only_a_run_time_error_stops_a_chunk(tsp: Talk) -> None:
    assert tsp.ask("smua.source.levelv = 1000 print('on it goes')") == "on it goes"
    assert tsp.error()[0] == 1102
    tsp.write("before = 1 smua.nothing() after = 1")
    assert tsp.error()[0] == -286
    assert tsp.ask("print(before, after)") == "1.00000e+00\tnil"
    tsp.write("early = 1 late = = 2")
    assert tsp.error()[0] == -285
    assert tsp.ask("print(early)") == "nil", "a chunk that does not compile does not begin"


def test_the_queue_keeps_the_oldest(tsp: Talk) -> None:
    tsp.write("smua.source.levelv = 1000", "smua.nothing()", *["smua.source.func = 9"] * 120)
    assert tsp.ask("print(errorqueue.count)") == "1.00000e+02"
    assert [tsp.error()[0] for _ in range(3)] == [1102, -286, -224]
    tsp.write("for i = 1, 96 do errorqueue.next() end")
    assert tsp.error() == (-350, "Queue overflow")
    assert tsp.error() == OK
    tsp.write("x = = 1", "errorqueue.clear()")
    assert tsp.ask("print(errorqueue.count)") == "0.00000e+00"


@pytest.mark.parametrize(
    "loop",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "repeat until false",
        "local function f() return f() end f()",
    ],
)
def test_an_endless_program_is_aborted(tsp: Talk, loop: str) -> None:
    code, words = tsp.fails(loop)
    assert (code, "aborted" in words) == (-286, True)
    assert tsp.ask("print(2)") == "2.00000e+00"


def test_a_full_memory_is_an_error_and_is_freed(tsp: Talk) -> None:
    assert tsp.fails("t = nil local t = {} for i = 1, 1e9 do t[i] = {i} end") == (-225, "Out of memory")
    assert tsp.fails("x = string.rep('x', 1e9)") == (-225, "Out of memory")
    assert tsp.ask("print(table.getn({1, 2}))") == "2.00000e+00"


@pytest.mark.parametrize(
    "name",
    ["io", "os", "debug", "package", "require", "python", "loadfile", "dofile", "load", "coroutine", "module",
     "newproxy", "string.dump", "getmetatable('')"],
)  # fmt: skip
def test_nothing_leads_out_of_the_sandbox(tsp: Talk, name: str) -> None:
    assert tsp.ask(f"print({name})") == "nil"


def test_compiled_code_is_refused(tsp: Talk) -> None:
    assert tsp.fails("\x1bLuaQ")[0] == -285
    assert tsp.ask("print((loadstring('\\27Lua')))") == "nil"


def test_objects_of_python_are_none_of_a_script(tsp: Talk) -> None:
    assert tsp.ask("print(type(smua), type(smua.source), type(smua.reset))") == "table\ttable\tfunction"
    assert tsp.ask("print(pcall(smua.makebuffer, {}))") == "true"
    assert tsp.error() == (-104, "Data type error")


# ---- Lua 5.0 ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("chunk", "reply"),
    [
        ("print(table.getn({1, 2, 3}))", "3.00000e+00"),
        ("t = {} table.setn(t, 7) print(table.getn(t))", "7.00000e+00"),
        ("print(table.getn({n = 4}))", "4.00000e+00"),
        ("print(math.mod(7, 4))", "3.00000e+00"),
        ("print(string.format('%5.2f|%d%%', 3.14159, 7))", " 3.14|7%"),
        ("for w in string.gfind('ab 12', '%w+') do out = w end print(out)", "12"),
        (
            "print(string.len('#%'), '# %' == \"# %\") -- # and % in words are no operators",
            "2.00000e+00\ttrue",
        ),
        ("local function f(...) return arg.n, arg[2] end print(f(5, 6))", "2.00000e+00\t6.00000e+00"),
        ("print(loadstring('return 3')())", "3.00000e+00"),
        ("print(_VERSION)", "Lua 5.0.2"),
        ("table.foreach({7}, function(k, v) print(k, v) end)", "1.00000e+00\t7.00000e+00"),
        ("print(unpack({1, 2}))", "1.00000e+00\t2.00000e+00"),
    ],
)
def test_lua_is_that_of_the_instrument(tsp: Talk, chunk: str, reply: str) -> None:
    assert tsp.ask(chunk) == reply


@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        ("n = #{1, 2}", -285),
        ("n = 7 % 4", -285),
        ("s = ('x'):rep(3)", -286),
        ("s = string.match('a', 'a')", -286),
        ("s = select(1, 2)", -286),
    ],
)
def test_what_came_with_lua_51_is_refused(tsp: Talk, chunk: str, code: int) -> None:
    assert tsp.fails(chunk)[0] == code


# ---- scripts --------------------------------------------------------------------------------------------------------
LAB_SCRIPT = """-- resistance by three points
function ivcurve(smu, points)
    local levels, results = {0.1, 0.2, 0.3}, {}
    smu.source.func = smu.OUTPUT_DCVOLTS
    smu.nvbuffer1.clear()
    smu.nvbuffer1.appendmode = 1
    smu.source.output = smu.OUTPUT_ON
    for number, level in ipairs(levels) do
        if number > points then break end
        smu.source.levelv = level
        smu.measure.i(smu.nvbuffer1)
        table.insert(results, level / smu.nvbuffer1[smu.nvbuffer1.n])
    end
    smu.source.output = smu.OUTPUT_OFF
    local text = ""
    for number = 1, table.getn(results) do
        text = text .. string.format("%.0f;", results[number] / 1000)
    end
    print(text, smu.nvbuffer1.n)
end""".splitlines()


def test_a_script_of_the_lab(tsp: Talk) -> None:
    tsp.write("loadscript iv", *LAB_SCRIPT, "endscript", "iv()")
    assert tsp.ask("ivcurve(smua, 3)") == "100;100;100;\t3.00000e+00"
    assert tsp.ask("ivcurve(smua, 2)") == "100;100;\t2.00000e+00"
    assert tsp.error() == OK


def test_scripts_have_names(tsp: Talk) -> None:
    tsp.write("loadscript one", "print('one')", "endscript")
    tsp.write("loadandrunscript", "answer = 41", "answer = answer + 1", "endscript")
    assert tsp.ask("print(answer)") == "4.20000e+01"
    assert tsp.ask("one()") == "one"
    assert tsp.ask("one.run()") == "one"
    assert tsp.ask("print(one.source)") == "print('one')"
    assert tsp.ask("for name in script.user.catalog() do print(name) end") == "one"
    assert tsp.fails("loadscript one", "print(2)", "endscript") == (1408, "Script already exists")
    assert tsp.ask("one()") == "one", "the old one stays"
    tsp.write("script.delete('one')")
    assert tsp.ask("print(one)") == "nil"
    assert tsp.fails("script.delete('one')")[0] == -292
    assert tsp.fails("loadscript 1st", "x = 1", "endscript")[0] == -282
    tsp.write("made = script.new('print(7)', 'seven')")
    assert tsp.ask("seven()") == "7.00000e+00"


def test_an_error_in_a_script_says_its_line(tsp: Talk) -> None:
    code, words = tsp.fails("loadscript bad", "x = 1", "y = = 2", "endscript")
    assert (code, words) == (-285, "TSP Syntax error at line 2: unexpected symbol near `='")
    assert tsp.ask("print(bad)") == "nil"
    code, words = tsp.fails("loadscript bad", "x = 1", "", "smua.nothing()", "x = 2", "endscript", "bad()")
    assert (code, words[:33]) == (-286, "TSP Runtime error at line 3: atte")
    assert tsp.ask("print(x)") == "1.00000e+00"


def test_a_device_clear_ends_a_script_half_way(gpib: Talk) -> None:
    gpib.write("loadscript half", "x = 1")
    gpib.visa.clear()
    assert gpib.ask("print(half, x)") == "nil\tnil"


# ---- status and interfaces ----------------------------------------------------------------------------------------
def test_common_commands(gpib: Talk) -> None:
    assert gpib.ask("*ESR?") == "128", "it was switched on"
    assert gpib.ask("*ESR?") == "0"
    gpib.write("*ESE 60", "*SRE 36")
    assert (gpib.ask("*ESE?"), gpib.ask("*SRE?")) == ("60", "36")
    gpib.write("*SRE 256")
    assert gpib.error() == (-222, "Parameter data out of range")
    gpib.write("*CLS", "x = = 1")
    assert gpib.ask("*STB?") == str(4 + 32 + 64), "error available, execution error, summary"
    assert gpib.ask("*ESR?") == "16"
    gpib.write("*CLS")
    assert gpib.ask("*STB?") == "0"
    gpib.write("*OPC")
    assert gpib.ask("*ESR?") == "1"
    gpib.write("smua.source.levelv = 0.5", "*RST")
    assert gpib.ask("print(smua.source.levelv)") == "0.00000e+00"
    assert gpib.ask("*SRE?") == "36", "a reset leaves the enable registers"


def test_a_serial_poll_clears_the_request_alone(gpib: Talk) -> None:
    gpib.write("status.request_enable = status.EAV", "smua.nothing()")
    assert gpib.visa.read_stb() == 64 + 4
    assert gpib.visa.read_stb() == 4
    assert gpib.error()[0] == -286
    assert gpib.visa.read_stb() == 0
    gpib.write("print(1)")
    assert gpib.visa.read_stb() == 16
    assert gpib.visa.read() == "1.00000e+00"


@pytest.mark.parametrize("address", [GPIB, HISLIP])
def test_a_message_before_the_reply_was_read_discards_it(tmp_path: Path, address: str) -> None:
    with talk(write_bench(tmp_path), address) as session:
        session.write("print(1)")
        assert session.ask("print(2)") == "2.00000e+00"
        assert session.error() == (-410, "Query INTERRUPTED")
        assert int(session.ask("*ESR?")) & 4


def test_reading_where_there_is_nothing_is_an_error(gpib: Talk) -> None:
    gpib.write("x = 1")
    with pytest.raises(pyvisa.errors.VisaIOError):
        gpib.visa.read()
    assert gpib.error() == (-420, "Query UNTERMINATED")


def test_a_stream_runs_one_behind_for_ever(tsp: Talk) -> None:
    tsp.write("print(1)")
    assert tsp.ask("print(2)") == "1.00000e+00"
    assert tsp.ask("print(3)") == "2.00000e+00"
    assert tsp.visa.read() == "3.00000e+00"
    assert tsp.error() == OK


def test_registers_latch_what_they_are_told(tsp: Talk) -> None:
    tsp.write("status.reset()", "status.standard.enable = status.standard.EXE")
    tsp.write("x = = 1")
    assert tsp.numbers("print(status.condition, status.standard.event, status.standard.event)") == [36, 16, 0]
    tsp.write("errorqueue.clear()")
    assert tsp.fails("status.operation.enable = 70000")[0] == 1102


# ---- what else there is -------------------------------------------------------------------------------------------
def test_time(tsp: Talk) -> None:
    assert tsp.numbers("timer.reset() delay(2.5) print(timer.measure.t())")[0] == pytest.approx(2.5)
    assert tsp.fails("delay(-1)")[0] == 1103


def test_display_and_beeper(tsp: Talk) -> None:
    tsp.write("display.clear()", "display.settext('Wait$NSweep 3')", "beeper.beep(0.1, 1000)")
    assert tsp.ask("print(display.gettext(false, 1))") == "Wait" + " " * 16
    assert tsp.ask("print(display.gettext(false, 2, 1, 7))") == "Sweep 3"
    assert tsp.ask("print(display.screen == display.USER)") == "true"
    tsp.write("display.setcursor(1, 6)", "display.settext('X')", "display.screen = display.SMUA_SMUB")
    assert tsp.ask("print(display.gettext(false, 1, 1, 6), display.screen)") == "Wait X\t2.00000e+00"
    tsp.write("display.smua.measure.func = display.MEASURE_OHMS")
    assert tsp.error() == OK


def test_prompts(tsp: Talk) -> None:
    tsp.write("localnode.prompts = 1")
    assert tsp.visa.read() == "TSP>"
    tsp.write("x = = 1")
    assert tsp.visa.read() == "TSP?"
    tsp.write("localnode.showerrors = 1")
    assert tsp.visa.read().startswith("-2.85000e+02\tTSP Syntax error")
    assert tsp.visa.read() == "TSP>"
