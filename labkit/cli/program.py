"""``labkit program``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.options import InstrumentName, Json

if TYPE_CHECKING:
    from labkit.programming import ProgramSettings

__all__ = ["program"]


def program(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="One array per layer: .npz, .npy or .csv.")
    ],
    station: Annotated[Path, typer.Option(metavar="BENCH", help="Bench file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run directory to make; by default one in runs/.")
    ] = None,
    card: Annotated[
        str | None,
        typer.Option(
            metavar="CARD",
            help="Device card, preset or file; by default that of the bench, else ibm90.",
        ),
    ] = None,
    at: Annotated[str, typer.Option(metavar="AGES", help="Ages at which all cells are read back.")] = "25s",
    margin: Annotated[
        str | None,
        typer.Option(
            metavar="MARGIN",
            help="Accepted error, like 0.3uS, or 0.5sigma in programming errors of the card, the default.",
        ),
    ] = None,
    pulses_max: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Pulses a cell may get; by default 55.")
    ] = None,
    passes_max: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Passes of the loop; by default 30.")
    ] = None,
    verify_age: Annotated[
        str | None, typer.Option(metavar="AGE", help="Age of the cells at the verify read; by default 2s.")
    ] = None,
    reads_per_pass: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Verify reads averaged in a pass; by default 1.")
    ] = None,
    pulse_width: Annotated[
        str | None,
        typer.Option(metavar="WIDTH", help="Full width of the pulses at half height; by default 50ns."),
    ] = None,
    instrument: InstrumentName = None,
    as_json: Json = False,
) -> None:
    """Program weights into a chip, verify, read back, report.

    Each weight becomes a pair of cells. Nothing is pulsed unless everything
    fits: weights, chip and envelope.
    """
    from labkit.cli.quantities import ages

    ages_s = ages(at)
    counts = {"pulses_max": pulses_max, "passes_max": passes_max, "reads_per_pass": reads_per_pass}
    settings = _settings(margin, verify_age, pulse_width, **counts)

    from labkit.cli.bench import at_work, card_for, drawn
    from labkit.cli.figures import figure_rows
    from labkit.cli.output import facts, print_json, say, stdout
    from labkit.program_run import program_run
    from labkit.station import open_station
    from labkit.weights import load_weights

    layers = load_weights(weights)
    bench = open_station(station, instrument=instrument)
    device, origin = card_for(bench, card)
    with at_work(bench) as shown:
        run = program_run(
            bench,
            layers,
            card=device,
            settings=settings,
            out=out,
            inputs={"weights": weights.absolute(), "sha256": _sha256(weights)},
            ages_s=ages_s,
            progress=shown,
        )
    page = drawn(run)
    figures = run.manifest["figures"]
    if as_json:
        print_json({**figures, "card": origin, "run": run.path, "report": page})
        return
    say()
    stdout().print(facts([*figure_rows(figures), ("card", origin)]))
    say()
    say(str(page))


def _settings(
    margin: str | None, verify_age: str | None, pulse_width: str | None, **counts: int | None
) -> ProgramSettings:
    """Return the settings that were typed, defaults for the rest."""
    from labkit.cli.quantities import margin as margin_of
    from labkit.cli.quantities import seconds
    from labkit.programming import ProgramSettings

    given: dict[str, Any] = {name: value for name, value in counts.items() if value is not None}
    if margin is not None:
        given |= margin_of(margin)
    if verify_age is not None:
        given["verify_age_s"] = seconds(verify_age, "--verify-age")
    if pulse_width is not None:
        edges_s = 0.5 * (ProgramSettings.pulse_rise_s + ProgramSettings.pulse_fall_s)
        given["pulse_top_s"] = seconds(pulse_width, "--pulse-width") - edges_s
    return ProgramSettings(**given)


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
