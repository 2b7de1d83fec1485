"""Power and outputs of a chip made of instruments, and every way it is stopped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from drivers.chip import BoardError, State
from drivers.discrete_routes import Relays
from drivers.errors import DriverError, InstrumentError, LinkError

if TYPE_CHECKING:
    from drivers.discrete_parts import DiscreteParts
    from drivers.roles import PulseShape

__all__ = ["Supply"]

_SAFE_S = 0.25
_PATIENCE_S = 30.0


class Supply:
    """What stands between an operation and the instruments: who may act, and with which relays.

    Power is that the sources are switched on, at 0 V; outputs, that cells may get voltages.

    Parameters
    ----------
    name : str
        Of the chip.
    parts : DiscreteParts
    lost : callable
        Called where a link that broke was opened again: something may have been lost.

    Attributes
    ----------
    relays : Relays
    mine : RLock
        Held by whoever operates the instruments.
    prepared : PulseShape or None
        What the generator is set up for.
    errors : deque of BoardError
        What ended operations.
    """

    def __init__(self, name: str, parts: DiscreteParts, lost: Callable[[], None]) -> None:
        self._name, self._parts, self._on_lost = name, parts, lost
        self.relays = Relays(parts.matrix, parts.sources)
        self.mine = threading.RLock()
        self.prepared: PulseShape | None = None
        self.errors: deque[BoardError] = deque(maxlen=100)
        self._power = self._outputs = self._lost = False
        self._stopped, self._aborted = threading.Event(), threading.Event()
        self._safety: threading.Thread | None = None

    # ---- switching ----------------------------------------------------------------------------------------
    def power(self, on: bool) -> None:
        """Bring the sources to 0 V and open the relays; off: switch the sources off, then open the relays.

        Links that broke are opened again.

        Raises
        ------
        InstrumentError
            It was stopped and not switched off since.
        DriverError
            An instrument does not obey.
        """
        self.await_stop()
        with self.mine:
            if self._lost:
                for instrument in self._parts.instruments.values():
                    instrument.link.reopen()
                self._on_lost()
                self._lost = False
            self._outputs = self._power = False
            if on:
                self._check_not_stopped()
                self.rest()
                self._power = True
                return
            with self.losing():
                self.distrust()
                for instrument in self._parts.source_instruments:
                    instrument.make_safe()
                self.relays.resting()
                self.relays.connect(None)
            self._stopped.clear()

    def outputs(self, on: bool) -> None:
        """Allow voltages on cells, or bring the sources to 0 V and open the relays.

        Raises
        ------
        InstrumentError
            The power is off, or it was stopped.
        DriverError
            An instrument does not obey.
        """
        with self.mine:
            if on:
                self._check_not_stopped()
                if not self._power:
                    raise InstrumentError(
                        f"the power of {self._name} is off; switch it on before the outputs"
                    )
            self._outputs = False
            self.rest()
            self._outputs = on

    @property
    def energised(self) -> bool:
        """Whether cells may get voltages."""
        return self._power and self._outputs and not self._stopped.is_set()

    def rest(self) -> None:
        """Bring every source to 0 V and open all relays, whatever was known."""
        self.distrust()
        with self.losing():
            self.relays.connect(None)

    def distrust(self) -> None:
        """Note that others may have switched anything."""
        self.relays.distrust()
        self.prepared = None

    def _check_not_stopped(self) -> None:
        if self._stopped.is_set():
            raise InstrumentError(
                f"{self._name} was stopped; find out why, then switch its power off and on again"
            )

    # ---- around an operation --------------------------------------------------------------------------------
    def begin(self) -> None:
        """Forget an abort that was meant for an earlier operation."""
        self._aborted.clear()

    def interrupted(self) -> State | None:
        """Return how the operation under way has to end now, None where it may go on."""
        if self._stopped.is_set():
            return State.SAFE
        return State.ABORTED if self._aborted.is_set() else None

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Remember that a link broke, so that switching the power opens it again."""
        try:
            yield
        except LinkError:
            self._lost = True
            self._power = self._outputs = False
            raise

    def note_failure(self, error: BaseException) -> int:
        """Queue what ended an operation and bring everything to rest; returns the code of the error."""
        known = tuple(getattr(error, "errors", ()) or ())
        self.errors.extend(known or [BoardError(-200, "Execution error", str(error))])
        with suppress(DriverError):
            self.rest()
        return int(known[0].code) if known else -200

    def hold_word_line(self, level_v: float, limit_a: float) -> None:
        """Put a voltage on the gates, where there are any."""
        word_line = self._parts.word_line
        if word_line is not None:
            self.relays.live("word_line")
            word_line.hold(level_v, limit_a=limit_a)

    # ---- stopping -------------------------------------------------------------------------------------------
    def abort(self) -> None:
        """End the running operation at the next cell."""
        self._aborted.set()

    def stop(self) -> None:
        """Switch every source off, then open the relays, and latch it; never raises.

        It is done on a thread of its own, which is waited for a quarter of a second at most: an instrument in the
        middle of a measurement listens when that is over. An operation under way ends at the next cell.
        """
        with suppress(Exception):
            self._stopped.set()
            self._power = self._outputs = False
            running = self._safety
            if running is None or not running.is_alive():
                running = threading.Thread(target=self._stop, name=f"safe {self._name}")
                try:
                    running.start()
                except RuntimeError:  # the interpreter is ending and starts no threads any more
                    self._stop()
                    return
                self._safety = running
            running.join(_SAFE_S)

    def _stop(self) -> None:
        _make_safe(self._parts.source_instruments)
        ended = self.mine.acquire(blocking=False)
        try:
            if not ended:
                # What is under way may have one more message to send before it sees that it was stopped.
                ended = self.mine.acquire(timeout=_PATIENCE_S)
                _make_safe(self._parts.source_instruments)
            if self._parts.matrix is not None:
                _make_safe([self._parts.matrix])
            self.distrust()
        finally:
            if ended:
                self.mine.release()

    def await_stop(self) -> None:
        """Wait for a stop under way to reach every instrument."""
        running = self._safety
        if running is not None and running is not threading.current_thread():
            running.join(_PATIENCE_S)


def _make_safe(instruments: Sequence[Any]) -> None:
    for instrument in instruments:
        with suppress(Exception):  # the next one must not depend on it
            instrument.safe()
