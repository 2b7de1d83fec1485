"""The file a :class:`~drivers.discrete_book.Book` lives in: records appended, checked one by one when it is opened.

Written ahead: an entry's record is in the file before its pulse leaves the generator. What is where when something
dies decides what has to be synced to the disk:

* the process dies (``kill -9``): everything written is there, since the operating system has it. Exactly the entry in
  flight is in doubt;
* the computer dies: only what was synced is there. Before entries are begun a window of them is reserved, and that is
  synced; afterwards all of the window that no record speaks of is in doubt.

So the disk is waited for when a batch is accepted, once per window, and when it has ended: not twice per cell.
"""

from __future__ import annotations

import errno
import os
import secrets
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from drivers.chip import State
from drivers.discrete_book import (
    Book,
    Kind,
    Record,
    boot_record,
    doubt_record,
    end_record,
    reserved_record,
)
from drivers.errors import DriverError, LockRefused

__all__ = ["Journal", "JournalError", "host_run"]

_MAGIC = b"labkit-journal/1\n"
_HEAD = struct.Struct("<BI")
_CHECK = struct.Struct("<I")
_LONGEST = 1 << 28
WINDOW = 32
"""Entries that are reserved at once: at 30 ms per cell the disk is waited for about once a second."""
_COMPACT_FROM = 1 << 20
_KINDS = frozenset(Kind)
_SYNCED = frozenset({Kind.BATCH, Kind.RESERVED, Kind.END, Kind.BOOT, Kind.MASK, Kind.COUNTS})


class JournalError(DriverError):
    """The journal of a chip cannot be used, or not be written.

    Attributes
    ----------
    path : Path or None
        The file.
    """

    path: Path | None = None


def host_run() -> str:
    """Return what names this run of the operating system, "" where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


class Journal:
    """A book and the file it is kept in.

    Parameters
    ----------
    path : Path or None
        The file; None keeps the book in memory alone, for cells that are gone with the program too.
    cells : int
        Of the chip.
    host : str, optional
        Names this run of the operating system; by default asked.

    Raises
    ------
    LockRefused
        Another program has it open.
    JournalError
        It is damaged before its last record, of another chip, or cannot be read.

    Attributes
    ----------
    book : Book
    """

    def __init__(self, path: Path | None, cells: int, *, host: str | None = None) -> None:
        self.path = path
        self.host = host_run() if host is None else host
        self.book = Book(cells)
        self._file: IO[bytes] | None = None
        self._lock: Any = None
        self._broken = False
        if path is None:
            self._begin()
            return
        self._take_lock(path)
        try:
            if path.exists():
                self._read(path)
            else:
                self._begin()
            self._rewrite()
        except OSError as error:
            self.close()
            raise JournalError(f"{path} cannot be used: {error.strerror or error}", path=path) from error
        except BaseException:
            self.close()
            raise

    def _take_lock(self, path: Path) -> None:
        from filelock import FileLock, Timeout

        self._lock = FileLock(f"{path}.lock", thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LockRefused(
                f"the chip of {path} is open in another program: only one may pulse it; close the other one"
            ) from None
        except OSError as error:
            raise JournalError(f"{path} cannot be used: {error.strerror or error}", path=path) from error

    def _begin(self) -> None:
        self.book.boot_id = _drawn()
        self.book.born_unix_ns = time.time_ns()

    # ---- reading ------------------------------------------------------------------------------------------
    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        if not data.startswith(_MAGIC):
            raise JournalError(f"{path} is no journal of a chip; name another file", path=path)
        at, taken = len(_MAGIC), 0
        while (found := _next(data, at)) is not None:
            record, at = found
            try:
                self.book.take(record)
            except (ValueError, KeyError, IndexError, struct.error) as error:
                raise JournalError(
                    f"{path} cannot be followed ({error}); move it away only if you know what its cells hold",
                    path=path,
                ) from error
            taken += 1
        if not taken or _goes_on(data, at):
            raise JournalError(
                f"{path} is damaged at byte {at}: what its cells were given since is not known; read them all, then "
                "move it away",
                path=path,
            )
        self._close_unfinished()

    def _close_unfinished(self) -> None:
        """End a batch that was under way when its program, or the computer, died."""
        book = self.book
        if book.state is not State.RUN:
            return
        if not (book.host and book.host == self.host):
            book.take(doubt_record(book.reserved))
        book.take(end_record(State.ABORTED, 0, book.latest_ns))

    # ---- writing ------------------------------------------------------------------------------------------
    def note(self, *records: Record, sync: bool = False) -> None:
        """Write records down, then take them into the book.

        Parameters
        ----------
        sync : bool
            Wait until they would outlive the computer.

        Raises
        ------
        JournalError
            They could not be written; the book is as it was.
        """
        if self._broken:
            raise JournalError(
                f"{self.path} could not be written before; open the chip again", path=self.path
            )
        if self._file is not None:
            self._write(b"".join(map(_spelled, records)), sync)
        for record in records:
            self.book.take(record)

    def _write(self, data: bytes, sync: bool) -> None:
        file = self._file
        assert file is not None  # noqa: S101 - seen by the caller
        end = file.tell()
        try:
            _write_all(file, data)
            if sync:
                os.fsync(file.fileno())
        except OSError as error:
            self._broken = True
            with suppress(
                OSError
            ):  # half a record may stay: it fails its check and ends the file for a reader
                file.truncate(end)
            raise JournalError(
                f"{self.path} cannot be written ({error.strerror or error}): nothing is pulsed that cannot be "
                "remembered; make room and open the chip again",
                path=self.path,
            ) from error

    def reserve(self, entry: int) -> None:
        """Make sure that `entry` may be begun: reserve its window where that has not been done."""
        if entry >= self.book.reserved:
            end = min(entry + WINDOW, int(self.book.plan.size))
            self.note(reserved_record(end), sync=True)

    def reboot(self) -> None:
        """Draw a new boot id: something volatile was lost."""
        self.note(boot_record(_drawn()), sync=True)

    def tidy(self) -> None:
        """Write the file anew where it has grown; never while a batch runs."""
        if self._file is not None and self._file.tell() > _COMPACT_FROM + 10 * self.book.cells:
            self._rewrite()

    def _rewrite(self) -> None:
        """Write the book in its shortest form under another name, sync it, give it the name of the journal."""
        path = self.path
        assert path is not None  # noqa: S101 - only books with a file are rewritten
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            file.write(_MAGIC + b"".join(map(_spelled, self.book.records())))
            file.flush()
            os.fsync(file.fileno())
        if self._file is not None:
            self._file.close()
            self._file = None
        part.replace(path)
        _sync_folder(path.parent)
        # Unbuffered: what was written is the operating system's, whatever happens to this process.
        self._file = path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file and let others open it."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if self._lock is not None:
            self._lock.release()


def _drawn() -> int:
    return secrets.randbelow(2**32 - 1) + 1


def _spelled(record: Record) -> bytes:
    body = _HEAD.pack(record.kind, len(record.data)) + record.data
    return body + _CHECK.pack(zlib.crc32(body))


def _next(data: bytes, at: int) -> tuple[Record, int] | None:
    """Return the record that begins at `at` and where it ends; None where no whole one does."""
    if at + _HEAD.size > len(data):
        return None
    kind, size = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + size
    if size > _LONGEST or end + _CHECK.size > len(data):
        return None
    if kind not in _KINDS or _CHECK.unpack_from(data, end)[0] != zlib.crc32(data[at:end]):
        return None
    return Record(Kind(kind), data[at + _HEAD.size : end]), end + _CHECK.size


def _write_all(file: IO[bytes], data: bytes) -> None:
    if file.write(data) != len(data):  # a full disk takes what it can
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _goes_on(data: bytes, at: int) -> bool:
    """Whether a record that was synced stands behind one that cannot be read: then it is no torn end.

    Records that nobody waited for may be lost in any order when a computer dies.
    """
    return any(
        data[later] in _SYNCED and _next(data, later) is not None for later in range(at + 1, len(data))
    )


def _sync_folder(folder: Path) -> None:
    flag = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    handle = os.open(folder, os.O_RDONLY | flag)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
