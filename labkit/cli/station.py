"""``labkit station check``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from labkit.cli.options import BenchFile, InstrumentName, Json
from labkit.cli.output import examples
from labkit.errors import StationError

__all__ = ["station_app"]

station_app = typer.Typer(
    epilog=examples("labkit station check bench.yaml"),
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@station_app.callback()  # without it a group of one command would be that command
def _station() -> None:
    """Look after a bench."""


@station_app.command(epilog=examples("labkit station check bench.yaml"))
def check(
    bench: BenchFile,
    instrument: InstrumentName = None,
    as_json: Json = False,
) -> None:
    """Open, identify, test and close every instrument.

    The test is a power cycle and a few reads; no cell is pulsed.
    """
    from labkit.cli.output import grid, print_json, stdout, tell
    from labkit.cli.progress import working
    from labkit.station import check_station

    with working("Checking"):
        checks = check_station(bench, instrument=instrument)
    failed = [found.name for found in checks if not found.ok]
    if as_json:
        print_json({"bench": str(bench), "ok": not failed, "checks": [asdict(found) for found in checks]})
    else:
        from rich.text import Text

        table = grid("", "check", "found")
        for found in checks:
            mark = Text("✓", style="green") if found.ok else Text("✗", style="bold red")
            table.add_row(mark, found.name, Text(found.detail))
        stdout().print(table)
    if failed:
        tell(f"{len(failed)} of {len(checks)} checks of {bench} failed: {', '.join(failed)}")
        raise typer.Exit(StationError.exit_code)
