"""``labkit demo``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.options import Json
from labkit.errors import RunExists

if TYPE_CHECKING:
    from labkit.runs import Run

__all__ = ["demo"]

AGES_S = (25.0, 3600.0, 86_400.0, 604_800.0, 2_629_800.0)
"""Of the read-backs: 25 s, an hour, a day, a week, a month."""


def demo(
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to make; by default demo, demo-2 ...")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Another seed is another chip.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the report in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Program a real network into a simulated chip, and report on it.

    198,760 weights of a network for handwritten digits become 397,520 cells.
    They are read back over a simulated month, and 10,000 images say how well
    the network still does. Bench file, chip and run stay in the folder.
    """
    from calibration import DeviceCard
    from labkit.cli.bench import DEMO_INPUTS, at_work, demo_judge, drawn
    from labkit.cli.figures import read_figures
    from labkit.cli.output import print_json
    from labkit.network import load_demo_network
    from labkit.program_run import program_run
    from labkit.programming import ProgramSettings
    from labkit.station import open_station

    bench = _write_bench((out or _unused("demo")).absolute(), seed)
    with at_work(station := open_station(bench)) as shown:
        run = program_run(
            station,
            load_demo_network().layers(),
            card=DeviceCard.load("ibm90"),
            settings=ProgramSettings(),
            out=bench.parent / "run",
            inputs=DEMO_INPUTS,
            ages_s=AGES_S,
            judge=demo_judge(),
            progress=shown,
        )
    page = drawn(run)
    reads = read_figures(run, [entry["table"] for entry in run.manifest["reads"]])
    if as_json:
        software = run.manifest["accuracy_software"]
        paths = {"bench": bench, "run": run.path, "report": page}
        print_json({**run.manifest["figures"], "accuracy_software": software, "reads": reads, **paths})
        return
    _print(run, reads, bench, page)
    if not no_open and _interactive():
        import webbrowser

        webbrowser.open(page.as_uri())


def _unused(name: str) -> Path:
    """Return the first of name, name-2, name-3 ... that is not taken."""
    taken = 1
    while (path := Path(name if taken == 1 else f"{name}-{taken}")).exists():
        taken += 1
    return path


def _write_bench(folder: Path, seed: int | None) -> Path:
    """Make the folder and its bench file, which is the shipped one with another seed."""
    from importlib.resources import files

    from labkit.durable import explained, make_folders, write_whole

    if folder.exists() or folder.is_symlink():
        raise RunExists(
            f"{folder} exists and is never overwritten; choose another folder: labkit demo --out "
            f"{folder.name}-2",
            path=folder,
        )
    text = (files("labkit.data") / "mock.yaml").read_text("utf-8")
    if seed is not None:
        text = re.sub(r"(?m)^(\s+seed:) \d+", rf"\1 {seed}", text)
    with explained(folder):
        make_folders(folder)
    bench = folder / "mock.yaml"
    write_whole(bench, lambda file: file.write(text.encode()), replace=False)
    return bench


def _print(run: Run, reads: list[dict[str, Any]], bench: Path, page: Path) -> None:
    from labkit.cli.figures import figure_rows, read_table
    from labkit.cli.output import facts, say, shown_path, stdout

    say()
    stdout().print(facts(figure_rows(run.manifest["figures"])))
    stdout().print(read_table(reads, run.manifest["accuracy_software"]))
    say(f"  read it a year later   labkit read {shown_path(run.path)} --at 1y", style="dim")
    say(f"  look at the bench      labkit station check {shown_path(bench)}", style="dim")
    say()
    say("Open the report in a browser:")
    say(str(page))


def _interactive() -> bool:
    """Whether somebody sits at a screen."""
    screen = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return screen and sys.stdout.isatty() and sys.stdin.isatty() and "CI" not in os.environ
