"""Reads of the simulated board, and the faults that spoil them (controller-protocol §3.4, §7.7, §11)."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fake_chip import Host, definite, make_board, payload

N = 256


def ready(**options: float) -> Host:
    host = Host(make_board(**options))
    host.energise()
    host.template()
    return host


def floats(answer: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.frombuffer(payload(answer), "<f4")


def test_readings_in_every_format() -> None:
    host = ready()
    host.send("READ:RANG 1E-5;VOLT 0.1;AVER 3;INIT 0;*WAI")
    conductance = 1e-6 + np.arange(N) * 1e-9
    assert np.allclose(floats(host.ask(f"READ:DATA? 0,{N}")), conductance)
    assert np.allclose(floats(host.ask(f"READ:DATA? 0,{N},CURR32")), conductance * 0.1)
    exact = conductance * 0.1 / 1e-5 + 8 / 256
    answer = host.ask(f"READ:DATA? 4,{N - 4},ADC16")
    assert answer.startswith("1,4,A,#3504")
    assert np.abs(np.frombuffer(payload(answer), "<u2") - 65536 * exact[4:]).max() <= 0.51
    assert (
        np.abs(np.frombuffer(payload(host.ask("READ:DATA? 0,9,CODE8")), "u1") - 256 * exact[:9]).max() <= 0.51
    )
    host.send("READ:VOLT 0.2;RANG AUTO")
    assert np.allclose(floats(host.ask("READ:DATA? 7,2")), conductance[7:9])
    host.send("READ:INIT 0;*WAI;:READ:DATA? 0,1,CODE8")
    assert host.take() == b"2,0,K,#10\n"
    assert host.errors() == ['-221,"Settings conflict"']


def test_masked_and_clipped_cells_keep_their_places() -> None:
    host = ready()
    mask = np.zeros(N, np.uint8)
    mask[[3, 250]] = 1
    host.send(
        b"ARR:MASK ", definite(np.packbits(mask, bitorder="little").tobytes()), b";:READ:RANG 1E-7;VOLT 0.1"
    )
    host.send("READ:INIT 0;*WAI")
    flags = np.frombuffer(payload(host.ask(f"READ:FLAG? 0,{N}")), np.uint8)
    values = floats(host.ask(f"READ:DATA? 0,{N}"))
    assert np.flatnonzero(flags == 4).tolist() == [3, 250]
    assert np.array_equal(np.isnan(values), flags != 0)
    codes = np.frombuffer(payload(host.ask(f"READ:DATA? 0,{N},ADC16")), "<u2")
    assert np.array_equal(codes == 0xFFFF, flags != 0)
    stamps = np.frombuffer(payload(host.ask(f"READ:TST? 0,{N}")), "<u8")
    assert np.array_equal(stamps == 0, mask == 1)


@pytest.mark.parametrize("eighth", range(9))
@pytest.mark.parametrize(
    ("end", "word"), [("SYST:SAFE", "SAFE"), ("SYST:ABOR", "ABOR"), ("SIM:FAUL OTP", "TRIP")]
)
def test_a_read_stopped_anywhere(eighth: int, end: str, word: str) -> None:
    host = ready()
    host.send("READ:AVER 1000;APER 9E-6;INIT 0")  # 4 groups of 10 ms
    host.send(f"SIM:TIME:ADV {eighth / 8 * 0.04 - 0.002 if eighth else 0}")
    running = host.ask("READ:STAT?").split(",")
    host.send(f"READ:FLAG? {running[2]},1")
    host.take()
    host.send(end)
    assert host.ask("*OPC?") == "1"
    _id, state, done, total = host.ask("READ:STAT?").split(",")
    assert state in (word, "DONE")
    assert int(done) % 64 == 0
    assert total == str(N)
    flags = np.frombuffer(payload(host.ask(f"READ:FLAG? 0,{N}")), np.uint8)
    assert (flags[: int(done)] == 0).all()
    assert (flags[int(done) :] == 8).all()
    assert np.array_equal(np.isnan(floats(host.ask(f"READ:DATA? 0,{N}"))), flags == 8)
    stamps = np.frombuffer(payload(host.ask(f"READ:TST? 0,{N}")), "<u8")
    assert np.array_equal(stamps == 0, flags == 8)


def test_entries_below_done_may_be_fetched_while_the_read_runs() -> None:
    host = ready()
    host.send("READ:AVER 1000;APER 9E-6;INIT 0;:SIM:TIME:ADV 0.025")
    assert host.ask("READ:STAT?") == f"1,RUN,128,{N}"
    assert host.ask("READ:FLAG? 0,128") == "1,0,#3128" + "\0" * 128
    assert host.ask("READ:DATA? 100,29") == "1,100,C,#10"
    assert host.errors() == ['105,"Result buffer empty;available 128"']


def test_registers_tell_what_runs() -> None:
    host = ready()
    host.send("READ:AVER 1000;INIT 0")
    assert host.ask("STAT:OPER:COND?") == str(1 << 4)
    assert host.ask("*OPC?;:STAT:OPER:COND?") == f"1;{1 << 11}"
    host.send("SIM:FAUL CLIP,0.5;:READ:INIT 0;*WAI")
    assert host.ask("STAT:QUES:COND?") == str(1 << 9)
    host.send("PROG:SEL 1,0,2,1E-4,100000")
    assert host.ask("STAT:OPER:COND?") == str(1 << 8 | 1 << 11)


def test_faults_of_the_converter_and_the_stamps() -> None:
    host = ready()
    host.send("SIM:FAUL ADCO,1E-7;FAUL CLIP,0.25;FAUL STAM,2;:READ:VOLT 0.1;INIT 0;*WAI")
    assert host.ask("SIM:FAUL?") == "ADCO,CLIP,STAM"
    flags = np.frombuffer(payload(host.ask(f"READ:FLAG? 0,{N}")), np.uint8)
    assert 30 < (flags == 1).sum() < 100
    values = floats(host.ask(f"READ:DATA? 0,{N}"))
    assert np.allclose(values[flags == 0], (2e-6 + np.arange(N) * 1e-9)[flags == 0])
    stamps = np.frombuffer(payload(host.ask(f"READ:TST? 0,{N}")), "<u8")
    assert (stamps > 2_000_000_000).all()
    assert int(host.ask("SYST:TIME?")) < 100_000_000
    host.send("SIM:FAUL:CLE STAM")
    assert (np.frombuffer(payload(host.ask(f"READ:TST? 0,{N}")), "<u8") < 100_000_000).all()
    host.send("SIM:FAUL:CLE")
    assert host.ask("SIM:FAUL?") == "0"


def test_slow_stretches_board_times() -> None:
    host = ready()
    host.send("SIM:FAUL SLOW,10;:PROG:SEL 1,0,2,1E-4;*WAI")
    start, end = map(int, host.ask("PROG:STAT?").split(",")[7:])
    assert end - start == 8 * 10 * 1000
    host.send("ARR:POW OFF;POW ON")
    before = int(host.ask("SYST:TIME?"))
    assert 48_000_000 < int(host.ask("*WAI;:SYST:TIME?")) - before < 52_000_000


def test_rail_and_interlock_faults() -> None:
    host = ready()
    host.send("SIM:FAUL ILOC")
    assert host.ask("OUTP?;:ARR:POW?;:STAT:QUES:COND?") == f"0;TRIP;{1 << 11}"
    host.send("ARR:POW OFF;POW ON;*WAI;:OUTP ON")
    assert host.errors() == ['204,"Interlock open"', '204,"Interlock open"']
    host.send("SIM:FAUL:CLE;:OUTP ON;:ARR:POW OFF;:SIM:FAUL RAIL,VWL;:ARR:POW ON;*WAI")
    assert host.ask("ARR:POW?") == "OFF"
    assert host.errors() == ['201,"Rail not in tolerance;VWL"']


def test_too_hot_trips_in_the_ramp() -> None:
    host = Host(make_board())
    host.send("SIM:TEMP 410;:ARR:POW ON;*WAI")
    assert host.ask("ARR:POW?;TEMP?;:SIM:TEMP?") == "TRIP;410.000;4.100000000E+02"
    assert host.errors() == ['203,"Over-temperature"']
    host.send("ARR:TEMP:PROT 450;:ARR:POW OFF;POW ON;*WAI")
    assert host.ask("ARR:POW?") == "ON"


def test_stuck_cells_reach_the_chip_and_survive_a_boot() -> None:
    host = ready()
    host.send("SIM:FAUL CELL,7,OPEN;FAUL MUTE,3;FAUL BOOT")
    assert host.board.chip.stuck == {7: "OPEN"}
    assert Host(host.board).ask("SIM:FAUL?") == "CELL"


def test_muted_replies() -> None:
    host = Host(make_board())
    host.send("SIM:FAUL MUTE,2")
    assert [host.ask("SYST:TAG? 1"), host.ask("SYST:TAG? 2"), host.ask("SYST:TAG? 3")] == ["", "", "3"]


def test_late_replies_come_and_do_not_overtake() -> None:
    host = Host(make_board())
    host.send("SIM:FAUL LATE,0.05,1")
    assert host.ask("SYST:TAG? 1") == ""
    assert host.ask("SYST:TAG? 2") == ""
    while not host.link.output.ready:
        time.sleep(0.005)
    assert host.take() == b"1\n2\n"


@pytest.mark.parametrize("kept", [0, 3, 20])
def test_a_truncated_block_closes_the_link(kept: int) -> None:
    host = ready()
    host.send(f"READ:INIT 0;*WAI;:SIM:FAUL TRUN,{kept}")
    assert host.ask("SYST:TAG? 1") == "1"
    assert host.ask("READ:FLAG? 0,9") == ("1,0,#19" + "\0" * 9)[:kept]
    assert host.link.closed


@pytest.mark.parametrize("after", range(0, 40, 3))
def test_the_link_breaks_after_so_many_bytes_received(after: int) -> None:
    board = make_board()
    host = Host(board)
    host.energise()
    host.template()
    message = b"PROG:CELL 5,0,2," + definite(b"\1" * N) + b"\n"
    host.send(f"SIM:FAUL DROP,RX,{after}")
    host.link.feed(message)
    assert host.link.closed
    assert Host(board).ask("PROG:LAST?") == "0,0,0"


def test_the_link_breaks_behind_a_whole_message() -> None:
    board = make_board()
    host = Host(board)
    message = b"READ:AVER 5\n"
    host.link.feed(f"SIM:FAUL DROP,RX,{len(message)}\n".encode() + message + b"READ:AVER 6\n")
    assert host.link.closed
    assert Host(board).ask("READ:AVER?") == "5"


def test_the_link_breaks_after_so_many_bytes_sent() -> None:
    host = Host(make_board())
    host.send("SIM:FAUL DROP,TX,4")
    assert host.ask("SYST:TAG? 1") == "1"
    host.send("*IDN?")
    assert host.link.closed
    assert host.take() == b"PC"


def test_windows_of_truth_and_counters() -> None:
    host = ready()
    guest = Host(host.board, token=None)
    assert np.allclose(floats(guest.ask("SIM:TRUT? 0,10,3")), 1e-6 + np.arange(10, 13) * 1e-9)
    assert guest.ask("SIM:PULS? 0,256,0") == "0,256,#10"
    assert guest.ask("SIM:PULS? 0,256,1") == "0,256,#10"
    assert guest.errors() == ['-222,"Data out of range"']
