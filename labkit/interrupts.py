"""Signals that end a program: held back while a message is on its way, raised as ``Interrupted`` after it.

Ctrl-C, SIGTERM and SIGHUP would by default strike in the middle of a block (leaving the link out of step) or
end the process without running any ``finally``. While a bench is open they become an exception between two
messages, so that the station can make its instruments safe. A second signal does not wait for the message.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

from labkit.errors import Interrupted

__all__ = ["SIGNALS", "interrupts"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What is turned into an exception."""


class _Interrupts:
    """The one state of a process: signals belong to it, however many stations are open."""

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._users = 0
        self._messages = 0
        self._pending: int | None = None
        self._uninterruptible: set[CodeType] = set()

    def install(self) -> bool:
        """Take the signals over; True where :meth:`restore` is owed.

        Only the main thread can. A signal the program was started to ignore (``nohup``) stays ignored.
        """
        if not _in_main_thread():
            return False
        self._users += 1
        if self._users == 1:
            self._pending = None
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._handle)
        return True

    def restore(self) -> None:
        """Give the signals back to whoever had them before the matching :meth:`install`."""
        self._users -= 1
        if self._users == 0:
            while self._previous:
                signal.signal(*self._previous.popitem())

    def uninterruptible(self, function: _Function) -> _Function:
        """Decorate a function that no signal ends: it is held back until :meth:`raise_pending`.

        The handler recognises the function by its code, so that not even a signal that strikes on the way
        into it (before its first statement could hold anything back) gets through.
        """
        self._uninterruptible.add(function.__code__)
        return function

    @contextmanager
    def message(self) -> Iterator[None]:
        """Hold signals back while a message is on its way.

        Raises
        ------
        Interrupted
            After the message, where a signal came meanwhile; not where the message itself failed.
        """
        if not _in_main_thread():
            yield
            return
        self._messages += 1
        try:
            yield
        finally:
            self._messages -= 1
        if self._messages == 0 and not self._is_protected(sys._getframe()):
            self.raise_pending()

    def raise_pending(self) -> None:
        """Raise Interrupted where a signal was held back."""
        if self._pending is not None and _in_main_thread():
            number, self._pending = self._pending, None
            raise Interrupted(signal=number)

    def forget_pending(self) -> None:
        """Drop a held-back signal: the program is on its way out already."""
        self._pending = None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if (self._messages and self._pending is None) or self._is_protected(frame):
            self._pending = signum
        else:
            self._pending = None
            raise Interrupted(signal=signum)

    def _is_protected(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code in self._uninterruptible:
                return True
            frame = frame.f_back
        return False


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


interrupts = _Interrupts()
"""The signals of this process."""
