"""A fair lock, so that an emergency stop is served between two slices of a long operation, and a signal shield."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["FairLock", "signals_deferred"]


class FairLock:
    """A mutex that is handed over in the order of arrival; not reentrant."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._held = False

    @property
    def contended(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._queue)

    def acquire(self) -> None:
        """Wait for the lock."""
        with self._guard:
            if not self._held:
                self._held = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._queue.append(gate)
        try:
            gate.acquire()
        except BaseException:  # a signal's exception while waiting must not swallow the hand-over
            with self._guard:
                waiting = gate in self._queue
                if waiting:
                    self._queue.remove(gate)
            if not waiting:
                self.release()
            raise

    def release(self) -> None:
        """Hand the lock to whoever waits longest."""
        with self._guard:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._held = False

    def give_way(self) -> None:
        """Let those who wait go first; call only while holding the lock."""
        if self.contended:
            self.release()
            self.acquire()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_SHIELDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Hold back SIGINT, SIGTERM and SIGHUP until the block is over, in the main thread.

    A board does not stop between two of its own steps because the host was interrupted: an exception raised in
    the middle of one would leave pulses given but not booked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[tuple[int, FrameType | None]] = []

    def remember(number: int, frame: FrameType | None) -> None:
        pending.append((number, frame))

    previous: dict[signal.Signals, Any] = {}
    try:
        for number in _SHIELDED:
            if callable(signal.getsignal(number)):
                previous[number] = signal.signal(number, remember)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for caught, frame in pending:
            previous[signal.Signals(caught)](caught, frame)
