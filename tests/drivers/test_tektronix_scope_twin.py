"""The simulated Tektronix scope as any program sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from bench_scope import SOCKET, bench, opened, play

ARMED = (
    "HEAD OFF;*CLS;:HOR:MODE MAN;:HOR:MODE:SAMPLER 1e9;RECO 2000;:HOR:POS 10;:CH1:SCA 0.25;"
    ":TRIG:A:EDGE:SOU CH1;:TRIG:A:LEV 0.5;MOD NORM;:ACQ:STOPA SEQ;:ACQ:STATE ON"
)


def events(scope: Any) -> list[str]:
    scope.query("*ESR?")
    return str(scope.query("ALLEV?")).split(",")


# ---- replies and events -------------------------------------------------------------------------------------
def test_replies_carry_their_header_until_it_is_switched_off(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, _):
        assert scope.query("*IDN?") == "TEKTRONIX,DPO7254,C000101,CF:91.1CT FV:5.1.0"
        assert scope.query("CH2:SCALE?") == ":CH2:SCALE 100.0000E-3"
        assert scope.query("header?;verbose?") == ":HEADER 1;:VERBOSE 1"
        scope.write("VERBOSE OFF")
        assert scope.query("CH2:SCALE?") == ":CH2:SCA 100.0000E-3"
        assert scope.query("TRIG:A:EDGE:SLO?") == ":TRIG:A:EDGE:SLO RIS"
        scope.write("HEADER OFF;VERBOSE ON")
        assert scope.query("CH2:SCA?") == "100.0000E-3"
        assert scope.query("TRIG:A:EDGE:SLO?") == "RISE"
        scope.write("*RST")
        assert scope.query("HEADER?") == "0"


def test_events_are_told_only_after_the_status_register_was_read(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, _):
        scope.write("HEADER OFF")
        assert scope.query("*ESR?") == "128"
        assert scope.query("ALLEV?") == '401,"Power on; "'
        assert scope.query("ALLEV?") == '0,"No events to report - queue empty"'
        scope.write("CH1:SKALE 1")
        assert scope.query("ALLEV?") == '1,"No events to report - new events pending *ESR?"'
        assert scope.query("EVENT?") == "1"
        scope.write("CH1:SCA 100")
        assert scope.query("*ESR?") == "48"
        assert scope.query("EVQTY?") == "2"
        assert scope.query("EVENT?") == "113"
        assert scope.query("EVMSG?").startswith('222,"Data out of range')
        assert scope.query("EVENT?") == "0"
        scope.write("CH1:SKALE 1")
        scope.query("*ESR?")
        scope.query("*ESR?")  # forgets what was not read
        assert scope.query("EVENT?") == "0"


def test_there_is_no_error_queue_of_scpi(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, _):
        scope.write("*CLS;:HEAD OFF")
        with pytest.raises(pyvisa.VisaIOError):
            scope.query("SYST:ERR?")
        assert events(scope)[0] == "113"


def test_an_unread_reply_is_interrupted(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, _):
        scope.write("*CLS;:HEAD OFF")
        scope.write("CH1:SCA?")
        scope.write("CH1:SCA?")
        scope.read()
        assert events(scope)[0] == "410"
    with opened(bench(tmp_path, address=SOCKET), SOCKET) as (scope, _):
        scope.write("*CLS;:HEAD OFF")
        scope.write("CH1:SCA?")
        scope.write("CH1:OFFS?")
        assert (scope.read(), scope.read()) == ("100.0000E-3", "0.0000")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("CH1:TER 75", "224"),
        ("CH1:COUP XY", "224"),
        ("CH5:SCA 1", "114"),
        ("HOR:MODE AUTO;:HOR:MODE:RECO 1000", "221"),
        ("HOR:MODE MAN;:HOR:MODE:SCA 1e-6", "221"),
        ("DAT:ENC RIB;:WFMO:BYT_N 4", "221"),
        ("DAT:SOU CH4;:CURV?", "2244"),
        ("ACQ:STATE OFF;:TRIG FORC", "211"),
    ],
)
def test_refusals(tmp_path: Path, sent: str, code: str) -> None:
    with opened(bench(tmp_path)) as (scope, _):
        scope.write("*CLS;:HEAD OFF")
        scope.write(sent)
        assert events(scope)[0] == code


def test_horizontal_modes(tmp_path: Path) -> None:
    with opened(bench(tmp_path, model="tektronix-mso5204")) as (scope, _):
        scope.write("HEAD OFF;:HOR:MODE MAN;:HOR:MODE:RECO 5000;SAMPLER 2e9")
        assert scope.query("HOR:MODE:SAMPLER?;RECO?;SCA?") == "1.0000E+9;5000;500.0000E-9"
        scope.write("HOR:MODE CONS;:HOR:MODE:SCA 1e-6")
        assert scope.query("HOR:MODE:SAMPLER?;RECO?") == "1.0000E+9;10000"
        scope.write("HOR:MODE AUTO;:HOR:MODE:SCA 1e-5")
        assert scope.query("HOR:MODE:SAMPLER?;RECO?") == "100.0000E+6;10000"
        assert scope.query("ACQ:MAXS?") == "10.0000E+9"


# ---- acquiring ------------------------------------------------------------------------------------------------
def volts(scope: Any, codes: np.ndarray) -> np.ndarray:
    scale, offset, zero = (float(scope.query(f"WFMOUTPRE:{name}?")) for name in ("YMULT", "YOFF", "YZERO"))
    return np.asarray((codes - offset) * scale + zero)


def test_a_single_acquisition_waits_for_a_pulse(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        play(simulated)  # before it is armed: does not count
        scope.write(ARMED)
        assert scope.query("TRIG:STATE?") == "READY"
        assert scope.query("BUSY?;:ACQ:STATE?;NUMACQ?") == "1;1;0"
        play(simulated, 0.3)  # too small
        assert scope.query("TRIG:STATE?") == "READY"
        play(simulated, 1.0)
        assert scope.query("TRIG:STATE?") == "SAVE"
        assert scope.query("BUSY?;:ACQ:STATE?;NUMACQ?") == "0;0;1"
        play(simulated, 5.0)  # it has stopped
        scope.write("DAT:SOU CH1;ENC RIB;STAR 1;STOP 2000;:WFMO:BYT_N 1")
        codes = scope.query_binary_values("CURV?", "b", is_big_endian=True, container=np.array)
        found = volts(scope, codes)
        step_s, start_s = float(scope.query("WFMO:XIN?")), float(scope.query("WFMO:XZE?"))
        times_s = start_s + step_s * np.arange(2000)
        assert start_s == pytest.approx(-200e-9)
        assert found[times_s > 100e-9][:500].mean() == pytest.approx(1.0, abs=0.01)
        assert abs(found[:100].mean()) < 0.01
        # it triggers where the edge passes half of it
        assert np.interp(0.0, times_s, found) == pytest.approx(0.5, abs=0.05)
        assert found.std() > 0.0


def test_opc_answers_when_the_acquisition_is_over(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write(ARMED)
        scope.write("*OPC?")
        with pytest.raises(pyvisa.VisaIOError):
            scope.read()
        play(simulated)
        assert scope.read() == "1"


@pytest.mark.parametrize("encoding", ["ASCI", "FAS", "RIB", "RPB", "FPB", "SRI", "SRP", "SFP"])
@pytest.mark.parametrize("size", [1, 2])
def test_every_encoding_says_the_same(tmp_path: Path, encoding: str, size: int) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write(ARMED + ";:CH1:OFFS 0.5;POS -1")
        play(simulated)
        scope.write(f"DAT:SOU CH1;STAR 101;STOP 1100;ENC {encoding}")
        floating = "FP" in encoding
        if not floating:
            scope.write(f"WFMO:BYT_N {size}")
        form, order = scope.query("WFMO:BN_F?"), scope.query("WFMO:BYT_O?")
        bytes_each = int(scope.query("WFMO:BYT_N?"))
        assert scope.query("WFMO:NR_P?") == "1000"
        if encoding == "ASCI":
            codes = np.array(scope.query_ascii_values("CURV?"))
        else:
            kind = {("RI", 1): "b", ("RP", 1): "B", ("RI", 2): "h", ("RP", 2): "H", ("FP", 4): "f"}[
                form, bytes_each
            ]
            codes = scope.query_binary_values("CURV?", kind, is_big_endian=order == "MSB", container=np.array)
        assert len(codes) == 1000
        found = volts(scope, codes)
        assert found[400:900].mean() == pytest.approx(1.0, abs=0.01)
        assert scope.query("*ESR?") == "0"


def test_a_block_is_definite_and_has_a_header_where_headers_are_on(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write(ARMED + ";:DAT:ENC RIB;STOP 10;:HEAD ON")
        play(simulated)
        scope.write("CURV?")
        raw = scope.read_raw()
        assert raw.startswith(b":CURVE #210")
        assert len(raw) == len(b":CURVE #210") + 10 + 1


def test_screen_edges_clip_and_terminations_load(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write(ARMED + ";:CH1:SCA 0.1;:DAT:ENC RIB;STOP 2000")
        play(simulated)
        codes = scope.query_binary_values("CURV?", "b", container=np.array)
        assert codes.max() == 127
        scope.write("CH1:SCA 0.25;TER 50;:TRIG:A:LEV 0.2;:ACQ:STATE ON")
        play(simulated)
        codes = scope.query_binary_values("CURV?", "b", container=np.array)
        assert volts(scope, codes)[400:900].mean() == pytest.approx(0.5, abs=0.01)


def test_channels_that_are_on_are_recorded_together(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write("SEL:CH2 ON;:CH2:TER 50;SCA 0.02;" + ":" + ARMED.replace("*CLS;", ""))
        play(simulated)
        scope.write("DAT:SOU CH2;STOP 2000")
        codes = scope.query_binary_values("CURV?", "b", container=np.array)
        # behind 1 kOhm into 50 Ohm
        assert volts(scope, codes)[400:900].mean() == pytest.approx(50 / 1100, rel=0.02)


def test_bandwidth_coupling_and_resolution(tmp_path: Path) -> None:
    def edge(scope: Any, simulated: Any, settings: str) -> np.ndarray:
        scope.write(ARMED + ";:DAT:ENC RIB;STOP 2000;:WFMO:BYT_N 2;:" + settings)
        play(simulated)
        return volts(scope, scope.query_binary_values("CURV?", "h", is_big_endian=True, container=np.array))

    with opened(bench(tmp_path)) as (scope, simulated):
        fast = edge(scope, simulated, "CH1:BAN FUL")
        slow = edge(scope, simulated, "CH1:BAN TWE")
        assert scope.query("CH1:BAN?") == "20.0000E+6"

        def rise(found: np.ndarray) -> int:
            return int(np.argmax(found > 0.9) - np.argmax(found > 0.1))

        assert rise(slow) > rise(fast)
        calm = edge(scope, simulated, "CH1:BAN FUL;:ACQ:MOD HIR")
        assert calm[500:900].std() < fast[500:900].std() / 2
        assert np.abs(edge(scope, simulated, "CH1:BAN FUL;COUP AC")[500:900].mean() - 1.0) < 0.01


def test_averages_need_as_many_pulses(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write(ARMED + ";:ACQ:MOD AVE;NUMAV 4")
        for left in (3, 2, 1, 0):
            play(simulated)
            assert scope.query("ACQ:STATE?") == ("1" if left else "0")


def test_slopes_and_automatic_mode(tmp_path: Path) -> None:
    with opened(bench(tmp_path)) as (scope, simulated):
        scope.write(ARMED + ";:TRIG:A:EDGE:SLO FALL;:DAT:STOP 2000")
        play(simulated)
        codes = scope.query_binary_values("CURV?", "b", container=np.array)
        found = volts(scope, codes)
        assert found[:100].mean() == pytest.approx(1.0, abs=0.01)  # before the trigger it is still high
        assert abs(found[400:].mean()) < 0.01
        scope.write("TRIG:A:MOD AUTO;:ACQ:STATE ON")
        with simulated.world.lock:
            simulated.world.pass_s(0.1)
        assert scope.query("ACQ:STATE?") == "0"
        codes = scope.query_binary_values("CURV?", "b", container=np.array)
        assert abs(volts(scope, codes).mean()) < 0.01
        scope.write("TRIG:A:MOD NORM;:ACQ:STATE ON;:TRIG FORC")
        assert scope.query("ACQ:STATE?") == "0"
