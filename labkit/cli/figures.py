"""Key figures of runs and reads, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.cli.output import grid
from labkit.report.wording import age, count, percent, significant

if TYPE_CHECKING:
    from rich.table import Table

    from labkit.runs import Run

__all__ = ["figure_rows", "read_figures", "read_table"]


def figure_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Word the key figures of a programming run, those it has."""
    rows = []

    def add(key: str, name: str, wording: Any, after: str = "") -> None:
        if (value := figures.get(key)) is not None:
            rows.append((name, f"{wording(value)}{after}"))

    zero, ended = figures.get("cells_zero"), figures.get("ended")
    add("cells", "cells", count, f", {count(zero)} of them RESET for a target of zero" if zero else "")
    add("converged_fraction", "converged", lambda value: percent(value, 2), " of the non-zero targets")
    add("passes", "passes", count, f" ({ended})" if ended else "")
    add("pulses_mean", "pulses", significant, " per cell with a non-zero target")
    add(
        "error_rms_fraction_of_gmax",
        "error",
        lambda value: percent(value, 2),
        " of full scale, rms of the first independent read",
    )
    add("messages", "messages", count)
    add("seconds", "time", age)
    return rows


def read_figures(run: Run, tables: Sequence[str]) -> list[dict[str, Any]]:
    """Return what some reads of a run found, by age.

    Parameters
    ----------
    run : Run
    tables : sequence of str
        Their names, ``reads/NNNN``.

    Returns
    -------
    list of dict
        With the rms of reading minus target over the converged cells with non-zero targets, as a fraction of
        full scale, and the accuracy where the run judges a network.
    """
    cells = run.table("cells")
    judged = (cells["converged"] & (cells["target_s"] > 0)).to_numpy(bool)
    target_s = cells["target_s"].to_numpy(np.float64)
    g_max_s = float(run.manifest["settings"]["g_max_s"])
    entries = {entry["table"]: entry for entry in run.manifest["reads"]}
    accuracy = _accuracy(run)
    found = []
    for table in tables:
        frame = run.table(table)
        g_s = frame["g_s"].to_numpy(np.float64)
        error_s = (g_s - target_s)[judged & np.isfinite(g_s)]
        rms_s = float(np.sqrt(np.mean(error_s**2))) if error_s.size else None
        entry = entries[table]
        found.append(
            {
                "table": table,
                "label": entry["label"],
                "nominal_age_s": entry["nominal_age_s"],
                "median_age_s": float(frame["age_s"].median()),
                "error_rms_fraction_of_gmax": None if rms_s is None else rms_s / g_max_s,
                **accuracy.get(entry["nominal_age_s"], {}),
            }
        )
    return found


def _accuracy(run: Run) -> dict[float, dict[str, float]]:
    names = ("accuracy_plain", "accuracy_compensated")
    rows = [
        row
        for table in run.tables()
        if table.partition("/")[0] == "accuracy"
        for row in run.table(table).to_dict("records")
    ]
    return {row["age_s"]: {name: float(row[name]) for name in names} for row in rows}


def read_table(reads: Sequence[dict[str, Any]], software: float | None = None) -> Table:
    """Return a table of reads.

    Parameters
    ----------
    reads : sequence of dict
        As `read_figures` gives them.
    software : float, optional
        Accuracy of the network with its exact weights.
    """
    judged = any("accuracy_plain" in read for read in reads)
    table = grid("age", "rms error", *(("accuracy", "drift compensated") if judged else ()))
    for column in table.columns[1:]:
        column.justify = "right"

    def worded(value: float | None) -> str:
        return "" if value is None else percent(value, 2)

    keys = ("error_rms_fraction_of_gmax", *(("accuracy_plain", "accuracy_compensated") if judged else ()))
    for read in reads:
        table.add_row(read["label"], *(worded(read.get(key)) for key in keys))
    if judged and software is not None:
        table.add_row("in software", "", worded(software), "", style="dim")
    return table
