"""Lock, take-over, watchdog, links and power of the simulated board (controller-protocol §4, §5)."""

from __future__ import annotations

import numpy as np
import pytest
from fake_chip import Host, definite, make_board


def test_lock_answers() -> None:
    board = make_board()
    a, b = Host(board, "one"), Host(board, token=None)
    assert a.ask('SYST:LOCK:REQ? "one";OWN?') == "1;1"
    assert a.ask('SYST:LOCK:REQ? "two"') == "0"
    assert b.ask('SYST:LOCK:REQ? "two";OWN?') == "0;2"
    a.send("SYST:LOCK:REL")
    assert b.ask('SYST:LOCK:OWN?;REQ? "two"') == "0;2"
    b.send("SYST:LOCK:REL")
    assert b.ask('SYST:LOCK:REQ? "two"') == "1"
    b.link.end()
    assert a.ask('SYST:LOCK:OWN?;REQ? "two"') == "0;1"


def test_the_empty_token_matches_no_other_connection() -> None:
    board = make_board()
    a, b = Host(board, ""), Host(board, token=None)
    assert b.ask("SYST:LOCK:REQ?") == "0"
    assert a.ask("SYST:LOCK:REQ?") == "1"
    a.send("SYST:LOCK:REL")
    assert b.ask("SYST:LOCK:REQ?") == "2"


def test_take_over_closes_the_older_link_and_keeps_its_errors() -> None:
    board = make_board()
    a = Host(board, "one")
    a.send("FOO")
    b = Host(board, token=None)
    b.send("BAR")
    assert b.ask('SYST:LOCK:REQ? "one"') == "1"
    assert a.link.closed
    assert b.errors() == ['-113,"Undefined header;FOO"', '-113,"Undefined header;BAR"']
    a.send("READ:AVER 9")
    assert b.ask("READ:AVER?") == "1"


def test_a_take_over_drops_what_waits_at_a_rate() -> None:
    board = make_board(rate=0.001)  # the ramp takes five seconds, longer than any stall of this machine
    a = Host(board, "one")
    a.send("ARR:POW ON;*WAI;:READ:AVER 9")
    assert a.link.waiting
    a.send("READ:AVER 8")
    b = Host(board, token=None)
    assert b.ask('SYST:LOCK:REQ? "one"') == "1"
    a.link.pump()
    b.send("ARR:POW OFF")
    assert b.ask("READ:AVER?") == "1"


def test_errors_of_a_dead_owner_are_dropped_for_another_token() -> None:
    board = make_board()
    a = Host(board, "one")
    a.send("FOO")
    a.link.end()
    assert Host(board, "two").errors() == []
    assert Host(board, token=None).ask('SYST:LOCK:REQ? "one"') == "0"


def test_the_silent_link_gives_way_but_never_the_owners() -> None:
    board = make_board()
    owner = Host(board, "one")
    guests = [Host(board, token=None) for _ in range(3)]
    guests[0].ask("*OPC?")
    newcomer = Host(board, token=None)
    assert newcomer.ask("*OPC?") == "1"
    assert [g.link.closed for g in guests] == [False, True, False]
    assert not owner.link.closed


@pytest.mark.parametrize("limit", ["600", "1"])
def test_the_watchdog_latches_the_power_off(limit: str) -> None:
    board = make_board()
    host = Host(board)
    host.energise()
    host.send(f"SYST:WDOG {limit}")
    host.send(f"SIM:TIME:ADV {float(limit) - 0.001}")
    assert host.ask("OUTP?") == "1"
    host.send(f"SIM:TIME:ADV {limit}")
    assert host.ask("OUTP?;:ARR:POW?") == "0;SAFE"
    assert host.errors() == ['208,"Watchdog expired"']
    host.send("SIM:TIME:ADV 5000")
    assert host.errors() == []


def test_the_watchdog_can_be_off_only_while_its_owner_lives() -> None:
    board = make_board()
    host = Host(board, "one")
    host.energise()
    host.send("SYST:WDOG 0")
    host.send("SIM:TIME:ADV 100000")
    assert host.ask("OUTP?") == "1"
    host.link.end()
    board.advance(board.now_ns + 700_000_000_000)
    again = Host(board, "one")
    assert again.ask("OUTP?") == "0"
    assert again.errors() == ['208,"Watchdog expired"']


def test_the_watchdog_ends_a_batch_and_is_suspended_while_its_owner_waits() -> None:
    board = make_board()
    host = Host(board)
    host.energise()
    host.template()
    host.send("SYST:WDOG 1;:PULS:DEF 2,5E-9,5E-8,5E-9,1;FSC 2,5E-4")
    host.send("PROG:SEL 1,0,2,1E-4,3;*WAI")
    assert host.ask("PROG:STAT?").split(",")[1] == "DONE"
    host.send("PROG:SEL 2,0,2,1E-4,3;:SIM:TIME:ADV 10")
    fields = host.ask("PROG:STAT?").split(",")
    assert (fields[1], fields[6]) == ("WDOG", "208")


def test_safe_overtakes_what_its_own_link_waits_for() -> None:
    board = make_board(rate=1.0)
    host = Host(board)
    host.send("ARR:POW ON;*WAI;:OUTP ON")
    assert host.link.waiting
    host.link.feed(b"READ:AVER 3\n :syst:SAFE ;\n")
    assert board.power == "SAFE"
    host.link.pump()
    assert host.ask("ARR:POW?;:OUTP?;:READ:AVER?") == "SAFE;0;3"


def test_safe_does_not_clear_a_trip_and_power_off_clears_both() -> None:
    host = Host(make_board())
    host.energise()
    host.send("SIM:FAUL OTP")
    assert host.ask("ARR:POW?") == "TRIP"
    host.send("SYST:SAFE")
    assert host.ask("ARR:POW?") == "TRIP"
    host.send("SIM:FAUL:CLE OTP;:ARR:POW OFF")
    assert host.ask("ARR:POW?") == "OFF"
    assert host.errors() == ['203,"Over-temperature"']


def test_starts_and_settings_while_something_runs() -> None:
    host = Host(make_board())
    host.energise()
    host.template()
    host.send("SEL:ALL 1;ALL 2;:PULS:DEF 3,5E-9,5E-8,5E-9,1E-6")
    host.send("PROG:SEL 1,1,2,1E-4,1000000")
    expected = {
        "READ:INIT 0": -213,
        "PROG:SEL 2,1,2,1E-4": -213,
        "ARR:POW ON": 206,
        "OUTP ON": 206,
        "SEL:ALL 1": 206,
        "PULS:FSC 2,1E-4": 206,
        "ARR:RAIL:VDD 1": 206,
        "ARR:MASK #232" + "\0" * 32: 206,
        "SEL:ALL 2": 0,
        "PULS:KIND 3,RES": 0,
        "READ:AVER 4": 0,
        "FORM:PROG U16": 0,
    }
    for message, code in expected.items():
        host.send(message)
        found = host.errors()
        assert [int(entry.split(",")[0]) for entry in found] == ([code] if code else []), message
    assert host.ask("PROG:STAT?").split(",")[1] == "RUN"


@pytest.mark.parametrize(
    ("command", "power", "outputs"), [("ARR:POW OFF", "OFF", "0"), ("OUTP OFF", "ON", "0")]
)
def test_switching_off_ends_a_batch_at_a_cell_boundary(command: str, power: str, outputs: str) -> None:
    host = Host(make_board())
    host.energise()
    host.template()
    host.send("PROG:SEL 1,0,2,1E-4,100000")
    host.send(command)
    fields = host.ask("PROG:STAT?;*WAI").split(",")
    assert fields[1] == "RUN"
    fields = host.ask("PROG:STAT?").split(",")
    assert (fields[1], fields[3]) == ("ABOR", "0")
    assert int(fields[2]) % 32 == 0
    assert host.ask("ARR:POW?;:OUTP?") == f"{power};{outputs}"
    counts = host.board.chip.count
    assert (counts[: int(fields[2])] == 100000).all()
    assert not counts[int(fields[2]) :].any()


def test_polling_ends() -> None:
    host = Host(make_board())
    host.energise()
    host.template()
    host.send("PROG:SEL 1,0,2,1E-4,1000000")
    for turn in range(1, 200):
        if host.ask(f"SYST:TAG? {turn};:PROG:STAT?").split(";")[1].split(",")[1] == "DONE":
            break
    assert turn < 120
    assert host.board.now_ns > 8_000_000_000


def test_reset_keeps_what_the_manual_says() -> None:
    host = Host(make_board())
    host.energise()
    host.template()
    host.send(
        "SEL:ALL 1;:ARR:CYCL:LIM 7;:ARR:MASK #232" + "\1" * 32 + ";:FORM:PROG F32;:READ:AVER 5;:SYST:WDOG 3"
    )
    host.send("PROG:SEL 5,1,2,1E-4;*WAI")
    host.send("PROG:SEL 6,1,2,1E-4;*RST")
    assert host.ask("PROG:LAST?;STAT?").split(",")[0] == "6"
    assert host.ask("ARR:POW?;:OUTP?;:FORM:PROG?;:READ:AVER?;:ARR:CYCL:LIM?") == "OFF;0;U8;1;7"
    assert host.ask("SYST:WDOG?;LOCK:OWN?") == "6.000000000E+02;1"
    assert host.ask("ARR:MASK?") == "#232" + "\1" * 32
    assert host.ask("SEL:COUN? 1") == "9.91E37"


def test_boot_closes_all_links_and_keeps_mask_and_counters() -> None:
    board = make_board()
    host = Host(board)
    host.energise()
    host.template()
    host.send("ARR:MASK #232\1" + "\0" * 31 + ";:ARR:CYCL:LIM 9;:PROG:SEL 3,0,2,1E-4;*WAI")
    first = host.ask("SYST:BOOT?")
    host.send("SYST:BOOT")
    assert host.errors() == ['-221,"Settings conflict"']
    absolute = board.absolute_ns
    host.send("ARR:POW OFF;:SYST:BOOT")
    assert host.link.closed
    again = Host(board)
    assert again.ask("SYST:BOOT?") != first
    assert again.ask("PROG:LAST?;:ARR:CYCL:LIM?;:ARR:CYCL? 0,0,2") == "0,0,0;9;0,0,#18\0\0\0\0\1\0\0\0"
    assert int(again.ask("SYST:TIME?")) < 5_000_000
    assert int(again.ask("XLAB:TIME?").split(",")[0]) > absolute


def test_another_seed_makes_another_chip() -> None:
    board = make_board()
    host = Host(board)
    boot, unix = host.ask("SYST:BOOT?"), sum(map(int, host.ask("XLAB:TIME?").split(",")))
    host.energise()
    host.send("SIM:SEED 99")
    assert host.errors() == ['-221,"Settings conflict"']
    host.send("OUTP OFF;:SIM:SEED 99")
    assert host.ask("SIM:SEED?;:SYST:LOCK:OWN?;:ARR:POW?") == "99;1;OFF"
    assert host.ask("SYST:BOOT?") != boot
    assert sum(map(int, host.ask("XLAB:TIME?").split(","))) > unix


def test_state_is_written_on_save_and_close() -> None:
    board = make_board()
    host = Host(board)
    host.energise()
    host.template()
    host.send("ARR:CYCL:LIM 9;:ARR:MASK #232\2" + "\0" * 31 + ";:PROG:SEL 1,0,2,1E-4;*WAI")
    state = board.state
    board.save()
    board.close()
    assert host.link.closed
    assert state.board["cycle_limit"] == 9
    assert state.board["boots"] == 1
    assert state.board["absolute_ns"] == board.absolute_ns
    from drivers.simulated.controller import SimulatedController

    later = SimulatedController(state)
    host = Host(later)
    assert host.ask("ARR:CYCL:LIM?;:ARR:MASK?") == "9;#232\2" + "\0" * 31
    assert host.ask("ARR:CYCL? 0,0,2") == "0,0,#18" + np.array([1, 0], "<u4").tobytes().decode("latin-1")
    assert int(host.ask("XLAB:TIME?").split(",")[0]) > state.board["absolute_ns"]


def test_wall_clock_rate() -> None:
    board = make_board(rate=1e4)
    host = Host(board)
    host.send("ARR:POW ON;*WAI;:OUTP ON;*OPC?")
    while not host.link.output:
        host.link.pump()
    assert host.take() == b"1\n"
    before = int(host.ask("SYST:TIME?"))
    while int(host.ask("SYST:TIME?")) < before + 1_000_000:
        pass
    host.send("SIM:TIME:RATE 0")
    stood = int(host.ask("SYST:TIME?"))
    assert int(host.ask("SYST:TIME?")) == stood + 600_000 + 20 * len("SYST:TIME?\n")
    assert host.errors() == []


def test_a_block_costs_link_and_parser_time() -> None:
    host = Host(make_board())
    before = int(host.ask("SYST:TIME?"))
    message = b"ARR:MASK " + definite(bytes(32)) + b"\n"
    host.link.feed(message)
    after = int(host.ask("SYST:TIME?"))
    assert after - before == 2 * 600_000 + 20 * (len(message) + len("SYST:TIME?\n"))
