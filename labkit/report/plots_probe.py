"""What a probe station shows of single cells: pulses on the scope, I-V curves, a staircase of RESET pulses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labkit.report.evidence import Cells, ReadBack
from labkit.report.laws import Laws
from labkit.report.style import BLUE, GREEN, INK, MUTED, VERMILLION, age_axis, new_figure, panel_title

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TRACES_MOST", "cells_over_time", "current_voltage", "staircase", "traces"]

_US, _UA = 1e6, 1e6
TRACES_MOST = 4
"""Pulses that fit beside each other."""


def traces(frame: pd.DataFrame) -> Figure:
    """Draw pulses as a scope saw them: voltages before and behind the load resistor, and the current through it.

    Parameters
    ----------
    frame : DataFrame
        Table ``traces``: ``trace`` (number), ``kind``, ``t_s``, ``source_v``, ``cell_v``, ``current_a``.
    """
    found = list(frame.groupby("trace", sort=True))[:TRACES_MOST]
    figure = new_figure(4.2)
    panels = figure.subplots(
        2, len(found), squeeze=False, sharex="col", sharey="row", height_ratios=[1.25, 1]
    )
    for column, (_, trace) in enumerate(found):
        above, below = panels[0][column], panels[1][column]
        t_s = trace["t_s"].to_numpy(np.float64)
        scale, unit = _time_unit(float(t_s[-1] - t_s[0]))
        t = scale * t_s
        above.plot(t, trace["source_v"], color=INK, lw=1.1, label="pulse generator")
        above.plot(t, trace["cell_v"], color=BLUE, lw=1.3, label="cell")
        below.plot(t, _UA * trace["current_a"], color=VERMILLION, lw=1.3)
        below.set_xlabel(f"time ({unit})")
        panel_title(above, "abcd"[column], str(trace["kind"].iloc[0]))
    panels[0][0].set_ylabel("voltage (V)")
    panels[1][0].set_ylabel("current (µA)")
    panels[0][0].legend(loc="upper right", handlelength=1.6)
    return figure


def _time_unit(span_s: float) -> tuple[float, str]:
    for largest_s, scale, unit in ((2e-6, 1e9, "ns"), (2e-3, 1e6, "µs"), (2.0, 1e3, "ms")):
        if span_s < largest_s:
            return scale, unit
    return 1.0, "s"


def current_voltage(frame: pd.DataFrame) -> Figure:
    """Draw I-V curves below threshold, and what is left of them when the ohmic part is taken out.

    Parameters
    ----------
    frame : DataFrame
        Table ``current_voltage``: ``cell``, ``voltage_v``, ``current_a``, ``limited``.
    """
    figure = new_figure(3.2)
    left, right = figure.subplots(1, 2)
    curves = [
        (curve["voltage_v"].to_numpy(np.float64), curve["current_a"].to_numpy(np.float64))
        for _, curve in frame[~frame["limited"].astype(bool)].groupby("cell", sort=True)
    ]
    strength = [_conductance_s(volts, amperes) for volts, amperes in curves]
    largest = max([1e-12, *strength])
    for (volts, amperes), conductance_s in zip(curves, strength, strict=True):
        keep = volts > 0
        shade = 0.25 + 0.75 * max(conductance_s, 0.0) / largest
        left.plot(volts[keep], np.abs(amperes[keep]), color=BLUE, alpha=shade, lw=1.0)
        if conductance_s > 0:
            right.plot(
                volts[keep], amperes[keep] / (volts[keep] * conductance_s), color=BLUE, alpha=shade, lw=1.0
            )
    left.set_yscale("log")
    left.set_xlabel("voltage (V)")
    left.set_ylabel("current (A)")
    panel_title(left, "a", f"I-V of {len(curves)} cells")
    right.axhline(1.0, color=MUTED, lw=0.8)
    right.set_xlabel("voltage (V)")
    right.set_ylabel("I / (G V)")
    panel_title(right, "b", "Departure from Ohm's law")
    return figure


def _conductance_s(volts: NDArray[np.float64], amperes: NDArray[np.float64]) -> float:
    """Return the slope through zero of the lower half of a curve, siemens."""
    low = (volts > 0) & (volts <= 0.5 * np.max(volts, initial=0.0))
    weight = float(np.sum(volts[low] ** 2))
    return float(np.sum(volts[low] * amperes[low])) / weight if weight > 0 else 0.0


def staircase(frame: pd.DataFrame, g_max_s: float) -> Figure:
    """Draw the conductance left by a staircase of RESET pulses, per cell and in the median.

    Parameters
    ----------
    frame : DataFrame
        Table ``staircase``: ``cell``, ``amplitude_a``, ``g_s``.
    g_max_s : float
        Full scale, siemens.
    """
    figure = new_figure(3.0)
    axes = figure.subplots()
    for _, steps in frame.groupby("cell", sort=True):
        axes.plot(_UA * steps["amplitude_a"], _US * steps["g_s"], color=BLUE, alpha=0.35, lw=0.9)
    middle = frame.groupby("amplitude_a", sort=True)["g_s"].median()
    axes.plot(_UA * middle.index.to_numpy(), _US * middle.to_numpy(), "o-", color=INK, ms=3.2, label="median")
    axes.set_ylim(0.0, max(1.1 * _US * g_max_s, 1.05 * _US * float(frame["g_s"].max())))
    axes.set_xlabel("amplitude of the RESET pulse (µA)")
    axes.set_ylabel("conductance after it (µS)")
    axes.legend(loc="upper right")
    return figure


def cells_over_time(cells: Cells, reads: list[ReadBack], laws: Laws | None, g_max_s: float) -> Figure:
    """Draw every cell of a small run: read against target, and its way through the read-backs.

    Parameters
    ----------
    cells : Cells
    reads : list of ReadBack
        At least one, in the order of age.
    laws : Laws or None
        Their mean drift is drawn beside the cells.
    g_max_s : float
        Full scale, siemens.
    """
    figure = new_figure(3.5)
    several = len(reads) > 1 and reads[-1].median_age_s >= 1.2 * reads[0].median_age_s
    panels = figure.subplots(1, 1 + several, squeeze=False, width_ratios=[1.0, 1.25][: 1 + several])[0]
    _against_target(panels[0], cells, reads[0], g_max_s)
    if several:
        _fan(panels[1], cells, reads, laws, g_max_s)
    return figure


def _against_target(axes: Axes, cells: Cells, read: ReadBack, g_max_s: float) -> None:
    full = 1.1 * _US * g_max_s
    axes.plot([0.0, full], [0.0, full], color=MUTED, lw=0.8)
    for chosen, colour, label in (
        (cells.converged, BLUE, "converged"),
        (~cells.converged, VERMILLION, "not converged"),
    ):
        if chosen.any():
            axes.plot(
                _US * cells.target_s[chosen], _US * read.g_s[chosen], "o", color=colour, ms=3.4, label=label
            )
    axes.set_xlim(-0.02 * full, full)
    axes.set_ylim(-0.02 * full, full)
    axes.set_xlabel("target (µS)")
    axes.set_ylabel("first independent read (µS)")
    axes.legend(loc="upper left")
    panel_title(axes, "a", "Cell by cell")


def _fan(axes: Axes, cells: Cells, reads: list[ReadBack], laws: Laws | None, g_max_s: float) -> None:
    ages_s = np.array([read.age_s for read in reads])
    read_us = _US * np.array([read.g_s for read in reads])
    for cell in np.flatnonzero(cells.converged & ~cells.zero):
        axes.plot(ages_s[:, cell], read_us[:, cell], color=BLUE, alpha=0.4, lw=0.8)
    if laws is not None:
        grid_s = np.geomspace(np.nanmin(ages_s), np.nanmax(ages_s), 40)
        for number, target_s in enumerate(np.linspace(0.2, 1.0, 5) * g_max_s):
            axes.plot(
                grid_s, _US * laws.drifted_s(np.array([target_s]), grid_s), color=GREEN, lw=1.1,
                ls=(0, (4, 2)), label="mean drift of the card" if number == 0 else None,
            )  # fmt: skip
        axes.legend(loc="upper right", handlelength=2.2)
    age_axis(axes, float(np.nanmin(ages_s)), float(np.nanmax(ages_s)))
    axes.set_ylim(0.0, 1.16 * _US * g_max_s)
    axes.set_xlabel("age since the last pulse")
    axes.set_ylabel("conductance (µS)")
    panel_title(axes, "b", "Drift")
