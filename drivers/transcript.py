"""One line per message: what went over a link and when, with blocks as length and checksum."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.visa import Answer

__all__ = ["received_line", "sent_line"]


def received_line(tag: int, answers: Iterable[Answer]) -> str:
    """Return a reply as one line."""
    shown = (
        answer.text if answer.block is None else f"{answer.text}{_block(answer.block)}" for answer in answers
    )
    return f"< {time.time():.6f} {tag};{';'.join(shown)}"


def sent_line(message: bytes) -> str:
    """Return a message, without its line feed, as one line."""
    shown, at = [], 0
    for found in re.finditer(rb"#([1-9])", message):
        if found.start() < at:
            continue
        digits = int(found[1])
        size = message[found.end() : found.end() + digits]
        if not size.isdigit():
            continue
        begin = found.end() + digits
        shown.append(message[at : found.start()].decode("latin-1"))
        shown.append(_block(message[begin : begin + int(size)]))
        at = begin + int(size)
    shown.append(message[at:].decode("latin-1"))
    return f"> {time.time():.6f} {''.join(shown)}"


def _block(data: bytes) -> str:
    return f"#<{len(data)} bytes, crc {zlib.crc32(data):08x}>"
