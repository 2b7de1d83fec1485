"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BenchFile", "InstrumentName", "Json", "RunFolder"]

BenchFile = Annotated[Path, typer.Argument(metavar="BENCH", help="Bench file.")]
InstrumentName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which chip of the bench file, where it has several.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.")]
