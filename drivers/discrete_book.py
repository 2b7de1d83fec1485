"""What is known of a chip made of instruments: its last batch entry by entry, its pulse counters, its mask.

The instruments remember none of it, so the host does. A :class:`Book` changes by records alone; written down and
read again they give the same book (:mod:`drivers.discrete_journal`).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import BatchReport, EntryCode, State

__all__ = [
    "Book",
    "Kind",
    "Record",
    "batch_record",
    "boot_record",
    "doubt_record",
    "end_record",
    "outcome_record",
    "reserved_record",
    "started_record",
]

_OUTCOME = struct.Struct("<IQ")
_ENTRY = struct.Struct("<I")
_HEAD = struct.Struct("<I")


class Kind(IntEnum):
    """What a record tells."""

    LIFE = 1
    BOOT = 2
    COUNTS = 3
    MASK = 4
    BATCH = 5
    RESERVED = 6
    STARTED = 7
    OUTCOME = 8
    RESULTS = 9
    END = 10
    DOUBT = 11


@dataclass(frozen=True, slots=True)
class Record:
    """One change of a book."""

    kind: Kind
    data: bytes


def batch_record(
    batch_id: int,
    cells: NDArray[np.uint32],
    plan: NDArray[np.uint8],
    *,
    count: int,
    token: str,
    started_ns: int,
    host: str,
) -> Record:
    """Return the acceptance of a batch.

    Parameters
    ----------
    batch_id, cells, count
        As of :class:`~drivers.chip.Batch`.
    plan : ndarray of uint8, shape (n,)
        What is to become of each entry: PULSED, SKIPPED or MASKED.
    token : str
        Whose batch it is.
    started_ns : int
        Board time.
    host : str
        Names the run of the host's operating system, "" where it has no name.
    """
    facts = {"id": batch_id, "count": count, "token": token, "started_ns": started_ns, "host": host}
    head = json.dumps(facts).encode()
    body = np.ascontiguousarray(cells, "<u4").tobytes() + np.ascontiguousarray(plan, np.uint8).tobytes()
    return Record(Kind.BATCH, _HEAD.pack(len(head)) + head + body)


def started_record(entry: int) -> Record:
    """Return that an entry is about to be pulsed."""
    return Record(Kind.STARTED, _ENTRY.pack(entry))


def outcome_record(entry: int, ended_ns: int) -> Record:
    """Return that an entry was pulsed in full, and the board time of its last pulse's end."""
    return Record(Kind.OUTCOME, _OUTCOME.pack(entry, ended_ns))


def reserved_record(end: int) -> Record:
    """Return that entries below `end` may be begun from now on."""
    return Record(Kind.RESERVED, _ENTRY.pack(end))


def doubt_record(end: int) -> Record:
    """Return that every unfinished entry below `end` may have been begun: the end of the records is lost."""
    return Record(Kind.DOUBT, _ENTRY.pack(end))


def boot_record(boot_id: int) -> Record:
    """Return that something volatile was lost."""
    return Record(Kind.BOOT, _ENTRY.pack(boot_id))


def end_record(state: State, code: int, ended_ns: int) -> Record:
    """Return how the batch ended."""
    return Record(Kind.END, json.dumps({"state": str(state), "code": code, "ended_ns": ended_ns}).encode())


class Book:
    """Everything that is remembered of a chip.

    Parameters
    ----------
    cells : int

    Attributes
    ----------
    boot_id : int
        Drawn anew whenever something volatile was lost.
    born_unix_ns : int
        When the book was begun; board time counts from there where instruments are real.
    counts : ndarray of uint32, shape (cells,)
        Pulses per cell; those of an entry that was begun count as given.
    masked : ndarray of bool, shape (cells,)
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.boot_id = 0
        self.born_unix_ns = 0
        self.counts = np.zeros(cells, np.uint32)
        self.masked = np.zeros(cells, np.bool_)
        self.batch_id = 0
        self.batch_cells = np.zeros(0, np.uint32)
        self.plan = np.zeros(0, np.uint8)
        self.flags = np.zeros(0, np.uint8)
        self.stamps_ns = np.zeros(0, np.uint64)
        self.token = self.host = ""
        self.count = 1
        self.reserved = self.done = self.open = 0
        self.state = State.IDLE
        self.code = self.started_ns = self.ended_ns = 0

    @property
    def latest_ns(self) -> int:
        """Latest board time in it."""
        stamps = int(self.stamps_ns.max()) if self.stamps_ns.size else 0
        return max(self.started_ns, self.ended_ns, stamps)

    def report(self, token: str) -> BatchReport:
        """Return the report of the last batch to the holder of `token`."""
        return BatchReport(
            id=self.batch_id,
            mine=self.batch_id > 0 and token == self.token,
            state=self.state,
            done=self.done,
            open=self.open,
            total=int(self.plan.size),
            pulsed=int(np.count_nonzero(self.flags == EntryCode.PULSED)),
            code=self.code,
            t_start_ns=self.started_ns,
            t_end_ns=self.ended_ns,
        )

    # ---- records ------------------------------------------------------------------------------------------
    def records(self) -> list[Record]:
        """Return what makes this book, shortest form."""
        life = {"cells": self.cells, "boot_id": self.boot_id, "born_unix_ns": self.born_unix_ns}
        found = [Record(Kind.LIFE, json.dumps(life).encode()), self.mask_record(self.masked)]
        if self.batch_id:
            found.append(
                batch_record(
                    self.batch_id,
                    self.batch_cells,
                    self.plan,
                    count=self.count,
                    token=self.token,
                    started_ns=self.started_ns,
                    host=self.host,
                )
            )
            spread = np.array([self.done, self.open], "<u4").tobytes()
            body = self.flags.tobytes() + np.ascontiguousarray(self.stamps_ns, "<u8").tobytes()
            found.append(Record(Kind.RESULTS, spread + body))
            if self.state is not State.RUN:
                found.append(end_record(self.state, self.code, self.ended_ns))
        # Last, since the records of a batch count its pulses.
        found.append(Record(Kind.COUNTS, np.ascontiguousarray(self.counts, "<u4").tobytes()))
        return found

    @staticmethod
    def mask_record(masked: NDArray[np.bool_]) -> Record:
        """Return which cells are masked from now on."""
        return Record(Kind.MASK, np.packbits(masked, bitorder="little").tobytes())

    def take(self, record: Record) -> None:
        """Change the book by a record.

        Raises
        ------
        ValueError, KeyError, IndexError
            The record is out of form.
        """
        getattr(self, f"_take_{record.kind.name.lower()}")(record.data)

    def _take_life(self, data: bytes) -> None:
        facts = json.loads(data)
        if facts["cells"] != self.cells:
            raise ValueError(f"it was kept for {facts['cells']} cells, the chip has {self.cells}")
        self.boot_id, self.born_unix_ns = int(facts["boot_id"]), int(facts["born_unix_ns"])

    def _take_boot(self, data: bytes) -> None:
        (self.boot_id,) = _ENTRY.unpack(data)

    def _take_counts(self, data: bytes) -> None:
        self.counts = _of_length(np.frombuffer(data, "<u4").astype(np.uint32), self.cells)

    def _take_mask(self, data: bytes) -> None:
        packed = _of_length(np.frombuffer(data, np.uint8), -(-self.cells // 8))
        self.masked = np.unpackbits(packed, count=self.cells, bitorder="little").astype(np.bool_)

    def _take_batch(self, data: bytes) -> None:
        (size,) = _HEAD.unpack_from(data)
        facts: dict[str, Any] = json.loads(data[_HEAD.size : _HEAD.size + size])
        body = data[_HEAD.size + size :]
        entries = len(body) // 5
        self.batch_cells = np.frombuffer(body, "<u4", entries).astype(np.uint32)
        self.plan = _of_length(np.frombuffer(body[4 * entries :], np.uint8), entries).copy()
        self.batch_id, self.count = int(facts["id"]), int(facts["count"])
        self.token, self.host = str(facts["token"]), str(facts["host"])
        self.started_ns, self.ended_ns = int(facts["started_ns"]), 0
        self.flags, self.stamps_ns = np.zeros(entries, np.uint8), np.zeros(entries, np.uint64)
        self.reserved = self.done = self.open = self.code = 0
        self.state = State.RUN

    def _take_reserved(self, data: bytes) -> None:
        (self.reserved,) = _ENTRY.unpack(data)

    def _take_started(self, data: bytes) -> None:
        (entry,) = _ENTRY.unpack(data)
        self._pass_over(entry)
        self.flags[entry], self.open = EntryCode.IN_DOUBT, 1
        self.counts[self.batch_cells[entry]] += np.uint32(self.count)

    def _take_outcome(self, data: bytes) -> None:
        entry, ended_ns = _OUTCOME.unpack(data)
        self.flags[entry], self.stamps_ns[entry] = EntryCode.PULSED, ended_ns
        self.done, self.open = entry + 1, 0

    def _take_results(self, data: bytes) -> None:
        self.done, self.open = (int(x) for x in np.frombuffer(data, "<u4", 2))
        entries = self.plan.size
        self.flags = np.frombuffer(data, np.uint8, entries, 8).copy()
        self.stamps_ns = _of_length(np.frombuffer(data[8 + entries :], "<u8"), entries).astype(np.uint64)

    def _take_end(self, data: bytes) -> None:
        facts = json.loads(data)
        self.state, self.code, self.ended_ns = (
            State(facts["state"]),
            int(facts["code"]),
            int(facts["ended_ns"]),
        )
        if self.state is State.DONE:
            self._pass_over(self.plan.size)

    def _pass_over(self, entry: int) -> None:
        """Settle the skipped and masked entries in front of one."""
        between = slice(self.done, entry)
        self.flags[between] = self.plan[between]
        self.done = entry

    def _take_doubt(self, data: bytes) -> None:
        (end,) = _ENTRY.unpack(data)
        window = slice(self.done, end)
        pulsed = self.plan[window] == EntryCode.PULSED
        unbooked = pulsed & (self.flags[window] != EntryCode.IN_DOUBT)
        self.counts[self.batch_cells[window][unbooked]] += np.uint32(self.count)
        self.flags[window] = np.where(pulsed, EntryCode.IN_DOUBT, self.plan[window])
        self.open = end - self.done


def _of_length(array: NDArray[Any], length: int) -> NDArray[Any]:
    if array.size != length:
        raise ValueError(f"{array.size} items stand where {length} belong")
    return array
