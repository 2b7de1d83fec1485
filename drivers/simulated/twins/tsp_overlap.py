"""Operations that go on while an instrument obeys further commands: sweeps of a trigger model."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.simulated.terminals import Bench
from drivers.simulated.twins.tsp_errors import RuntimeFault

__all__ = ["Overlapped"]

NEVER_ENDS = "program aborted, an operation it waits for does not end"
"""Words of the run-time error where the instrument would wait for ever: a default."""

STEPS = 5_000_000
"""Steps one wait may take: a default."""


class Overlapped:
    """Generators that yield when they act next, ns of the bench's time, or None where they wait for an event."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._next: dict[Iterator[int | None], int | None] = {}
        self._news = False

    @property
    def pending(self) -> bool:
        """Whether any operation goes on."""
        return bool(self._next)

    def due_s(self) -> float | None:
        """Seconds until something is to be done, None where only an event brings it."""
        first = self._first()
        return None if first is None else max(0, first[1] - self._bench.now_ns) * 1e-9

    def start(self, operation: Iterator[int | None]) -> None:
        """Begin an operation; what it does until its first yield is done now."""
        self._step(operation)
        self._look()

    def add(self, operation: Iterator[int | None]) -> None:
        """Begin an operation from within another one."""
        self._next[operation] = self._bench.now_ns

    def stop(self, operation: Iterator[int | None]) -> None:
        """End an operation where it is."""
        if self._next.pop(operation, 0) != 0:
            operation.close()  # type: ignore[attr-defined]

    def happened(self) -> None:
        """Note that an event came: operations that wait for one look whether it is theirs."""
        self._news = True

    def _look(self) -> None:
        while self._news:
            self._news = False
            for operation, due_ns in list(self._next.items()):
                if due_ns is None and operation in self._next:
                    self._step(operation)

    def run_until(self, end_ns: int) -> None:
        """Do what falls due up to a time; the bench's time moves on to the last thing that was done."""
        steps = 0
        self._look()
        while (first := self._first()) is not None and first[1] <= end_ns:
            self._reach(first[1])
            self._step(first[0])
            self._look()
            steps += 1
            if steps > STEPS:
                raise RuntimeFault(NEVER_ENDS)

    def wait_s(self, seconds: float) -> None:
        """Let time pass, and what goes on go on."""
        end_ns = self._bench.now_ns + round(seconds * 1e9)
        self.run_until(end_ns)
        self._reach(end_ns)

    def finish(self) -> None:
        """Wait until nothing goes on any more; raises RuntimeFault where that would be for ever."""
        steps = 0
        self._look()
        while self._next:
            first = self._first()
            if first is None or steps > STEPS:
                raise RuntimeFault(NEVER_ENDS)
            self._reach(first[1])
            self._step(first[0])
            self._look()
            steps += 1

    def _first(self) -> tuple[Iterator[int | None], int] | None:
        due = [
            (at, number, operation)
            for number, (operation, at) in enumerate(self._next.items())
            if at is not None
        ]
        if not due:
            return None
        at, _, operation = min(due, key=lambda each: each[:2])
        return operation, at

    def _reach(self, at_ns: int) -> None:
        if at_ns > self._bench.now_ns:
            self._bench.pass_s((at_ns - self._bench.now_ns) * 1e-9)

    def _step(self, operation: Iterator[int | None]) -> None:
        try:
            self._next[operation] = next(operation)
        except StopIteration:
            self._next.pop(operation, None)
