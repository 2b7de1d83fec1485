"""The program-and-verify loop over a whole array: pulse all, wait, read all, again (algorithms §0, §2).

Interleaving makes a late verify read free: every cell is read seconds after its pulse, when it drifts slowly,
and a pass costs one wait and a handful of messages, whatever the number of cells. Where there are more cells than
one message holds, a pass pulses them in several batches and then reads them batch by batch.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Batch, State
from drivers.errors import BatchRefused
from labkit.batch_checks import check_cells, check_read_voltage
from labkit.errors import EnvelopeExceeded, WearBudgetSpent
from labkit.programming.checks import check_pulse_shape, check_targets
from labkit.programming.proportional import Proportional
from labkit.programming.pulsing import cut_short, finish_batch
from labkit.programming.record import PassRecord, ProgramResult
from labkit.programming.verify import Verified, Verifier, joined
from labkit.progress import SILENT, Progress

if TYPE_CHECKING:
    from calibration import DeviceCard
    from drivers.chip import BatchReport
    from labkit.clock import Clock
    from labkit.envelope import GuardedChip
    from labkit.programming.settings import ProgramSettings
    from labkit.programming.strategy import Strategy

__all__ = ["ProgramLoop", "program_cells"]

_Places = NDArray[np.intp]


def program_cells(
    chip: GuardedChip,
    clock: Clock,
    cells: NDArray[np.uint32],
    target_s: NDArray[np.float32],
    card: DeviceCard,
    settings: ProgramSettings,
    progress: Progress = SILENT,
) -> ProgramResult:
    """Bring cells to target conductances; the chip must be energised.

    Parameters
    ----------
    chip : GuardedChip
        The chip, as a station has it.
    clock : Clock
        Waits for the verify age.
    cells : ndarray of uint32, shape (n,)
        Cell indices, none twice; ascending ones are cheapest to select.
    target_s : ndarray of float32, shape (n,)
        Target at the card's reference age, siemens; 0 asks for a RESET.
    card : DeviceCard
        First currents, margins and drift come from it.
    settings : ProgramSettings
    progress : Progress
        Counts the cells that are done.

    Returns
    -------
    ProgramResult

    Raises
    ------
    TargetOutOfRange, EnvelopeExceeded, WearBudgetSpent, SettingsError
        Nothing was pulsed.
    StationError
        A batch or a read was cut short; :class:`ProgramLoop` keeps what is known by then.
    """
    loop = ProgramLoop(chip, clock, cells, target_s, card, settings, progress=progress)
    loop.check()
    return loop.run()


class ProgramLoop:
    """The loop, and what it knows at any moment.

    Every cell that is not done is pulsed and read in every pass.

    Parameters
    ----------
    chip, clock, cells, target_s, card, settings, progress
        As for :func:`program_cells`.
    strategy : Strategy, optional
        In place of the one the settings name.

    Attributes
    ----------
    settings : ProgramSettings
        With nothing left open.
    result : ProgramResult
        Up to date however the loop is left: a pulse whose outcome is unknown counts as given.

    Raises
    ------
    TargetOutOfRange
        A target is negative, no number, or more than the device or the range of the reads holds.
    EnvelopeExceeded
        A cell is not on the chip or stands twice, or the board cannot make the pulse.
    SettingsError, CardError
        The settings do not go together, or the card lacks a law.
    """

    def __init__(
        self,
        chip: GuardedChip,
        clock: Clock,
        cells: NDArray[np.uint32],
        target_s: NDArray[np.float32],
        card: DeviceCard,
        settings: ProgramSettings,
        *,
        progress: Progress = SILENT,
        strategy: Strategy | None = None,
    ) -> None:
        if cells.ndim != 1 or cells.shape != target_s.shape:
            raise ValueError(
                f"cells of shape {cells.shape} and targets of {target_s.shape}; give one target per cell"
            )
        self._chip, self._progress = chip, progress
        self.settings = settings.for_card(card, chip.limits())
        check_cells(cells, chip.geometry().cells)
        cells, target_s = cells.astype(np.uint32), target_s.astype(np.float32)
        check_targets(cells, target_s, card, self.settings)
        check_pulse_shape(self.settings.pulse, chip.limits())
        self.result = ProgramResult.blank(cells, target_s)
        self._most = self.settings.batch_cells_max or chip.geometry().cells
        self._verifier = Verifier(chip, clock, card.drift, self.settings)
        self._exponent = card.drift.mean_exponent(target_s / card.g_max_s).astype(np.float32)
        zero = self.result.zero
        # Places in the arrays of the result, ascending: of the RESET cells and of the others not done yet.
        self._zero: _Places = np.flatnonzero(zero)
        self._live: _Places = np.flatnonzero(~zero)
        self._pulses_max = self._allowed_pulses(zero)
        self._strategy = strategy or Proportional(card, self.settings)
        self._amplitude_a = self._strategy.first(target_s[self._live])
        self._batch_id = 0

    def _allowed_pulses(self, zero: NDArray[np.bool_]) -> NDArray[np.uint32]:
        """Pulses each cell may get: as the settings say, and no more than its wear budget has left."""
        settings, budget = self.settings, self._chip.envelope.pulses_per_cell_max
        left = budget - np.minimum(self._chip.wear[self.result.cells], budget)
        wanted = np.where(zero, settings.reset_pulses_max, settings.pulses_max)
        allowed: NDArray[np.uint32] = np.minimum(wanted, left).astype(np.uint32)
        return allowed

    def check(self) -> None:
        """Raise what the first batch and the reads would raise, with nothing sent.

        Raises
        ------
        EnvelopeExceeded
            A current, a width or the read voltage lies outside the envelope.
        WearBudgetSpent
            A cell may not have even one more pulse.
        """
        check_read_voltage(self.settings.read_voltage_v, self._chip.envelope)
        places, amplitude_a = self._batch()
        if places.size:
            self._chip.check(Batch(1, self.result.cells[places], self.settings.pulse, amplitude_a))

    def run(self) -> ProgramResult:
        """Run until all cells are done; raises as :func:`program_cells` does."""
        result = self.result
        self._progress.start("Programming", result.cells.size)
        self._batch_id = self._chip.next_batch_id()
        while self._live.size or self._zero.size:
            if len(result.passes) == self.settings.passes_max:
                result.ended = "pass limit"
                break
            self._pass(len(result.passes) + 1)
        else:
            result.ended = "pulse budget" if result.unconverged.size else "all converged"
        self._progress.finish()
        return result

    # ------------------------------------------------------------------ one pass

    def _pass(self, number: int) -> None:
        result = self.result
        started_s, messages = time.perf_counter(), self._chip.messages()
        places, amplitude_a = self._batch()
        active, pulsed, rms_s = places.size, 0, math.nan
        given: list[tuple[_Places, int]] = []
        for start in range(0, active, self._most):
            part = places[start : start + self._most]
            report, part = self._give(part, amplitude_a[start : start + self._most], number)
            pulsed, board_ns = pulsed + report.pulsed, report.t_end_ns
            if part.size:
                given.append((part, report.t_start_ns))
        del amplitude_a
        if given:
            verified = joined([self._verify(part, start_ns) for part, start_ns in given])
            places = np.concatenate([part for part, _ in given]) if len(given) > 1 else given[0][0]
            rms_s, board_ns = self._settle(places, verified, number), verified.board_ns
        result.passes.append(
            PassRecord(
                number=number,
                active=active,
                pulsed=pulsed,
                converged_total=int(np.count_nonzero(result.converged)),
                rms_error_s=rms_s,
                seconds_host=time.perf_counter() - started_s,
                board_time_ns=board_ns,
                messages=self._chip.messages() - messages,
            )
        )
        done = result.cells.size - self._live.size - self._zero.size
        share = 100.0 * result.passes[-1].converged_total / max(result.cells.size, 1)
        self._progress.advance(done, f"pass {number}, {share:.2f} % converged")

    def _batch(self) -> tuple[_Places, NDArray[np.float32]]:
        """Cells of the next pass and their currents."""
        if not self._zero.size:
            return self._live, self._amplitude_a
        places = np.sort(np.concatenate((self._zero, self._live)))
        amplitude_a = np.full(places.size, self.settings.reset_current_a, np.float32)
        amplitude_a[self.result.target_s[places] > 0] = self._amplitude_a
        return places, amplitude_a

    def _give(
        self, places: _Places, amplitude_a: NDArray[np.float32], number: int
    ) -> tuple[BatchReport, _Places]:
        """Pulse in one batch; returns its report, and the places that got a pulse.

        Cells that got none from a batch that ended well are left out from then on.
        """
        result = self.result
        batch = Batch(self._batch_id, result.cells[places], self.settings.pulse, amplitude_a)
        try:
            self._chip.program(batch)
            outcome = finish_batch(self._chip, batch)
        except (BatchRefused, EnvelopeExceeded, WearBudgetSpent):
            raise  # nothing was given
        except BaseException:
            # What may have been given counts; when it was is not known.
            self._book(places, amplitude_a, np.zeros(places.size, np.uint64), number)
            raise
        self._batch_id += 1
        given = outcome.given
        if given is None:
            self._book(places, amplitude_a, outcome.times_ns, number)
            return outcome.report, places
        self._book(places[given], amplitude_a[given], outcome.times_ns[given], number)
        if outcome.report.state is not State.DONE:
            raise cut_short(self._chip, outcome.report)
        left_out = result.left_out
        left_out[places[~given]] = True
        self._zero = self._zero[~left_out[self._zero]]
        stay = np.flatnonzero(~left_out[self._live])
        self._live = self._live[stay]
        self._strategy.keep(stay)
        return outcome.report, places[given]

    def _verify(self, places: _Places, start_ns: int) -> Verified:
        """Read cells of a batch that began at `start_ns`."""
        result = self.result
        return self._verifier.read(
            result.cells[places],
            result.target_s[places],
            self._exponent[places],
            result.pulsed_ns[places],
            start_ns,
        )

    def _book(
        self, places: _Places, amplitude_a: NDArray[np.float32], times_ns: NDArray[np.uint64], number: int
    ) -> None:
        self.result.pulses[places] = number  # every cell that is not done was pulsed in every pass
        self.result.last_amplitude_a[places] = amplitude_a
        self.result.pulsed_ns[places] = times_ns

    # ------------------------------------------------------------------ judging

    def _settle(self, places: _Places, verified: Verified, number: int) -> float:
        """Take out the cells that are done, choose the next currents; returns the rms error before that."""
        reading_s, expected_s = verified.reading_s, verified.expected_s
        self.result.verify_target_s[places] = expected_s
        if self._zero.size:
            zero = self.result.target_s[places] == 0.0
            taken = reading_s[zero] <= np.float32(self.settings.zero_limit_s)
            self._zero = self._zero[self._undone(self._zero, taken, reading_s[zero], number)]
            reading_s, expected_s = reading_s[~zero], expected_s[~zero]
        error_s = reading_s - expected_s
        stay = self._undone(self._live, self._strategy.accepts(error_s), reading_s, number)
        known = error_s if np.isfinite(error_s).all() else error_s[np.isfinite(error_s)]
        rms_s = math.sqrt(float(np.dot(known, known)) / known.size) if known.size else math.nan
        if stay.size < self._live.size:
            self._live, error_s = self._live[stay], error_s[stay]
            self._strategy.keep(stay)
        self._amplitude_a = self._strategy.next(error_s)
        return rms_s

    def _undone(
        self, places: _Places, accepted: NDArray[np.bool_], reading_s: NDArray[np.float32], number: int
    ) -> NDArray[np.intp]:
        """Book the accepted cells; returns which entries go on: neither done nor out of pulses nor unread."""
        result = self.result
        done = np.flatnonzero(accepted)
        result.converged[places[done]] = True
        result.accepted_s[places[done]] = reading_s[done]
        over = accepted | np.isnan(reading_s)
        result.left_out[places[over & ~accepted]] = True
        over |= self._pulses_max[places] <= number
        return np.flatnonzero(~over)
