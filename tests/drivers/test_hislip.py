"""The HiSLIP server over real TCP: with plain pyvisa-py, with our own link, and message by message (IVI-6.1)."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from plain_twin import GPIB, IDN, PlainTwin, definite, use_plain_twins, write_plain_bench
from pyvisa.resources import MessageBasedResource
from simulated_bench import use_fake_boards

from drivers.errors import LinkError
from drivers.message_link import MessageLink
from drivers.simulated.hislip import HislipServer
from drivers.simulated.hislip_messages import Kind
from drivers.simulated.registry import SimulatedBench, open_bench

HEADER = struct.Struct("!2sBBIQ")
FIRST_ID = 0xFFFF_FF00
EVERY_BYTE = bytes(range(256))


class Served:
    def __init__(self, bench: SimulatedBench, server: HislipServer) -> None:
        self.bench, self.server = bench, server
        twin = bench.twins["gpib"].twin
        assert isinstance(twin, PlainTwin)
        self.twin = twin
        self.clients: list[Client] = []

    def client(self, **options: int) -> Client:
        self.clients.append(Client(self.server, **options))
        return self.clients[-1]


class Client:
    """A client that follows the specification and checks the other side while it does."""

    def __init__(self, server: HislipServer, client_max: int = 1 << 20) -> None:
        self.server = server
        self.sync = socket.create_connection((server.host, server.port), timeout=5)
        self.put(self.sync, Kind.INITIALIZE, 0, 0x0100 << 16, b"hislip0")
        kind, overlap, parameter, _ = self.get(self.sync)
        assert (kind, overlap, parameter >> 16) == (Kind.INITIALIZE_RESPONSE, 0, 0x0100)
        self.number = parameter & 0xFFFF
        self.side = socket.create_connection((server.host, server.port), timeout=5)
        self.put(self.side, Kind.ASYNC_INITIALIZE, 0, self.number)
        assert self.get(self.side)[0] == Kind.ASYNC_INITIALIZE_RESPONSE
        self.put(self.side, Kind.ASYNC_MAX_MSG_SIZE, 0, 0, client_max.to_bytes(8, "big"))
        kind, _, _, size = self.get(self.side)
        assert kind == Kind.ASYNC_MAX_MSG_SIZE_RESPONSE
        self.server_max = int.from_bytes(size, "big")
        self.id = FIRST_ID
        self.delivered = 0

    @staticmethod
    def put(peer: socket.socket, kind: int, control: int = 0, parameter: int = 0, data: bytes = b"") -> None:
        peer.sendall(HEADER.pack(b"HS", kind, control, parameter, len(data)) + data)

    @staticmethod
    def get(peer: socket.socket) -> tuple[int, int, int, bytes]:
        def exactly(count: int) -> bytes:
            data = b""
            while len(data) < count:
                piece = peer.recv(count - len(data))
                if not piece:
                    raise EOFError
                data += piece
            return data

        prologue, kind, control, parameter, size = HEADER.unpack(exactly(16))
        assert prologue == b"HS"
        return kind, control, parameter, exactly(size)

    def send(self, data: bytes, kind: int = Kind.DATA_END) -> int:
        used = self.id
        self.put(self.sync, kind, self.delivered, used, data)
        self.id, self.delivered = (used + 2) & 0xFFFF_FFFF, 0
        return used

    def reply(self) -> tuple[int, bytes]:
        """The next whole reply, and the message it belongs to."""
        whole, kind = b"", -1
        while kind != Kind.DATA_END:
            kind, _, number, data = self.get(self.sync)
            assert kind in (Kind.DATA, Kind.DATA_END), kind
            whole += data
        self.delivered = 1
        return number, whole

    def ask(self, data: bytes) -> bytes:
        used = self.send(data)
        number, reply = self.reply()
        assert number == used
        return reply

    def status(self) -> int:
        self.put(self.side, Kind.ASYNC_STATUS_QUERY, self.delivered, self.id - 2)
        self.delivered = 0
        kind, byte, _, _ = self.get(self.side)
        assert kind == Kind.ASYNC_STATUS_RESPONSE
        return byte

    def lock(self, timeout_ms: int, key: bytes = b"") -> int:
        self.put(self.side, Kind.ASYNC_LOCK, 1, timeout_ms, key)
        return self.lock_answer()

    def unlock(self) -> int:
        self.put(self.side, Kind.ASYNC_LOCK, 0, self.id)
        return self.lock_answer()

    def lock_answer(self) -> int:
        kind, result, _, _ = self.get(self.side)
        assert kind == Kind.ASYNC_LOCK_RESPONSE
        return result

    def close(self) -> None:
        self.sync.close()
        self.side.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    use_plain_twins(monkeypatch)
    path = write_plain_bench(tmp_path, "gpib")
    with open_bench(path) as bench, HislipServer(bench.twins["gpib"], 0) as server:
        served = Served(bench, server)
        yield served
        for client in served.clients:
            client.close()


@pytest.fixture
def visa(served: Served) -> Iterator[MessageBasedResource]:
    manager = pyvisa.ResourceManager("@py")
    link = manager.open_resource(served.server.address)
    assert isinstance(link, MessageBasedResource)
    link.read_termination = "\n"
    link.write_termination = "\n"
    yield link
    link.close()
    manager.close()


def until(condition, timeout_s: float = 5.0) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


# ---- through pyvisa-py


def test_plain_pyvisa_py(served: Served, visa: MessageBasedResource) -> None:
    assert served.server.address == f"TCPIP0::127.0.0.1::hislip0,{served.server.port}::INSTR"
    assert visa.query("*IDN?") == IDN
    values = visa.query_binary_values("BLOC? 256", datatype="B", container=np.array)
    assert bytes(values.astype(np.uint8)) == EVERY_BYTE
    visa.write_raw(b"LOAD " + definite(EVERY_BYTE))
    visa.query("*OPC?")
    assert served.twin.block == EVERY_BYTE


def test_four_megabytes_both_ways(served: Served, visa: MessageBasedResource) -> None:
    size = 4 << 20
    visa.timeout = 20_000
    values = visa.query_binary_values(f"BLOC? {size}", datatype="B", container=np.array)
    assert values.size == size
    assert bytes(values[:512].astype(np.uint8)) == EVERY_BYTE * 2
    visa.write_raw(b"LOAD " + definite(EVERY_BYTE * (size // 256)))
    assert visa.query("*OPC?") == "1"
    assert served.twin.block == EVERY_BYTE * (size // 256)


def test_status_byte_and_clear_through_pyvisa_py(served: Served, visa: MessageBasedResource) -> None:
    visa.write("NONSENSE")
    assert visa.read_stb() & 0x04
    assert visa.query("SYST:ERR?") == '-113,"Undefined header"'
    visa.write("ECHO? 7")
    assert visa.read_stb() & 0x10
    assert visa.read() == "7"
    assert not visa.read_stb() & 0x10
    visa.clear()
    assert visa.query("*OPC?") == "1"


def test_message_link_over_hislip(served: Served) -> None:
    with_link = MessageLink(served.server.address, timeout_s=5.0)
    assert not with_link.is_stream
    assert with_link.query("*IDN?") == IDN
    assert with_link.query_block("BLOC? 70000") == (EVERY_BYTE * 274)[:70000]
    assert with_link.query_bytes("BLOC? 256", 256 + 6) == b"#3256" + EVERY_BYTE + b"\n"
    with_link.write("FOO")
    assert with_link.status_byte() & 0x04
    with_link.reopen()
    assert with_link.query("ECHO? again") == "again"
    served.server.stop()
    with pytest.raises(LinkError):
        with_link.query("*IDN?")
    with pytest.raises(LinkError, match="closed"):
        with_link.query("*IDN?")
    with_link.close()


def test_two_clients_have_replies_of_their_own(served: Served) -> None:
    first, second = served.client(), served.client()
    first.send(b"ECHO? first\n")
    assert second.ask(b"ECHO? second\n") == b"second\n"
    assert first.reply()[1] == b"first\n"
    wrong: list[bytes] = []

    def run(client: Client, base: int) -> None:
        for number in range(base, base + 200):
            answer = client.ask(b"ECHO? %d" % number)
            if answer != b"%d\n" % number:
                wrong.append(answer)

    threads = [
        threading.Thread(target=run, args=(client, 1000 * k)) for k, client in enumerate((first, second))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- message by message


def test_replies_carry_the_id_of_their_message_and_are_cut_to_the_clients_size(served: Served) -> None:
    client = served.client(client_max=272)
    assert client.server_max == 1 << 20
    used = client.send(b"BLOC? 1000\n")
    pieces = []
    while True:
        kind, control, number, data = client.get(client.sync)
        assert (control, number) == (0, used)
        assert len(data) <= 256
        pieces.append(data)
        if kind == Kind.DATA_END:
            break
    assert len(pieces) == 4
    assert b"".join(pieces) == b"#41000" + (EVERY_BYTE * 4)[:1000] + b"\n"


def test_a_message_in_pieces_is_one_message(served: Served) -> None:
    client = served.client()
    client.send(b"ECHO? a", Kind.DATA)
    client.send(b"b", Kind.DATA)
    used = client.send(b"c")
    assert client.reply() == (used, b"abc\n")


def test_an_unread_reply_is_interrupted(served: Served) -> None:
    client = served.client()
    client.send(b"ECHO? old\n")
    assert until(lambda: served.twin.obeyed == [b"ECHO? old"])
    used = client.send(b"ECHO? new\n")  # without RMT-delivered: the old reply was not read
    kinds = []
    while True:
        kind, _, number, data = client.get(client.sync)
        kinds.append(kind)
        if number == used and kind == Kind.DATA_END:
            break
    assert data == b"new\n"
    assert kinds[-2:] == [Kind.INTERRUPTED, Kind.DATA_END]
    assert client.get(client.side)[::2] == (Kind.ASYNC_INTERRUPTED, used)
    client.delivered = 1
    assert client.ask(b"SYST:ERR?\n") == b'-410,"Query INTERRUPTED"\n'
    assert client.ask(b"SYST:ERR?\n") == b'0,"No error"\n'


def test_a_read_reply_is_not_interrupted_however_it_is_told(served: Served) -> None:
    client = served.client()
    assert client.ask(b"ECHO? 1\n") == b"1\n"
    assert client.status() == 0  # tells that the reply arrived
    assert client.ask(b"SYST:ERR?\n") == b'0,"No error"\n'


def test_message_available_until_the_client_has_the_reply(served: Served) -> None:
    client = served.client()
    client.send(b"ECHO? 1\n")
    assert client.status() & 0x10
    client.reply()
    assert not client.status() & 0x10


def test_clear_while_a_reply_waits(served: Served) -> None:
    client = served.client()
    client.send(b"ECHO? stale\n")
    client.put(client.side, Kind.ASYNC_DEVICE_CLEAR)
    assert client.get(client.side)[0] == Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE
    client.send(b"ECHO? dropped\n")
    client.put(client.sync, Kind.DEVICE_CLEAR_COMPLETE)
    while client.get(client.sync)[0] != Kind.DEVICE_CLEAR_ACKNOWLEDGE:
        pass  # the stale reply, had it left already
    client.id, client.delivered = FIRST_ID, 0
    assert client.ask(b"ECHO? fresh\n") == b"fresh\n"
    client.send(b"ECHO? half a mess", Kind.DATA)
    client.put(client.side, Kind.ASYNC_DEVICE_CLEAR)
    client.put(client.sync, Kind.DEVICE_CLEAR_COMPLETE)
    assert client.get(client.sync)[0] == Kind.DEVICE_CLEAR_ACKNOWLEDGE
    client.id, client.delivered = FIRST_ID, 0
    assert client.ask(b"ECHO? whole\n") == b"whole\n"
    assert served.twin.obeyed[-2:] == [b"ECHO? fresh", b"ECHO? whole"]
    assert b"ECHO? dropped" not in served.twin.obeyed


def test_trigger(served: Served) -> None:
    client = served.client()
    client.send(b"", Kind.TRIGGER)
    assert client.ask(b"TRIG:COUN?\n") == b"1\n"


def test_service_requests_come_on_the_second_channel(served: Served) -> None:
    client = served.client()
    assert client.ask(b"*CLS;\n*ESE 1\n*SRE 32\n*OPC?\n") == b"1\n"
    client.send(b"SWE:INIT 1000\n*OPC\n")
    kind, byte, _, _ = client.get(client.side)
    assert kind == Kind.ASYNC_SERVICE_REQUEST
    assert byte & 0x60 == 0x60
    assert client.status() & 0x40
    assert not client.status() & 0x40
    assert served.twin.bench.now_ns > 1000 * 10**9


def test_locks(served: Served) -> None:
    first, second = served.client(), served.client()
    assert first.lock(0) == 1
    assert second.lock(20) == 0
    second.put(second.side, Kind.ASYNC_LOCK_INFO)
    assert second.get(second.side)[:3] == (Kind.ASYNC_LOCK_INFO_RESPONSE, 1, 1)
    used = second.send(b"ECHO? waits\n")
    time.sleep(0.05)
    assert served.twin.obeyed == []
    assert first.ask(b"ECHO? mine\n") == b"mine\n"
    assert first.unlock() == 1
    assert second.reply() == (used, b"waits\n")
    assert first.unlock() == 3
    assert first.lock(0, b"ours") == 1
    assert second.lock(0, b"theirs") == 0
    assert second.lock(0, b"ours") == 1
    assert second.unlock() == 2
    assert second.lock(0) == 0
    first.close()
    assert until(lambda: second.lock(0) == 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (HEADER.pack(b"HS", Kind.DATA_END, 0, 0, 0), 3),
        (HEADER.pack(b"HS", Kind.ASYNC_INITIALIZE, 0, 77, 0), 3),
        (HEADER.pack(b"HS", Kind.INITIALIZE, 0, 0x0100_0000, 7) + b"hislip9", 3),
        (HEADER.pack(b"HS", Kind.INITIALIZE, 0, 0, 1 << 40), 1),
    ],
)
def test_what_is_out_of_form_ends_with_a_fatal_error(served: Served, data: bytes, code: int) -> None:
    with socket.create_connection((served.server.host, served.server.port), timeout=5) as peer:
        peer.sendall(data)
        kind, control, _, words = Client.get(peer)
        assert (kind, control) == (Kind.FATAL_ERROR, code)
        assert words
        with pytest.raises((EOFError, ConnectionResetError)):
            Client.get(peer)


def test_nothing_is_taken_before_both_channels_are_open(served: Served) -> None:
    with socket.create_connection((served.server.host, served.server.port), timeout=5) as peer:
        Client.put(peer, Kind.INITIALIZE, 0, 0x0100 << 16, b"hislip0")
        assert Client.get(peer)[0] == Kind.INITIALIZE_RESPONSE
        Client.put(peer, Kind.DATA_END, 0, FIRST_ID, b"ECHO? 1\n")
        assert Client.get(peer)[:2] == (Kind.FATAL_ERROR, 2)
    assert served.twin.obeyed == []


def test_a_malformed_header_in_a_session_closes_both_channels(served: Served) -> None:
    client = served.client()
    client.sync.sendall(b"XX" + bytes(14))
    assert client.get(client.sync)[:2] == (Kind.FATAL_ERROR, 1)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.get(client.side)
    assert served.client().ask(b"ECHO? on\n") == b"on\n"


def test_unknown_and_too_large_messages_are_refused_and_the_session_goes_on(served: Served) -> None:
    client = served.client()
    client.put(client.sync, 99)
    assert client.get(client.sync)[:2] == (Kind.ERROR, 1)
    client.put(client.side, 99, 0, 0, b"payload")
    assert client.get(client.side)[:2] == (Kind.ERROR, 1)
    client.send(b"x" * (client.server_max + 1))
    assert client.get(client.sync)[:2] == (Kind.ERROR, 4)
    assert client.ask(b"ECHO? 1\n") == b"1\n"


def test_one_client_too_many_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_plain_twins(monkeypatch)
    path = write_plain_bench(tmp_path, "gpib")
    with open_bench(path) as bench, HislipServer(bench.twins["gpib"], 0, clients_max=1) as server:
        client = Client(server)
        with socket.create_connection((server.host, server.port), timeout=5) as peer:
            Client.put(peer, Kind.INITIALIZE, 0, 0x0100 << 16, b"hislip0")
            assert Client.get(peer)[:2] == (Kind.FATAL_ERROR, 4)
        assert client.ask(b"ECHO? 1\n") == b"1\n"
        client.close()


def test_a_cut_link_frees_everything(served: Served) -> None:
    client = served.client()
    assert client.lock(0) == 1
    client.send(b"ECHO? half", Kind.DATA)
    client.sync.close()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.get(client.side)
    assert until(lambda: served.twin.links == [])
    assert served.client().ask(b"ECHO? 1\n") == b"1\n"
    assert b"ECHO? half" not in served.twin.obeyed


def test_stop_ends_every_session_and_frees_the_port(served: Served) -> None:
    client = served.client()
    served.server.stop()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.get(client.sync)
    with HislipServer(served.bench.twins["gpib"], served.server.port) as again:
        assert again.port == served.server.port


def test_in_process_and_over_hislip_are_the_same_instrument(
    served: Served, visa: MessageBasedResource
) -> None:
    manager = pyvisa.ResourceManager(f"{served.bench.path}@pcm")
    inside = manager.open_resource(GPIB, read_termination="\n", write_termination="\n")
    assert isinstance(inside, MessageBasedResource)
    visa.write("SOUR:VOLT 0.25")
    visa.query("*OPC?")
    assert inside.query("SOUR:VOLT?") == "2.500000E-01"
    manager.close()


def test_the_controller_over_hislip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_boards(monkeypatch, rate=0.1)
    with open_bench(tmp_path / "bench.yaml") as bench, HislipServer(bench.named("chip"), 0) as server:
        client = Client(server)
        assert client.ask(b'SYST:LOCK:REQ? "a"') == b"1\n"
        assert client.ask(b"ARR:POW ON;*OPC?\n") == b"1\n"  # waits for the ramp
        client.send(b"FOO\n")
        assert client.status() & 0x04
        client.close()
