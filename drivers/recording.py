"""A session with instruments as a file: every message and reply, readable, and whole up to the moment of a crash.

::

    with Recorder("session.rec") as tape:
        smu = Keithley2600.open("GPIB0::26::INSTR", transcript=tape)
        chip = PcmController.open("TCPIP0::192.168.0.5::5025::SOCKET", transcript=tape)

The file is lines of JSON: a header, then one line per message, reply and other event, with the host's time (Unix
seconds), the VISA address and what went over it. ``kind`` is ``>`` for a message and ``<`` for a reply; ``open``,
``close``, ``clear``, ``trigger`` and ``poll`` stand beside the messages. Bytes that can be read are ``text``, with
whatever closed the message. Blocks are ``block`` in base64 with ``length`` and ``crc32``; a message of both is a list
of ``parts``. Each line is written and flushed by itself, so only the last one can be torn.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import zlib
from abc import ABC, abstractmethod
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drivers.errors import RecordingError

__all__ = ["SCHEMA", "Entry", "Recorder", "Tape", "comparable", "read_recording"]

SCHEMA = "labkit-recording"
_VERSION = 1
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\xa0-\xff]*")
_BLOCK = re.compile(rb"#([1-9])")
_TOKEN = re.compile(rb"labkit-[0-9a-f]{16}")
_ANY_TOKEN = b"labkit-" + b"*" * 16


class Tape(ABC):
    """What a link tells about itself; given to it in place of a transcript. One serves any number of links."""

    @abstractmethod
    def sent(self, address: str, data: bytes) -> None:
        """Note a message that is about to be sent, with what closes it."""

    @abstractmethod
    def heard(self, address: str, data: bytes) -> None:
        """Note a reply, or as much of it as came."""

    @abstractmethod
    def event(self, address: str, kind: str, value: int | None = None) -> None:
        """Note something beside the messages; `value`: the status byte of a poll."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a recording.

    Attributes
    ----------
    line : int
        Number of the line, from 1.
    time_s : float
        Host's time, Unix seconds.
    address : str
        VISA address.
    kind : str
        ``>``, ``<``, ``open``, ``close``, ``clear``, ``trigger`` or ``poll``.
    data : bytes
        Of a message or reply.
    value : int or None
        Of a poll.
    """

    line: int
    time_s: float
    address: str
    kind: str
    data: bytes = b""
    value: int | None = None


class Recorder(Tape):
    """Writes a recording; a context manager, and a tape for several links at once.

    Parameters
    ----------
    path : path
        File to make, customarily ``.rec``; never overwritten.

    Raises
    ------
    RecordingError
        The file exists, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._guard = threading.Lock()
        try:
            self._file = self.path.open("xb", buffering=0)
        except FileExistsError:
            raise RecordingError(
                f"{path} exists; recordings are never overwritten, choose another name", path=self.path
            ) from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be written ({error.strerror})", path=self.path) from error
        self._write({"schema": SCHEMA, "version": _VERSION, "begun": round(time.time(), 6)})

    def sent(self, address: str, data: bytes) -> None:
        """Note a message."""
        self._note(address, ">", _shown(data))

    def heard(self, address: str, data: bytes) -> None:
        """Note a reply."""
        self._note(address, "<", _shown(data))

    def event(self, address: str, kind: str, value: int | None = None) -> None:
        """Note something else."""
        self._note(address, kind, {} if value is None else {"value": value})

    def _note(self, address: str, kind: str, what: dict[str, Any]) -> None:
        self._write({"time": round(time.time(), 6), "address": address, "kind": kind, **what})

    def _write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode("ascii") + b"\n"
        with self._guard:
            if self._file.closed:
                return
            try:
                while data:
                    data = data[self._file.write(data) :]
            except OSError as error:
                raise RecordingError(
                    f"{self.path} cannot be written any more ({error.strerror}); what was written is whole",
                    path=self.path,
                ) from error

    def close(self) -> None:
        """End the recording; links that still use it go on unrecorded."""
        with self._guard:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _shown(data: bytes) -> dict[str, Any]:
    """How bytes stand in a line."""
    parts = [_part(piece) for piece in _pieces(data)]
    return parts[0] if len(parts) == 1 else {"parts": parts}


def _part(data: bytes) -> dict[str, Any]:
    if _TEXT.fullmatch(data):
        return {"text": data.decode("latin-1")}
    return {
        "block": base64.b64encode(data).decode("ascii"),
        "length": len(data),
        "crc32": f"{zlib.crc32(data):08x}",
    }


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut a message where the contents of definite blocks begin and end."""
    at = 0
    for found in _BLOCK.finditer(data):
        begin = found.end() + int(found[1])
        size = data[found.end() : begin]
        if found.start() < at or not size.isdigit() or begin + int(size) > len(data) or not int(size):
            continue
        yield data[at:begin]
        at = begin + int(size)
        yield data[begin:at]
    if at < len(data) or not at:
        yield data[at:]


def comparable(data: bytes) -> bytes:
    """Return a message as it is compared: with one name for the lock tokens, which are new in every session."""
    return _TOKEN.sub(_ANY_TOKEN, data)


def read_recording(path: str | Path) -> list[Entry]:
    """Read a recording; a last line that a crash has torn is left out.

    Raises
    ------
    RecordingError
        The file cannot be read, is no recording, or is damaged; its ``line`` says where.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror})", path=path) from error
    del lines[-1]  # empty, or torn
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            if number == 1:
                if found["schema"] != SCHEMA or found["version"] > _VERSION:
                    raise RecordingError(
                        f"{path} is a {found['schema']} of version {found['version']}; this program reads "
                        f"{SCHEMA} up to {_VERSION}",
                        path=path,
                    )
                continue
            kind = found["kind"]
            data = _bytes(found) if kind in "<>" else b""
            entries.append(
                Entry(number, float(found["time"]), found["address"], kind, data, found.get("value"))
            )
        except (ValueError, KeyError, TypeError, Base64Error) as error:
            raise RecordingError(
                f"{path} is no recording, or damaged: line {number} ({error})", path=path, line=number
            ) from error
    if not lines:
        raise RecordingError(f"{path} is no recording: it has no header", path=path)
    return entries


def _bytes(found: dict[str, Any]) -> bytes:
    if "parts" in found:
        return b"".join(_bytes(part) for part in found["parts"])
    if "text" in found:
        return str(found["text"]).encode("latin-1")
    data = base64.b64decode(found["block"], validate=True)
    if len(data) != found["length"] or f"{zlib.crc32(data):08x}" != found["crc32"]:
        raise ValueError("a block is not what was recorded")
    return data
