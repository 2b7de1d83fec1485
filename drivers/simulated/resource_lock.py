"""VISA locks on one resource: exclusive, or shared by a key."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

__all__ = ["ResourceLock"]


class ResourceLock:
    """Who may use a resource; sessions are told apart by any hashable object."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._exclusive: object | None = None
        self._depth = 0
        self._sharing: dict[object, int] = {}
        self._key = ""

    def may_use(self, session: object) -> bool:
        """Whether `session` may read and write now."""
        if self._exclusive is None and not self._sharing:  # nearly always, and every read and write asks
            return True
        with self._changed:
            return self._allowed(session)

    def _allowed(self, session: object) -> bool:
        if self._exclusive is not None:
            return self._exclusive is session
        return not self._sharing or session in self._sharing

    def state(self) -> int:
        """0 unlocked, 1 exclusive, 2 shared (VI_NO_LOCK, VI_EXCLUSIVE_LOCK, VI_SHARED_LOCK)."""
        with self._changed:
            if self._exclusive is not None:
                return 1
            return 2 if self._sharing else 0

    def held_by(self, session: object) -> int:
        """0: a session holds nothing, 1: the exclusive lock, 2: the shared one."""
        with self._changed:
            if self._exclusive is session:
                return 1
            return 2 if session in self._sharing else 0

    def holders(self) -> int:
        """How many sessions hold it, alone or together."""
        with self._changed:
            return len({*self._sharing, *(() if self._exclusive is None else (self._exclusive,))})

    def wait_until_usable(self, session: object, timeout_s: float) -> bool:
        """Wait until no other session's lock keeps `session` out; False where it still does after the time-out."""
        with self._changed:
            return self._wait(lambda: self._allowed(session), timeout_s)

    def acquire_exclusive(self, session: object, timeout_s: float) -> bool:
        """Lock for `session` alone; False where others hold it for longer than the time-out."""
        with self._changed:
            if not self._wait(lambda: self._allowed(session), timeout_s):
                return False
            if len(self._sharing) > 1:  # others share it
                return False
            self._exclusive = session
            self._depth += 1
            return True

    def acquire_shared(self, session: object, timeout_s: float, key: str | None) -> str | None:
        """Share the lock under a key; returns the key, None where it is refused."""
        with self._changed:

            def joinable() -> bool:
                if self._exclusive is not None and self._exclusive is not session:
                    return False
                return not self._sharing or session in self._sharing or (key is not None and key == self._key)

            if not self._wait(joinable, timeout_s):
                return None
            if not self._sharing:
                self._key = key or uuid.uuid4().hex
            self._sharing[session] = self._sharing.get(session, 0) + 1
            return self._key

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return condition()
        return True

    def release(self, session: object) -> bool:
        """Undo one acquisition; False where the session holds none."""
        with self._changed:
            if self._exclusive is session:
                self._depth -= 1
                if not self._depth:
                    self._exclusive = None
            elif session in self._sharing:
                self._sharing[session] -= 1
                if not self._sharing[session]:
                    del self._sharing[session]
            else:
                return False
            self._changed.notify_all()
            return True

    def forget(self, session: object) -> None:
        """Drop everything a session holds."""
        with self._changed:
            if self._exclusive is session:
                self._exclusive, self._depth = None, 0
            self._sharing.pop(session, None)
            self._changed.notify_all()
