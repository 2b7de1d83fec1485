"""Cut a byte stream into program messages: text up to LF, with definite blocks kept out of the text.

The rules are those of controller-protocol §2 and §3: a line feed inside a definite block is data, a string still
open at the line feed ends with it, the blocks of refused messages are swallowed whatever their header was, and a
block header that cannot be read makes the rest of the stream meaningless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Block", "Framer", "Message"]

_INTERESTING = re.compile(rb"[\n\"'#;,]")
_DIGITS = b"0123456789"
_WHITE = bytes(code for code in range(33) if code != 10)

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Block:
    """A definite block of a message.

    Attributes
    ----------
    position : int
        Offset in the message text of the first byte behind the block's header.
    data : memoryview
        Contents; a view of the bytes received wherever they arrived in one piece.
    """

    position: int
    data: memoryview


@dataclass(slots=True)
class Message:
    """One program message without its line feed.

    Attributes
    ----------
    text : bytes
        Everything but the contents of blocks; the block headers stay in it.
    blocks : list of Block
    error : int
        0, or the code for which nothing of the message may be executed (-363, -223, -161).
    received : int
        Bytes of the message as sent, contents of blocks and the line feed included.
    """

    text: bytes = b""
    blocks: list[Block] = field(default_factory=list)
    error: int = 0
    received: int = 0


class Framer:
    """Incremental cutter of one connection's byte stream.

    Parameters
    ----------
    text_max : int
        Bytes of text a message may have; beyond it the message is dropped up to its line feed (-363).
    block_max : int
        Bytes all blocks of a message may hold together; beyond it nothing is kept (-223).
    lenient : bool
        What follows a malformed block header is text up to the line feed, and ``#0`` begins a block that goes on up
        to a line feed which ends what has arrived: how bench instruments do it.
    """

    def __init__(self, text_max: int, block_max: int, *, lenient: bool = False) -> None:
        self._text_max = text_max
        self._block_max = block_max
        self._lenient = lenient
        self.broken = False
        """True once a malformed block header was met: nothing behind it can be understood."""
        self._new_message()

    def _new_message(self) -> None:
        self._text = bytearray()
        self._blocks: list[Block] = []
        self._error = 0
        self._received = 0
        self._text_length = 0
        self._block_bytes = 0
        self._quote = 0
        # Where a value may begin: "header" while the header runs, "value" where one may start, "inside" behind it.
        self._place = "unit"
        self._header: bytearray | None = None  # block header being gathered, from its '#'
        self._endless = False  # inside a block without a length
        self._want = 0  # bytes the block still lacks
        self._store: memoryview | None = None  # where they go; None = swallowed
        self._stored = 0

    @property
    def pending(self) -> bool:
        """Whether part of a message has arrived."""
        return self._received > 0

    @property
    def space(self) -> memoryview | None:
        """Room in the block now arriving, to receive into without a further copy; see :meth:`filled`."""
        if self._want and self._store is not None:
            return self._store[self._stored :]
        return None

    def filled(self, count: int) -> None:
        """Tell that `count` bytes were written to the front of :attr:`space`."""
        self._stored += count
        self._received += count
        self._want -= count
        if not self._want:
            self._end_block()

    def messages(self, data: Buffer) -> Iterator[Message]:
        """Take bytes and yield every message they complete."""
        position = 0
        while position < len(data):
            message, position = self.take(data, position)
            if message is not None:
                yield message

    def take(self, data: Buffer, position: int) -> tuple[Message | None, int]:
        """Consume `data` from `position` up to the end of one message.

        Returns
        -------
        message : Message or None
            The message completed, None where the bytes ran out first.
        position : int
            First byte not consumed.
        """
        view = data if isinstance(data, memoryview) else memoryview(data)
        end = len(view)
        while position < end:
            if self.broken:
                return None, end
            if self._want:
                position = self._take_block(view, position)
            elif self._endless:
                return self._take_endless(view, position)
            elif self._header is not None:
                position = self._take_block_header(view, position)
                if self.broken:
                    return Message(error=-161, received=self._received), end
            else:
                done, position = self._take_text(view, position)
                if done is not None:
                    return done, position
        return None, position

    # ---- blocks -------------------------------------------------------------------------------------------------
    def _take_block_header(self, view: memoryview, position: int) -> int:
        header = self._header
        assert header is not None  # noqa: S101 - type narrowing only
        byte = view[position]
        if len(header) == 1 and byte in b"HhBbQq":  # a number, #H1F
            self._header = None
            return position
        if byte not in _DIGITS or (len(header) == 1 and byte == 0x30):
            self._header = None
            self._endless = self._lenient and byte == 0x30 and len(header) == 1
            self.broken = not self._lenient
            if self._endless:
                self._add_text(b"0")
            return position + self._endless
        header.append(byte)
        self._add_text(bytes((byte,)))
        if len(header) == 2 + (header[1] - 0x30):
            self._header = None
            self._begin_block(int(header[2:]))
        return position + 1

    def _begin_block(self, length: int) -> None:
        self._block_bytes += length
        if self._block_bytes > self._block_max and not self._error:
            self._error = -223
        self._want, self._store, self._stored = length, None, 0
        self._place = "behind"
        if not length:
            self._blocks.append(Block(len(self._text), memoryview(b"")))

    def _take_block(self, view: memoryview, position: int) -> int:
        count = min(self._want, len(view) - position)
        piece = view[position : position + count]
        if not self._error:
            if self._store is None and count == self._want and isinstance(view.obj, bytes):
                self._store, self._stored = piece, count  # whole and immutable: no copy
            else:
                if self._store is None:
                    self._store = memoryview(bytearray(self._want))
                self._store[self._stored : self._stored + count] = piece
                self._stored += count
        self._received += count
        self._want -= count
        if not self._want:
            self._end_block()
        return position + count

    def _end_block(self) -> None:
        if self._store is not None:
            self._blocks.append(Block(len(self._text), self._store))
        self._store = None

    def _take_endless(self, view: memoryview, position: int) -> tuple[Message | None, int]:
        if view[-1] != 0x0A:
            return None, len(view)
        data = view[position:-1]
        if len(data) > self._block_max:
            self._error = -223
        self._received += len(data)
        self._blocks.append(Block(len(self._text), data))
        return self._finish(), len(view)

    # ---- text ---------------------------------------------------------------------------------------------------
    def _add_text(self, piece: bytes | memoryview) -> None:
        self._text_length += len(piece)
        self._received += len(piece)
        if self._text_length <= self._text_max:
            self._text += piece
        elif not self._error:
            self._error = -363
            self._blocks.clear()

    def _take_text(self, view: memoryview, position: int) -> tuple[Message | None, int]:
        found = _INTERESTING.search(view, position)
        stop = found.start() if found else len(view)
        if stop > position:
            if not self._quote:
                self._walk(view, position, stop)
            self._add_text(view[position:stop])
        if found is None:
            return None, stop
        byte = view[stop]
        if byte == 0x0A:
            return self._finish(), stop + 1
        self._add_text(view[stop : stop + 1])
        if self._quote:
            if byte == self._quote:
                self._quote, self._place = 0, "behind"
        elif byte in b"\"'":
            if self._place in ("value", "behind"):
                self._quote = byte
            elif self._place in ("unit", "header"):
                self._place = "header"
        elif byte == 0x3B:
            self._place = "unit"
        elif byte == 0x2C:
            self._place = "value"
        elif self._place in ("header", "value", "behind"):
            self._header = bytearray(b"#")
        return None, stop + 1

    def _walk(self, view: memoryview, start: int, stop: int) -> None:
        """Follow where in its unit the text stands, so that a '#' can be told from one inside a word."""
        piece = bytes(view[start:stop])
        bare = piece.lstrip(_WHITE)
        if self._place == "unit":
            if not bare:
                return
            self._place = "header"
            if not bare.rstrip(_WHITE) or not any(code in _WHITE for code in bare):
                return
            self._place = "value"
            bare = bare[next(k for k, code in enumerate(bare) if code in _WHITE) :].lstrip(_WHITE)
        elif self._place == "header":
            white = next((k for k, code in enumerate(piece) if code in _WHITE), None)
            if white is None:
                return
            self._place = "value"
            bare = piece[white:].lstrip(_WHITE)
        if bare:
            # White space behind a word ends it: what follows is another value, though its comma is missing.
            self._place = "behind" if bare[-1] in _WHITE else "inside"
        elif self._place == "inside" and piece:
            self._place = "behind"

    def _finish(self) -> Message:
        text = bytes(self._text)
        if text.endswith(b"\r") and not (self._blocks and self._blocks[-1].position == len(text)):
            text = text[:-1]
        message = Message(text, self._blocks, self._error, self._received + 1)
        if self._error:
            message.text, message.blocks = b"", []
        self._new_message()
        return message
