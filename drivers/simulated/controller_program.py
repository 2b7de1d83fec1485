"""A batch: one pulse template on one selection, given group by group as the board's clock moves on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.controller_operation import SLICE_ENTRIES, Operation
from drivers.simulated.controller_settings import Shape
from drivers.simulated.grouping import IN_DOUBT, PULSED, group_entries, slice_drives, stamp_entries

__all__ = ["Drive", "ProgramOperation", "Pulser"]


class Pulser(Protocol):
    """The silicon as a batch needs it."""

    def pulse(
        self,
        cells: NDArray[np.uint32],
        amplitude_a: NDArray[np.float32],
        end_ns: NDArray[np.int64],
        *,
        rise_s: float,
        top_s: float,
        fall_s: float,
        count: int = 1,
    ) -> None:
        """Give `count` pulses to each cell."""


@dataclass(frozen=True, slots=True)
class Drive:
    """How codes become currents.

    Attributes
    ----------
    scale : float
        Amplitude per code, ampere or volt.
    to_current : float
        Ampere per unit of the amplitude; 1 for a current drive.
    ceiling_a : float
        Where the current limit clamps; infinite for a current drive.
    """

    scale: float
    to_current: float = 1.0
    ceiling_a: float = np.inf


class ProgramOperation(Operation):
    """A batch, running or over; kept as the report of the last accepted one.

    Parameters
    ----------
    codes : ndarray, shape (n,)
        Amplitudes as sent.
    cells : ndarray of uint32, shape (n,)
    mask : ndarray of bool, shape (cells of the chip,)
    parallel : int
        Drives.
    shape : Shape
    period_ns, count : int
        Between the starts of two pulses, and pulses per cell.
    """

    kind = "program"

    def __init__(
        self,
        batch_id: int,
        crc: int,
        *,
        codes: NDArray[np.generic],
        cells: NDArray[np.uint32],
        mask: NDArray[np.bool_],
        parallel: int,
        drive: Drive,
        shape: Shape,
        period_ns: int,
        count: int,
    ) -> None:
        super().__init__(0, 0)
        self.id, self.crc = batch_id, crc
        self.total = len(cells)
        self._codes, self._cells, self._drive, self._shape = codes, cells, drive, shape
        self._parallel, self._count, self._period_ns = parallel, count, period_ns
        self._flags = np.empty(self.total, np.uint8)
        starts = np.empty(self.total + 1, np.int64)
        before = np.empty(self.total + 1, np.int64)
        groups: tuple[int, int] = group_entries(codes, cells, mask, parallel, self._flags, starts, before)
        self._groups, self._to_pulse = groups
        starts[self._groups], before[self._groups] = self.total, self._to_pulse
        self._starts = starts[: self._groups + 1].copy()
        self._pulsed_before = before[: self._groups + 1].copy()
        self._group_ns = period_ns * count
        self._given = 0  # groups whose pulses are in the cells
        self._open_pulsed = 0
        self._open = 0
        self._board_to_chip_ns = 0
        self._chip: Pulser | None = None
        self._cycles = np.empty(0, np.uint32)

    def would_pulse(self) -> NDArray[np.uint32]:
        """Cells that get pulses, in order."""
        if self._to_pulse == self.total:
            return self._cells
        chosen: NDArray[np.uint32] = self._cells[self._flags == PULSED]
        return chosen

    def start(
        self, now_ns: int, chip: Pulser, cycles: NDArray[np.uint32], board_to_chip_ns: int, slow: float
    ) -> None:
        """Begin at `now_ns`; `slow` stretches the time from group to group."""
        self._chip, self._cycles, self._board_to_chip_ns = chip, cycles, board_to_chip_ns
        self._period_ns = max(round(self._period_ns * slow), self._shape.width_ns)
        self._group_ns = self._period_ns * self._count
        self.start_ns, self.end_ns = now_ns, now_ns + self._groups * self._group_ns

    def strike(self, name: str, entry: int) -> None:
        """Let a fault strike in the group that holds `entry`, on the plateau of its first pulse."""
        if entry >= self.total or not self._groups:
            return
        group = int(np.searchsorted(self._starts[: self._groups], entry, side="right")) - 1
        group = max(group, 0)
        if entry >= self._starts[group] + self._parallel:  # among skipped entries: the next group
            group += 1
        if group < self._groups:
            moment = self._shape.rise_ns + max(self._shape.top_ns // 2, 1)
            self.fault = (self.start_ns + group * self._group_ns + moment, name)

    # ---- time ---------------------------------------------------------------------------------------------------
    def _complete(self, now_ns: int) -> int:
        """Count the groups whose time is over at `now_ns`."""
        if not self._groups or not self._group_ns:
            return self._groups
        return min(self._groups, max(0, now_ns - self.start_ns) // self._group_ns)

    def next_stop_ns(self) -> int:
        """Return the end of the next slice."""
        groups = self._given + max(1, SLICE_ENTRIES // self._parallel)
        return min(self.end_ns, self.start_ns + groups * self._group_ns)

    def boundary_ns(self, now_ns: int) -> int:
        """Return the end of the group in flight."""
        elapsed = now_ns - self.start_ns
        return self.start_ns + -(-elapsed // self._group_ns) * self._group_ns if self._group_ns else now_ns

    def run_to(self, now_ns: int) -> None:
        """Give all pulses of the groups completed by `now_ns`."""
        if self.ended:
            return
        complete = self._complete(now_ns)
        while self._given < complete:
            last = min(complete, self._given + max(1, SLICE_ENTRIES // self._parallel))
            first, self._given = self._given, last
            self._give(
                first, last, self._shape, self._count, self._last_end_ns(first) - first * self._group_ns
            )

    def _last_end_ns(self, group: int) -> int:
        """Board time at which the last pulse of a group ends."""
        last_start = self.start_ns + group * self._group_ns + (self._count - 1) * self._period_ns
        return last_start + self._shape.width_ns

    def _give(self, first: int, last: int, shape: Shape, count: int, first_end_ns: int) -> None:
        room = int(self._starts[last] - self._starts[first])
        cells = np.empty(room, np.uint32)
        current = np.empty(room, np.float32)
        end_ns = np.empty(room, np.int64)
        given = slice_drives(
            self._codes,
            self._drive.scale,
            self._drive.ceiling_a,
            self._drive.to_current * shape.peak,
            self._cells,
            self._flags,
            self._starts,
            first,
            last,
            self.total,
            first_end_ns + self._board_to_chip_ns,
            self._group_ns,
            count,
            self._cycles,
            cells,
            current,
            end_ns,
        )
        cells = cells[:given]
        if self._chip is not None and given:
            self._chip.pulse(
                cells,
                current[:given],
                end_ns[:given],
                rise_s=shape.rise_ns * 1e-9,
                top_s=shape.top_ns * 1e-9,
                fall_s=shape.fall_ns * 1e-9,
                count=count,
            )

    def cut(self, now_ns: int, state: str, code: int) -> None:
        """Open the outputs at `now_ns`: the group in flight is left in doubt."""
        self.run_to(now_ns)
        group = self._given
        elapsed = now_ns - self.start_ns - group * self._group_ns
        if group < self._groups and elapsed > 0:
            self._truncate(group, elapsed, now_ns)
        self.state, self.code, self.end_ns = state, code, now_ns

    def _truncate(self, group: int, elapsed_ns: int, now_ns: int) -> None:
        behind, phase = divmod(elapsed_ns, self._period_ns)
        whole = min(self._count, behind + (phase >= self._shape.width_ns))
        base = self.start_ns + group * self._group_ns
        if whole == self._count:  # only its off-time was left
            self._given += 1
            self._give(group, group + 1, self._shape, whole, self._last_end_ns(0))
            return
        shift = group * self._group_ns
        if whole:
            end = base + (whole - 1) * self._period_ns + self._shape.width_ns
            self._give(group, group + 1, self._shape, whole, end - shift)
        if 0 < phase < self._shape.width_ns:
            self._give(group, group + 1, self._shape.cut(phase), 1, now_ns - shift)
        start = int(self._starts[group])
        self._open = min(self._parallel, self.total - start)
        entries = self._flags[start : start + self._open]
        touched = entries & 127 == PULSED
        entries[touched] += IN_DOUBT - PULSED
        self._open_pulsed = int(touched.sum()) if whole else 0

    # ---- the report ---------------------------------------------------------------------------------------------
    @property
    def done(self) -> int:
        """Entries finished."""
        return int(self._starts[self._given]) if self._given < self._groups else self.total

    @property
    def open(self) -> int:
        """Entries behind the finished ones that may have been touched."""
        if self.ended:
            return self._open
        return min(self._parallel, self.total - self.done) if self._given < self._groups else 0

    @property
    def pulsed(self) -> int:
        """Cells that got at least one complete pulse."""
        return int(self._pulsed_before[self._given]) + self._open_pulsed

    def flags(self, start: int, count: int) -> NDArray[np.uint8]:
        """Codes of controller-protocol §6.4, as a copy."""
        flags = self._flags[start : start + count].copy()
        done, open_ = self.done, self.open
        flags[max(0, done + open_ - start) :] = 0
        if not self.ended and open_:
            in_flight = flags[max(0, done - start) : max(0, done + open_ - start)]
            in_flight[in_flight & 127 == PULSED] = IN_DOUBT
        return flags

    def stamps(self, start: int, count: int) -> NDArray[np.int64]:
        """End of each entry's last pulse, board ns; 0 = not pulsed, the moment of truncation for one in doubt."""
        out = np.empty(count, np.int64)
        stamp_entries(
            self._flags,
            self._starts,
            self.done,
            start,
            self._last_end_ns(0),
            self._group_ns,
            self.end_ns if self._open else 0,
            out,
        )
        return out
