"""What the host keeps of a chip whose instruments remember nothing, through crashes of every kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from fake_chip import FakeChip
from role_fakes import RoleBench

from drivers.chip import Batch, EntryCode, Pulse, State
from drivers.discrete_book import (
    Book,
    batch_record,
    end_record,
    outcome_record,
    reserved_record,
    started_record,
)
from drivers.discrete_journal import WINDOW, Journal, JournalError
from drivers.errors import BatchRefused, LockRefused

CELLS = 64
PULSE = Pulse(rise_s=5e-9, top_s=5e-8, fall_s=5e-9, period_s=1e-6, full_scale=4e-4)
ALL = np.arange(CELLS, dtype=np.uint32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells.journal"


def half_done(path: Path, host: str, *, started: int, finished: int) -> None:
    """Leave a batch of all cells at some point, as a process does that is killed there."""
    journal = Journal(path, CELLS, host=host)
    plan = np.full(CELLS, EntryCode.PULSED, np.uint8)
    plan[3], plan[5] = EntryCode.SKIPPED, EntryCode.MASKED
    whose = {"token": "mine", "host": host}
    journal.note(batch_record(7, ALL, plan, count=2, started_ns=10, **whose), sync=True)
    journal.note(reserved_record(WINDOW), sync=True)
    for entry in range(started):
        if plan[entry] == EntryCode.PULSED:
            journal.note(started_record(entry))
            if entry < finished:
                journal.note(outcome_record(entry, 100 + entry))
    journal.close()


def book_of(path: Path, host: str | None = None) -> Book:
    """What a program finds that opens the journal now."""
    journal = Journal(path, CELLS, host=host)
    journal.close()
    return journal.book


def give(bench: RoleBench, journal: Journal, cells: np.ndarray = ALL, **changes: object) -> None:
    with bench.ready(journal) as chip:
        amplitude = np.full(cells.size, 2e-4, np.float32)
        chip.program(Batch(chip.next_batch_id(), cells, PULSE, amplitude))


def test_a_new_journal_knows_nothing(path: Path) -> None:
    book = book_of(path)
    report = book.report("x")
    assert (report.id, report.mine, report.state, report.total) == (0, False, State.IDLE, 0)
    assert book.boot_id > 0
    assert not book.counts.any()


def test_it_is_the_same_after_closing(path: Path) -> None:
    bench = RoleBench(FakeChip(1, 8, 8))
    give(bench, Journal(path, CELLS), ALL[4:40])
    before, after = book_of(path), book_of(path)
    kept = before.report("x")
    assert after.report("x") == kept
    assert after.boot_id == before.boot_id
    assert np.array_equal(after.flags, before.flags)
    assert np.array_equal(after.stamps_ns, before.stamps_ns)
    assert after.stamps_ns.all()
    assert np.array_equal(after.counts, bench.pulses(ALL))
    assert (kept.id, kept.done, kept.pulsed, kept.state, kept.mine) == (1, 36, 36, State.DONE, False)


@pytest.mark.parametrize("started", [1, 5, 8, 31])
def test_a_killed_process_leaves_one_entry_in_doubt(path: Path, started: int) -> None:
    half_done(path, "this run", started=started, finished=started - 1)
    book = book_of(path, "this run")
    report = book.report("mine")
    assert (report.id, report.state, report.done, report.open) == (7, State.ABORTED, started - 1, 1)
    assert book.flags[started - 1] == EntryCode.IN_DOUBT
    assert (book.flags[started:] == EntryCode.NOT_REACHED).all()
    assert not (book.flags[: started - 1] == EntryCode.IN_DOUBT).any()
    assert book.counts.sum() == 2 * sum(entry not in (3, 5) for entry in range(started))


def test_between_two_entries_nothing_is_in_doubt(path: Path) -> None:
    half_done(path, "this run", started=10, finished=10)
    report = book_of(path, "this run").report("mine")
    assert (report.done, report.open) == (10, 0)


@pytest.mark.parametrize("host", ["another run", ""])
def test_a_computer_that_died_leaves_its_window_in_doubt(path: Path, host: str) -> None:
    half_done(path, "this run" if host else "", started=10, finished=9)
    book = book_of(path, host)
    report = book.report("mine")
    assert (report.done, report.open, report.pulsed) == (9, WINDOW - 9, 7)
    assert (book.flags[9:WINDOW] == EntryCode.IN_DOUBT).all()
    assert (book.flags[WINDOW:] == EntryCode.NOT_REACHED).all()
    assert (book.counts[9:WINDOW] == 2).all()
    assert not book.counts[WINDOW:].any()


def test_every_torn_end_is_understood(path: Path) -> None:
    half_done(path, "this run", started=6, finished=5)
    whole = path.read_bytes()
    fewest = len(whole)
    for cut in range(len(whole) - 60, len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(path, CELLS, host="another run")
        report = journal.book.report("mine")
        assert report.id == 7
        assert report.done <= 5
        assert report.done + report.open == WINDOW
        fewest = min(fewest, report.done)
        journal.close()
    assert fewest < 5


def test_damage_in_the_middle_is_no_torn_end(path: Path) -> None:
    journal = Journal(path, CELLS)
    journal.close()
    at = path.stat().st_size
    half_done(path, "this run", started=2, finished=2)
    Journal(path, CELLS, host="this run").close()
    data = bytearray(path.read_bytes())
    data[at - 30] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(JournalError, match="is damaged at byte"):
        Journal(path, CELLS)


def test_only_one_program_has_it(path: Path) -> None:
    journal = Journal(path, CELLS)
    with pytest.raises(LockRefused, match="open in another program"):
        Journal(path, CELLS)
    journal.close()
    Journal(path, CELLS).close()


def test_another_chip_or_file_is_refused(path: Path) -> None:
    Journal(path, CELLS).close()
    with pytest.raises(JournalError, match="64 cells, the chip has 63"):
        Journal(path, CELLS - 1)
    path.write_text("cells: 64")
    with pytest.raises(JournalError, match="no journal"):
        Journal(path, CELLS)


def test_it_is_written_anew_where_it_has_grown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.discrete_journal._COMPACT_FROM", 2000)
    bench = RoleBench(FakeChip(1, 8, 8))
    journal = Journal(path, CELLS)
    sizes = []
    with bench.ready(journal) as chip:
        for _turn in range(20):
            chip.program(Batch(chip.next_batch_id(), ALL, PULSE, np.full(CELLS, 2e-4, np.float32)))
            sizes.append(path.stat().st_size)
    assert max(sizes) < 8000
    assert (book_of(path).counts == 20).all()


def test_nothing_is_pulsed_that_cannot_be_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = RoleBench(FakeChip(1, 8, 8))
    journal = Journal(path, CELLS)
    with bench.ready(journal) as chip:
        batch = Batch(1, ALL, PULSE, np.full(CELLS, 2e-4, np.float32))

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(BatchRefused, match="No space left"):
            chip.program(batch)
        monkeypatch.undo()
        assert not bench.pulses(ALL).any()
    # The refused batch left no trace in the file.
    assert book_of(path).batch_id == 0


def test_a_disk_that_fills_in_the_middle_ends_the_batch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = RoleBench(FakeChip(1, 8, 8))
    journal = Journal(path, CELLS)
    with bench.ready(journal) as chip:
        synced = []

        def fills(handle: int) -> None:
            synced.append(handle)
            if len(synced) > 2:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fills)
        chip.program(Batch(1, ALL, PULSE, np.full(CELLS, 2e-4, np.float32)))
        monkeypatch.undo()
        assert bench.pulses(ALL).sum() == WINDOW
        assert "No space left" in str(chip.errors()[0])
    book = book_of(path)
    assert book.report("x").done == WINDOW
    assert np.array_equal(book.counts, bench.pulses(ALL))


# ---- a process that is really killed ------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path

sys.path.insert(0, {here!r})
import numpy as np
from fake_chip import FakeChip
from role_fakes import RoleBench
from drivers.chip import Batch, Pulse
from drivers.discrete_journal import Journal

bench = RoleBench(FakeChip(1, 8, 8))
log = open({log!r}, "ab", buffering=0)
chip = bench.ready(Journal(Path({journal!r}), 64))
fired = 0

def pulse(*args, **kw):
    global fired
    fired += 1
    if fired == {last}:
        print("now", flush=True)
        sys.stdin.read()  # the generator holds its pulse until the process is dead
    log.write(bytes([int(args[0][0])]))

bench.cells.pulse = pulse
template = Pulse(rise_s=5e-9, top_s=5e-8, fall_s=5e-9, period_s=1e-6, full_scale=4e-4)
chip.program(Batch({batch_id}, np.arange(64, dtype=np.uint32), template, np.full(64, 2e-4, np.float32)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
@pytest.mark.parametrize("last", [1, 20, 33, 64])
def test_kill_9_in_the_middle_of_a_pulse(path: Path, tmp_path: Path, last: int) -> None:
    log = tmp_path / "pulses"
    here = str(Path(__file__).parent)
    code = textwrap.dedent(CHILD).format(here=here, log=str(log), journal=str(path), last=last, batch_id=3)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "now\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait(20.0)
    child.stdin.close()
    child.stdout.close()
    given = np.bincount(np.frombuffer(log.read_bytes(), np.uint8), minlength=CELLS)
    assert given.sum() == last - 1

    bench = RoleBench(FakeChip(1, 8, 8))
    with bench.ready(Journal(path, CELLS)) as chip:
        report, flags = chip.last_batch(), chip.batch_flags()
        assert (report.id, report.mine, report.state) == (3, False, State.ABORTED)
        assert (report.done, report.open, report.total) == (last - 1, 1, CELLS)
        assert (flags[: last - 1] == EntryCode.PULSED).all()
        assert flags[last - 1] == EntryCode.IN_DOUBT
        assert (flags[last:] == EntryCode.NOT_REACHED).all()
        sure = np.arange(CELLS) != last - 1
        assert np.array_equal(chip.cycles(ALL)[sure], given[sure])
        assert chip.cycles(ALL)[last - 1] == 1
        # The batch is never given again; the rest goes under a new id.
        with pytest.raises(BatchRefused):
            chip.program(Batch(3, ALL, PULSE, np.full(CELLS, 2e-4, np.float32)))
        amplitude = np.where(flags == EntryCode.NOT_REACHED, np.float32(2e-4), np.float32(np.nan))
        chip.program(Batch(chip.next_batch_id(), ALL, PULSE, amplitude))
        assert np.array_equal(bench.pulses(ALL) + given, sure)


def test_a_batch_ends_as_its_record_says(path: Path) -> None:
    half_done(path, "this run", started=4, finished=4)
    journal = Journal(path, CELLS, host="this run")
    journal.note(end_record(State.DONE, 0, 500))
    journal.close()
    assert journal.book.report("mine").done == CELLS
    assert journal.book.flags[5] == EntryCode.MASKED
