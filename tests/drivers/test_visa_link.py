"""The link: tagged exchanges over both faces, and how they end when something goes wrong on the way."""

from __future__ import annotations

import pickle
import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from two_faces import Face, opened

from drivers import errors
from drivers.chip import BoardError
from drivers.errors import LinkError, LinkTimeout, MalformedAnswer
from drivers.visa import Answer, Unit, VisaLink

CELLS = 256
TEXT: list[Unit] = ["ARR:GEOM?", "*IDN?"]
BLOCK: list[Unit] = ["ARR:MASK?"]
BLOCKS: list[Unit] = ["READ:DATA? 0,256", "READ:FLAG? 0,256", "READ:TST? 0,256", "ARR:GEOM?"]
LENGTHS: dict[str, tuple[int, ...]] = {"text": (), "block": (32,), "blocks": (1024, 256, 2048)}
QUERIES = {"text": TEXT, "block": BLOCK, "blocks": BLOCKS}


@pytest.fixture
def link(face: Face) -> Iterator[VisaLink]:
    """A link that owns a board whose cells have been read once."""
    link = face.link()
    assert link.ask(['SYST:LOCK:REQ? "host"'])[0].text == "1"
    start: list[Unit] = ["ARR:POW ON", "*WAI", "OUTP ON", "READ:INIT 0", "*OPC?"]
    assert link.ask([("ARR:MASK ", b"#232", bytes(range(16)), b'\n;#1"' * 3, b"\0"), *start])[0].text == "1"
    face.lines.clear()
    yield link
    link.close()


def query(link: VisaLink, kind: str) -> list[Answer]:
    return link.ask(QUERIES[kind], lengths=LENGTHS[kind])


def size_of(link: VisaLink, kind: str) -> int:
    """Bytes of the reply to a query whose tag has three digits."""
    link._tag = 99
    answers = query(link, kind)
    size = 4
    for answer in answers:
        block = 0 if answer.block is None else len(f"#1{len(answer.block)}") + len(answer.block)
        size += len(answer.text) + block + 1
    link._tag = 99
    return size


def test_every_message_begins_with_a_number_that_goes_up(face: Face, link: VisaLink) -> None:
    for _ in range(3):
        link.ask(["*IDN?"])
    tags = [int(found[1]) for line in face.sent() if (found := re.match(r"> \S+ SYST:TAG\? (\d+);", line))]
    assert tags == [tags[0], tags[0] + 1, tags[0] + 2]


def test_answers_in_order(link: VisaLink) -> None:
    text = query(link, "text")
    assert [answer.text for answer in text] == ["1,16,16", "PCMLAB,PCMC-1M-SIM,0001,1.0.0"]
    (mask,) = query(link, "block")
    assert mask == Answer("", bytes(range(16)) + b'\n;#1"' * 3 + b"\0")
    data, flags, stamps, geometry = query(link, "blocks")
    assert (data.text, flags.text, stamps.text, geometry) == ("1,0,C,", "1,0,", "1,0,", Answer("1,16,16"))
    masked = np.unpackbits(np.frombuffer(mask.block or b"", np.uint8), bitorder="little").astype(bool)
    got = np.frombuffer(data.block or b"", "<f4")
    assert np.array_equal(np.isnan(got), masked)
    assert np.allclose(got[~masked], (1e-6 + np.arange(CELLS) * 1e-9)[~masked])
    assert flags.block == bytes(4 * int(bit) for bit in masked)


def test_a_refused_unit_leaves_answers_out(link: VisaLink) -> None:
    assert link.ask(["*OPC?", "FOO?", "*IDN?"]) == [Answer("1")]
    # The quoted text holds a semicolon and stays one answer.
    assert link.ask(["SYST:ERR?", "*OPC?"]) == [Answer('-113,"Undefined header;:FOO?"'), Answer("1")]


def test_answers_of_another_number_are_dropped(link: VisaLink) -> None:
    stale: list[list[Unit]] = [
        ["SYST:TAG? 4711", "*IDN?"],
        ["SYST:TAG? 4712", "READ:DATA? 0,256", "READ:TST? 0,256", "ARR:GEOM?"],
        ["SYST:TAG? 4713", "ARR:MASK?"],
        ["*IDN?"],
    ]
    for kind in QUERIES:
        good = query(link, kind)
        for units in stale:
            link.send(units)
        assert query(link, kind) == good
        assert query(link, kind) == good


# ---- what goes wrong on the way
FAULTS: dict[str, tuple[object, ...]] = {
    "nothing comes": ("MUTE", 1),
    "broken while sending": ("DROP", "RX", 7),
    "broken before the line feed": ("DROP", "RX", 20),
}


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_answer_closes_the_link_and_reopening_helps(
    face: Face, link: VisaLink, kind: str, fault: str
) -> None:
    good = query(link, kind)
    face.arm(*FAULTS[fault])
    wanted = LinkTimeout if "MUTE" in FAULTS[fault] else LinkError
    with pytest.raises(wanted) as caught:
        link.ask(QUERIES[kind], lengths=LENGTHS[kind], timeout_s=0.1 if "MUTE" in FAULTS[fault] else None)
    assert caught.value.address == face.address
    if isinstance(caught.value, LinkTimeout):
        assert caught.value.timeout_s == 0.1
    with pytest.raises(LinkError, match="is closed; open it again"):
        query(link, kind)
    link.reopen()
    assert query(link, kind) == good


@pytest.mark.parametrize("kind", QUERIES)
def test_an_answer_cut_short_anywhere_is_never_taken(face: Face, link: VisaLink, kind: str) -> None:
    good = query(link, kind)
    whole = size_of(link, kind)
    step = max(1, whole // 40)
    for kept in [*range(0, whole, step), whole - 1]:
        link._tag = 99
        face.arm("DROP", "TX", kept)
        with pytest.raises(LinkError):
            query(link, kind)
        link.reopen()
    link._tag = 99
    face.arm("DROP", "TX", whole)
    assert query(link, kind) == good
    with pytest.raises(LinkError):  # the link ended right behind a good answer
        query(link, kind)
    link.reopen()
    assert query(link, kind) == good


@pytest.mark.parametrize("kept", [0, 3, 12, 13, 500, 1300, 3000])
def test_a_truncated_block_is_never_taken(face: Face, link: VisaLink, kept: int) -> None:
    good = query(link, "blocks")
    face.arm("TRUN", kept)
    with pytest.raises(LinkError):
        query(link, "blocks")
    link.reopen()
    assert query(link, "blocks") == good


@pytest.mark.parametrize("kind", QUERIES)
def test_a_late_answer_is_not_taken_for_the_next(face: Face, link: VisaLink, kind: str) -> None:
    good = query(link, kind)
    face.arm("LATE", 0.3, 1)
    with pytest.raises(LinkTimeout):
        link.ask(["SYST:TAG? 1", *TEXT], timeout_s=0.05)
    link.reopen()
    assert query(link, kind) == good
    face.arm("LATE", 0.05, 1)
    assert query(link, kind) == good


@pytest.mark.parametrize("wanted", [(31,), (33,), (0,), (1 << 20,)])
def test_a_block_of_another_length_closes_the_link(link: VisaLink, wanted: tuple[int]) -> None:
    with pytest.raises(MalformedAnswer, match=f"32 bytes came where {wanted[0]} were asked for"):
        link.ask(BLOCK, lengths=wanted)
    with pytest.raises(LinkError, match="closed"):
        link.ask(BLOCK)
    link.reopen()
    assert len(link.ask(BLOCK, lengths=(None,))[0].block or b"") == 32


def test_an_empty_block_stands_for_nothing(link: VisaLink) -> None:
    assert link.ask(["READ:DATA? 0,300"], lengths=(1200,)) == [Answer("1,0,C,", b"")]
    assert link.ask(["SYST:ERR?"])[0].text.startswith('105,"Result buffer empty')


def canned(reply: bytes, use: Callable[[str], None]) -> None:
    """Run `use` with the address of a port whose server answers everything with the same bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(reply)
            with suppress(ConnectionResetError):  # how TCP says that not all of it was read
                peer.recv(4096)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        use(f"TCPIP0::127.0.0.1::{listener.getsockname()[1]}::SOCKET")
    finally:
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"1;#0abc\n", "begins with b'#0'|begins with b'0'"),
        (b"1;#x\n", "a block begins with"),
        (b"1;#2ab\n", "has the length b'ab'"),
        (b"1;#13abc!\n", "b'!' follows a block"),
        (b"1;#15abcde\n", "5 bytes came where 3 were asked for"),
        (b"1;#9999999999", "999999999 bytes came where 3"),
    ],
)
def test_answers_out_of_form(reply: bytes, said: str) -> None:
    def use(address: str) -> None:
        link = VisaLink(address)
        with pytest.raises(MalformedAnswer, match=said):
            link.ask(["ANY?"], lengths=(3,))
        link.close()

    canned(reply, use)


def test_another_talker_is_not_believed() -> None:
    """An instrument that knows no tags times out; its answer is nobody's."""

    def use(address: str) -> None:
        link = VisaLink(address, timeout_s=0.1)
        with pytest.raises(LinkTimeout, match=r"did not answer within 0\.1 s"):
            link.ask(["*IDN?"])
        link.close()

    canned(b"ACME,9000,1,1\n", use)


# ---- nobody there
def test_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"TCPIP0::127.0.0.1::{port}::SOCKET"
    with pytest.raises(LinkError, match=f"nothing answers at {address} through @py") as caught:
        VisaLink(address)
    assert caught.value.address == address
    assert "\n" not in str(caught.value)


def test_an_address_the_bench_does_not_have(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for face in opened("process", monkeypatch, tmp_path):
        with pytest.raises(LinkError, match="nothing answers at TCPIP0::nowhere::5025::SOCKET"):
            VisaLink("TCPIP0::nowhere::5025::SOCKET", backend=face.backend)
        link = face.link()  # a failed opening takes nothing with it
        assert link.ask(["*OPC?"]) == [Answer("1")]
        link.close()


@pytest.mark.parametrize("address", ["", "nonsense", "GPIB0::x::INSTR"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(LinkError, match="nothing answers at"):
        VisaLink(address)


def test_a_backend_that_does_not_exist() -> None:
    with pytest.raises(LinkError, match="VISA backend @nothing cannot be used"):
        VisaLink("TCPIP0::127.0.0.1::1::SOCKET", backend="@nothing")


# ---- sharing, closing, writing down
def test_threads_get_their_own_answers(link: VisaLink) -> None:
    wrong: list[object] = []

    def run(base: int) -> None:
        for number in range(base, base + 60):
            first, mask, second = link.ask(
                [f"SYST:TAG? {number}", "ARR:MASK?", f"SYST:TAG? {number + 1}"], lengths=(32,)
            )
            if (first.text, len(mask.block or b""), second.text) != (str(number), 32, str(number + 1)):
                wrong.append((number, first, second))

    threads = [threading.Thread(target=run, args=(1000 * k,)) for k in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_links_outlive_each_other(face: Face) -> None:
    first, second = face.link(), face.link()
    first.close()
    first.close()
    assert second.ask(["*OPC?"]) == [Answer("1")]
    with pytest.raises(LinkError, match="closed"):
        first.ask(["*OPC?"])
    first.open()
    second.close()
    assert first.ask(["*OPC?"]) == [Answer("1")]
    first.close()


def test_transcript_has_a_line_per_message_and_reply(face: Face, link: VisaLink) -> None:
    before = link.messages
    mask = bytes(range(32))
    link.send([("ARR:MASK ", b"#232" + mask)])
    link.ask([("ARR:MASK ", b"#232", mask), "ARR:MASK?", "*OPC?"])
    crc = f"crc {zlib.crc32(mask):08x}"
    tag = link._tag
    assert [re.sub(r"^(.) \d+\.\d{6} ", r"\1 ", line) for line in face.lines] == [
        f"> ARR:MASK #<32 bytes, {crc}>",
        f"> SYST:TAG? {tag};:ARR:MASK #<32 bytes, {crc}>;:ARR:MASK?;*OPC?",
        f"< {tag};#<32 bytes, {crc}>;1",
    ]
    assert link.messages == before + 2


KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DriverError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_pickling(kind: type[errors.DriverError]) -> None:
    said = (BoardError(-213, "Init ignored"), BoardError(106, "Batch id not newer", "last 3 got 2"))
    back = pickle.loads(pickle.dumps(kind("what to do", address="A", batch_id=7, errors=said)))  # noqa: S301
    assert type(back) is kind
    assert str(back) == "what to do"
    assert (back.address, back.batch_id, back.errors) == ("A", 7, said)
    assert back.exit_code == 4


def test_a_transcript_may_be_a_list(face: Face) -> None:
    lines: list[str] = []
    link = VisaLink(face.address, backend=face.backend, transcript=lines)
    link.ask(["*OPC?"])
    link.close()
    assert [line[0] for line in lines] == [">", "<"]
