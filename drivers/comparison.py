"""A program run again beside a recording: the same commands exactly, the same numbers within stated bounds.

::

    rules = [Tolerance("READ|MEAS", relative=0.02), Tolerance("TEMP", absolute=0.1)]
    with Comparison("session.rec", rules) as tape:
        run_the_program(transcript=tape)      # against another bench, simulated or real

A command that differs is not sent; a reply that differs raises as soon as it is there.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.errors import RecordingError, ReplayMismatch
from drivers.recording import Entry, Tape, comparable, read_recording

__all__ = ["Comparison", "Tolerance", "mismatch"]

_NUMBER = re.compile(rb"(?<![A-Za-z0-9_])[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_])")
_BLOCK = re.compile(rb"#([1-9])")
_COMPARED = (">", "<", "clear", "trigger")
"""Not how often a link is opened or a status byte polled: that depends on how long things take."""

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers in the replies to some commands may be from those recorded.

    A number passes where ``|got - expected| <= absolute + relative |expected| + n_sigma sqrt(2) sigma``: both are
    readings with noise of their own, hence the root.

    Attributes
    ----------
    pattern : str
        Regular expression, searched for in the command, whatever its case; the first rule that fits counts.
    relative, absolute : float
        Of the recorded number; in the unit of the reply.
    sigma, n_sigma : float
        Standard deviation of one reading, in the unit of the reply, and how many of them are let pass.
    block : str or None
        NumPy type of the numbers in blocks (``"<f4"``); None: blocks must be equal byte for byte.
    """

    pattern: str
    relative: float = 0.0
    absolute: float = 0.0
    sigma: float = 0.0
    n_sigma: float = 4.0
    block: str | None = None

    def allows(self, expected: float, got: float) -> bool:
        """Whether a number is near enough to the one recorded."""
        if expected == got or (math.isnan(expected) and math.isnan(got)):
            return True
        room = self.absolute + self.relative * abs(expected) + self.n_sigma * math.sqrt(2) * self.sigma
        return abs(got - expected) <= room


class Comparison(Tape):
    """Compares what links do with a recording; a context manager, and a tape for several links at once.

    Parameters
    ----------
    path : path
        The recording.
    rules : sequence of Tolerance
        For replies to commands that none of them fits, numbers must be equal to the last digit.

    Raises
    ------
    RecordingError
        The recording cannot be read.
    ReplayMismatch
        From the links that use it, where something differs; at the end of the ``with``, where the recording goes on.
    """

    def __init__(self, path: str | Path, rules: Sequence[Tolerance] = ()) -> None:
        self.path = Path(path)
        self._rules = [(re.compile(rule.pattern.encode("latin-1"), re.IGNORECASE), rule) for rule in rules]
        self._guard = threading.Lock()
        self._left: dict[str, list[Entry]] = {}
        self._asked: dict[str, bytes] = {}
        for entry in reversed(read_recording(path)):
            if entry.kind in _COMPARED:
                self._left.setdefault(entry.address.upper(), []).append(entry)

    @property
    def left(self) -> int:
        """Lines of the recording that nothing was compared with yet."""
        return sum(map(len, self._left.values()))

    def sent(self, address: str, data: bytes) -> None:
        """Compare a message, before it is sent."""
        entry = self._next(address, ">", data)
        if comparable(entry.data) != comparable(data):
            raise mismatch(self.path, entry, data)
        self._asked[address.upper()] = data

    def heard(self, address: str, data: bytes) -> None:
        """Compare a reply."""
        entry = self._next(address, "<", data)
        asked = self._asked.get(address.upper(), b"")
        rule = next((rule for pattern, rule in self._rules if pattern.search(asked)), None)
        if entry.data != data and (rule is None or not _near(entry.data, data, rule)):
            raise mismatch(self.path, entry, data)

    def event(self, address: str, kind: str, value: int | None = None) -> None:
        """Compare what stands beside the messages."""
        if kind in _COMPARED:
            self._next(address, kind, b"")

    def _next(self, address: str, kind: str, data: bytes) -> Entry:
        with self._guard:
            left = self._left.get(address.upper())
            if left is None:
                raise RecordingError(f"nothing at {address} was recorded in {self.path}", path=self.path)
            if not left:
                raise ReplayMismatch(
                    f"{self.path} has ended for {address}, and the program goes on with {kind} {_words(data)}",
                    path=self.path,
                    got=_words(data),
                )
            if left[-1].kind != kind:
                raise mismatch(self.path, left[-1], data, kind)
            return left.pop()

    def finish(self) -> None:
        """See that nothing recorded is left.

        Raises
        ------
        ReplayMismatch
            The recording goes on.
        """
        for left in self._left.values():
            if left:
                entry = left[-1]
                raise ReplayMismatch(
                    f"the program has ended, and {self.path} goes on in line {entry.line}: {entry.kind} "
                    f"{_words(entry.data)} at {entry.address}",
                    path=self.path,
                    line=entry.line,
                    address=entry.address,
                    expected=_words(entry.data),
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()


def mismatch(path: Path, entry: Entry, got: bytes, kind: str | None = None) -> ReplayMismatch:
    """Return the error for a line that differs from what happens."""
    expected = f"{entry.kind} {_words(entry.data)}".rstrip()
    found = f"{kind or entry.kind} {_words(got)}".rstrip()
    return ReplayMismatch(
        f"line {entry.line} of {path}: {entry.address} should go on with {expected}, and does with {found}",
        path=path,
        line=entry.line,
        address=entry.address,
        expected=expected,
        got=found,
    )


def _words(data: bytes) -> str:
    words = data.rstrip(b"\r\n").decode("latin-1").encode("unicode_escape").decode("ascii")
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}... ({len(data)} bytes)"


def _near(expected: bytes, got: bytes, rule: Tolerance) -> bool:
    """Whether two replies differ by their numbers alone, and by no more than the rule allows."""
    ours, theirs = _cut(expected, rule), _cut(got, rule)
    if ours is None or theirs is None:
        return False
    (text, numbers), (other_text, other_numbers) = ours, theirs
    return (
        text == other_text
        and len(numbers) == len(other_numbers)
        and all(map(rule.allows, numbers, other_numbers))
    )


def _cut(reply: bytes, rule: Tolerance) -> tuple[list[bytes], list[float]] | None:
    """Part a reply into its numbers and what stands around them."""
    numbers: list[float] = []
    found = _BLOCK.search(reply)
    if found is not None and rule.block is not None:
        import numpy as np

        begin = found.end() + int(found[1])
        digits = reply[found.end() : begin]
        end = begin + int(digits) if digits.isdigit() else 0
        if not begin <= end <= len(reply) or (end - begin) % np.dtype(rule.block).itemsize:
            return None
        numbers = np.frombuffer(reply[begin:end], rule.block).astype(float).tolist()
        return [reply[:begin], reply[end:]], numbers
    numbers = [float(number[0]) for number in _NUMBER.finditer(reply)]
    return _NUMBER.split(reply), numbers
