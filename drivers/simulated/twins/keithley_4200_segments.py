"""Segment arb of a simulated 4225-PMU: sequences of straight lines, the list they are played in, what is refused.

Limits are those of the KXCI manual (instruments §2.6).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from drivers.simulated.twins.kxci_errors import KxciError

__all__ = ["FIELDS", "SEQUENCES_MAX", "Segment", "Segments", "Sequence"]

FIELDS = ("STARTV", "STOPV", "TIME", "TRIG", "SSR", "MEAS:TYPE", "MEAS:START", "MEAS:STOP")
SEQUENCES_MAX, VALUES_MAX = 512, 128
SEGMENTS_MAX = 2048
"""Default: segments all sequences of a channel may have together."""
UNROLLED_MAX = 200_000
"""Segments that are played one by one; a longer list is refused (-954)."""
SLEW_MIN_V_PER_S = {10.0: 0.363, 40.0: 1.45}
"""Default: slowest ramp of a source range."""
_SHORTEST_S = {10.0: 20e-9, 40.0: 50e-9}
_LONGEST_S, _STEP_S, _RELAY_S = 1.0, 10e-9, 25e-6


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line, and what is measured on it: 0 nothing, 1 the mean, 2 a waveform, from and to in seconds."""

    start_v: float
    stop_v: float
    time_s: float
    closed: bool
    measure: int
    first_s: float
    last_s: float


@dataclass(slots=True)
class Sequence:
    """The values sent for a sequence, by field."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def put(self, name: str, values: list[float], *, add: bool) -> None:
        """Set the values of a field, or append to them."""
        if not 1 <= len(values) <= VALUES_MAX:
            raise KxciError(-969)
        self.values[name] = [*self.values.get(name, []), *values] if add else values

    def segments(self, source_v: float, *, rpm: bool) -> list[Segment]:
        """Return the segments; refuses what the channel cannot do."""
        times = self.values.get("TIME", [])
        count = len(times)
        if count < 3:
            raise KxciError(-958)
        starts, stops = (self._full(name, count, None) for name in ("STARTV", "STOPV"))
        closed = self._full("SSR", count, 1.0)
        kinds = self._full("MEAS:TYPE", count, 0.0)
        firsts, lasts = self._full("MEAS:START", count, 0.0), self._full("MEAS:STOP", count, 0.0)
        rows = zip(starts, stops, times, closed, kinds, firsts, lasts, strict=True)
        found = [Segment(v0, v1, t, bool(ssr), int(kind), a, b) for v0, v1, t, ssr, kind, a, b in rows]
        relay = found[0].closed
        for each in found:
            _check(each, source_v, relay_moves=each.closed != relay)
            if rpm and not each.closed:
                raise KxciError(-955)
            relay = each.closed
        return found

    def _full(self, name: str, count: int, default: float | None) -> list[float]:
        found = self.values.get(name, [] if default is None else [default] * count)
        if len(found) != count:
            raise KxciError(-967)
        return found


def _check(segment: Segment, source_v: float, *, relay_moves: bool) -> None:
    steps = segment.time_s / _STEP_S
    if (
        not _SHORTEST_S[source_v] - 1e-12 <= segment.time_s <= _LONGEST_S
        or abs(steps - round(steps)) > 1e-6 * max(steps, 1.0)
        or (relay_moves and segment.time_s < _RELAY_S)
    ):
        raise KxciError(-962)
    if max(abs(segment.start_v), abs(segment.stop_v)) > source_v * (1 + 1e-9):
        raise KxciError(-967)
    change = abs(segment.stop_v - segment.start_v)
    if change and change / segment.time_s < SLEW_MIN_V_PER_S[source_v]:
        raise KxciError(-959)
    if segment.measure not in (0, 1, 2):
        raise KxciError(-967)
    if segment.measure and not 0.0 <= segment.first_s < segment.last_s <= segment.time_s * (1 + 1e-9):
        raise KxciError(-957)


@dataclass(slots=True)
class Segments:
    """The sequences of one channel, and the list they are played in."""

    sequences: dict[int, Sequence] = field(default_factory=dict)
    order: list[tuple[int, float]] = field(default_factory=list)

    def sequence(self, number: float) -> Sequence:
        """Return a sequence, a new one where there is none of that number."""
        if number != int(number) or number < 1:
            raise KxciError(-969)
        if number > SEQUENCES_MAX:
            raise KxciError(-960)
        return self.sequences.setdefault(int(number), Sequence())

    def play(self, pairs: list[float]) -> None:
        """Set the list: sequence, loops, sequence, loops."""
        if not pairs or len(pairs) % 2:
            raise KxciError(-993)
        order = list(zip(pairs[::2], pairs[1::2], strict=True))
        if any(number not in self.sequences for number, _ in order):
            raise KxciError(-961)
        if any(not 1 <= loops <= 1e12 for _, loops in order):
            raise KxciError(-969)
        self.order = [(int(number), loops) for number, loops in order]

    def unrolled(self, source_v: float, *, rpm: bool) -> list[Segment]:
        """Return all segments in the order they are played."""
        if not self.order:
            raise KxciError(-961)
        if sum(len(each.values.get("TIME", [])) for each in self.sequences.values()) > SEGMENTS_MAX:
            raise KxciError(-954)
        parts = {
            number: self.sequences[number].segments(source_v, rpm=rpm)
            for number in {n for n, _ in self.order}
        }
        if sum(len(parts[number]) * loops for number, loops in self.order) > UNROLLED_MAX:
            raise KxciError(-954)
        found: list[Segment] = []
        for number, loops in self.order:
            found += parts[number] * int(loops)
        for before, after in pairwise(found):
            if abs(before.stop_v - after.start_v) > 1e-9:
                raise KxciError(-956)
        return found
