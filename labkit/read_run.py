"""Reading the cells of an earlier run again, in another session, at ages counted from its programming."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import ReadSetup
from labkit.errors import RunError, StationError
from labkit.mapping import WeightMap
from labkit.progress import SILENT, Progress
from labkit.readback import Accuracy, ReadBacks, check_ages, in_words

if TYPE_CHECKING:
    from labkit.judge import Judge
    from labkit.runs import Run
    from labkit.station import Station

__all__ = ["read_run"]


def read_run(
    station: Station,
    run: Run,
    ages_s: Iterable[float],
    *,
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Read the cells of a run again.

    The power is off while it waits, and afterwards. On a simulated bench waiting costs no time.

    Parameters
    ----------
    station : Station
        An open bench with the chip of the run.
    run : Run
        A programming run; gets a table ``reads/NNNN`` per age, and ``accuracy/NNNN`` where there is a judge.
    ages_s : iterable of float
        When to read, seconds from the end of the run's programming.
    judge : Judge, optional
        Says how well the network does with the weights read back.
    progress : Progress, optional

    Returns
    -------
    list of str
        Names of the new tables ``reads/NNNN``, by age.

    Raises
    ------
    SettingsError
        An age is no time above zero, or there is none.
    RunError
        An age is already past, or the run holds no programmed cells; nothing was read.
    StationError
        The bench has another chip, or one whose cells were pulsed since; nothing was read. Or a read was cut
        short; those before it are kept.
    """
    ages = check_ages(ages_s)
    weight_map = WeightMap.of_run(run)
    programmed_ns = run.manifest.get("programmed_unix_ns")
    if not isinstance(programmed_ns, int):
        raise RunError(
            f"{run.path} ended before any cell was pulsed; program the weights again", path=run.path
        )
    _check_chip(station, run, weight_map)
    now_age_s = 1e-9 * (station.clock.now_unix_ns() - programmed_ns)
    if not ages or ages[0] < now_age_s:
        asked = "no age was asked for" if not ages else f"an age of {in_words(ages[0])} is past"
        raise RunError(
            f"{asked}: the cells of {run.path} are {in_words(now_age_s)} old ({now_age_s:.0f} s); ask for an "
            "age above that",
            path=run.path,
            asked_s=ages[0] if ages else None,
            age_s=now_age_s,
        )
    reads = ReadBacks(
        station,
        run,
        weight_map,
        pulsed_unix_ns=run.table("cells")["pulsed_unix_ns"].to_numpy(np.int64),
        programmed_unix_ns=programmed_ns,
        setup=_setup(run),
        judge=judge,
        reference_s=_reference_s(run),
        progress=progress or SILENT,
    )
    tables = []
    for table in reads.take(ages):
        tables.append(table)
        if judge is not None:
            run.write_table(f"accuracy/{table.rpartition('/')[2]}", Accuracy.columns([reads.accuracy[table]]))
    return tables


def _check_chip(station: Station, run: Run, weight_map: WeightMap) -> None:
    """Refuse a bench whose chip is not the one that was programmed, or no longer as the run left it."""
    chip = station.chip
    told = run.manifest.get("station")
    identities = told.get("identities", {}) if isinstance(told, dict) else {}
    here = chip.identify()
    before = next((entry for entry in identities.values() if isinstance(entry, dict)), {})
    if (before.get("model"), before.get("serial")) != (here.model, here.serial):
        raise StationError(
            f"{run.path} was programmed into {before.get('model')} {before.get('serial')}, and the bench has "
            f"{here.model} {here.serial}; connect that chip, or open the bench that has it",
            path=station.bench.path,
            instrument=station.name,
        )
    geometry, programmed = chip.geometry(), run.manifest.get("geometry", {})
    size = (geometry.banks, geometry.rows, geometry.cols)
    if tuple(programmed.get(key) for key in ("banks", "rows", "cols")) != size:
        raise StationError(
            f"{run.path} was programmed into a chip of another size, {programmed}, than the bench's {size}; "
            "open the bench that has it",
            path=station.bench.path,
            instrument=station.name,
        )
    counted = run.manifest.get("board_pulses")
    if isinstance(counted, int) and "CYCL" in chip.limits().nonvolatile:
        found = int(chip.cycles(weight_map.cells).sum(dtype=np.uint64))
        if found != counted:
            why = (
                "were pulsed since"
                if found > counted
                else "are those of another chip, or of an older state of it"
            )
            raise StationError(
                f"the cells of {run.path} {why}: the board counts {found:,} pulses in them, the run left "
                f"{counted:,}. They do not hold its weights; program them again",
                path=station.bench.path,
                instrument=station.name,
                found=found,
                expected=counted,
            )


def _setup(run: Run) -> ReadSetup:
    """Read as the run did."""
    settings = run.manifest["settings"]
    try:
        return ReadSetup(
            float(settings["read_voltage_v"]),
            int(settings["read_samples"]),
            float(settings["read_aperture_s"]),
            float(settings["read_range_a"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise RunError(
            f"{run.path} does not say how its cells were read ({problem})", path=run.path
        ) from problem


def _reference_s(run: Run) -> NDArray[np.float32] | None:
    """Return the first read of the run, against which drift is compensated."""
    first = next((name for name in run.tables() if name.startswith("reads/")), None)
    return None if first is None else run.table(first)["g_s"].to_numpy(np.float32)
