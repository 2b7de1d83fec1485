"""One batch from its acceptance to its end: what it did to each cell, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Batch, BatchReport, EntryCode, State
from labkit.errors import StationError

if TYPE_CHECKING:
    from labkit.envelope import GuardedChip

__all__ = ["Outcome", "cut_short", "finish_batch", "said_by"]

_CODE_BITS = np.uint8(127)
_PATIENCE_S = 60.0
_ENDS = {
    State.RUN: "it still runs",
    State.TRIP: "a supply or over-current trip ended it",
    State.ABORTED: "it was aborted",
    State.SAFE: "an emergency stop ended it",
    State.WATCHDOG: "the board's watchdog ended it",
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a batch did.

    Attributes
    ----------
    report : BatchReport
    times_ns : ndarray of uint64, shape (n,)
        Board time at the end of each entry's pulse; 0 where it got none.
    given : ndarray of bool, shape (n,), or None
        Entries that were pulsed, those in doubt included; None means all.
    """

    report: BatchReport
    times_ns: NDArray[np.uint64]
    given: NDArray[np.bool_] | None


def finish_batch(chip: GuardedChip, batch: Batch) -> Outcome:
    """Wait for a batch the board has accepted, and settle it in the wear ledger.

    Raises
    ------
    StationError
        The board's last batch is another one: somebody else programs this chip.
    """
    limits = chip.limits()
    groups = -(-batch.cells.size // limits.parallel_program)
    chip.wait(_PATIENCE_S + 2.0 * groups * batch.pulse.period_s * batch.count)
    report = chip.last_batch()
    if not report.mine or report.id != batch.id:
        raise StationError(
            f"the board's last batch is {report.id}, not {batch.id}: someone else programs this chip, and "
            "what its cells hold is not known; stop the other program and start again",
            batch=batch.id,
            found=report.id,
        )
    # Without stamps every pulse is as old as the end of its batch.
    times_ns = (
        chip.pulse_times_ns()
        if limits.pulse_stamps
        else np.full(batch.cells.size, report.t_end_ns, np.uint64)
    )
    if report.state is State.DONE and report.pulsed == batch.cells.size:
        return Outcome(report, times_ns, None)
    code = chip.batch_flags() & _CODE_BITS
    return Outcome(report, times_ns, (code == EntryCode.PULSED) | (code == EntryCode.IN_DOUBT))


def cut_short(chip: GuardedChip, report: BatchReport) -> StationError:
    """Return the error that says how a batch ended before its end."""
    why = _ENDS.get(report.state, f"its state is {report.state}")
    return StationError(
        f"batch {report.id} is incomplete: {why} after {report.done:,} of {report.total:,} cells, "
        f"{report.open:,} more are in doubt and count as pulsed{said_by(chip)}; find the cause, then program "
        "again",
        batch=report.id,
        state=report.state,
        done=report.done,
        open=report.open,
        total=report.total,
        code=report.code,
    )


def said_by(chip: GuardedChip) -> str:
    """Return what the board's error queue says, ready to follow a sentence."""
    return "".join(f"; the board says {error}" for error in chip.errors()[:3])
