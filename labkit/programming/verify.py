"""The verify read: cells at their verify age, compared with targets that are corrected for the mean drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import ReadFlag, Reading
from labkit.errors import StationError
from labkit.programming.pulsing import said_by

if TYPE_CHECKING:
    from calibration.laws.drift import Drift
    from labkit.clock import Clock
    from labkit.envelope import GuardedChip
    from labkit.programming.settings import ProgramSettings

__all__ = ["Verified", "Verifier", "joined"]

_YOUNGEST_S = np.float32(1e-9)


@dataclass(frozen=True, eq=False)
class Verified:
    """What was read, and what should have been.

    Attributes
    ----------
    reading_s, expected_s : ndarray of float32, shape (n,)
        Reading and verify target, siemens; NaN where a cell gave no reading.
    board_ns : int
        Board time afterwards.
    """

    reading_s: NDArray[np.float32]
    expected_s: NDArray[np.float32]
    board_ns: int


class Verifier:
    """Reads cells as the settings say.

    ``G_T' = G_T (age / t0)^-mu``, with the age each cell had reached at its reading (device-physics §1.6).

    Parameters
    ----------
    chip, clock
        Of the station.
    drift : Drift
        Of the card.
    settings : ProgramSettings
        With nothing left open.
    """

    def __init__(self, chip: GuardedChip, clock: Clock, drift: Drift, settings: ProgramSettings) -> None:
        self._chip, self._clock, self._drift, self._settings = chip, clock, drift, settings
        self._setup = settings.read_setup
        range_a = np.inf if settings.read_range_a is None else settings.read_range_a
        self._full_s = np.float32(range_a / settings.read_voltage_v)

    def read(
        self,
        cells: NDArray[np.uint32],
        target_s: NDArray[np.float32],
        exponent: NDArray[np.float32],
        pulsed_ns: NDArray[np.uint64],
        start_ns: int,
    ) -> Verified:
        """Wait until the batch that began at `start_ns` (board time) has the verify age, and read.

        Parameters
        ----------
        cells, target_s, exponent, pulsed_ns : ndarray, shape (n,)
            Index, target at t0 (siemens), mean drift exponent, and board time of the last pulse.

        Raises
        ------
        StationError
            The read was cut short.
        """
        settings = self._settings
        readings, targets, late_ns = [], [], 0
        for number in range(settings.reads_per_pass):
            age_s = settings.verify_age_s + number * settings.read_interval_s
            left_ns = start_ns + late_ns + round(1e9 * age_s) - self._chip.clock_ns()
            if left_ns > 0:
                self._clock.advance(1e-9 * left_ns)
            elif number == 0:
                late_ns = -left_ns  # other batches were read before; the intervals are kept all the same
            reading = self._chip.read(cells, self._setup)
            readings.append(self._usable(reading))
            factor = self._drift.factor(_age_s(reading, pulsed_ns), exponent)
            targets.append((target_s * factor).astype(np.float32))
        return Verified(_mean(readings), _mean(targets), reading.clock_ns)

    def _usable(self, reading: Reading) -> NDArray[np.float32]:
        """Return conductances: the end of the range where the converter clipped, NaN where there is none."""
        if not reading.flags.any():
            return reading.g_s
        if (lost := int(np.count_nonzero(reading.flags & ReadFlag.NOT_READ))) > 0:
            raise StationError(
                f"a verify read was cut short, {lost:,} of {reading.flags.size:,} cells were not read"
                f"{said_by(self._chip)}; find the cause, then program again",
                lost=lost,
                total=int(reading.flags.size),
            )
        return np.where(reading.flags & ReadFlag.CLIPPED_HIGH, self._full_s, reading.g_s)


def joined(parts: list[Verified]) -> Verified:
    """Return what was read batch by batch as if it had been read at once."""
    if len(parts) == 1:
        return parts[0]
    return Verified(
        np.concatenate([part.reading_s for part in parts]),
        np.concatenate([part.expected_s for part in parts]),
        parts[-1].board_ns,
    )


def _age_s(reading: Reading, pulsed_ns: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Age of each cell at its reading, seconds."""
    now_ns: Any = np.uint64(reading.clock_ns) if reading.t_ns is None else reading.t_ns
    age_s: NDArray[np.float32] = (now_ns - pulsed_ns).astype(np.float32)
    age_s *= np.float32(1e-9)
    np.maximum(age_s, _YOUNGEST_S, out=age_s)
    return age_s


def _mean(arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(arrays) == 1:
        return arrays[0]
    mean: NDArray[np.float32] = np.mean(arrays, axis=0, dtype=np.float32)
    return mean
