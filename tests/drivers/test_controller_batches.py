"""How far a batch got, wherever it is stopped: done + open bracket the truth (controller-protocol §6, §14 rule 5)."""

from __future__ import annotations

import numpy as np
import pytest
from fake_chip import FakeChip, Host, definite, make_board, payload
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.simulated.controller_program import Drive, ProgramOperation
from drivers.simulated.controller_settings import Shape

N = 256
GROUP_S = 3e-3  # 3 pulses of 1 ms


def ready(**options: float) -> Host:
    host = Host(make_board(**options))
    host.energise()
    host.send("PULS:DEF 2,5E-9,5E-8,5E-9,1E-3;FSC 2,5E-4")
    return host


def report(host: Host) -> tuple[str, int, int, int, NDArray[np.uint8]]:
    fields = host.ask("PROG:STAT?").split(",")
    flags = np.frombuffer(payload(host.ask(f"PROG:FLAG? 0,{N}")), np.uint8)
    return fields[1], int(fields[2]), int(fields[3]), int(fields[5]), flags


def check_bracket(host: Host, codes: NDArray[np.uint8], count: int) -> None:
    _state, done, open_, pulsed, flags = report(host)
    given = np.frombuffer(payload(host.ask(f"SIM:PULS? 0,0,{N}")), "<u4")
    counted = np.frombuffer(payload(host.ask(f"ARR:CYCL? 0,0,{N}")), "<u4")
    wanted = np.where(codes > 0, count, 0)
    assert np.array_equal(given, counted)
    assert np.array_equal(given[:done], wanted[:done])
    assert (given[done : done + open_] <= wanted[done : done + open_]).all()
    assert not given[done + open_ :].any()
    assert np.array_equal(flags[:done], np.where(codes > 0, 1, 2)[:done])
    assert not flags[done + open_ :].any()
    assert set(flags[done : done + open_]) <= {2, 4}
    complete = given > 0 if count == 1 else given > 1
    assert pulsed >= int(complete[:done].sum())
    stamps = np.frombuffer(payload(host.ask(f"PROG:TST? 0,{N}")), "<u8")
    assert np.array_equal(stamps > 0, (flags == 1) | (flags == 4))
    last = host.board.chip.last_end_ns - (host.board.absolute_ns - host.board.now_ns)
    whole = flags == 1
    assert np.array_equal(stamps[whole], last[whole])


@pytest.mark.parametrize("eighth", range(9))
@pytest.mark.parametrize(
    "end", ["SYST:SAFE", "SYST:ABOR", "SIM:FAUL OTP", "SIM:FAUL ILOC", "SIM:FAUL RAIL,VDD"]
)
@pytest.mark.parametrize("gaps", [False, True])
def test_every_eighth(eighth: int, end: str, gaps: bool) -> None:
    host = ready()
    codes = np.full(N, 100, np.uint8)
    if gaps:
        codes[::3] = 0
        codes[40:90] = 0
    host.send(b"PROG:CELL 5,0,2," + definite(codes.tobytes()) + b",3")
    start = int(host.ask("PROG:STAT?").split(",")[7])
    total_s = 8 * GROUP_S
    passed_s = (int(host.ask("SYST:TIME?")) - start) * 1e-9
    host.send(f"SIM:TIME:ADV {max(0.0, eighth / 8 * total_s - passed_s)}")
    host.send(end)
    assert host.ask("*OPC?") == "1"
    word = {"SYST:SAFE": "SAFE", "SYST:ABOR": "ABOR"}.get(end, "TRIP")
    state, done, open_, _pulsed, _flags = report(host)
    assert state in (word, "DONE")
    assert state == word or eighth >= 6
    if word == "ABOR" or state == "DONE":
        assert open_ == 0
    check_bracket(host, codes, 3)
    if state == "DONE":
        assert done == N


def test_continuing_after_a_trip_pulses_no_finished_cell_again() -> None:
    host = ready()
    codes = np.full(N, 100, np.uint8)
    host.send("SIM:FAUL SUPP,100")
    host.send(b"PROG:CELL 5,0,2," + definite(codes.tobytes()) + b";*WAI")
    assert host.errors() == ['209,"Supply failure;batch 5 done 96 open 32"']
    assert host.ask("STAT:QUES:COND?") == "8"
    *_rest, flags = report(host)
    host.send("ARR:POW OFF")
    host.energise()
    again = np.where(flags == 0, codes, 0).astype(np.uint8)
    host.send(b"PROG:CELL 6,0,2," + definite(again.tobytes()) + b";*WAI")
    assert payload(host.ask(f"SIM:PULS? 0,0,{N}")) == np.ones(N, "<u4").tobytes()


def test_a_boot_in_the_middle() -> None:
    host = ready()
    host.send("SIM:FAUL BOOT,64")
    host.send(b"PROG:CELL 5,0,2," + definite(b"\x64" * N) + b";*WAI")
    assert host.link.closed
    chip = host.board.chip
    assert isinstance(chip, FakeChip)
    assert (chip.count[:96] == 1).all()
    assert not chip.count[96:].any()
    again = Host(host.board)
    assert again.ask("PROG:LAST?;STAT?") == "0,0,0;0,IDLE,0,0,0,0,0,0,0"


def test_a_fault_beyond_the_batch_is_used_up() -> None:
    host = ready()
    host.send(f"SIM:FAUL OCP,{N};:PROG:SEL 1,0,2,1E-4;*WAI;:SIM:FAUL?")
    assert host.take() == b"0\n"
    assert host.ask("PROG:STAT?").split(",")[1] == "DONE"


def test_a_truncated_pulse_is_a_shorter_one() -> None:
    host = ready()
    host.send("SIM:FAUL OCP,0;:PROG:SEL 1,0,2,1E-4;*WAI")
    chip = host.board.chip
    assert isinstance(chip, FakeChip)
    rise_s, top_s, fall_s, count = chip.shapes[-1]
    assert (rise_s, fall_s, count) == (5e-9, 0.0, 1)
    assert 0 < top_s < 5e-8
    assert chip.count[:32].tolist() == [1] * 32


def test_skip_mask_and_formats() -> None:
    host = ready()
    host.send("SEL:LIST 1,#232", np.array([9, 8, 7, 6, 5, 4, 3, 2], "<u4").tobytes())
    mask = np.zeros(N, np.uint8)
    mask[7] = 1
    host.send(b"ARR:MASK ", definite(np.packbits(mask, bitorder="little").tobytes()))
    host.send("FORM:PROG F32")
    amplitudes = np.array([1e-4, np.nan, 2e-4, 0.0, -0.0, 5e-4, 1e-9, 3e-4], "<f4")
    host.send("PROG:CELL 1,1,2,#232", amplitudes.tobytes(), ";*WAI")
    assert host.errors() == []
    assert list(payload(host.ask("PROG:FLAG? 0,8"))) == [1, 2, 3, 2, 2, 1, 1, 1]
    assert host.ask("PROG:STAT?").split(",")[2:6] == ["8", "0", "8", "4"]
    chip = host.board.chip
    assert chip.conductance_s[9] == pytest.approx(4e-6)
    assert chip.conductance_s[4] == pytest.approx(20e-6)
    assert chip.count[2:10].tolist() == [1, 1, 1, 0, 0, 0, 0, 1]
    host.send("FORM:PROG U16")
    host.send("PROG:CELL 2,1,2,#216", np.array([65535, 0, 0, 0, 0, 0, 0, 0], "<u2").tobytes(), ";*WAI")
    assert chip.conductance_s[9] == pytest.approx(20e-6)
    for bad in ([1e-4] * 7 + [-1e-4], [1e-4] * 7 + [6e-4], [1e-4] * 7 + [np.inf]):
        host.send("FORM:PROG F32;:PROG:CELL 3,1,2,#232", np.array(bad, "<f4").tobytes())
        assert host.errors() == ['-222,"Data out of range;entry 7"']
    assert host.ask("PROG:LAST?").startswith("2,8,")


def test_validation_order() -> None:
    host = ready()
    host.send("PULS:DEF 3,5E-9,5E-8,5E-9,1E-6")
    host.send("ARR:CYCL:LIM 1;:PROG:SEL 4,0,2,1E-4;*WAI")
    host.send("OUTP OFF")
    steps = [
        ("PROG:CELL 0,9,9,#11x", '-222,"Data out of range"'),
        ("PROG:CELL 4,9,9,#11x", '106,"Batch id not newer;last 4 got 4"'),
        ("PROG:CELL 5,9,9,#11x", '102,"Selection empty or undefined"'),
        ("PROG:CELL 5,0,9,#11x", '104,"Pulse template undefined"'),
        ("PROG:CELL 5,0,3,#11x", '104,"Pulse template undefined"'),
        ("PROG:CELL 5,0,2,#11x", '103,"Block length does not match selection;expected 256 got 1"'),
        ("PROG:SEL 5,0,2,0", '-222,"Data out of range;entry 0"'),
        ("PROG:SEL 5,0,2,1E-3", '-222,"Data out of range;entry 0"'),
        ("PROG:SEL 5,0,2,1E-4", '205,"Endurance guard;first cell 0, 256 cells"'),
        ("ARR:CYCL:LIM 0;:PROG:SEL 5,0,2,1E-4", '207,"Array power or outputs off"'),
    ]
    for message, error in steps:
        host.send(message)
        assert host.errors() == [error], message
    assert host.ask("PROG:LAST?").startswith("4,256,")


def test_voltage_drive_clamps_at_the_limit() -> None:
    host = ready()
    host.send("PULS:UNIT 2,V;FSC 2,3;LIM 2,4E-4")
    host.send(b"PROG:CELL 1,0,2," + definite(bytes([85] * 128 + [255] * 128)) + b";*WAI")
    flags = payload(host.ask(f"PROG:FLAG? 0,{N}"))
    assert set(flags[:128]) == {1}
    assert set(flags[128:]) == {129}
    chip = host.board.chip
    assert chip.conductance_s[0] == pytest.approx(20e-6 * (1.0 / 5000) / 5e-4)
    assert chip.conductance_s[255] == pytest.approx(20e-6 * 0.8)


def test_a_current_above_its_own_limit_is_refused() -> None:
    host = ready()
    host.send("PULS:LIM 2,1E-4;:PROG:SEL 1,0,2,2E-4")
    assert host.errors() == ['-222,"Data out of range;entry 0"']
    host.send(b"PROG:CELL 1,0,2," + definite(bytes([51] * 255 + [52])))
    assert host.errors() == ['-222,"Data out of range;entry 255"']


def test_segments_give_the_enclosing_trapezoid() -> None:
    host = ready()
    pairs = np.array([[0, 0], [1e-7, 0.5], [3e-7, 0.5], [1e-6, 0]], "<f4")
    host.send("PULS:SEGM 2,#232", pairs.tobytes(), ";:PROG:SEL 1,0,2,4E-4;*WAI")
    chip = host.board.chip
    assert host.errors() == []
    assert chip.shapes[-1] == pytest.approx((1e-7, 2e-7, 7e-7, 1))
    assert chip.conductance_s[0] == pytest.approx(20e-6 * 0.4)
    for bad, code in (
        ([[0, 0], [1e-7, 0.5]], -224),
        ([[0, 0], [2e-7, 0.5], [1e-7, 0]], -224),
        ([[0, 0], [1e-7, 1.5], [2e-7, 0]], -222),
        ([[0, 0], [1e-7, 0.5], [1e-3, 0]], -221),
    ):
        host.send(b"PULS:SEGM 2,", definite(np.array(bad, "<f4").tobytes()))
        assert [int(entry.split(",")[0]) for entry in host.errors()] == [code]


def greedy(active: NDArray[np.bool_], parallel: int) -> list[int]:
    """Starts of the groups, straight from the words of §6.4."""
    starts, entry = [], 0
    while entry < len(active):
        if active[entry]:
            starts.append(entry)
            entry += parallel
        else:
            entry += 1
    return starts


@given(st.lists(st.integers(0, 2), max_size=80), st.integers(1, 9), st.integers(0, 80), st.integers(1, 3))
@settings(deadline=None)
def test_groups_and_progress(kinds: list[int], parallel: int, stop: int, count: int) -> None:
    n = len(kinds)
    chip = FakeChip(1, 1, max(n, 1))
    codes = np.array([0 if kind == 0 else 5 for kind in kinds], np.uint8)
    mask = np.zeros(max(n, 1), np.bool_)
    mask[:n] = np.array(kinds) == 2
    active = (codes > 0) & ~mask[:n]
    starts = greedy(active, parallel)
    batch = ProgramOperation(
        1,
        0,
        codes=codes,
        cells=np.arange(n, dtype=np.uint32),
        mask=mask,
        parallel=parallel,
        drive=Drive(1e-6),
        shape=Shape(5, 50, 5),
        period_ns=1000,
        count=count,
    )
    batch.start(0, chip, np.zeros(max(n, 1), np.uint32), 0, 1.0)
    assert batch.end_ns == len(starts) * 1000 * count
    groups = min(stop, len(starts))
    batch.run_to(groups * 1000 * count)
    done = n if groups == len(starts) else starts[groups]
    assert batch.done == done
    assert np.array_equal(chip.count[:n], np.where(active & (np.arange(n) < done), count, 0))
    assert batch.pulsed == int(active[:done].sum())
    expected = np.zeros(n, np.int64)
    for index, first in enumerate(starts[:groups]):
        end = (starts[index + 1]) if index + 1 < len(starts) else n
        expected[first:end] = np.where(active[first:end], (index * count + count - 1) * 1000 + 60, 0)
    for begin in range(0, n, 7):
        window = min(5, n - begin)
        assert np.array_equal(batch.stamps(begin, window), expected[begin : begin + window])
