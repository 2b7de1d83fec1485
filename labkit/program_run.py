"""A whole programming job: weights into a chip, read back and judged, all of it in a run directory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.errors import DriverError
from labkit.errors import Interrupted, LabkitError, StationError
from labkit.mapping import WeightMap
from labkit.programming.loop import ProgramLoop
from labkit.progress import SILENT, Progress
from labkit.readback import Accuracy, ReadBacks, check_ages, rest
from labkit.runs import Run
from labkit.weights import check_layers

if TYPE_CHECKING:
    from pathlib import PurePath

    from calibration import DeviceCard
    from labkit.judge import Judge
    from labkit.programming.record import ProgramResult
    from labkit.programming.settings import ProgramSettings
    from labkit.station import Station

__all__ = ["program_run"]


def program_run(
    station: Station,
    layers: Mapping[str, ArrayLike],
    *,
    card: DeviceCard,
    settings: ProgramSettings,
    out: str | PurePath | None,
    inputs: Mapping[str, Any],
    ages_s: Iterable[float] = (25.0,),
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> Run:
    """Program a network, read it back, judge it.

    Everything that can be checked is checked before the first pulse. After an exception the chip is safe, and
    the run holds what is known: which cells were pulsed how often, how far they got, and why it ended.

    Parameters
    ----------
    station : Station
        An open bench; its power is off afterwards.
    layers : mapping of str to array_like, shape (rows, outputs)
        Weights, e.g. from :func:`labkit.weights.load_weights`.
    card : DeviceCard
        The device on the bench.
    settings : ProgramSettings
        How to program.
    out : path or None
        The run directory to make; None chooses a name.
    inputs : mapping
        Where the weights come from, for the manifest.
    ages_s : iterable of float
        When to read back, seconds from the end of programming. Errors are taken from the first read.
    judge : Judge, optional
        Says how well the network does with the weights read back.
    progress : Progress, optional

    Returns
    -------
    Run
        Its figures hold ``converged_fraction`` and ``pulses_mean`` of the cells with non-zero targets, and
        ``error_rms_fraction_of_gmax``, the rms of first read minus target over those that converged.

    Raises
    ------
    WeightsError, TooManyCells, TargetOutOfRange, SettingsError, CardError
        The weights, settings or card do not fit this chip; nothing was pulsed and no run was made.
    EnvelopeExceeded, WearBudgetSpent
        The envelope of the bench forbids it; nothing was pulsed and no run was made.
    RunExists
        `out` is taken; nothing was pulsed.
    StationError, DriverError, Interrupted
        It ended early; the run says how far it got.
    """
    started_s, progress = time.perf_counter(), progress or SILENT
    chip = station.chip
    messages = chip.messages()
    ages = check_ages(ages_s)
    weights = check_layers(layers)
    settings = settings.for_card(card, chip.limits())
    g_max_s = settings.g_max_s or card.g_max_s
    references = station.bench.references
    weight_map = WeightMap.place(
        weights,
        chip.geometry(),
        g_max_s=g_max_s,
        smallest_s=settings.smallest_target * g_max_s,
        reference_rows=() if references is None else references.rows,
    )
    loop = ProgramLoop(
        chip, station.clock, weight_map.cells, weight_map.target_s, card, settings, progress=progress
    )
    loop.check()
    software = judge.accuracy(weights) if judge is not None else None
    simulated = station.bench.chips[station.name].simulated
    run = Run.create(
        out,
        kind="program",
        settings={**settings.to_dict(), "ages_s": ages},
        card=card.to_dict(),
        station=station.snapshot(),
        seeds={"chip": simulated.seed} if simulated is not None else {},
        inputs=inputs,
        created_unix_ns=station.clock.now_unix_ns(),
    )
    job = _Job(station, run, weight_map, loop, card)
    try:
        run.update_manifest(
            geometry=asdict(chip.geometry()), layers=[asdict(layer) for layer in weight_map.layers]
        )
        if software is not None:
            run.update_manifest(accuracy_software=software)
        station.energise()
        loop.run()
        rest(chip)
        job.write_cells()
        job.read_back(ages, judge, progress)
        run.finish(
            "finished",
            **job.figures(),
            messages=chip.messages() - messages,
            seconds=time.perf_counter() - started_s,
        )
    except BaseException as error:
        job.give_up(error)
        raise
    return run


class _Job:
    """A run while it is made."""

    def __init__(
        self, station: Station, run: Run, weight_map: WeightMap, loop: ProgramLoop, card: DeviceCard
    ) -> None:
        self._station, self._run, self._map, self._loop, self._card = station, run, weight_map, loop, card
        self._reads: ReadBacks | None = None
        self._tables: list[str] = []

    @property
    def _result(self) -> ProgramResult:
        return self._loop.result

    def write_cells(self) -> None:
        """Write what the loop did, and from when ages count."""
        result = self._result
        pulsed_unix_ns = self._pulsed_unix_ns()
        self._keep(
            "cells",
            {
                **self._map.columns(),
                "verify_target_s": result.verify_target_s,
                "programmed": result.pulses > 0,
                "pulses": result.pulses,
                "converged": result.converged,
                "accepted_s": result.accepted_s,
                "last_amplitude_a": result.last_amplitude_a,
                "pulsed_unix_ns": pulsed_unix_ns,
            },
        )
        self._keep("passes", result.pass_columns())
        if pulsed_unix_ns.any():
            self._run.update_manifest(programmed_unix_ns=int(pulsed_unix_ns.max()))

    def _keep(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write a table the run does not have yet: an exception may strike before, in or after it."""
        if name not in self._run.tables():
            self._run.write_table(name, columns)

    def _pulsed_unix_ns(self) -> NDArray[np.int64]:
        pulsed_ns = self._result.pulsed_ns.astype(np.int64)
        return np.where(pulsed_ns > 0, pulsed_ns + self._station.unix_ns(0), 0)

    def read_back(self, ages_s: list[float], judge: Judge | None, progress: Progress) -> None:
        """Read all cells at all ages."""
        chip, programmed_ns = self._station.chip, self._run.manifest.get("programmed_unix_ns")
        if programmed_ns is None:
            raise StationError(
                f"the board's mask forbids all {len(self._map):,} cells these weights lie in, so none was "
                "pulsed; clear the mask"
            )
        if "CYCL" in chip.limits().nonvolatile:
            # With it a later read can tell whether these cells were pulsed in between.
            counted = int(chip.cycles(self._map.cells).sum(dtype=np.uint64))
            self._run.update_manifest(board_pulses=counted)
        self._reads = ReadBacks(
            self._station,
            self._run,
            self._map,
            pulsed_unix_ns=self._pulsed_unix_ns(),
            programmed_unix_ns=programmed_ns,
            setup=self._loop.settings.read_setup,
            judge=judge,
            progress=progress,
        )
        for table in self._reads.take(ages_s):
            self._tables.append(table)
        self._write_accuracy()

    def _write_accuracy(self) -> None:
        if self._reads is not None and self._reads.accuracy:
            self._keep("accuracy", Accuracy.columns(self._reads.accuracy.values()))

    def figures(self) -> dict[str, Any]:
        """Key figures: of the loop, and of the first independent read where there is one."""
        result = self._result
        zero, pulsed = result.zero, result.pulses > 0
        live = ~zero & pulsed & ~result.left_out
        reset = zero & pulsed & ~result.left_out
        found: dict[str, Any] = {
            "cells": int(np.count_nonzero(pulsed)),
            "cells_nonzero": int(np.count_nonzero(live)),
            "cells_zero": int(np.count_nonzero(reset)),
            "cells_left_out": int(np.count_nonzero(result.left_out)),
            "converged_fraction": _mean(result.converged[live]),
            "zero_converged_fraction": _mean(result.converged[reset]),
            "passes": len(result.passes),
            "pulses_mean": _mean(result.pulses[live]),
            "pulses_total": int(result.pulses.sum(dtype=np.uint64)),
            "ended": result.ended or None,
        }
        if self._tables:
            found |= self._errors(self._tables[0], live & result.converged)
        return found

    def _errors(self, table: str, judged: NDArray[np.bool_]) -> dict[str, Any]:
        """Errors of one read over the judged cells, as fractions of full scale."""
        frame = self._run.table(table)
        g_s = frame["g_s"].to_numpy(np.float64)
        age_s = frame["age_s"].to_numpy(np.float64)
        judged = judged & np.isfinite(g_s) & np.isfinite(age_s)
        target_s, g_s, age_s = self._result.target_s[judged].astype(np.float64), g_s[judged], age_s[judged]
        g_max_s = self._map.g_max_s
        drift = self._card.drift
        at_t0_s = g_s / drift.factor(age_s, drift.mean_exponent(target_s / self._card.g_max_s))
        return {
            "error_rms_fraction_of_gmax": _rms((g_s - target_s) / g_max_s),
            "error_mean_fraction_of_gmax": _mean((g_s - target_s) / g_max_s),
            # The same with each reading carried back to the card's t0 by its mean drift.
            "error_rms_at_t0_fraction_of_gmax": _rms((at_t0_s - target_s) / g_max_s),
            "first_read_age_s": float(np.median(age_s)) if age_s.size else None,
        }

    def give_up(self, error: BaseException) -> None:
        """Make the chip safe, write down what is known; what fails here becomes a note of the error."""
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        self._station.chip.safe()
        try:
            self.write_cells()
            self._write_accuracy()
            self._run.update_manifest(
                status="interrupted" if stopped else "failed",
                error=f"{type(error).__name__}: {error}",
                figures={**self._run.manifest.get("figures", {}), **self.figures()},
            )
        except (LabkitError, DriverError, OSError, ValueError) as problem:
            error.add_note(f"what is known of the run could not be written: {problem}")
        else:
            error.add_note(f"what is known of the run is kept in {self._run.path}")


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean(dtype=np.float64)) if values.size else None


def _rms(values: NDArray[np.float64]) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else None
