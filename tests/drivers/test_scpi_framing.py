from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulated.scpi_framing import Framer, Message


def cut(stream: bytes, text_max: int = 4096, block_max: int = 1000) -> list[Message]:
    return list(Framer(text_max, block_max).messages(stream))


def contents(messages: list[Message]) -> list[tuple[bytes, list[bytes], int]]:
    return [(m.text, [bytes(b.data) for b in m.blocks], m.error) for m in messages]


def test_line_feeds_end_messages_but_not_blocks() -> None:
    found = contents(cut(b"*IDN?\r\nA 1,#14\n\r\n;;B\nC\n"))
    assert found == [(b"*IDN?", [], 0), (b"A 1,#14;B", [b"\n\r\n;"], 0), (b"C", [], 0)]


def test_a_block_that_arrived_whole_is_not_copied() -> None:
    stream = b"A #15hello\n"
    (message,) = cut(stream)
    assert message.blocks[0].data.obj is stream


@pytest.mark.parametrize("text", [b'A "#9x"', b"A #H1F", b"A #b101", b"A 12#14", b"#14"])
def test_what_is_no_block(text: bytes) -> None:
    assert contents(cut(text + b"\n")) == [(text, [], 0)]


@pytest.mark.parametrize(
    "head", [b"A #14", b"A#14", b"A 1 , #14", b"A 1 #14", b'A "x"#14', b"A ,#14", b"B;A\t#14"]
)
def test_blocks_are_swallowed_wherever_a_value_may_begin(head: bytes) -> None:
    (message,) = cut(head + b"\n\n\n\n" + b"\n")
    assert [bytes(b.data) for b in message.blocks] == [b"\n\n\n\n"]


@pytest.mark.parametrize("head", [b"A #0", b"A #x", b"A #2x", b"A #3 12"])
def test_a_malformed_block_header_ends_the_stream(head: bytes) -> None:
    framer = Framer(4096, 1000)
    found = list(framer.messages(head + b"1234\n*IDN?\n"))
    assert [m.error for m in found] == [-161]
    assert framer.broken
    assert list(framer.messages(b"*IDN?\n")) == []


def test_too_much_text_drops_the_message_up_to_its_line_feed() -> None:
    stream = b"A " + b"1" * 20 + b",#13\n\n\n\nB\n"
    assert contents(cut(stream, text_max=20)) == [(b"", [], -363), (b"B", [], 0)]
    assert contents(cut(b"A" * 20 + b"\n", text_max=20))[0][2] == 0


def test_too_much_block_is_swallowed() -> None:
    stream = b"A #14abcd,#14efgh\nB\n"
    assert contents(cut(stream, block_max=8))[0][2] == 0
    assert contents(cut(stream, block_max=7)) == [(b"", [], -223), (b"B", [], 0)]


def test_a_string_open_at_the_line_feed_ends_with_it() -> None:
    assert contents(cut(b'A "x\nB\n')) == [(b'A "x', [], 0), (b"B", [], 0)]


PIECES = st.sampled_from(
    [
        b"A",
        b"*B?",
        b" ",
        b";",
        b":",
        b",",
        b"\r",
        b"1.5",
        b'"x;y"',
        b"'",
        b"#13\n;#",
        b"#10",
        b"#H1F",
        b"\n",
        b"\xff",
    ]
)


@given(st.lists(PIECES, max_size=30), st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_fragmentation_changes_nothing(pieces: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(pieces) + b"\n"
    whole = Framer(40, 8)
    expected = [
        (m.text, [(b.position, bytes(b.data)) for b in m.blocks], m.error) for m in whole.messages(stream)
    ]
    framer, found, at, turn = Framer(40, 8), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found.extend(
            (m.text, [(b.position, bytes(b.data)) for b in m.blocks], m.error)
            for m in framer.messages(stream[at : at + size])
        )
        at, turn = at + size, turn + 1
    assert found == expected


def test_blocks_may_be_received_in_place() -> None:
    framer = Framer(100, 100)
    assert list(framer.messages(b"A #210ab")) == []
    space = framer.space
    assert space is not None
    space[:3] = b"cde"
    framer.filled(3)
    assert list(framer.messages(b"fghi")) == []
    (message,) = framer.messages(b"j\n")
    assert bytes(message.blocks[0].data) == b"abcdefghij"
    assert message.received == len(b"A #210abcdefghij\n")
