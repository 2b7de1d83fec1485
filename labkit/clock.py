"""The station's clock: the only place of ``labkit`` where time passes.

On a bench it is the computer's clock; on a simulated board it is the board's own virtual one, where a day
of drift costs a few messages. Both keep the board's watchdog fed while they wait (controller-protocol §4: a
board that hears nothing for 600 s opens its outputs).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

__all__ = ["FEED_S", "Clock", "TimeControl", "VirtualClock", "WallClock"]

FEED_S = 300.0
"""Longest silence towards a board: half of its watchdog's 600 s."""

_LONGEST_ADVANCE_S = 9e9  # of SIM:TIME:ADV, controller-protocol §11


@runtime_checkable
class Clock(Protocol):
    """What tells and passes the time of a station."""

    @property
    def virtual(self) -> bool:
        """True where waiting costs no real time."""

    def now_unix_ns(self) -> int:
        """Unix time, integer nanoseconds."""

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; ValueError for a negative or endless time."""

    def sleep_until(self, unix_ns: int) -> None:
        """Let time pass until `unix_ns`; returns at once where that is past."""


class TimeControl(Protocol):
    """What moves the clock of a simulated board: ``drivers.sim_control.SimControl``."""

    def advance(self, seconds: float) -> object:
        """Move the board's clock forward."""

    def absolute_time(self) -> tuple[int, int]:
        """Nanoseconds since the chip was made, and the Unix time at which that was."""


class WallClock:
    """The computer's clock, for real instruments.

    Parameters
    ----------
    feed : callable, optional
        Sends any message to the board; called at least every `feed_s` seconds while waiting.
    feed_s : float
        Longest time without feeding, seconds.
    """

    virtual = False

    def __init__(self, feed: Callable[[], object] | None = None, *, feed_s: float = FEED_S) -> None:
        self._feed = feed
        self._feed_s = feed_s

    def now_unix_ns(self) -> int:
        """Unix time of the computer, ns."""
        return time.time_ns()

    def advance(self, seconds: float) -> None:
        """Sleep; measured on the monotonic clock, so that setting the computer's time does not matter."""
        end = time.monotonic() + _checked(seconds)
        while (left_s := end - time.monotonic()) > 0:
            self._slice(left_s)

    def sleep_until(self, unix_ns: int) -> None:
        """Sleep until a Unix time; follows the computer's clock where that is set meanwhile."""
        while (left_ns := unix_ns - time.time_ns()) > 0:
            self._slice(left_ns / 1e9)

    def _slice(self, left_s: float) -> None:
        time.sleep(min(left_s, self._feed_s))
        if self._feed is not None and left_s > self._feed_s:
            self._feed()


class VirtualClock:
    """The clock of a simulated board: Unix time is the chip's birth plus its own time.

    A month simulated yesterday therefore stays in the past today.

    Parameters
    ----------
    control : TimeControl
        Moves and tells the board's time.
    energised : callable, optional
        False while the board's power is off for certain: then no watchdog runs, and a wait is one message.
    feed_s : float
        Longest advance in one message while energised, seconds.
    message : callable, optional
        Context manager around each message; the station holds signals back with it.
    """

    virtual = True

    def __init__(
        self,
        control: TimeControl,
        *,
        energised: Callable[[], bool] = lambda: True,
        feed_s: float = FEED_S,
        message: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._control = control
        self._energised = energised
        self._feed_s = feed_s
        self._message = message

    def now_unix_ns(self) -> int:
        """Birth of the chip plus its own time, ns; asking takes the (virtual) time of a message."""
        with self._message():
            absolute_ns, born_unix_ns = self._control.absolute_time()
        return int(born_unix_ns) + int(absolute_ns)

    def advance(self, seconds: float) -> None:
        """Move the board's clock forward, in slices while it is energised."""
        left_s = _checked(seconds)
        while left_s > 0:
            slice_s = min(left_s, self._feed_s if self._energised() else _LONGEST_ADVANCE_S)
            with self._message():
                self._control.advance(slice_s)
            left_s -= slice_s

    def sleep_until(self, unix_ns: int) -> None:
        """Move the board's clock forward to a Unix time."""
        if (left_ns := unix_ns - self.now_unix_ns()) > 0:
            self.advance(left_ns / 1e9)


def _checked(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"cannot wait {seconds} s: waiting times are finite and not negative")
    return float(seconds)
