"""The event port of the simulated board, byte by byte, in this process and over TCP (controller-protocol §7.11)."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import pyvisa
from fake_chip import Host, definite, make_board
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource
from simulated_bench import SOCKET, use_fake_boards
from two_faces import FACES

from drivers.events import event_address
from drivers.simulated import server as served
from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_events import UNREAD_MAX, Listener
from drivers.simulated.registry import SimulatedBench, open_bench

GROUPS = 8  # of 32 cells each, a microsecond apart


class Ear:
    """A listener and nothing of ours: a bare TCP client, or a VISA session in this process."""

    def __init__(self, port: Ports) -> None:
        self.lines: list[str] = []
        if port.server is not None:
            self._sock = socket.socket()
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it is soon full
            self._sock.settimeout(5)
            self._sock.connect((port.server.host, port.server.port))
            self._file = self._sock.makefile("rb")
            self._link = None
        else:
            link = port.manager().open_resource(
                str(event_address(SOCKET)), read_termination="\n", write_termination="\n", timeout=5000
            )
            assert isinstance(link, MessageBasedResource)
            self._link = link

    def line(self) -> str:
        """The next line; empty where the link has ended."""
        if self._link is None:
            with suppress(ConnectionResetError):
                return self._file.readline().decode().removesuffix("\n")
            return ""
        try:
            return self._link.read()
        except VisaIOError as error:
            if error.error_code != StatusCode.error_connection_lost:
                raise
            return ""

    def until(self, last: str) -> list[str]:
        """Lines up to the first that matches `last`."""
        lines = [self.line()]
        while lines[-1] and not re.fullmatch(last, lines[-1]):
            lines.append(self.line())
        return lines

    def send(self, data: bytes) -> None:
        if self._link is None:
            self._sock.sendall(data)
        else:
            self._link.write_raw(data)

    def close(self) -> None:
        if self._link is None:
            self._file.close()
            self._sock.close()
        else:
            self._link.close()


class Ports:
    """A board, its event port behind one of the faces, and a host with the board's lock."""

    def __init__(self, bench: SimulatedBench, kind: str, stack: ExitStack) -> None:
        self.bench, self._stack = bench, stack
        events = bench.events["chip"]
        self.server = stack.enter_context(served.InstrumentServer(events, 0)) if kind == "socket" else None

    @property
    def board(self) -> SimulatedController:
        return self.bench.named("chip").board

    def manager(self) -> pyvisa.ResourceManager:
        manager = pyvisa.ResourceManager(f"{self.bench.path}@pcm")
        self._stack.callback(manager.close)
        return manager

    def ear(self) -> Ear:
        """A listener that has been greeted."""
        ear = Ear(self)
        self._stack.callback(ear.close)
        assert ear.line() == f"!BOOT {self.board.boot_id}"
        return ear

    def host(self, token: str = "host") -> Host:
        host = Host(self.board, token)
        host.energise()
        host.template()
        return host


def opened(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **options: object) -> Iterator[Ports]:
    use_fake_boards(monkeypatch, **options)
    monkeypatch.setattr(served, "_IDLE_S", 0.02)
    with ExitStack() as stack:
        bench = stack.enter_context(open_bench(tmp_path / "bench.yaml"))
        yield Ports(bench, kind, stack)


@pytest.fixture(params=FACES)
def ports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ports]:
    yield from opened(request.param, monkeypatch, tmp_path)


@pytest.fixture(params=FACES)
def flowing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Ports]:
    """Time flows by itself, a tenth as fast as the wall's."""
    yield from opened(request.param, monkeypatch, tmp_path, rate=0.1)


def test_what_a_listener_hears_of_a_batch_and_a_read(ports: Ports) -> None:
    ear, host = ports.ear(), ports.host()
    assert re.fullmatch(r"!STB 128,\d+", ear.line())  # the supplies come up
    assert re.fullmatch(r"!STB 0,\d+", ear.line())

    host.send("PROG:SEL 37,0,2,1E-4")
    began_ns, ended_ns = (int(field) for field in host.ask("*OPC?;:PROG:STAT?").split(",")[-2:])
    assert ended_ns - began_ns == GROUPS * 1000
    assert [ear.line() for _ in range(3)] == [f"!STB 128,{began_ns}", "!PROG 37,256", f"!STB 0,{ended_ns}"]

    assert host.ask("SEL:RECT 1,0,0,0,2,5;:READ:INIT 1;*OPC?") == "1"
    heard = ear.until(r"!STB 0,\d+")
    assert [line.split(",")[0] for line in heard] == ["!STB 128", "!READ 1", "!STB 0"]
    assert heard[1] == "!READ 1,10"


def test_any_number_of_listeners_beside_all_links(ports: Ports) -> None:
    host = ports.host()
    others = [Host(ports.board, token=None) for _ in range(3)]
    ears = [ports.ear() for _ in range(12)]

    assert host.ask("PROG:SEL 1,0,2,1E-4;*OPC?") == "1"

    for ear in ears:
        assert ear.until("!PROG.*")[-1] == "!PROG 1,256"
    assert not any(each.link.closed for each in (host, *others))


def test_an_operation_that_does_not_succeed_ends_too(ports: Ports) -> None:
    host, ear = ports.host(), ports.ear()
    host.send("SIM:FAUL OCP,100;:PROG:SEL 38,0,2,1E-4")
    done, open_ = host.ask("*OPC?;:PROG:STAT?").split(",")[2:4]
    assert (done, open_) == ("96", "32")

    heard = ear.until("!TRIP.*")
    ns = heard[-1].split(",")[1]
    # The group in flight when entry 100 is due; the QUES bit and the error are set, then the trip is told (§5.2).
    assert heard[1:] == ["!PROG 38,96", f"!STB 8,{ns}", f"!ERR 202,{ns}", f"!TRIP 202,{ns}"]
    host.send("ARR:POW OFF")
    assert re.fullmatch(r"!STB 0,\d+", ear.line())


def test_a_trip_while_nothing_runs(ports: Ports) -> None:
    host, ear = ports.host(), ports.ear()
    host.send("SIM:FAUL ILOC")
    heard = [ear.line() for _ in range(3)]
    assert [line.split(",")[0] for line in heard] == ["!STB 8", "!ERR 204", "!TRIP 204"]
    host.send("SIM:FAUL OTP;FAUL:CLE ILOC")  # other conditions, the same summary
    assert host.ask("STAT:QUES:COND?") == "16"
    host.send("SIM:FAUL:CLE")
    assert ear.line().startswith("!STB 0,")


def test_a_watchdog_that_fires_is_told_with_its_moment(ports: Ports) -> None:
    host, ear = ports.host(), ports.ear()
    host.send("SYST:WDOG 10;:SIM:TIME:ADV 60")
    (heard,) = ear.until("!ERR.*")
    fed_ns = int(host.ask("SYST:TIME?")) - 60e9
    code, at_ns = (int(number) for number in heard.removeprefix("!ERR ").split(","))
    assert code == 208
    assert at_ns == pytest.approx(fed_ns + 10e9, abs=2e6)
    assert host.ask("ARR:POW?;:OUTP?") == "SAFE;0"


@pytest.mark.parametrize("line", [b"!SAFE\n", b" !safe\r\n", b"x" * 500 + b"!SAFE\nnonsense\n!SAFE\n"])
def test_safe_from_a_listener_opens_the_outputs_of_a_running_batch(ports: Ports, line: bytes) -> None:
    host, ear = ports.host(), ports.ear()
    host.send("PROG:SEL 5,0,2,1E-4,10000")  # 10 ms a group, 80 ms in all
    state, before_ns = host.ask("PROG:STAT?;:SYST:TIME?").split(";")
    assert state.startswith("5,RUN,0,32,256,")

    ear.send(line)

    assert ear.until("!PROG.*")[-1] == "!PROG 5,0"
    taken_ns = 600_000 + 20 * len(line.split(b"\n")[-2] + b"\n")  # as any message of that length
    assert ear.line() == f"!STB 0,{int(before_ns) + taken_ns}"
    assert host.ask("OUTP?;:ARR:POW?;:PROG:STAT?").startswith("0;SAFE;5,SAFE,0,32,256,")
    host.send("ARR:POW ON")
    assert host.errors() == ['-221,"Settings conflict"']
    counts = ports.board.chip.count
    assert (counts[32:] == 0).all()
    assert (counts[:32] > 0).all()
    assert (counts[:32] < 10000).all()


@pytest.mark.parametrize(
    "line", [b"SYST:SAFE\n", b"!SAFE", b"!SAFE 1\n", b"x" * 64 + b"\xff\n", b"y" * 500 + b"!SAFE\n"]
)
def test_nothing_else_a_listener_sends_does_anything(ports: Ports, line: bytes) -> None:
    host, ear = ports.host(), ports.ear()
    before_ns = int(host.ask("SYST:TIME?"))
    ear.send(line)
    time.sleep(0.05)  # the server's thread has had it by now
    assert host.ask("OUTP?") == "1"
    assert int(host.ask("SYST:TIME?")) - before_ns < 2e6  # the two messages of the host alone moved it
    assert host.ask("PROG:SEL 1,0,2,1E-4;*OPC?") == "1"
    assert ear.until("!PROG.*")[-1] == "!PROG 1,256"


def test_a_slow_listener_is_dropped_and_nobody_waits_for_it(ports: Ports) -> None:
    host, slow, quick = ports.host(), ports.ear(), ports.ear()
    reads = 0
    began = time.monotonic()
    while len(ports.board.events._listeners) == 2 and time.monotonic() - began < 60:
        assert host.ask("SEL:RECT 1,0,0,0,1,1;" + ":READ:INIT 1;*WAI;" * 50 + "*OPC?") == "1"
        reads += 50
        for _ in range(50):
            assert quick.until(r"!STB 0,\d+")[-1]
    assert len(ports.board.events._listeners) == 1
    assert reads * 3 > UNREAD_MAX

    heard = 0
    while slow.line():
        heard += 1
    assert heard < reads * 3  # it ends, and not everything came
    ports.ear()  # who comes again is greeted again
    assert host.ask("READ:INIT 1;*OPC?") == "1"
    assert quick.until("!READ.*")[-1] == f"!READ {reads + 1},1"


def test_a_boot_closes_listeners_and_greets_them_anew(ports: Ports) -> None:
    host, ear = ports.host(), ports.ear()
    before = ports.board.boot_id
    host.send("ARR:POW OFF;:SYST:BOOT")

    assert ear.until("never")[-1] == ""
    assert ports.board.boot_id != before
    again = ports.ear()
    assert ports.host().ask("PROG:SEL 1,0,2,1E-4;*OPC?") == "1"
    assert again.until("!PROG.*")[-1] == "!PROG 1,256"


def test_another_chip_is_another_boot_to_who_stays(ports: Ports) -> None:
    ear, host = ports.ear(), Host(ports.board)
    host.send("SIM:SEED 99")
    assert ear.line() == f"!BOOT {host.ask('SYST:BOOT?')}"


def test_time_that_flows_is_told_though_no_host_speaks(flowing: Ports) -> None:
    host, ear = Host(flowing.board), flowing.ear()
    host.send("ARR:POW ON")  # 5 ms, fifty of the wall's
    assert [line.split(",")[0] for line in (ear.line(), ear.line())] == ["!STB 128", "!STB 0"]
    with flowing.board.lock:
        assert flowing.board.power == "ON"


def test_listening_moves_no_virtual_time() -> None:
    """The same messages give the same bytes, whoever listens."""
    answers = []
    for listeners in (0, 3):
        board = make_board()
        ears = [board.listen() for _ in range(listeners)]
        host = Host(board)
        host.energise()
        host.template()
        host.send("PROG:SEL 1,0,2,1E-4")
        for ear in ears:
            ear.pump()
        answers.append(host.ask("SYST:TIME?;:PROG:STAT?"))
        assert [ear.wall_s() for ear in ears] == [None] * listeners
    assert answers[0] == answers[1]


def test_a_virtual_operation_nobody_waits_for_is_a_time_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for ports in opened("process", monkeypatch, tmp_path):
        host, ear = ports.host(), ports.ear()
        host.send("PROG:SEL 1,0,2,1E-4,1000000")
        assert ear.line().startswith("!STB 128,")
        link = ear._link
        assert link is not None
        link.timeout = 60
        began = time.monotonic()
        with pytest.raises(VisaIOError) as caught:
            link.read()
        assert caught.value.error_code == StatusCode.error_timeout
        assert 0.05 < time.monotonic() - began < 5
        assert host.ask("*OPC?") == "1"
        assert link.read() == "!PROG 1,256"


def test_an_idle_listener_sleeps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    turns: list[None] = []
    turn = served._Link._turn

    def counted(link: served._Link) -> bool:
        turns.append(None)
        return turn(link)

    monkeypatch.setattr(served._Link, "_turn", counted)
    for ports in opened("socket", monkeypatch, tmp_path):
        monkeypatch.setattr(served, "_IDLE_S", 0.2)
        ports.ear()
        time.sleep(0.3)
        assert len(turns) < 20


def test_a_listener_that_goes_is_forgotten(ports: Ports) -> None:
    ear = ports.ear()
    assert len(ports.board.events._listeners) == 1
    ear.close()
    deadline = time.monotonic() + 5
    while ports.board.events._listeners and time.monotonic() < deadline:
        time.sleep(0.002)
    assert ports.board.events._listeners == []


def test_status_words_are_complete() -> None:
    """Each condition of §8.1 by itself: all but "results available" mean that something is going on."""
    board = make_board()
    for bit in range(12):
        assert board.events.summary(1 << bit, 0) == (0 if bit == 11 else 128)
        assert board.events.summary(0, 1 << bit) == 8
    assert board.events.summary(0, 0) == 0


def test_the_end_of_a_product_is_told() -> None:
    board = make_board()
    host = Host(board)
    host.energise()
    ear: Listener = board.listen()
    host.send("SEL:RECT 1,0,0,0,2,3")
    assert host.ask("MVM:EXEC 1,", definite(bytes([100, 50])), ";*OPC?") == "1"
    told = bytes(b"".join(bytes(piece) for reply in ear.output._replies for piece in reply))
    assert b"\n!MVM 1,3\n" in told


def test_the_event_port_lies_behind_the_boards_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert event_address("TCPIP0::a::inst0::INSTR") is None
    assert event_address("TCPIP0::a::65535::SOCKET") is None
    assert event_address("tcpip::10.0.0.2::5025::socket") == "tcpip::10.0.0.2::5026::socket"
    for ports in opened("process", monkeypatch, tmp_path):
        assert ports.bench.find(SOCKET.replace("5025", "5026").lower()) is ports.bench.events["chip"]
        assert ports.bench.find(SOCKET) is ports.bench.named("chip")
