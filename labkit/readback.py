"""Read-backs: the cells of a run, read at ages counted from the end of its programming.

Errors are taken from these reads; those of the loop chose the cells they accepted. The power is off in
between.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import ReadFlag, ReadSetup
from labkit.compensation import compensated, scales
from labkit.errors import StationError
from labkit.programming.pulsing import said_by
from labkit.programming.settings import SettingsError
from labkit.progress import SILENT, Progress
from labkit.report.wording import age as age_in_words

if TYPE_CHECKING:
    from labkit.envelope import GuardedChip
    from labkit.judge import Judge
    from labkit.mapping import WeightMap
    from labkit.runs import Run
    from labkit.station import Station

__all__ = ["Accuracy", "ReadBacks", "check_ages", "in_words", "rest"]

_WAKE_S = 1.0
"""How long before a read the power is switched on: a default, longer than a supply takes."""


@dataclass(frozen=True)
class Accuracy:
    """One row of the table ``accuracy``.

    Attributes
    ----------
    age_s : float
        Nominal age of the read, seconds.
    label : str
        The same in words.
    accuracy_plain, accuracy_compensated : float
        With the weights as read, and with one scale per layer.
    scales : dict of str to float
        Those scales.
    """

    age_s: float
    label: str
    accuracy_plain: float
    accuracy_compensated: float
    scales: dict[str, float]

    @staticmethod
    def columns(rows: Iterable[Accuracy]) -> dict[str, Any]:
        """Columns of the table."""
        rows = list(rows)
        return {
            "age_s": np.array([row.age_s for row in rows], np.float64),
            "label": [row.label for row in rows],
            "accuracy_plain": np.array([row.accuracy_plain for row in rows], np.float64),
            "accuracy_compensated": np.array([row.accuracy_compensated for row in rows], np.float64),
            "scales": [json.dumps(row.scales) for row in rows],
        }


def rest(chip: GuardedChip) -> None:
    """Open the outputs and switch the power off."""
    chip.outputs(False)
    chip.power(False)


def in_words(age_s: float) -> str:
    """Return an age as people write it: ``"25 s"``, ``"1 h"``, ``"30.4 d"``."""
    return age_in_words(age_s).replace("\u00a0", " ")


def check_ages(ages_s: Iterable[float]) -> list[float]:
    """Return the ages ascending, each once.

    Raises
    ------
    SettingsError
        One is not a time above zero.
    """
    ages = sorted({float(age) for age in ages_s})
    if bad := [age for age in ages if not (math.isfinite(age) and age > 0)]:
        raise SettingsError(
            f"an age of {bad[0]:g} s cannot be read; ages are above zero and count from programming"
        )
    return ages


class ReadBacks:
    """Takes the read-backs of a run and judges them.

    Parameters
    ----------
    station : Station
        Open, its chip the one that was programmed.
    run : Run
        Gets the tables ``reads/NNNN``.
    weight_map : WeightMap
        Cells to read, in the order of the table ``cells``.
    pulsed_unix_ns : ndarray of int64, shape (n,)
        Unix time of the last pulse of each cell; 0 where it had none.
    programmed_unix_ns : int
        Unix time from which ages count: the end of the last batch.
    setup : ReadSetup
    judge : Judge, optional
        Without one there is no accuracy.
    reference_s : ndarray of float32, shape (n,), optional
        Reading that drift is compensated against; the first one taken by default.
    progress : Progress
    """

    def __init__(
        self,
        station: Station,
        run: Run,
        weight_map: WeightMap,
        *,
        pulsed_unix_ns: NDArray[np.int64],
        programmed_unix_ns: int,
        setup: ReadSetup,
        judge: Judge | None = None,
        reference_s: NDArray[np.float32] | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._station, self._run, self._map = station, run, weight_map
        self._pulsed_unix_ns, self._programmed_unix_ns = pulsed_unix_ns, programmed_unix_ns
        self._setup, self._judge, self._reference_s = setup, judge, reference_s
        self._progress = progress
        self.accuracy: dict[str, Accuracy] = {}
        """What the judge said, by the name of the table it was shown."""

    def take(self, ages_s: list[float]) -> Iterable[str]:
        """Wait for each age and read all cells; yields the name of each table as soon as it is on the disk.

        Raises
        ------
        StationError
            A read was cut short; the tables of the earlier ones are kept.
        """
        self._progress.start("Reading back", len(ages_s))
        for number, age_s in enumerate(ages_s):
            self._progress.advance(number, f"waiting for the age of {in_words(age_s)}")
            yield self._take(age_s)
            self._progress.advance(number + 1, f"read at {in_words(age_s)}")
        self._progress.finish()

    def _take(self, age_s: float) -> str:
        station, cells = self._station, self._map.cells
        chip, clock = station.chip, station.clock
        due_ns = self._programmed_unix_ns + round(age_s * 1e9)
        rest(chip)
        clock.sleep_until(due_ns - round(_WAKE_S * 1e9))
        station.energise()
        clock.sleep_until(due_ns)
        reading = chip.read(cells, self._setup)
        rest(chip)
        if (lost := int(np.count_nonzero(reading.flags & ReadFlag.NOT_READ))) > 0:
            raise StationError(
                f"the read at {in_words(age_s)} was cut short, {lost:,} of {cells.size:,} cells were not read"
                f"{said_by(chip)}; find the cause, then read again",
                lost=lost,
                total=cells.size,
            )
        t_ns = np.full(cells.size, reading.clock_ns, np.uint64) if reading.t_ns is None else reading.t_ns
        # Board time starts anew with every boot, so ages over sessions go through Unix time.
        board_to_unix_ns = station.unix_ns(0)
        elapsed_ns = t_ns.astype(np.int64) + (board_to_unix_ns - self._pulsed_unix_ns)
        pulsed = self._pulsed_unix_ns > 0
        limits, temperature_k = chip.limits(), chip.temperature_k()
        applied = station.read_calibration
        name = self._run.add_read(
            g_s=reading.g_s,
            flags=reading.flags,
            t_ns=t_ns,
            age_s=np.where(pulsed, 1e-9 * elapsed_ns, np.nan),
            nominal_age_s=age_s,
            label=in_words(age_s),
            setup=asdict(self._setup),
            metadata={
                "lsb_s": (self._setup.range_a or math.nan) / 2**limits.adc_bits / self._setup.voltage_v,
                "board_to_unix_ns": board_to_unix_ns,
                "temperature_k": temperature_k,
                "read_calibration": None
                if applied is None
                else applied.facts(clock.now_unix_ns(), temperature_k),
                "missing": self._map.missing(reading.g_s),
            },
        )
        if self._reference_s is None:
            self._reference_s = reading.g_s
        if self._judge is not None:
            self.accuracy[name] = self._accuracy(age_s, reading.g_s, self._judge)
        return name

    def _accuracy(self, age_s: float, g_s: NDArray[np.float32], judge: Judge) -> Accuracy:
        weights = self._map.weights(g_s)
        factors = scales(self._map, g_s if self._reference_s is None else self._reference_s, g_s)
        return Accuracy(
            age_s=age_s,
            label=in_words(age_s),
            accuracy_plain=judge.accuracy(weights),
            accuracy_compensated=judge.accuracy(compensated(weights, factors)),
            scales=factors,
        )
