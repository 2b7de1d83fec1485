"""A read: groups of cells converted at once as the board's clock moves on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_operation import SLICE_ENTRIES, Operation
from drivers.simulated.controller_settings import ReadSettings

__all__ = ["CLIPPED_HIGH", "Converter", "ReadOperation", "Reader"]

CLIPPED_HIGH, CLIPPED_LOW, MASKED, NOT_READ = 1, 2, 4, 8
UNREADABLE = CLIPPED_HIGH | MASKED | NOT_READ


class Reader(Protocol):
    """The silicon as a read needs it."""

    def read(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        *,
        voltage_v: float,
        samples: int,
        aperture_s: float,
        spacing_s: float,
        ranges_a: Sequence[float],
        adc_bits: int,
        adc_zero: int,
        offset_a: float = 0.0,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return mean currents and flags."""


class Converter:
    """The board's converters: their ranges, bits and faults."""

    def __init__(
        self, ranges_a: Sequence[float], bits: int, zero: int, overhead_s: float, parallel: int
    ) -> None:
        self.ranges_a = tuple(ranges_a)
        self.bits, self.zero = bits, zero
        self.overhead_s = overhead_s
        self.parallel = parallel

    @classmethod
    def of(cls, limits: BoardLimits) -> Converter:
        """Make the converters of a board with these limits."""
        values = limits.values
        return cls(
            [float(range_a) for range_a in values["read_rang"]],
            int(values["adc_bits"]),
            int(values["adc_zero"]),
            float(values["read_ovh"]),
            int(values["par_read"]),
        )


class ReadOperation(Operation):
    """A read, running or over; kept as the result until the next one starts.

    Attributes
    ----------
    id : int
        The board's count of reads since boot.
    total, done : int
        Entries of the selection, and those converted.
    any_clipped : bool
        Whether a reading clipped high.
    settings : ReadSettings
        As they were when the read began.
    """

    kind = "read"

    def __init__(
        self,
        read_id: int,
        *,
        now_ns: int,
        cells: NDArray[np.uint32],
        mask: NDArray[np.bool_] | None,
        settings: ReadSettings,
        converter: Converter,
        chip: Reader,
        board_to_chip_ns: int,
        offset_a: float,
        clip: NDArray[np.bool_] | None,
        slow: float,
    ) -> None:
        self.id = read_id
        self.total, self.done = len(cells), 0
        self.any_clipped = False
        self.settings = settings
        self._cells, self._mask, self._clip, self._converter, self._chip = cells, mask, clip, converter, chip
        self._board_to_chip_ns, self._offset_a = board_to_chip_ns, offset_a
        sample_s = settings.aperture_s + converter.overhead_s
        self._group_ns = max(1, round(settings.samples * sample_s * slow * 1e9))
        self._current = np.empty(self.total, np.float32)
        self._flags = np.empty(self.total, np.uint8)
        groups = -(-self.total // converter.parallel)
        super().__init__(now_ns, now_ns + groups * self._group_ns)

    @property
    def available(self) -> int:
        """Entries that may be fetched."""
        return self.total if self.ended else self.done

    def next_stop_ns(self) -> int:
        """Return the end of the next slice."""
        groups = (self.done + SLICE_ENTRIES) // self._converter.parallel
        return min(self.end_ns, self.start_ns + groups * self._group_ns)

    def boundary_ns(self, now_ns: int) -> int:
        """Return the end of the conversion under way."""
        elapsed = now_ns - self.start_ns
        return self.start_ns + -(-elapsed // self._group_ns) * self._group_ns

    def run_to(self, now_ns: int) -> None:
        """Convert all groups whose time is over at `now_ns`."""
        if self.ended:
            return
        groups = max(0, now_ns - self.start_ns) // self._group_ns
        reached = min(self.total, groups * self._converter.parallel)
        while self.done < reached:
            start = self.done
            stop = min(reached, start + SLICE_ENTRIES)
            self._convert(start, stop)
            self.done = stop

    def _middles(self, start: int, stop: int) -> NDArray[np.int64]:
        """Board time in the middle of each entry's reading; `start` may lie anywhere."""
        parallel = self._converter.parallel
        first, last = start // parallel, -(-stop // parallel)
        times = np.arange(first, last, dtype=np.int64) * self._group_ns
        times += self.start_ns + self._group_ns // 2
        each = np.empty((times.size, parallel), np.int64)
        each[:] = times[:, np.newaxis]  # many times as fast as repeat
        return each.reshape(-1)[start - first * parallel : stop - first * parallel]

    def _convert(self, start: int, stop: int) -> None:
        cells = self._cells[start:stop]
        at_ns = self._middles(start, stop) + self._board_to_chip_ns
        masked = self._mask[cells] if self._mask is not None else None
        if masked is not None and not masked.any():
            masked = None
        wanted = slice(None) if masked is None else ~masked
        current, flags = self._chip.read(
            cells[wanted],
            at_ns[wanted],
            voltage_v=self.settings.voltage_v,
            samples=self.settings.samples,
            aperture_s=self.settings.aperture_s,
            spacing_s=self.settings.aperture_s + self._converter.overhead_s,
            ranges_a=self._converter.ranges_a if self.settings.range_a is None else (self.settings.range_a,),
            adc_bits=self._converter.bits,
            adc_zero=self._converter.zero,
            offset_a=self._offset_a,
        )
        here_current, here_flags = self._current[start:stop], self._flags[start:stop]
        if masked is None:
            here_current[:], here_flags[:] = current, flags
        else:
            here_current[masked], here_flags[masked] = np.nan, MASKED
            here_current[~masked], here_flags[~masked] = current, flags
        if self._clip is not None:
            high = self._clip[start:stop] & (here_flags & MASKED == 0)
            here_current[high], here_flags[high] = np.nan, CLIPPED_HIGH
        self.any_clipped = self.any_clipped or bool((here_flags & CLIPPED_HIGH).any())

    def finish(self, now_ns: int) -> None:
        """End it where it was to end."""
        super().finish(now_ns)
        self._leave_rest()

    def cut(self, now_ns: int, state: str, code: int) -> None:
        """End it this very moment: conversions under way are lost."""
        super().cut(now_ns, state, code)
        self._leave_rest()

    def _leave_rest(self) -> None:
        self._current[self.done :] = np.nan
        self._flags[self.done :] = NOT_READ
        if self._mask is not None:
            self._flags[self.done :][self._mask[self._cells[self.done :]]] = MASKED

    # ---- fetching -----------------------------------------------------------------------------------------------
    def flags(self, start: int, count: int) -> NDArray[np.uint8]:
        """Flag bits, as a copy."""
        return self._flags[start : start + count].copy()

    def current_a(self, start: int, count: int) -> NDArray[np.float32]:
        """Mean currents, ampere, as a copy."""
        return self._current[start : start + count].copy()

    def conductance_s(self, start: int, count: int) -> NDArray[np.float32]:
        """Return current over read voltage, siemens; no series-resistance correction."""
        volts = np.float32(self.settings.voltage_v)
        return np.divide(self._current[start : start + count], volts)

    def codes(self, start: int, count: int, bits: int) -> NDArray[np.uint16]:
        """Codes of controller-protocol §3.4 with `bits` bits; all ones where there is no reading."""
        range_a = self.settings.range_a
        if range_a is None:
            raise ValueError("codes need a fixed range")
        offset = self._converter.zero / 2.0**self._converter.bits
        exact = np.rint(
            2.0**bits * (self._current[start : start + count].astype(np.float64) / range_a + offset)
        )
        readable = self._flags[start : start + count] & UNREADABLE == 0
        held = np.clip(np.where(readable, exact, 0.0), 0, 2**bits - 2)
        return np.where(readable, held, 2**bits - 1).astype(np.uint16)

    def stamps(self, start: int, count: int) -> NDArray[np.int64]:
        """Board time in the middle of each reading; 0 = not read."""
        times = self._middles(start, start + count) if count else np.empty(0, np.int64)
        times = np.ascontiguousarray(times)
        times[self._flags[start : start + count] & (NOT_READ | MASKED) != 0] = 0
        return times
