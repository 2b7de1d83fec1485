"""The link to an instrument: what it sends, what it makes of replies, and what breaks it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plain_twin import ADDRESSES, GPIB, IDN, SERIAL, SOCKET, PlainTwin, use_plain_twins, write_plain_bench

from drivers.errors import LinkError, LinkTimeout, MalformedAnswer
from drivers.message_link import MessageLink
from drivers.simulated.registry import SimulatedBench, open_bench

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimulatedBench]:
    use_plain_twins(monkeypatch)
    with open_bench(write_plain_bench(tmp_path)) as bench:
        yield bench


@contextmanager
def opened(bench: SimulatedBench, address: str, **options: object) -> Iterator[MessageLink]:
    link = MessageLink(address, backend=f"{bench.path}@pcm", **options)  # type: ignore[arg-type]
    try:
        yield link
    finally:
        link.close()


@contextmanager
def saying(*replies: bytes) -> Iterator[str]:
    """A raw instrument that answers the n-th message with the n-th of these bytes, whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer, peer.makefile("rb") as file:
                    for reply in replies:
                        if not file.readline():
                            break
                        peer.sendall(reply)
                    else:
                        over.wait(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"TCPIP0::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def broken(link: MessageLink) -> None:
    """A link that broke stays unusable until it is opened again."""
    for use in (
        lambda: link.query("*IDN?"),
        lambda: link.write("*RST"),
        link.read,
        link.status_byte,
        link.clear,
    ):
        with pytest.raises(LinkError, match="closed"):
            use()


@pytest.mark.parametrize("address", [address for address in ADDRESSES.values() if address != SERIAL])
def test_messages_texts_blocks_and_counted_bytes(bench: SimulatedBench, address: str) -> None:
    with opened(bench, address) as link:
        assert link.query("*IDN?") == IDN
        assert link.query_block("BLOC? 1000") == (EVERY_BYTE * 4)[:1000]
        assert link.query_bytes("BLOC? 256", 5 + 256 + 1) == b"#3256" + EVERY_BYTE + b"\n"
        link.write(b"LOAD #3256" + EVERY_BYTE)
        assert link.query_block("LOAD?") == EVERY_BYTE
        link.write("ECHO? x")
        assert link.read() == "x"
        assert link.query("ECHO? \xb5") == "\xb5"


def test_the_interfaces_extras(bench: SimulatedBench) -> None:
    with opened(bench, GPIB) as link:
        link.write("NONSENSE")
        assert link.status_byte() == 0x04
        link.trigger()
        assert link.query("TRIG:COUN?") == "1"
        link.write("ECHO? unread")
        link.clear()
        assert link.query("ECHO? 2") == "2"
    with opened(bench, SOCKET) as link, pytest.raises(LinkError):
        link.status_byte()


def test_other_ends(bench: SimulatedBench) -> None:
    twin = bench.twins["sock"].twin
    assert isinstance(twin, PlainTwin)
    twin.message_end = b"\r\n"
    with opened(bench, SOCKET, write_end="\r\n") as link:
        assert link.query("ECHO? 1") == "1"
    with opened(bench, GPIB, write_end="", read_end="") as link:
        assert link.query("ECHO? 1") == "1\n"  # to END


def test_reopening_drops_what_was_still_to_be_said(bench: SimulatedBench) -> None:
    for address in (GPIB, SOCKET):
        with opened(bench, address) as link:
            link.write("ECHO? stale")
            link.reopen()
            assert link.query("ECHO? fresh") == "fresh"


@pytest.mark.parametrize("address", [GPIB, SOCKET])
def test_no_reply_is_a_timeout_and_breaks_the_link(bench: SimulatedBench, address: str) -> None:
    with opened(bench, address, timeout_s=0.5) as link:
        with pytest.raises(LinkTimeout) as caught:
            link.query("NONSENSE?", timeout_s=0.1)
        assert caught.value.timeout_s == 0.1
        assert caught.value.address == address
        broken(link)
        link.reopen()
        assert link.query("ECHO? 1") == "1"


def test_a_reply_shorter_than_was_asked_for_is_malformed_where_there_is_an_end(bench: SimulatedBench) -> None:
    with opened(bench, GPIB) as link:
        with pytest.raises(MalformedAnswer, match="after 4 of 100 bytes"):
            link.query_bytes("ECHO? abc", 100)
        broken(link)
    with opened(bench, SOCKET, timeout_s=0.2) as link, pytest.raises(LinkTimeout):
        link.query_bytes("ECHO? abc", 100)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"1.5\n", "begins no block"),
        (b"#01234\n", "begins no block"),
        (b"#9-12345678\n", "length"),
        (b"#14abcdef\n", "follows a block"),
    ],
)
def test_what_is_no_block_is_malformed(reply: bytes, words: str) -> None:
    with saying(reply) as address:
        link = MessageLink(address, timeout_s=2.0)
        with pytest.raises(MalformedAnswer, match=words):
            link.query_block("DATA?")
        broken(link)
        link.close()


@pytest.mark.parametrize("reply", [b"1.5\x00\n", b"\x81\xff\n", b"\x1b[2J\n"])
def test_noise_in_a_text_is_malformed(reply: bytes) -> None:
    with saying(reply) as address:
        link = MessageLink(address, timeout_s=2.0)
        with pytest.raises(MalformedAnswer, match="no part of a text"):
            link.query("VALUE?")
        broken(link)
        link.close()


def test_more_than_one_reply_to_one_question_is_malformed() -> None:
    with saying(b"1\n2\n", b"3\n") as address:
        link = MessageLink(address, timeout_s=2.0)
        assert link.query("A?") == "1"
        with pytest.raises(MalformedAnswer, match="nothing was asked"):
            link.query("B?")
        broken(link)
        link.close()


def test_half_a_reply_then_silence_is_a_timeout() -> None:
    with saying(b"1.2345", b"E-6\n") as address:
        link = MessageLink(address, timeout_s=0.2)
        with pytest.raises(LinkTimeout):
            link.query("VALUE?")
        broken(link)
        link.close()


def test_two_threads_never_mix_answers(bench: SimulatedBench) -> None:
    with opened(bench, GPIB) as link:
        wrong: list[str] = []

        def run(base: int) -> None:
            for number in range(base, base + 300):
                answer = link.query(f"ECHO? {number}")
                if answer != str(number):
                    wrong.append(answer)

        threads = [threading.Thread(target=run, args=(1000 * k,)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_the_transcript_shows_both_ways(bench: SimulatedBench) -> None:
    lines: list[str] = []
    with opened(bench, SOCKET, transcript=lines) as link:
        link.query("ECHO? a")
    assert [line.split(" ", 2)[::2] for line in lines] == [[">", "ECHO? a"], ["<", "a"]]
