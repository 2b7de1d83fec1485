"""``labkit read``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.options import InstrumentName, Json, RunFolder
from labkit.errors import StationError

if TYPE_CHECKING:
    from labkit.runs import Run

__all__ = ["read"]


def read(
    run: RunFolder,
    at: Annotated[
        str,
        typer.Option(metavar="AGES", help="Ages of the cells, such as 1h,1d; they count from programming."),
    ],
    station: Annotated[
        Path | None, typer.Option(metavar="BENCH", help="Bench file; by default that of the run.")
    ] = None,
    instrument: InstrumentName = None,
    as_json: Json = False,
) -> None:
    """Read the cells of a run again later.

    On a bench this waits for each age with the power off; on a simulated chip
    it costs no time. An age that is past is an error. The reads become part of
    the run: labkit report draws them.
    """
    from labkit.cli.quantities import ages

    ages_s = ages(at)

    from labkit.cli.bench import at_work, judge_of
    from labkit.cli.figures import read_figures, read_table
    from labkit.cli.output import print_json, shown_path, stdout
    from labkit.read_run import read_run
    from labkit.runs import Run
    from labkit.station import open_station

    opened = Run.open(run)
    programmed = opened.manifest.get("station", {}).get("instrument")
    bench = open_station(station or _bench_of(opened), instrument=instrument or programmed)
    with at_work(bench) as shown:
        tables = read_run(bench, opened, ages_s, judge=judge_of(opened), progress=shown)
    reads = read_figures(opened, tables)
    if as_json:
        print_json({"run": opened.path, "reads": reads})
        return
    stdout().print(read_table(reads, opened.manifest.get("accuracy_software")))
    stdout().print(f"Draw them: labkit report {shown_path(opened.path)}", style="dim", soft_wrap=True)


def _bench_of(run: Run) -> Path:
    path = run.manifest.get("station", {}).get("bench", {}).get("path")
    if path is None or not Path(path).is_file():
        raise StationError(
            f"the bench file of {run.path} is no longer at {path}; name it with --station", path=path
        )
    return Path(path)
