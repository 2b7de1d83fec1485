"""The twin of a Keithley 707B as any VISA program meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from matrix_bench import GPIB, SMU, MatrixBench, matrix_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[MatrixBench]:
    with matrix_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def matrix(bench: MatrixBench) -> Any:
    return bench.open()


def closed(matrix: Any) -> str:
    return str(matrix.query('print(channel.getclose("allslots"))'))


def error(matrix: Any) -> tuple[int, str]:
    code, text, _, _ = matrix.query("print(errorqueue.next())").split("\t")
    return int(float(code)), text


# ---- what instruments §2.5 prints -----------------------------------------------------------------------------
def test_the_exchanges_of_the_reference(matrix: Any) -> None:
    assert matrix.query("*IDN?") == "Keithley Instruments Inc., Model 707B, 1234567, 01.40a"
    assert matrix.query("print(localnode.model)") == "707B"
    assert closed(matrix) == "nil"
    matrix.write('channel.close("1A03,1B05")')
    assert closed(matrix) == "1A03;1B05"
    matrix.write('channel.open("allslots")')
    assert closed(matrix) == "nil"
    matrix.write('channel.close("1A03,1A05")')
    matrix.write('channel.exclusiveclose("1A03")')
    assert closed(matrix) == "1A03"
    assert matrix.query('print(channel.getstate("1A03"))') == "1"
    assert matrix.query('print(channel.getstate("1A02:1A04"))') == "0,1,0"
    matrix.write('channel.reset("allslots")')
    assert closed(matrix) == "nil"
    matrix.write('channel.pattern.setimage("1A03,1B05","readA")')
    matrix.write('channel.exclusiveclose("readA")')
    assert closed(matrix) == "1A03;1B05"
    assert matrix.query("print(slot[1].idn)") == "7174A,8x12 Hi Speed Low-current Matrix,01.00a,1234567"
    assert matrix.query("print(channel.connectrule)") == "1.00000e+00"
    assert matrix.query("print(channel.BREAK_BEFORE_MAKE, channel.MAKE_BEFORE_BREAK, channel.OFF)") == (
        "1.00000e+00\t2.00000e+00\t0.00000e+00"
    )
    assert error(matrix)[0] == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1A03, 1A05", "1A03;1A05"),
        ("1A03;1A05", "1A03;1A05"),
        ("1A01:1A05", "1A01;1A02;1A03;1A04;1A05"),
        ("1A11:1B02", "1A11;1A12;1B01;1B02"),
        ("6H12,1A01", "1A01;6H12"),
        ("2C04,2C04", "2C04"),
        ("1a3", None),
        ("1a03", "1A03"),
    ],
)
def test_channel_lists(matrix: Any, words: str, expected: str | None) -> None:
    matrix.write(f'channel.close("{words}")')
    assert closed(matrix) == (expected or "nil")
    assert (error(matrix)[0] != 0) == (expected is None)


def test_close_adds_and_exclusive_slot_close_leaves_other_slots(matrix: Any) -> None:
    matrix.write('channel.close("1A01,2A01")', 'channel.close("1B02")')
    matrix.write('channel.close("1B02")')
    assert closed(matrix) == "1A01;1B02;2A01"
    matrix.write('channel.exclusiveslotclose("1C03")')
    assert closed(matrix) == "1C03;2A01"
    assert matrix.query('print(channel.getclose("slot2"))') == "2A01"
    matrix.write('channel.open("slot1")')
    assert closed(matrix) == "2A01"
    matrix.write('channel.exclusiveclose("")')  # opens everything
    assert closed(matrix) == "nil"
    assert error(matrix)[0] == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ('channel.close("allslots")', "slots are not allowed"),
        ('channel.close("slot1")', "slots are not allowed"),
        ('channel.exclusiveclose("slot1")', "slots are not allowed"),
        ('channel.close("")', "is empty"),
        ("channel.close()", "channel list expected"),
        ("channel.open(channel.getclose('slot3'))", "channel list expected"),  # nil: nothing is closed there
        ('channel.close("1A13")', "1A13 is no channel"),
        ('channel.close("1A00")', "1A00 is no channel"),
        ('channel.close("1J01")', "1J01 is no channel"),
        ('channel.close("7A01")', "7A01 is no channel"),
        ('channel.close("nothing")', "nothing is no channel"),
        ('channel.close("1A05:1A01")', "no range"),
        ('channel.close("1A01:2A01")', "no range"),
        ('channel.close("1A05,1C02,1A99")', "1A99 is no channel"),
        ('channel.pattern.delete("none")', "no channel pattern none"),
        ('channel.pattern.setimage("1A01", "1path")', "no name"),
        ('channel.pattern.setimage("1A01", "my path")', "no name"),
        ('channel.pattern.setimage("slot1", "path")', "slots are not allowed"),
    ],
)
def test_what_is_wrong_with_a_list_moves_nothing(matrix: Any, call: str, words: str) -> None:
    matrix.write('channel.close("2A05")')
    matrix.write(call)
    code, text = error(matrix)
    assert code > 0
    assert words in text
    assert closed(matrix) == "2A05"


def test_forbidden_channels(matrix: Any) -> None:
    matrix.write('channel.close("1A03,1A04")')
    matrix.write('channel.setforbidden("1A03,2B01:2B02")')
    assert closed(matrix) == "1A04"  # what must not be closed does not stay it
    assert matrix.query('print(channel.getforbidden("allslots"))') == "1A03,2B01,2B02"
    for call in ("close", "exclusiveclose", "exclusiveslotclose"):
        matrix.write(f'channel.{call}("1A01,1A03")')
        assert error(matrix) == (1116, "Settings conflict, channel 1A03 is forbidden to close")
        assert closed(matrix) == "1A04"
    matrix.write('channel.pattern.setimage("1A03", "bad")')
    assert error(matrix)[0] == 1116
    matrix.write('channel.clearforbidden("1A03")', 'channel.close("1A03")')
    matrix.write('channel.close("1A03")')
    assert closed(matrix) == "1A03;1A04"
    matrix.write('channel.reset("slot2")')
    assert matrix.query('print(channel.getforbidden("allslots"))') == "nil"


def test_patterns(matrix: Any) -> None:
    matrix.write('channel.pattern.setimage("1B02,1B04,1B06", "myChans")')
    assert matrix.query('print(channel.pattern.getimage("myChans"))') == "1B02,1B04,1B06"
    matrix.write('channel.exclusiveclose("1A01:1A05, 1C03, myChans")')  # the manual's example
    assert matrix.query('print(channel.getclose("slot1"))') == "1A01;1A02;1A03;1A04;1A05;1B02;1B04;1B06;1C03"
    matrix.write('channel.pattern.snapshot("now")')
    matrix.write('channel.open("allslots") channel.close("now") channel.pattern.delete("now")')
    assert matrix.query('print(channel.getclose("slot1"))').count(";") == 8
    assert matrix.query('print(channel.getstate("myChans"))') == "1,1,1"
    assert matrix.query('print(channel.pattern.getimage("now"))') == "nil"
    assert error(matrix)[0] == 1118


def test_reset_opens_and_forgets(matrix: Any) -> None:
    matrix.write(
        'channel.close("1A01") channel.setforbidden("1A02") channel.pattern.setimage("1A01", "p") '
        "channel.connectrule = channel.MAKE_BEFORE_BREAK channel.connectsequential = channel.ON"
    )
    matrix.write("reset()")
    assert closed(matrix) == "nil"
    assert matrix.query("print(channel.connectrule, channel.connectsequential)") == "1.00000e+00\t0.00000e+00"
    assert matrix.query('print(channel.getforbidden("allslots"))') == "nil"
    matrix.write('channel.close("p")')
    assert error(matrix)[0] == 1113


def test_empty_slots_and_smaller_cards(tmp_path: Path) -> None:
    with matrix_bench(tmp_path, options='cards: ["7072", "empty", "7173-50"]') as bench:
        matrix = bench.open()
        assert matrix.query("print(slot[2].idn, slot[6].idn)") == "Empty Slot\tEmpty Slot"
        assert matrix.query("print(slot[3].idn)").startswith("7173-50,4x12 ")
        matrix.write('channel.close("2A01")')
        assert error(matrix) == (1114, "Parameter error, slot 2 is empty")
        matrix.write('channel.close("3E01")')  # four rows only
        assert error(matrix)[0] == 1113
        matrix.write('channel.close("3D12")')
        assert closed(matrix) == "3D12"
        assert matrix.query('print(channel.getstate("slot3"))').count(",") == 47


def test_a_708b_has_one_slot(tmp_path: Path) -> None:
    with matrix_bench(tmp_path, model="keithley-708b") as bench:
        matrix = bench.open()
        assert matrix.query("*IDN?").split(", ")[1] == "Model 708B"
        assert matrix.query("print(slot[2])") == "nil"
        matrix.write('channel.close("1A01")')
        assert closed(matrix) == "1A01"


# ---- time -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("setup", "call", "took_s"),
    [
        ("channel.connectsequential = channel.ON", 'channel.close("1A01,1A02,1A03")', 12e-3),
        ("channel.connectsequential = channel.OFF", 'channel.close("1A01,1A02,1A03")', 4e-3),
        ('channel.close("1A01,1A02")', 'channel.exclusiveclose("1A03")', 8e-3),
        ('channel.close("1A01") channel.connectrule = 2', 'channel.exclusiveclose("1A03")', 8e-3),
        ('channel.close("1A01") channel.connectrule = 0', 'channel.exclusiveclose("1A03")', 4e-3),
        ('channel.close("1A01")', 'channel.close("1A01")', 0.0),
        ('channel.close("1A01")', 'channel.exclusiveclose("1A01")', 0.0),
    ],
)
def test_commands_block_until_relays_have_settled(
    bench: MatrixBench, matrix: Any, setup: str, call: str, took_s: float
) -> None:
    matrix.write(setup)
    matrix.query("print(1)")
    began = bench.now_s
    matrix.write(call)
    assert bench.now_s - began == pytest.approx(took_s, abs=1e-3)


@pytest.mark.parametrize("rule", [1, 2])
def test_the_connection_rule_says_which_comes_first(bench: MatrixBench, matrix: Any, rule: int) -> None:
    matrix.write(f'channel.connectrule = {rule} channel.close("1A01")')
    seen: list[frozenset[tuple[str, int]]] = []
    relays = bench.bench.world.relays
    bench.bench.world.relays = lambda name, points: (seen.append(points), relays(name, points))[1]
    matrix.write('channel.exclusiveclose("1A02")')
    between = frozenset() if rule == 1 else frozenset({("A", 1), ("A", 2)})
    assert seen == [between, frozenset({("A", 2)})]


# ---- what the relays do ---------------------------------------------------------------------------------------
def test_rows_are_common_to_all_slots(bench: MatrixBench, matrix: Any) -> None:
    smu = bench.open(SMU)
    for channel, ohm in (("1A01", 10e3), ("1A02", 20e3), ("2A01", 40e3)):
        matrix.write(f'channel.exclusiveclose("{channel}")')
        smu.write("smua.source.levelv = 0.2 smua.source.output = 1")
        assert 0.2 / float(smu.query("print(smua.measure.i())")) == pytest.approx(ohm, rel=0.01)
        smu.write("smua.source.levelv = 0 smua.source.output = 0")
    assert bench.bench.world.welded("matrix") == frozenset()


def test_hot_switching_welds_a_relay_for_ever(bench: MatrixBench, matrix: Any) -> None:
    smu = bench.open(SMU)
    matrix.write('channel.close("1A01,1B02")')
    smu.write("smua.source.levelv = 1 smua.source.output = 1")
    matrix.write('channel.exclusiveclose("2A01")')  # opened and closed under 1 V; 1B02 was at 0 V
    assert closed(matrix) == "1A01;2A01"
    smu.write("smua.source.levelv = 0 smua.source.output = 0")
    matrix.write('channel.open("allslots") reset()')
    assert closed(matrix) == "1A01;2A01"
    assert matrix.query('print(channel.getstate("1A01,1A02"))') == "1,0"
    assert error(matrix)[0] == 0  # the instrument does not complain
    smu.write("smua.source.levelv = 0.2 smua.source.output = 1")
    assert float(smu.query("print(smua.measure.i())")) == pytest.approx(0.2 / 8e3, rel=0.01)  # both for ever


def test_closing_onto_a_voltage_welds_too(bench: MatrixBench, matrix: Any) -> None:
    smu = bench.open(SMU)
    smu.write("smua.source.levelv = 0.2 smua.source.output = 1")
    matrix.write('channel.close("1A01")')
    matrix.write('channel.open("1A01")')
    assert closed(matrix) == "1A01"


def test_a_script_may_switch(matrix: Any) -> None:
    for line in ("loadscript walk", "for column = 1, 3 do", 'channel.exclusiveclose(string.format("1A%02d", column))',
                 'print(channel.getclose("slot1"))', "end", "endscript"):  # fmt: skip
        matrix.write(line)
    matrix.write("walk()")
    assert [matrix.read() for _ in range(3)] == ["1A01", "1A02", "1A03"]


def test_over_gpib(tmp_path: Path) -> None:
    with matrix_bench(tmp_path, address=GPIB) as bench:
        matrix = bench.open()
        matrix.write('channel.close("9A01")')
        assert matrix.read_stb() & 4  # error available
        assert error(matrix)[0] == 1113
        assert not matrix.read_stb() & 4
        with pytest.raises(pyvisa.errors.VisaIOError, match="Timeout"):
            matrix.read()
        assert error(matrix) == (-420, "Query UNTERMINATED")


@pytest.mark.parametrize("options", ["slots: 3", 'cards: ["7174B"]', f"cards: [{', '.join(['empty'] * 7)}]"])
def test_options_there_are_not(tmp_path: Path, options: str) -> None:
    with matrix_bench(tmp_path, options=options) as bench, pytest.raises(ValueError, match="cards"):
        _ = bench.twin
