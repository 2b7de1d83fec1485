"""``labkit calibrate reads``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.options import InstrumentName, Json
from labkit.cli.output import examples

if TYPE_CHECKING:
    from calibration.laws.array import Lines
    from drivers.read_calibration import ReadCalibration

__all__ = ["calibrate_app"]

_EXAMPLE = "labkit calibrate reads --station bench.yaml"
_LISTED = 8

calibrate_app = typer.Typer(epilog=examples(_EXAMPLE), no_args_is_help=True, rich_markup_mode="rich")


@calibrate_app.callback()  # without it a group of one command would be that command
def _calibrate() -> None:
    """Measure a bench's own errors, so that they can be taken out."""


@calibrate_app.command(epilog=examples(_EXAMPLE, f"{_EXAMPLE} --samples 256 --out reads.json"))
def reads(
    station: Annotated[Path, typer.Option(metavar="BENCH", help="Bench file.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; by default read_calibration of the bench file."),
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, help="Conversions averaged in each reading.")
    ] = 64,
    repeats: Annotated[
        int, typer.Option(metavar="N", min=2, max=100_000, help="Readings of each reference cell.")
    ] = 16,
    lines: Annotated[
        str | None,
        typer.Option(
            metavar="CARD",
            help="Device card whose line resistances lie before the references; by default their values hold as "
            "the columns see them.",
        ),
    ] = None,
    instrument: InstrumentName = None,
    as_json: Json = False,
) -> None:
    """Measure gain and offset of every column against reference resistors.

    The bench file says which rows hold them. No cell is pulsed. A file that
    exists is replaced when the new one is whole.
    """
    from drivers.errors import ReadCalibrationError
    from labkit.cli.bench import at_work
    from labkit.cli.output import facts, print_json, say, shown_path, stdout
    from labkit.read_calibration_run import calibrate_reads, summary
    from labkit.read_path import check_place, save_calibration
    from labkit.station import open_station

    bench = open_station(station, instrument=instrument, calibrated=False)
    named = bench.bench.chips[bench.name].read_calibration
    path = named if out is None else out.expanduser().absolute()
    if path is None:
        raise ReadCalibrationError(
            f"{bench.bench.path} does not say where the calibration of {bench.name} is kept; name a file with "
            "--out, or as read_calibration of the instrument",
            path=bench.bench.path,
        )
    check_place(path)
    before = None if lines is None else _lines(lines)
    with at_work(bench) as shown:
        found = calibrate_reads(bench, samples=samples, repeats=repeats, lines=before, progress=shown)
    save_calibration(found, path)
    figures = summary(found)
    if as_json:
        print_json({"calibration": path, "sha256": found.sha256, **figures})
        return
    stdout().print(facts([*_rows(found, figures), ("file", shown_path(path))]))
    if path != named:
        say(f"To use it, name it in the bench file: read_calibration: {path}", style="dim")


def _lines(named: str) -> Lines:
    """Return the line resistances of a card; MissingLawError where it has none."""
    from calibration import DeviceCard

    return DeviceCard.load(named).lines


def _rows(found: ReadCalibration, figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Word the result for people."""
    values = ", ".join(f"row {row} {value * 1e6:g} µS" for row, value in found.references.items())
    rows = [
        ("columns", f"{figures['columns_calibrated']:,} of {figures['columns']:,} calibrated"),
        (
            "gain error",
            f"{figures['gain_error_rms']:.2%} rms, known to ±{figures['gain_half_width_median']:.2%} (95 %)",
        ),
        (
            "offset",
            f"{figures['offset_rms_a'] * 1e9:.3g} nA rms, known to "
            f"±{figures['offset_half_width_median_a'] * 1e9:.2g} nA (95 %)",
        ),
        (
            "worst column",
            f"{figures['worst_column']}: gain {figures['worst_gain']:.4f}, offset "
            f"{figures['worst_offset_a'] * 1e9:.3g} nA",
        ),
        ("references", f"{values}; ±{found.tolerance:.2%}"),
    ]
    if found.lines_ohm is not None:
        rows.append(
            (
                "lines",
                "{:g} Ω in series, {:g} Ω and {:g} Ω per cell of bit and word line".format(*found.lines_ohm),
            )
        )
    if found.misfit is not None:
        rows.append(("misfit", f"{found.misfit:.2f} standard deviations (1 is expected)"))
    listed = list(found.uncalibrated.items())
    rows += [(f"column {column}", f"left as it reads: {why}") for column, why in listed[:_LISTED]]
    if len(listed) > _LISTED:
        rows.append(("and", f"{len(listed) - _LISTED:,} more columns, listed in the file"))
    temperature = "" if found.temperature_k is None else f", at {found.temperature_k:.1f} K"
    return [*rows, ("measured", f"{found.measured_utc}{temperature}")]
