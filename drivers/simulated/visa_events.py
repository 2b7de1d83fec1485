"""Service requests of a twin as VISA events: queued, or told to handlers in a thread of their own, as VISA does."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from pyvisa.constants import EventMechanism, StatusCode

from drivers.simulated.twin_link import TwinLink

__all__ = ["ServiceRequests"]

_QUEUE_MAX = 50
"""Events kept before further ones are lost: the default of VI_ATTR_MAX_QUEUE_LENGTH."""

_TICK_S = 0.005
_AT_ONCE = 10_000
_log = logging.getLogger(__name__)


class ServiceRequests:
    """The service requests of one session.

    One is raised where the instrument begins to assert SRQ, and at once where it already does when events are
    enabled: a simulated operation is often over before its program comes to wait for it.
    """

    def __init__(self, link: TwinLink) -> None:
        self._link = link
        self._changed = threading.Condition()
        self._queue: deque[int] = deque()
        self._untold: deque[int] = deque()
        self._mechanisms = 0
        self._handlers: list[Callable[[], object]] = []
        self._teller: threading.Thread | None = None

    # ---- switching on and off -----------------------------------------------------------------------------
    def enable(self, mechanism: int) -> StatusCode:
        """Begin to collect events."""
        wanted = int(mechanism)
        handled = int(EventMechanism.handler)
        if wanted & handled and not self._handlers:
            return StatusCode.error_handler_not_installed
        if self._mechanisms & wanted == wanted:
            return StatusCode.success_event_already_enabled
        watched, self._mechanisms = bool(self._mechanisms), self._mechanisms | wanted
        if wanted & handled and self._teller is None:
            self._teller = threading.Thread(target=self._tell, name="visa-events", daemon=True)
            self._teller.start()
        if not watched:
            self._link.watch(self._raised)
        return StatusCode.success

    def disable(self, mechanism: int) -> StatusCode:
        """Collect no more events; those queued stay."""
        before = self._mechanisms
        self._mechanisms &= ~int(mechanism)
        if before and not self._mechanisms:
            self._link.watch(None)
        if not self._mechanisms & int(EventMechanism.handler):
            self._stop_telling()
        return StatusCode.success if before else StatusCode.success_event_already_disabled

    def discard(self) -> StatusCode:
        """Forget queued events."""
        with self._changed:
            empty = not self._queue
            self._queue.clear()
        return StatusCode.success_queue_already_empty if empty else StatusCode.success

    def install(self, handler: Callable[[], object]) -> None:
        """Have a handler called for each event, once handlers are enabled."""
        self._handlers.append(handler)

    def uninstall(self, handler: Callable[[], object]) -> None:
        """Call a handler no more."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def close(self) -> None:
        """Forget everything."""
        self.disable(int(EventMechanism.all))
        self._handlers.clear()

    # ---- what happens -----------------------------------------------------------------------------------------
    def _raised(self, _byte: int) -> None:
        """Note an event; the instrument's lock is held, so nobody is called from here."""
        with self._changed:
            if self._mechanisms & int(EventMechanism.queue) and len(self._queue) < _QUEUE_MAX:
                self._queue.append(1)
            if self._mechanisms & int(EventMechanism.handler):
                self._untold.append(1)
            self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> StatusCode:
        """Take an event out of the queue; where the instrument is at work, the bench's time moves on meanwhile."""
        if not self._mechanisms & int(EventMechanism.queue):
            return StatusCode.error_not_enabled
        left_s, at_once = math.inf if timeout_s is None else timeout_s, 0
        while not self._queue and left_s > 0 and (due_s := self._link.due_s()) is not None:
            step_s = min(due_s, left_s)
            self._link.pass_s(step_s)
            at_once += step_s == 0
            if at_once > _AT_ONCE:  # it goes on for ever without any time passing
                break
            left_s -= step_s
        deadline = time.monotonic() + left_s
        with self._changed:
            while not self._queue:
                wait_s = deadline - time.monotonic()
                if wait_s <= 0:
                    return StatusCode.error_timeout
                self._changed.wait(min(wait_s, 1.0))
            self._queue.popleft()
            return StatusCode.success_queue_not_empty if self._queue else StatusCode.success

    def _tell(self) -> None:
        """Call the handlers, without any lock; a program that waits for them lets the bench's time pass."""
        me = threading.current_thread()
        while self._teller is me:
            with self._changed:
                waited = self._changed.wait(_TICK_S) or bool(self._untold)
                events, self._untold = len(self._untold), deque()
            for _ in range(events):
                for handler in list(self._handlers):
                    try:
                        handler()
                    except Exception:  # noqa: BLE001 - a handler that fails must not silence the others
                        _log.exception("an event handler failed")
            if not waited and (due_s := self._link.due_s()) is not None:
                self._link.pass_s(due_s)

    def _stop_telling(self) -> None:
        teller, self._teller = self._teller, None
        if teller is not None and teller is not threading.current_thread():
            teller.join()
