from __future__ import annotations

import time

import pytest

from labkit.clock import FEED_S, Clock, VirtualClock, WallClock

BORN_NS = 1_767_225_600_000_000_000
DAY_S = 86_400.0


class Board:
    """A simulated board's time, with the watchdog of controller-protocol §4."""

    def __init__(self, absolute_ns: int = 5_000_000_000) -> None:
        self.absolute_ns = absolute_ns
        self.advances: list[float] = []
        self.energised = True

    def advance(self, seconds: float) -> None:
        assert 0 <= seconds <= 9e9
        if self.energised:
            assert seconds < 600, "the watchdog would have switched the board off"
        self.advances.append(seconds)
        self.absolute_ns += round(seconds * 1e9)

    def absolute_time(self) -> tuple[int, int]:
        return self.absolute_ns, BORN_NS


def test_unix_time_is_the_birth_of_the_chip_plus_its_own_time() -> None:
    assert VirtualClock(Board(absolute_ns=7)).now_unix_ns() == BORN_NS + 7
    a_month_later = VirtualClock(Board(absolute_ns=2_629_800_000_000_000))
    assert a_month_later.now_unix_ns() == BORN_NS + 2_629_800_000_000_000


def test_a_day_is_advanced_exactly_and_feeds_the_watchdog() -> None:
    board = Board()
    clock = VirtualClock(board)
    start_ns = clock.now_unix_ns()
    clock.advance(DAY_S + 0.25)
    assert clock.now_unix_ns() - start_ns == 86_400_250_000_000
    assert max(board.advances) <= FEED_S
    assert len(board.advances) == 289


def test_without_power_a_year_is_one_message() -> None:
    board = Board()
    board.energised = False
    VirtualClock(board, energised=lambda: board.energised).advance(365 * DAY_S)
    assert board.advances == [365 * DAY_S]


def test_sleep_until_ends_at_the_moment_and_never_goes_back() -> None:
    board = Board()
    clock = VirtualClock(board)
    goal_ns = clock.now_unix_ns() + 3_600_000_000_000
    clock.sleep_until(goal_ns)
    assert clock.now_unix_ns() == goal_ns
    clock.sleep_until(goal_ns - 1)
    assert clock.now_unix_ns() == goal_ns


@pytest.mark.parametrize("clock", [VirtualClock(Board()), WallClock()])
def test_impossible_waits_are_refused(clock: Clock) -> None:
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            clock.advance(seconds)


@pytest.mark.parametrize("clock", [VirtualClock(Board()), WallClock()])
def test_both_are_clocks(clock: Clock) -> None:
    assert isinstance(clock, Clock)
    assert clock.virtual is isinstance(clock, VirtualClock)


def test_the_wall_clock_sleeps_and_feeds_the_board_meanwhile() -> None:
    fed: list[float] = []
    clock = WallClock(feed=lambda: fed.append(time.monotonic()), feed_s=0.02)
    start_s = time.monotonic()
    clock.advance(0.09)
    end_s = time.monotonic()
    assert end_s - start_s >= 0.09
    gaps = [b - a for a, b in zip([start_s, *fed], [*fed, end_s], strict=True)]
    assert len(fed) >= 1
    assert min(gaps) >= 0.0
    assert len(fed) <= 4, "feeding is for silences, not for every moment"


def test_the_wall_clock_tells_unix_time_and_waits_for_it() -> None:
    clock = WallClock()
    before_ns = time.time_ns()
    clock.sleep_until(before_ns + 20_000_000)
    assert clock.now_unix_ns() - before_ns >= 20_000_000
    start_s = time.monotonic()
    clock.sleep_until(before_ns)
    assert time.monotonic() - start_s < 5.0


def test_a_short_wait_sends_nothing() -> None:
    def fail() -> None:
        raise AssertionError("no message was due")

    WallClock(feed=fail).advance(0.001)
