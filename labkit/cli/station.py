"""``labkit station check``, ``scan`` and ``snapshot``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.options import BenchFile, InstrumentName, Json
from labkit.cli.output import examples
from labkit.errors import StationError

__all__ = ["station_app"]

station_app = typer.Typer(
    epilog=examples(
        "labkit station scan > bench.yaml",
        "labkit station check bench.yaml",
        "labkit station snapshot bench.yaml --out bench.json",
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@station_app.callback()
def _station() -> None:
    """Look after a bench."""


@station_app.command(epilog=examples("labkit station check bench.yaml"))
def check(
    bench: BenchFile,
    instrument: InstrumentName = None,
    as_json: Json = False,
) -> None:
    """Open, identify, test and close every instrument.

    Bench instruments are compared with the file, asked for errors and run their self-test; a chip gets a power cycle
    and a few reads, and no cell is pulsed. Everything is left safe.
    """
    from labkit.cli.output import grid, print_json, stdout, tell
    from labkit.cli.progress import working
    from labkit.station_instruments import check_bench

    with working("Checking"):
        checks = check_bench(bench, instrument=instrument)
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


@station_app.command(epilog=examples("labkit station scan", "labkit station scan > bench.yaml"))
def scan(
    backend: Annotated[
        str, typer.Option(metavar="NAME", help='PyVISA backend: "@py", "@ivi", "bench.yaml@pcm".')
    ] = "@py",
    address: Annotated[
        list[str] | None,
        typer.Option(metavar="VISA", help="Ask there too: raw sockets are never listed by VISA; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask everything that VISA sees who it is, and propose a bench file.

    Only *IDN? is sent. The file goes to stdout, what was seen to stderr.
    """
    from labkit.cli.output import print_json, remark, stdout
    from labkit.cli.progress import working
    from labkit.station_scan import proposed_bench
    from labkit.station_scan import scan as scanned

    with working("Asking"):
        found = scanned(backend, address or ())
    if as_json:
        print_json({"backend": backend, "found": [asdict(each) for each in found]})
        return
    for each in found:
        remark(f"{each.address}: {each.identity or 'no answer'} -> {each.driver or 'no driver'}")
    remark(f"{len(found)} resources, {sum(each.driver is not None for each in found)} with a driver")
    stdout().print(proposed_bench(found, backend), markup=False, soft_wrap=True, end="")


@station_app.command(epilog=examples("labkit station snapshot bench.yaml --out bench.json"))
def snapshot(
    bench: BenchFile,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there; it must not exist yet.")
    ] = None,
    instrument: InstrumentName = None,
    as_json: Json = False,
) -> None:
    """Store identity and all settings of every instrument, and change nothing.

    Without --out it goes to stdout.
    """
    import json

    from labkit.cli.output import print_json, say
    from labkit.cli.progress import working
    from labkit.durable import write_whole
    from labkit.manifest import plain
    from labkit.station_instruments import snapshot_bench

    with working("Asking"):
        found = plain(snapshot_bench(bench, instrument=instrument))
    if out is None:
        print_json(found)
        return
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(out, lambda file: file.write(text.encode()), replace=False)
    if as_json:
        print_json({"bench": str(bench), "out": str(out), "instruments": sorted(found["instruments"])})
    else:
        say(f"{len(found['instruments'])} instruments in {out}")
