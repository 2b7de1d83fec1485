"""Read the units of a framed message: header, typed parameter tokens, and the bytes a checksum runs over."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_framing import Block, Message

__all__ = ["Token", "TokenKind", "Unit", "units"]

_WHITE = re.compile(rb"[\x00-\x09\x0b-\x20]*")
_HEADER = re.compile(rb"\*?[A-Za-z:][A-Za-z0-9_:\x80-\xff]*\??")
_DECIMAL = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]?\d+)?")
_NUMBER_LIKE = re.compile(rb"[+\-.0-9#][^\x00-\x20,;\"']*")
_HEX = re.compile(rb"#[Hh][0-9A-Fa-f]+|#[Bb][01]+|#[Qq][0-7]+")
_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_\x80-\xff]*")
_SUFFIX = re.compile(rb"[\x00-\x09\x0b-\x20]*([A-Za-z][A-Za-z0-9./]*)")
_BASES = {"H": 16, "B": 2, "Q": 8}
_SUFFIX_MAX = 12


class TokenKind(Enum):
    """What a parameter is by its spelling."""

    NUMBER = "number"
    WORD = "word"
    STRING = "string"
    BLOCK = "block"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class Token:
    """One parameter as it was sent.

    Attributes
    ----------
    kind : TokenKind
    text : str
        Number, word, string (quotes undone), or what an expression has between its parentheses.
    data : memoryview
        Contents of a block.
    suffix : str
        Unit behind a number, as sent.
    """

    kind: TokenKind
    text: str = ""
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a message.

    Attributes
    ----------
    header : str
        As sent, with ``?`` and a leading colon.
    tokens : tuple of Token
    message : Message
        Where it came from.
    start, stop : int
        The parameters in the message text, from the first byte behind the header's white space.
    """

    header: str
    tokens: tuple[Token, ...]
    message: Message
    start: int
    stop: int

    @property
    def is_query(self) -> bool:
        """Whether the header ends in a question mark."""
        return self.header.endswith("?")

    def crc32(self, seed: bytes = b"") -> int:
        """CRC-32 over `seed` and the parameter bytes as received, blocks included (controller-protocol §6.1)."""
        crc, position = zlib.crc32(seed), self.start
        for block in self.message.blocks:
            if self.start < block.position <= self.stop:
                crc = zlib.crc32(self.message.text[position : block.position], crc)
                crc = zlib.crc32(block.data, crc)
                position = block.position
        return zlib.crc32(self.message.text[position : self.stop], crc)


def units(message: Message, *, rich: bool = False) -> Iterator[Unit]:
    """Yield the units of a message one by one, empty ones left out.

    Parameters
    ----------
    rich : bool
        There are units behind numbers, expressions like ``(@1,3:5)``, and blocks without a length.

    Raises
    ------
    ScpiError
        At the first unit that cannot be read; those before it have been yielded.
    """
    reader = _Reader(message, rich=rich)
    while (unit := reader.next()) is not None:
        yield unit


class _Reader:
    def __init__(self, message: Message, *, rich: bool) -> None:
        self._message = message
        self._rich = rich
        self._text = message.text
        self._at = 0
        self._blocks: dict[int, Block] = {block.position: block for block in message.blocks}

    def _skip_white(self) -> None:
        found = _WHITE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def next(self) -> Unit | None:
        text, size = self._text, len(self._text)
        while True:
            self._skip_white()
            if self._at >= size:
                return None
            if text[self._at] != 0x3B:
                break
            self._at += 1
        found = _HEADER.match(text, self._at)
        if found is None:
            raise ScpiError(-102 if chr(text[self._at]) in "0123456789+-.,*?_" else -101)
        header = found.group().decode("latin-1")
        self._at = found.end()
        if self._at < size and text[self._at] > 0x20 and text[self._at] != 0x3B:
            raise ScpiError(-111)
        self._skip_white()
        start = self._at
        tokens = self._parameters()
        unit = Unit(header, tokens, self._message, start, self._at)
        self._at += 1
        return unit

    def _parameters(self) -> tuple[Token, ...]:
        text, size, tokens = self._text, len(self._text), []
        if self._at >= size or text[self._at] == 0x3B:
            return ()
        while True:
            tokens.append(self._value())
            self._skip_white()
            if self._at >= size or text[self._at] == 0x3B:
                return tuple(tokens)
            if text[self._at] != 0x2C:
                raise ScpiError(self._misplaced(tokens[-1]))
            self._at += 1
            self._skip_white()

    def _misplaced(self, behind: Token) -> int:
        """Return the error for what follows a value without a comma."""
        byte = self._text[self._at]
        if byte > 0x7F:
            return -101
        if behind.kind is TokenKind.NUMBER and chr(byte).isalpha():
            return -138
        return -103 if chr(byte).isalnum() or chr(byte) in "\"'#+-._" else -101

    def _value(self) -> Token:
        text, at = self._text, self._at
        byte = text[at] if at < len(text) else 0x3B
        if byte in b",;":
            raise ScpiError(-102)
        if byte in b"\"'":
            return self._string(byte)
        if byte == 0x23 and at + 1 < len(text) and chr(text[at + 1]) in "123456789":
            header_end = at + 2 + (text[at + 1] - 0x30)
            block = self._blocks.get(header_end)
            if block is not None:
                self._at = header_end
                return Token(TokenKind.BLOCK, data=block.data)
        if self._rich and byte == 0x23 and text[at + 1 : at + 2].isdigit():
            block = self._blocks.get(at + 2) if text[at + 1] == 0x30 else None
            if block is None:
                raise ScpiError(-161)
            self._at = at + 2
            return Token(TokenKind.BLOCK, data=block.data)
        if self._rich and byte == 0x28:
            return self._expression()
        if chr(byte) in "+-.#0123456789":
            return self._number()
        word = _WORD.match(text, at)
        if word is None:
            raise ScpiError(-101)
        self._at = word.end()
        return Token(TokenKind.WORD, word.group().decode("latin-1"))

    def _number(self) -> Token:
        like = _NUMBER_LIKE.match(self._text, self._at)
        spelled = like.group() if like else b""
        exact = (_HEX if spelled.startswith(b"#") else _DECIMAL).match(spelled)
        if exact is None:
            raise ScpiError(-120)
        rest = spelled[exact.end() :]
        if self._rich and not spelled.startswith(b"#") and (suffixed := self._suffixed(exact.group(), rest)):
            return suffixed
        if rest:
            if rest[0] > 0x7F:
                raise ScpiError(-101)
            # A unit begins with a letter; an exponent without digits and stray signs are broken numbers.
            suffix = rest[:1].isalpha() and rest[:1] not in b"Ee" and not spelled.startswith(b"#")
            raise ScpiError(-138 if suffix else -120)
        self._at += len(spelled)
        word = spelled.decode("ascii")
        if word.startswith("#"):
            word = str(int(word[2:], _BASES[word[1].upper()]))
        return Token(TokenKind.NUMBER, word)

    def _suffixed(self, number: bytes, rest: bytes) -> Token | None:
        found = _SUFFIX.match(self._text, self._at + len(number))
        if found is None or (rest[:1] in (b"E", b"e") and rest[:2].upper() != b"EX"):
            return None
        suffix = found.group(1)
        if rest and len(suffix) != len(rest):
            return None
        if len(suffix) > _SUFFIX_MAX:
            raise ScpiError(-134)
        self._at = found.end()
        return Token(TokenKind.NUMBER, number.decode("ascii"), suffix=suffix.decode("ascii"))

    def _expression(self) -> Token:
        depth = 0
        for end in range(self._at, len(self._text)):
            depth += {0x28: 1, 0x29: -1}.get(self._text[end], 0)
            if not depth:
                inner = self._text[self._at + 1 : end].decode("latin-1")
                self._at = end + 1
                return Token(TokenKind.EXPRESSION, inner)
        raise ScpiError(-171)

    def _string(self, quote: int) -> Token:
        text, at, pieces = self._text, self._at + 1, []
        while True:
            end = text.find(quote, at)
            if end < 0:
                raise ScpiError(-151)
            pieces.append(text[at:end])
            if end + 1 < len(text) and text[end + 1] == quote:
                pieces.append(bytes((quote,)))
                at = end + 2
                continue
            self._at = end + 1
            return Token(TokenKind.STRING, b"".join(pieces).decode("latin-1"))
