"""A fair lock, so that an emergency stop is served between two slices of a long operation, and a signal shield."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the wrappers of signal take most of the time here
import signal
import threading
from collections import deque
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["FairLock", "signals_deferred"]


class FairLock:
    """A mutex that is handed over in the order of arrival.

    A thread that holds it may take it again: the garbage collector comes by in the middle of an action, and a VISA
    resource nobody closed says good-bye to its instrument then.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._held = False
        self._owner = 0
        self._again = 0

    @property
    def contended(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._queue)

    def acquire(self) -> None:
        """Wait for the lock."""
        me = threading.get_ident()
        if self._owner == me:
            self._again += 1
            return
        with self._guard:
            if not self._held:
                self._held = True
                self._owner = me
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
        self._owner = me

    def release(self) -> None:
        """Hand the lock to whoever waits longest."""
        if self._again:
            self._again -= 1
            return
        self._owner = 0
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


_SHIELDED = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class _Held:
    """Takes the place of the handlers while signals are held back."""

    __slots__ = ("came",)

    def __init__(self) -> None:
        self.came: list[tuple[int, FrameType | None]] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came.append((number, frame))


class signals_deferred:  # noqa: N801 - reads as the statement it makes
    """Hold back SIGINT, SIGTERM and SIGHUP until the block is over, in the main thread.

    A board does not stop between two of its own steps because the host was interrupted: an exception raised in
    the middle of one would leave pulses given but not booked. Every message to a simulated instrument goes through
    here, so nothing is done that need not be: a block inside another changes nothing.
    """

    __slots__ = ("_held", "_previous")

    def __enter__(self) -> None:
        self._previous: list[tuple[int, Any]] = []
        if threading.get_ident() != threading.main_thread().ident:
            return
        self._held = held = _Held()
        try:
            for number in _SHIELDED:
                handler = _signal.getsignal(number)
                if callable(handler) and type(handler) is not _Held:
                    self._previous.append((number, handler))
                    _signal.signal(number, held)
        except BaseException:
            if self._previous:
                self._restore(self._previous)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous:
            handlers = dict(self._previous)
            self._restore(self._previous)
            for caught, frame in self._held.came:
                handlers[caught](caught, frame)

    def _restore(self, left: list[tuple[int, Any]]) -> None:
        number, handler = left.pop()
        try:
            _signal.signal(number, handler)
        finally:  # a handler that is back may raise at once
            if left:
                self._restore(left)
