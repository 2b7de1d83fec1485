"""The socket server in front of a simulated board, over real TCP on the loopback interface."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from fake_chip import FakeState, definite
from pyvisa.resources import MessageBasedResource
from simulated_bench import use_fake_boards

from drivers.simulated import server
from drivers.simulated.registry import SimulatedBench, open_bench
from drivers.simulated.server import InstrumentServer


class Wire:
    """A bare TCP host."""

    def __init__(self, server: InstrumentServer) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> str:
        return self.file.readline().decode("latin-1").removesuffix("\n")

    def ask(self, text: str) -> str:
        self.send(text.encode() + b"\n")
        return self.line()

    def closed_by_board(self) -> bool:
        """Whether nothing more comes; a reset is how TCP says that what was sent last was not read."""
        try:
            return self.file.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.sock.close()


class Served:
    def __init__(self, bench: SimulatedBench, server: InstrumentServer) -> None:
        self.bench, self.server = bench, server
        self.wires: list[Wire] = []

    @property
    def board(self):  # type: ignore[no-untyped-def]
        return self.bench.named("chip").board

    def wire(self) -> Wire:
        self.wires.append(Wire(self.server))
        return self.wires[-1]

    def owner(self) -> Wire:
        wire = self.wire()
        assert wire.ask('SYST:LOCK:REQ? "host"') in ("1", "2")
        assert wire.ask("ARR:POW ON;*WAI;:OUTP ON;*OPC?") == "1"
        wire.send(b"PULS:DEF 2,5E-9,5E-8,5E-9,1E-6;FSC 2,5E-4\n")
        return wire


def serve(tmp_path: Path) -> Iterator[Served]:
    with open_bench(tmp_path / "bench.yaml") as bench, InstrumentServer(bench.named("chip"), 0) as server:
        served = Served(bench, server)
        yield served
        for wire in served.wires:
            wire.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    use_fake_boards(monkeypatch)
    yield from serve(tmp_path)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    use_fake_boards(monkeypatch, rate=0.01)  # the ramp of 5 ms takes half a second
    yield from serve(tmp_path)


def until(condition, timeout_s: float = 5.0) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def test_byte_by_byte_and_all_at_once(served: Served) -> None:
    wire = served.wire()
    for byte in b"SYST:TAG? 812;:PROG:LAST?\r\n":
        wire.send(bytes([byte]))
    assert wire.line() == "812;0,0,0"
    wire.send(b"*OPC?\n" * 500)
    assert [wire.line() for _ in range(500)] == ["1"] * 500


def test_blocks_up_and_down(served: Served) -> None:
    wire = served.owner()
    mask = bytes(range(32))
    wire.send(b"ARR:MASK " + definite(mask) + b"\n")
    wire.send(b"ARR:MASK?\n")
    assert wire.file.read(4 + 32 + 1) == b"#232" + mask + b"\n"
    wire.send(b"READ:INIT 0;*WAI;:READ:DATA? 0,256\n")
    assert wire.file.read(12) == b"1,0,C,#41024"
    assert wire.file.read(1025)[-1:] == b"\n"


def test_through_a_real_visa_stack(served: Served) -> None:
    manager = pyvisa.ResourceManager("@py")
    link = manager.open_resource(served.server.address, read_termination="\n", write_termination="\n")
    assert isinstance(link, MessageBasedResource)
    assert link.query("*IDN?") == "PCMLAB,PCMC-1M-SIM,0001,1.0.0"
    link.close()
    manager.close()


def test_the_port_binds_this_machine_only(served: Served) -> None:
    assert served.server.host == "127.0.0.1"
    assert served.server.port > 0
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        InstrumentServer(served.bench.named("chip"), served.server.port)


def test_an_idle_link_sleeps(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[None] = []
    turn = server._Link._turn

    def counted(link: server._Link) -> bool:
        turns.append(None)
        return turn(link)

    monkeypatch.setattr(server._Link, "_turn", counted)
    wire = served.wire()
    assert wire.ask("*OPC?") == "1"
    time.sleep(0.1)
    assert len(turns) < 20  # a link that woke itself would have turned thousands of times


def test_a_half_closed_link_still_gets_its_answers(served: Served) -> None:
    wire = served.wire()
    wire.send(b"*IDN?\nSYST:TAG? 5\nSYST:TA")
    wire.sock.shutdown(socket.SHUT_WR)
    assert wire.file.read() == b"PCMLAB,PCMC-1M-SIM,0001,1.0.0\n5\n"


def test_messages_received_in_full_are_executed_though_the_link_is_cut(served: Served) -> None:
    wire = served.owner()
    wire.send(b"PROG:CELL 7,0,2," + definite(b"\1" * 256) + b";*WAI\nPROG:CELL 8,0,2,#3256abc")
    wire.close()
    served.wires.remove(wire)
    assert until(lambda: served.board.access.owner is None)
    assert served.wire().ask("PROG:LAST?").startswith("7,256,")
    assert (served.board.chip.count == 1).all()


def test_safe_overtakes_a_wait_on_its_own_link(slow: Served) -> None:
    wire = slow.wire()
    assert wire.ask('SYST:LOCK:REQ? "host"') == "1"
    wire.send(b"ARR:POW ON;*WAI;:OUTP ON\nREAD:AVER 3\n")
    assert until(lambda: slow.board.power == "RAMP")
    began = time.monotonic()
    wire.send(b"SYST:SAFE\n")
    assert until(lambda: slow.board.power == "SAFE")
    assert time.monotonic() - began < 0.3
    assert wire.ask("ARR:POW?;:OUTP?;:READ:AVER?") == "SAFE;0;3"


def test_safe_with_the_link_closed_right_after_it(slow: Served) -> None:
    owner, other = slow.wire(), slow.wire()
    assert owner.ask('SYST:LOCK:REQ? "host"') == "1"
    owner.send(b"ARR:POW ON;*OPC?\n")
    assert until(lambda: slow.board.power == "RAMP")  # or the order of the two links would be open
    other.send(b"SYST:SAFE\n")
    other.close()
    slow.wires.remove(other)
    assert owner.line() == "1"
    assert owner.ask("ARR:POW?") == "SAFE"


def test_queries_are_answered_while_another_link_waits(slow: Served) -> None:
    owner, other = slow.wire(), slow.wire()
    assert owner.ask('SYST:LOCK:REQ? "host"') == "1"
    owner.send(b"ARR:POW ON;*OPC?\n")
    assert until(lambda: slow.board.power == "RAMP")
    began = time.monotonic()
    assert other.ask("ARR:POW?") == "RAMP"
    assert time.monotonic() - began < 0.2
    assert owner.line() == "1"


def test_the_silent_link_gives_way_when_all_are_taken(served: Served) -> None:
    wires = [served.wire() for _ in range(4)]
    for wire in wires:
        assert wire.ask("*OPC?") == "1"
    assert served.wire().ask("*OPC?") == "1"
    assert wires[0].file.read() == b""
    assert wires[1].ask("*OPC?") == "1"


def test_a_take_over_closes_the_older_socket(served: Served) -> None:
    old = served.owner()
    new = served.wire()
    assert new.ask('SYST:LOCK:REQ? "host"') == "1"
    assert old.closed_by_board()


def test_a_boot_closes_every_socket(served: Served) -> None:
    owner, other = served.owner(), served.wire()
    other.ask("*OPC?")
    owner.send(b"ARR:POW OFF;:SYST:BOOT\n")
    assert owner.closed_by_board()
    assert other.closed_by_board()
    assert served.wire().ask("SYST:LOCK:OWN?") == "0"


def test_a_malformed_block_closes_the_socket(served: Served) -> None:
    wire = served.wire()
    wire.send(b"SEL:LIST 1,#x1\n*IDN?\n")
    assert wire.closed_by_board()


def test_unread_replies_hold_up_their_own_link_only(served: Served) -> None:
    stuck, other = served.owner(), served.wire()
    stuck.send(b"READ:INIT 0;*WAI\n" + b"READ:DATA? 0,256\n" * 20000)
    assert other.ask("*OPC?") == "1"
    for _ in range(20000):
        assert stuck.file.read(1037)[-1:] == b"\n"
    assert stuck.ask("*OPC?") == "1"


def test_link_faults_over_tcp(served: Served) -> None:
    wire = served.wire()
    assert wire.ask('SYST:LOCK:REQ? "host"') == "1"
    wire.send(b"SIM:FAUL LATE,0.1,1\n")
    began = time.monotonic()
    assert wire.ask("SYST:TAG? 1") == "1"
    assert time.monotonic() - began >= 0.1
    wire.send(b"SIM:FAUL DROP,TX,3\n*IDN?\n")
    assert wire.file.read() == b"PCM"


def test_stop_is_clean_and_leaves_the_bench_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    states: list[FakeState] = use_fake_boards(monkeypatch)
    with open_bench(tmp_path / "bench.yaml") as bench:
        server = InstrumentServer(bench.named("chip"), 0)
        wire = Wire(server)
        assert wire.ask("*OPC?") == "1"
        server.stop()
        assert wire.closed_by_board()
        wire.close()
        assert not states[0].closed
        bench.save()
        assert states[0].saves == 1
    assert states[0].closed


def test_the_same_bench_in_process_and_over_tcp(served: Served, tmp_path: Path) -> None:
    manager = pyvisa.ResourceManager(f"{tmp_path / 'bench.yaml'}@pcm")
    link = manager.open_resource(
        "TCPIP0::pcm-mock::5025::SOCKET", read_termination="\n", write_termination="\n"
    )
    assert isinstance(link, MessageBasedResource)
    assert link.query('SYST:LOCK:REQ? "inside"') == "1"
    assert served.wire().ask("SYST:LOCK:OWN?") == "2"
    manager.close()


def test_a_whole_array_over_tcp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_boards(monkeypatch, rows=512, cols=512)
    for served in serve(tmp_path):
        wire = served.owner()
        n = 512 * 512
        codes = np.arange(n, dtype="<u2") | 1
        wire.send(b"FORM:PROG U16;:PROG:CELL 1,0,2," + definite(codes.tobytes()) + b";*OPC?\n")
        assert wire.line() == "1"
        wire.send(b"READ:INIT 0;*WAI;:READ:DATA? 0,262144\n")
        assert wire.file.read(15) == b"1,0,C,#71048576"
        values = np.frombuffer(wire.file.read(4 * n), "<f4")
        assert wire.file.read(1) == b"\n"
        assert np.allclose(values, 20e-6 * codes / 65535, rtol=1e-5)
