"""The board's clock: integer nanoseconds that move by message, by command or with the wall, never by accident."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["TIME_END_NS", "VirtualClock"]

TIME_END_NS = 2**63
"""Board times stay below this, so that they fit a signed 64-bit integer (controller-protocol §3.2)."""


class VirtualClock:
    """Time since boot.

    Parameters
    ----------
    rate : float
        0 virtual time only, 1 wall clock, x that many times faster.
    wall_ns : callable
        Monotonic wall clock, nanoseconds.
    """

    def __init__(self, rate: float = 0.0, wall_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall_ns = wall_ns
        self._rate = rate
        self._reached = 0
        self._anchor_ns = 0
        self._anchor_wall_ns = wall_ns()

    @property
    def rate(self) -> float:
        """Board seconds per wall second; 0 where time does not flow by itself."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        self._anchor_ns, self._anchor_wall_ns = max(self.target_ns(), self._reached), self._wall_ns()
        self._rate = value

    @property
    def now_ns(self) -> int:
        """Time up to which the board has lived."""
        return self._reached

    def target_ns(self) -> int:
        """Time the board should have reached by now: the wall's at a rate, else where it stands."""
        if not self._rate:
            return self._reached
        flowed = (self._wall_ns() - self._anchor_wall_ns) * self._rate
        return min(max(self._reached, self._anchor_ns + int(flowed)), TIME_END_NS - 1)

    def reach(self, time_ns: int) -> None:
        """Move forward to `time_ns`; going back is not possible."""
        if time_ns > self._reached:
            self._reached = time_ns

    def jump(self, time_ns: int) -> None:
        """Move to `time_ns` and let the wall flow on from there."""
        self.reach(time_ns)
        self._anchor_ns, self._anchor_wall_ns = self._reached, self._wall_ns()

    def wall_s_until(self, time_ns: int) -> float:
        """Wall seconds until the clock gets to `time_ns`; 0 where only a command moves it."""
        if not self._rate:
            return 0.0
        return max(0.0, (time_ns - self.target_ns()) / self._rate * 1e-9)

    def restart(self) -> None:
        """Begin at zero again, as after a boot."""
        self._reached = self._anchor_ns = 0
        self._anchor_wall_ns = self._wall_ns()
