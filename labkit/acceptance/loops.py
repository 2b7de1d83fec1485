"""The program-and-verify loop on a bench, each converged cell judged at an age of its own.

The loop is ``labkit.programming``'s with the settings of a row. Cells converge in different passes and have
different ages at any one moment, so whoever judges them looks after every pass: a pause between two passes costs
the loop nothing, for ages count from each cell's last pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.chip import ReadSetup
from labkit.acceptance.bench import Bench
from labkit.programming import ProgramLoop, ProgramSettings

if TYPE_CHECKING:
    from calibration import DeviceCard
    from labkit.programming.record import ProgramResult

__all__ = ["Aged", "Judge", "Later", "Reread", "run_loop", "settings", "single_read"]

_Floats = NDArray[np.float64]


def settings(**changes: object) -> ProgramSettings:
    """Return the settings of the tables: one short read verifies, 55 pulses at most, no limit of passes."""
    return ProgramSettings.from_dict(
        {"read_samples": 1, "pulses_max": 55, "passes_max": None, **changes}  # device-physics §1.6, §9.3
    )


class Judge(Protocol):
    """Looks at the cells of a loop after each pass."""

    def look(self, bench: Bench, result: ProgramResult) -> None:
        """Read what is due."""


class _Watching:
    """Stands where a progress bar would: it is told of every pass."""

    def __init__(self, bench: Bench, judge: Judge) -> None:
        self._bench, self._judge = bench, judge
        self.loop: ProgramLoop | None = None

    def start(self, title: str, total: int) -> None:
        """Do nothing: no cell has been programmed yet."""

    def advance(self, done: int, note: str = "") -> None:
        """Let the judge look."""
        if self.loop is not None:
            self._judge.look(self._bench, self.loop.result)

    def finish(self) -> None:
        """Do nothing: the last pass has been looked at."""


def run_loop(
    bench: Bench, g: _Floats, chosen: ProgramSettings, judge: Judge, *, host: DeviceCard | None = None
) -> ProgramResult:
    """Programme all cells of a bench to targets over full scale, and let a judge look after every pass.

    Parameters
    ----------
    bench : Bench
    g : ndarray, shape (n,)
    chosen : ProgramSettings
    judge : Judge
    host : DeviceCard, optional
        The card the host corrects and chooses currents by, where it is not that of the chip.
    """
    card = host or bench.card
    watching = _Watching(bench, judge)
    loop = ProgramLoop(
        bench.chip, bench.clock, bench.cells, (g * card.g_max_s).astype(np.float32), card, chosen,
        progress=watching,
    )  # fmt: skip
    watching.loop = loop
    return loop.run()


def single_read(chosen: ProgramSettings) -> ReadSetup:
    """Return one conversion, in the range that holds all targets."""
    return ReadSetup(chosen.read_voltage_v, 1, 1e-6, 1e-5)


class Aged:
    """Reads each converged cell once it has an age: by one conversion, and by `reads` of them spread over a second.

    Parameters
    ----------
    cells : int
    age_s : float
    setup : ReadSetup
    reads : int
        In the average, which stands for the components of the noise slower than a second.

    Attributes
    ----------
    single_s, averaged_s : ndarray of float64, shape (cells,)
        Siemens; NaN for cells that never were due.
    age_s : ndarray of float64, shape (cells,)
        Of the single read, seconds.
    """

    def __init__(self, cells: int, age_s: float, setup: ReadSetup, reads: int = 24) -> None:
        self._due_s, self._setup, self._reads = age_s, setup, reads
        self.single_s = np.full(cells, np.nan)
        self.averaged_s, self.age_s = self.single_s.copy(), self.single_s.copy()

    def look(self, bench: Bench, result: ProgramResult) -> None:
        """Read the converged cells that have become old enough."""
        pulsed_ns = result.pulsed_ns.astype(np.int64)
        old = 1e-9 * (bench.chip.clock_ns() - pulsed_ns) >= self._due_s
        due = np.flatnonzero(result.converged & np.isnan(self.age_s) & old)
        if not due.size:
            return
        readings = []
        for number in range(1 + self._reads):
            reading = bench.chip.read(result.cells[due], self._setup)
            readings.append(reading.g_s.astype(np.float64))
            if number == 0:
                assert reading.t_ns is not None  # noqa: S101 - asked for
                self.age_s[due] = 1e-9 * (reading.t_ns.astype(np.int64) - pulsed_ns[due])
            bench.wait(1.0 / self._reads)
        self.single_s[due] = readings[0]
        self.averaged_s[due] = np.mean(readings[1:], axis=0)

    def wait_for_rest(self, bench: Bench, result: ProgramResult, step_s: float = 1.0) -> None:
        """Let time pass until every converged cell has been judged."""
        while np.any(result.converged & np.isnan(self.age_s)):
            bench.wait(step_s)
            self.look(bench, result)


class Reread:
    """Reads newly converged cells again, at once and after a second.

    Attributes
    ----------
    errors_s : list of ndarray of float64, shape (cells,)
        Of the accepting read, of the earliest one after it and of the one a second later, against the verify
        target carried to the age of each by the mean drift; siemens, NaN for cells that did not converge.
    lag_s : list of float
        From the accepting read to the earliest one.
    """

    def __init__(self, cells: int, setup: ReadSetup, card: DeviceCard, g: _Floats) -> None:
        self._setup, self._card = setup, card
        self._target_s = g * card.g_max_s
        self._exponent = card.drift.mean_exponent(g)
        self.errors_s = [np.full(cells, np.nan) for _ in range(3)]
        self.lag_s: list[float] = []

    def look(self, bench: Bench, result: ProgramResult) -> None:
        """Read the cells that were accepted in the pass that just ended."""
        new = np.flatnonzero(result.converged & np.isnan(self.errors_s[0]))
        if not new.size:
            return
        groups = -(-result.passes[-1].active // bench.chip.limits().parallel_read)
        reading_s = groups * (self._setup.aperture_s + bench.chip.limits().read_overhead_s)
        accepted_ns = result.passes[-1].board_time_ns - 0.5e9 * reading_s  # middle of the verify read
        self.errors_s[0][new] = result.accepted_s[new].astype(np.float64) - result.verify_target_s[new]
        for place, pause_s in ((1, 0.0), (2, 1.0)):
            bench.wait(pause_s)
            reading = bench.chip.read(result.cells[new], self._setup)
            assert reading.t_ns is not None  # noqa: S101 - asked for
            t_ns = reading.t_ns.astype(np.int64)
            age_s = 1e-9 * (t_ns - result.pulsed_ns[new].astype(np.int64))
            expected_s = self._target_s[new] * self._card.drift.factor(age_s, self._exponent[new])
            self.errors_s[place][new] = reading.g_s - expected_s
            if place == 1:
                self.lag_s.append(1e-9 * float(np.median(t_ns) - accepted_ns))


@dataclass(frozen=True)
class Later:
    """A judge that looks at nothing while the loop runs."""

    def look(self, bench: Bench, result: ProgramResult) -> None:
        """Leave all cells alone."""
