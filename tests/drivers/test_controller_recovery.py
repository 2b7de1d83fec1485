"""Whatever breaks, each pulse is given exactly once and nobody believes a value of something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_chip import Host, definite, unpulsed
from two_faces import FACES, Face, all_cells, batch, opened

from drivers.chip import EntryCode, ReadSetup, State
from drivers.controller import PcmController
from drivers.errors import (
    BatchRefused,
    BoardRestarted,
    ForeignBatch,
    InstrumentError,
    LinkError,
    LinkTimeout,
    LockRefused,
)
from drivers.sim_control import SimControl

CELLS = 256
ORDER = np.random.default_rng(2).permutation(CELLS)[:200].astype(np.uint32)


@pytest.fixture
def hasty(face: Face) -> Iterator[PcmController]:
    """A driver that does not wait long for what never comes."""
    with face.ready(timeout_s=0.2) as chip:
        yield chip


def until_deaf(face: Face, intrude: Callable[[], object]) -> None:
    """Let `intrude` act where the driver has lost its link and is about to take the lock back."""

    def before(line: str) -> None:
        if "LOCK:REQ" in line:
            face.before = None
            intrude()

    face.before = before


# ---- a batch on its way
def sizes(chip: PcmController) -> int:
    """Bytes of the message that programs `ORDER`, list and amplitudes included."""
    text = f"SYST:TAG? {chip._link._tag + 1};:SEL:LIST 1,#3800;:PROG:CELL 2,1,1,#3400;:PROG:LAST?\n"
    return len(text) - 1 + len(str(chip.next_batch_id())) + 4 * len(ORDER) + 2 * len(ORDER)


def test_a_link_that_breaks_at_any_byte_of_a_batch(face: Face, chip: PcmController) -> None:
    chip.program(batch(chip))  # so that the board has a batch and knows the template
    chip.wait(10.0)
    given, attempts = 1, set()
    for missing in [-9, -1, 0, *range(1, 60), *range(60, 1270, 55)]:
        kept = sizes(chip) - missing
        face.lines.clear()
        face.arm("DROP", "RX", kept)
        chip.program(batch(chip, ORDER))
        face.board.faults.disarm("DROP")
        given += 1
        assert chip.wait(10.0) is State.DONE
        count = face.count()
        assert (count[ORDER] == given).all()
        assert (np.delete(count, ORDER) == 1).all()
        report = chip.last_batch()
        assert (report.id, report.mine, report.total) == (given, True, len(ORDER))
        assert (chip.batch_flags() == EntryCode.PULSED).all()
        attempts.add((missing > 0, sum("PROG:CELL" in line for line in face.sent())))
        chip.outputs(False)
        with pytest.raises(BatchRefused):  # which makes the next batch send its list again
            chip.program(batch(chip))
        chip.outputs(True)
    assert attempts == {(True, 2), (False, 1)}


@pytest.mark.parametrize(
    "fault", [("MUTE", 1), ("DROP", "TX", 0), ("DROP", "TX", 4), ("DROP", "TX", 9), ("LATE", 0.6, 1)]
)
def test_a_lost_acceptance_gives_no_second_pulse(
    face: Face, hasty: PcmController, fault: tuple[object, ...]
) -> None:
    hasty.program(batch(hasty, [255]))
    hasty.wait(10.0)
    face.lines.clear()
    face.arm(*fault)
    hasty.program(batch(hasty, ORDER, count=3))
    assert sum("PROG:CELL" in line for line in face.sent()) == 1
    assert hasty.wait(10.0) is State.DONE
    assert (face.count()[ORDER] == np.where(ORDER == 255, 4, 3)).all()
    report = hasty.last_batch()
    assert (report.id, report.mine, report.done, report.open) == (2, True, len(ORDER), 0)
    hasty.program(batch(hasty, [1]))
    assert hasty.next_batch_id() == 4


def test_an_earlier_batch_that_went_on_meanwhile_is_no_foreign_one(face: Face, chip: PcmController) -> None:
    """It was still running when it was accepted, so its count of done entries is another now."""
    chip.program(batch(chip))
    chip.wait(10.0)
    face.arm("DROP", "RX", 100)
    chip.program(batch(chip))
    chip.wait(10.0)
    assert (face.count() == 2).all()


def test_a_link_that_breaks_twice_raises_and_nothing_is_lost(face: Face, chip: PcmController) -> None:
    chip.program(batch(chip))
    chip.wait(10.0)
    sent = 0

    def before(line: str) -> None:
        nonlocal sent
        if "PROG:CELL" in line:
            sent += 1
            face.arm("DROP", "RX", 50)

    face.before = before
    with pytest.raises(LinkError):
        chip.program(batch(chip, ORDER))
    face.before = None
    assert sent == 2
    assert (face.count() == 1).all()
    assert chip.next_batch_id() == 2
    chip.program(batch(chip, ORDER))
    chip.wait(10.0)
    assert (face.count()[ORDER] == 2).all()


def lose_acceptance(face: Face, chip: PcmController) -> None:
    """Program `ORDER`: the board accepts it, its answer is lost, and so is the way back to the board."""

    def before(line: str) -> None:
        if "PROG:CELL" in line:
            face.arm("DROP", "TX", 0)
        elif "LOCK:REQ" in line:
            face.arm("DROP", "RX", 1)
            face.before = None

    face.before = before
    with pytest.raises(LinkError):
        chip.program(batch(chip, ORDER))


def test_a_batch_whose_acceptance_was_never_told_is_mine(face: Face, chip: PcmController) -> None:
    lose_acceptance(face, chip)
    assert chip.wait(10.0) is State.DONE
    report = chip.last_batch()
    assert (report.id, report.mine, report.total) == (1, True, len(ORDER))
    assert (chip.batch_flags() == EntryCode.PULSED).all()
    assert chip.next_batch_id() == 2
    chip.program(batch(chip, ORDER))
    chip.wait(10.0)
    assert (face.count()[ORDER] == 2).all()


def test_a_batch_whose_acceptance_was_never_told_is_not_given_twice(face: Face, chip: PcmController) -> None:
    one = batch(chip, ORDER)
    lose_acceptance(face, chip)
    again = np.array([3, 1], np.uint32)
    with pytest.raises(BatchRefused, match="106"):
        chip.program(batch(chip, again, batch_id=1))
    with pytest.raises(BatchRefused, match="106"):
        chip.program(one)
    chip.wait(10.0)
    assert (face.count()[ORDER] == 1).all()
    assert chip.last_batch().mine
    assert chip.next_batch_id() == 2


def test_an_interrupt_right_behind_the_acceptance(face: Face, chip: PcmController) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("<") and line.count(",") == 2:  # the answer to PROG:LAST?
            raise KeyboardInterrupt

    chip.program(batch(chip, [0]))
    chip.wait(10.0)
    chip._link._note = interrupt
    with pytest.raises(KeyboardInterrupt):
        chip.program(batch(chip, ORDER))
    chip._link._note = None
    assert chip.wait(10.0) is State.DONE
    assert chip.last_batch().mine
    assert chip.next_batch_id() == 3
    assert (face.count()[ORDER] == np.where(ORDER == 0, 2, 1)).all()


def test_the_same_id_twice_is_refused(face: Face, chip: PcmController) -> None:
    one = batch(chip, ORDER)
    chip.program(one)
    chip.wait(10.0)
    with pytest.raises(BatchRefused, match=r'106,"Batch id not newer;last 1 got 1"'):
        chip.program(one)
    assert (face.count()[ORDER] == 1).all()
    assert chip.last_batch().mine


# ---- somebody else at the board
def program_as(host: Host, batch_id: int) -> None:
    host.template(20)
    host.send("FORM:PROG U8;:SEL:ALL 9")
    host.send(f"PROG:CELL {batch_id},9,20,".encode(), definite(b"\x01" * CELLS), b";*WAI")
    assert host.errors() == []


@pytest.mark.parametrize("kept", [0, 30, 1000])
def test_a_foreign_batch_under_our_next_id_is_noticed(face: Face, chip: PcmController, kept: int) -> None:
    def intrude() -> None:
        other = Host(face.board, "other")
        program_as(other, 1)
        other.link.end()

    until_deaf(face, intrude)
    face.arm("DROP", "RX", kept)
    with pytest.raises(
        ForeignBatch, match="board's last batch is 1, and this host did not send it"
    ) as caught:
        chip.program(batch(chip, ORDER))
    assert caught.value.batch_id == 1
    assert (face.count() == 1).all()
    assert not chip.last_batch().mine
    assert chip.batch_flags().size == CELLS
    assert chip.next_batch_id() == 2  # who knows what he does may go on
    chip.program(batch(chip, ORDER))
    chip.wait(10.0)
    assert (face.count()[ORDER] == 2).all()


def test_a_foreign_batch_is_noticed_by_the_first_message_behind_it(face: Face, chip: PcmController) -> None:
    def intrude() -> None:
        other = Host(face.board, "other")
        program_as(other, 5)
        other.link.end()

    until_deaf(face, intrude)
    face.arm("DROP", "RX", 3)
    with pytest.raises(ForeignBatch):
        chip.read(all_cells(chip), ReadSetup())
    assert chip.next_batch_id() == 6


def test_another_host_that_holds_the_lock_is_left_alone(face: Face, chip: PcmController) -> None:
    others: list[Host] = []
    until_deaf(face, lambda: others.append(Host(face.board, "other")))
    face.arm("DROP", "RX", 10)
    with pytest.raises(LockRefused):
        chip.program(batch(chip, ORDER))
    assert not face.count().any()
    with pytest.raises(LockRefused):
        chip.program(batch(chip, ORDER))
    assert others[0].ask("SYST:LOCK:OWN?") == "1"
    others[0].link.end()
    with pytest.raises(LockRefused, match="another host controlled the board"):
        chip.clock_ns()
    chip.program(batch(chip, ORDER))
    chip.wait(10.0)
    assert (face.count()[ORDER] == 1).all()


@pytest.mark.parametrize("what", ["program", "read", "cycles", "clock_ns"])
def test_lists_another_host_has_replaced_are_never_used(face: Face, chip: PcmController, what: str) -> None:
    cells = np.array([9, 5, 7], np.uint32)
    chip.program(batch(chip, cells))
    chip.wait(10.0)
    assert chip.read(cells, ReadSetup()).g_s.size == 3

    def intrude() -> None:
        other = Host(face.board, "other")
        for handle in range(1, 9):
            other.send(f"SEL:LIST {handle},", definite(np.array([100, 101, 102], "<u4").tobytes()))
        other.send("READ:VOLT 0.05")
        other.link.end()

    calls: dict[str, Callable[[], object]] = {
        "program": lambda: chip.program(batch(chip, cells)),
        "read": lambda: chip.read(cells, ReadSetup()),
        "cycles": lambda: chip.cycles(cells),
        "clock_ns": chip.clock_ns,
    }
    until_deaf(face, intrude)
    face.arm("DROP", "RX", 5)
    with pytest.raises(LockRefused, match="mask and settings may have changed"):
        calls[what]()
    assert face.count().sum() == 3
    chip.program(batch(chip, cells))
    chip.wait(10.0)
    assert np.array_equal(np.flatnonzero(face.count()), np.sort(cells))
    assert chip.cycles(cells).tolist() == [2, 2, 2]
    others = np.array([200, 30], np.uint32)
    assert np.allclose(chip.read(others, ReadSetup()).g_s, unpulsed(others), rtol=1e-5)
    assert face.board.read_settings.voltage_v == 0.2


# ---- queries
FAULTS: list[tuple[object, ...]] = [
    ("MUTE", 1),
    ("LATE", 0.6, 1),
    ("DROP", "RX", 8),
    ("DROP", "TX", 2),
    ("DROP", "TX", 40),
    ("TRUN", 20),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_query_survives_a_broken_answer(
    face: Face, hasty: PcmController, fault: tuple[object, ...]
) -> None:
    hasty.program(batch(hasty, ORDER, np.linspace(1e-4, 5e-4, len(ORDER))))
    hasty.wait(10.0)
    good = hasty.read(ORDER, ReadSetup()).g_s
    flags, stamps = hasty.batch_flags(), hasty.pulse_times_ns()
    report, boot, epoch = hasty.last_batch(), hasty.boot_id(), hasty.clock_ns()
    fresh = np.array([254, 3, 40], np.uint32)
    truth = face.board.chip.conductance_s[fresh]
    checks: list[Callable[[], bool]] = [
        lambda: np.array_equal(hasty.read(ORDER, ReadSetup()).g_s, good),
        lambda: np.allclose(hasty.read(fresh, ReadSetup()).g_s, truth, rtol=1e-5),
        lambda: np.array_equal(hasty.cycles(ORDER), np.ones(len(ORDER))),
        lambda: np.array_equal(hasty.batch_flags(), flags),
        lambda: np.array_equal(hasty.pulse_times_ns(), stamps),
        lambda: hasty.last_batch() == report,
        lambda: hasty.boot_id() == boot,
        lambda: hasty.clock_ns() > epoch,
        lambda: hasty.temperature_k() == 300.0,
        lambda: hasty.wait(0.2) is State.DONE,
        lambda: hasty.errors() == [],
    ]
    for check in checks if fault[0] not in ("LATE", "MUTE") else checks[::2]:
        face.arm(*fault)
        assert check()
        face.board.faults.disarm()
    assert face.count().sum() == len(ORDER)


def test_errors_of_a_broken_link_are_still_told(face: Face, chip: PcmController) -> None:
    chip.send(["FOO"])
    chip.send(["BAR"])
    chip.clock_ns()  # both have arrived
    face.arm("DROP", "RX", 5)
    assert [error.info for error in chip.errors()] == ["FOO", "BAR"]


def test_faults_armed_by_the_driver_hit_its_next_message(face: Face, hasty: PcmController) -> None:
    sim = SimControl(hasty)
    for fault in (("MUTE", 1), ("DROP", "RX", 4), ("DROP", "TX", 3), ("TRUN", 30), ("LATE", 0.6, 1)):
        before = len(face.sent())
        sim.fault(*fault)
        assert len(face.sent()) == before + 1
        assert np.allclose(hasty.read(ORDER, ReadSetup()).g_s, unpulsed(ORDER), rtol=1e-5)
        assert face.board.faults.names() == "0"
        assert len(face.sent()) > before + 2


def test_a_board_that_stays_silent(face: Face, hasty: PcmController) -> None:
    face.arm("MUTE", 1000)
    with pytest.raises(LinkTimeout, match=r"did not answer within 0\.2 s"):
        hasty.clock_ns()
    with pytest.raises(LinkTimeout):
        hasty.program(batch(hasty))
    face.board.faults.disarm()
    assert hasty.wait(5.0) in (State.DONE, State.IDLE)
    assert hasty.clock_ns() > 0
    assert (face.count() <= 1).all()


# ---- the board restarts
@pytest.mark.parametrize("entry", range(0, CELLS, CELLS // 8))
def test_a_restart_in_the_middle_of_a_batch(face: Face, chip: PcmController, entry: int) -> None:
    chip.program(batch(chip, [0]))
    chip.wait(10.0)
    boot = chip.boot_id()
    SimControl(chip).fault("BOOT", entry)
    chip.program(batch(chip))
    with pytest.raises(BoardRestarted) as caught:
        chip.wait(10.0)
    assert caught.value.batch_id == 2
    assert caught.value.before == boot
    assert caught.value.now == chip.boot_id() != boot
    assert chip.next_batch_id() == 1
    count = face.count()
    assert (count[1 : entry // 32 * 32] == 1).all()
    assert not count[entry // 32 * 32 + 32 :].any()
    report = chip.last_batch()
    assert (report.id, report.mine, report.state) == (0, False, State.IDLE)
    with pytest.raises(BatchRefused, match="207"):
        chip.program(batch(chip))
    chip.power(True)
    chip.outputs(True)
    assert np.allclose(chip.read(all_cells(chip), ReadSetup()).g_s, face.board.chip.conductance_s, rtol=1e-5)
    chip.program(batch(chip, ORDER))
    assert chip.wait(10.0) is State.DONE
    assert np.array_equal(face.count()[ORDER], count[ORDER] + 1)


def test_a_restart_between_batches_leaves_none_in_doubt(face: Face, chip: PcmController) -> None:
    chip.program(batch(chip))
    chip.wait(10.0)
    SimControl(chip).fault("BOOT")
    with pytest.raises(BoardRestarted, match="what it was told is lost") as caught:
        chip.read(ORDER, ReadSetup())
    assert caught.value.batch_id is None
    chip.power(True)
    chip.outputs(True)
    chip.program(batch(chip, ORDER))
    chip.wait(10.0)
    assert (face.count()[ORDER] == 2).all()


def test_a_batch_that_meets_a_restarted_board_is_not_sent_again(face: Face, chip: PcmController) -> None:
    chip.program(batch(chip))
    chip.wait(10.0)
    SimControl(chip).fault("BOOT")
    with pytest.raises(BoardRestarted) as caught:
        chip.program(batch(chip))
    assert caught.value.batch_id == 2
    assert (face.count() == 1).all()


# ---- operations that end early
def brackets(face: Face, chip: PcmController, count: int) -> tuple[int, int]:
    """Compare the report with the pulses really given; returns done and open."""
    report, flags = chip.last_batch(), chip.batch_flags()
    pulses = face.count()[ORDER]
    assert (pulses[: report.done] == count).all()
    assert (pulses[report.done : report.done + report.open] <= count).all()
    assert not pulses[report.done + report.open :].any()
    assert (flags[: report.done] == EntryCode.PULSED).all()
    assert np.isin(flags[report.done : report.done + report.open], (0, 1, 4)).all()
    assert not flags[report.done + report.open :].any()
    assert np.array_equal(SimControl(chip).pulses(ORDER), pulses)
    return report.done, report.open


@pytest.mark.parametrize(("fault", "code", "count"), [("OCP", 202, 1), ("SUPP", 209, 5)])
@pytest.mark.parametrize("eighth", range(8))
def test_a_trip_anywhere_in_a_batch(
    face: Face, chip: PcmController, fault: str, code: int, eighth: int, count: int
) -> None:
    SimControl(chip).fault(fault, eighth * len(ORDER) // 8)
    chip.program(batch(chip, ORDER, count=count))
    assert chip.wait(10.0) is State.TRIP
    report = chip.last_batch()
    assert (report.state, report.code, report.mine) == (State.TRIP, code, True)
    done, open_ = brackets(face, chip, count)
    assert 0 < open_ <= 32
    assert done <= eighth * len(ORDER) // 8 < done + open_
    with pytest.raises(BatchRefused, match="207"):
        chip.program(batch(chip, ORDER))
    assert [error.code for error in chip.errors()] in ([], [code])
    chip.power(False)
    chip.power(True)
    chip.outputs(True)
    rest = np.full(len(ORDER), 1e-4, np.float32)
    rest[: done + open_] = np.nan
    before = face.count()[ORDER]
    chip.program(batch(chip, ORDER, rest, count=count))
    assert chip.wait(10.0) is State.DONE
    after = face.count()[ORDER]
    assert np.array_equal(after[: done + open_], before[: done + open_])
    assert (after[done + open_ :] == count).all()


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 2.9])
def test_abort(face: Face, chip: PcmController, seconds: float) -> None:
    chip.program(batch(chip, ORDER, count=500_000))
    SimControl(chip).advance(seconds)
    assert chip.last_batch().state is State.RUN
    chip.abort()
    assert chip.last_batch().state is State.ABORTED
    done, open_ = brackets(face, chip, 500_000)
    assert open_ == 0
    assert done == 32 * (int(seconds / 0.5) + 1)
    assert face.board.outputs
    chip.abort()
    assert chip.wait(1.0) is State.ABORTED


def test_a_failed_read_tells_how_it_ended(face: Face, chip: PcmController) -> None:
    face.board.chip.on_pulse = None
    chip.program(batch(chip, count=1_000_000))
    chip.safe()
    assert chip.wait(5.0) is State.SAFE
    with pytest.raises(InstrumentError, match="207"):
        chip.read(ORDER, ReadSetup())


# ---- the emergency stop
def wait(chip: PcmController, ends: list[State]) -> None:
    ends.append(chip.wait(20.0))


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def assert_safe(face: Face) -> None:
    """Outputs are off; over the socket the board's thread may need a moment."""
    assert until(lambda: face.board.power == "SAFE")
    assert not face.board.outputs


def test_safe_while_another_thread_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind in FACES:
        for face in opened(kind, monkeypatch, tmp_path / kind, rows=1024, cols=1024):
            with face.ready() as chip:
                begun, stopped = threading.Event(), threading.Event()

                def slow(begun: threading.Event = begun, stopped: threading.Event = stopped) -> None:
                    begun.set()
                    stopped.wait(0.1)

                face.board.chip.on_pulse = slow
                ends: list[State] = []
                chip.program(batch(chip))
                thread = threading.Thread(target=wait, args=(chip, ends))
                thread.start()
                assert begun.wait(10.0)
                chip.safe()
                stopped.set()
                thread.join()
                assert ends == [State.SAFE]
                assert_safe(face)
                report = chip.last_batch()
                assert 0 < report.done < 1024 * 1024
                count = face.count()
                assert (count[: report.done] == 1).all()
                assert not count[report.done + report.open :].any()


def test_safe_after_the_link_was_closed(face: Face, chip: PcmController) -> None:
    chip.close()
    assert face.board.outputs
    chip.safe()
    assert_safe(face)


def test_safe_with_a_broken_link(face: Face, chip: PcmController) -> None:
    face.arm("DROP", "RX", 3)
    chip.send(["SYST:TIME:EPOC 1"])
    assert until(lambda: face.board.access.owner is None)
    chip.safe()
    assert_safe(face)


def test_safe_with_all_links_taken(face: Face, chip: PcmController) -> None:
    others = [face.link() for _ in range(3)]
    chip.safe()
    assert_safe(face)
    for other in others:
        other.close()
    assert chip.clock_ns() > 0


def test_safe_when_nobody_is_there_any_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for face in opened("socket", monkeypatch, tmp_path):
        chip = face.open()
    chip.safe()
    chip.close()
    with pytest.raises(LinkError):
        chip.clock_ns()
