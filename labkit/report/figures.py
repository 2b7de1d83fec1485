"""The figures of a programming run in their order, each with its caption and source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Canvas

from labkit.report import captions
from labkit.report.evidence import Cells, Evidence
from labkit.report.laws import Laws
from labkit.report.plots_error import error_by_target, residual_histogram
from labkit.report.plots_loop import PulseMap, convergence, pulse_map
from labkit.report.plots_probe import TRACES_MOST, cells_over_time, current_voltage, staircase, traces
from labkit.report.plots_time import accuracy_over_time, drift, drift_levels
from labkit.report.statistics import level_edges, level_statistics
from labkit.report.style import style, to_svg

__all__ = ["Figure", "draw"]

_FEW = 256
"""Up to so many cells are drawn one by one."""
_PASS_COLUMNS = {"pass", "converged_total", "rms_error_s"}


@dataclass(frozen=True)
class Figure:
    """One figure of the page: its title, the SVG, what one should see, and the tables and laws behind it."""

    name: str
    title: str
    svg: str
    caption: str
    source: str


@dataclass(frozen=True)
class _Draft:
    name: str
    title: str
    canvas: Canvas
    caption: str
    source: str


def draw(evidence: Evidence, laws: Laws | None) -> list[Figure]:
    """Draw every figure the run has data for; the others become sentences in ``evidence.gaps``."""
    with style():
        return [
            Figure(
                draft.name,
                draft.title,
                to_svg(draft.canvas, draft.name, f"{draft.title}. {draft.caption}"),
                draft.caption,
                draft.source,
            )
            for draft in _drafts(evidence, laws)
        ]


def _drafts(evidence: Evidence, laws: Laws | None) -> Iterator[_Draft]:
    cells = evidence.cells
    if cells is not None and evidence.reads:
        if len(cells) <= _FEW:
            yield _few_cells(evidence, cells, laws)
        yield from _residuals(evidence, cells)
        yield from _error_by_target(evidence, cells, laws)
    yield from _convergence(evidence)
    if cells is not None:
        yield from _pulses(evidence, cells)
        yield from _drift(evidence, cells, laws)
    yield from _accuracy(evidence)
    yield from _probe(evidence)


def _few_cells(evidence: Evidence, cells: Cells, laws: Laws | None) -> _Draft:
    reads = evidence.reads
    tables = reads[0].table if len(reads) == 1 else f"{reads[0].table} \u2026 {reads[-1].table}"
    law = f"; drift of card {laws.card}: {laws.drift_source}" if laws is not None else ""
    return _Draft(
        "cells",
        "Every cell",
        cells_over_time(cells, reads, laws, evidence.g_max_s),
        captions.every_cell(len(reads)),
        f"tables cells, {tables}{law}",
    )


def _residuals(evidence: Evidence, cells: Cells) -> Iterator[_Draft]:
    read = evidence.reads[0]
    residual_s = read.g_s.astype(np.float64) - cells.target_s
    good = np.isfinite(residual_s) & cells.converged
    if max(np.count_nonzero(good & cells.zero), np.count_nonzero(good & ~cells.zero)) < 2:
        evidence.gaps.append("Fewer than two converged cells were read, so residuals are not shown.")
        return
    yield _Draft(
        "residuals",
        "Programming error of every cell",
        residual_histogram(cells, residual_s),
        captions.residuals(read.median_age_s),
        f"tables cells, {read.table}",
    )


def _error_by_target(evidence: Evidence, cells: Cells, laws: Laws | None) -> Iterator[_Draft]:
    read = evidence.reads[0]
    residual_s = read.g_s.astype(np.float64) - cells.target_s
    known = np.isfinite(residual_s) & ~cells.zero
    good = known & cells.converged
    edges_s = level_edges(cells.target_s[known], evidence.g_max_s)
    everyone = level_statistics(cells.target_s[known], residual_s[known], edges_s)
    converged = level_statistics(cells.target_s[good], residual_s[good], edges_s)
    if converged.n.size == 0:
        evidence.gaps.append("No target level has 30 converged cells, so error against target is not shown.")
        return
    law = f"; programming error of card {laws.card}: {laws.error_source}" if laws is not None else ""
    yield _Draft(
        "error-by-target",
        "Programming error against target",
        error_by_target(converged, everyone, laws, evidence.g_max_s, read.median_age_s),
        captions.error_by_target(with_laws=laws is not None),
        f"tables cells, {read.table}{law}",
    )


def _convergence(evidence: Evidence) -> Iterator[_Draft]:
    passes = evidence.passes
    if passes is None:
        return
    if not _PASS_COLUMNS.issubset(passes.columns):
        evidence.gaps.append("The record of the passes lacks columns, so convergence is not shown.")
        return
    cells = len(evidence.cells) if evidence.cells is not None else int(passes["converged_total"].max())
    last = passes.iloc[-1]
    yield _Draft(
        "convergence",
        "Convergence of the verify loop",
        convergence(passes, cells),
        captions.convergence(int(last["pass"]), float(last["converged_total"]) / max(cells, 1), cells),
        "table passes",
    )


def _pulses(evidence: Evidence, cells: Cells) -> Iterator[_Draft]:
    geometry = evidence.section("geometry")
    try:
        banks, rows, cols = (int(geometry[key]) for key in ("banks", "rows", "cols"))
    except (KeyError, TypeError, ValueError):
        evidence.gaps.append("The manifest has no geometry, so the map of pulses is not shown.")
        return
    if min(banks, rows, cols) < 1 or int(cells.index.max()) >= banks * rows * cols:
        evidence.gaps.append(
            "Cells lie outside the geometry of the manifest, so the map of pulses is not shown."
        )
        return
    content = PulseMap(cells, banks, rows, cols)
    yield _Draft(
        "pulses",
        "Pulses over the array",
        pulse_map(content, cells.pulses),
        captions.pulses(content.factor, int(np.count_nonzero(~cells.converged))),
        "table cells",
    )


def _drift(evidence: Evidence, cells: Cells, laws: Laws | None) -> Iterator[_Draft]:
    reads = evidence.reads
    if not reads:
        return
    if len(reads) == 1 or reads[-1].median_age_s < 1.2 * reads[0].median_age_s:
        evidence.gaps.append("The cells were read at one age only, so drift is not shown.")
        return
    levels = drift_levels(cells, reads, evidence.g_max_s)
    if not levels and len(cells) <= _FEW:
        return
    if not levels:
        evidence.gaps.append("No target has 50 converged cells, so drift is not shown.")
        return
    law = f"; drift of card {laws.card}: {laws.drift_source}" if laws is not None else ""
    yield _Draft(
        "drift",
        "Drift of the read-backs",
        drift(levels, reads, laws, evidence.g_max_s),
        captions.drift(len(reads), laws.t0_s if laws is not None else None),
        f"tables cells, {reads[0].table} \u2026 {reads[-1].table}{law}",
    )


def _probe(evidence: Evidence) -> Iterator[_Draft]:
    found = evidence.probe
    if "traces" in found:
        load_ohm = found["traces"].attrs.get("series_ohm")
        yield _Draft(
            "traces",
            "Pulses on the oscilloscope",
            traces(found["traces"]),
            captions.traces(load_ohm, min(int(found["traces"]["trace"].nunique()), TRACES_MOST)),
            "table traces",
        )
    if "current_voltage" in found:
        yield _Draft(
            "current-voltage",
            "Current over voltage",
            current_voltage(found["current_voltage"]),
            captions.current_voltage(),
            "table current_voltage",
        )
    if "staircase" in found:
        yield _Draft(
            "staircase",
            "Conductance over RESET amplitude",
            staircase(found["staircase"], evidence.g_max_s),
            captions.staircase(int(found["staircase"]["cell"].nunique())),
            "table staircase",
        )


def _accuracy(evidence: Evidence) -> Iterator[_Draft]:
    accuracy = evidence.accuracy
    if accuracy is None or accuracy.empty:
        return
    software = evidence.manifest.get("accuracy_software")
    yield _Draft(
        "accuracy",
        "Accuracy of the network on the chip",
        accuracy_over_time(accuracy, float(software) if isinstance(software, int | float) else None),
        captions.accuracy(),
        "table accuracy",
    )
